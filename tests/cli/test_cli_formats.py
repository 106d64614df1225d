"""Numbers, sizes, durations and instants as people read and type them."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore.cli import _formats as formats

NOW = datetime(2025, 6, 16, tzinfo=UTC)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (999.6, "1.0 kB"),
        (1500, "1.5 kB"),
        (99_949, "99.9 kB"),
        (999_999, "1.0 MB"),
        (10**12, "1.0 TB"),
        (-2000, "-2.0 kB"),
    ],
)
def test_sizes_are_decimal_and_never_show_a_thousand_of_a_unit(count: float, text: str) -> None:
    assert formats.size(count) == text


@given(st.integers(0, 10**17))
def test_a_size_is_always_short(count: int) -> None:
    assert len(formats.size(count)) <= 8


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(milliseconds=180), "180 ms"),
        (timedelta(seconds=4.2), "4.2 s"),
        (timedelta(seconds=59.97), "1 min"),
        (timedelta(minutes=59, seconds=40), "1 h"),
        (timedelta(hours=23, minutes=59, seconds=50), "1 d"),
        (timedelta(days=3, hours=4), "3 d 4 h"),
        (timedelta(minutes=-5), "-5 min"),
    ],
)
def test_durations_are_shown_in_their_two_largest_units(span: timedelta, text: str) -> None:
    assert formats.duration(span) == text


@pytest.mark.parametrize(
    ("when", "text"),
    [
        (None, "never"),
        (NOW, "now"),
        (NOW - timedelta(seconds=7), "7 s ago"),
        (NOW - timedelta(minutes=4), "4 min ago"),
        (NOW + timedelta(hours=2), "in 2 h"),
    ],
)
def test_ago_says_how_long_before_now(when: datetime | None, text: str) -> None:
    assert formats.ago(when, NOW) == text


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("24h", timedelta(days=1)),
        ("1d12h", timedelta(hours=36)),
        ("1.5h", timedelta(minutes=90)),
        ("2w", timedelta(weeks=2)),
        ("1y", timedelta(days=365)),
    ],
)
def test_typed_durations_are_understood(text: str, span: timedelta) -> None:
    assert formats.parse_duration(text) == span


@pytest.mark.parametrize("text", ["", "24", "h", "24h\n", "-3h", "٣h", "1h 30m"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration; write it like 90s, 15m, 24h"):
        formats.parse_duration(text)


def test_a_duration_beyond_all_time_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than any duration can be"):
        formats.parse_duration("9" * 30 + "w")


@pytest.mark.parametrize("text", ["2025-06-16", "2025-06-16T00:00Z", "2025-06-16T02:00+02:00"])
def test_typed_times_are_utc_unless_they_say_otherwise(text: str) -> None:
    assert formats.parse_instant(text) == NOW


def test_what_is_no_time_is_refused_with_an_example() -> None:
    with pytest.raises(ValueError, match="is no time; write it like 2025-06-15"):
        formats.parse_instant("yesterday")


def test_values_are_shown_with_their_unit_and_flags_as_words() -> None:
    assert [formats.value(21.5, "°C"), formats.value(True), formats.value("heating"), formats.value(1234)] == [
        "21.5 °C",
        "yes",
        "heating",
        "1,234",
    ]
