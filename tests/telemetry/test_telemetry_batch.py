"""The one loop over points: what it takes, what it converts, what it rejects, and that it agrees with careful code."""

import enum
import math
from datetime import UTC, date, datetime, timedelta, timezone

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore import Point
from iotstore._clock import from_micros, to_micros
from iotstore._domains._telemetry.batch import Known, sort_points
from iotstore._domains._telemetry.values import convert, first_type
from iotstore.errors import InvalidValue, Rejected

NOW = datetime(2026, 3, 1, 12, 30, 15, 123457, tzinfo=UTC)
TYPES = {"f": "float", "i": "int64", "b": "bool", "t": "text"}

aware = st.datetimes(
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=-9, minutes=-30)), timezone(timedelta(hours=14))])
)
times = st.one_of(aware, st.datetimes(), st.just(None), st.just("2026-01-01"), st.just(date(2026, 1, 1)), st.just(5))
texts = st.text(alphabet=st.sampled_from("aé\0\ud800 \U0001f600"), max_size=3)
values = st.one_of(
    st.floats(), st.integers(-(2**65), 2**65), st.integers(-3, 3), st.booleans(), texts, st.just(None), st.just(b"x")
)
points = st.builds(
    Point,
    device=st.one_of(st.sampled_from(["d1", "d2", "gone", "", "x" * 121]), st.just(7)),
    metric=st.one_of(st.sampled_from(["f", "F", "i", "b", "t", "new", "NEW", "secret", "y" * 81]), st.just(None)),
    time=times,
    value=values,
)


def judge(point, known, types):
    """Return series key, microseconds and stored value of a good point; raise InvalidValue for any other."""
    check(point.device, "device", 120)
    check(point.metric, "metric", 80)
    if point.device in known.absent:
        raise InvalidValue("absent", field="device")
    key = point.metric.casefold()
    if key in known.undefined:
        raise InvalidValue("undefined", field="metric")
    micros = to_micros(point.time, "time")
    of = types.get(key) or first_type(point.value) or "float"
    stored = convert(point.value, of)
    types[key] = of
    return (point.device, key), micros, stored


def check(value, field, longest):
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise InvalidValue("name", field=field)


def naive(batch, known):
    """Return what the batch should come to, row by row, without any thought for speed."""
    groups, rejected, types = {}, [], dict(known.types)
    for index, point in enumerate(batch):
        try:
            key, micros, stored = judge(point, known, types)
        except InvalidValue as error:
            rejected.append((index, error.field))
            continue
        times, column = groups.setdefault(key, ([], []))
        times.append(micros)
        column.append(stored)
    return groups, rejected


@given(st.lists(points, max_size=30))
def test_the_fast_loop_agrees_with_a_naive_one_about_every_row(batch):
    known = Known(TYPES, {"gone"}, {"secret"})
    got = sort_points(batch, known)
    groups, rejected = naive(batch, known)
    assert {key: (group.times, group.values) for key, group in got.groups.items()} == groups
    assert [(row.index, row.field) for row in got.rejected] == rejected
    assert got.total == len(batch)
    for group in got.groups.values():
        wanted = {"float": float, "int64": int, "bool": bool, "text": str}[group.type]
        assert {type(value) for value in group.values} == {wanted}


@given(aware)
def test_times_come_through_to_the_microsecond_in_any_zone(when):
    (group,) = sort_points([Point("d", "f", NOW, 1.0), Point("d", "f", when, 1.0)], Known({})).groups.values()
    if len(group.times) == 2:  # else it lies outside of the calendar in UTC
        assert from_micros(group.times[1]) == when


def only(value, of):
    batch = sort_points([Point("d", "m", NOW, value), Point("d", "m", NOW, value)], Known({"m": of}))
    (group,) = batch.groups.values()
    assert group.values[0] == group.values[1]
    assert type(group.values[0]) is type(group.values[1])
    return group.values[1]


def test_minus_zero_is_stored_as_zero():
    assert math.copysign(1, only(-0.0, "float")) == 1


def test_a_whole_number_for_a_float_metric_is_converted():
    assert repr(only(21, "float")) == "21.0"
    assert repr(only(2**60, "float")) == repr(float(2**60))


def test_a_float_without_fraction_for_an_int64_metric_is_converted():
    assert repr(only(21.0, "int64")) == "21"


def test_a_text_of_a_subclass_is_stored_as_plain_text():
    mode = enum.StrEnum("mode", {"ON": "on"})
    assert type(only(mode.ON, "text")) is str


def test_scalars_of_numpy_are_taken_for_the_values_they_hold():
    assert repr(only(np.float32(0.5), "float")) == "0.5"
    assert repr(only(np.int64(3), "int64")) == "3"
    assert only(np.bool_(True), "bool") is True


@pytest.mark.parametrize(
    ("value", "of", "reason"),
    [
        (math.nan, "float", "nan is not a finite number"),
        (-math.inf, "float", "-inf is not a finite number"),
        (2**53 + 1, "float", "integer that no double holds exactly"),
        (10**400, "float", "integer that no double holds exactly"),
        (True, "float", "expected a number, got bool"),
        ("21.5", "float", "expected a number, got str"),
        (None, "float", "there is no value"),
        (True, "int64", "expected an integer, got bool"),
        (1.5, "int64", "1.5 is not an integer, and the metric is int64"),
        (math.nan, "int64", "nan is not an integer, and the metric is int64"),
        (2**63, "int64", "integer beyond 64 bits"),
        (1e19, "int64", "integer beyond 64 bits"),
        (1, "bool", "expected a boolean, got int"),
        (1, "text", "expected text, got int"),
        ("a\0b", "text", "text holds a NUL character"),
        ("\ud800", "text", "text holds a lone surrogate at position 0"),
        ("x" * 65_537, "text", "has 65537 characters; allowed are 65536"),
    ],
)
def test_a_value_that_its_metric_does_not_take_is_a_rejected_row_with_the_reason(value, of, reason):
    good = {"float": 0.5, "int64": 1, "bool": False, "text": "x" * 65_536}[of]
    batch = sort_points([Point("d", "m", NOW, good), Point("d", "m", NOW, value)], Known({"m": of}))
    assert batch.rejected == [Rejected(1, "value", reason)]
    assert batch.refused == {"m"}
    assert [group.values for group in batch.groups.values()] == [[good]]


@pytest.mark.parametrize(
    ("time", "reason"),
    [
        (datetime(2026, 1, 1), "a datetime without time zone"),  # noqa: DTZ001
        (date(2026, 1, 1), "expected a datetime, got date"),
        (1_700_000_000.0, "expected a datetime, got float"),
        (None, "expected a datetime, got NoneType"),
        (datetime.min.replace(tzinfo=timezone(timedelta(hours=2))), "0001-01-01T00:00:00+02:00 is outside the years"),
        (datetime.max.replace(tzinfo=timezone(timedelta(hours=-2))), "9999-12-31T23:59:59.999999-02:00 is outside"),
    ],
)
def test_a_time_that_names_no_instant_is_a_rejected_row_with_the_reason(time, reason):
    batch = sort_points([Point("d", "m", NOW, 1.0), Point("d", "m", time, 1.0)], Known({}))
    ((index, field, got),) = [(row.index, row.field, row.reason) for row in batch.rejected]
    assert (index, field) == (1, "time")
    assert got.startswith(reason)


def test_what_is_no_point_is_a_rejected_row():
    batch = sort_points([Point("d", "m", NOW, 1.0), ("d", "m", NOW, 1.0), None], Known({}))
    assert [row.reason for row in batch.rejected] == ["expected a Point, got tuple", "expected a Point, got NoneType"]


@pytest.mark.parametrize(("value", "of"), [(True, "bool"), (21, "float"), (21.5, "float"), ("on", "text")])
def test_a_new_metric_is_typed_by_its_first_value_and_every_number_makes_a_float(value, of):
    assert sort_points([Point("d", "m", NOW, value)], Known({})).types == {"m": of}


def test_a_value_that_is_refused_types_no_metric():
    rows = [Point("d", "m", NOW, math.nan), Point("d", "m", None, "late"), Point("d", "m", NOW, True)]
    batch = sort_points(rows, Known({}))
    assert batch.types == {"m": "bool"}
    assert [row.index for row in batch.rejected] == [0, 1]


def test_spellings_of_a_metric_share_a_series_and_keep_the_order_of_the_batch():
    rows = [Point("d", name, NOW, float(at)) for at, name in enumerate(["Temp", "temp", "TEMP", "Temp", "temp"])]
    (group,) = sort_points(rows, Known({})).groups.values()
    assert group.values == [0.0, 1.0, 2.0, 3.0, 4.0]
    assert group.name == "Temp"
