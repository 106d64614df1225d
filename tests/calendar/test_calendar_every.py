"""What an application may write as the width of buckets."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore._calendar.every import Calendar, Fixed, parse_every
from iotstore.errors import InvalidValue


@pytest.mark.parametrize(
    ("every", "width"),
    [
        ("250us", timedelta(microseconds=250)),
        ("100ms", timedelta(milliseconds=100)),
        ("30s", timedelta(seconds=30)),
        ("15m", timedelta(minutes=15)),
        ("1h", timedelta(hours=1)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_a_number_with_a_unit_is_a_fixed_width(every: str, width: timedelta):
    assert parse_every(every) == parse_every(width) == Fixed(width // timedelta(microseconds=1))


@pytest.mark.parametrize("unit", ["hour", "day", "week", "month"])
def test_a_units_name_is_a_calendar_unit(unit: str):
    assert parse_every(unit) == Calendar(unit)  # type: ignore[arg-type]


@given(st.timedeltas(min_value=timedelta(microseconds=1), max_value=timedelta(days=3_000_000)))
def test_any_positive_timedelta_is_exact(width: timedelta):
    parsed = parse_every(width)
    assert isinstance(parsed, Fixed)
    assert timedelta(microseconds=parsed.width) == width


@pytest.mark.parametrize("every", ["", "h", "1", "1.5h", "-1h", "1 h", "1H", "1month", "day ", "1h\n", "١h", "year"])
def test_any_other_text_is_refused(every: str):
    with pytest.raises(InvalidValue, match=r"every: .* is no bucket width; use a timedelta, a width such as"):
        parse_every(every)


@pytest.mark.parametrize("every", ["0s", timedelta(0), timedelta(microseconds=-1)])
def test_a_width_has_to_be_positive(every: timedelta | str):
    with pytest.raises(InvalidValue, match="is not positive"):
        parse_every(every)


@pytest.mark.parametrize("every", ["999999999999999999w", timedelta.max])
def test_a_width_beyond_the_calendar_is_refused(every: timedelta | str):
    with pytest.raises(InvalidValue, match="is wider than all of time"):
        parse_every(every)


def test_a_bare_number_is_refused_because_its_unit_is_unknown():
    with pytest.raises(InvalidValue, match="a int is no bucket width"):
        parse_every(60)  # type: ignore[arg-type]
