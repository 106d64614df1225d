"""Parts of local time as bucket numbers: the hour, weekday, day of the month, month or year that a clock shows.

The doubled hour of an autumn night counts into one part, because the clock shows the same hour twice.
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from iotstore._calendar.civil import DAY, HOUR, month_of, month_start, year_of, year_start
from iotstore._calendar.grid import check_range
from iotstore._calendar.zones import zone
from iotstore._waist.buckets import Buckets, Piece
from iotstore.errors import InvalidValue

__all__ = ["PARTS", "Part", "part_buckets", "part_value"]

Part: TypeAlias = Literal["hour", "weekday", "day", "month", "year"]

PARTS: Final[tuple[Part, ...]] = ("hour", "weekday", "day", "month", "year")
_MODULO: Final = {"hour": 24, "weekday": 7}
_A_MONDAY: Final = -3 * DAY  # 1969-12-29


def part_buckets(part: Part | str, zone_name: str, start: int, end: int) -> Buckets:
    """The numbering of exactly ``[start, end)`` by a part of local time; ``part_value`` tells what a number means."""
    known = _known(part)
    local = zone(zone_name)
    check_range(start, end)
    pieces: list[Piece] = []
    for begin, until, offset in local.spans(start, end):
        if known == "hour":
            _stepped(pieces, begin, until, offset, width=HOUR, modulo=24)
        elif known == "weekday":
            _stepped(pieces, begin, until, offset - _A_MONDAY, width=DAY, modulo=7)
        elif known == "year":
            _years(pieces, begin, until, offset)
        else:
            _months(pieces, begin, until, offset, days=known == "day")
    return Buckets(tuple(pieces), end, _MODULO.get(known))


def part_value(part: Part | str, number: int) -> int:
    """What a bucket number of ``part_buckets`` means: hours 0-23, ISO weekdays 1-7, days 1-31, months 1-12, years.

    Weekdays are numbered 0-6 in the waist, where numbers are taken modulo 7; the others mean themselves. The year is 0
    or 10000 for the few hours by which a local clock leaves the calendar.
    """
    return number + 1 if _known(part) == "weekday" else number


def _known(part: str) -> Part:
    if part not in PARTS:
        raise InvalidValue(f"{part!r} is no part of a time", field="part", hint=f"use one of {', '.join(PARTS)}")
    return part


def _stepped(pieces: list[Piece], begin: int, until: int, offset: int, *, width: int, modulo: int | None) -> None:
    """Add pieces whose number goes up by one at every multiple of *width* in local time."""
    number, inside = divmod(begin + offset, width)
    if modulo is not None:
        number %= modulo
    pieces.append(Piece(begin, width, number))
    following = begin - inside + width
    if inside and following < until:  # the division of a piece starts at its start: one of its own up to the full step
        number = number + 1 if modulo is None else (number + 1) % modulo
        pieces.append(Piece(following, width, number))


def _months(pieces: list[Piece], begin: int, until: int, offset: int, *, days: bool) -> None:
    month = month_of((begin + offset) // DAY)
    while begin < until:
        origin = month_start(month) * DAY - offset
        following = min(month_start(month + 1) * DAY - offset, until)
        if days:
            # Local time counted from the day before the first, so that the first of the month is day 1.
            _stepped(pieces, begin, following, DAY - origin, width=DAY, modulo=None)
        else:
            pieces.append(Piece(begin, following - begin, month % 12 + 1))
        begin, month = following, month + 1


def _years(pieces: list[Piece], begin: int, until: int, offset: int) -> None:
    year = year_of((begin + offset) // DAY)
    while begin < until:
        following = min(year_start(year + 1) * DAY - offset, until)
        pieces.append(Piece(begin, following - begin, year))
        begin, year = following, year + 1
