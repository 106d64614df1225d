"""The buckets of a range of time: their edges, and how they are numbered.

Fixed widths are aligned to 1970-01-01T00:00Z, before it too. Calendar units follow the local clock of a zone:

* A day, week or month starts when the local clock first shows its first midnight, or at the first instant after a gap
  that skips this midnight. So a midnight that comes twice counts the first time, and a day that a gap skips whole
  (Apia, 2011-12-30) has no bucket.
* An hour bucket holds instants of one local hour under one UTC offset. It ends at a full local hour and wherever the
  offset changes. So a repeated hour is two buckets, and a change inside an hour leaves short ones: in Lord Howe the
  clock goes back from 02:00 to 01:30, which gives 01:00-02:00 and then 01:30-02:00.

No edge lies outside of what a ``datetime`` can hold: the first is not before 0001-01-01, and the last is not after
the microsecond that follows the last one of year 9999.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from iotstore._calendar.civil import DAY, HOUR, month_of, month_start
from iotstore._calendar.every import Every, Fixed, Unit
from iotstore._calendar.zones import Zone, zone
from iotstore._clock import MAX_MICROS, MIN_MICROS
from iotstore._waist.buckets import Buckets, Piece
from iotstore.errors import InvalidValue

__all__ = ["BUCKET_LIMIT", "Grid", "check_range", "make_grid"]

BUCKET_LIMIT: Final = 1_000_000
_END: Final = MAX_MICROS + 1
_DAYS: Final = {"day": 1, "week": 7, "month": 31}
_FIRST_MONDAY: Final = 4 * DAY  # 1970-01-05
# Longer than any day that the clock made longer (48 h, where the date line moved), so that what was before is settled.
_MARGIN: Final = 4 * DAY


@dataclass(frozen=True, slots=True)
class Grid:
    """The n half-open buckets of the range ``[start, end)``: n + 1 ascending edges, and their numbers 0 to n - 1.

    The first edge may lie before *start* and the last one after *end*: the range itself is part of every question.
    An empty range has no bucket.
    """

    edges: tuple[int, ...]
    buckets: Buckets
    start: int
    end: int

    def __len__(self) -> int:
        return len(self.edges) - 1


def make_grid(every: Every, zone_name: str, start: int, end: int, *, limit: int = BUCKET_LIMIT) -> Grid:
    """The buckets of ``[start, end)``. A fixed width does not depend on the zone, which has to exist all the same.

    More than *limit* buckets are InvalidValue, as is a range that runs backwards or leaves the years 1 to 9999.
    """
    local = zone(zone_name)
    check_range(start, end)
    if start == end:
        return Grid((start,), Buckets((), end), start, end)
    if isinstance(every, Fixed):
        first = start // every.width * every.width
        count = -((first - end) // every.width)
        _check_count(count, limit, every)
        last = first + count * every.width
        edges: Sequence[int] = range(first, last + 1, every.width)
    else:
        nominal = HOUR if every.unit == "hour" else _DAYS[every.unit] * DAY
        _check_count((end - start) // nominal, limit, every)  # before the work, so that it stays bounded
        edges = _hours(local, start, end) if every.unit == "hour" else _days(every.unit, local, start, end)
        edges = edges[bisect_right(edges, start) - 1 : bisect_left(edges, end) + 1]
        _check_count(len(edges) - 1, limit, every)
    if isinstance(every, Fixed) and edges[0] >= MIN_MICROS and edges[-1] <= _END:
        pieces: tuple[Piece, ...] = (Piece(edges[0], every.width, 0),)
        return Grid(tuple(edges), Buckets(pieces, edges[-1]), start, end)
    clipped = (max(edges[0], MIN_MICROS), *edges[1:-1], min(edges[-1], _END))
    return Grid(clipped, Buckets(_runs(clipped), clipped[-1]), start, end)


def check_range(start: int, end: int) -> None:
    """Refuse a range that runs backwards or leaves the years 1 to 9999."""
    if start > end:
        raise InvalidValue(
            f"the range ends {end - start} microseconds from its start, before it",
            field="end",
            hint="swap start and end",
        )
    if start < MIN_MICROS or end > _END:
        raise InvalidValue("the range leaves the years 1 to 9999", field="start" if start < MIN_MICROS else "end")


def _check_count(count: int, limit: int, every: Every) -> None:
    if count > limit:
        width = f"{every.width} microseconds" if isinstance(every, Fixed) else f"a {every.unit}"
        raise InvalidValue(
            f"buckets of {width} over this range would be {count:,}, and at most {limit:,} are computed at once",
            field="every",
            hint="ask for wider buckets or a shorter range",
        )


def _runs(edges: Sequence[int]) -> tuple[Piece, ...]:
    """Number the buckets between edges; neighbours of equal width share a piece."""
    pieces: list[Piece] = []
    width = 0
    for number in range(len(edges) - 1):
        if edges[number + 1] - edges[number] != width:
            width = edges[number + 1] - edges[number]
            pieces.append(Piece(edges[number], width, number))
    return tuple(pieces)


def _hours(local: Zone, start: int, end: int) -> list[int]:
    edges: list[int] = []
    for begin, until, offset in local.spans(start - 2 * HOUR, end + 2 * HOUR):
        if edges:
            edges.append(begin)  # the offset changes here: the hour before it ends, whatever the clock shows
        full = -((-begin - offset) // HOUR) * HOUR - offset
        edges.extend(range(full + HOUR if edges and full == begin else full, until, HOUR))
    return edges


def _days(unit: Unit, local: Zone, start: int, end: int) -> list[int]:
    """Starts of days, weeks or months, from one not after *start* to one not before *end*."""
    reach = _DAYS[unit] * DAY + _MARGIN
    edges: list[int] = []
    shown: int | None = None  # the latest local time that the clock has shown so far, exclusive
    for begin, until, offset in local.spans(start - reach, end + reach):
        if shown is None:
            shown = begin + offset
        for midnight in _midnights(unit, shown, until + offset):
            # A midnight that this span's clock starts beyond was skipped by a gap: its day starts right after the gap.
            edge = max(midnight - offset, begin)
            if not edges or edge > edges[-1]:
                edges.append(edge)
        shown = max(shown, until + offset)
    return edges


def _midnights(unit: Unit, low: int, high: int) -> Iterable[int]:
    """Local times in ``[low, high)`` at which a day, week or month starts."""
    if low >= high:
        return ()
    if unit == "month":
        months = range(month_of((low - 1) // DAY) + 1, month_of((high - 1) // DAY) + 1)
        return [month_start(month) * DAY for month in months]
    width = _DAYS[unit] * DAY
    origin = _FIRST_MONDAY if unit == "week" else 0
    return range(low + (origin - low) % width, high, width)
