"""Time buckets as a backend sees them, and the folding of columns of points into them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from iotstore._waist.layout import Value
from iotstore._waist.partials import Partial, Partials

__all__ = ["Buckets", "Piece", "fold_columns", "merge", "merge_partials"]


class Piece(NamedTuple):
    """A run of buckets of one width.

    From *start* to the next piece's start, ``t`` has number ``first + (t - start) // width``. As ``t >= start``, an
    engine's truncating division serves too.
    """

    start: int
    width: int
    first: int


@dataclass(frozen=True, slots=True)
class Buckets:
    """How instants get bucket numbers.

    The pieces ascend and cover ``[pieces[0].start, end)`` without a gap; rows outside belong to no bucket. With
    *modulo* the number is taken modulo it, so that numbers repeat and need not ascend with time. Without pieces there
    is no bucket at all; the core asks no backend then.
    """

    pieces: tuple[Piece, ...]
    end: int
    modulo: int | None = None

    @property
    def start(self) -> int:
        """The first instant that has a bucket (the end if none has)."""
        return self.pieces[0].start if self.pieces else self.end

    def number(self, time: int) -> int | None:
        """The bucket number of an instant, None outside: what every engine has to agree with."""
        if not self.start <= time < self.end:
            return None
        piece = self.pieces[bisect_right(self.pieces, time, key=_start) - 1]
        number = piece.first + (time - piece.start) // piece.width
        return number if self.modulo is None else number % self.modulo


def _start(piece: Piece) -> int:
    return piece.start


def fold_columns(buckets: Buckets, times: Sequence[int], values: Sequence[Value], *, edges: bool = True) -> Partials:
    """The partials of aligned columns in time order, by ascending bucket number; the fold that any backend may inherit.

    With *edges* the first and last points are filled in. Work per point is left to slices and builtins; the loop runs
    once per non-empty bucket, however many empty ones lie between.
    """
    result: dict[int, Partial] = {}
    modulo = buckets.modulo
    index = bisect_left(times, buckets.start)
    stop = bisect_left(times, buckets.end, index)
    starts = [piece.start for piece in buckets.pieces]
    limits = [*starts[1:], buckets.end]
    while index < stop:
        time = times[index]
        at = bisect_right(starts, time) - 1
        start, width, number = buckets.pieces[at]
        steps = (time - start) // width
        until = bisect_left(times, min(start + (steps + 1) * width, limits[at]), index, stop)
        number += steps
        if modulo is not None:
            number %= modulo
        partial = _fold_slice(number, times, values, index, until, edges=edges)
        known = result.get(number)
        result[number] = partial if known is None else merge(known, partial)
        index = until
    return [result[number] for number in sorted(result)]


def _fold_slice(
    number: int, times: Sequence[int], values: Sequence[Value], index: int, until: int, *, edges: bool
) -> Partial:
    part = values[index:until]
    total = None if isinstance(part[0], str) else sum(part)
    if not edges:
        return Partial(number, until - index, total, min(part), max(part))
    return Partial(
        number, until - index, total, min(part), max(part), times[index], part[0], times[until - 1], part[-1]
    )


def merge(a: Partial, b: Partial) -> Partial:
    """The partial of both sets of points together. Associative; where times are equal, *a* wins.

    What one of the two does not know (the sum of text, first and last without edges) is unknown in the result.
    """
    first_time, first = a.first_time, a.first
    last_time, last = a.last_time, a.last
    if first_time is None or b.first_time is None:
        first_time = first = None
    elif b.first_time < first_time:
        first_time, first = b.first_time, b.first
    if last_time is None or b.last_time is None:
        last_time = last = None
    elif b.last_time > last_time:
        last_time, last = b.last_time, b.last
    return Partial(
        a.bucket,
        a.count + b.count,
        None if a.sum is None or b.sum is None else a.sum + b.sum,
        min(a.min, b.min),
        max(a.max, b.max),
        first_time,
        first,
        last_time,
        last,
    )


def merge_partials(parts: Iterable[Partials]) -> Partials:
    """Many lists of partials over the same buckets as one, by ascending bucket number."""
    result: dict[int, Partial] = {}
    for partials in parts:
        for partial in partials:
            known = result.get(partial.bucket)
            result[partial.bucket] = partial if known is None else merge(known, partial)
    return [result[number] for number in sorted(result)]
