"""What readers may see while writers write: whole batches or none, and nothing that was not committed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from itertools import pairwise


def torn_batches(readings: Sequence[Mapping[str, int]], size: int) -> list[tuple[int, str, int]]:
    """Batches that a reading saw in part: the number of the reading, the batch, how many of its rows were there."""
    return [
        (number, batch, rows)
        for number, reading in enumerate(readings)
        for batch, rows in sorted(reading.items())
        if rows not in (0, size)
    ]


def vanished_batches(readings: Sequence[Mapping[str, int]]) -> list[tuple[int, str]]:
    """Batches that one reader saw and did not see in its next reading: the number of the reading, and the batch."""
    return [
        (number, batch)
        for number, (before, after) in enumerate(pairwise(readings), 1)
        for batch in sorted(before)
        if batch not in after
    ]


def uncommitted_reads(readings: Iterable[int], committed: AbstractSet[int]) -> list[int]:
    """Values that were read and never committed: rolled back, or overwritten before the end of their transaction."""
    return sorted({value for value in readings if value not in committed})
