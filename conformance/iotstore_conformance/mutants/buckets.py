"""Mutants of aggregates over points: buckets, functions, gaps and calendars that are wrong."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

from iotstore import Bucket, InvalidValue, Overflow
from iotstore.backend import Bucketed, Buckets, Function, Layout
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, changed, forced, swallowed


def _partials(breaking: Breaking, change: Any) -> None:
    """Change every partial that a backend folds."""

    @breaking.wrong("session", "fold")
    def _fold(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        return [[change(partial) for partial in partials] for partials in right(*args, **options)]


def _asked_for(breaking: Breaking, change: Any, needed: Sequence[str] = ()) -> None:
    """Change the values of every bucket, in which the functions *needed* are there too."""

    @breaking.wrong("telemetry", "aggregate")
    def _aggregate(_self: Any, right: Any, *args: Any, functions: Any = ("mean",), **options: Any) -> Any:
        more = [name for name in needed if name not in functions] if set(functions) & {"p10", "increase"} else []
        rows = right(*args, functions=[*functions, *more], **options)
        return [changed(row, values=change(dict(row.values))) for row in rows]


@mutant(
    "first-and-last-are-turned",
    kills=("TEL-040", "TEL-049"),
    sentence="The first value of a bucket is its last, and the other way round.",
)
def _turned(breaking: Breaking) -> None:
    _partials(breaking, lambda one: one._replace(first=one.last, last=one.first))


@mutant(
    "edges-before-1970-are-off",
    kills=("TEL-041", "CAL-006", "AGG-012"),
    sentence="Edges of buckets before 1970 lie a microsecond late.",
)
def _late(breaking: Breaking) -> None:
    def late(buckets: Buckets) -> Buckets:
        pieces = (p._replace(start=p.start + 1) if p.start < 0 else p for p in buckets.pieces)
        return replace(buckets, pieces=tuple(pieces))

    @breaking.wrong("session", "fold")
    def _fold(_self: Any, right: Any, series: Any, buckets: Buckets, *, edges: bool) -> Any:
        return right(series, late(buckets), edges=edges)

    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        groups = (one._replace(buckets=late(one.buckets)) if isinstance(one, Bucketed) else one for one in query.groups)
        return right(layout, replace(query, groups=tuple(groups)))


@mutant(
    "what-is-not-materialized-is-missing",
    kills=("TEL-055",),
    sentence="Who accepts materialized values gets those alone, however few there are.",
)
def _unmaterialized(breaking: Breaking) -> None:
    @breaking.wrong("session", "fold_materialized")
    def _fold(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        return [[] for _ in right(*args, **options)]


@mutant(
    "ranges-begin-with-their-bucket", kills=("TEL-042",), sentence="Points of the first bucket before the range count."
)
def _whole(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "aggregate")
    def _aggregate(_self: Any, right: Any, *args: Any, start: Any, **options: Any) -> Any:
        return right(*args, start=start.replace(minute=0), **options)


@mutant("sums-of-points-are-doubles", kills=("TEL-043",), sentence="Sums of integer points are doubles on the way.")
def _doubles(breaking: Breaking) -> None:
    _partials(breaking, lambda one: one._replace(sum=int(float(one.sum))) if type(one.sum) is int else one)


@mutant(
    "sums-have-seven-digits",
    kills=("TEL-044", "AGG-006"),
    sentence="Sums of doubles have seven digits.",
)
def _singles(breaking: Breaking) -> None:
    _partials(breaking, lambda one: one._replace(sum=_seven(one.sum)))

    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        first = len(query.groups)
        summed = {n for n, one in enumerate(query.measures, first) if one.function is Function.SUM}
        return [tuple(_seven(v) if n in summed else v for n, v in enumerate(row)) for row in right(layout, query)]


def _seven(value: Any) -> Any:
    return float(f"{value:.7g}") if isinstance(value, float) else value


@mutant("exact-is-not-exact", kills=("TEL-044", "AGG-007"), sentence="Sums that were to be exact are not.")
def _inexact(breaking: Breaking) -> None:
    forced(breaking, "telemetry", "aggregate", exact=False)
    forced(breaking, "collection", "aggregate", exact=False)
    _partials(
        breaking, lambda one: one._replace(sum=math.nextafter(one.sum, math.inf)) if isinstance(one.sum, float) else one
    )


@mutant("one-value-deviates-by-zero", kills=("TEL-045",), sentence="The deviation of a single value is zero.")
def _zero(breaking: Breaking) -> None:
    _asked_for(breaking, lambda values: {f: 0.0 if f == "stddev" and v is None else v for f, v in values.items()})


@mutant("percentiles-take-a-neighbour", kills=("TEL-046",), sentence="A percentile is the next smaller value.")
def _neighbour(breaking: Breaking) -> None:
    def nearest(values: dict[str, Any]) -> dict[str, Any]:
        return {f: values["p0"] if f == "p10" else v for f, v in values.items()}

    _asked_for(breaking, nearest, ["p0"])


@mutant("means-forget-how-long", kills=("TEL-047",), sentence="A time-weighted mean weighs all values alike.")
def _unweighted(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "aggregate")
    def _aggregate(_self: Any, right: Any, *args: Any, functions: Any = ("mean",), **options: Any) -> Any:
        plain = ["mean" if name == "time_weighted_mean" else name for name in functions]
        rows = right(*args, functions=plain, **options)
        return [changed(row, values=dict(zip(functions, row.values.values(), strict=True))) for row in rows]


@mutant("counters-never-reset", kills=("TEL-048",), sentence="An increase is the last value less the first.")
def _no_reset(breaking: Breaking) -> None:
    def difference(values: dict[str, Any]) -> dict[str, Any]:
        return {f: values["last"] - values["first"] if f == "increase" else v for f, v in values.items()}

    _asked_for(breaking, difference, ["first", "last"])


@mutant(
    "functions-that-do-not-fit-are-empty",
    kills=("TEL-049", "TEL-053"),
    sentence="An aggregate that makes no sense answers with nothing.",
)
def _unfit(breaking: Breaking) -> None:
    swallowed(breaking, "telemetry", "aggregate", InvalidValue, ())


@mutant("gaps-stay-empty", kills=("TEL-050", "TEL-051"), sentence="Gaps are left out whatever the fill.")
def _gaps(breaking: Breaking) -> None:
    forced(breaking, "telemetry", "aggregate", fill="none")


@mutant(
    "nothing-was-before",
    kills=("TEL-051", "TEL-047"),
    sentence="The value from before a range is not looked for.",
)
def _nothing_before(breaking: Breaking) -> None:
    answers(breaking, "session", "before", lambda found: [None] * len(found))


@mutant("series-come-in-any-order", kills=("TEL-052",), sentence="The buckets of several devices come backwards.")
def _any_order(breaking: Breaking) -> None:
    answers(breaking, "telemetry", "aggregate", lambda rows: sorted(rows, key=lambda row: row.device, reverse=True))


@mutant(
    "overflows-are-quiet",
    kills=("TEL-043", "TEL-054", "AGG-004", "AGG-008"),
    sentence="A sum that leaves the range of its type is no answer instead of an error.",
)
def _quiet(breaking: Breaking) -> None:
    swallowed(breaking, "telemetry", "aggregate", Overflow, ())
    swallowed(breaking, "collection", "aggregate", Overflow, ({"s": None},))


@mutant(
    "time-zones-are-utc",
    kills=("CAL-001", "CAL-003", "CAL-004", "CAL-005", "CAL-007", "ALR-011"),
    sentence="Buckets of every zone are those of UTC.",
)
def _utc(breaking: Breaking) -> None:
    forced(breaking, "telemetry", "aggregate", zone="UTC")
    forced(breaking, "connections", "timeline", zone="UTC")
    forced(breaking, "alerts", "timeline", zone="UTC")


@mutant("a-repeated-hour-is-one", kills=("CAL-002",), sentence="An hour that the clock shows twice is one bucket.")
def _repeated(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "aggregate")
    def _aggregate(_self: Any, right: Any, *args: Any, zone: Any = None, **options: Any) -> Any:
        rows = right(*args, zone=zone, **options)
        if options.get("every") != "hour" or zone is None:
            return rows
        clock = ZoneInfo(zone)
        shown: dict[object, Bucket] = {}
        for row in rows:
            label = row.start.astimezone(clock).replace(tzinfo=None, fold=0)
            before = shown.get(label)
            values = row.values if before is None else {"count": before["count"] + row["count"]}
            shown[label] = changed(row, values=values)
        return list(shown.values())


@mutant("weeks-begin-on-sunday", kills=("CAL-005",), sentence="Weeks begin on Sunday.")
def _sunday(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "aggregate")
    def _aggregate(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        rows = right(*args, **options)
        if options.get("every") != "week":
            return rows
        return [changed(row, start=row.start - timedelta(1), end=row.end - timedelta(1)) for row in rows]
