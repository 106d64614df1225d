"""Interleaved repetitions, and what they say: a ratio per pair, its median and its spread."""

from __future__ import annotations

import gc
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Final, Literal

Measure = Literal["speed", "time", "ms", "MB"]
Side = Callable[[int], object]

#: What the bar is compared with: the ratio for speed and time, the library's own value for ms and MB.
OF_RATIO: Final = ("speed", "time")


@dataclass(frozen=True, slots=True)
class Pair:
    """One repetition of both sides, one right after the other: seconds, or megabytes."""

    library: float
    by_hand: float


@dataclass(frozen=True, slots=True)
class Measured:
    """What a benchmark found: its pairs, how many units of work one repetition does, and notes worth a line."""

    pairs: Sequence[Pair]
    units: int
    unit: str
    notes: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """The median of ratios with the quartiles around it."""

    low: float
    median: float
    high: float


def interleave(library: Side, by_hand: Side, pairs: int) -> list[Pair]:
    """Time both sides in turns, *pairs* times, after one turn that does not count; they get the turn's number.

    Who goes first alternates: what the first one pays for both (a page brought into the cache, a disk that wakes up)
    is shared evenly. What else the machine does hits neighbours alike, so that their ratio stands when times do not.
    """
    library(0)
    by_hand(0)
    found: list[Pair] = []
    for turn in range(1, pairs + 1):
        if turn % 2:
            first = _seconds(library, turn)
            found.append(Pair(first, _seconds(by_hand, turn)))
        else:
            first = _seconds(by_hand, turn)
            found.append(Pair(_seconds(library, turn), first))
    return found


def _seconds(side: Side, turn: int) -> float:
    gc.collect()  # what one side left behind is not collected on the other one's time
    start = clock()
    side(turn)
    return max(clock() - start, 1e-9)


def clock() -> float:
    """Seconds that pass for this thread: those in which it stood ready while others had the processors are left out."""
    return perf_counter() - QUEUE.seconds()


class _Queue:
    """How long this thread has stood ready, waiting for a processor that others had.

    Linux counts it. It is taken off every time that is measured, so that a busy machine does not speak in the figures;
    waits for the disk stay in. Where it is not counted nothing is taken off.
    """

    def __init__(self, path: Path = Path("/proc/thread-self/schedstat")) -> None:
        self._file = os.open(path, os.O_RDONLY) if path.exists() else -1

    @property
    def is_counted(self) -> bool:
        """Whether the system tells."""
        return self._file >= 0

    def seconds(self) -> float:
        """So far."""
        return int(os.pread(self._file, 100, 0).split()[1]) / 1e9 if self._file >= 0 else 0.0


QUEUE: Final = _Queue()


def spread(values: Sequence[float]) -> Spread:
    """Median and quartiles; one value is all three."""
    if len(values) == 1:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)


def ratios(pairs: Sequence[Pair], measure: Measure) -> list[float]:
    """How the library compares in each pair: more is better for speed, less is better for everything else."""
    if measure == "speed":
        return [pair.by_hand / pair.library for pair in pairs]
    return [pair.library / pair.by_hand for pair in pairs]
