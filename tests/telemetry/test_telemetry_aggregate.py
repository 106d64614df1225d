"""Aggregates: every function over every grid agrees with a naive computation from the points themselves."""

import math
import statistics
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iotstore import InvalidValue, Metric, NotFound, Point
from iotstore._calendar.every import Fixed
from iotstore._calendar.grid import make_grid
from iotstore._domains._telemetry.aggregating import within
from iotstore.backend import SeriesReader

START = datetime(2026, 3, 1, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
FUNCTIONS = ["count", "sum", "mean", "min", "max", "first", "last", "stddev", "median", "p90"]


def write(store, rows, device="a", metric="m"):
    store.telemetry.write(
        [Point(device, metric, START + at * MINUTE, value) for at, value in rows], on_conflict="replace"
    )


def naive(rows, start, end, width):
    """One dictionary per non-empty bucket of whole minutes, computed in the plainest way."""
    buckets = {}
    for at, value in sorted(dict(rows).items()):
        if start <= at < end:
            buckets.setdefault(at // width, []).append(value)
    answer = []
    for number, values in buckets.items():
        ordered = sorted(values)

        def percentile(share, ordered=ordered):
            rank = Fraction(share, 100) * (len(ordered) - 1)
            low = int(rank)
            high = min(low + 1, len(ordered) - 1)
            return float(Fraction(ordered[low]) + (rank - low) * (Fraction(ordered[high]) - Fraction(ordered[low])))

        total = math.fsum(values)
        answer.append(
            (
                START + number * width * MINUTE,
                {
                    "count": len(values), "sum": total, "mean": total / len(values), "min": ordered[0],
                    "max": ordered[-1], "first": values[0], "last": values[-1],
                    "stddev": statistics.stdev(values) if len(values) > 1 else None,
                    "median": percentile(50), "p90": percentile(90),
                },
            )
        )  # fmt: skip
    return answer


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 300), st.floats(-1e6, 1e6)), max_size=40),
    st.tuples(st.integers(0, 300), st.integers(0, 300)).map(sorted),
    st.sampled_from([1, 7, 60]),
    st.booleans(),
)
def test_every_function_agrees_with_a_naive_computation_in_any_range(store, rows, span, width, exact):
    start, end = span
    store.telemetry.define(Metric(name="m", type="float"))
    store.telemetry.delete("a", "m")
    write(store, rows)
    # The grid of minutes is aligned to midnight, where START lies too only for widths that divide a day.
    offset = int((START - datetime(1970, 1, 1, tzinfo=UTC)) / MINUTE) % width
    shifted = [(at + offset, value) for at, value in rows]
    expected = [
        (when - offset * MINUTE, values) for when, values in naive(shifted, start + offset, end + offset, width)
    ]
    for functions in (FUNCTIONS[:5], FUNCTIONS[:7], FUNCTIONS):  # partials, partials with edges, columns
        got = store.telemetry.aggregate(
            "a", "m", every=width * MINUTE, start=START + start * MINUTE, end=START + end * MINUTE,
            functions=functions, exact=exact,
        )  # fmt: skip
        assert [bucket.start for bucket in got] == [when for when, _ in expected]
        for bucket, (_, values) in zip(got, expected, strict=True):
            assert (bucket.device, bucket.metric, bucket.end - bucket.start) == ("a", "m", width * MINUTE)
            for function in functions:
                close = None if values[function] is None else pytest.approx(values[function], rel=1e-9, abs=1e-6)
                assert bucket[function] == close
                if exact and function == "sum":
                    assert bucket[function] == values[function]


@given(
    st.integers(-(10**9), 10**9), st.integers(0, 10**4), st.integers(1, 5000), st.sampled_from(["hour", "day", None])
)
def test_buckets_within_a_range_are_the_grid_s_buckets_cut_at_its_ends(first, length, width, unit):
    every = Fixed(width)
    if unit is not None:
        from iotstore._calendar.every import Calendar

        every, first, length = Calendar(unit), first * 1_000_000, length * 60_000_000
    grid = make_grid(every, "Europe/Kyiv", first, first + length)
    if not len(grid):
        return
    buckets = within(grid)
    samples = {first - 1, first, first + length - 1, first + length, first + length // 2}
    samples |= {edge + step for edge in grid.edges[:3] + grid.edges[-3:] for step in (-1, 0, 1)}
    for time in samples:
        expected = grid.buckets.number(time) if first <= time < first + length else None
        assert buckets.number(time) == expected


@pytest.mark.parametrize(("day", "hours"), [(datetime(2026, 3, 29), 23), (datetime(2026, 10, 25), 25)])  # noqa: DTZ001
def test_days_of_23_and_25_hours_hold_all_their_points_and_no_other(store, day, hours):
    zone = ZoneInfo("Europe/Kyiv")
    midnight = day.replace(tzinfo=zone).astimezone(UTC)
    store.telemetry.write([Point("a", "m", midnight + at * HOUR, 1.0) for at in range(-24, 49)])
    days = store.telemetry.aggregate(
        "a", "m", every="day", zone="Europe/Kyiv", start=midnight, end=midnight + 48 * HOUR, functions=["count", "sum"]
    )
    assert days[0].start == midnight
    assert days[0].end - days[0].start == timedelta(hours=hours)
    assert (days[0]["count"], days[0]["sum"]) == (hours, float(hours))
    by_hour = store.telemetry.aggregate(
        "a", "m", every="hour", zone="Europe/Kyiv", start=midnight, end=days[0].end, functions=["count"]
    )
    assert [bucket["count"] for bucket in by_hour] == [1] * hours


def test_a_range_ends_now_unless_said_otherwise(store, at):
    store.telemetry.write([Point("a", "m", at(-1), 1.0), Point("a", "m", at(0), 2.0), Point("a", "m", at(9), 3.0)])
    (bucket,) = store.telemetry.aggregate("a", "m", every="1d", start=at(-60), functions=["count"])
    assert bucket["count"] == 1


def test_results_of_many_devices_are_ordered_by_device_then_time(store):
    for device in "cab":
        write(store, [(0, 1.0), (60, 2.0)], device)
    write(store, [(0, 1.0)], "a", "other")
    ask = {"every": "1h", "start": START, "end": START + 2 * HOUR}
    keys = [(bucket.device, bucket.start) for bucket in store.telemetry.aggregate(None, "M", **ask)]
    assert keys == [(device, START + at * HOUR) for device in "abc" for at in (0, 1)]
    some = store.telemetry.aggregate(["c", "a", "c"], "m", **ask)
    assert [bucket.device for bucket in some] == ["a", "a", "c", "c"]
    assert {bucket.device for bucket in store.telemetry.aggregate(None, "other", **ask)} == {"a"}
    with pytest.raises(NotFound, match="no device with key 'gone'"):
        store.telemetry.aggregate(["a", "gone"], "m", **ask)
    assert store.telemetry.aggregate([], "m", **ask) == []


FILLS = {
    "none": [(1, 1.0), (4, 4.0)],
    "null": [(0, None), (1, 1.0), (2, None), (3, None), (4, 4.0), (5, None)],
    "previous": [(0, 9.0), (1, 1.0), (2, 1.0), (3, 1.0), (4, 4.0), (5, 4.0)],
    "linear": [(0, None), (1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, None)],
    -1: [(0, -1.0), (1, 1.0), (2, -1.0), (3, -1.0), (4, 4.0), (5, -1.0)],
}


@pytest.mark.parametrize("how", FILLS)
def test_fills_say_what_stands_in_buckets_without_points(store, how):
    write(store, [(-60, 9.0), (60, 1.0), (240, 4.0)])
    for functions in (["mean"], ["mean", "median"]):
        got = store.telemetry.aggregate(
            "a", "m", every=HOUR, start=START, end=START + 6 * HOUR, functions=functions, fill=how
        )
        assert [((bucket.start - START) // HOUR, bucket["mean"]) for bucket in got] == FILLS[how]


def test_a_device_without_the_metric_has_no_buckets_or_empty_ones(store):
    write(store, [(0, 1.0)])
    ask = {"every": "1h", "start": START, "end": START + 2 * HOUR, "functions": ["count", "mean"]}
    assert store.telemetry.aggregate("b", "m", **ask) == []
    empty = store.telemetry.aggregate("b", "m", fill="null", **ask)
    assert [(bucket["count"], bucket["mean"]) for bucket in empty] == [(0, None), (0, None)]


def test_counters_know_their_resets_and_the_value_before_the_range(store):
    write(store, [(-1, 5), (0, 10), (30, 40), (59, 3), (61, 13)])
    got = store.telemetry.aggregate(
        "a", "m", every="1h", start=START, end=START + 2 * HOUR, functions=["increase", "rate"]
    )
    assert [bucket["increase"] for bucket in got] == [5 + 30 + 3, 10]
    assert [bucket["rate"] for bucket in got] == [pytest.approx(38 / 3600), pytest.approx(10 / 3600)]


def test_a_time_weighted_mean_weighs_each_value_by_how_long_it_held(store):
    write(store, [(-30, 4.0), (15, 8.0), (45, 0.0)])
    got = store.telemetry.aggregate(
        "a", "m", every="1h", start=START, end=START + 2 * HOUR, functions=["time_weighted_mean"], fill="null"
    )
    assert [bucket["time_weighted_mean"] for bucket in got] == [pytest.approx((15 * 4 + 30 * 8) / 60), 0.0]


def test_texts_booleans_and_integers_have_the_functions_that_suit_them(store):
    store.telemetry.define(Metric(name="i", type="int64"))
    write(store, [(0, "b"), (1, "a"), (2, "c")], metric="t")
    write(store, [(0, True), (1, False), (2, True)], metric="b")
    write(store, [(0, 2**62), (1, 2**62 - 1), (2, -5)], metric="i")
    ask = {"every": "1h", "start": START, "end": START + HOUR}
    names = ["count", "min", "max", "first", "last"]
    (text,) = store.telemetry.aggregate("a", "t", functions=names, **ask)
    assert text.values == {"count": 3, "min": "a", "max": "c", "first": "b", "last": "c"}
    (flag,) = store.telemetry.aggregate("a", "b", functions=[*names, "sum", "mean"], **ask)
    assert flag.values == {"count": 3, "min": False, "max": True, "first": True, "last": True, "sum": 2, "mean": 2 / 3}
    assert type(flag["min"]) is bool
    (whole,) = store.telemetry.aggregate("a", "i", functions=["sum", "max"], **ask)
    assert repr(dict(whole.values)) == repr({"sum": 2**63 - 6, "max": 2**62})
    with pytest.raises(InvalidValue, match="functions: 'mean' of a text metric; it supports count, min"):
        store.telemetry.aggregate("a", "t", functions=["mean"], **ask)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"device": 5}, "device: expected the key of a device, several, or None, got int"),
        ({"functions": ["avg"]}, "functions: no function 'avg'"),
        ({"functions": "mean"}, "functions: a text instead of a list"),
        ({"functions": []}, "functions: none is asked for"),
        ({"fill": "next"}, "fill: no fill 'next'"),
        ({"every": 60}, "every: a int is no bucket width"),
        ({"every": timedelta(0)}, "every: a bucket width of 0:00:00 is not positive"),
        ({"every": "day", "zone": "Europe/Kiew"}, "zone: no time zone 'Europe/Kiew'"),
        ({"start": datetime(2026, 3, 1)}, "start: a datetime without time zone"),  # noqa: DTZ001
        ({"end": START - HOUR}, "end: the range ends .*; swap start and end"),
        ({"every": "1us"}, "every: buckets of 1 microseconds over this range would be"),
        ({"device": None, "fill": "null", "every": "1s", "end": START + 100 * HOUR}, "fill: 3 devices with 360,000"),
    ],
)
def test_questions_that_make_no_sense_are_refused(store, change, message):
    for device in "abc":
        write(store, [(0, 1.0)], device)
    ask = {"device": "a", "metric": "m", "every": "1h", "start": START, "end": START + HOUR, **change}
    with pytest.raises(InvalidValue, match=f"^{message}"):
        store.telemetry.aggregate(**ask)


def test_the_first_and_the_last_day_of_all_time_are_buckets_too(store):
    first, last = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
    store.telemetry.write([Point("a", "m", first, 1.0), Point("a", "m", last - HOUR, 2.0), Point("a", "m", last, 3.0)])
    (one,) = store.telemetry.aggregate("a", "m", every="day", start=first, end=first + HOUR)
    assert (one.start, one["mean"]) == (first, 1.0)
    (one,) = store.telemetry.aggregate("a", "m", every="day", start=last - 2 * HOUR, end=last)
    assert (one.end, one["mean"]) == (last, 2.0)


def test_an_empty_range_has_no_buckets(store):
    write(store, [(0, 1.0)])
    assert store.telemetry.aggregate("a", "m", every="1h", start=START, end=START, fill="null") == []


def test_only_who_accepts_materialized_values_is_given_them(store, monkeypatch):
    write(store, [(0, 1.0), (61, 2.0)])
    question = {"every": "1h", "start": START, "end": START + 2 * HOUR, "functions": ["sum"]}
    monkeypatch.setattr(SeriesReader, "fold_materialized", lambda _, series, *__, **___: [[] for _ in series])
    assert [row["sum"] for row in store.telemetry.aggregate("a", "m", **question)] == [1.0, 2.0]
    assert [row["sum"] for row in store.telemetry.aggregate("a", "m", consistency="current", **question)] == [1.0, 2.0]
    assert store.telemetry.aggregate("a", "m", consistency="materialized", **question) == []
    # Functions that need every point never come from sums.
    question["functions"] = ["median"]
    assert len(store.telemetry.aggregate("a", "m", consistency="materialized", **question)) == 2
    with pytest.raises(InvalidValue, match=r"no consistency 'eventual'.*use \"current\""):
        store.telemetry.aggregate("a", "m", consistency="eventual", **question)
