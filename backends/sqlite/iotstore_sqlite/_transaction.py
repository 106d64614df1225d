"""The one transaction that writes."""

from __future__ import annotations

import sqlite3
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Never

from iotstore.backend import EngineError, Layout, NotAllowed, OnConflict, Operation, Overflow, Row, StoreError, Value
from iotstore_sql import SqlWrites
from iotstore_sqlite._errors import DRIVER_ERRORS, ended_error, translated
from iotstore_sqlite._points import PointWrites
from iotstore_sqlite._sessions import Session, ended
from iotstore_sqlite._writer import Writer

if TYPE_CHECKING:
    from iotstore_sql import Statements


def _undone(*_: object) -> Never:
    raise EngineError(
        "the engine rolled this transaction back after the error before", hint="end it and begin another one"
    )


class SqliteWrite(PointWrites, Session, SqlWrites):
    """The transaction of the writing connection."""

    __slots__ = ("_depth", "_writer")

    def __init__(self, writer: Writer, statements: Statements) -> None:
        self._execute = ended
        self._writer = writer
        self._streams = None
        self._depth = 0
        self.statements = statements
        self._connection = writer.begin()
        self._execute = writer.execute
        writer.session = weakref.ref(self)

    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        try:
            found: list[Row] = self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as error:
            raise self._failed(error, None) from error
        return found

    def change(self, text: str, parameters: Sequence[Value], layout: Layout | None) -> int:
        try:
            count: int = self._execute(text, parameters).rowcount
        except DRIVER_ERRORS as error:
            raise self._failed(error, layout) from error
        return count

    def changed(self, text: str, parameters: Sequence[Value], layout: Layout) -> list[Row]:
        try:
            found: list[Row] = self._execute(text, parameters).fetchall()
        except DRIVER_ERRORS as error:
            raise self._failed(error, layout) from error
        return found

    def _failed(self, error: sqlite3.Error | UnicodeDecodeError, layout: Layout | None) -> StoreError:
        try:
            gone = not self._connection.in_transaction
        except sqlite3.ProgrammingError:  # the connection itself is gone
            gone = True
        if gone:
            # SQLite rolls back by itself when the disk is full or broken. Whoever goes on after that error would
            # write outside of any transaction.
            self._close_streams()
            self._execute = _undone
        return translated(error, None if layout is None else layout.name)

    def insert(self, layout: Layout, row: Row) -> None:
        try:
            self._execute(self.statements.insert(layout, OnConflict.ERROR, 1), row)
        except DRIVER_ERRORS as error:
            raise self._failed(error, layout) from error

    def reserve(self, counter: str, count: int) -> int:
        try:
            found = self._execute(
                "INSERT INTO iotstore_counters (name, next) VALUES (?, 1 + ?)"
                " ON CONFLICT (name) DO UPDATE SET next = next + ? RETURNING next - ?",
                (counter, count, count, count),
            ).fetchall()
        except sqlite3.IntegrityError as error:
            # Beyond 64 bits SQLite goes on in floating point, which a STRICT table refuses.
            raise Overflow(f"counter {counter} has no {count} numbers left") from error
        except DRIVER_ERRORS as error:
            raise translated(error) from error
        first: int = found[0][0]
        return first

    def apply(self, operations: Sequence[Operation]) -> None:
        # Lazy: Alembic costs a tenth of a second, and a store whose schema is as declared never needs it.
        from iotstore_sqlite._schema import SqliteSchemaChanges  # noqa: PLC0415

        self._close_streams()
        SqliteSchemaChanges(self.statements.dialect, lambda text: self.rows(text, ())).apply(operations)

    def savepoint(self) -> None:
        self.rows(f"SAVEPOINT s{self._depth}", ())
        self._depth += 1

    def release(self) -> None:
        self.rows(f"RELEASE s{self._innermost()}", ())
        self._depth -= 1

    def undo(self) -> None:
        if self._execute is _undone:  # everything is undone already, this part too
            return
        name = f"s{self._innermost()}"
        # Streams that began inside see rows that are undone.
        self._close_streams()
        self.rows(f"ROLLBACK TO {name}", ())
        self.rows(f"RELEASE {name}", ())
        self._depth -= 1

    def _innermost(self) -> int:
        if self._execute is ended:
            raise ended_error()
        if self._depth == 0:
            raise NotAllowed("there is no savepoint to end")
        return self._depth - 1

    def commit(self) -> None:
        if self._execute is ended:
            raise ended_error()
        if self._execute is _undone:
            self.rollback()
            _undone()
        self._execute = ended
        self._close_streams()
        self._writer.commit()

    def rollback(self) -> None:
        if self._execute is ended:
            return
        self._execute = ended
        self._close_streams()
        self._writer.end()

    def __del__(self) -> None:
        # A transaction that nobody ended must not keep the lock for ever.
        self.rollback()
