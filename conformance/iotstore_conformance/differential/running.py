"""Comparing two stores: histories are drawn from a seed, played on both, and the first difference is shrunk."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Final

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as under_seed

from iotstore_conformance.differential.answers import Answer, same
from iotstore_conformance.differential.drawing import histories
from iotstore_conformance.differential.homes import home
from iotstore_conformance.differential.playing import Player, Powers
from iotstore_conformance.differential.scripting import script_of
from iotstore_conformance.differential.shrinking import shrink
from iotstore_conformance.differential.steps import Step

# More histories than one seed ever draws.
_HISTORIES: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step of a shrunk history whose answers differ; a step past the end is what the stores hold then."""

    url_a: str
    url_b: str
    seed: int
    steps: tuple[Step, ...]
    what: str
    answer_a: Answer
    answer_b: Answer

    def script(self) -> str:
        """A Python program that plays the history, prints both answers and exits with 1 while they differ."""
        return script_of(self.url_a, self.url_b, self.steps, f"{self.what} (seed {self.seed})")

    def __str__(self) -> str:
        lines = [f"{len(self.steps)} steps, then the stores differ at: {self.what}"]
        return "\n".join([*lines, f"  first:  {self.answer_a}", f"  second: {self.answer_b}"])


def compare(url_a: str, url_b: str, seed: int = 0, steps: int = 1000) -> Difference | None:
    """Play histories of about *steps* steps in all on fresh stores beside both URLs; the first difference, shrunk.

    What is stored at the URLs themselves is never touched. The same seed gives the same histories.
    """
    played = 0
    for number in count():
        history = _drawn(seed * _HISTORIES + number)
        difference = play_on_both(url_a, url_b, history)
        if difference is not None:
            return _smallest(replace(difference, seed=seed))
        played += len(history)
        if played >= steps:
            break
    return None


def _drawn(seed: int) -> list[Step]:
    """The history of one seed."""
    drawn: list[list[Step]] = []

    # Hypothesis begins with the plainest example, and goes on with variations of what it has seen: the second one is
    # random, and a seed of its own for each history makes all of them differ.
    @under_seed(seed)
    @settings(
        max_examples=2,
        database=None,
        deadline=None,
        phases=(Phase.generate,),
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(history=histories)
    def draw(history: list[Step]) -> None:
        drawn.append(history)

    draw()
    return drawn[-1]


def _smallest(difference: Difference) -> Difference:
    """The difference with the smallest history that shows one; as it was seen, if it doesn't show every time."""
    smallest = difference

    def shows(steps: Sequence[Step]) -> bool:
        nonlocal smallest
        shown = play_on_both(difference.url_a, difference.url_b, steps)
        if shown is not None:
            smallest = replace(shown, seed=difference.seed)
        return shown is not None

    if shows(difference.steps):
        shrink(difference.steps, shows)
    return smallest


def play_on_both(url_a: str, url_b: str, history: Sequence[Step]) -> Difference | None:
    """Play one history on two fresh stores; where their answers first differ."""
    with home(url_a) as home_a, home(url_b) as home_b:
        powers = Powers.common(home_a, home_b)
        # A backup of one store is restored beside the other one, where that outlives its store.
        over_there = [url for url, one in ((url_b, home_b), (url_a, home_a)) if one.persistent]
        first = Player(home_a, powers, next(iter(over_there), None))
        second = Player(home_b, powers, next(iter(over_there[::-1]), None))
        try:
            for number, step in enumerate(history, 1):
                answers = first.play(step), second.play(step)
                # An error that is none of the library's is wrong on both sides.
                if not same(*answers) or any(answer.foreign for answer in answers):
                    return Difference(url_a, url_b, 0, tuple(history[:number]), f"step {number}, {step!r}", *answers)
                if not powers.savepoints and answers[0].error:
                    second.finish()
                    first.finish()
        finally:
            first.finish()
            second.finish()
        one, other = first.state(), second.state()
        for kind in one:
            if not same(one[kind], other[kind]):
                what = f"what is stored at the end, {kind}"
                return Difference(url_a, url_b, 0, tuple(history), what, one[kind], other[kind])
    return None


def replay(url_a: str, url_b: str, steps: Sequence[Step]) -> int:
    """Play a history on both and print what differs: 1 while they differ, 0 when they agree."""
    difference = play_on_both(url_a, url_b, steps)
    sys.stdout.write(f"{difference or 'both stores give the same answers'}\n")
    return int(difference is not None)
