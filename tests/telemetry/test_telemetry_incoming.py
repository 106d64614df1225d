"""Columns handed in as lists, numpy arrays and Arrow: the same points from each, nulls and misfits by row."""

import math
from array import array
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore import Point
from iotstore._clock import MAX_MICROS, MIN_MICROS, from_micros
from iotstore._domains._telemetry.batch import Known, sort_points
from iotstore._domains._telemetry.incoming import Incoming
from iotstore.errors import InvalidValue, Rejected

START = 1_772_000_000_000_000
UNKNOWN = Known({})


def micros(count):
    return [START + 1_000_000 * at for at in range(count)]


def check(times, values, of=None):
    """Return times, values and rejected rows of two columns, as plain Python."""
    batch = Incoming("d", "m", times, values).check(UNKNOWN if of is None else Known({"m": of}))
    rejected = [(row.index, row.field, row.reason) for row in batch.rejected]
    if not batch.groups:
        return [], [], rejected
    (group,) = batch.groups.values()
    plain = [column.tolist() if hasattr(column, "tolist") else list(column) for column in (group.times, group.values)]
    return plain[0], plain[1], rejected


@given(
    st.lists(st.tuples(st.integers(MIN_MICROS - 9, MAX_MICROS + 9), st.floats(width=64)), max_size=20),
    st.sampled_from(["float", "int64", "bool", "text"]),
)
def test_lists_numpy_and_arrow_give_the_same_points_and_rejections(rows, of):
    times, values = [time for time, _ in rows], [value for _, value in rows]
    arrays = check(np.array(times, dtype="int64"), np.array(values, dtype="float64"), of)
    assert check(pa.array(times, pa.int64()), pa.array(values, pa.float64(), from_pandas=False), of) == arrays
    listed = check(times, values, of)
    assert listed[:2] == arrays[:2]
    assert [row[:2] for row in listed[2]] == [row[:2] for row in arrays[2]]


@given(st.lists(st.one_of(st.integers(-(2**63), 2**63 - 1), st.integers(2**53 - 2, 2**53 + 2)), max_size=20))
def test_integers_become_doubles_exactly_or_not_at_all(values):
    times = micros(len(values))
    expected = [float(value) for value in values if float(value) == value]
    for column in (values, np.array(values, dtype="int64"), pa.array(values, pa.int64())):
        got = check(times, column, "float")
        assert got[1] == expected
        assert len(got[2]) == len(values) - len(expected)


@given(st.lists(st.tuples(st.datetimes(timezones=st.just(UTC)), st.sampled_from([0.5, 1, True, "x", None, math.nan]))))
def test_a_column_and_the_same_points_one_by_one_are_judged_alike(rows):
    of = {"m": "float"}
    batch = sort_points([Point("d", "m", time, value) for time, value in rows], Known(of))
    got = check([time for time, _ in rows], [value for _, value in rows], "float")
    assert got[2] == [(row.index, row.field, row.reason) for row in batch.rejected]
    if batch.groups:
        (group,) = batch.groups.values()
        assert (group.times, group.values) == (got[0], got[1])


@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns", "ps", "m", "h", "D"])
def test_datetime64_of_any_unit_is_taken_as_utc_and_cut_to_the_microsecond(unit):
    whens = np.array(["1969-12-31T23:59:59.999999999", "1970-03-01T00:00:00.000001999"], dtype="datetime64[ns]")
    whens = whens.astype(f"datetime64[{unit}]")
    times, _, rejected = check(whens, [1.0, 2.0])
    assert rejected == []
    assert times == [int(when) for when in np.floor_divide(whens.astype("datetime64[ns]").view("int64"), 1_000)]


def test_not_a_time_and_times_beyond_the_calendar_are_rejected_rows():
    whens = np.array(["NaT", "2026-03-01", "10000-01-01", "-0001-01-01"], dtype="datetime64[s]")
    times, values, rejected = check(whens, [1.0, 2.0, 3.0, 4.0])
    assert values == [2.0]
    assert times == [int(np.datetime64("2026-03-01", "us").view("int64"))]
    assert [row[:2] for row in rejected] == [(0, "time"), (2, "time"), (3, "time")]
    assert rejected[0][2] == "there is no time"
    assert rejected[1][2] == "the time is outside the years 1 to 9999"


def test_datetimes_in_a_list_are_checked_one_by_one_when_one_is_wrong():
    good = datetime(2026, 3, 1, tzinfo=UTC)
    times, values, rejected = check([good, good.replace(tzinfo=None), None, 5, True], [1.0, 2.0, 3.0, 4.0, 5.0])
    assert [from_micros(time) for time in times] == [good, from_micros(5)]
    assert values == [1.0, 4.0]
    assert [row[0] for row in rejected] == [1, 2, 4]
    assert rejected[0][2].startswith("a datetime without time zone")


def test_nulls_of_arrow_are_rejected_rows_on_either_side():
    times = pa.array([START, None, START + 2], pa.timestamp("us", "UTC"))
    for values in (pa.array([None, 1.0, 2.0]), pa.chunked_array([[None], [1.0, 2.0]], pa.float64())):
        got = check(times, values)
        assert got == (
            [START + 2],
            [2.0],
            [(0, "value", "there is no value"), (1, "time", "there is no time")],
        )


@pytest.mark.parametrize(
    ("column", "of"),
    [
        (pa.array([True, False, None]), "bool"),
        (pa.array(["on", "off", None]), "text"),
        (pa.array(["on", "off", None]).dictionary_encode(), "text"),
        (pa.array(["on", "off", None], pa.large_string()), "text"),
        (pa.array([1, 2, None], pa.uint8()), "float"),
        (pa.array([1.0, 2.0, None], pa.float32()), "float"),
    ],
)
def test_arrow_columns_of_every_metric_type_are_taken_and_type_a_new_metric(column, of):
    batch = Incoming("d", "m", micros(3), column).check(UNKNOWN)
    assert batch.types == {"m": of}
    assert batch.rejected == [Rejected(2, "value", "there is no value")]
    (group,) = batch.groups.values()
    assert list(group.values) == column.to_pylist()[:2]


def test_a_column_of_nothing_but_nulls_is_all_rejected():
    assert [row[1] for row in check(micros(2), pa.nulls(2))[2]] == ["value", "value"]
    assert [row[1] for row in check(pa.nulls(2), [1.0, 2.0])[2]] == ["time", "time"]


def test_masked_values_of_numpy_are_rejected_rows():
    column = np.ma.masked_array([1.0, 2.0, 3.0], mask=[False, True, False])
    assert check(micros(3), column)[1:] == ([1.0, 3.0], [(1, "value", "there is no value")])


def test_anything_that_turns_itself_into_numpy_is_a_column():
    class Frame:
        def to_numpy(self):
            return np.array([1.5, 2.5])

    assert check(micros(2), Frame())[1] == [1.5, 2.5]


def test_ranges_tuples_arrays_and_generators_are_columns():
    assert check(range(START, START + 2), (1.0, 2.0))[0] == [START, START + 1]
    assert check(array("q", micros(2)), (value for value in (1.0, 2.0)))[1] == [1.0, 2.0]


@pytest.mark.parametrize(
    ("column", "of", "expected"),
    [
        (np.array([1.0, 1.5, np.nan, 2.0**63, -(2.0**63)]), "int64", [1, -(2**63)]),
        (np.array([1, 2**63], dtype="uint64"), "int64", [1]),
        (np.array([1, 2], dtype="int8"), "int64", [1, 2]),
        (np.array([1.0, np.inf, -0.0]), "float", [1.0, 0.0]),
        (np.array([1.5, 2.5], dtype="float16"), "float", [1.5, 2.5]),
        (np.array([True, False]), "bool", [True, False]),
        (np.array([True, False]), "float", []),
        (np.array([1, 0]), "bool", []),
        (np.array(["on", "off"]), "text", ["on", "off"]),
        (np.array([1.5, "on", None], dtype=object), "text", ["on"]),
    ],
)
def test_arrays_of_numpy_are_converted_exactly_or_rejected_by_row(column, of, expected):
    times, values, rejected = check(micros(len(column)), column, of)
    assert values == expected
    assert len(times) == len(values)
    assert len(rejected) == len(column) - len(expected)
    assert not any(isinstance(value, float) and math.copysign(1, value) < 0 and value == 0 for value in values)


@pytest.mark.parametrize(
    ("times", "values", "message"),
    [
        ([START], [1.0, 2.0], r"values: 2 values do not match 1 times"),
        (np.zeros((2, 2), dtype="int64"), [1.0, 2.0], r"times: has 2 dimensions instead of one"),
        (np.array([1.5]), [1.0], r"times: a numpy array of float64; pass datetime64"),
        ([START], np.array(["2026-01-01"], dtype="datetime64[ns]"), r"values: a numpy array of datetime64\[ns\]"),
        (pa.array([START], pa.timestamp("us")), [1.0], r"times: .* without time zone; cast it to timestamp"),
        (pa.array([date(2026, 1, 1)]), [1.0], r"times: an Arrow column of date32"),
        ([START], pa.array([[1.0]]), r"values: an Arrow column of list"),
        ("2026", [1.0], r"times: expected a column .*, got str"),
        ([START], 1.0, r"values: expected a column .*, got float"),
        ([START], {"a": 1.0}, r"values: expected a column .*, got dict"),
    ],
)
def test_what_is_no_column_of_times_or_values_is_refused(times, values, message):
    with pytest.raises(InvalidValue, match=message):
        Incoming("d", "m", times, values)


@pytest.mark.parametrize(
    ("device", "metric", "field"), [("", "m", "device"), ("d", "m" * 81, "metric"), (1, "m", "device")]
)
def test_names_that_nothing_can_have_are_refused(device, metric, field):
    with pytest.raises(InvalidValue, match=f"^{field}: "):
        Incoming(device, metric, [], [])


def test_the_digest_is_the_same_for_lists_and_arrays_and_another_for_other_points():
    values = [1.0, 2.5]
    whens = [from_micros(time) for time in micros(2)]
    digests = {
        Incoming("d", "m", micros(2), values).digest(),
        Incoming("d", "m", whens, np.array(values)).digest(),
        Incoming("d", "m", np.array(micros(2)).view("datetime64[us]"), pa.array(values)).digest(),
    }
    assert len(digests) == 1
    others = [
        Incoming("e", "m", micros(2), values),
        Incoming("d", "n", micros(2), values),
        Incoming("d", "m", micros(3)[1:], values),
        Incoming("d", "m", micros(2), [1.0, 2.25]),
        Incoming("d", "m", micros(2), [1, None]),
        Incoming("d", "m", micros(2), ["\ud800", 2**70]),
    ]
    assert len({one.digest() for one in others} | digests) == 7


def test_a_device_or_metric_that_the_store_refuses_rejects_every_row():
    incoming = Incoming("d", "M", micros(2), [1.0, math.nan])
    assert [row.field for row in incoming.check(Known({}, {"d"})).rejected] == ["device", "device"]
    assert [row.field for row in incoming.check(Known({}, (), {"m"})).rejected] == ["metric", "metric"]


def test_a_long_column_of_floats_is_checked_without_an_object_per_point():
    count = 1_000_000
    times = np.arange(START, START + count)
    batch = Incoming("d", "m", times, np.random.default_rng(1).normal(size=count)).check(UNKNOWN)
    (group,) = batch.groups.values()
    assert isinstance(group.times, np.ndarray)
    assert isinstance(group.values, np.ndarray)
    assert timedelta(microseconds=int(group.times[-1] - group.times[0])) == timedelta(microseconds=count - 1)
