"""Time zones of the tzdata wheel, and the exact instants at which their UTC offset changes.

The system's own zone files are never read: the same store gives the same days on every machine. Changes up to the
last one written in a zone's file are read from the file; those of the yearly rule after it are searched in the year.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from datetime import UTC, timedelta
from functools import cache
from io import BytesIO
from typing import Final
from zoneinfo import ZoneInfo

from iotstore._calendar.civil import DAY, SECOND, year_of, year_start
from iotstore._clock import EPOCH, MIN_MICROS
from iotstore.errors import InvalidValue

__all__ = ["Zone", "zone", "zone_names"]

_CYCLE: Final = 400  # the Gregorian calendar, weekdays included, repeats after so many years
# A local time in year 1 would be before the first datetime for a zone west of Greenwich.
_EARLIEST: Final = MIN_MICROS + 2 * DAY


class Zone:
    """One time zone: its name, its ``ZoneInfo``, and its offsets in integer microseconds. Used from many threads."""

    __slots__ = ("_instants", "_last", "_offsets", "_rule", "_rule_years", "info", "name")

    def __init__(self, name: str, data: bytes) -> None:
        self.name = name
        self.info = ZoneInfo.from_file(BytesIO(data), key=name)
        written, self._rule = _read(data)
        self._instants: list[int] = []
        self._offsets: list[int] = [self._ask(_EARLIEST)]
        for instant in written:
            offset = self._ask(instant)
            if offset != self._offsets[-1]:
                self._instants.append(instant)
                self._offsets.append(offset)
        self._last = written[-1] if written else _EARLIEST
        self._rule_years: dict[int, list[tuple[int, int]]] = {}

    def offset(self, time: int) -> int:
        """The UTC offset in force at an instant, in microseconds, east positive."""
        return self.offsets(time, time + 1)[0][1]

    def offsets(self, start: int, end: int) -> list[tuple[int, int]]:
        """The instants in ``[start, end)`` from which an offset is in force, with it; the first entry is at *start*."""
        at = bisect_right(self._instants, start)
        found = [(start, self._offsets[at])]
        for position in range(at, len(self._instants)):
            instant = self._instants[position]
            if instant >= end:
                return found
            found.append((instant, self._offsets[position + 1]))
        if self._rule and end > self._last:
            self._add_rule(found, start, end)
        return found

    def spans(self, start: int, end: int) -> list[tuple[int, int, int]]:
        """The same as ``(from, to, offset)`` over ``[start, end)``; nothing for an empty range."""
        if start >= end:
            return []
        offsets = self.offsets(start, end)
        ends = [instant for instant, _ in offsets[1:]]
        return [(begin, until, offset) for (begin, offset), until in zip(offsets, [*ends, end], strict=True)]

    def _add_rule(self, found: list[tuple[int, int]], start: int, end: int) -> None:
        """Add the changes by the yearly rule, which holds after the last written change."""
        # From the year before, because the offset at *start* is the one of the last change before it.
        for year in range(year_of(max(start, self._last) // DAY) - 1, year_of((end - 1) // DAY) + 1):
            begin = year_start(year) * DAY
            for after, offset in self._changes_of(year):
                instant = begin + after
                if self._last < instant <= start:
                    found[0] = (start, offset)
                elif max(self._last, start) < instant < end:
                    found.append((instant, offset))

    def _changes_of(self, year: int) -> list[tuple[int, int]]:
        """The changes of one year of the rule: microseconds since its start, and the new offset."""
        first = year_of(self._last // DAY)
        if year > first:
            year = first + 1 + (year - first - 1) % _CYCLE
        changes = self._rule_years.get(year)
        if changes is None:
            changes = self._rule_years[year] = self._search(year)
        return changes

    def _search(self, year: int) -> list[tuple[int, int]]:
        begin, end = year_start(year) * DAY, year_start(year + 1) * DAY
        changes: list[tuple[int, int]] = []
        # One second early: a change at the very start of the year belongs to it.
        low, low_offset = begin - SECOND, self._ask(begin - SECOND)
        while low < end - SECOND:
            # A rule has two changes a year, weeks apart, so that a step of a week holds one at most.
            high = min(low + 7 * DAY, end - SECOND)
            high_offset = self._ask(high)
            if high_offset != low_offset:
                changes.append((self._bisect(low, high, low_offset) - begin, high_offset))
            low, low_offset = high, high_offset
        return changes

    def _bisect(self, low: int, high: int, low_offset: int) -> int:
        """The instant in ``(low, high]`` at which *low_offset* ends; changes happen at whole seconds."""
        while high - low > SECOND:
            middle = low + (high - low) // (2 * SECOND) * SECOND
            if self._ask(middle) == low_offset:
                low = middle
            else:
                high = middle
        return high

    def _ask(self, time: int) -> int:
        """The offset that ``ZoneInfo`` knows: the only authority on offsets here."""
        instant = EPOCH + timedelta(microseconds=max(time, _EARLIEST))
        # astimezone() and replace() leave the local time of UTC, so that their difference is the offset to the second.
        offset = instant.astimezone(self.info).replace(tzinfo=UTC) - instant
        return offset // timedelta(microseconds=1)


def _read(data: bytes) -> tuple[list[int], bool]:
    """The instants of change written in a zone file (RFC 8536), and whether a yearly rule with changes follows."""
    header = struct.Struct(">4s c 15x 6l")
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(data)
    # The first block has times of 32 bits; every file of the wheel repeats it with 64 bits.
    second = header.size + times * 5 + types * 6 + chars + leap * 8 + isstd + isut
    _, _, isut, isstd, leap, times, types, chars = header.unpack_from(data, second)
    start = second + header.size
    seconds = struct.unpack_from(f">{times}q", data, start)
    footer = data[start + times * 9 + types * 6 + chars + leap * 12 + isstd + isut :]
    return [instant * SECOND for instant in seconds], b"," in footer


@cache
def zone_names() -> frozenset[str]:
    """The names of all time zones of the tzdata wheel."""
    return frozenset(_resource("zones").decode("ascii").split())


def zone(name: str) -> Zone:
    """The time zone of this name, as in "Europe/Kyiv"; the same object every time. Unknown names are InvalidValue."""
    if name not in zone_names():
        raise InvalidValue(f"no time zone {name!r} in the time zone database", field="zone", hint=_suggest(name))
    return _load(name)


@cache
def _load(name: str) -> Zone:
    return Zone(name, _resource("zoneinfo", *name.split("/")))


def _resource(*path: str) -> bytes:
    from importlib import resources  # noqa: PLC0415 - costs 12 ms at import, and most programs name no zone

    return resources.files("tzdata").joinpath(*path).read_bytes()


def _suggest(name: object) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - costs 6 ms, needed for this error only

    lowered = {known.casefold(): known for known in sorted(zone_names())}
    close = get_close_matches(str(name)[:100].casefold().replace(" ", "_"), lowered, n=1, cutoff=0.6)
    if close:
        return f"did you mean {lowered[close[0]]!r}?"
    return 'use a name such as "Europe/Berlin" or "UTC"'
