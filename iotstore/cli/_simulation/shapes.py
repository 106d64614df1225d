"""The courses that values take over a day, one value per step."""

from __future__ import annotations

import math
from datetime import date
from functools import cache, lru_cache
from typing import Final

from iotstore.cli._simulation.chance import chance, smooth, stretch, white

MINUTES: Final = 1440
HALVES: Final = 2880  # half minutes: what plugs report
WEDNESDAY: Final = 2


@cache
def warmth() -> list[float]:
    """-1 before dawn, 1 in the late afternoon, a value per minute."""
    return [math.sin(2 * math.pi * (minute - 620) / MINUTES) for minute in range(MINUTES)]


@cache
def daylight() -> list[float]:
    """0 at night, 1 at noon, a value per minute."""
    return [max(0.0, math.sin(math.pi * (minute - 300) / 960)) for minute in range(MINUTES)]


@lru_cache(maxsize=64)
def weather(seed: int, day: date) -> list[float]:
    """How much warmer or colder than usual it is outside; each day goes on where the one before ended."""
    here, there = (
        chance(seed, "weather", ordinal).gauss(0.0, 2.0) for ordinal in (day.toordinal(), day.toordinal() + 1)
    )
    return [here + (there - here) * minute / MINUTES for minute in range(MINUTES)]


def temperature(seed: int, key: str, day: date) -> list[float]:
    """Degrees in a room, in the garden or inside a machine."""
    base, swing, outside, noise = _CLIMATE.get(key, (41.0, 2.5, 0.3, 0.8))
    wander = stretch(smooth(), _phase(seed, key, "temperature", day), MINUTES)
    pairs = zip(warmth(), weather(seed, day), wander, strict=True)
    found = [round(base + swing * warm + outside * sky + noise * chaos, 2) for warm, sky, chaos in pairs]
    draw = chance(seed, key, "heat", day)
    if key == "climate-kitchen":
        _bump(found, draw.randint(1060, 1130), draw.randint(30, 70), draw.uniform(2.0, 7.5))
    elif key == "nas" and day.weekday() in (1, 5):
        _bump(found, draw.randint(120, 200), draw.randint(60, 110), draw.uniform(13.0, 16.0))
    return found


_CLIMATE: Final = {
    "climate-kitchen": (21.8, 1.2, 0.15, 0.25),
    "climate-living-room": (21.4, 1.0, 0.15, 0.2),
    "climate-bedroom": (19.2, 0.9, 0.15, 0.2),
    "climate-office": (21.0, 1.6, 0.15, 0.25),
    "climate-garden": (14.5, 5.5, 1.0, 0.5),
    "climate-upstairs": (20.4, 0.9, 0.15, 0.2),
    "climate-ground-floor": (20.1, 0.8, 0.15, 0.2),
    "thermostat": (20.6, 0.8, 0.1, 0.15),
    "nas": (36.0, 1.5, 0.2, 0.5),
}


def _bump(values: list[float], start: int, length: int, height: float) -> None:
    """Something heats up and cools down again."""
    for at in range(start, min(start + length, len(values))):
        values[at] = round(values[at] + height * math.sin(math.pi * (at - start) / length), 2)


def humidity(seed: int, key: str, day: date) -> list[float]:
    """Percent, drier when it is warmer; the upper floor has the shower."""
    base = 68.0 if key == "climate-garden" else 46.0
    wander = stretch(smooth(), _phase(seed, key, "humidity", day), MINUTES)
    found = [round(base - 6.0 * warm + 2.2 * chaos, 1) for warm, chaos in zip(warmth(), wander, strict=True)]
    if key == "climate-upstairs":
        draw = chance(seed, key, "shower", day)
        for _ in range(2):
            _bump(found, draw.randint(390, 480), draw.randint(25, 50), draw.uniform(15.0, 30.0))
    return found


@lru_cache(maxsize=256)
def power(seed: int, key: str, day: date) -> list[float]:
    """Watts every half minute, as one plug sees them."""
    draw = chance(seed, key, "power", day)
    watts = [0.0] * HALVES
    if key == "plug-fridge":
        at = draw.randint(0, 60)
        while at < HALVES:
            length = draw.randint(30, 46)
            watts[at : at + length] = [92.0] * len(watts[at : at + length])
            at += length + draw.randint(60, 90)
    else:
        standby, runs = _runs(key, day)
        watts = [standby] * HALVES
        for earliest, latest, shortest, longest, level in runs:
            start, length = draw.randint(earliest, latest), draw.randint(shortest, longest)
            watts[start : start + length] = [level] * len(watts[start : start + length])
    noise = stretch(white(), _phase(seed, key, "power", day), HALVES)
    return [round(max(0.0, level * (1.0 + 0.02 * chaos)), 1) for level, chaos in zip(watts, noise, strict=True)]


def _runs(key: str, day: date) -> tuple[float, list[tuple[int, int, int, int, float]]]:
    """What a plug's machine draws at rest, and its runs: earliest and latest start, shortest and longest, watts."""
    weekend = day.weekday() >= 5
    match key:
        case "plug-kettle":
            mornings, evenings = (800, 1200, 5, 8, 2050.0), (1900, 2500, 5, 8, 2050.0)
            return 0.4, [mornings, mornings, mornings, evenings, evenings]
        case "plug-washer":
            cycle = [(1100, 1500, 20, 40, 1900.0), (1550, 1600, 100, 140, 240.0), (1745, 1750, 20, 24, 520.0)]
            return 1.1, cycle if day.weekday() in (0, 3, 5) else []
        case "plug-tv":
            return 0.9, [(2100, 2260, 240, 420, 118.0), *([(1300, 1500, 120, 300, 118.0)] if weekend else [])]
        case "plug-desk":
            return 3.5, [] if weekend else [(1000, 1060, 380, 460, 86.0), (1560, 1600, 380, 500, 92.0)]
        case _:
            return 0.2, [(660, 700, 80, 140, 1180.0), (2480, 2560, 60, 120, 1180.0)]


def energy(seed: int, key: str, day: date) -> list[float]:
    """Kilowatt hours every five minutes; every Wednesday at 14:00 somebody resets the counter."""
    before = 0.0
    last = day.toordinal() - (day.weekday() - WEDNESDAY) % 7
    if last == day.toordinal():
        last -= 7
    for ordinal in range(last, day.toordinal()):
        watts = power(seed, key, date.fromordinal(ordinal))
        before += sum(watts[_RESET:] if ordinal == last else watts)
    found: list[float] = []
    watts = power(seed, key, day)
    for at in range(0, HALVES, 10):
        if day.weekday() == WEDNESDAY and at == _RESET:
            before = 0.0
        before += sum(watts[at : at + 10])
        found.append(round(before / 120_000, 4))
    return found


_RESET: Final = 14 * 120


def _phase(seed: int, key: str, metric: str, day: date) -> int:
    # Days follow each other in the table, so that a course goes on at midnight without a jump.
    return chance(seed, key, metric).randrange(10_080) + day.toordinal() * MINUTES
