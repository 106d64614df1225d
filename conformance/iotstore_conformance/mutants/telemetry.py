"""Mutants of telemetry: points, metrics, latest values and ranges that are wrong."""

from __future__ import annotations

import math
from dataclasses import replace
from datetime import UTC
from itertools import islice
from typing import Any

from iotstore import BatchRejected, Busy, Conflict, InvalidValue, Metric, NotFound, Point, Receipt
from iotstore.backend import Appended, Columns, OnConflict
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, forced, swallowed


def _points_in(breaking: Breaking, change: Any) -> None:
    """Change every point that is written by itself or in a batch."""

    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        return right([change(point) for point in points], **options)


def _with(point: Point, **changes: Any) -> Point:
    fields = {"device": point.device, "metric": point.metric, "time": point.time, "value": point.value}
    return Point(**{**fields, **changes})


@mutant(
    "integers-are-read-as-doubles",
    kills=("TEL-001", "TEL-029"),
    sentence="Points of integer metrics come back as doubles, those of other metrics cut to a thousand years.",
)
def _read_as_doubles(breaking: Breaking) -> None:
    @breaking.wrong("session", "scan")
    def _scan(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        for times, values in right(*args, **options):
            known = [max(time, -30_000_000_000_000_000) for time in times]
            yield Columns(known, [float(value) if type(value) is int else value for value in values])


@mutant(
    "unknown-devices-are-dropped",
    kills=("TEL-002", "TEL-003"),
    sentence="Points that can't be stored are dropped, and nobody is told.",
)
def _dropped(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        return replace(right(points, **{**options, "on_invalid": "reject"}), rejected=())


@mutant(
    "one-bad-row-costs-the-batch",
    kills=("TEL-003", "FLT-008"),
    sentence="One bad point costs its whole batch, also where bad rows were to be left out.",
)
def _costly(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        try:
            return right(points, **{**options, "on_invalid": "raise"})
        except BatchRejected as error:
            if options.get("on_invalid") != "reject":
                raise
            return Receipt(0, 0, tuple(error.rejected))


@mutant("booleans-of-points-are-numbers", kills=("TEL-001", "TEL-004"), sentence="A boolean is written as 1.0 or 0.0.")
def _bits(breaking: Breaking) -> None:
    _points_in(breaking, lambda p: _with(p, value=float(p.value)) if isinstance(p.value, bool) else p)


@mutant(
    "integers-are-rounded-into-doubles",
    kills=("TEL-005", "TEL-043"),
    sentence="An integer that no double holds is rounded.",
)
def _rounded(breaking: Breaking) -> None:
    def rounded(point: Point) -> Point:
        wide = type(point.value) is int and 2**53 < abs(point.value) < 2**62
        return _with(point, value=float(point.value)) if wide else point

    _points_in(breaking, rounded)


@mutant("metric-names-keep-their-case", kills=("TEL-006",), sentence="A metric in capital letters is another one.")
def _case(breaking: Breaking) -> None:
    def named(point: Point) -> Point:
        return _with(point, metric=f"{point.metric}-2") if point.metric.isupper() else point

    _points_in(breaking, named)


@mutant("metrics-change-their-type", kills=("TEL-007",), sentence="A metric can be defined again with another type.")
def _retyped(breaking: Breaking) -> None:
    swallowed(breaking, "telemetry", "define", Conflict)


@mutant("strict-metrics-are-lax", kills=("TEL-008",), sentence="Unknown metrics are made where they were forbidden.")
def _lax(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(self: Any, right: Any, points: Any, **options: Any) -> Any:
        receipt = right(points, **options)
        unknown = [row.index for row in receipt.rejected if row.field == "metric"]
        for index in unknown:
            self.define(Metric(name=points[index].metric, type="float"))
        return right(points, **options) if unknown else receipt


@mutant("keeping-replaces", kills=("TEL-010",), sentence="Points that were to be kept are replaced.")
def _replaced(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        return right(points, **{"on_conflict": "replace", **options})


@mutant("replacing-keeps", kills=("TEL-011", "TEL-021"), sentence="Points that were to be replaced are kept.")
def _not_replaced(breaking: Breaking) -> None:
    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, *args: Any) -> Any:
        *columns, conflict = args
        return right(*columns, OnConflict.KEEP if conflict is OnConflict.REPLACE else conflict)


@mutant(
    "conflicts-of-points-are-quiet", kills=("TEL-012",), sentence="A point that exists is no error where asked for."
)
def _no_error(breaking: Breaking) -> None:
    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, *args: Any) -> Any:
        *columns, conflict = args
        return right(*columns, OnConflict.KEEP if conflict is OnConflict.ERROR else conflict)


@mutant(
    "points-have-seconds-only",
    kills=("TEL-013", "FLT-011"),
    sentence="Times of points are cut to the second.",
)
def _seconds(breaking: Breaking) -> None:
    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, of: Any, series: Any, times: Any, *rest: Any) -> Any:
        return right(of, series, [time // 1_000_000 * 1_000_000 for time in times], *rest)


@mutant(
    "duplicate-points-count-as-stored",
    kills=("TEL-010", "TEL-027", "FLT-009", "CNC-006", "DUR-002"),
    sentence="A receipt counts points that were there already as stored.",
)
def _counted(breaking: Breaking) -> None:
    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, *args: Any) -> Any:
        done = right(*args)
        return Appended(done.stored + done.duplicates, 0, done.replaced)


@mutant("points-have-no-idempotency", kills=("TEL-014",), sentence="An idempotency key of points does nothing.")
def _no_idempotency(breaking: Breaking) -> None:
    forced(breaking, "telemetry", "write", idempotency_key=None)


@mutant(
    "latest-by-arrival",
    kills=("TEL-020", "CNC-005", "MOD-002"),
    sentence="The latest value is the one that arrived last.",
)
def _arrival(breaking: Breaking) -> None:
    arrived: dict[int, tuple[int, Any]] = {}

    @breaking.wrong("writer", "append")
    def _append(_self: Any, right: Any, of: Any, series: Any, times: Any, values: Any, *rest: Any) -> Any:
        arrived.update(zip(series, zip(times, values, strict=True), strict=True))
        return right(of, series, times, values, *rest)

    @breaking.wrong("session", "latest")
    def _latest(_self: Any, right: Any, series: Any) -> Any:
        newest = right(series)
        return [arrived.get(one, top) if top else None for (one, _), top in zip(series, newest, strict=True)]


@mutant(
    "latest-forgets-deletions",
    kills=("TEL-021", "CNC-009"),
    sentence="The latest value stays what it was after points are deleted.",
)
def _forgets(breaking: Breaking) -> None:
    seen: dict[int, tuple[int, Any]] = {}

    @breaking.wrong("session", "latest")
    def _latest(_self: Any, right: Any, series: Any) -> Any:
        found = []
        for (one, _), top in zip(series, right(series), strict=True):
            known = seen.get(one)
            best = top if known is None or (top is not None and top[0] >= known[0]) else known
            if best is not None:
                seen[one] = best
            found.append(best)
        return found


@mutant(
    "unknown-telemetry-is-empty",
    kills=("TEL-022", "ERR-005"),
    sentence="Reading telemetry of an unknown device or metric answers with nothing.",
)
def _unknown(breaking: Breaking) -> None:
    swallowed(breaking, "telemetry", "latest", NotFound)


@mutant("last-points-come-oldest-first", kills=("TEL-023", "TEL-029"), sentence="The last points come oldest first.")
def _oldest_first(breaking: Breaking) -> None:
    answers(breaking, "telemetry", "last", lambda points: points[::-1])


@mutant("ranges-of-points-hold-their-end", kills=("TEL-024",), sentence="A range of points holds its end.")
def _closed(breaking: Breaking) -> None:
    @breaking.wrong("session", "scan")
    def _scan(_self: Any, right: Any, series: Any, of: Any, start: Any, end: Any, **options: Any) -> Any:
        return right(series, of, start, None if end is None else end + 1, **options)


@mutant("windows-mix-metrics", kills=("TEL-025",), sentence="A window gives the points of all metrics as of the first.")
def _mixed(breaking: Breaking) -> None:
    def mixed(found: dict[str, Any]) -> dict[str, Any]:
        return {next(iter(found)): [point for points in found.values() for point in points]} if found else found

    answers(breaking, "telemetry", "window", mixed)


@mutant("streams-end-at-a-thousand", kills=("TEL-026",), sentence="A stream of points ends after a thousand.")
def _thousand(breaking: Breaking) -> None:
    answers(breaking, "telemetry", "stream", lambda points: islice(points, 1000))


@mutant(
    "an-abandoned-stream-of-points-holds-the-store",
    kills=("TEL-026",),
    sentence="A stream of points that is left early keeps a lock against writers.",
)
def _held(breaking: Breaking) -> None:
    held: list[object] = []

    @breaking.wrong("telemetry", "stream")
    def _stream(_self: Any, right: Any, *args: Any) -> Any:
        held.append(args)
        yield from right(*args)
        held.pop()

    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        if held:
            raise Busy("a reader holds the store")
        return right(*args, **options)


@mutant("columns-are-sorted-apart", kills=("TEL-027",), sentence="Columns are sorted by time without their values.")
def _apart(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write_columns")
    def _write_columns(_self: Any, right: Any, device: Any, metric: Any, times: Any, values: Any, **rest: Any) -> Any:
        return right(device, metric, sorted(times), values, **rest)


@mutant("deletions-of-points-hold-their-end", kills=("TEL-028",), sentence="A deletion of points takes the end along.")
def _one_more(breaking: Breaking) -> None:
    @breaking.wrong("writer", "erase")
    def _erase(_self: Any, right: Any, series: Any, start: Any, end: Any) -> Any:
        return right(series, start, None if end is None else end + 1)


@mutant("no-number-is-a-point", kills=("VAL-015", "FLT-008"), sentence="NaN and infinities are stored as zero.")
def _zeroes(breaking: Breaking) -> None:
    def known(point: Point) -> Point:
        lost = isinstance(point.value, float) and not math.isfinite(point.value)
        return _with(point, value=0.0) if lost else point

    _points_in(breaking, known)


@mutant("naive-points-are-utc", kills=("TEL-003",), sentence="A point's time without a zone is taken for UTC.")
def _naive(breaking: Breaking) -> None:
    _points_in(breaking, lambda p: p if p.time.tzinfo else _with(p, time=p.time.replace(tzinfo=UTC)))


@mutant("words-are-guessed", kills=("ERR-006",), sentence="An option with a word that nobody knows is left out.")
def _words(breaking: Breaking) -> None:
    @breaking.wrong("telemetry", "write")
    def _write(_self: Any, right: Any, points: Any, **options: Any) -> Any:
        try:
            return right(points, **options)
        except InvalidValue:
            return right(points)


@mutant("points-of-a-device-go-along", kills=("DEV-014",), sentence="Deleting a device deletes its points unasked.")
def _along(breaking: Breaking) -> None:
    forced(breaking, "devices", "delete", telemetry="delete")
