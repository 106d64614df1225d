"""Statements of many rows: columns travel as arrays, so that one text serves any number of rows."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as sql

from iotstore.backend import Key, Layout, OnConflict, Row, Type, Value
from iotstore_postgres._conversions import ARRAYS
from iotstore_postgres._dialect import PostgresDialect
from iotstore_postgres._partitions import HOLD_PARTITIONS
from iotstore_sql import Parameters, Statements
from iotstore_sql.dialect import Expression


def columns_of(layout: Layout, rows: Sequence[Row]) -> list[Value]:
    """The parameters of a statement of many rows: an array for each column."""
    columns = zip(*rows, strict=True)
    return [ARRAYS[column.type](values) for column, values in zip(layout.columns, columns, strict=True)]


class PostgresStatements(Statements):
    """The toolkit's statements, and those of many rows."""

    dialect: PostgresDialect

    def __init__(self, dialect: PostgresDialect) -> None:
        super().__init__(dialect)
        #: One row; nothing happens if its key exists, and nothing else is an error then.
        self.insert_one = lru_cache(256)(self._compile_insert_one)
        #: Rows whose keys do not exist yet; returns the keys that were stored.
        self.insert_rows = lru_cache(256)(self._compile_insert_rows)
        #: Merges rows into the stored ones and returns what became of them.
        self.merge_rows = lru_cache(256)(self._compile_merge_rows)
        #: Those of the keys that exist, locked in order against every other change.
        self.lock_keys = lru_cache(256)(self._compile_lock_keys)

    def hold_partitions(self) -> str:
        """What a transaction that is to see one state runs first: no partition vanishes while it lasts."""
        return HOLD_PARTITIONS

    def unique(self, layout: Layout) -> tuple[str, ...]:
        """The columns that the server knows a record by: the key, and what else its primary key has to hold."""
        return layout.key

    def _compile_insert_one(self, layout: Layout) -> str:
        table, parameters = self.table(layout), Parameters()
        values = {column.name: parameters.take(table.c[column.name].type) for column in layout.columns}
        statement = sql.insert(table).values(values)
        key = [table.c[name] for name in self.unique(layout)]
        return self._finish(statement.on_conflict_do_nothing(index_elements=key), parameters).text

    def _given(self, layout: Layout, parameters: Parameters) -> dict[str, Expression]:
        """The columns of the rows that travel as arrays."""
        arrays = [parameters.take(sql.ARRAY(sa.Text())) for _ in layout.columns]
        names = [f"c{index}" for index in range(len(arrays))]
        rows = sa.func.unnest(*arrays).table_valued(*names, name="given").render_derived()
        return {
            column.name: sa.cast(rows.c[name], sql.ARRAY(sa.Text())) if column.type is Type.TEXTSET else rows.c[name]
            for column, name in zip(layout.columns, names, strict=True)
        }

    def _compile_insert_rows(self, layout: Layout, conflict: OnConflict | None = None) -> str:
        table, parameters = self.table(layout), Parameters()
        given = self._given(layout, parameters)
        statement: Any = sql.insert(table).from_select(list(given), sa.select(*given.values()))
        key = [table.c[name] for name in layout.key]
        statement = statement.on_conflict_do_nothing(index_elements=[table.c[name] for name in self.unique(layout)])
        if conflict is not OnConflict.ERROR:  # there the number of stored rows says all
            statement = statement.returning(*key)
        return self._finish(statement, parameters).text

    def _compile_merge_rows(self, layout: Layout) -> str:
        table, parameters = self.table(layout), Parameters()
        given = self._given(layout, parameters)
        changes = {**self._merged(table, layout, given), **self._raised(table, layout)}
        if not changes:  # nothing to change, but the rows are wanted back
            changes = {layout.key[0]: table.c[layout.key[0]]}
        key = (table.c[name] == given[name] for name in layout.key)
        statement: Any = sa.update(table).values(changes).where(*key).returning(*table.c)
        return self._finish(statement, parameters).text

    def _compile_lock_keys(self, layout: Layout) -> str:
        table, parameters = self.table(layout), Parameters()
        key = [table.c[name] for name in layout.key]
        types = [layout.column(name).type for name in layout.key]
        # Not FOR UPDATE: that would wait for everybody whose records point to these.
        statement = sa.select(*key).where(self.dialect.in_keys(key, types, parameters)).order_by(*key)
        return self._finish(statement.with_for_update(key_share=True), parameters).text


def key_parameters(layout: Layout, keys: Sequence[Key], dialect: PostgresDialect) -> list[Value]:
    """The parameters of ``lock_keys``."""
    return dialect.key_arrays(keys, [layout.column(name).type for name in layout.key])
