"""Sessions: reads over a pooled connection, snapshots with an age, and the one transaction that writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any, Never

from iotstore.backend import (
    Busy,
    Key,
    Layout,
    Row,
    Select,
    Value,
)
from iotstore_sql import SqlReads
from iotstore_sql.watch import Watch
from iotstore_sqlite._errors import DRIVER_ERRORS, ended_error, translated
from iotstore_sqlite._points import PointReads
from iotstore_sqlite._pool import Link, Readers

if TYPE_CHECKING:
    from iotstore_sql import Statements

#: Tables that are private to this backend: no layouts.
PRIVATE = frozenset({"iotstore_points", "iotstore_counters"})


def ended(*_: object) -> Never:
    """What a session calls instead of its cursor when it is over."""
    raise ended_error()


class Session(PointReads, SqlReads):
    """What all sessions do with the cursor they have."""

    __slots__ = ("_connection", "_execute", "_streams", "statements")
    _execute: Callable[..., Any]
    _connection: sqlite3.Connection
    _streams: list[sqlite3.Cursor] | None

    def get(self, layout: Layout, key: Key) -> Row | None:
        try:
            row: Row | None = self._execute(self.statements.get[layout], key).fetchone()
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        return row

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        # The writer holds the whole file, so there is nothing more to hold; and one key needs no array.
        return [self.get(layout, keys[0])] if len(keys) == 1 else super().get_many(layout, keys, hold=hold)

    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        try:
            found: list[Row] = self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        return found

    def row(self, text: str, parameters: Sequence[Value]) -> Row | None:
        try:
            found: Row | None = self._execute(text, parameters).fetchone()
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        return found

    def chunks(self, text: str, parameters: Sequence[Value], rows: int) -> Iterator[list[Row]]:
        cursor = self._open_stream(text, parameters)
        try:
            while chunk := self._next(cursor, rows):
                yield chunk
        finally:
            cursor.close()
            if self._streams is not None and cursor in self._streams:
                self._streams.remove(cursor)

    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        return self.chunks(*self.statements.select(layout, query), rows)

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> sqlite3.Cursor:
        if self._execute is ended:
            raise ended_error()
        # A cursor of its own: other calls of this session may come between two lists.
        cursor = self._connection.cursor()
        if self._streams is None:
            self._streams = []
        self._streams.append(cursor)
        try:
            return cursor.execute(text, parameters)
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    def _next(self, cursor: sqlite3.Cursor, rows: int) -> list[Row]:
        if self._execute is ended:
            raise ended_error()
        try:
            return cursor.fetchmany(rows)
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    def _close_streams(self) -> None:
        # A statement that was not read to its end would hold its read transaction, and with it the log.
        if self._streams is not None:
            for cursor in self._streams:
                cursor.close()
            self._streams = None

    def counters(self) -> Mapping[str, int]:
        return dict(self.rows("SELECT name, next FROM iotstore_counters", ()))

    def layouts(self) -> frozenset[str]:
        found = self.rows(
            "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'", ()
        )
        return frozenset(row[0] for row in found) - PRIVATE


class SqliteRead(Session):
    """Reads in autocommit: each call sees the latest committed state."""

    __slots__ = ("_link", "_readers")

    def __init__(self, readers: Readers, statements: Statements) -> None:
        self._link: Link | None = None
        link = self._link = readers.borrow()
        self._readers = readers
        self._connection = link.connection
        self._execute = link.execute
        self._streams = None
        self.statements = statements

    def close(self) -> None:
        link = self._link
        if link is not None:
            self._link = None
            self._execute = ended
            if self._streams is not None:
                self._close_streams()
            self._readers.give(link)

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        # A session that nobody closed must not cost the pool a connection.
        if self._link is not None:
            self.close()


class SqliteSnapshot(Session):
    """Reads of one committed state, up to an age. Another thread may end it, so each call holds a lock."""

    __slots__ = ("_expired", "_link", "_lock", "_readers", "_watch", "deadline", "pinned")

    def __init__(self, readers: Readers, statements: Statements, watch: Watch) -> None:
        self._link: Link | None = None
        self._readers = readers
        self._watch = watch
        self._lock = threading.RLock()
        self._expired = False
        #: a backup is being taken from it: it may take its time
        self.pinned = False
        self._streams = None
        self.statements = statements
        link = self._link = readers.borrow()
        self._connection = link.connection
        self._execute = link.execute
        self.deadline = watch.clock() + watch.age
        try:
            link.execute("BEGIN")
            # A deferred transaction sees the state of its first read, so the first read is now.
            link.execute("SELECT 1 FROM sqlite_schema LIMIT 1").fetchall()
        except DRIVER_ERRORS as error:
            self.close()
            raise translated(error) from error
        watch.add(self)

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
            except Busy:
                if not self._expired:
                    raise
                # The watch stopped the statement.
                self._finish()
                raise self._expired_error() from None

    def _check(self) -> Link:
        if not self._expired and self._watch.clock() >= self.deadline and not self.pinned:
            self._expired = True
        if self._expired:
            self._finish()
            raise self._expired_error()
        if self._link is None:
            raise ended_error()
        return self._link

    def _expired_error(self) -> Busy:
        return Busy(
            f"the snapshot grew older than {self._watch.age:g} seconds and was ended, so that the log can be truncated",
            hint="take another snapshot and read less from it, or raise the option snapshot_seconds",
        )

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> sqlite3.Cursor:
        with self._lock:
            self._check()
            return super()._open_stream(text, parameters)

    def _next(self, cursor: sqlite3.Cursor, rows: int) -> list[Row]:
        with self._lock:
            self._check()
            return super()._next(cursor, rows)

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
        self._connection.interrupt()
        return False  # the interrupt may have come between two statements: ask again

    def source(self) -> tuple[sqlite3.Connection, AbstractContextManager[object]]:
        """The connection inside its read transaction, for a backup, with the lock to hold meanwhile."""
        return self._check().connection, self._lock

    def _finish(self) -> None:
        link = self._link
        if link is None:
            return
        self._link = None
        self._execute = ended
        self._close_streams()
        try:
            if link.connection.in_transaction:
                link.execute("ROLLBACK")
        except sqlite3.Error:
            self._readers.discard(link)
        else:
            self._readers.give(link)

    def close(self) -> None:
        self._watch.remove(self)
        with self._lock:
            self._finish()

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if self._link is not None:
            self.close()
