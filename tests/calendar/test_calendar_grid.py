"""Edges of buckets: fixed widths on the epoch, calendar units on the local clock."""

from __future__ import annotations

import time as stopwatch
from datetime import UTC, date, datetime, timedelta
from importlib import resources
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar import grid as grids
from iotstore._calendar.civil import DAY, HOUR, SECOND
from iotstore._calendar.every import Calendar, Fixed, Unit
from iotstore._calendar.grid import Grid, make_grid
from iotstore._calendar.zones import Zone, zone, zone_names
from iotstore._clock import MAX_MICROS, MIN_MICROS, from_micros, to_micros
from iotstore.errors import InvalidValue

NAMES = sorted(zone_names())
ODD = [
    "Africa/Cairo", "Africa/Casablanca", "America/Havana", "America/Juneau", "America/Scoresbysund", "America/St_Johns",
    "Antarctica/Troll", "Asia/Beirut", "Asia/Manila", "Australia/Lord_Howe", "Europe/Kyiv", "Pacific/Apia",
    "Pacific/Kwajalein",
]  # fmt: skip
FIRST, LAST = to_micros(datetime(1840, 1, 1, tzinfo=UTC)), to_micros(datetime(2500, 1, 1, tzinfo=UTC))


def reference(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def wall(info: ZoneInfo, time: int) -> datetime:
    return from_micros(time).astimezone(info)


def at(text: str) -> int:
    return to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def local_midnight(info: ZoneInfo, day: date) -> int:
    """When a day starts by the promise's words, found with datetimes only."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=info)  # fold=0: the first occurrence
    instant = to_micros(midnight.astimezone(UTC))
    if wall(info, instant).replace(tzinfo=None) == midnight.replace(tzinfo=None):
        return instant
    # It is skipped: fold=0 counts with the offset before the gap, fold=1 with the one after it.
    low, high = to_micros(midnight.replace(fold=1).astimezone(UTC)) - 1, instant
    before = wall(info, low).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if wall(info, middle).utcoffset() == before:
            low = middle
        else:
            high = middle
    return high


def starts_of(unit: Unit, info: ZoneInfo, start: int, end: int) -> list[int]:
    day = wall(info, start).date() - timedelta(days=40)
    found: set[int] = set()
    while day <= wall(info, end).date() + timedelta(days=40):
        if unit == "day" or (unit == "week" and day.isoweekday() == 1) or (unit == "month" and day.day == 1):
            found.add(local_midnight(info, day))
        day += timedelta(days=1)
    return sorted(found)


@st.composite
def ranges(draw: st.DrawFn, longest: int = 120 * DAY) -> tuple[str, int, int]:
    """A zone and a range, more often than not around a change of its offset."""
    name = draw(st.sampled_from(ODD) | st.sampled_from(NAMES))
    near = draw(st.integers(FIRST, LAST))
    changes = zone(name).offsets(near, near + 2000 * DAY)
    if len(changes) > 1 and draw(st.integers(0, 4)):
        near = draw(st.sampled_from(changes))[0] - draw(st.integers(0, 3 * DAY) | st.integers(0, 2 * HOUR))
    return name, near, near + draw(st.integers(1, longest))


def check_shape(grid: Grid, start: int, end: int) -> None:
    assert grid.edges[0] <= start < grid.edges[1]
    assert grid.edges[-2] < end <= grid.edges[-1]
    assert all(a < b for a, b in pairwise(grid.edges))
    assert len(grid) == len(grid.edges) - 1
    assert (grid.start, grid.end) == (start, end)
    assert (grid.buckets.start, grid.buckets.end) == (grid.edges[0], grid.edges[-1])
    for number, (edge, following) in enumerate(pairwise(grid.edges)):
        assert grid.buckets.number(edge) == grid.buckets.number(following - 1) == number
    assert grid.buckets.number(grid.edges[0] - 1) is None
    assert grid.buckets.number(grid.edges[-1]) is None


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(ranges(), st.sampled_from(["day", "week", "month"]))
def test_days_weeks_and_months_start_at_the_first_midnight_or_after_the_gap(where: tuple[str, int, int], unit: Unit):
    name, start, end = where
    grid = make_grid(Calendar(unit), name, start, end)
    check_shape(grid, start, end)
    starts = starts_of(unit, reference(name), grid.edges[0], grid.edges[-1])
    assert list(grid.edges) == [edge for edge in starts if grid.edges[0] <= edge <= grid.edges[-1]]


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(ranges(longest=10 * DAY), st.data())
def test_an_hour_bucket_is_one_local_hour_under_one_offset(where: tuple[str, int, int], data: st.DataObject):
    name, start, end = where
    info = reference(name)

    def hour(time: int) -> tuple[datetime, timedelta | None]:
        shown = wall(info, time)
        return shown.replace(minute=0, second=0, microsecond=0, tzinfo=None), shown.utcoffset()

    grid = make_grid(Calendar("hour"), name, start, end)
    check_shape(grid, start, end)
    for edge, following in pairwise(grid.edges):
        assert hour(edge - 1) != hour(edge) == hour(following - 1) != hour(following)
        assert following - edge <= HOUR
        assert hour(data.draw(st.integers(edge, following - 1))) == hour(edge) if len(grid) < 9 else True


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.integers(1, 40 * DAY), st.integers(MIN_MICROS, MAX_MICROS), st.integers(1, 5000))
def test_fixed_widths_are_aligned_to_the_epoch(width: int, start: int, count: int):
    end = min(start + width * count, MAX_MICROS + 1)
    grid = make_grid(Fixed(width), "UTC", start, end)
    check_shape(grid, start, end)
    assert all(edge % width == 0 for edge in grid.edges[1:-1])
    assert grid.edges[0] == max(start // width * width, MIN_MICROS)
    assert grid.edges[-1] == min(-(-end // width) * width, MAX_MICROS + 1)


def test_times_before_1970_are_floored_not_truncated():
    grid = make_grid(Fixed(HOUR), "UTC", -1, 1)
    assert grid.edges == (-HOUR, 0, HOUR)
    assert len(grid.buckets.pieces) == 1


def hours(unit: Unit, name: str, start: str, end: str) -> list[tuple[str, float]]:
    edges = make_grid(Calendar(unit), name, at(start), at(end)).edges
    info = reference(name)
    return [(f"{wall(info, a):%m-%dT%H:%M}", (b - a) / HOUR) for a, b in pairwise(edges)]


def test_kyiv_days_have_23_and_25_hours():
    assert hours("day", "Europe/Kyiv", "2024-03-30T12:00", "2024-04-01T12:00") == [
        ("03-30T00:00", 24), ("03-31T00:00", 23), ("04-01T00:00", 24),
    ]  # fmt: skip
    assert hours("day", "Europe/Kyiv", "2024-10-26T12:00", "2024-10-28T12:00") == [
        ("10-26T00:00", 24), ("10-27T00:00", 25), ("10-28T00:00", 24),
    ]  # fmt: skip


def test_a_havana_day_starts_at_one_when_midnight_is_skipped():
    assert hours("day", "America/Havana", "2024-03-09T12:00", "2024-03-11T12:00") == [
        ("03-09T00:00", 24), ("03-10T01:00", 23), ("03-11T00:00", 24),
    ]  # fmt: skip


def test_a_havana_midnight_that_comes_twice_counts_the_first_time():
    assert hours("day", "America/Havana", "2024-11-02T12:00", "2024-11-04T12:00") == [
        ("11-02T00:00", 24), ("11-03T00:00", 25), ("11-04T00:00", 24),
    ]  # fmt: skip


def test_a_beirut_day_starts_at_one_when_midnight_is_skipped():
    assert hours("day", "Asia/Beirut", "2024-03-30T12:00", "2024-04-01T12:00") == [
        ("03-30T00:00", 24), ("03-31T01:00", 23), ("04-01T00:00", 24),
    ]  # fmt: skip


def test_st_johns_midnight_comes_before_the_clock_goes_back_at_one_past():
    assert hours("day", "America/St_Johns", "2009-10-31T12:00", "2009-11-02T12:00") == [
        ("10-31T00:00", 24), ("11-01T00:00", 25), ("11-02T00:00", 24),
    ]  # fmt: skip
    assert hours("hour", "America/St_Johns", "2009-11-01T01:45", "2009-11-01T04:00") == [
        ("10-31T23:00", 1), ("11-01T00:00", 1 / 60), ("10-31T23:01", 59 / 60), ("11-01T00:00", 1),
    ]  # fmt: skip


def test_the_day_that_apia_skipped_has_no_bucket():
    assert hours("day", "Pacific/Apia", "2011-12-29T12:00", "2012-01-01T08:00") == [
        ("12-29T00:00", 24), ("12-31T00:00", 24), ("01-01T00:00", 24),
    ]  # fmt: skip


def test_the_day_that_juneau_lived_twice_is_one_long_bucket():
    assert max(length for _, length in hours("day", "America/Juneau", "1867-10-15", "1867-10-22")) == 48


def test_lord_howe_has_hours_of_half_an_hour():
    assert hours("hour", "Australia/Lord_Howe", "2024-10-05T14:40", "2024-10-05T17:00") == [
        ("10-06T01:00", 1), ("10-06T02:30", 0.5), ("10-06T03:00", 1),
    ]  # fmt: skip
    assert hours("hour", "Australia/Lord_Howe", "2024-04-06T13:40", "2024-04-06T16:30") == [
        ("04-07T00:00", 1), ("04-07T01:00", 1), ("04-07T01:30", 0.5), ("04-07T02:00", 1),
    ]  # fmt: skip


def test_a_repeated_hour_is_two_buckets():
    assert [start for start, _ in hours("hour", "Europe/Kyiv", "2024-10-26T23:00", "2024-10-27T03:00")] == [
        "10-27T02:00", "10-27T03:00", "10-27T03:00", "10-27T04:00",
    ]  # fmt: skip


def test_ramadan_gives_casablanca_two_odd_days_in_a_spring():
    lengths = [length for _, length in hours("day", "Africa/Casablanca", "2025-02-01", "2025-05-01")]
    assert sorted(length for length in lengths if length != 24) == [23, 25]


def test_weeks_start_on_monday_and_months_on_the_first():
    assert [start for start, _ in hours("week", "Europe/Kyiv", "2024-01-01T12:00", "2024-01-20")] == [
        "01-01T00:00", "01-08T00:00", "01-15T00:00",
    ]  # fmt: skip
    assert hours("month", "UTC", "2024-02-10", "2024-03-10") == [("02-01T00:00", 29 * 24), ("03-01T00:00", 31 * 24)]


def test_runs_of_equal_width_are_one_piece():
    year = make_grid(Calendar("day"), "Europe/Kyiv", at("2024-01-01"), at("2025-01-01"))
    assert [piece.width // HOUR for piece in year.buckets.pieces] == [24, 23, 24, 25, 24]
    assert len(make_grid(Calendar("hour"), "Europe/Kyiv", at("2024-01-01"), at("2025-01-01")).buckets.pieces) == 1


@pytest.mark.parametrize("name", ["UTC", "America/Havana", "Pacific/Kiritimati"])
@pytest.mark.parametrize(
    "every", [Calendar("hour"), Calendar("day"), Calendar("week"), Calendar("month"), Fixed(7 * DAY)]
)
def test_edges_never_leave_the_years_1_to_9999(name: str, every: Fixed | Calendar):
    for start, end in ((MIN_MICROS, MIN_MICROS + DAY), (MAX_MICROS - DAY, MAX_MICROS + 1)):
        grid = make_grid(every, name, start, end)
        check_shape(grid, start, end)
        assert grid.edges[0] >= MIN_MICROS
        assert grid.edges[-1] <= MAX_MICROS + 1
        assert from_micros(grid.edges[-2]).year in (1, 9999)


def test_all_months_of_the_calendar_are_12_a_year():
    assert len(make_grid(Calendar("month"), "UTC", MIN_MICROS, MAX_MICROS + 1)) == 9999 * 12
    assert len(make_grid(Calendar("month"), "Europe/Kyiv", MIN_MICROS, MAX_MICROS + 1)) == 9999 * 12 + 1


def test_an_empty_range_has_no_bucket():
    grid = make_grid(Calendar("day"), "UTC", 5, 5)
    assert (len(grid), grid.edges, grid.buckets.pieces, grid.buckets.number(5)) == (0, (5,), (), None)


@pytest.mark.parametrize(
    ("every", "count"), [(Fixed(SECOND), "31,622,400"), (Calendar("hour"), "8,784"), (Calendar("day"), "366")]
)
def test_too_many_buckets_are_refused_with_their_count(every: Fixed | Calendar, count: str):
    with pytest.raises(InvalidValue, match=f"{count}, and at most 365 .* ask for wider buckets or a shorter range"):
        make_grid(every, "UTC", at("2024-01-01"), at("2025-01-01"), limit=365)


def test_a_limit_is_kept_exactly():
    day = (at("2024-10-27"), at("2024-10-28"))
    assert len(make_grid(Calendar("hour"), "UTC", *day, limit=24)) == 24
    with pytest.raises(InvalidValue, match="would be 25, and at most 24"):
        make_grid(Calendar("hour"), "UTC", day[0] + 1, day[1] + 1, limit=24)


def test_all_microseconds_of_all_time_are_refused_at_once():
    before = stopwatch.perf_counter()
    with pytest.raises(InvalidValue, match="315,537,897,600,000,000"):
        make_grid(Fixed(1), "UTC", MIN_MICROS, MAX_MICROS + 1)
    with pytest.raises(InvalidValue, match="87,649,416"):
        make_grid(Calendar("hour"), "Europe/Kyiv", MIN_MICROS, MAX_MICROS + 1)
    assert stopwatch.perf_counter() - before < 1


def test_a_range_that_runs_backwards_is_refused():
    with pytest.raises(InvalidValue, match="before it; swap start and end"):
        make_grid(Calendar("day"), "UTC", 2, 1)


@pytest.mark.parametrize(("start", "end"), [(MIN_MICROS - 1, 0), (0, MAX_MICROS + 2)])
def test_a_range_beyond_the_calendar_is_refused(start: int, end: int):
    with pytest.raises(InvalidValue, match="the range leaves the years 1 to 9999"):
        make_grid(Fixed(400 * DAY), "UTC", start, end)


def test_an_unknown_zone_is_refused_for_fixed_widths_too():
    with pytest.raises(InvalidValue, match="no time zone 'Nowhere'"):
        make_grid(Fixed(DAY), "Nowhere", 0, DAY)


def test_a_clock_that_goes_back_twice_in_a_row_does_not_start_a_day_again():
    """No zone does so: this one goes back from 01:00 to 23:00, and half an hour later from 23:30 to 22:30."""

    class Restless(Zone):
        def __init__(self) -> None:
            self.name = "Restless"

        def spans(self, start: int, end: int) -> list[tuple[int, int, int]]:
            first = 10 * DAY
            changes = [start, first, first + HOUR // 2, end]
            offsets = [HOUR, -HOUR, -2 * HOUR]
            return [(a, b, offset) for (a, b), offset in zip(pairwise(changes), offsets, strict=True)]

    assert [edge / HOUR for edge in grids._days("day", Restless(), 9 * DAY, 11 * DAY) if 9 * DAY < edge < 12 * DAY] == [
        10 * 24 - 1, 11 * 24 + 2,
    ]  # fmt: skip
