"""Texts of statements: compiled by SQLAlchemy once per shape, cached, and bound to values without it."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

import sqlalchemy as sa

from iotstore.backend import (
    Aggregate,
    Bucketed,
    Buckets,
    Filter,
    Layout,
    Measure,
    Merge,
    OnConflict,
    Order,
    Row,
    Select,
    Value,
    shape,
)
from iotstore_sql.clauses import bucket_clauses, bucket_shape, bucket_values, where_clause
from iotstore_sql.dialect import Dialect, Expression, Parameters
from iotstore_sql.tables import sql_table

#: Rows of one multi-row statement: measured, more gain little and cost memory per prepared statement.
ROWS_PER_STATEMENT = 500


class Prepared(NamedTuple):
    """A statement's text, and how the values in the order of its shape become the driver's parameters."""

    text: str
    order: tuple[int, ...] | None  # which value stands at which placeholder; None: as they come
    conversions: tuple[tuple[int, Callable[[Any], Value]], ...]
    constants: tuple[Value, ...]  # values that SQLAlchemy put in, numbered after those of the caller

    def bind(self, values: list[Value]) -> list[Value]:
        """The driver's parameters. *values* is used up."""
        for index, convert in self.conversions:
            values[index] = convert(values[index])
        if self.order is None:
            return values
        values += self.constants
        return [values[index] for index in self.order]


class _Texts(dict[Layout, str]):
    """The text of one hot statement per layout: a dict lookup, and a compilation the first time."""

    def __init__(self, compile_text: Callable[[Layout], str]) -> None:
        super().__init__()
        self._compile = compile_text

    def __missing__(self, layout: Layout) -> str:
        text = self[layout] = self._compile(layout)
        return text


def _closing(text: str) -> int:
    """Where the parenthesis that *text* begins with is closed: types in casts have parentheses of their own."""
    depth = 0
    for index, character in enumerate(text):
        depth += (character == "(") - (character == ")")
        if depth == 0:
            return index + 1
    raise ValueError("unbalanced parentheses")


def in_chunks(count: int, most: int) -> Iterator[tuple[int, int]]:
    """Cut *count* rows into (start, stop): full chunks, then powers of two, so that few texts serve every count."""
    start = 0
    while count - start >= most:
        yield start, start + most
        start += most
    while start < count:
        size = 1 << ((count - start).bit_length() - 1)
        yield start, start + size
        start += size


class Statements:
    """The statements of one dialect. Used by all sessions and threads of a backend."""

    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        #: layout -> text of a read by key; its parameters are the key
        self.get: Mapping[Layout, str] = _Texts(self._compile_get)
        self._tables: dict[Layout, sa.Table] = {}
        # Bounded: shapes come from filters, and filters may come from anybody's search form.
        self._select = lru_cache(1024)(self._compile_select)
        self._aggregate = lru_cache(256)(self._compile_aggregate)
        self._change = lru_cache(512)(self._compile_change)
        self._merge = lru_cache(512)(self._compile_merge)
        self._row = lru_cache(256)(self._compile_row)
        self.many = lru_cache(256)(self._compile_many)
        self.insert = lru_cache(128)(self._repeat_row)

    def select(self, layout: Layout, query: Select) -> tuple[str, list[Value]]:
        """Text and parameters of a selection."""
        values: list[Value] = []
        wanted = shape(query.where, values)
        if query.limit is not None:
            values.append(query.limit)
        prepared = self._select(layout, wanted, query.order, query.limit is not None)
        return prepared.text, prepared.bind(values)

    def aggregate(self, layout: Layout, query: Aggregate) -> tuple[str, list[Value]]:
        """Text and parameters of an aggregate."""
        values: list[Value] = []
        groups: list[str | tuple[str, tuple[int, bool] | Buckets]] = []
        for group in query.groups:
            if isinstance(group, Bucketed):
                values += bucket_values(group.buckets)
                groups.append((group.column, bucket_shape(group.buckets)))
            else:
                groups.append(group)
        wanted = shape(query.where, values)
        if query.limit is not None:
            values.append(query.limit)
        prepared = self._aggregate(
            layout, tuple(groups), tuple(query.measures), wanted, tuple(query.order), query.limit is not None
        )
        return prepared.text, prepared.bind(values)

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> tuple[str, list[Value]]:
        """Text and parameters of an update that returns key and version of what it touched."""
        values = list(changes.values())
        prepared = self._change(layout, tuple(changes), shape(where, values))
        return prepared.text, prepared.bind(values)

    def delete(self, layout: Layout, where: Filter) -> tuple[str, list[Value]]:
        """Text and parameters of a deletion that returns key and version of what it touched."""
        values: list[Value] = []
        prepared = self._change(layout, None, shape(where, values))
        return prepared.text, prepared.bind(values)

    def merge(self, layout: Layout, row: Row) -> tuple[str, list[Value]]:
        """Text and parameters that merge a row into the stored one of its key, and return that."""
        # One text per pattern of missing values: a column that keeps its value is not named, so its indexes are not
        # rewritten. What a device tells of itself every minute is two columns of many.
        prepared = self._merge(layout, tuple([value is None for value in row]))
        return prepared.text, prepared.bind(list(row))

    def rows_per_statement(self, layout: Layout) -> int:
        """How many rows one multi-row statement carries."""
        return max(1, min(ROWS_PER_STATEMENT, self.dialect.max_parameters // len(layout.columns)))

    # ------------------------------------------------------------------ compilation

    def table(self, layout: Layout) -> sa.Table:
        """The table of a layout, the same object for everybody: a statement of two would name it twice."""
        # Two threads may make one at once; setdefault lets only the first one be seen.
        found = self._tables.get(layout)
        return self._tables.setdefault(layout, sql_table(layout, self.dialect)) if found is None else found

    def _finish(self, statement: Any, parameters: Parameters) -> Prepared:
        compiled = statement.compile(dialect=self.dialect.compiler)
        known = {f"v{index}": index for index in range(parameters.count)}
        constants: list[Value] = []
        order: list[int] = []
        for name in compiled.positiontup or ():
            if name in known:
                order.append(known[name])
            else:
                order.append(parameters.count + len(constants))
                constants.append(compiled.params[name])
        straight = order == list(range(parameters.count)) and not constants
        conversions = tuple(parameters.conversions)
        return Prepared(str(compiled), None if straight else tuple(order), conversions, tuple(constants))

    def _key_equals(self, table: sa.Table, layout: Layout, parameters: Parameters) -> Expression:
        return sa.and_(*(table.c[name] == parameters.take(table.c[name].type) for name in layout.key))

    def _compile_get(self, layout: Layout) -> str:
        table, parameters = self.table(layout), Parameters()
        return self._finish(sa.select(table).where(self._key_equals(table, layout, parameters)), parameters).text

    def _compile_merge(self, layout: Layout, absent: tuple[bool, ...]) -> Prepared:
        table, parameters = self.table(layout), Parameters()
        new = {column.name: parameters.take(table.c[column.name].type) for column in layout.columns}
        changes = {**self._merged(table, layout, new), **self._raised(table, layout)}
        for column, missing in zip(layout.columns, absent, strict=True):
            if missing and column.merge is not Merge.REPLACE:  # NULL loses against every value, and against NULL
                changes.pop(column.name, None)
        if not changes:  # nothing to change, but the row is wanted back
            changes = {layout.key[0]: table.c[layout.key[0]]}
        key = (table.c[name] == new[name] for name in layout.key)
        return self._finish(sa.update(table).values(changes).where(*key).returning(*table.c), parameters)

    def _compile_many(self, layout: Layout, hold: bool, keys_only: bool = False) -> Prepared:
        table, parameters = self.table(layout), Parameters()
        key = [table.c[name] for name in layout.key]
        types = [layout.column(name).type for name in layout.key]
        statement = sa.select(*key) if keys_only else sa.select(table)
        statement = statement.where(self.dialect.in_keys(key, types, parameters))
        return self._finish(self.dialect.hold(statement) if hold else statement, parameters)

    def _where(self, statement: Any, layout: Layout, wanted: Hashable, parameters: Parameters) -> Any:
        if wanted == ("and",):
            return statement
        table = self.table(layout)
        return statement.where(where_clause(wanted, layout, table, self.dialect, parameters))

    def _compile_select(self, layout: Layout, wanted: Hashable, order: tuple[Order, ...], limited: bool) -> Prepared:
        table, parameters = self.table(layout), Parameters()
        statement = self._where(sa.select(table), layout, wanted, parameters)
        terms = [
            self.dialect.order(table.c[name], descending=down, nullable=self.dialect.sorts_nulls(layout, name))
            for name, down in order
        ]
        statement = statement.order_by(*terms)
        if limited:
            statement = statement.limit(parameters.take(sa.BigInteger()))
        return self._finish(statement, parameters)

    def _compile_aggregate(  # noqa: PLR0917 - a cache passes its key by position
        self,
        layout: Layout,
        groups: tuple[str | tuple[str, tuple[int, bool] | Buckets], ...],
        measures: tuple[Measure, ...],
        wanted: Hashable,
        order: tuple[tuple[int, bool], ...],
        limited: bool,
    ) -> Prepared:
        table, parameters, dialect = self.table(layout), Parameters(), self.dialect
        results: list[Expression] = []
        conditions: list[Expression] = []
        for group in groups:
            if isinstance(group, str):
                results.append(table.c[group])
                continue
            number, covered = bucket_clauses(table.c[group[0]], group[1], dialect, parameters)
            results.append(number)
            conditions.append(covered)
        for function, name in measures:
            column = None if name is None else table.c[name]
            results.append(dialect.measure(function, column, None if name is None else layout.column(name).type))
        labelled = [result.label(f"r{index}") for index, result in enumerate(results)]
        statement = sa.select(*labelled).select_from(table).where(*conditions)
        statement = self._where(statement, layout, wanted, parameters)
        # By position: an expression with parameters, written twice, would be two different expressions to an engine.
        statement = statement.group_by(*(sa.literal_column(str(index + 1)) for index in range(len(groups))))
        terms = [
            dialect.order(sa.literal_column(str(index + 1)), descending=down, nullable=True) for index, down in order
        ]
        statement = statement.order_by(*terms)
        if limited:
            statement = statement.limit(parameters.take(sa.BigInteger()))
        return self._finish(statement, parameters)

    def _compile_change(self, layout: Layout, changed: tuple[str, ...] | None, wanted: Hashable) -> Prepared:
        table, parameters = self.table(layout), Parameters()
        version = sa.literal_column("0") if layout.version is None else table.c[layout.version]
        statement: Any
        if changed is None:
            statement = sa.delete(table)
        else:
            values = {name: parameters.take(table.c[name].type) for name in changed}
            statement = sa.update(table).values({**values, **self._raised(table, layout)})
        statement = self._where(statement, layout, wanted, parameters)
        return self._finish(statement.returning(*(table.c[name] for name in layout.key), version), parameters)

    def _raised(self, table: sa.Table, layout: Layout) -> dict[str, Expression]:
        if layout.version is None:
            return {}
        return {layout.version: table.c[layout.version] + sa.literal_column("1")}

    def _compile_row(self, layout: Layout, conflict: OnConflict | None) -> tuple[str, str, str]:
        """An insert of one row, cut around the group of its placeholders. Without *conflict* it is an upsert."""
        table, parameters = self.table(layout), Parameters()
        values = {column.name: parameters.take(table.c[column.name].type) for column in layout.columns}
        statement = self.dialect.insert(table).values(values)
        if conflict is OnConflict.KEEP:
            statement = statement.on_conflict_do_nothing(index_elements=[table.c[name] for name in layout.key])
        elif conflict is None:
            merged = {**self._merged(table, layout, statement.excluded), **self._raised(table, layout)}
            if not merged:  # nothing to change, but the row is wanted back
                merged = {layout.key[0]: table.c[layout.key[0]]}
            statement = statement.on_conflict_do_update(
                index_elements=[table.c[name] for name in layout.key], set_=merged
            )
            statement = statement.returning(*table.c)
        prepared = self._finish(statement, parameters)
        before, _, after = prepared.text.partition(" VALUES ")
        end = _closing(after)
        return f"{before} VALUES ", after[:end], after[end:]

    def _merged(self, table: sa.Table, layout: Layout, new: Mapping[str, Any]) -> dict[str, Expression]:
        changes: dict[str, Expression] = {}
        for column in layout.columns:
            if column.name in layout.key or column.name == layout.version or column.merge is Merge.KEEP:
                continue
            fresh, old = new[column.name], table.c[column.name]
            if column.merge is Merge.REPLACE:
                changes[column.name] = fresh
            elif column.merge is Merge.COALESCE:
                changes[column.name] = sa.func.coalesce(fresh, old)
            else:
                better = fresh < old if column.merge is Merge.MIN else fresh > old
                if column.nullable:  # NULL loses against every value
                    better = sa.and_(fresh.is_not(None), sa.or_(old.is_(None), better))
                changes[column.name] = sa.case((better, fresh), else_=old)
        return changes

    def _repeat_row(self, layout: Layout, conflict: OnConflict | None, rows: int) -> str:
        before, group, after = self._row(layout, conflict)
        return before + ", ".join([group] * rows) + after
