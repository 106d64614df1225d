"""Seeded chance, and tables of noise that a whole series takes slices of."""

from __future__ import annotations

import random
from functools import cache
from typing import Final

MINUTE: Final = 60_000_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
_NOISE: Final = 10_080  # a week of minutes, then it begins again


def chance(*names: object) -> random.Random:
    """A generator for exactly this purpose: what one part draws never shifts what another part gets."""
    return random.Random("/".join(str(name) for name in names))  # noqa: S311 - a simulation must be repeatable


@cache
def white() -> list[float]:
    """Independent noise with mean 0 and deviation 1."""
    draw = chance("white noise")
    return [draw.gauss(0.0, 1.0) for _ in range(_NOISE)]


@cache
def smooth() -> list[float]:
    """Noise that wanders: each value remembers most of the one before."""
    found: list[float] = []
    now = 0.0
    for step in white():
        now = 0.97 * now + 0.243 * step  # 0.97² + 0.243² = 1 keeps the deviation at 1
        found.append(now)
    return found


def stretch(table: list[float], start: int, count: int) -> list[float]:
    """*count* values of the table from *start* on, round and round."""
    start %= len(table)
    found = table[start : start + count]
    while len(found) < count:
        found = found + table[: count - len(found)]
    return found
