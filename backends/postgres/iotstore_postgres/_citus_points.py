"""Points on a Citus cluster: what its planner refuses, or counts wrongly, is asked in another way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from iotstore.backend import Conflict, OnConflict, PointType, StoreError, Value
from iotstore_postgres._appending import PointWrites, Raced, arrays_of, insert_text
from iotstore_postgres._citus_locks import DROP_PARTITIONS, EVERY_SERIES, HOLD_SERIES, numbers_of_series
from iotstore_postgres._conversions import Int8Array
from iotstore_postgres._latest import COLUMN, GIVEN, POSITION
from iotstore_postgres._partitions import sqlstate
from iotstore_postgres._point_batch import Batch
from iotstore_postgres._points import PointReads

_NEWEST: Final = "SELECT time, number, whole, words FROM iotstore_points WHERE series = $1 AND time {} $2"
_BEFORE: Final = _NEWEST.format("<") + " ORDER BY time DESC LIMIT 1"
_LEFT: Final = _NEWEST.format("<=") + " ORDER BY time DESC LIMIT 1"
# A lock of many rows on many machines: Citus has none, but who changes them has it.
_HOLD: Final = "UPDATE iotstore_latest SET time = time WHERE {}time >= $1 AND time <= $2 RETURNING series"
_HOLD_ALL: Final = _HOLD.format("")
_HOLD_SOME: Final = _HOLD.format("series = ANY($3) AND ")
_SET_BACK: Final = "UPDATE iotstore_latest SET time = $2, number = $3, whole = $4, words = $5 WHERE series = $1"
_CLEAR: Final = "DELETE FROM iotstore_latest WHERE series = $1"
# A worker's refusal of a COPY is always an internal error here. And a COPY fills all machines at once, so two with the
# same points may wait for each other. Shard by shard, with ON CONFLICT, they don't, and errors have their own names.
_DOUBTFUL: Final = frozenset({"40P01", "XX000"})
#: Batches that would go by COPY if no duplicate was expected.
_MANY: Final = 200


@lru_cache(maxsize=1024)
def _keep_text(table: str, of: PointType) -> str:
    # The number of rows that Citus reports is that of the rows which came, stored or not.
    return insert_text(table, of, OnConflict.KEEP) + " RETURNING series"


@lru_cache(maxsize=1024)
def _replace_texts(table: str, of: PointType) -> tuple[str, str]:
    """Gives the points of a batch that differ their new value; tells how many are there, and how many still differ."""
    column, _ = COLUMN[of]
    given, there = f"{GIVEN[of]} AS g(series, time, value)", "p.series = g.series AND p.time = g.time"
    bounds, differs = "p.time >= $4 AND p.time <= $5", f"p.{column} IS DISTINCT FROM g.value"
    return (
        f"UPDATE {table} AS p SET {column} = g.value FROM {given} WHERE {there} AND {bounds} AND {differs}",  # noqa: S608 - names of ours
        f"SELECT count(*), count(*) FILTER (WHERE {differs}) FROM {table} AS p JOIN {given} ON {there} WHERE {bounds}",  # noqa: S608 - names of ours
    )


class CitusPointReads(PointReads):
    """Reading points of a distributed store."""

    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        # A step back in each series: together Citus can't ask for them.
        found = [self.row(_BEFORE, (one, time)) for one, _ in series]
        return [None if row is None else _point(of, *row) for (_, of), row in zip(series, found, strict=True)]


def _point(of: PointType, time: int, *values: Value) -> tuple[int, Value]:
    value = values[POSITION[of]]
    return time, bool(value) if of is PointType.BOOL else value


class CitusPointWrites(CitusPointReads, PointWrites):
    """Writing points of a distributed store."""

    #: The schema that the store is in.
    place: str

    def _store(self, of: PointType, batch: Batch, conflict: OnConflict) -> tuple[int, int]:
        self._hold_series(numbers_of_series(batch.newest().series))
        return super()._store(of, batch, conflict)

    def _hold_series(self, numbers: Int8Array) -> None:
        self.rows(HOLD_SERIES, (self.place, numbers))

    def erase(self, series: Sequence[int], start: int | None, end: int | None) -> int:
        if series:
            self._hold_series(numbers_of_series(series))
        return super().erase(series, start, end)

    def shed(self, end: int) -> int:
        return super().shed(end) if self._unless_busy(self._hold_all) else 0

    def _hold_all(self) -> bool:
        with self._short_wait():
            self._hold_series(EVERY_SERIES)
        return True

    def _count_alone(self, names: Sequence[str]) -> int:
        self.change(DROP_PARTITIONS, (), None)
        return super()._count_alone(names)

    def _insert_fresh(self, table: str, of: PointType, batch: Batch, *, many: bool) -> int:
        count, duplicates = len(batch.times), self.partitions.duplicates
        if not many or duplicates.expected:
            if len(self.rows(_keep_text(table, of), arrays_of(batch))) < count:
                raise Conflict("a point of this series and time exists already")
            return count
        try:
            return super()._insert_fresh(table, of, batch, many=True)
        except StoreError as error:
            if sqlstate(error) not in _DOUBTFUL:
                raise
            duplicates.met()
            raise Raced from error

    def _insert_among(self, table: str, of: PointType, batch: Batch, conflict: OnConflict) -> tuple[int, int]:
        count, duplicates, arrays = len(batch.times), self.partitions.duplicates, arrays_of(batch)
        fresh, changed = len(self.rows(_keep_text(table, of), arrays)), 0
        if conflict is OnConflict.REPLACE and fresh < count:
            parameters = [*arrays, *batch.span()]
            replace, look = _replace_texts(table, of)
            changed = self.change(replace, parameters, None)
            there, differing = self.rows(look, parameters)[0]
            if there < count or differing:
                raise Raced  # one was deleted since, or changed by somebody else
        if count >= _MANY:
            if fresh < count:
                duplicates.met()
            else:
                duplicates.missed()
        return fresh, changed

    def _set_back(self, hold: str, parameters: tuple[Value, ...]) -> None:  # noqa: ARG002 - it has one of its own
        _, high, *some = parameters
        held = self.rows(_HOLD_SOME if some else _HOLD_ALL, parameters)
        for (series,) in sorted(held):
            left = self.row(_LEFT, (series, high))
            if left is None:
                self.change(_CLEAR, (series,), None)
            else:
                self.change(_SET_BACK, (series, *left), None)
