"""The Gregorian calendar on integers: days and microseconds since 1970, without the bounds of ``datetime``."""

from __future__ import annotations

from typing import Final

SECOND: Final = 1_000_000
HOUR: Final = 3600 * SECOND
DAY: Final = 24 * HOUR

_DAYS_TO_1970: Final = 719_162  # from 0001-01-01
_DAYS_IN_400_YEARS: Final = 146_097
_BEFORE_MONTH: Final = (0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334)


def year_start(year: int) -> int:
    """The day number of 1 January, any integer year."""
    past = year - 1
    return past * 365 + past // 4 - past // 100 + past // 400 - _DAYS_TO_1970


def month_start(months: int) -> int:
    """The day number of the first day of a month, counted as ``year * 12 + month - 1``."""
    year, month = divmod(months, 12)
    leap = month > 1 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return year_start(year) + _BEFORE_MONTH[month] + leap


def year_of(day: int) -> int:
    """The year that a day number lies in."""
    # The estimate by the mean length of a year is at most one off.
    year = (day + _DAYS_TO_1970) * 400 // _DAYS_IN_400_YEARS + 1
    if year_start(year) > day:
        return year - 1
    return year + 1 if year_start(year + 1) <= day else year


def month_of(day: int) -> int:
    """The month that a day number lies in, counted as ``year * 12 + month - 1``."""
    year = year_of(day)
    months = year * 12 + (day - year_start(year)) // 31  # never too late, at most one too early
    return months + 1 if months % 12 != 11 and month_start(months + 1) <= day else months
