"""Telemetry: metrics, points, duplicates, latest values, ranges, columns."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from iotstore import BatchRejected, Conflict, InvalidValue, Metric, NotFound, Point
from iotstore.backend import Capability
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later

_SERIES = [Capability.SERIES]


def _write(stage: Stage, *values: float, metric: str = "m") -> None:
    """Points of the device ``a``, one a second from noon."""
    if stage.store.devices.find("a") is None:
        stage.devices("a")
    points = [Point("a", metric, later(seconds=n), value) for n, value in enumerate(values)]
    stage.store.telemetry.write(points)


def _values(points: list[Point]) -> list[object]:
    return [point.value for point in points]


@clause("TEL-001", profile="telemetry", needs=_SERIES)
def points_come_back(stage: Stage) -> None:
    """Points MUST come back with device, metric, time in UTC and a value of the type that went in."""
    stage.devices("a")
    when = datetime(2026, 3, 4, 15, 0, 0, 123_457, tzinfo=timezone(timedelta(hours=3)))
    points = [
        Point("a", "float", when, 21.5),
        Point("a", "int", when, 2**63 - 1),
        Point("a", "bool", when, True),
        Point("a", "text", when, "on"),
    ]
    stage.store.telemetry.define(Metric(name="int", type="int64"))
    assert stage.store.telemetry.write(points).stored == 4
    for point in points:
        assert stage.store.telemetry.range("a", point.metric, ago(days=1), later(days=1)) == [point]
        latest = stage.store.telemetry.latest("a", point.metric)
        assert latest is not None
        assert latest == point
        assert type(latest.value) is type(point.value)
        assert latest.time.utcoffset() == timedelta(0)


@clause("TEL-002", profile="telemetry", needs=_SERIES)
def points_of_unknown_devices_are_rejected(stage: Stage) -> None:
    """A point of an unknown device MUST be a rejected row that names its index and the device."""
    stage.devices("a")
    points = [Point("a", "m", NOON, 1.0), Point("ghost", "m", NOON, 2.0), Point("a", "m", later(seconds=1), 3.0)]
    with pytest.raises(BatchRejected, match="ghost") as caught:
        stage.store.telemetry.write(points)
    assert [(row.index, row.field) for row in caught.value.rejected] == [(1, "device")]
    assert stage.store.telemetry.count() == 0
    receipt = stage.store.telemetry.write(points, on_invalid="reject")
    assert (receipt.stored, [row.index for row in receipt.rejected]) == (2, [1])


@clause("TEL-003", profile="telemetry", needs=_SERIES)
def one_bad_row_is_one_bad_row(stage: Stage) -> None:
    """One bad value among a thousand MUST be one rejected row under reject, and nothing else be lost."""
    stage.devices("a")
    points = [Point("a", "m", later(seconds=n), float(n)) for n in range(1000)]
    points[500] = Point("a", "m", later(seconds=500), float("nan"))
    points[501] = Point("a", "m", datetime(2026, 3, 4, 13), 1.0)  # noqa: DTZ001 - a naive time is the point
    points[502] = Point("a", "m", later(seconds=502), "text")
    receipt = stage.store.telemetry.write(points, on_invalid="reject")
    assert (receipt.stored, receipt.duplicates, receipt.total) == (997, 0, 1000)
    assert [(row.index, row.field) for row in receipt.rejected] == [(500, "value"), (501, "time"), (502, "value")]
    assert stage.store.telemetry.count() == 997


@clause("TEL-004", profile="telemetry", needs=_SERIES)
def types_are_fixed(stage: Stage) -> None:
    """A metric's type MUST be fixed by its first value; a value that another type would have to hold is rejected."""
    stage.devices("a", "b")
    _write(stage, 1.5)
    rows = [Point("b", "m", NOON, "text"), Point("b", "m", NOON, True), Point("b", "m", NOON, 2.5)]
    receipt = stage.store.telemetry.write(rows, on_invalid="reject")
    assert (receipt.stored, [row.index for row in receipt.rejected]) == (1, [0, 1])
    assert {metric.name: metric.type for metric in stage.store.telemetry.metrics()} == {"m": "float"}


@clause("TEL-005", profile="telemetry", needs=_SERIES)
def integers_in_doubles_are_exact(stage: Stage) -> None:
    """An integer written to a double metric MUST be taken when a double holds it exactly, and rejected otherwise."""
    _write(stage, 0.5)
    rows = [Point("a", "m", later(minutes=1), 7), Point("a", "m", later(minutes=2), 2**53 + 1)]
    receipt = stage.store.telemetry.write(rows, on_invalid="reject")
    assert (receipt.stored, [row.index for row in receipt.rejected]) == (1, [1])
    latest = stage.store.telemetry.latest("a", "m")
    assert latest is not None
    assert (latest.value, type(latest.value)) == (7.0, float)


@clause("TEL-006", profile="telemetry", needs=_SERIES)
def metric_names_fold(stage: Stage) -> None:
    """Metric names that differ in case only MUST be one metric, known by the name it was first given."""
    stage.devices("a")
    stage.store.telemetry.write([Point("a", "Temperature", NOON, 1.0)])
    stage.store.telemetry.write([Point("a", "TEMPERATURE", later(seconds=1), 2.0)])
    assert [metric.name for metric in stage.store.telemetry.metrics()] == ["Temperature"]
    found = stage.store.telemetry.range("a", "temperature", NOON, later(minutes=1))
    assert [(point.metric, point.value) for point in found] == [("Temperature", 1.0), ("Temperature", 2.0)]


@clause("TEL-007", profile="telemetry", needs=_SERIES)
def metrics_can_be_defined(stage: Stage) -> None:
    """A metric MUST be definable before its first point, with unit and type, and keep its type when it is defined
    again."""
    telemetry = stage.store.telemetry
    assert telemetry.define(Metric(name="power", type="float", unit="W")).unit == "W"
    stage.devices("a")
    telemetry.write([Point("a", "power", NOON, 5)])
    latest = telemetry.latest("a", "power")
    assert latest is not None
    assert type(latest.value) is float
    with pytest.raises((Conflict, InvalidValue), match=r"power|type"):
        telemetry.define(Metric(name="Power", type="text"))
    with pytest.raises(InvalidValue, match="type"):
        telemetry.define(Metric(name="other", type="decimal"))  # type: ignore[arg-type]  # that is the point
    assert [(metric.name, metric.type) for metric in telemetry.metrics()] == [("power", "float")]


@clause("TEL-008", profile="telemetry", needs=_SERIES)
def strict_metrics_are_strict(stage: Stage) -> None:
    """With strict metrics a point of an undefined metric MUST be a rejected row, and a defined one be stored."""
    store = stage.open(strict_metrics=True)
    stage.__dict__["store"] = store
    stage.devices("a")
    store.telemetry.define(Metric(name="known", type="float"))
    rows = [Point("a", "known", NOON, 1.0), Point("a", "unknown", NOON, 1.0)]
    receipt = store.telemetry.write(rows, on_invalid="reject")
    assert (receipt.stored, [(row.index, row.field) for row in receipt.rejected]) == (1, [(1, "metric")])


@clause("TEL-010", profile="telemetry", needs=_SERIES)
def replays_change_nothing(stage: Stage) -> None:
    """Under keep a point whose series and time exist MUST be a duplicate, and the stored value stay."""
    _write(stage, 1.0, 2.0)
    rows = [Point("a", "m", NOON, 99.0), Point("a", "m", later(seconds=5), 5.0), Point("a", "m", later(seconds=5), 6.0)]
    receipt = stage.store.telemetry.write(rows)
    assert (receipt.stored, receipt.duplicates, receipt.replaced) == (1, 2, 0)
    assert _values(stage.store.telemetry.range("a", "m", NOON, later(minutes=1))) == [1.0, 2.0, 5.0]


@clause("TEL-011", profile="telemetry", needs=_SERIES)
def replacing_replaces(stage: Stage) -> None:
    """Under replace the last value of a series and time MUST win, in the batch and in the store, and be counted
    exactly."""
    _write(stage, 1.0, 2.0)
    rows = [Point("a", "m", NOON, 98.0), Point("a", "m", NOON, 99.0), Point("a", "m", later(seconds=5), 5.0)]
    receipt = stage.store.telemetry.write(rows, on_conflict="replace")
    assert (receipt.stored, receipt.duplicates, receipt.replaced) == (2, 1, 1)
    assert _values(stage.store.telemetry.range("a", "m", NOON, later(minutes=1))) == [99.0, 2.0, 5.0]


@clause("TEL-012", profile="telemetry", needs=_SERIES)
def conflicts_can_be_errors(stage: Stage) -> None:
    """Under error a point that exists, or repeats, MUST raise Conflict and nothing of the batch be stored."""
    _write(stage, 1.0)
    for rows in (
        [Point("a", "m", later(seconds=8), 8.0), Point("a", "m", NOON, 2.0)],
        [Point("a", "n", later(seconds=8), 8.0), Point("a", "n", later(seconds=8), 8.0)],
    ):
        with pytest.raises(Conflict, match=r"point|time|m|n"):
            stage.store.telemetry.write(rows, on_conflict="error")
    assert stage.store.telemetry.count() == 1


@clause("TEL-013", profile="telemetry", needs=_SERIES)
def every_microsecond_is_a_point(stage: Stage) -> None:
    """Points that differ by one microsecond MUST be two points."""
    stage.devices("a")
    points = [Point("a", "m", later(microseconds=n), float(n)) for n in range(5)]
    assert stage.store.telemetry.write(points).stored == 5
    assert stage.store.telemetry.range("a", "m", NOON, later(seconds=1)) == points


@clause("TEL-014", profile="telemetry", needs=_SERIES)
def telemetry_batches_are_idempotent(stage: Stage) -> None:
    """A batch of points repeated under its idempotency key MUST get the first receipt, not one of duplicates."""
    stage.devices("a")
    points = [Point("a", "m", later(seconds=n), float(n)) for n in range(3)]
    first = stage.store.telemetry.write(points, idempotency_key="k")
    again = stage.store.telemetry.write(points, idempotency_key="k")
    assert (again.stored, again.duplicates, again.replayed, first.replayed) == (3, 0, True, False)
    assert stage.store.telemetry.count() == 3


@clause("TEL-020", profile="telemetry", needs=_SERIES)
def latest_is_by_event_time(stage: Stage) -> None:
    """The latest value MUST be the newest by event time, however late other points arrive."""
    stage.devices("a")
    for minute in (5, 1, 9, 3):
        stage.store.telemetry.write([Point("a", "m", later(minutes=minute), float(minute))])
    latest = stage.store.telemetry.latest("a", "m")
    assert latest is not None
    assert latest.value == 9.0
    stage.store.telemetry.write([Point("a", "m", ago(days=n), 0.0) for n in range(1, 4)])
    latest = stage.store.telemetry.latest("a", "m")
    assert latest is not None
    assert (latest.value, latest.time) == (9.0, later(minutes=9))


@clause("TEL-021", profile="telemetry", needs=_SERIES)
def latest_follows_replace_and_delete(stage: Stage) -> None:
    """The latest value MUST be right after the newest point was replaced, deleted, or the whole series was."""
    _write(stage, 1.0, 2.0, 3.0)
    telemetry = stage.store.telemetry
    telemetry.write([Point("a", "m", later(seconds=2), 33.0)], on_conflict="replace")
    assert _values(list(telemetry.latest("a").values())) == [33.0]
    assert telemetry.delete("a", "m", later(seconds=2)) == 1
    assert _values(list(telemetry.latest("a").values())) == [2.0]
    assert telemetry.delete("a", "m") == 2
    assert telemetry.latest("a", "m") is None
    telemetry.write([Point("a", "m", ago(days=9), -1.0)])
    latest = telemetry.latest("a", "m")
    assert latest is not None
    assert latest.value == -1.0


@clause("TEL-022", profile="telemetry", needs=_SERIES)
def latest_of_all(stage: Stage) -> None:
    """The latest values of a device MUST be one for each metric, those of a metric one for each device, and an unknown
    metric be told."""
    stage.devices("a", "b", "c")
    rows = [("a", "m", 0, 1.0), ("a", "m", 1, 2.0), ("a", "n", 0, 3.0), ("b", "m", 0, 4.0)]
    stage.store.telemetry.write([Point(device, metric, later(seconds=s), value) for device, metric, s, value in rows])
    assert {name: point.value for name, point in stage.store.telemetry.latest("a").items()} == {"m": 2.0, "n": 3.0}
    found = {(point.device, point.metric): point.value for point in stage.store.telemetry.latest_all()}
    assert found == {("a", "m"): 2.0, ("a", "n"): 3.0, ("b", "m"): 4.0}
    assert sorted(point.device for point in stage.store.telemetry.latest_all("M")) == ["a", "b"]
    assert stage.store.telemetry.latest("c") == {}
    assert stage.store.telemetry.latest("c", "m") is None
    with pytest.raises(NotFound, match="nothing"):
        stage.store.telemetry.latest("a", "nothing")


@clause("TEL-023", profile="telemetry", needs=_SERIES)
def last_points(stage: Stage) -> None:
    """`last` MUST give the newest points of one series, newest first, at most as many as asked."""
    _write(stage, *[float(n) for n in range(10)])
    assert _values(stage.store.telemetry.last("a", "m", 3)) == [9.0, 8.0, 7.0]
    assert len(stage.store.telemetry.last("a", "m")) == 10
    with pytest.raises(InvalidValue, match=r"n|limit"):
        stage.store.telemetry.last("a", "m", -1)


@clause("TEL-024", profile="telemetry", needs=_SERIES)
def ranges_are_half_open(stage: Stage) -> None:
    """A range MUST hold its start and not its end, in the order of time, and at most as many points as asked."""
    _write(stage, 0.0, 1.0, 2.0, 3.0)
    telemetry = stage.store.telemetry
    assert _values(telemetry.range("a", "m", later(seconds=1), later(seconds=3))) == [1.0, 2.0]
    assert telemetry.range("a", "m", later(seconds=1), later(seconds=1)) == []
    assert _values(telemetry.range("a", "m", NOON, later(hours=1), limit=2)) == [0.0, 1.0]
    with pytest.raises(InvalidValue, match=r"end|start"):
        telemetry.range("a", "m", later(seconds=3), NOON)


@clause("TEL-025", profile="telemetry", needs=_SERIES)
def windows_keep_metrics_apart(stage: Stage) -> None:
    """A window of a device MUST give the points of each metric apart and in the order of time."""
    _write(stage, 1.0, 2.0)
    _write(stage, 3.0, metric="n")
    found = stage.store.telemetry.window("a", NOON, later(hours=1))
    assert {name: _values(list(points)) for name, points in found.items()} == {"m": [1.0, 2.0], "n": [3.0]}


@clause("TEL-026", profile="telemetry", needs=_SERIES)
def points_stream(stage: Stage) -> None:
    """A stream of points MUST give what a range gives, and be left without holding anything."""
    _write(stage, *[float(n) for n in range(2500)])
    telemetry = stage.store.telemetry
    assert _values(list(telemetry.stream("a", "m", NOON, later(hours=9)))) == [float(n) for n in range(2500)]
    stream = telemetry.stream("a", "m", NOON, later(hours=9))
    next(iter(stream))
    del stream
    _write(stage, 1.0, metric="n")


@clause("TEL-027", profile="telemetry", needs=_SERIES)
def columns_in_and_out(stage: Stage) -> None:
    """Columns written MUST be the points they say, by the same rules and receipts, and come out as the same columns."""
    stage.devices("a")
    telemetry = stage.store.telemetry
    times = [later(seconds=n) for n in (0, 2, 1, 2)]
    receipt = telemetry.write_columns("a", "m", times, [0.0, 2.0, 1.0, 9.0])
    assert (receipt.stored, receipt.duplicates) == (3, 1)
    columns = telemetry.columns("a", "m")
    assert list(columns.values) == [0.0, 1.0, 2.0]
    assert len(columns.times) == 3
    micros = [int(time) + 60_000_000 for time in columns.times]
    assert telemetry.write_columns("a", "m", micros, [10.0, 11.0, 12.0]).stored == 3
    found = telemetry.range("a", "m", later(seconds=60), later(seconds=120))
    assert [(point.time, point.value) for point in found] == [(later(seconds=60 + n), 10.0 + n) for n in range(3)]
    with pytest.raises(InvalidValue, match=r"values|times|length"):
        telemetry.write_columns("a", "m", times, [1.0])
    assert telemetry.count() == 6


@clause("TEL-028", profile="telemetry", needs=_SERIES)
def deleting_points(stage: Stage) -> None:
    """Deleting a range of points MUST delete exactly [start, end) of the series and say how many that were."""
    _write(stage, 0.0, 1.0, 2.0, 3.0)
    _write(stage, 9.0, metric="n")
    telemetry = stage.store.telemetry
    assert telemetry.delete("a", "m", later(seconds=1), later(seconds=3)) == 2
    assert _values(telemetry.range("a", "m", NOON, later(hours=1))) == [0.0, 3.0]
    assert telemetry.delete("a", "m", later(days=1)) == 0
    assert (telemetry.count("a", "m"), telemetry.count("a"), telemetry.count()) == (2, 3, 3)


@clause("TEL-029", profile="telemetry", needs=_SERIES)
def points_reach_the_ends_of_time(stage: Stage) -> None:
    """Points MUST be kept from the year 1 to the year 9999 and before 1970, to the microsecond."""
    stage.devices("a")
    times = [
        datetime(1, 1, 1, tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
        datetime(9999, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    ]
    points = [Point("a", "m", when, n) for n, when in enumerate(times)]
    stage.store.telemetry.write(list(reversed(points)))
    assert list(stage.store.telemetry.last("a", "m")) == points[::-1]
    assert list(stage.store.telemetry.stream("a", "m", times[0], times[-1])) == points[:-1]
