"""Zones come from the tzdata wheel and agree with ``ZoneInfo`` to the microsecond."""

from __future__ import annotations

import zoneinfo
from datetime import UTC, datetime, timedelta
from importlib import resources
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar import zones
from iotstore._calendar.civil import DAY, HOUR, SECOND, month_of, month_start, year_of, year_start
from iotstore._calendar.zones import zone, zone_names
from iotstore._clock import MAX_MICROS, MIN_MICROS, from_micros, to_micros
from iotstore.errors import InvalidValue

NAMES = sorted(zone_names())
MINUTE = 60 * SECOND


def reference(name: str) -> ZoneInfo:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


def wall_offset(info: ZoneInfo, time: int) -> int:
    found = from_micros(time).astimezone(info).utcoffset()
    assert found is not None
    return found // timedelta(microseconds=1)


def at(*fields: int) -> int:
    return to_micros(datetime(*fields, tzinfo=UTC))  # type: ignore[arg-type]


def minutes(name: str, start: int, end: int) -> list[tuple[str, float]]:
    return [
        (f"{from_micros(time):%Y-%m-%dT%H:%M:%S}", offset / MINUTE) for time, offset in zone(name).offsets(start, end)
    ]


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.sampled_from(NAMES), st.integers(at(1840, 1, 1), at(2600, 1, 1)), st.integers(1, 800 * DAY), st.data())
def test_every_offset_is_the_one_zoneinfo_knows(name: str, start: int, length: int, data: st.DataObject):
    info = reference(name)
    offsets = zone(name).offsets(start, start + length)
    assert offsets[0] == (start, wall_offset(info, start))
    for (_, before), (instant, after) in pairwise(offsets):
        assert start < instant < start + length
        assert (wall_offset(info, instant - 1), wall_offset(info, instant)) == (before, after)
        assert before != after
    for time in data.draw(st.lists(st.integers(start, start + length - 1), max_size=30)):
        in_force = [offset for instant, offset in offsets if instant <= time][-1]
        assert in_force == wall_offset(info, time) == zone(name).offset(time)


def test_no_change_of_any_zone_is_missed_between_2020_and_2045():
    """Sampled every 6 hours in the zones whose changes lie closest together, every 5 days in all others."""
    dense = {"Africa/Casablanca", "Africa/Cairo", "Africa/El_Aaiun", "Asia/Gaza", "Australia/Lord_Howe"}
    for name in NAMES:
        info, step = reference(name), 6 * HOUR if name in dense else 5 * DAY
        spans = iter(zone(name).spans(at(2020, 1, 1), at(2045, 1, 1)))
        begin, until, offset = next(spans)
        for time in range(at(2020, 1, 1), at(2045, 1, 1), step):
            while time >= until:
                begin, until, offset = next(spans)
            assert begin <= time
            assert wall_offset(info, time) == offset, (name, from_micros(time))


def test_lord_howe_changes_by_half_an_hour():
    assert minutes("Australia/Lord_Howe", at(2024, 1, 1), at(2025, 1, 1)) == [
        ("2024-01-01T00:00:00", 660),
        ("2024-04-06T15:00:00", 630),
        ("2024-10-05T15:30:00", 660),
    ]


def test_casablanca_leaves_summer_time_for_ramadan():
    assert minutes("Africa/Casablanca", at(2025, 1, 1), at(2026, 1, 1)) == [
        ("2025-01-01T00:00:00", 60),
        ("2025-02-23T02:00:00", 0),
        ("2025-04-06T02:00:00", 60),
    ]


def test_cairo_had_four_changes_in_the_summer_of_2014():
    assert [offset for _, offset in minutes("Africa/Cairo", at(2014, 1, 1), at(2015, 1, 1))] == [
        120,
        180,
        120,
        180,
        120,
    ]


def test_local_mean_time_keeps_its_seconds():
    assert (
        zone("Europe/Amsterdam").offset(at(1800, 1, 1)) % MINUTE
        == wall_offset(reference("Europe/Amsterdam"), at(1800, 1, 1)) % MINUTE
    )
    assert zone("Europe/Kyiv").offset(at(1850, 1, 1)) == 2 * HOUR + 2 * MINUTE + 4 * SECOND


def test_the_yearly_rule_holds_far_beyond_the_written_changes():
    assert minutes("Europe/Kyiv", at(9998, 6, 1), at(9999, 6, 1)) == [
        ("9998-06-01T00:00:00", 180),
        ("9998-10-25T01:00:00", 120),
        ("9999-03-28T01:00:00", 180),
    ]


@pytest.mark.parametrize("name", ["UTC", "America/Havana", "Pacific/Kiritimati", "Australia/Lord_Howe"])
def test_both_ends_of_the_calendar_have_an_offset(name: str):
    for end in (MIN_MICROS, MAX_MICROS):
        (span,) = zone(name).spans(end - 3 * DAY, end + 3 * DAY)
        assert span == (end - 3 * DAY, end + 3 * DAY, zone(name).offset(end))


def test_an_empty_range_has_no_span():
    assert zone("Europe/Kyiv").spans(5, 5) == []


def test_a_zone_is_loaded_once():
    assert zone("Europe/Kyiv") is zone("Europe/Kyiv")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Kiyv", "did you mean 'Europe/Kyiv'"),
        ("europe/kyiv", "did you mean 'Europe/Kyiv'"),
        ("America/New York", "did you mean 'America/New_York'"),
        ("", "use a name such as"),
        ("../../etc/passwd", "use a name such as"),
        ("Mars/Phobos", "no time zone 'Mars/Phobos'"),
    ],
)
def test_an_unknown_zone_is_refused_with_a_close_name(name: str, hint: str):
    with pytest.raises(InvalidValue, match=hint.replace(".", r"\.")) as caught:
        zone(name)
    assert caught.value.field == "zone"


def test_the_systems_zone_files_are_never_read(tmp_path: Path):
    (tmp_path / "Europe").mkdir()
    tokyo = resources.files("tzdata").joinpath("zoneinfo", "Asia", "Tokyo").read_bytes()
    (tmp_path / "Europe" / "Paris").write_bytes(tokyo)
    zones._load.cache_clear()
    zoneinfo.reset_tzpath(to=[str(tmp_path)])
    try:
        assert wall_offset(ZoneInfo.no_cache("Europe/Paris"), 0) == 9 * HOUR  # the trap is set
        assert zone("Europe/Paris").offset(0) == HOUR
    finally:
        zoneinfo.reset_tzpath()


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.integers(MIN_MICROS // DAY, MAX_MICROS // DAY))
def test_the_integer_calendar_is_the_gregorian_one(day: int):
    date = from_micros(day * DAY).date()
    months = date.year * 12 + date.month - 1
    assert (year_of(day), month_of(day)) == (date.year, months)
    assert day - month_start(months) + 1 == date.day
    assert day - year_start(date.year) + 1 == date.timetuple().tm_yday


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.integers(-5000, 20000))
def test_the_integer_calendar_needs_no_bounds(year: int):
    assert year_of(year_start(year)) == year
    assert year_of(year_start(year) - 1) == year - 1
    assert month_of(year_start(year)) == year * 12
    assert month_of(year_start(year) - 1) == year * 12 - 1
