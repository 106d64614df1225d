"""The transactions that write: as many at a time as there are connections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import psycopg

from iotstore.backend import (
    Busy,
    Conflict,
    EngineError,
    Key,
    Layout,
    NotAllowed,
    OnConflict,
    Operation,
    Overflow,
    Row,
    StoreError,
    Upserted,
    Value,
)
from iotstore_postgres._appending import PointWrites
from iotstore_postgres._copying import COPIED, Copying, copying
from iotstore_postgres._errors import DRIVER_ERRORS, ended_error, translated, translating
from iotstore_postgres._partitions import Partitions, sqlstate
from iotstore_postgres._pool import Pool
from iotstore_postgres._sessions import Session, ended
from iotstore_postgres._statements import PostgresStatements, columns_of, key_parameters
from iotstore_sql import SqlWrites

if TYPE_CHECKING:
    from iotstore_sql.schema import SchemaChanges

_HIGHEST: Final = 2**63 - 1
_RESERVE: Final = (
    "INSERT INTO iotstore_counters AS c (name, next) VALUES ($1, 1 + $2)"  # noqa: S608 - a constant
    f" ON CONFLICT (name) DO UPDATE SET next = c.next + $2 WHERE c.next <= {_HIGHEST} - $2 RETURNING c.next - $2"
)
# How often an upsert looks again when rivals insert and delete the same keys between its two statements.
_ROUNDS: Final = 20


class PostgresWrite(PointWrites, Session, SqlWrites):
    """One transaction, READ COMMITTED: each statement sees what was committed before it, and locks what it changes."""

    def __init__(self, pool: Pool, statements: PostgresStatements, partitions: Partitions) -> None:
        self._link = None
        self._pool = pool
        self.partitions = partitions
        #: how many savepoints there are, and how many of them the server was told of
        self._depth = self._told = 0
        self._take(pool.begin("BEGIN"), statements)

    # ------------------------------------------------------------------ statements

    def change(self, text: str, parameters: Sequence[Value], layout: Layout | None) -> int:
        try:
            return self._execute(text, parameters).rowcount
        except DRIVER_ERRORS as error:
            raise translated(error, None if layout is None else layout.name) from error

    def changed(self, text: str, parameters: Sequence[Value], layout: Layout) -> list[Row]:
        try:
            return self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as error:
            raise translated(error, layout.name) from error

    def copy_in(self, statement: str, data: bytes) -> int:
        """Send *data* to ``COPY ... FROM STDIN``; returns how many rows it stored."""
        self._ready()
        try:
            with self._connection.cursor() as cursor:
                with cursor.copy(statement.encode()) as copy:
                    copy.write(data)
                return cursor.rowcount
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    def _copy_rows(self, how: Copying, rows: Sequence[Row], layout: Layout) -> None:
        self._ready()
        try:
            with self._connection.cursor() as cursor, cursor.copy(how.statement.encode()) as copy:
                copy.set_types(how.types)
                write = copy.write_row
                for row in rows:
                    write(row)
        except DRIVER_ERRORS as error:
            raise translated(error, layout.name) from error

    # ------------------------------------------------------------------ records

    def insert(self, layout: Layout, row: Row) -> None:
        if any(index.unique for index in layout.indexes):
            self._insert_guarded(layout, row)
        elif not self.change(self._texts.insert_one(layout), row, layout):
            raise self._exists(layout)

    def _insert_guarded(self, layout: Layout, row: Row) -> None:
        # Another unique rule can only be violated by an error, and an error ends the transaction or a savepoint.
        self.savepoint()
        try:
            stored = self.change(self._texts.insert_one(layout), row, layout)
        except BaseException:
            self.undo()
            raise
        self.release()
        if not stored:
            raise self._exists(layout)

    @staticmethod
    def _exists(layout: Layout) -> Conflict:
        return Conflict(f"a record of {layout.name} with this key exists already")

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        """One statement in the order of the keys: of two writers with overlapping batches one waits, never both."""
        if not rows:
            return []
        if len(rows) == 1 and conflict is OnConflict.ERROR:
            self.insert(layout, rows[0])
            return []
        ordered = sorted(rows, key=itemgetter(*layout.key_positions))
        if len(rows) >= COPIED and self._copied(layout, ordered, conflict):
            return []
        parameters = columns_of(layout, ordered)
        if conflict is OnConflict.KEEP and not any(index.unique for index in layout.indexes):
            return self._insert_rows(layout, rows, parameters, conflict)
        self.savepoint()
        try:
            missing = self._insert_rows(layout, rows, parameters, conflict)
        except BaseException:
            self.undo()
            raise
        self.release()
        return missing

    def _copied(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> bool:
        """Copy rows of which none is expected to be there; whether that was so."""
        how, duplicates = copying(layout, self._texts), self.partitions.duplicates_in(layout.name)
        if how is None or (conflict is OnConflict.KEEP and duplicates.expected):
            return False
        self.savepoint()
        try:
            self._copy_rows(how, rows, layout)
        except StoreError as error:
            self.undo()
            if sqlstate(error) != "23505":
                raise
            if conflict is OnConflict.ERROR:
                raise self._exists(layout) from error
            duplicates.met()
            return False
        except BaseException:
            self.undo()
            raise
        self.release()
        return True

    def _insert_rows(
        self, layout: Layout, rows: Sequence[Row], parameters: list[Value], conflict: OnConflict
    ) -> list[int]:
        text = self._texts.insert_rows(layout, conflict)
        if conflict is OnConflict.ERROR:
            if self.change(text, parameters, layout) < len(rows):
                raise self._exists(layout)
            return []
        stored = self.changed(text, parameters, layout)
        if len(rows) >= COPIED:
            self.partitions.duplicates_in(layout.name).found(some=len(stored) < len(rows))
        if len(stored) == len(rows):
            return []
        keys = set(stored)
        return [index for index, row in enumerate(rows) if layout.key_of(row) not in keys]

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        """Insert what is new and merge the rest; who deletes between the two is met by beginning again."""
        if not rows:
            return []
        if len(rows) == 1 and not any(index.unique for index in layout.indexes):
            return [self._upsert_single(layout, rows[0])]
        by_key = {layout.key_of(row): row for row in sorted(rows, key=layout.key_of)}
        for _ in range(_ROUNDS):
            # In a part of its own: beginning again gives its locks back, so that rivals don't wait for each other.
            self.savepoint()
            try:
                stored = self._insert_or_merge(layout, by_key)
            except BaseException:
                self.undo()
                raise
            if stored is not None:
                self.release()
                return [stored[layout.key_of(row)] for row in rows]
            self.undo()
        raise self._raced(layout)

    def _insert_or_merge(self, layout: Layout, by_key: Mapping[Key, Row]) -> dict[Key, Upserted] | None:
        """What each became; None if somebody deleted one in between.

        All writers insert first, in order, and lock afterwards, in order: who waits in one of the two holds nothing
        that somebody ahead of it could wait for.
        """
        text, parameters = self._texts.insert_rows(layout), columns_of(layout, list(by_key.values()))
        stored = {key: Upserted(by_key[key], inserted=True) for key in self.changed(text, parameters, layout)}
        return self._merge_others(layout, by_key, stored)

    def _merge_others(
        self, layout: Layout, by_key: Mapping[Key, Row], stored: dict[Key, Upserted]
    ) -> dict[Key, Upserted] | None:
        """Merge those that were not inserted, and add them to *stored*; None if one of them is gone."""
        there = [key for key in by_key if key not in stored]
        if there:
            keys = key_parameters(layout, there, self._texts.dialect)
            if len(self.changed(self._texts.lock_keys(layout), keys, layout)) < len(there):
                return None
            parameters = columns_of(layout, [by_key[key] for key in there])
            for row in self.changed(self._texts.merge_rows(layout), parameters, layout):
                stored[layout.key_of(row)] = Upserted(row, inserted=False)
        return stored

    def _upsert_single(self, layout: Layout, row: Row) -> Upserted:
        text, parameters = self.statements.merge(layout, row)
        for _ in range(_ROUNDS):
            merged = self.changed(text, parameters, layout)
            if merged:
                return Upserted(merged[0], inserted=False)
            if self.change(self._texts.insert_one(layout), row, layout):
                return Upserted(row, inserted=True)
        raise self._raced(layout)

    @staticmethod
    def _raced(layout: Layout) -> Busy:
        return Busy(f"others kept inserting and deleting the same keys of {layout.name}", hint="retry the transaction")

    def reserve(self, counter: str, count: int) -> int:
        """The counter's row stays locked until the transaction ends: a rollback gives its numbers back."""
        found = self.rows(_RESERVE, (counter, count)) if count < _HIGHEST else []
        if not found:
            raise Overflow(f"counter {counter} has no {count} numbers left")
        first: int = found[0][0]
        return first

    def apply(self, operations: Sequence[Operation]) -> None:
        """Apply them in order; from the first call on, an empty one too, no other process changes the schema."""
        # Lazy: Alembic costs a tenth of a second, and a store whose schema is as declared never needs it.
        from iotstore_postgres._schema import hold_schema  # noqa: PLC0415

        hold_schema(self.rows)
        if operations and self._link is not None:
            self._close_streams()
            with translating():
                self._link.take_time()  # an index over millions of rows takes longer than any other statement may
            self.schema_changes().apply(operations)

    def schema_changes(self) -> SchemaChanges:
        """What applies operations in this transaction."""
        from iotstore_postgres._schema import PostgresSchemaChanges  # noqa: PLC0415 - Alembic, once more

        return PostgresSchemaChanges(self._texts.dialect, self._run)

    def _run(self, text: str) -> list[Row]:
        try:
            cursor = self._execute(text, ())
            return cursor.fetchall() if cursor.description is not None else []
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    # ------------------------------------------------------------------ parts

    def savepoint(self) -> None:
        """Start a part. The server is told of it with the next statement: many parts never have one."""
        if self._link is None:
            raise ended_error()
        self._depth += 1
        self._execute = self._execute_in_part

    def _execute_in_part(self, text: str, parameters: Sequence[Value]) -> psycopg.RawCursor[object]:
        self._ready()
        return self._execute(text, parameters)

    def _ready(self) -> None:
        link = self._link
        if link is None:
            raise ended_error()
        self._execute = link.execute
        while self._told < self._depth:
            self.rows_of_nothing(f"SAVEPOINT s{self._told}")
            self._told += 1

    def release(self) -> None:
        told = self._end_part()
        streams = self._streams
        for name, depth in (streams or {}).items():
            if streams is not None and depth > self._depth:
                streams[name] = self._depth
        if told:
            self.rows_of_nothing(f"RELEASE s{self._depth}")

    def undo(self) -> None:
        if self._end_part():
            # Streams that began inside end with it; those from before go on.
            self._streams = {name: depth for name, depth in (self._streams or {}).items() if depth <= self._depth}
            self.rows_of_nothing(f"ROLLBACK TO s{self._depth}")
            self.rows_of_nothing(f"RELEASE s{self._depth}")

    def _end_part(self) -> bool:
        """Forget the innermost savepoint; whether the server has to be told."""
        link = self._link
        if link is None:
            raise ended_error()
        if self._depth == 0:
            raise NotAllowed("there is no savepoint to end")
        self._depth -= 1
        if self._told <= self._depth:
            if self._told == self._depth:
                self._execute = link.execute
            return False
        self._told = self._depth
        return True

    # ------------------------------------------------------------------ the end

    def commit(self) -> None:
        link = self._link
        if link is None:
            raise ended_error()
        execute, replication = link.execute, link.connection.replication
        self._end()
        try:
            status = execute("COMMIT", ()).statusmessage
        except DRIVER_ERRORS as error:
            raise self._commit_failed(error, lost=link.lost) from error
        finally:
            self._pool.give(link)
        if status != "COMMIT":
            # PostgreSQL answers a COMMIT of a failed transaction with a rollback, and without an error.
            raise EngineError(
                "a call inside this transaction failed, so nothing of it was stored", hint="begin another one"
            )
        if replication.stopped:
            replication.stopped = False
            raise EngineError(
                "the server was told not to wait for its replicas: nobody here knows whether they have the transaction",
                hint="it is stored, and lost if the server is lost before the replicas follow",
            )

    @staticmethod
    def _commit_failed(error: Exception, *, lost: bool) -> StoreError:
        if not lost:
            return translated(error)
        return EngineError(
            "the connection was lost while the transaction was committed: nobody here knows whether it is stored",
            hint="look whether it is there before you repeat it, or give batches an idempotency_key",
        )

    def rollback(self) -> None:
        link = self._link
        if link is not None:
            self._end()
            self._pool.give(link)

    def _end(self) -> None:
        self._link = None
        self._execute = ended
        self._streams = None
        self._depth = self._told = 0

    def _close_streams(self) -> None:
        for name in sorted(self._streams or ()):
            self._close_stream(name)

    def __del__(self) -> None:
        # A transaction that nobody ended must not keep its locks for ever.
        self.rollback()
