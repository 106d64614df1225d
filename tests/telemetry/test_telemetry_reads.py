"""Reading points: latest, last, ranges, windows, columns, streams, counts; and how nothing differs from unknown."""

import subprocess
import sys
from datetime import UTC, datetime, timedelta, timezone

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import iotstore
from iotstore import BatchRejected, ConfigurationError, Device, InvalidValue, Metric, NotAllowed, NotFound, Point

START = datetime(2026, 3, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)


def fill(store, count=10, device="a", metric="temperature"):
    rows = [Point(device, metric, START + at * SECOND, float(at)) for at in range(count)]
    store.telemetry.write(rows)
    return rows


def test_latest_is_newest_by_event_time_however_late_it_arrives(store):
    rows = fill(store)
    store.telemetry.write([Point("a", "temperature", START - SECOND, -1.0)])
    assert store.telemetry.latest("a", "temperature") == rows[-1]


def test_latest_stays_right_after_replace_and_delete(store):
    rows = fill(store)
    store.telemetry.write([Point("a", "temperature", rows[-1].time, 99.0)], on_conflict="replace")
    assert store.telemetry.latest("a", "temperature").value == 99.0
    assert store.telemetry.delete("a", "temperature", rows[-1].time) == 1
    assert store.telemetry.latest("a", "temperature") == rows[-2]
    assert store.telemetry.delete("a", "temperature", None, rows[3].time) == 3
    assert store.telemetry.delete("a", "temperature") == 6
    assert store.telemetry.latest("a", "temperature") is None
    assert store.telemetry.latest("a") == {}
    assert [series.metric for series in store.telemetry.series("a")] == ["temperature"]


def test_latest_of_a_device_is_by_the_names_of_its_metrics(store):
    store.telemetry.write(
        [Point("a", "Temperature", START, 1.0), Point("a", "on", START, True), Point("b", "x", START, 2.0)]
    )
    assert list(store.telemetry.latest("a")) == ["on", "Temperature"]
    assert store.telemetry.latest("c") == {}


def test_latest_of_all_series_is_ordered_by_device_and_metric(store):
    for device in ("b", "a"):
        for metric in ("Zeta", "alpha"):
            fill(store, 2, device, metric)
    assert [(point.device, point.metric) for point in store.telemetry.latest_all()] == [
        ("a", "alpha"), ("a", "Zeta"), ("b", "alpha"), ("b", "Zeta"),
    ]  # fmt: skip
    assert [point.device for point in store.telemetry.latest_all("ZETA")] == ["a", "b"]


def test_the_last_points_come_newest_first(store):
    rows = fill(store)
    assert store.telemetry.last("a", "temperature", 3) == rows[:-4:-1]
    assert store.telemetry.last("a", "temperature") == rows[::-1]
    assert store.telemetry.last("a", "temperature", 0) == []


def test_a_range_is_half_open_and_in_time_order(store):
    rows = fill(store)
    assert store.telemetry.range("a", "temperature", rows[2].time, rows[5].time) == rows[2:5]
    assert store.telemetry.range("a", "temperature", rows[2].time) == rows[2:]
    assert store.telemetry.range("a", "temperature", None, rows[5].time) == rows[:5]
    assert store.telemetry.range("a", "temperature", rows[2].time, rows[2].time) == []
    assert store.telemetry.range("a", "temperature", limit=4) == rows[:4]
    other_zone = rows[2].time.astimezone(timezone(timedelta(hours=9)))
    assert store.telemetry.range("a", "temperature", other_zone, rows[5].time) == rows[2:5]


def test_a_window_has_every_metric_with_points_in_it(store):
    rows = fill(store)
    fill(store, 3, metric="Humidity")
    window = store.telemetry.window("a", rows[2].time, rows[4].time)
    assert list(window) == ["Humidity", "temperature"]
    assert window["temperature"] == rows[2:4]
    assert list(store.telemetry.window("a", rows[5].time)) == ["temperature"]
    assert store.telemetry.window("b") == {}


def test_a_stream_gives_every_point_from_one_state_of_the_store(store):
    rows = fill(store, 25_000)
    stream = store.telemetry.stream("a", "temperature")
    got = [next(stream)]
    store.telemetry.delete("a", "temperature")
    got.extend(stream)
    assert got == rows


def test_a_stream_that_is_left_early_leaves_nothing_open(store):
    rows = fill(store, 25_000)
    stream = store.telemetry.stream("a", "temperature", rows[5].time, rows[20_000].time)
    assert next(stream) == rows[5]
    stream.close()
    assert len(list(store.telemetry.stream("a", "temperature", rows[5].time, rows[20_000].time))) == 19_995
    assert list(store.telemetry.stream("b", "temperature")) == []


UNKNOWN = {
    "latest": lambda telemetry, device, metric: telemetry.latest(device, metric),
    "last": lambda telemetry, device, metric: telemetry.last(device, metric),
    "range": lambda telemetry, device, metric: telemetry.range(device, metric),
    "columns": lambda telemetry, device, metric: telemetry.columns(device, metric),
    "stream": lambda telemetry, device, metric: telemetry.stream(device, metric),
    "count": lambda telemetry, device, metric: telemetry.count(device, metric),
    "delete": lambda telemetry, device, metric: telemetry.delete(device, metric),
    "aggregate": lambda telemetry, device, metric: telemetry.aggregate(device, metric, every="1h", start=START),
}


@pytest.mark.parametrize("call", UNKNOWN.values(), ids=UNKNOWN)
def test_unknown_devices_and_metrics_are_not_found_and_no_points_are_no_error(store, call):
    fill(store)
    with pytest.raises(NotFound, match="no device with key 'gone'"):
        call(store.telemetry, "gone", "temperature")
    with pytest.raises(NotFound, match="no metric with key 'gone'; a metric exists once"):
        call(store.telemetry, "a", "gone")
    empty = call(store.telemetry, "b", "temperature")
    assert not empty or list(empty) == []


@pytest.mark.parametrize("call", ["latest", "window", "series", "count"])
def test_an_unknown_device_is_not_found_for_questions_about_the_whole_device(store, call):
    with pytest.raises(NotFound, match="no device with key 'gone'"):
        getattr(store.telemetry, call)("gone")


def test_an_unknown_metric_is_not_found_across_devices(store):
    with pytest.raises(NotFound, match="no metric with key 'gone'"):
        store.telemetry.latest_all("gone")
    with pytest.raises(NotFound, match="no metric with key 'gone'"):
        store.telemetry.count(metric="gone")


def test_questions_that_make_no_sense_are_refused(store):
    rows = fill(store)
    with pytest.raises(InvalidValue, match="end: the range ends before it starts; swap start and end"):
        store.telemetry.range("a", "temperature", rows[5].time, rows[4].time)
    with pytest.raises(InvalidValue, match="start: a datetime without time zone"):
        store.telemetry.columns("a", "temperature", datetime(2026, 1, 1))  # noqa: DTZ001
    with pytest.raises(InvalidValue, match="n: -1 is no number of points"):
        store.telemetry.last("a", "temperature", -1)
    with pytest.raises(InvalidValue, match="limit: True is no number of points"):
        store.telemetry.range("a", "temperature", limit=True)
    with pytest.raises(InvalidValue, match="device: expected text, got list"):
        store.telemetry.latest(["a"], "temperature")
    with pytest.raises(InvalidValue, match="metric: has 0 characters"):
        store.telemetry.latest("a", "")


def test_points_are_counted_in_all_and_by_device_and_metric(store):
    fill(store, 10)
    fill(store, 5, "b")
    fill(store, 2, "b", "humidity")
    count = store.telemetry.count
    assert (count(), count("b"), count(metric="Temperature"), count("b", "temperature"), count("c")) == (
        17,
        7,
        15,
        5,
        0,
    )


def test_metrics_and_series_are_listed_by_their_keys(store):
    store.telemetry.define(Metric(name="Zeta", type="int64"))
    fill(store, 1, "b", "alpha")
    fill(store, 1, "a", "alpha")
    assert [(metric.name, metric.type) for metric in store.telemetry.metrics()] == [
        ("alpha", "float"),
        ("Zeta", "int64"),
    ]
    assert [(one.device, one.metric, one.type) for one in store.telemetry.series()] == [
        ("a", "alpha", "float"), ("b", "alpha", "float"),
    ]  # fmt: skip
    assert len({one.id for one in store.telemetry.series()}) == 2
    assert store.telemetry.series("c") == []


def test_a_snapshot_answers_from_its_state_and_takes_no_writes(store):
    rows = fill(store)
    with store.snapshot() as snapshot:
        assert snapshot.telemetry.latest("a", "temperature") == rows[-1]
        store.telemetry.write([Point("a", "temperature", START + timedelta(days=1), 1.0)])
        assert snapshot.telemetry.latest("a", "temperature") == rows[-1]
        assert snapshot.telemetry.count() == 10
        with pytest.raises(NotAllowed, match="a snapshot takes no writes"):
            snapshot.telemetry.write(rows)
    assert store.telemetry.count() == 11


def test_a_series_that_was_deleted_with_its_device_is_not_answered_from_memory(store):
    fill(store)
    assert store.telemetry.latest("a", "temperature").value == 9.0
    store.devices.delete("a", telemetry="delete")
    with pytest.raises(NotFound, match="no device with key 'a'"):
        store.telemetry.latest("a", "temperature")
    store.devices.put(Device(key="a"))
    assert store.telemetry.latest("a", "temperature") is None
    assert store.telemetry.count() == 0
    store.telemetry.write([Point("a", "temperature", START, 5.0)])
    assert store.telemetry.latest("a", "temperature").value == 5.0


VALUES = {
    "float": [1.5, -0.25, 1e300],
    "int64": [1, -(2**63), 2**63 - 1],
    "bool": [True, False, True],
    "text": ["on", "", "\U0001f600"],
}


@pytest.mark.parametrize("of", VALUES)
def test_columns_of_every_type_go_out_as_numpy_and_arrow_and_come_back_in(store, of):
    store.telemetry.define(Metric(name="M", type=of))
    times = [START + at * SECOND for at in range(3)]
    store.telemetry.write_columns("a", "m", times, VALUES[of])
    columns = store.telemetry.columns("a", "m")
    assert (columns.device, columns.metric, columns.type, len(columns)) == ("a", "M", of, 3)
    assert list(columns.values) == VALUES[of]
    whens, values = columns.to_numpy()
    assert whens.dtype == np.dtype("datetime64[us]")
    assert values.dtype == np.dtype({"float": "f8", "int64": "i8", "bool": "bool", "text": "O"}[of])
    assert values.tolist() == VALUES[of]
    table = columns.to_arrow()
    assert table.column("time").to_pylist() == times
    assert table.column("value").to_pylist() == VALUES[of]
    assert table.schema.field("time").type == pa.timestamp("us", "UTC")
    store.telemetry.write_columns("b", "m", table.column("time"), table.column("value"))
    store.telemetry.write_columns("c", "m", whens, values)
    for device in "bc":
        assert [point.value for point in store.telemetry.range(device, "m")] == VALUES[of]
    empty = store.telemetry.columns("a", "m", times[0], times[0])
    assert (len(empty), len(empty.to_numpy()[1]), empty.to_arrow().num_rows) == (0, 0, 0)
    part = store.telemetry.columns("a", "m", times[1], times[2])
    assert list(part.values) == VALUES[of][1:2]


def test_a_missing_extra_is_one_error_with_the_command_that_installs_it(store, monkeypatch):
    fill(store)
    columns = store.telemetry.columns("a", "temperature")
    for name, call in (("numpy", columns.to_numpy), ("pyarrow", columns.to_arrow), ("pandas", columns.to_pandas)):
        monkeypatch.setitem(sys.modules, name, None)
        with pytest.raises(ConfigurationError, match=rf"needs {name}, .*; run: pip install 'iotstore\[arrow\]'"):
            call()


def test_columns_become_a_frame_of_pandas_where_that_is_installed(store):
    rows = fill(store)
    frame = store.telemetry.columns("a", "temperature").to_pandas()
    assert list(frame["value"]) == [point.value for point in rows]
    assert list(frame["time"]) == [point.time for point in rows]
    store.telemetry.write_columns("b", "temperature", frame["time"], frame["value"])
    assert store.telemetry.last("b", "temperature", 1)[0].value == 9.0
    gappy = pd.Series([1.0, None])
    receipt = store.telemetry.write_columns("c", "temperature", frame["time"][:2], gappy, on_invalid="reject")
    assert [row.index for row in receipt.rejected] == [1]


def test_lists_are_written_and_columns_read_without_numpy_or_pyarrow(url):
    program = f"""
import sys, iotstore
from iotstore import Device
with iotstore.open({url!r}) as store:
    store.devices.put(Device(key="a"))
    store.telemetry.write_columns("a", "m", [0, 1], [1.0, 2.0])
    assert list(store.telemetry.columns("a", "m").values) == [1.0, 2.0]
assert not {{"numpy", "pyarrow"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_naive_time_says_what_to_do(store):
    with pytest.raises(BatchRejected, match="row 0, field time: a datetime without time zone"):
        store.telemetry.write([Point("a", "m", datetime(2026, 1, 1), 1.0)])  # noqa: DTZ001


def test_the_store_is_found_again_with_all_its_points(url, store):
    rows = fill(store)
    store.close()
    with iotstore.open(url) as again:
        assert again.telemetry.range("a", "temperature") == rows
