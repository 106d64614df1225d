"""The transactions of a store some of whose tables are cut: ids stay unique, and partitions are there in time."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from iotstore.backend import (
    And,
    Busy,
    Compare,
    Filter,
    In,
    Key,
    Layout,
    OnConflict,
    Op,
    Operation,
    Row,
    Select,
    StoreError,
    Touched,
    Upserted,
    Value,
)
from iotstore_postgres._conversions import Int8Array
from iotstore_postgres._cut_statements import CutStatements
from iotstore_postgres._cuts import BLOCK, NARROW, SPAN, WIDEN, Cut, Cuts, make_parts, parts_of
from iotstore_postgres._errors import DRIVER_ERRORS, translated
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import Partitions, is_missing_partition
from iotstore_postgres._pool import Pool
from iotstore_postgres._transaction import PostgresWrite

if TYPE_CHECKING:
    from iotstore_sql.schema import SchemaChanges

# How often an insert begins again when others drop its partition meanwhile.
_ROUNDS: Final = 20


class CutWrite(PostgresWrite):
    """One transaction. What is not about a table that is cut is done as everywhere."""

    def __init__(self, pool: Pool, statements: CutStatements, partitions: Partitions, cuts: Cuts) -> None:
        self._cuts = cuts
        #: Whether it has changed the schema: nobody else sees its tables then.
        self._changed_schema = False
        super().__init__(pool, statements, partitions)

    def insert(self, layout: Layout, row: Row) -> None:
        if self._cuts.of(layout) is None:
            super().insert(layout, row)
        else:
            self.insert_many(layout, [row], OnConflict.ERROR)

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        cut = self._cuts.of(layout)
        if cut is None or not rows:
            return super().insert_many(layout, rows, conflict)
        at = layout.key_positions[0], layout.position[cut.by]
        pairs = sorted(map(itemgetter(*at), rows))
        parts = _parts([time for _, time in pairs], cut)
        for _ in range(_ROUNDS):
            self._make_parts(cut, parts)
            self.savepoint()
            try:
                there = self._there(cut, layout, pairs)
                fresh = [row for row in rows if row[at[0]] not in there] if there else rows
                self._insert_fresh_records(layout, fresh, conflict, len(rows))
            except StoreError as error:
                self.undo()
                if not is_missing_partition(error):
                    raise
                self._cuts.forget(cut)
            except BaseException:
                self.undo()
                raise
            else:
                self.release()
                return [place for place, row in enumerate(rows) if row[at[0]] in there] if there else []
        raise Busy("others kept dropping the partition of the same records", hint="retry the transaction")

    def _insert_fresh_records(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict, wanted: int) -> None:
        if len(rows) < wanted and conflict is OnConflict.ERROR:
            raise self._exists(layout)
        if len(rows) == 1:
            super().insert(layout, rows[0])
        elif rows:
            super().insert_many(layout, rows, OnConflict.ERROR)

    def _there(self, cut: Cut, layout: Layout, pairs: Sequence[tuple[int, int]]) -> set[Value]:
        """Those of the ids that are stored. Nobody adds others of their blocks before this transaction is over."""
        before = self._widen(cut, pairs)
        highest = max((known for known in before.values() if known is not None), default=None)
        if highest is None or pairs[0][0] > highest:
            return set()
        suspects: list[Key] = [
            (number,) for number, _ in pairs if (known := before[number >> BLOCK]) is not None and number <= known
        ]
        return {key[0] for key in self.existing(layout, suspects)} if suspects else set()

    def _widen(self, cut: Cut, pairs: Sequence[tuple[int, int]]) -> dict[int, int | None]:
        """Say between which times these ids, which ascend, lie; the highest id of each block that was there before."""
        numbers, times = zip(*pairs, strict=True)
        found: list[tuple[int, int, int, int]] = []
        start = 0
        while start < len(numbers):
            block = numbers[start] >> BLOCK
            end = bisect_left(numbers, (block + 1) << BLOCK, start)
            some = times[start:end]
            found.append((block, min(some), max(some), numbers[end - 1]))
            start = end
        columns = (Int8Array(column) for column in zip(*found, strict=True))
        return dict(self.rows(WIDEN, (cut.name, *columns)))

    def _make_parts(self, cut: Cut, numbers: set[int]) -> None:
        table = self._texts.dialect.table_name(cut.name)
        if self._changed_schema:
            make_parts(self._ask, cut, table, numbers)
        else:
            self._cuts.ensure(cut, table, numbers)

    def _ask(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        try:
            cursor = self._execute(text, parameters)
            return cursor.fetchall() if cursor.description is not None else []
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    # ------------------------------------------------------------------ changes

    def _upsert_single(self, layout: Layout, row: Row) -> Upserted:
        if self._cuts.of(layout) is None:
            return super()._upsert_single(layout, row)
        key = layout.key_of(row)
        for _ in range(_ROUNDS):
            stored = self._insert_or_merge(layout, {key: row})
            if stored is not None:
                return stored[key]
        raise self._raced(layout)

    def _insert_or_merge(self, layout: Layout, by_key: Mapping[Key, Row]) -> dict[Key, Upserted] | None:
        if self._cuts.of(layout) is None:
            return super()._insert_or_merge(layout, by_key)
        rows = list(by_key.values())
        left = {layout.key_of(rows[place]) for place in self.insert_many(layout, rows, OnConflict.KEEP)}
        stored = {key: Upserted(row, inserted=True) for key, row in by_key.items() if key not in left}
        return self._merge_others(layout, by_key, stored)

    def select(self, layout: Layout, query: Select) -> list[Row]:
        return super().select(layout, replace(query, where=self._narrowed(layout, query.where)))

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        cut, narrowed = self._cuts.of(layout), self._narrowed(layout, where)
        time = None if cut is None else changes.get(cut.by)
        if cut is None or not isinstance(time, int):
            return super().update(layout, narrowed, changes)
        self._make_parts(cut, {cut.grid.number(time)})
        touched = super().update(layout, narrowed, changes)
        if touched:
            numbers = sorted(number for one in touched for number in one.key if isinstance(number, int))
            self._widen(cut, [(number, time) for number in numbers])
        return touched

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        return super().delete(layout, self._narrowed(layout, where))

    def _narrowed(self, layout: Layout, where: Filter) -> Filter:
        """The same filter; where it names ids, with the times between which these lie: the partitions to look into."""
        cut = self._cuts.of(layout)
        numbers = [] if cut is None else _numbers(where, layout.key[0])
        if cut is None or not numbers:
            return where
        blocks = Int8Array(sorted({number >> BLOCK for number in numbers}))
        ((low, high),) = self.rows(SPAN, (cut.name, blocks))
        if low is None:
            return where
        return And((where, Compare(cut.by, Op.GE, low), Compare(cut.by, Op.LE, high)))

    # ------------------------------------------------------------------ partitions

    def shed_records(self, layout: Layout, end: int) -> int:
        """Drop the partitions that end by *end*; returns how many records were in them. See ``shed``."""
        cut = self._cuts.of(layout)
        return 0 if cut is None else self._unless_busy(lambda: self._shed_parts(cut, end)) or 0

    def _shed_parts(self, cut: Cut, end: int) -> int:
        table = self._texts.dialect.table_name(cut.name)
        there, until = parts_of(self._ask, cut, table), cut.grid.number(end)
        numbers = sorted(number for number in there if 0 <= number < until)
        if not numbers:
            return 0
        with self._short_wait():
            names = [quoted(there[number]) for number in numbers]
            # Counting takes time, and meanwhile only writers of these partitions wait.
            self.change(f"LOCK TABLE {', '.join(names)} IN SHARE MODE", (), None)
            gone = sum(self.rows(f"SELECT count(*) FROM {name}", ())[0][0] for name in names)  # noqa: S608 - quoted
            self.change(f"LOCK TABLE ONLY {quoted(table)} IN ACCESS EXCLUSIVE MODE", (), None)
            self.change(f"DROP TABLE {', '.join(names)}", (), None)
            self.change(NARROW, (cut.name, cut.grid.start(numbers[-1] + 1)), None)
        self._cuts.forget(cut)
        return int(gone)

    def undo(self) -> None:
        super().undo()
        if self._changed_schema:
            self._cuts.read(self._ask)

    def rollback(self) -> None:
        changed, self._changed_schema = self._changed_schema, False
        super().rollback()
        if changed:
            with suppress(StoreError):  # nobody reaches the server: then nobody reaches its tables either
                self._cuts.reload()

    def apply(self, operations: Sequence[Operation]) -> None:
        self._changed_schema = self._changed_schema or bool(operations)
        super().apply(operations)

    def schema_changes(self) -> SchemaChanges:
        # Lazy: Alembic costs a tenth of a second.
        from iotstore_postgres._cut_schema import CutSchemaChanges  # noqa: PLC0415

        return CutSchemaChanges(self._texts.dialect, self._run, self._ask, self._cuts)


def _parts(times: Sequence[int], cut: Cut) -> set[int]:
    """The numbers of the partitions that these times lie in."""
    number = cut.grid.number
    ends = number(min(times)), number(max(times))
    return set(ends) if ends[1] - ends[0] <= 1 else set(map(number, times))


def _numbers(where: Filter, name: str) -> list[int]:
    """The ids that a filter names, if it can be true for no others."""
    match where:
        case Compare(column, Op.EQ, value) if column == name and isinstance(value, int):
            return [value]
        case In(column, values) if column == name:
            return [value for value in values if isinstance(value, int)]
        case And(parts):
            return next((found for part in parts if (found := _numbers(part, name))), [])
        case _:
            return []
