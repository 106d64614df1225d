"""Sessions of SQL backends: everything but the hot paths, written once above a few primitives."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from itertools import chain

from iotstore.backend import (
    Aggregate,
    Filter,
    Key,
    Layout,
    OnConflict,
    ReadSession,
    Row,
    Select,
    Touched,
    Upserted,
    Value,
    WriteSession,
)
from iotstore_sql.statements import Statements, in_chunks


class SqlReads(ReadSession):
    """A read session above ``rows``."""

    statements: Statements

    @abstractmethod
    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        """Run a statement and return its rows; the driver's errors are translated here."""

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        """One statement for all keys."""
        if not keys:
            return []
        prepared = self.statements.many(layout, hold)
        found = self.rows(prepared.text, prepared.bind(self._arrays(layout, keys)))
        by_key = {layout.key_of(row): row for row in found}
        return [by_key.get(tuple(key)) for key in keys]

    def _arrays(self, layout: Layout, keys: Sequence[Key]) -> list[Value]:
        types = [layout.column(name).type for name in layout.key]
        return self.statements.dialect.key_arrays(list(dict.fromkeys(keys)), types)

    def select(self, layout: Layout, query: Select) -> list[Row]:
        """One statement, compiled once per shape."""
        return self.rows(*self.statements.select(layout, query))

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        """One statement, compiled once per shape."""
        return self.rows(*self.statements.aggregate(layout, query))


class SqlWrites(SqlReads, WriteSession):
    """A transaction above ``rows``, ``change`` and ``all_or_nothing``."""

    @abstractmethod
    def change(self, text: str, parameters: Sequence[Value], layout: Layout) -> int:
        """Run a statement and return how many rows it changed; errors are told in the words of *layout*."""

    @abstractmethod
    def changed(self, text: str, parameters: Sequence[Value], layout: Layout) -> list[Row]:
        """Run a statement that changes rows and return what it returns."""

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        """One statement that returns what it touched."""
        if not changes and layout.version is None:
            found = self.select(layout, Select(where))
            return [Touched(layout.key_of(row), 0) for row in found]
        text, parameters = self.statements.update(layout, where, changes)
        return [Touched(row[:-1], row[-1]) for row in self.changed(text, parameters, layout)]

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        """One statement that returns what it touched."""
        text, parameters = self.statements.delete(layout, where)
        return [Touched(row[:-1], row[-1]) for row in self.changed(text, parameters, layout)]

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        """Multi-row statements inside a savepoint."""
        # One statement is atomic; several need a savepoint so that a refused call stores nothing.
        if len(rows) == 1 and conflict is OnConflict.ERROR:
            self.insert(layout, rows[0])
            return []
        self.savepoint()
        try:
            stored = self._insert_chunks(layout, rows, conflict)
            if stored == len(rows):
                missing = []
            elif stored == 0:
                missing = list(range(len(rows)))
            else:
                missing = self._insert_around(layout, rows)
        except BaseException:
            self.undo()
            raise
        self.release()
        return missing

    def _insert_chunks(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> int:
        stored = 0
        for start, stop in in_chunks(len(rows), self.statements.rows_per_statement(layout)):
            text = self.statements.insert(layout, conflict, stop - start)
            stored += self.change(text, list(chain.from_iterable(rows[start:stop])), layout)
        return stored

    def _insert_around(self, layout: Layout, rows: Sequence[Row]) -> list[int]:
        """Some keys exist. Take the insert back, ask which, insert the others: without duplicates nothing is paid."""
        self.undo()
        self.savepoint()
        existing = self.existing(layout, [layout.key_of(row) for row in rows])
        fresh = [row for row in rows if layout.key_of(row) not in existing]
        self._insert_chunks(layout, fresh, OnConflict.ERROR)
        return [index for index, row in enumerate(rows) if layout.key_of(row) in existing]

    def existing(self, layout: Layout, keys: Sequence[Key]) -> set[Key]:
        """Those of the keys that are stored."""
        prepared = self.statements.many(layout, hold=False, keys_only=True)
        return set(self.rows(prepared.text, prepared.bind(self._arrays(layout, keys))))

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        """Exact while nobody else writes: an engine with many writers overrides it."""
        if not rows:
            return []
        if len(rows) == 1:
            return [self._upsert_one(layout, rows[0])]
        keys = [layout.key_of(row) for row in rows]
        existing = self.existing(layout, keys)
        by_key: dict[Key, Row] = {}
        self.savepoint()
        try:
            for start, stop in in_chunks(len(rows), self.statements.rows_per_statement(layout)):
                text = self.statements.insert(layout, None, stop - start)
                # RETURNING promises no order, so rows are found again by their key.
                for stored in self.changed(text, list(chain.from_iterable(rows[start:stop])), layout):
                    by_key[layout.key_of(stored)] = stored
        except BaseException:
            self.undo()
            raise
        self.release()
        return [Upserted(by_key[key], key not in existing) for key in keys]

    def _upsert_one(self, layout: Layout, row: Row) -> Upserted:
        # Merged where it is, or inserted: two small statements at most, and which of them stored it is known exactly.
        text, parameters = self.statements.merge(layout, row)
        merged = self.changed(text, parameters, layout)
        if merged:
            return Upserted(merged[0], inserted=False)
        self.insert(layout, row)
        return Upserted(row, inserted=True)
