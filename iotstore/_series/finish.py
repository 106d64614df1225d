"""From partials or whole columns to one value per function and bucket."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from iotstore._calendar.civil import SECOND
from iotstore._calendar.grid import Grid
from iotstore._series.arithmetic import (
    Number,
    exact_sum,
    finite,
    increases,
    int64,
    percentile,
    stddev,
    time_weighted_mean,
)
from iotstore._series.functions import Plan, fraction_of
from iotstore._waist.layout import Value
from iotstore._waist.partials import Partial, Partials
from iotstore._waist.queries import PointType

__all__ = ["ColumnFold", "Finished", "finish_columns", "finish_partials"]


@dataclass(frozen=True, slots=True)
class Finished:
    """Buckets of one series: their numbers in the grid, how many points each has, and a column per function.

    All columns are aligned with *numbers*. A bucket without points has None, but for ``count`` (0) and for a
    ``time_weighted_mean`` whose value is known from an earlier point.
    """

    numbers: Sequence[int]
    counts: list[int]
    columns: dict[str, list[Value]]

    def row(self, position: int) -> dict[str, Value]:
        """The values of one bucket by function, by its position in *numbers*."""
        return {function: column[position] for function, column in self.columns.items()}


def _empty(plan: Plan, grid: Grid) -> Finished:
    size = len(grid)
    columns: dict[str, list[Value]] = {
        function: [0 if function == "count" else None] * size for function in plan.functions
    }
    return Finished(range(size), [0] * size, columns)


def finish_partials(plan: Plan, partials: Partials, grid: Grid) -> Finished:
    """All buckets of the grid from partials, for a plan that needs no columns. Sums out of range raise Overflow."""
    result = _empty(plan, grid)
    for partial in partials:
        result.counts[partial.bucket] = partial.count
        for function, column in result.columns.items():
            column[partial.bucket] = _FROM_PARTIAL[function](partial, plan.type)
    return result


def _as(type_: PointType, value: Value) -> Value:
    # Engines that count booleans as integers, or store whole doubles so, hand them back as such.
    if type_ is PointType.BOOL:
        return bool(value)
    return float(value) if type_ is PointType.FLOAT else value


def _partial_sum(partial: Partial, of: PointType) -> Number:
    total = partial.sum or 0
    return finite(float(total), "sum") if of is PointType.FLOAT else int64(int(total), "sum")


def _partial_mean(partial: Partial, of: PointType) -> float:
    # An integer mean is exact even where the sum itself would not fit.
    total = partial.sum or 0
    return finite(float(total), "mean") / partial.count if of is PointType.FLOAT else int(total) / partial.count


_FROM_PARTIAL: Final[Mapping[str, Callable[[Partial, PointType], Value]]] = {
    "count": lambda partial, _: partial.count,
    "sum": _partial_sum,
    "mean": _partial_mean,
    "min": lambda partial, of: _as(of, partial.min),
    "max": lambda partial, of: _as(of, partial.max),
    "first": lambda partial, of: _as(of, partial.first),
    "last": lambda partial, of: _as(of, partial.last),
}


@dataclass(slots=True)
class _Segment:
    """The points of one bucket, the value before them, and the part of the queried range that the bucket covers."""

    times: list[int]
    values: list[Value]
    before: Value
    start: int
    end: int
    exact: bool
    type: PointType
    _ordered: list[Value] = field(default_factory=list[Value])

    def ordered(self) -> list[Value]:
        if not self._ordered:
            self._ordered = sorted(self.values)
        return self._ordered

    def total(self, values: Sequence[Value], function: str) -> Number:
        if self.type is not PointType.FLOAT:
            return sum(values)
        return exact_sum(values, function) if self.exact else finite(float(sum(values)), function)

    def sum(self) -> Number:
        total = self.total(self.values, "sum")
        return total if isinstance(total, float) else int64(total, "sum")

    def mean(self) -> float:
        return self.total(self.values, "mean") / len(self.values)

    def increase(self) -> Number | None:
        steps = increases(self.values, self.before)
        if not steps:
            return None
        if self.type is PointType.FLOAT:  # a step between huge values may be infinite already
            finite(max(steps), "increase")
        total = self.total(steps, "increase")
        return total if isinstance(total, float) else int64(total, "increase")

    def rate(self) -> float | None:
        grown = self.increase()
        return None if grown is None else finite(grown / ((self.end - self.start) / SECOND), "rate")

    def time_weighted_mean(self) -> float | None:
        return time_weighted_mean(self.times, self.values, self.before, self.start, self.end)


_FROM_SEGMENT: Final[Mapping[str, Callable[[_Segment], Value]]] = {
    "count": lambda segment: len(segment.values),
    "sum": _Segment.sum,
    "mean": _Segment.mean,
    "min": lambda segment: min(segment.values),
    "max": lambda segment: max(segment.values),
    "first": lambda segment: segment.values[0],
    "last": lambda segment: segment.values[-1],
    "stddev": lambda segment: stddev(segment.values),
    "time_weighted_mean": _Segment.time_weighted_mean,
    "rate": _Segment.rate,
    "increase": _Segment.increase,
}


def _of(function: str, segment: _Segment) -> Value:
    fraction = fraction_of(function)
    return _FROM_SEGMENT[function](segment) if fraction is None else percentile(segment.ordered(), fraction)


class ColumnFold:
    """Finishes columns that arrive in chunks, in time order: holds the points of one bucket at a time.

    *before* is the newest point before the range, for plans that need it.
    """

    __slots__ = ("_at", "_before", "_grid", "_plan", "_result", "_times", "_values")

    def __init__(self, plan: Plan, grid: Grid, before: tuple[int, Value] | None = None) -> None:
        self._plan = plan
        self._grid = grid
        self._before: Value = None if before is None else before[1]
        self._result = _empty(plan, grid)
        self._at = -1
        self._times: list[int] = []
        self._values: list[Value] = []

    def add(self, times: Sequence[int], values: Sequence[Value]) -> None:
        """Take the next points of the range; those outside of it are left out."""
        edges = self._grid.edges
        index = bisect_left(times, self._grid.start)
        stop = bisect_left(times, self._grid.end, index)
        while index < stop:
            at = bisect_right(edges, times[index]) - 1
            until = bisect_left(times, edges[at + 1], index, stop)
            if at != self._at:
                self._close(at)
            self._times.extend(times[index:until])
            self._values.extend(values[index:until])
            index = until

    def finish(self) -> Finished:
        """All buckets of the grid. Called once, after the last points."""
        self._close(len(self._grid))
        return self._result

    def _close(self, following: int) -> None:
        """Compute the bucket that is being held and the empty ones from there to *following*."""
        if self._times:
            grid, at = self._grid, self._at
            start, end = max(grid.edges[at], grid.start), min(grid.edges[at + 1], grid.end)
            segment = _Segment(self._times, self._values, self._before, start, end, self._plan.exact, self._plan.type)
            self._result.counts[at] = len(self._times)
            for function, column in self._result.columns.items():
                column[at] = _of(function, segment)
            self._before = self._values[-1]
            self._times, self._values = [], []
        held = self._result.columns.get("time_weighted_mean")
        if held is not None and self._before is not None:
            empty = range(self._at + 1, following)
            held[empty.start : empty.stop] = [float(self._before)] * len(empty)
        self._at = following


def finish_columns(
    plan: Plan, grid: Grid, times: Sequence[int], values: Sequence[Value], before: tuple[int, Value] | None = None
) -> Finished:
    """All buckets of the grid from whole columns in time order. Results out of range raise Overflow."""
    fold = ColumnFold(plan, grid, before)
    fold.add(times, values)
    return fold.finish()
