"""The functions of telemetry: their names, what each metric type supports, and what has to be read for them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from iotstore._waist.queries import PointType
from iotstore.errors import InvalidValue

__all__ = ["FUNCTIONS", "Plan", "fraction_of", "plan", "result_type"]

#: Every function by its name; percentiles are also "p0" to "p100", with decimals as in "p99.9".
FUNCTIONS: Final = (
    "count",
    "sum",
    "mean",
    "min",
    "max",
    "first",
    "last",
    "stddev",
    "median",
    "time_weighted_mean",
    "rate",
    "increase",
)

_OF_TEXT: Final = frozenset({"count", "first", "last", "min", "max"})
_OF_BOOL: Final = _OF_TEXT | {"mean", "sum"}
_FROM_PARTIALS: Final = frozenset({"count", "sum", "mean", "min", "max", "first", "last"})
_KEEP_TYPE: Final = frozenset({"min", "max", "first", "last"})
_PERCENTILE: Final = re.compile(r"p([0-9]{1,3}(?:\.[0-9]{1,15})?)")


@dataclass(frozen=True, slots=True)
class Plan:
    """What an aggregate of one metric computes, and what it has to read.

    *needs_columns*: partials are not enough, all points are read. *needs_edges*: partials need first and last points.
    *needs_before*: the newest point before the range counts too. *exact*: sums and means of doubles are rounded once,
    so that they are the same to the bit whatever the order.
    """

    functions: tuple[str, ...]
    type: PointType
    exact: bool
    needs_columns: bool
    needs_edges: bool
    needs_before: bool


def plan(functions: Sequence[str], of: PointType, *, exact: bool = False) -> Plan:
    """Check functions against a metric's type. Unknown and unsupported ones are InvalidValue; repeats are dropped."""
    if isinstance(functions, str):
        raise InvalidValue(
            f"a text instead of a list: {functions[:40]!r}", field="functions", hint=f"write [{functions[:40]!r}]"
        )
    names = tuple(dict.fromkeys(functions))
    if not names:
        raise InvalidValue("none is asked for", field="functions", hint=f"ask for some of {', '.join(FUNCTIONS)}")
    for name in names:
        _check(name, of)
    rounded = exact and of is PointType.FLOAT and not {"sum", "mean"}.isdisjoint(names)
    return Plan(
        functions=names,
        type=of,
        exact=exact,
        needs_columns=rounded or not _FROM_PARTIALS.issuperset(names),
        needs_edges=not {"first", "last"}.isdisjoint(names),
        needs_before=not {"time_weighted_mean", "rate", "increase"}.isdisjoint(names),
    )


def _check(name: str, of: PointType) -> None:
    if name not in FUNCTIONS and fraction_of(str(name)) is None:
        from difflib import get_close_matches  # noqa: PLC0415 - costs 6 ms, needed for this error only

        close = get_close_matches(str(name).casefold(), FUNCTIONS, n=1)
        known = f"known are {', '.join(FUNCTIONS)}, and percentiles from p0 to p100"
        hint = f"did you mean {close[0]!r}? {known}" if close else known
        raise InvalidValue(f"no function {str(name)[:40]!r}", field="functions", hint=hint)
    supported = {PointType.TEXT: _OF_TEXT, PointType.BOOL: _OF_BOOL}.get(of)
    if supported is not None and name not in supported:
        usable = ", ".join(function for function in FUNCTIONS if function in supported)
        raise InvalidValue(f"{name!r} of a {of.value} metric", field="functions", hint=f"it supports {usable}")


@cache
def fraction_of(name: str) -> float | None:
    """The fraction in [0, 1] that a percentile's name means ("median", "p50", "p99.9"), None for other functions."""
    if name == "median":
        return 0.5
    match = _PERCENTILE.fullmatch(name)
    if match is None:
        return None
    # Read as one decimal number: 99.9 / 100 is not the double nearest to 0.999.
    fraction = float(f"{match[1]}e-2")
    return fraction if fraction <= 1 else None


def result_type(function: str, of: PointType) -> PointType:
    """The type of a function's results; a linear fill puts doubles between the integers of an int64 metric."""
    if function in _KEEP_TYPE:
        return of
    if function == "count":
        return PointType.INT64
    if function in {"sum", "increase"} and of is not PointType.FLOAT:
        return PointType.INT64
    return PointType.FLOAT
