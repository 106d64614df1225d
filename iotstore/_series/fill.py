"""Filling the buckets without points, after everything else is computed.

Only values that are missing because a bucket has no points are filled; what a bucket with points answers stays, also
where that is None (the deviation of one value). ``count`` is never filled: it is 0.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from typing import Final

from iotstore._calendar.grid import Grid
from iotstore._series.finish import Finished
from iotstore._series.functions import Plan, fraction_of, result_type
from iotstore._waist.layout import Value
from iotstore._waist.queries import PointType
from iotstore.errors import InvalidValue

__all__ = ["FILLS", "check_fill", "fill"]

#: The fills by name; a number is a fill too.
FILLS: Final = ("none", "null", "previous", "linear")

_HINT: Final = f"use one of {', '.join(FILLS)}, or a number"
#: Functions for which the value before the range is an answer like the ones in the range.
_LIKE_VALUES: Final = frozenset({"mean", "min", "max", "first", "last", "time_weighted_mean"})


def check_fill(plan: Plan, how: str | float) -> None:
    """Refuse a fill that doesn't exist or doesn't suit the metric's type, before anything is read."""
    if isinstance(how, str):
        if how not in FILLS:
            raise InvalidValue(f"no fill {how[:40]!r}", field="fill", hint=_HINT)
        if how == "linear" and plan.type in (PointType.TEXT, PointType.BOOL):
            raise InvalidValue(
                f"'linear' between values of a {plan.type.value} metric", field="fill", hint="use 'previous' or 'null'"
            )
        return
    for function in plan.functions:
        if function != "count":
            _constant(plan, function, how)


def _constant(plan: Plan, function: str, how: float) -> Value:
    """The constant as a result of this function, converted without loss or refused."""
    if not isinstance(how, int | float):  # pyright: ignore[reportUnnecessaryIsInstance] - not everybody has a checker
        raise InvalidValue(f"a {type(how).__name__} is no fill", field="fill", hint=_HINT)
    if plan.type is PointType.TEXT or isinstance(how, bool) != (plan.type is PointType.BOOL):
        raise InvalidValue(
            f"a {type(how).__name__} among values of a {plan.type.value} metric",
            field="fill",
            hint="use 'previous' or 'null', or a constant of the metric's type",
        )
    wanted = result_type(function, plan.type)
    if wanted is PointType.BOOL:
        return bool(how)
    try:
        value = int(how) if wanted is PointType.INT64 else float(how) + 0.0  # -0.0 is stored as 0.0 everywhere
        fits = value == how and (-(2**63) <= value < 2**63 if wanted is PointType.INT64 else math.isfinite(value))
    except (OverflowError, ValueError):  # a NaN or an infinity as integer, an integer beyond doubles
        value, fits = 0, False
    if not fits:
        raise InvalidValue(
            f"{str(how)[:40]} can't be a {function} of a {plan.type.value} metric, which is {wanted.value}",
            field="fill",
            hint="use a number that this type holds exactly",
        )
    return value


def fill(
    finished: Finished, plan: Plan, grid: Grid, how: str | float, *, before: tuple[int, Value] | None = None
) -> Finished:
    """The buckets with their gaps filled.

    * "none" leaves buckets without points out; all others keep every bucket.
    * "null" keeps None.
    * "previous" repeats the last known value. Before the first one stands the value of *before*, the newest point
      before the range, for functions that answer with a value of the series (not for sums, deviations and rates).
    * "linear" draws a line over time between the neighbouring known buckets, from start to start; the first and last
      gaps stay None.
    * A number stands in every gap.
    """
    check_fill(plan, how)
    if how == "none":
        kept = [position for position, count in enumerate(finished.counts) if count]
        return Finished(
            [finished.numbers[position] for position in kept],
            [finished.counts[position] for position in kept],
            {function: [column[position] for position in kept] for function, column in finished.columns.items()},
        )
    columns: dict[str, list[Value]] = {}
    for function, column in finished.columns.items():
        if how == "null" or function == "count":
            columns[function] = column
        elif how == "previous":
            columns[function] = _previous(finished.counts, column, _leading(plan, function, before))
        elif isinstance(how, str):
            columns[function] = _linear(finished, column, grid)
        else:
            constant = _constant(plan, function, how)
            columns[function] = [
                constant if value is None and not count else value
                for value, count in zip(column, finished.counts, strict=True)
            ]
    return Finished(finished.numbers, finished.counts, columns)


def _leading(plan: Plan, function: str, before: tuple[int, Value] | None) -> Value:
    if before is None or not (function in _LIKE_VALUES or fraction_of(function) is not None):
        return None
    return float(before[1]) if result_type(function, plan.type) is PointType.FLOAT else before[1]


def _previous(counts: list[int], column: list[Value], known: Value) -> list[Value]:
    filled: list[Value] = []
    for value, count in zip(column, counts, strict=True):
        if value is not None:
            known = value
        filled.append(known if value is None and not count else value)
    return filled


def _linear(finished: Finished, column: list[Value], grid: Grid) -> list[Value]:
    filled = list(column)
    starts = [grid.edges[number] for number in finished.numbers]
    known = [position for position, value in enumerate(column) if value is not None]
    for position, count in enumerate(finished.counts):
        if count or column[position] is not None:
            continue
        after = bisect_left(known, position)
        if 0 < after < len(known):
            left, right = known[after - 1], known[after]
            share = (starts[position] - starts[left]) / (starts[right] - starts[left])
            filled[position] = _between(column[left], column[right], share)
    return filled


def _between(low: Value, high: Value, share: float) -> float:
    value = float(low + (high - low) * share)
    # Only a difference that no double holds leaves the range; weighing each end does not.
    return value if math.isfinite(value) else low * (1 - share) + high * share
