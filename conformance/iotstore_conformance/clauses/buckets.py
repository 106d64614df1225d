"""Aggregates over points: buckets, functions, fill, exactness."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from iotstore import InvalidValue, Metric, NotFound, Overflow, Point
from iotstore.backend import Capability
from iotstore_conformance.registry import clause
from iotstore_conformance.samples import HARD_SUMS
from iotstore_conformance.stage import NOON, Stage, ago, later

_SERIES = [Capability.SERIES]


def _write(stage: Stage, rows: Sequence[tuple[float, Any]], metric: str = "m", device: str = "a") -> None:
    """Points at minutes after noon."""
    if stage.store.devices.find(device) is None:
        stage.devices(device)
    stage.store.telemetry.write([Point(device, metric, later(minutes=minute), value) for minute, value in rows])


def _fold(stage: Stage, functions: list[str], **options: Any) -> list[tuple[Any, ...]]:
    options = {"every": "1h", "start": NOON, "end": later(hours=4), **options}
    rows = stage.store.telemetry.aggregate("a", "m", functions=functions, **options)
    return [(bucket.start, *(bucket[function] for function in functions)) for bucket in rows]


def _hour(number: int) -> datetime:
    return later(hours=number)


@clause("TEL-040", profile="telemetry", needs=_SERIES)
def simple_functions(stage: Stage) -> None:
    """`count`, sum, min, max, first, last and mean of a bucket MUST be those of its points, however they arrived."""
    _write(stage, [(50, 4.0), (0, 3.0), (59.999, -1.0), (60, 100.0), (20, 2.0)])
    functions = ["count", "sum", "mean", "min", "max", "first", "last"]
    assert _fold(stage, functions) == [(NOON, 4, 8.0, 2.0, -1.0, 4.0, 3.0, -1.0), (_hour(1), 1, *[100.0] * 6)]


@clause("TEL-041", profile="telemetry", needs=_SERIES)
def buckets_are_aligned_to_the_epoch(stage: Stage) -> None:
    """Buckets of fixed width MUST be aligned to 1970-01-01T00:00Z, before it too, and be half-open."""
    stage.devices("a")
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    offsets = [-7_000_001, -7_000_000, -1, 0, 6_999_999, 7_000_000]
    points = [Point("a", "m", epoch + timedelta(microseconds=offset), float(n)) for n, offset in enumerate(offsets)]
    stage.store.telemetry.write(points)
    week = timedelta(seconds=7)
    rows = stage.store.telemetry.aggregate(
        "a", "m", every=week, start=epoch - 2 * week, end=epoch + 2 * week, functions=["count"]
    )
    found = [(bucket.start, bucket.end, bucket["count"]) for bucket in rows]
    assert found == [
        (epoch + n * week, epoch + (n + 1) * week, count) for n, count in zip((-2, -1, 0, 1), (1, 2, 2, 1), strict=True)
    ]


@clause("TEL-042", profile="telemetry", needs=_SERIES)
def ranges_cut_buckets(stage: Stage) -> None:
    """Points outside [start, end) MUST not count, also where start and end lie inside a bucket."""
    _write(stage, [(minute, 1.0) for minute in range(0, 180, 10)])
    rows = _fold(stage, ["count"], start=later(minutes=30), end=later(minutes=130))
    assert [row[1] for row in rows] == [3, 6, 1]


@clause("TEL-043", profile="telemetry", needs=_SERIES)
def integer_points_are_exact(stage: Stage) -> None:
    """Sums of integer points MUST be exact integers, also through intermediate overflow, and raise Overflow beyond 64
    bits."""
    big = 2**63 - 1
    stage.store.telemetry.define(Metric(name="m", type="int64"))
    _write(stage, [(0, big), (1, big), (2, -big), (3, -big), (4, 2**53 + 1), (60, 1)])
    (first, second) = _fold(stage, ["sum", "max"])
    assert first == (NOON, 2**53 + 1, big)
    assert type(first[1]) is int
    assert second == (_hour(1), 1, 1)
    _write(stage, [(61, big)])
    with pytest.raises(Overflow, match=r"sum|m"):
        _fold(stage, ["sum"])


@clause("TEL-044", profile="telemetry", needs=_SERIES)
def doubles_are_close_or_exact(stage: Stage) -> None:
    """Sums and means of doubles MUST be within 1e-12 of the sum of absolute values, and correctly rounded
    when exact."""
    values = [(-1) ** n * (0.1 + n * 1e9 / 7) for n in range(600)]
    _write(stage, [(n / 10, value) for n, value in enumerate(values)])
    exact = math.fsum(values)
    tolerance = 1e-12 * math.fsum(map(abs, values))
    ((_, total, mean),) = _fold(stage, ["sum", "mean"])
    assert abs(total - exact) <= tolerance
    assert abs(mean - exact / 600) <= tolerance / 600
    assert _fold(stage, ["sum", "mean"], exact=True) == [(NOON, exact, exact / 600)]
    hours = dict(enumerate(HARD_SUMS, 1))
    for hour, hard in hours.items():
        _write(stage, [(60 * hour + at / 60, value) for at, value in enumerate(hard)])
    sums = [(_hour(hour), math.fsum(hard)) for hour, hard in hours.items()]
    assert _fold(stage, ["sum"], start=_hour(1), exact=True) == sums


@clause("TEL-045", profile="telemetry", needs=_SERIES)
def deviations_are_sample_deviations(stage: Stage) -> None:
    """`stddev` MUST be the sample deviation, stable at large offsets, and missing for fewer than two values."""
    values = [1e9 + 0.1 * n for n in range(10)]
    _write(stage, [*((n, value) for n, value in enumerate(values)), (60, 5.0)])
    (first, second) = _fold(stage, ["stddev"])
    assert first[1] == pytest.approx(statistics.stdev(values), rel=1e-9)
    assert second == (_hour(1), None)


@clause("TEL-046", profile="telemetry", needs=_SERIES)
def percentiles_interpolate(stage: Stage) -> None:
    """Percentiles and the median MUST interpolate linearly between the two nearest values."""
    values = [1.0, 2.0, 4.0, 8.0, 16.5]
    _write(stage, list(enumerate(reversed(values))))
    ((_, median, p0, p10, p99, p100),) = _fold(stage, ["median", "p0", "p10", "p99", "p100"])
    assert (median, p0, p100) == (4.0, 1.0, 16.5)
    assert p10 == pytest.approx(1.4, rel=1e-12)
    assert p99 == pytest.approx(8.0 + 0.96 * 8.5, rel=1e-12)


@clause("TEL-047", profile="telemetry", needs=_SERIES)
def time_weighted_means(stage: Stage) -> None:
    """A time-weighted mean MUST weigh each value by how long it held, with the value from before the bucket."""
    _write(stage, [(-30, 10.0), (30, 20.0), (90, 0.0)])
    rows = _fold(stage, ["time_weighted_mean"], end=later(hours=2))
    assert [row[1] for row in rows] == [pytest.approx(15.0), pytest.approx(10.0)]


@clause("TEL-048", profile="telemetry", needs=_SERIES)
def counters_reset(stage: Stage) -> None:
    """`increase` and `rate` MUST know counter resets: a smaller value starts again from zero."""
    _write(stage, [(0, 100), (10, 160), (20, 10), (30, 40)])
    ((_, increase, rate),) = _fold(stage, ["increase", "rate"], end=later(hours=1))
    assert increase == pytest.approx(100)
    assert rate > 0


@clause("TEL-049", profile="telemetry", needs=_SERIES)
def text_and_booleans_fold(stage: Stage) -> None:
    """Text MUST have count, first, last, min and max by code point, booleans sums as well; other functions are
    refused."""
    _write(stage, [(0, "b"), (1, "\U0001f600"), (2, "\uffff"), (3, "a")])
    assert _fold(stage, ["count", "first", "last", "min", "max"]) == [(NOON, 4, "b", "a", "a", "\U0001f600")]
    with pytest.raises(InvalidValue, match="mean"):
        _fold(stage, ["mean"])
    _write(stage, [(0, True), (1, False), (2, True)], metric="on")
    (bucket,) = stage.store.telemetry.aggregate(
        "a", "on", every="1h", start=NOON, end=later(hours=1), functions=["sum", "first", "max", "mean"]
    )
    assert (bucket["sum"], bucket["first"], bucket["max"]) == (2, True, True)
    assert bucket["mean"] == pytest.approx(2 / 3)


@clause("TEL-050", profile="telemetry", needs=_SERIES)
def gaps_are_filled_as_asked(stage: Stage) -> None:
    """Empty buckets MUST be left out, missing, the previous value, interpolated or a constant, as the fill says."""
    _write(stage, [(0, 1.0), (180, 4.0)])
    full = [NOON, _hour(1), _hour(2), _hour(3)]
    assert _fold(stage, ["mean"]) == [(NOON, 1.0), (_hour(3), 4.0)]
    assert _fold(stage, ["mean"], fill="null") == list(zip(full, [1.0, None, None, 4.0], strict=True))
    assert _fold(stage, ["mean"], fill="previous") == list(zip(full, [1.0, 1.0, 1.0, 4.0], strict=True))
    linear = _fold(stage, ["mean"], fill="linear")
    assert [row[0] for row in linear] == full
    assert [row[1] for row in linear] == pytest.approx([1.0, 2.0, 3.0, 4.0])
    assert _fold(stage, ["mean"], fill=0) == list(zip(full, [1.0, 0, 0, 4.0], strict=True))


@clause("TEL-051", profile="telemetry", needs=_SERIES)
def previous_values_reach_into_the_range(stage: Stage) -> None:
    """Fill previous MUST take the newest value before the range for the buckets before its first point."""
    _write(stage, [(-600, 7.0), (60, 1.0)])
    assert [row[1] for row in _fold(stage, ["last"], fill="previous", end=later(hours=3))] == [7.0, 1.0, 1.0]


@clause("TEL-052", profile="telemetry", needs=_SERIES)
def series_are_kept_apart(stage: Stage) -> None:
    """An aggregate of several devices MUST give the buckets of each one apart, ordered by device and time."""
    for device, value in (("b", 2.0), ("a", 1.0), ("c", 3.0)):
        _write(stage, [(0, value), (60, value * 10)], device=device)
    rows = stage.store.telemetry.aggregate(
        ["c", "a"], "m", every="1h", start=NOON, end=later(hours=2), functions=["sum"]
    )
    assert [(bucket.device, bucket["sum"]) for bucket in rows] == [("a", 1.0), ("a", 10.0), ("c", 3.0), ("c", 30.0)]
    rows = stage.store.telemetry.aggregate(None, "m", every="1h", start=NOON, end=later(hours=1), functions=["sum"])
    assert [(bucket.device, bucket["sum"]) for bucket in rows] == [("a", 1.0), ("b", 2.0), ("c", 3.0)]


@clause("TEL-053", profile="telemetry", needs=_SERIES)
def aggregates_are_checked(stage: Stage) -> None:
    """An unknown function, fill, width or device MUST be refused by name."""
    _write(stage, [(0, 1.0)])
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("avg", {"functions": ["avg"]}),
        ("every", {"functions": ["mean"], "every": "0s"}),
        ("every", {"functions": ["mean"], "every": "fortnight"}),
        ("fill", {"functions": ["mean"], "fill": "sideways"}),
        ("zone", {"functions": ["mean"], "every": "day", "zone": "Europe/Nowhere"}),
        ("end|start", {"functions": ["mean"], "end": ago(hours=1)}),
    ]
    for name, options in wrong:
        with pytest.raises(InvalidValue, match=name):
            _fold(stage, **options)
    with pytest.raises(NotFound, match="ghost"):
        stage.store.telemetry.aggregate("ghost", "m", every="1h", start=NOON, functions=["mean"])


@clause("TEL-054", profile="telemetry", needs=_SERIES)
def double_points_overflow_loudly(stage: Stage) -> None:
    """A sum of double points that leaves the range MUST raise Overflow, never answer infinity."""
    _write(stage, [(0, 1.7e308), (1, 1.7e308)])
    with pytest.raises(Overflow, match=r"sum|m"):
        _fold(stage, ["sum"])


@clause("TEL-055", profile="telemetry", needs=_SERIES)
def materialized_answers_follow(stage: Stage) -> None:
    """An aggregate that accepts materialized values MUST be the current one where a store keeps none."""
    _write(stage, [(0, 3.0), (50, 4.0), (60, 100.0)])
    functions = ["count", "sum", "mean", "min", "max", "first", "last", "median"]
    for asked in (functions[:1], functions[:-1], functions):
        options: dict[str, Any] = {"start": later(minutes=30), "fill": "null"}
        current = _fold(stage, asked, **options)
        assert [row[1] for row in current] == [1, 1, 0, 0]
        assert _fold(stage, asked, consistency="materialized", **options) == current
        assert _fold(stage, asked, consistency="current", **options) == current
    with pytest.raises(InvalidValue, match="consistency"):
        _fold(stage, ["count"], consistency="eventual")
