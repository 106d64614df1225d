"""Measuring what holds on every machine: how much more one thing costs, or holds, than another."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

_ROUNDS: Final = 7
_PATIENCE: Final = 1.5  # seconds that a cost which looks too high gets to show that only the machine was busy


class TooDear(AssertionError):
    """Something costs more than its floor allows."""


@dataclass(frozen=True, slots=True)
class Work:
    """Something to be timed, by its *name*. *run* gets what *ready* makes, which is not timed."""

    name: str
    run: Callable[[Any], object]
    ready: Callable[[], Any] = lambda: None


def at_most(times: float, dear: Work, cheap: Work) -> None:
    """Raise TooDear unless *dear* takes at most so many times as long as *cheap*.

    Both are run in turns, and the quickest run of each counts: whatever else the machine does makes runs slower, never
    quicker. A ratio that is too high is measured on for a while. That can't turn what is too dear into a pass: its
    quickest run never gets quicker than the work is, and more runs make that of the other only shorter.
    """
    works = (dear, cheap)
    _round(works)  # caches, plans and connections are made here
    least = [float("inf")] * 2
    began, rounds = time.perf_counter(), 0
    while rounds < _ROUNDS or (least[0] > times * least[1] and time.perf_counter() - began < _PATIENCE):
        least = [min(pair) for pair in zip(least, _round(works), strict=True)]
        rounds += 1
    if least[0] > times * least[1]:
        raise TooDear(
            f"{dear.name} takes {least[0] * 1e3:.3f} ms, {cheap.name} {least[1] * 1e3:.3f} ms: "
            f"{least[0] / least[1]:.1f} times as long, and {times:g} times is allowed (the quickest of {rounds} runs)"
        )


def _round(works: Sequence[Work]) -> list[float]:
    """The seconds of one run of each."""
    found: list[float] = []
    for work in works:
        made = work.ready()
        began = time.perf_counter()
        work.run(made)
        found.append(time.perf_counter() - began)
    return found


def held_by_list(make: Callable[[], list[Any]]) -> int:
    """How many blocks of memory the objects of a list take that *make* makes."""
    gc.collect()
    before = sys.getallocatedblocks()
    made = make()
    return sys.getallocatedblocks() - before if made else 0


def held_by_stream(start: Callable[[], Iterable[object]], every: int) -> int:
    """The most blocks of memory that were held at once while a stream was gone through, looked at after *every* so
    many. Counting costs nothing, unlike tracing, and blocks are the same on every machine."""
    gc.collect()
    before, most = sys.getallocatedblocks(), 0
    for at, _ in enumerate(start()):
        if at % every == 0:
            most = max(most, sys.getallocatedblocks() - before)
    return most
