"""Aggregates over SQLite against the same worked out in Python: every measure, group, order and bound."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import iotstore
from iotstore import (
    Address,
    InvalidValue,
    Kind,
    Overflow,
    Record,
    Store,
    count,
    count_distinct,
    every,
    field,
    max_,
    mean,
    min_,
    part,
    sum_,
)
from iotstore._engine.measures import ExactSum

NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)
KYIV = ZoneInfo("Europe/Kyiv")


class Reading(Record, frozen=True, kw_only=True):
    id: int = 0
    device: str = ""
    time: datetime | None = None
    number: int | None = None
    real: float | None = None
    on: bool | None = None
    wait: timedelta | None = None
    ip: Annotated[str | None, Address()] = None
    text: str | None = None
    tags: frozenset[str] = frozenset()


READINGS = Kind(Reading, "reading", "id", generated="id", indexes=[["time"]])
Opener = Callable[..., Store]


@pytest.fixture
def readings(open_store: Opener) -> Any:
    return open_store(kinds=[READINGS]).records(READINGS)


def sample(seed: int = 7, rows: int = 400) -> list[Reading]:
    chance = random.Random(seed)
    return [
        Reading(
            device=chance.choice("abc"),
            time=chance.choice([None, NOON + timedelta(minutes=chance.randrange(-100_000, 100_000))]),
            number=chance.choice([None, chance.randrange(-1000, 1000)]),
            real=chance.choice([None, chance.uniform(-1, 1)]),
            on=chance.choice([None, True, False]),
            wait=chance.choice([None, timedelta(microseconds=chance.randrange(10**9))]),
            ip=chance.choice([None, "10.0.0.9", "10.0.0.10", "::1"]),
            text=chance.choice([None, "a", "B", "ß", "\U0001f600"]),
        )
        for _ in range(rows)
    ]


def known(rows: Iterable[Reading], name: str) -> list[Any]:
    return [value for row in rows if (value := getattr(row, name)) is not None]


def by_device(rows: Iterable[Reading]) -> dict[str, list[Reading]]:
    groups: dict[str, list[Reading]] = defaultdict(list)
    for row in rows:
        groups[row.device].append(row)
    return dict(sorted(groups.items()))


def test_every_measure_of_every_field_is_what_python_computes(readings: Any) -> None:
    rows = sample()
    readings.add_many(rows)
    order = {"10.0.0.9": 1, "10.0.0.10": 2, "::1": 3}
    measures = {"n": count()}
    for name in ("time", "number", "real", "on", "wait", "ip", "text"):
        measures |= {f"count_{name}": count(name), f"kinds_{name}": count_distinct(name)}
        measures |= {f"min_{name}": min_(name), f"max_{name}": max_(name)}
    for name in ("number", "real", "on", "wait"):
        measures |= {f"sum_{name}": sum_(name), f"mean_{name}": mean(name)}

    found = readings.aggregate(measures, by=["device"])

    assert [row["device"] for row in found] == ["a", "b", "c"]
    for row, group in zip(found, by_device(rows).values(), strict=True):
        assert row["n"] == len(group)
        for name in ("time", "number", "real", "on", "wait", "ip", "text"):
            got = known(group, name)
            key = order.get if name == "ip" else None
            assert row[f"count_{name}"] == len(got)
            assert row[f"kinds_{name}"] == len(set(got))
            assert (row[f"min_{name}"], row[f"max_{name}"]) == (min(got, key=key), max(got, key=key))
            assert type(row[f"min_{name}"]) is type(got[0])
        numbers = known(group, "number")
        assert (row["sum_number"], row["mean_number"]) == (sum(numbers), sum(numbers) / len(numbers))
        assert row["sum_on"] == sum(known(group, "on"))
        waits = known(group, "wait")
        assert row["sum_wait"] == sum(waits, timedelta())
        micros = [wait // timedelta(microseconds=1) for wait in waits]
        assert row["mean_wait"] == timedelta(microseconds=round(Fraction(sum(micros), len(micros))))
        reals = known(group, "real")
        assert math.isclose(row["sum_real"], math.fsum(reals), abs_tol=1e-12 * math.fsum(map(abs, reals)))


def test_measures_of_nothing_are_none_and_counts_are_zero(readings: Any) -> None:
    measures = {"n": count(), "m": count("number"), "k": count_distinct("real")}
    nothing = {"s": sum_("number"), "r": sum_("real"), "a": mean("number"), "lo": min_("ip"), "hi": max_("time")}

    assert readings.aggregate(measures | nothing) == [{"n": 0, "m": 0, "k": 0, **dict.fromkeys(nothing)}]
    assert readings.aggregate(measures, by=["device"]) == []
    assert readings.aggregate(measures, by=[every("time", "day")]) == []

    readings.add(Reading(device="a"))
    assert readings.aggregate(measures | nothing, by=["device"]) == [
        {"device": "a", "n": 1, "m": 0, "k": 0, **dict.fromkeys(nothing)}
    ]


def test_a_missing_value_is_a_group_of_its_own_and_comes_first(readings: Any) -> None:
    readings.add_many([Reading(number=1), Reading(number=None), Reading(number=-5), Reading(number=None)])

    found = readings.aggregate({"n": count()}, by=["number"])

    assert [(row["number"], row["n"]) for row in found] == [(None, 2), (-5, 1), (1, 1)]


def test_groups_of_addresses_are_ordered_as_addresses(readings: Any) -> None:
    readings.add_many([Reading(ip=ip) for ip in ("10.0.0.10", "::1", "10.0.0.9")] + [Reading()])

    assert [row["ip"] for row in readings.aggregate({"n": count()}, by=["ip"])] == [
        None,
        "10.0.0.9",
        "10.0.0.10",
        "::1",
    ]
    ordered = readings.aggregate({"m": mean("number")}, by=["ip"], order=["m", "-ip"])
    assert [row["ip"] for row in ordered] == ["::1", "10.0.0.10", "10.0.0.9", None]


@pytest.mark.parametrize("exact", [False, True])
@pytest.mark.parametrize(
    "order",
    [["-n"], ["n", "-device"], ["-total"], ["average", "device"], ["-average"], ["-low", "-device"], "-device", []],
    ids=str,
)
@pytest.mark.parametrize("limit", [None, 0, 2, 100])
def test_any_order_and_limit_is_that_of_sorting_in_python(
    readings: Any, order: list[str], limit: int | None, *, exact: bool
) -> None:
    rows = [
        Reading(device=key, number=number)
        for key, number in zip("abcdeabcda", [1, 2, 2, None, 5, 3, 2, 2, None, 0], strict=True)
    ]
    readings.add_many(rows)
    measures = {"n": count(), "total": sum_("number"), "average": mean("number"), "low": min_("number")}
    expected = [
        {
            "device": device,
            "n": len(group),
            "total": sum(numbers) if (numbers := known(group, "number")) else None,
            "average": sum(numbers) / len(numbers) if numbers else None,
            "low": min(numbers, default=None),
        }
        for device, group in by_device(rows).items()
    ]
    for name in reversed([order] if isinstance(order, str) else order):
        bare = name.removeprefix("-")
        expected.sort(key=lambda row, bare=bare: (row[bare] is not None, row[bare]), reverse=name.startswith("-"))  # type: ignore[misc]

    assert readings.aggregate(measures, by=["device"], order=order, limit=limit, exact=exact) == expected[:limit]


# Time -------------------------------------------------------------------------------------------------------------


def test_days_of_a_zone_of_23_24_and_25_hours_hold_their_hours(readings: Any) -> None:
    start, end = datetime(2024, 3, 29, tzinfo=KYIV), datetime(2024, 10, 29, tzinfo=KYIV)
    instant, hours = start.astimezone(UTC), []
    while instant < end:
        hours.append(Reading(time=instant))
        instant += timedelta(hours=1)
    readings.add_many(hours)

    found = readings.aggregate({"n": count()}, by=[every("time", "day", zone="Europe/Kyiv")], start=start, end=end)

    lengths = {row["time"].astimezone(KYIV).date().isoformat(): row["n"] for row in found}
    assert (lengths["2024-03-30"], lengths["2024-03-31"], lengths["2024-10-27"]) == (24, 23, 25)
    assert all(row["time"].tzinfo is UTC and row["time"].astimezone(KYIV).hour == 0 for row in found)
    assert sum(lengths.values()) == len(hours)


@pytest.mark.parametrize("name", ["hour", "weekday", "day", "month", "year"])
def test_parts_of_local_time_are_what_the_local_clock_shows(readings: Any, name: Any) -> None:
    rows = [row for row in sample() if row.time is not None]
    readings.add_many([*rows, Reading(time=None)])
    shown: dict[int, int] = defaultdict(int)
    for row in rows:
        assert row.time is not None
        local = row.time.astimezone(KYIV)
        shown[local.isoweekday() if name == "weekday" else getattr(local, name)] += 1

    found = readings.aggregate({"n": count()}, by=[part("time", name, zone="Europe/Kyiv")])

    assert [(row[name], row["n"]) for row in found] == sorted(shown.items())


@pytest.mark.parametrize("exact", [False, True])
def test_several_groups_of_time_and_a_field_go_together(readings: Any, *, exact: bool) -> None:
    rows = sample()
    readings.add_many(rows)
    expected: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    for row in rows:
        if row.time is not None:
            week = row.time.date() - timedelta(days=row.time.weekday())
            expected[row.device, datetime(week.year, week.month, week.day, tzinfo=UTC), row.time.hour].append(
                row.real or 0.0
            )

    found = readings.aggregate(
        {"n": count(), "total": sum_("real")},
        by=["device", every("time", "week", name="week"), part("time", "hour")],
        exact=exact,
    )

    assert [(row["device"], row["week"], row["hour"]) for row in found] == sorted(expected)
    for row in found:
        reals = expected[row["device"], row["week"], row["hour"]]
        assert row["n"] == len(reals)
        assert math.isclose(row["total"] or 0.0, math.fsum(reals), abs_tol=1e-9)


def test_a_range_is_half_open_and_bounds_what_is_counted_not_where_buckets_begin(readings: Any) -> None:
    readings.add_many([Reading(time=NOON + timedelta(minutes=minutes)) for minutes in (-1, 0, 29, 30, 59, 60)])

    found = readings.aggregate({"n": count()}, by=[every("time", "1h")], start=NOON, end=NOON + timedelta(minutes=59))

    assert [(row["time"], row["n"]) for row in found] == [(NOON, 3)]


def test_buckets_before_1970_and_at_the_ends_of_the_calendar_are_aligned_too(readings: Any) -> None:
    times = [
        datetime.min.replace(tzinfo=UTC),
        datetime(1969, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(1970, 1, 1, tzinfo=UTC),
    ]
    readings.add_many([Reading(time=time) for time in times])

    found = readings.aggregate({"n": count()}, by=[every("time", timedelta(days=365))])

    starts = [row["time"] for row in found]
    assert sum(row["n"] for row in found) == 3
    assert starts[-1] == datetime(1970, 1, 1, tzinfo=UTC)
    assert all(start >= datetime.min.replace(tzinfo=UTC) for start in starts)
    assert all(later > earlier for earlier, later in pairwise(starts))


def test_an_empty_range_has_no_group(readings: Any) -> None:
    readings.add(Reading(time=NOON))

    assert readings.aggregate({"n": count()}, by=[every("time", "1h")], start=NOON, end=NOON) == []


def test_a_filter_goes_before_everything(readings: Any) -> None:
    rows = sample()
    readings.add_many(rows)

    found = readings.aggregate({"n": count()}, by=["device"], where=field("on") == True)  # noqa: E712 - a filter

    assert [row["n"] for row in found] == [sum(row.on is True for row in group) for group in by_device(rows).values()]


# Exactness --------------------------------------------------------------------------------------------------------

int64 = st.integers(-(2**63), 2**63 - 1) | st.sampled_from([2**63 - 1, -(2**63), 2**62])


@given(st.lists(int64, min_size=1, max_size=8))
@example([2**63 - 1, 1, -1])
@example([2**63 - 1, 2**63 - 1])
@example([-(2**63), -(2**63), 2**63 - 1, 2**63 - 1, 2])
@settings(max_examples=60, deadline=None)
def test_integer_sums_are_exact_or_overflow_even_when_the_engine_fails_on_the_way(numbers: list[int]) -> None:
    with iotstore.open("sqlite://:memory:", kinds=[READINGS]) as store:
        records = store.records(READINGS)
        records.add_many([Reading(number=number) for number in numbers])
        (row,) = records.aggregate({"mean": mean("number"), "low": min_("number")})

        assert (row["mean"], row["low"]) == (sum(numbers) / len(numbers), min(numbers))
        if -(2**63) <= sum(numbers) < 2**63:
            assert records.aggregate({"sum": sum_("number")}) == [{"sum": sum(numbers)}]
        else:
            with pytest.raises(Overflow, match="the sum of number is beyond 64 bits"):
                records.aggregate({"sum": sum_("number")})


def test_groups_are_ordered_by_their_exact_sums_when_the_engine_can_not_add_them(readings: Any) -> None:
    big = 2**63 - 1
    readings.add_many(
        [Reading(device="a", number=n) for n in (big, 1, -1)] + [Reading(device="b", number=n) for n in (5, big - 6)]
    )

    found = readings.aggregate({"total": sum_("number")}, by=["device"], order=["-total"], limit=1)

    assert found == [{"device": "a", "total": big}]


finite = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(finite | st.sampled_from([1e308, -1e308, 1e-300, 1.0, 1e16]), max_size=50), st.integers(1, 7))
@settings(max_examples=300)
def test_an_exact_sum_is_the_rounded_true_sum_however_it_is_put_together(numbers: list[float], compact: int) -> None:
    exact = ExactSum()
    exact._pending = compact
    for number in numbers:
        exact.add(number)
        if len(exact._parts) >= compact:
            exact._pending = 0
    true = sum(map(Fraction, numbers), Fraction(0))

    try:
        rounded = float(true)
    except OverflowError:
        with pytest.raises(OverflowError, match=r"."):
            exact.total()
    else:
        assert exact.total() == rounded
        assert exact.count == len(numbers)


def test_an_exact_sum_does_not_depend_on_the_order_of_the_rows(open_store: Opener, tmp_path: Any) -> None:
    chance = random.Random(5)
    numbers = [chance.uniform(-1, 1) * 10 ** chance.randrange(-20, 20) for _ in range(2000)]
    found = []
    for turn in range(3):
        chance.shuffle(numbers)
        records = open_store(url=f"sqlite:///{tmp_path}/{turn}.db", kinds=[READINGS]).records(READINGS)
        records.add_many([Reading(real=number, device="x") for number in numbers])
        found += records.aggregate({"sum": sum_("real"), "mean": mean("real"), "n": count()}, by=["device"], exact=True)

    assert found == [{"device": "x", "sum": math.fsum(numbers), "mean": math.fsum(numbers) / 2000, "n": 2000}] * 3


@pytest.mark.parametrize("exact", [False, True])
def test_a_sum_of_doubles_that_leaves_their_range_overflows(readings: Any, *, exact: bool) -> None:
    readings.add_many([Reading(real=1e308), Reading(real=1e308)])

    for measure in (sum_("real"), mean("real")):
        with pytest.raises(Overflow, match="the sum of real is beyond a double"):
            readings.aggregate({"x": measure}, exact=exact)


# Refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "problem"),
    [
        ({"measures": {}}, "an aggregate needs a measure"),
        ({"measures": {"x": sum_("text")}}, "text: has no sum: it is no number"),
        ({"measures": {"x": mean("time")}}, "time: has no mean: it is no number"),
        ({"measures": {"x": min_("tags")}}, "tags: a Tags field can't be compared"),
        ({"measures": {"x": sum_("nothing")}}, "reading has no field 'nothing'"),
        ({"by": ["tags"]}, "tags: a Tags field can't be compared"),
        ({"by": ["n"]}, "two results have one name: n, n"),
        ({"by": [every("time", "day"), every("time", "hour")]}, "two results have one name"),
        ({"by": [every("text", "day")]}, "text: time groups need one time field"),
        ({"by": [every("time", "day", zone="Europe/Atlantis")]}, "Europe/Atlantis"),
        ({"order": ["nothing"]}, "order: 'nothing' is none of the results; they are n"),
        ({"order": ["--n"]}, "order: '-n' is none of the results"),
        ({"limit": -1}, "limit: -1 is no number of groups"),
        ({"limit": True}, "limit: True is no number of groups"),
        ({"start": NOON}, "start and end bound a time group, and there is none"),
        ({"by": [every("time", "day")], "start": datetime(2024, 1, 1)}, "start: a datetime without time zone"),  # noqa: DTZ001 - the point
        ({"by": [every("time", "day")], "start": NOON, "end": NOON - timedelta(1)}, "end: the range ends"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
@pytest.mark.parametrize("exact", [False, True])
def test_a_question_that_makes_no_sense_is_refused(
    readings: Any, asked: dict[str, Any], problem: str, *, exact: bool
) -> None:
    readings.add(Reading(time=NOON, text="x"))

    with pytest.raises(InvalidValue, match=problem):
        readings.aggregate(**{"measures": {"n": count()}, "exact": exact, **asked})
