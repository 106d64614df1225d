"""Mutants of costs: right answers that cost more the more is stored, the larger a batch is, or the longer a list."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from iotstore import BatchRejected, Point, Receipt, Rejected
from iotstore.backend import Columns, Function, Layout, PointType, Select
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant


def _scans_first(breaking: Breaking, target: str, method: str) -> None:
    """Read every row of the layout before the method does what it should."""

    @breaking.wrong(target, method)
    def _scan(self: Any, right: Any, layout: Layout, *args: Any) -> Any:
        self.select(layout, Select())
        return right(layout, *args)


@mutant("getting-reads-everything", kills=("PRF-001",), sentence="A record is looked for among all that there are.")
def _get(breaking: Breaking) -> None:
    _scans_first(breaking, "session", "get")


@mutant("changing-reads-everything", kills=("PRF-002",), sentence="A change looks at every record there is.")
def _update(breaking: Breaking) -> None:
    _scans_first(breaking, "writer", "update")


@mutant("deleting-reads-everything", kills=("PRF-003",), sentence="A deletion looks at every record there is.")
def _delete(breaking: Breaking) -> None:
    _scans_first(breaking, "writer", "delete")


@mutant(
    "pages-read-what-came-before", kills=("PRF-004",), sentence="A page is found by reading all that stands before it."
)
def _offset(breaking: Breaking) -> None:
    @breaking.wrong("collection", "page")
    def _page(self: Any, right: Any, where: Any = None, **options: Any) -> Any:
        if options.get("after") is not None:
            self.list(where, order=options.get("order", ()))
        return right(where, **options)


@mutant("counting-reads-everything", kills=("PRF-005",), sentence="A count looks at every record there is.")
def _count(breaking: Breaking) -> None:
    @breaking.wrong("session", "aggregate")
    def _aggregate(self: Any, right: Any, layout: Layout, query: Any) -> Any:
        if not query.groups and all(one.function is Function.COUNT for one in query.measures):
            self.select(layout, Select())
        return right(layout, query)


def _apart(right: Any, batch: list[Any], options: dict[str, Any]) -> Receipt:
    """What a batch does whose rows are stored one by one: the receipts of all, added up."""
    total = Receipt(0, 0, (), ids=() if options.get("ids") else None)
    for index, row in enumerate(batch):
        try:
            one = right([row], **options)
        except BatchRejected as error:
            raise BatchRejected(
                [Rejected(index, bad.field, bad.reason) for bad in error.rejected], len(batch)
            ) from error
        total = replace(
            total,
            stored=total.stored + one.stored,
            duplicates=total.duplicates + one.duplicates,
            replaced=total.replaced + one.replaced,
            rejected=(*total.rejected, *(Rejected(index, bad.field, bad.reason) for bad in one.rejected)),
            ids=None if total.ids is None else (*total.ids, *(one.ids or ())),
        )
    return total


@mutant(
    "a-batch-is-many-transactions", kills=("PRF-006",), sentence="Every record of a batch has a transaction of its own."
)
def _one_by_one(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        return right(batch, **options) if options.get("idempotency_key") else _apart(right, batch, options)


@mutant(
    "points-have-a-transaction-each",
    kills=("PRF-024",),
    sentence="Every point of a batch has a transaction of its own.",
)
def _points_one_by_one(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        batch = list(points)
        apart = bool(batch) and not options.get("idempotency_key")
        return _apart(right, batch, options) if apart else right(batch, **options)


def _pairs(batch: list[Any]) -> int:
    """How many rows are equal to one before them, found by looking at every pair."""
    return sum(any(other == row for other in batch[:at]) for at, row in enumerate(batch))


@mutant(
    "batches-compare-every-pair", kills=("PRF-007",), sentence="Duplicates in a batch are found by comparing all pairs."
)
def _compared(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        _pairs(batch)
        return right(batch, **options)


@mutant(
    "batches-of-points-compare-every-pair",
    kills=("PRF-025",),
    sentence="Duplicates in a batch of points are found by comparing all pairs.",
)
def _points_compared(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        batch = list(points)
        _pairs([row.time for row in batch if isinstance(row, Point)])
        return right(batch, **options)


@mutant("streams-are-gathered-first", kills=("PRF-008",), sentence="A stream holds all of its records from the start.")
def _gathered(breaking: Breaking) -> None:
    @breaking.wrong("collection", "stream")
    def _stream(self: Any, right: Any, where: Any = None, **options: Any) -> Any:
        right(where, **options)  # what is refused is refused at the call
        return (record for record in self.list(where, order=options.get("order", ())))


@mutant(
    "streams-of-points-are-gathered-first",
    kills=("PRF-026",),
    sentence="A stream of points holds all of them from the start.",
)
def _points_gathered(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "stream")
    def _stream(_self: Any, right: Any, *args: Any) -> Any:
        found = right(*args)
        return (point for points in [list(found)] for point in points)


@mutant(
    "opening-reads-everything", kills=("PRF-009",), sentence="Opening a store compares every record in it with itself."
)
def _opened(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store = right(url, **options)
        for kind in options.get("kinds", ()):
            found = store.records(kind)
            for record in found.list():
                key = [getattr(record, name) for name in kind.keys]
                found.get(tuple(key) if len(key) > 1 else key[0])
        return store


def _reads(self: Any, series: int, of: PointType) -> None:
    for _ in self.scan(series, of, None, None):
        pass


@mutant("latest-reads-the-series", kills=("PRF-020",), sentence="The newest point is found by reading all of them.")
def _latest(breaking: Breaking) -> None:
    @breaking.wrong("session", "latest")
    def _read(self: Any, right: Any, series: Any) -> Any:
        for one, of in series:
            _reads(self, one, of)
        return right(series)


@mutant("limits-cut-the-whole-series", kills=("PRF-021",), sentence="The last points are cut from all that there are.")
def _cut(breaking: Breaking) -> None:
    @breaking.wrong("session", "scan")
    def _scan(_self: Any, right: Any, *args: Any, limit: int | None = None, **options: Any) -> Any:
        left = limit
        for times, values in right(*args, **options):
            yield Columns(times[:left], values[:left]) if left is not None else Columns(times, values)
            left = None if left is None else max(0, left - len(times))


@mutant("an-hour-reads-the-series", kills=("PRF-022",), sentence="Whatever is aggregated, the whole series is read.")
def _fold(breaking: Breaking) -> None:
    @breaking.wrong("session", "fold")
    def _read(self: Any, right: Any, series: Any, *args: Any, **options: Any) -> Any:
        for one, of in series:
            _reads(self, one, of)
        return right(series, *args, **options)


@mutant(
    "deleting-points-reads-the-series", kills=("PRF-023",), sentence="Whatever is deleted, the whole series is read."
)
def _erase(breaking: Breaking) -> None:
    @breaking.wrong("writer", "erase")
    def _read(self: Any, right: Any, series: Any, *args: Any) -> Any:
        for one in series:
            _reads(self, one, PointType.FLOAT)
        return right(series, *args)
