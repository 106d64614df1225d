"""Sessions: reads and snapshots on a cursor of their own, and the one transaction that writes."""

# ruff: noqa: S608 - every name is quoted, and every value a parameter
from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

import duckdb

from iotstore.backend import (
    AddColumn,
    Aggregate,
    And,
    Busy,
    Column,
    Conflict,
    CreateIndex,
    CreateLayout,
    DropColumn,
    DropLayout,
    Filter,
    Index,
    InvalidValue,
    Key,
    Layout,
    Merge,
    NotAllowed,
    OnConflict,
    Operation,
    Order,
    Overflow,
    ReadSession,
    RenameColumn,
    RenameLayout,
    Row,
    Select,
    Touched,
    Upserted,
    Value,
    WriteSession,
)
from iotstore_duckdb._sql import (
    HOLDS,
    TYPES,
    after,
    aggregate_text,
    arrays,
    names,
    order_text,
    quoted,
    translated,
    unnested,
    where_text,
)

if TYPE_CHECKING:
    from iotstore_duckdb.store import DuckdbBackend

PRIVATE: Final = frozenset({"iotstore_format", "iotstore_counters"})


class DuckdbRead(ReadSession):
    """Reads in autocommit, or with *age* in one transaction that ends by itself when it is so many seconds old."""

    def __init__(self, backend: DuckdbBackend, cursor: duckdb.DuckDBPyConnection, age: float | None = None) -> None:
        self._ended = False
        self._backend = backend
        self._cursor = cursor
        self._deadline = None if age is None else time.monotonic() + age
        if age is not None:
            self.rows("BEGIN")
            # DuckDB takes the state of a transaction's first read, so the first read is now.
            self.rows("SELECT count(*) FROM iotstore_format")

    def rows(self, text: str, values: Sequence[Value] = ()) -> list[Row]:
        """Run a statement and return its rows; every error of the driver is translated here."""
        if self._ended:
            raise NotAllowed("this session has ended", hint="begin another one")
        if self._backend.closed:
            self.close()
            raise NotAllowed("the store is closed", hint="open it again")
        if self._deadline is not None and time.monotonic() > self._deadline:
            self.close()
            raise Busy("the snapshot grew too old and was ended", hint="take another one, or raise snapshot_seconds")
        try:
            return self._cursor.execute(text, list(values)).fetchall()
        except duckdb.Error as error:
            raise translated(error) from error

    def get(self, layout: Layout, key: Key) -> Row | None:
        return self.get_many(layout, [key])[0]

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:  # noqa: ARG002 - there is one writer: nobody else deletes
        if not keys:
            return []
        text = f"SELECT {names([*layout.position])} FROM {quoted(layout.name)} WHERE "
        if len(keys) == 1:
            found = self.rows(text + " AND ".join(f"{quoted(name)} = ?" for name in layout.key), keys[0])
        else:
            text += f"({names(layout.key)}) IN (SELECT {unnested(layout, layout.key)})"
            found = self.rows(text, arrays(list(dict.fromkeys(keys))))
        by_key = {layout.key_of(row): row for row in found}
        return [by_key.get(tuple(key)) for key in keys]

    def select(self, layout: Layout, query: Select) -> list[Row]:
        values: list[Value] = []
        text = f"SELECT {names([*layout.position])} FROM {quoted(layout.name)}"
        text += f" WHERE {where_text(layout, query.where, values)}"
        text += order_text([(quoted(name), descending) for name, descending in query.order])
        return self.rows(text if query.limit is None else f"{text} LIMIT {query.limit:d}", values)

    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        # Page by page: another statement of this session would end a result that is half read.
        order = (*query.order, *(Order(name) for name in layout.key if name not in {o.column for o in query.order}))
        where, left = query.where, query.limit
        while left is None or left > 0:
            size = rows if left is None else min(rows, left)
            page = self.select(layout, Select(where, order, size))
            if page:
                yield page
            if len(page) < size:
                return
            where = And((query.where, after(order, layout, page[-1])))
            left = None if left is None else left - size

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        return self.rows(*aggregate_text(layout, query))

    def layouts(self) -> frozenset[str]:
        return frozenset(row[0] for row in self.rows("SELECT table_name FROM duckdb_tables()")) - PRIVATE

    def counters(self) -> Mapping[str, int]:
        return dict(self.rows("SELECT name, next FROM iotstore_counters"))

    def close(self) -> None:
        if not self._ended:
            self._ended = True
            self._cursor.close()  # ends its transaction, if it has one


class DuckdbWrite(DuckdbRead, WriteSession):
    """One transaction. Its thread is the only one that writes, so what it read is still true when it writes.

    DuckDB aborts a transaction at the first error and has no savepoints: everything that can be refused is looked up
    before a statement is sent that would fail.
    """

    def __init__(
        self, backend: DuckdbBackend, cursor: duckdb.DuckDBPyConnection, give_turn: Callable[[], None]
    ) -> None:
        self._give_turn = give_turn
        super().__init__(backend, cursor)
        self.rows("BEGIN")

    def insert(self, layout: Layout, row: Row) -> None:
        self.insert_many(layout, [row], OnConflict.ERROR)

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        found = self.get_many(layout, [layout.key_of(row) for row in rows])
        there = [place for place, row in enumerate(found) if row is not None]
        if there and conflict is OnConflict.ERROR:
            raise Conflict(f"{len(there)} records of {layout.name} with these keys exist already")
        self._store(layout, [row for row, old in zip(rows, found, strict=True) if old is None])
        return there

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        found = self.get_many(layout, [layout.key_of(row) for row in rows])
        stored = [row if old is None else _merged(layout, old, row) for row, old in zip(rows, found, strict=True)]
        self._store(layout, stored)
        return [Upserted(row, old is None) for row, old in zip(stored, found, strict=True)]

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        if any(name in changes for index in layout.indexes if index.unique for name in index.columns):
            matching = self.select(layout, Select(where))
            self._check_unique(layout, [_changed(layout, row, changes) for row in matching])
        values = list(changes.values())
        sets = [f"{quoted(name)} = ?::{TYPES[layout.column(name).type]}" for name in changes]
        if layout.version is not None:
            sets.append(f"{quoted(layout.version)} = {quoted(layout.version)} + 1")
        if not sets:
            return [Touched(layout.key_of(row), 0) for row in self.select(layout, Select(where))]
        text = f"UPDATE {quoted(layout.name)} SET {', '.join(sets)} WHERE {where_text(layout, where, values)}"
        return self._touched(layout, text, values)

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        values: list[Value] = []
        text = f"DELETE FROM {quoted(layout.name)} WHERE {where_text(layout, where, values)}"
        return self._touched(layout, text, values)

    def reserve(self, counter: str, count: int) -> int:
        first = self.counters().get(counter, 1)
        if first + count > 2**63 - 1:
            raise Overflow(f"counter {counter} has no {count} numbers left")
        self.rows("INSERT OR REPLACE INTO iotstore_counters VALUES (?, ?)", [counter, first + count])
        return first

    def apply(self, operations: Sequence[Operation]) -> None:
        for operation in operations:
            match operation:
                case CreateLayout(layout):
                    # Key columns first: DuckDB drops no column that lies before an indexed one.
                    columns = sorted(layout.columns, key=lambda column: column.name not in layout.key)
                    parts = ", ".join(_declared(column) for column in columns)
                    self.rows(f"CREATE TABLE {quoted(layout.name)} ({parts}, PRIMARY KEY ({names(layout.key)}))")
                case DropLayout(name):
                    self.rows(f"DROP TABLE {quoted(name)}")
                case RenameLayout(old, new):
                    self.rows(f"ALTER TABLE {quoted(old)} RENAME TO {quoted(new)}")
                case AddColumn(name, column):
                    self._add_column(name, column)
                case DropColumn(name, column_name):
                    self.rows(f"ALTER TABLE {quoted(name)} DROP COLUMN {quoted(column_name)}")
                case RenameColumn(name, old, new):
                    self.rows(f"ALTER TABLE {quoted(name)} RENAME COLUMN {quoted(old)} TO {quoted(new)}")
                case CreateIndex(name, index) if index.unique:
                    self._check_stored(name, index)
                case _:
                    # Lengths, nullability and references are kept by the core. Indexes are none here: a column is read
                    # faster than an index is kept, and unique rules are looked up by the only writer.
                    pass

    def savepoint(self) -> None:
        self._backend.refuse_savepoints()

    def release(self) -> None:
        self._backend.refuse_savepoints()

    def undo(self) -> None:
        self._backend.refuse_savepoints()

    def commit(self) -> None:
        try:
            self.rows("COMMIT")
        finally:
            self.close()

    def rollback(self) -> None:
        self.close()

    def close(self) -> None:
        if not self._ended:
            try:
                super().close()
            finally:
                self._give_turn()

    def __del__(self) -> None:
        # A transaction that nobody ended must not keep the lock.
        self.close()

    def _store(self, layout: Layout, rows: Sequence[Row]) -> None:
        if not rows:
            return
        self._check_unique(layout, rows)
        columns = [*layout.position]
        text = f"INSERT OR REPLACE INTO {quoted(layout.name)} ({names(columns)}) SELECT {unnested(layout, columns)}"
        self.rows(text, arrays(rows))

    def _touched(self, layout: Layout, text: str, values: Sequence[Value]) -> list[Touched]:
        version = "0" if layout.version is None else quoted(layout.version)
        found = self.rows(f"{text} RETURNING {names(layout.key)}, {version}", values)
        return [Touched(row[:-1], row[-1]) for row in found]

    def _add_column(self, name: str, column: Column) -> None:
        self.rows(f"ALTER TABLE {quoted(name)} ADD COLUMN {_declared(column)}")
        if column.default is not None:
            holding = HOLDS.get(column.type)
            default = holding.encode(column.default) if holding and holding.encode else column.default
            self.rows(f"UPDATE {quoted(name)} SET {quoted(column.name)} = ?::{TYPES[column.type]}", [default])

    def _check_unique(self, layout: Layout, rows: Sequence[Row]) -> None:
        """Refuse rows of which one would have a unique value of another, among themselves or in the store."""
        keys = {layout.key_of(row) for row in rows}
        for columns in [index.columns for index in layout.indexes if index.unique]:
            wanted = [tuple(row[layout.position[name]] for name in columns) for row in rows]
            wanted = [value for value in wanted if None not in value]
            if not wanted:
                continue
            condition = f"({names(columns)}) IN (SELECT {unnested(layout, columns)})"
            text = f"SELECT {names(layout.key)} FROM {quoted(layout.name)} WHERE {condition}"
            if len(set(wanted)) < len(wanted) or not keys.issuperset(self.rows(text, arrays(wanted))):
                raise _not_unique(columns)

    def _check_stored(self, name: str, index: Index) -> None:
        given = " AND ".join(f"{quoted(column)} IS NOT NULL" for column in index.columns)
        text = f"SELECT 1 FROM {quoted(name)} WHERE {given} GROUP BY {names(index.columns)} HAVING count(*) > 1 LIMIT 1"
        if self.rows(text):
            raise _not_unique(index.columns)


def _not_unique(columns: Sequence[str]) -> InvalidValue:
    return InvalidValue("another record has this value already", field=", ".join(columns), hint="it must be unique")


def _declared(column: Column) -> str:
    # Without NOT NULL, which DuckDB adds to no table that has rows: the core lets no missing value through.
    return f"{quoted(column.name)} {TYPES[column.type]}"


def _changed(layout: Layout, row: Row, changes: Mapping[str, Value]) -> Row:
    return tuple(changes.get(column.name, held) for column, held in zip(layout.columns, row, strict=True))


def _merged(layout: Layout, old: Row, new: Row) -> Row:
    merged = map(_merge, layout.columns, old, new)
    return tuple(
        held + 1 if name == layout.version else value
        for name, held, value in zip(layout.position, old, merged, strict=True)
    )


def _merge(column: Column, old: Value, new: Value) -> Value:
    match column.merge:
        case Merge.REPLACE:
            return new
        case Merge.KEEP:
            return old
        case Merge.COALESCE:
            return old if new is None else new
        case Merge.MIN | Merge.MAX if old is None or new is None:
            return old if new is None else new
        case Merge.MIN:
            return min(old, new)
        case Merge.MAX:
            return max(old, new)
