"""Sessions of a store that is distributed over a Citus cluster: the same answers, asked for in another way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from iotstore.backend import (
    Aggregate,
    Buckets,
    Filter,
    Key,
    Layout,
    OnConflict,
    Partials,
    PointType,
    Row,
    Select,
    StoreError,
    Touched,
    Upserted,
    Value,
)
from iotstore_postgres._citus import FLOWS
from iotstore_postgres._citus_locks import COMMITTING, HOLD, HOLD_PARTITIONS, OWN, RELEASED, SEEING, numbers
from iotstore_postgres._citus_points import CitusPointReads, CitusPointWrites
from iotstore_postgres._errors import DRIVER_ERRORS
from iotstore_postgres._explaining import PostgresExplaining
from iotstore_postgres._partitions import Partitions
from iotstore_postgres._pool import Pool
from iotstore_postgres._sessions import BEGIN_SNAPSHOT, END_READING, PostgresRead, PostgresSnapshot
from iotstore_postgres._statements import PostgresStatements
from iotstore_postgres._transaction import PostgresWrite

if TYPE_CHECKING:
    from iotstore_sql.schema import SchemaChanges

_FLOWS, _BY = FLOWS


class CitusStatements(PostgresStatements):
    """Statements that Citus can plan, and whose answers are right."""

    def hold_partitions(self) -> str:
        return HOLD_PARTITIONS

    def unique(self, layout: Layout) -> tuple[str, ...]:
        return (*layout.key, _BY) if layout.name == _FLOWS else layout.key

    def _compile_insert_rows(self, layout: Layout, conflict: OnConflict | None = None) -> str:  # noqa: ARG002
        # How many rows were stored only the rows themselves tell: the number that Citus gives is of those that came.
        return super()._compile_insert_rows(layout)

    def _compile_lock_keys(self, layout: Layout) -> str:
        # Who changes records holds their kind already.
        return self.many(layout, hold=False, keys_only=True).text


class CitusExplaining(CitusPointReads, PostgresExplaining):
    """Reads that are told with the plans of coordinator and workers."""


class CitusRead(CitusPointReads, PostgresRead):
    """Reads in autocommit. One that asks several machines sees one committed state of them all."""

    _inside = False

    def _in_block(self) -> bool:
        return self._inside or super()._in_block()

    @contextmanager
    def _one_state(self) -> Iterator[None]:
        if self._in_block():
            yield
            return
        try:
            self._execute(BEGIN_SNAPSHOT, ())
        except DRIVER_ERRORS as error:
            self._renew(error)
            self.rows_of_nothing(BEGIN_SNAPSHOT)
        self._inside = True
        try:
            for text in (HOLD_PARTITIONS, *SEEING):
                self.rows_of_nothing(text)
            yield
        finally:
            self._inside = False
            with suppress(*DRIVER_ERRORS, StoreError):
                self._execute(END_READING, ())

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        if layout.name != _FLOWS:
            return super().get_many(layout, keys, hold=hold)
        with self._one_state():
            return super().get_many(layout, keys, hold=hold)

    def select(self, layout: Layout, query: Select) -> list[Row]:
        if layout.name != _FLOWS:
            return super().select(layout, query)
        with self._one_state():
            return super().select(layout, query)

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        if layout.name != _FLOWS:
            return super().aggregate(layout, query)
        with self._one_state():
            return super().aggregate(layout, query)

    def latest(self, series: Sequence[tuple[int, PointType]]) -> list[tuple[int, Value] | None]:
        if len(series) == 1:
            return super().latest(series)
        with self._one_state():
            return super().latest(series)

    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        if len(series) == 1:
            return super().before(series, time)
        with self._one_state():
            return super().before(series, time)

    def count(self, series: Sequence[int] | None = None) -> int:
        with self._one_state():
            return super().count(series)

    def fold(self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool) -> list[Partials]:
        with self._one_state():
            return super().fold(series, buckets, edges=edges)


class CitusSnapshot(CitusPointReads, PostgresSnapshot):
    """Reads of one committed state, which Citus itself does not have: its transactions see one for each machine."""

    def _see(self) -> None:
        for text in SEEING:
            self._execute(text, ())


class CitusWrite(CitusPointWrites, PostgresWrite):
    """One transaction over several machines: committed in two phases, so on all of them or on none."""

    def __init__(
        self, pool: Pool, statements: PostgresStatements, partitions: Partitions, schema: str, patience: str
    ) -> None:
        self.place = schema
        #: The kinds that it holds, as far as no savepoint was undone since.
        self._owned: set[str] = set()
        super().__init__(pool, statements, partitions)
        # The workers know nothing of this session's settings.
        self.rows_of_nothing(f"SET LOCAL lock_timeout = '{patience}'")

    def _own(self, layout: Layout, *, flows: bool = False) -> None:
        """From here on nobody else changes records of this kind; flows are only held where it is said."""
        if layout.name not in self._owned and (flows or layout.name != _FLOWS):
            self.rows(OWN, (self._named(layout),))
            self._owned.add(layout.name)

    def _named(self, layout: Layout) -> str:
        return f"{self.place} {layout.name}"

    def undo(self) -> None:
        self._owned.clear()
        super().undo()

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        if hold and keys:
            self.rows(HOLD, (self._named(layout), numbers(keys)))
        return super().get_many(layout, keys)

    def insert(self, layout: Layout, row: Row) -> None:
        self._own(layout)
        super().insert(layout, row)

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        if rows:
            self._own(layout)
        return super().insert_many(layout, rows, conflict)

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        if rows:
            self._own(layout, flows=True)
        return super().upsert(layout, rows)

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        self._own(layout, flows=True)
        if layout.name == _FLOWS and _BY in changes:
            return self._move(layout, where, changes)
        return super().update(layout, where, changes)

    def _move(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        """Change records and the machine that they are on, which no UPDATE can."""
        rows = self.select(layout, Select(where))
        touched = super().delete(layout, where)
        names = [column.name for column in layout.columns]
        moved = [tuple(changes.get(name, value) for name, value in zip(names, row, strict=True)) for row in rows]
        if moved:
            self.insert_many(layout, moved, OnConflict.ERROR)
        return touched

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        # First what others hold, then the kind: who holds a record may still want to change another one.
        keys = [layout.key_of(row) for row in self.select(layout, Select(where))]
        if not keys:
            return []
        self.rows(RELEASED, (self._named(layout), numbers(keys)))
        self._own(layout, flows=True)
        return super().delete(layout, where)

    def schema_changes(self) -> SchemaChanges:
        # Lazy: Alembic costs a tenth of a second.
        from iotstore_postgres._citus_schema import CitusSchemaChanges  # noqa: PLC0415

        return CitusSchemaChanges(self._texts.dialect, self._run)

    def commit(self) -> None:
        if self._link is not None:
            try:
                self.rows_of_nothing(COMMITTING)
            except BaseException:
                self.rollback()
                raise
        super().commit()
