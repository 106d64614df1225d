"""Parts of local time are what the clock on the wall shows."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib import resources
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar.civil import DAY, HOUR
from iotstore._calendar.parts import PARTS, part_buckets, part_value
from iotstore._calendar.zones import zone, zone_names
from iotstore._clock import MAX_MICROS, MIN_MICROS, from_micros, to_micros
from iotstore.errors import InvalidValue

NAMES = sorted(zone_names())
ODD = ["Africa/Casablanca", "America/Havana", "America/St_Johns", "Australia/Lord_Howe", "Pacific/Apia", "Europe/Kyiv"]


def at(text: str) -> int:
    return to_micros(datetime.fromisoformat(text).replace(tzinfo=UTC))


def shown(part: str, name: str, time: int) -> int:
    with resources.files("tzdata").joinpath("zoneinfo", *name.split("/")).open("rb") as file:
        local = from_micros(time).astimezone(ZoneInfo.from_file(file))
    return local.isoweekday() if part == "weekday" else int(getattr(local, part))


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(
    st.sampled_from(PARTS),
    st.sampled_from(ODD) | st.sampled_from(NAMES),
    st.integers(at("1840-01-01"), at("2500-01-01")),
    st.integers(1, 900 * DAY) | st.integers(1, 3 * DAY),
    st.data(),
)
def test_a_part_is_what_a_clock_in_the_zone_shows(part: str, name: str, start: int, length: int, data: st.DataObject):
    end = start + length
    buckets = part_buckets(part, name, start, end)
    assert (buckets.start, buckets.end) == (start, end)
    starts = [piece.start for piece in buckets.pieces]
    assert starts == sorted(set(starts))
    assert starts[-1] < end
    changes = [instant for instant, _ in zone(name).offsets(start, end)]
    times = data.draw(st.lists(st.integers(start, end - 1) | st.sampled_from(starts + changes), max_size=20))
    for time in (*times, *(time - 1 for time in times if time > start), start, end - 1):
        number = buckets.number(time)
        assert number is not None
        assert part_value(part, number) == shown(part, name, time)
    assert buckets.number(start - 1) is buckets.number(end) is None


def test_the_doubled_hour_counts_into_one_part():
    buckets = part_buckets("hour", "Europe/Kyiv", at("2024-10-26T21:00"), at("2024-10-27T22:00"))
    counted = [buckets.number(time) for time in range(buckets.start, buckets.end, HOUR)]
    assert counted == [0, 1, 2, 3, 3, *range(4, 24)]


def test_hours_of_a_year_are_one_piece_per_offset():
    assert len(part_buckets("hour", "Europe/Kyiv", at("2024-01-01"), at("2025-01-01")).pieces) == 3
    assert len(part_buckets("hour", "UTC", at("2000-01-01"), at("2025-01-01")).pieces) == 1


def test_a_week_of_days_numbers_from_monday():
    buckets = part_buckets("weekday", "UTC", at("2024-01-01"), at("2024-01-15"))
    numbers = [buckets.number(time) for time in range(buckets.start, buckets.end, DAY)]
    assert numbers == [0, 1, 2, 3, 4, 5, 6] * 2
    assert [part_value("weekday", number) for number in range(7)] == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("name", ["UTC", "America/Havana", "Pacific/Kiritimati"])
def test_both_ends_of_the_calendar_have_their_parts(part: str, name: str):
    for start, end in ((MIN_MICROS, MIN_MICROS + 3 * DAY), (MAX_MICROS - 3 * DAY, MAX_MICROS + 1)):
        buckets = part_buckets(part, name, start, end)
        middle = (start + end) // 2
        number = buckets.number(middle)
        assert number is not None
        assert part_value(part, number) == shown(part, name, middle)
        assert None not in (buckets.number(start), buckets.number(end - 1))


def test_an_empty_range_has_no_piece():
    assert part_buckets("hour", "UTC", 7, 7).pieces == ()


def test_an_unknown_part_is_refused():
    with pytest.raises(InvalidValue, match="'minute' is no part of a time; use one of hour, weekday, day, month, year"):
        part_buckets("minute", "UTC", 0, 1)
    with pytest.raises(InvalidValue, match="'minute' is no part of a time"):
        part_value("minute", 0)


def test_a_backward_range_is_refused():
    with pytest.raises(InvalidValue, match="swap start and end"):
        part_buckets("hour", "UTC", 1, 0)
