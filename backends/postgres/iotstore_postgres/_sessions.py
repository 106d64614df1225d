"""Sessions: reads over a pooled connection, and snapshots with an age."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final, Never

import psycopg

from iotstore.backend import (
    Aggregate,
    Busy,
    Function,
    Key,
    Layout,
    Overflow,
    Row,
    Select,
    StoreError,
    Type,
    Value,
)
from iotstore_postgres._errors import DRIVER_ERRORS, ended_error, translated
from iotstore_postgres._points import PointReads
from iotstore_postgres._pool import Execute, Link, Pool, Watch
from iotstore_postgres._statements import PostgresStatements
from iotstore_sql import SqlReads

# Tables that are private to this backend are no layouts.
_LAYOUTS: Final = (
    "SELECT relname FROM pg_catalog.pg_class WHERE relnamespace ="
    " (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())"
    " AND relkind IN ('r', 'p') AND NOT relispartition"
    " AND (NOT starts_with(relname, 'iotstore_') OR relname LIKE '%$')"
)
#: Its first read is where a snapshot's state is taken.
BEGIN_SNAPSHOT: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_BEGIN_READING: Final = "BEGIN READ ONLY"
# What ends a transaction that only read: the driver forgets its prepared statements after a ROLLBACK.
END_READING: Final = "COMMIT"
_CANCEL_SECONDS: Final = 2.0


def ended(*_: object, **__: object) -> Never:
    """What a session calls instead of its cursor when it is over."""
    raise ended_error()


class Session(PointReads, SqlReads):
    """What all sessions do with the connection they have."""

    _link: Link | None
    _connection: psycopg.Connection[Any]
    _execute: Execute
    #: the server-side cursors that are open, each with the number of savepoints that were open when it began
    _streams: dict[str, int] | None
    _depth: int = 0
    _numbers: int
    _texts: PostgresStatements

    def _take(self, link: Link, statements: PostgresStatements) -> None:
        self._link = link
        self._connection = link.connection
        self._execute = link.execute
        self._streams = None
        self._numbers = 0
        self.statements = self._texts = statements

    def get(self, layout: Layout, key: Key) -> Row | None:
        try:
            row: Row | None = self._execute(self.statements.get[layout], key).fetchone()
        except DRIVER_ERRORS as error:
            found = self._once_more(error, self.statements.get[layout], key)
            return found[0] if found else None
        return row

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        if len(keys) == 1 and not hold:
            return [self.get(layout, keys[0])]
        return super().get_many(layout, keys, hold=hold)

    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        try:
            found: list[Row] = self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as error:
            return self._once_more(error, text, parameters)
        return found

    def row(self, text: str, parameters: Sequence[Value]) -> Row | None:
        try:
            found: Row | None = self._execute(text, parameters).fetchone()
        except DRIVER_ERRORS as error:
            rows = self._once_more(error, text, parameters)
            return rows[0] if rows else None
        return found

    def _once_more(self, error: Exception, text: str, parameters: Sequence[Value]) -> list[Row]:  # noqa: ARG002
        """What is left to do after a read failed: here nothing."""
        raise translated(error) from error

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        text, parameters = self.statements.aggregate(layout, query)
        doubles = [
            name for of, name in query.measures if of is Function.SUM and name and layout.column(name).type is Type.REAL
        ]
        if not doubles:
            return self.rows(text, parameters)
        try:
            return self._guarded(text, parameters)
        except Overflow as error:
            raise Overflow(f"the sum of {' or '.join(doubles)} is beyond a double") from error

    def _guarded(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        """Run what may fail by its data, such that the session goes on: a sum of doubles that leaves their range."""
        if not self._in_block():
            return self.rows(text, parameters)
        self.rows_of_nothing("SAVEPOINT guarded")
        try:
            found = self.rows(text, parameters)
        except StoreError:
            if not self._connection.closed:
                self.rows_of_nothing("ROLLBACK TO guarded")
                self.rows_of_nothing("RELEASE guarded")
            raise
        self.rows_of_nothing("RELEASE guarded")
        return found

    def _in_block(self) -> bool:
        """Whether an error would end more than its statement."""
        return True

    def rows_of_nothing(self, text: str) -> None:
        """Run a statement that answers nothing."""
        try:
            self._execute(text, ())
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    # ------------------------------------------------------------------ streams

    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        return self.chunks(*self.statements.select(layout, query), rows)

    def chunks(self, text: str, parameters: Sequence[Value], rows: int) -> Iterator[list[Row]]:
        name = self._open_stream(text, parameters)
        try:
            while True:
                chunk = self._next(name, rows)
                if chunk:
                    yield chunk
                if len(chunk) < rows:
                    return
        finally:
            self._close_stream(name)

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> str:
        # A cursor of the server's: other calls of this session may come between two lists.
        if self._execute is ended:
            raise ended_error()
        if self._streams is None:
            self._streams = {}
        self._numbers += 1
        name = f"stream{self._numbers}"
        try:
            self._execute(f"DECLARE {name} NO SCROLL CURSOR FOR {text}", parameters)
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        self._streams[name] = self._depth
        return name

    def _next(self, name: str, rows: int) -> list[Row]:
        if self._streams is None or name not in self._streams:
            raise ended_error()
        try:
            return self._execute(f"FETCH {rows} FROM {name}", ()).fetchall()
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    def _close_stream(self, name: str) -> None:
        streams = self._streams
        if streams is None or name not in streams:
            return
        del streams[name]
        # In a failed transaction there is nothing to close any more, and nobody to be told.
        with suppress(*DRIVER_ERRORS, StoreError):
            self._execute(f"CLOSE {name}", ())

    def counters(self) -> Mapping[str, int]:
        return dict(self.rows("SELECT name, next FROM iotstore_counters", ()))

    def layouts(self) -> frozenset[str]:
        name_of = self._texts.dialect.layout_name
        return frozenset(name_of(row[0]) for row in self.rows(_LAYOUTS, ()))


class PostgresRead(Session):
    """Reads in autocommit: each call sees the latest committed state."""

    def __init__(self, pool: Pool, statements: PostgresStatements) -> None:
        self._link = None
        self._pool = pool
        self._take(pool.borrow(), statements)

    def _renew(self, error: Exception) -> None:
        """Take another connection for one that was lost while it rested: a read alone can be asked once more."""
        link = self._link
        if link is None or self._streams or not link.may_repeat(error):
            raise translated(error) from error
        self._link = None
        self._execute = ended
        self._take(self._pool.renewed(link), self._texts)

    def _once_more(self, error: Exception, text: str, parameters: Sequence[Value]) -> list[Row]:
        self._renew(error)
        try:
            return self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as again:
            raise translated(again) from again

    def _in_block(self) -> bool:
        return bool(self._streams)

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> str:
        if not self._streams:
            # A cursor needs a transaction. In this one, too, each call sees the latest committed state.
            try:
                self._execute(_BEGIN_READING, ())
            except DRIVER_ERRORS as error:
                self._renew(error)
                self.rows_of_nothing(_BEGIN_READING)
        return super()._open_stream(text, parameters)

    def _close_stream(self, name: str) -> None:
        super()._close_stream(name)
        if self._streams is not None and not self._streams and self._link is not None:
            self._streams = None
            with suppress(*DRIVER_ERRORS, StoreError):
                self._execute(END_READING, ())

    def close(self) -> None:
        link = self._link
        if link is not None:
            if self._streams:
                with suppress(*DRIVER_ERRORS, StoreError):
                    link.execute(END_READING, ())
            self._link = None
            self._execute = ended
            self._streams = None
            self._pool.give(link)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A session that nobody closed must not cost the pool a connection.
        if self._link is not None:
            self.close()


class PostgresSnapshot(Session):
    """Reads of one committed state, up to an age. Another thread may end it, so each call holds a lock."""

    sees_one_state: ClassVar[bool] = True

    def __init__(self, pool: Pool, statements: PostgresStatements, watch: Watch) -> None:
        self._link = None
        self._pool = pool
        self._watch = watch
        self._lock = threading.RLock()
        self._expired = False
        #: a backup is being taken from it: it may take its time
        self.pinned = False
        self.deadline = watch.clock() + watch.age
        self._take(pool.begin(BEGIN_SNAPSHOT), statements)
        try:
            # A lock reads nothing: no partition is dropped between it and the state that is seen, nor later.
            self._execute(self._texts.hold_partitions(), ())
            self._see()
        except DRIVER_ERRORS as error:
            self.close()
            raise translated(error) from error
        watch.add(self)

    def _see(self) -> None:
        # The state is that of the first read, so the first read is now.
        self._execute("SELECT 1", ())

    def get(self, layout: Layout, key: Key) -> Row | None:
        return self.row(self.statements.get[layout], key)

    def row(self, text: str, parameters: Sequence[Value]) -> Row | None:
        found = self.rows(text, parameters)
        return found[0] if found else None

    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        with self._lock:
            self._check()
            try:
                return super().rows(text, parameters)
            except StoreError:
                self._tell_expired()
                raise

    def _tell_expired(self) -> None:
        if self._expired:  # the watch stopped the statement
            self._finish()
            raise self._expired_error() from None

    def _check(self) -> None:
        if not self._expired and self._watch.clock() >= self.deadline and not self.pinned:
            self._expired = True
        if self._expired:
            self._finish()
            raise self._expired_error()
        if self._link is None:
            raise ended_error()

    def _expired_error(self) -> Busy:
        return Busy(
            f"the snapshot grew older than {self._watch.age:g} seconds and was ended, so that dead rows can be removed",
            hint="take another snapshot and read less from it, or raise the option snapshot_seconds",
        )

    def _guarded(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        with self._lock:
            self._check()
            try:
                return super()._guarded(text, parameters)
            except StoreError:
                self._tell_expired()
                raise

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> str:
        with self._lock:
            self._check()
            return super()._open_stream(text, parameters)

    def _next(self, name: str, rows: int) -> list[Row]:
        with self._lock:
            self._check()
            try:
                return super()._next(name, rows)
            except StoreError:
                self._tell_expired()
                raise

    def _close_stream(self, name: str) -> None:
        with self._lock:
            if self._link is not None:
                super()._close_stream(name)

    @property
    def connection(self) -> psycopg.Connection[Any]:
        """The connection inside its transaction, for a backup that is taken from it."""
        with self._lock:
            self._check()
            return self._connection

    def expire(self) -> bool:
        """End the snapshot from the watch's thread: at once between two calls, else by stopping the statement."""
        if self.pinned:
            return False
        self._expired = True
        if self._lock.acquire(blocking=False):
            try:
                self._finish()
            finally:
                self._lock.release()
            return True
        with suppress(*DRIVER_ERRORS):
            self._connection.cancel_safe(timeout=_CANCEL_SECONDS)
        return False  # it may have come between two statements: ask again

    def _finish(self) -> None:
        link = self._link
        if link is None:
            return
        execute = self._execute
        self._link = None
        self._execute = ended
        self._streams = None
        with suppress(*DRIVER_ERRORS, StoreError):
            execute(END_READING, ())
        self._pool.give(link)

    def close(self) -> None:
        self._watch.remove(self)
        with self._lock:
            self._finish()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._link is not None:
            self.close()
