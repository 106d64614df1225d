"""Everybody does a piece of work in turns; who begins changes with each turn."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, ClassVar, Final, Protocol, TypeAlias, TypeVar

from sidebyside.measure import clock

_MOST: Final = 1_000  # questions of one turn
_LEAST: Final = 1e-9


class Named(Protocol):
    """Somebody who takes part."""

    #: As the page calls it.
    name: ClassVar[str]


One = TypeVar("One", bound=Named)
Batch = TypeVar("Batch")
Item = TypeVar("Item")
#: Seconds of each turn, by contender.
Found: TypeAlias = dict[str, list[float]]


def in_batches(
    everybody: Sequence[One], batches: Sequence[Batch], do: Callable[[One, Batch], object], units: int
) -> Found:
    """Seconds for one of the *units* of a batch; the first batch pays for what is prepared once, and doesn't count."""
    found: Found = {one.name: [] for one in everybody}
    for turn, batch in enumerate(batches):
        for one in rotated(everybody, turn):
            seconds = seconds_of(partial(do, one, batch))
            if turn:
                found[one.name].append(seconds / units)
    return found


def ask(everybody: Sequence[One], question: Callable[[One], object], turns: int, seconds: float) -> Found:
    """Seconds of one question; a turn asks often enough to take so many seconds, so a slow one is asked less often."""
    times: dict[str, int] = {}
    for one in everybody:
        once = min(seconds_of(partial(question, one)) for _ in range(3))
        times[one.name] = max(1, min(_MOST, math.ceil(seconds / once)))
    found: Found = {one.name: [] for one in everybody}
    for turn in range(turns):
        for one in rotated(everybody, turn):
            count = times[one.name]
            found[one.name].append(seconds_of(partial(_repeat, one, question, count)) / count)
    return found


def _repeat(one: One, question: Callable[[One], object], count: int) -> None:
    for _ in range(count):
        question(one)


def rotated(everybody: Sequence[Item], turn: int) -> Sequence[Item]:
    """Everybody, beginning with another one each turn."""
    first = turn % len(everybody)
    return [*everybody[first:], *everybody[:first]]


def seconds_of(work: Callable[[], object], now: Callable[[], float] = clock) -> float:
    """How long it takes; what somebody left behind is not collected on another one's time."""
    gc.collect()
    start = now()
    work()
    return max(now() - start, _LEAST)


def check_answers(everybody: Sequence[One], name: str, question: Callable[[One], object]) -> None:
    """Raise unless all give the same answer."""
    expected = question(everybody[0])
    for one in everybody[1:]:
        answer = question(one)
        if not same(expected, answer):
            mine, its = _differing(expected, answer)
            raise RuntimeError(f"{name}: {everybody[0].name} says {mine!r:.300}, {one.name} says {its!r:.300}")


def _differing(one: Any, other: Any) -> tuple[Any, Any]:
    """The first parts that differ, of answers that have equally many."""
    while isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        one, other = next((a, b) for a, b in zip(one, other, strict=True) if not same(a, b))
    return one, other


def check_counts(counts: dict[str, int], what: str) -> None:
    """Raise unless all hold the same number of something."""
    if len(set(counts.values())) != 1:
        raise RuntimeError(f"they hold different numbers of {what}: {counts}")


def same(one: Any, other: Any) -> bool:
    """Equal, but for the rounding of a mean."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)
