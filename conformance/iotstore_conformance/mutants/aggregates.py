"""Mutants of aggregates over records: counts, sums, extremes and groups that are wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iotstore import InvalidValue
from iotstore.backend import Bucketed, Function, Layout, Measure, Select, Type
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import swallowed


def _measured(breaking: Breaking, function: Function, change: Any) -> None:
    """Change what one function answers."""

    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        first = len(query.groups)
        those = {n for n, measure in enumerate(query.measures, first) if measure.function is function}
        return [tuple(change(v) if n in those else v for n, v in enumerate(row)) for row in right(layout, query)]


@mutant("a-sum-of-nothing-is-zero", kills=("AGG-001",), sentence="The sum of no value is zero.")
def _zero(breaking: Breaking) -> None:
    @breaking.wrong("collection", "aggregate")
    def _aggregate(_self: Any, right: Any, measures: Any, **options: Any) -> Any:
        rows = right(measures, **options)
        return [{n: 0 if v is None and n in measures else v for n, v in row.items()} for row in rows]


@mutant("counts-count-missing-values", kills=("AGG-002",), sentence="The count of a field counts records.")
def _all_rows(breaking: Breaking) -> None:
    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        counted = (Measure(Function.COUNT) if one.function is Function.COUNT else one for one in query.measures)
        return right(layout, replace(query, measures=tuple(counted)))


@mutant("integer-sums-are-doubles", kills=("AGG-003",), sentence="Sums of integers are doubles on the way.")
def _doubles(breaking: Breaking) -> None:
    for function in (Function.SUM, Function.SUM_LOW):
        _measured(breaking, function, lambda value: int(float(value)) if type(value) is int else value)


@mutant(
    "integer-sums-saturate",
    kills=("AGG-003", "AGG-005"),
    sentence="A sum of integers stops at 2^53.",
)
def _saturated(breaking: Breaking) -> None:
    _measured(breaking, Function.SUM, lambda value: min(value, 2**53) if type(value) is int else value)


@mutant(
    "exact-sums-have-one-compensation",
    kills=("AGG-007",),
    sentence="A sum that was to be exact is a running one, with one more double for all that it lost.",
)
def _compensated(breaking: Breaking) -> None:
    @breaking.wrong("collection", "aggregate")
    def _aggregate(self: Any, right: Any, measures: Any, *, exact: bool = False, **options: Any) -> Any:
        rows = right(measures, exact=exact, **options)
        if not exact or len(rows) != 1:
            return rows
        known = self.list(options.get("where"))
        sums = {n: m.field for n, m in measures.items() if m.function == "sum" and type(rows[0][n]) is float}
        return [{**rows[0], **{name: _running([getattr(r, of) or 0.0 for r in known]) for name, of in sums.items()}}]


def _running(values: list[float]) -> float:
    total = lost = 0.0
    for value in values:
        following = total + value
        bigger, smaller = (total, value) if abs(total) >= abs(value) else (value, total)
        lost += (bigger - following) + smaller
        total = following
    return total + lost


@mutant("extremes-of-text-by-utf-16", kills=("AGG-009",), sentence="The greatest text is that by UTF-16 units.")
def _utf_16(breaking: Breaking) -> None:
    @breaking.wrong("session", "aggregate")
    def _aggregate(self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        if query.groups:
            return rows
        found = list(rows[0])
        for n, measure in enumerate(query.measures):
            if measure.function is Function.MAX and layout.column(measure.column).type is Type.TEXT:
                at = layout.position[measure.column]
                texts = [row[at] for row in self.select(layout, Select(query.where)) if row[at] is not None]
                found[n] = max(texts, key=lambda text: text.encode("utf-16-be"), default=None)
        return [tuple(found)]


@mutant("missing-is-no-group", kills=("AGG-010", "CON-008"), sentence="Records without a value are in no group.")
def _no_group(breaking: Breaking) -> None:
    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        return [row for row in rows if None not in row[: len(query.groups)]]


@mutant(
    "groups-are-limited-before-order",
    kills=("AGG-011",),
    sentence="Groups are limited, to the last by value, before they are ordered.",
)
def _limited(breaking: Breaking) -> None:
    @breaking.wrong("collection", "aggregate")
    def _aggregate(_self: Any, right: Any, measures: Any, *, limit: Any = None, order: Any = (), **rest: Any) -> Any:
        if limit is None:
            return right(measures, order=order, **rest)
        first = right(measures, **rest)[-limit:]
        return [row for row in right(measures, order=order, **rest) if row in first]


@mutant("weekdays-count-from-sunday", kills=("AGG-013", "CON-010"), sentence="Monday is the second day of the week.")
def _from_sunday(breaking: Breaking) -> None:
    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        weekdays = {n for n, g in enumerate(query.groups) if isinstance(g, Bucketed) and g.buckets.modulo == 7}
        rows = right(layout, query)
        return [tuple((v + 1) % 7 if n in weekdays else v for n, v in enumerate(row)) for row in rows]


@mutant("measures-that-do-not-fit-are-empty", kills=("AGG-014",), sentence="A measure that makes no sense is no error.")
def _unfit(breaking: Breaking) -> None:
    swallowed(breaking, "collection", "aggregate", InvalidValue, ({},))
