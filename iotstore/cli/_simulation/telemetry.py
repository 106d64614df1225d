"""A day of points for every series: regular courses, then what real networks do to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from iotstore.cli._simulation import shapes
from iotstore.cli._simulation.chance import DAY, HOUR, MINUTE, chance, smooth, stretch, white
from iotstore.cli._simulation.home import THINGS, Thing

Values: TypeAlias = Sequence[float | int | bool | str]
_EPOCH: Final = date(1970, 1, 1).toordinal()


class Columns(NamedTuple):
    """Points of one series, as two columns of the same length; times are microseconds since 1970."""

    device: str
    metric: str
    times: list[int]
    values: Values


class Gap(NamedTuple):
    """A device was not heard of from *start* to *end*."""

    device: str
    start: int
    end: int


class Delivery(NamedTuple):
    """What arrives of one day: in time (with repetitions), later than the rest, and the gaps that stay."""

    prompt: list[Columns]
    late: list[Columns]
    gaps: list[Gap]


def midnight(day: date) -> int:
    """The day's first instant in UTC, in microseconds since 1970."""
    return (day.toordinal() - _EPOCH) * DAY


def cut(columns: Columns, start: int, end: int) -> Columns:
    """The points in [start, end)."""
    if columns.times and start <= min(columns.times) and max(columns.times) < end:
        return columns
    return _pick(columns, [at for at, time in enumerate(columns.times) if start <= time < end])


@lru_cache(maxsize=2)
def deliver(seed: int, day: date) -> Delivery:
    """Every point of one day, by the way it arrives."""
    found = Delivery([], [], [])
    for thing in THINGS:
        gap = _gap(seed, thing, day)
        if gap is not None:
            found.gaps.append(gap)
        for metric, (step, make) in _series_of(thing).items():
            draw = chance(seed, thing.key, metric, day, "network")
            values = make(seed, thing.key, day)
            times = _times(draw.randrange(step // 1000) * 1000, step, len(values), day)
            columns = Columns(thing.key, metric, times, values)
            if gap is not None:
                columns = _without(columns, gap)
            _send(columns, draw.random(), draw.random(), draw.random(), found)
        if thing.kind == "contact sensor":
            found.prompt.append(_openings(seed, thing, day))
    return found


def _times(offset: int, step: int, count: int, day: date) -> list[int]:
    start = midnight(day) + offset
    return list(range(start, start + step * count, step))


def _send(columns: Columns, fate: float, where: float, length: float, found: Delivery) -> None:
    """Most stretches arrive once and in time; a few arrive late, a few twice."""
    count = len(columns.times)
    start = int(where * count * 0.9)
    end = start + 3 + int(length * 0.04 * count)
    part = columns._replace(times=columns.times[start:end], values=columns.values[start:end])
    if fate < _LATE:
        found.late.append(part)
        columns = columns._replace(
            times=columns.times[:start] + columns.times[end:], values=[*columns.values[:start], *columns.values[end:]]
        )
    elif fate < _LATE + _TWICE:
        columns = columns._replace(times=columns.times + part.times, values=[*columns.values, *part.values])
    found.prompt.append(columns)


_LATE: Final = 0.10
_TWICE: Final = 0.12


def _gap(seed: int, thing: Thing, day: date) -> Gap | None:
    draw = chance(seed, thing.key, day, "gap")
    if draw.random() > 0.07:
        return None
    start = midnight(day) + draw.randrange(20 * 60) * MINUTE
    return Gap(thing.key, start, start + draw.randint(12, 160) * MINUTE)


def _without(columns: Columns, gap: Gap) -> Columns:
    return _pick(columns, [at for at, time in enumerate(columns.times) if not gap.start <= time < gap.end])


def _pick(columns: Columns, kept: list[int]) -> Columns:
    values = [columns.values[at] for at in kept]
    return columns._replace(times=[columns.times[at] for at in kept], values=values)


def _openings(seed: int, thing: Thing, day: date) -> Columns:
    """A door or window: open and closed again, sometimes forgotten, and a sign of life every hour."""
    draw = chance(seed, thing.key, day, "open")
    start = midnight(day)
    events = {start + hour * HOUR + 7 * MINUTE: False for hour in range(24)}
    for _ in range(draw.randint(3, 14)):
        at = start + int(draw.triangular(6, 23.2, 17) * HOUR)
        events[at] = True
        events[at + draw.randint(4, 90) * 1_000_000] = False
    if draw.random() < 0.2:
        at = start + int(draw.uniform(20.5, 22.5) * HOUR)
        shut = at + draw.randint(16, 55) * MINUTE
        events = {time: state for time, state in events.items() if not at <= time <= shut}
        events |= dict.fromkeys(range(at, shut, 5 * MINUTE), True) | {shut: False}
    times = sorted(events)
    return Columns(thing.key, "open", times, [events[time] for time in times])


# Courses that need no shape of their own -------------------------------------------------------------------------


def _battery(seed: int, key: str, day: date) -> list[float]:
    """A cell that lasts about a quarter of a year; every hour."""
    life = chance(seed, key, "battery").uniform(70, 110)
    age = (day.toordinal() + chance(seed, key, "cell").uniform(0, life)) % life
    return [round(max(3.0, 100.0 * (1 - ((age + hour / 24) % life) / life)), 1) for hour in range(24)]


def _charge(seed: int, key: str, day: date) -> list[float]:
    """A phone: used by day, charged by night; every two minutes."""
    rest = chance(seed, key, "charge", day.toordinal()).uniform(18, 45)
    plugged, full, unplugged = 690, 60, 210  # 23:00, 02:00 and 07:00, in steps of two minutes
    tonight = [rest + (65 - rest) * (at - plugged) / 30 for at in range(plugged, 720)]
    charging = [65 + 35 * at / full for at in range(full)]
    used = [100 - (100 - rest) * (at - unplugged) / (plugged - unplugged) for at in range(unplugged, plugged)]
    return [round(level, 1) for level in [*charging, *[100.0] * (unplugged - full), *used, *tonight]]


def _signal(seed: int, key: str, day: date) -> list[int]:
    base = chance(seed, key, "signal").randint(-72, -44)
    return [base + round(2.5 * chaos) for chaos in stretch(smooth(), _place(seed, key, day), 288)]


def _motion(seed: int, key: str, day: date) -> list[bool]:
    draws = chance(seed, key, "motion", day)
    busy = [0.01] * 6 + [0.3, 0.55, 0.4] + [0.15] * 8 + [0.45, 0.6, 0.6, 0.5, 0.4, 0.25, 0.06]
    rate = 0.25 if key in ("motion-garden", "cam-garden", "cam-drive") else 0.8
    return [draws.random() < rate * busy[minute // 60] for minute in range(1440)]


def _light(seed: int, key: str, day: date) -> list[float]:
    strength = 30_000.0 if key.endswith("garden") else 420.0
    clouds = stretch(smooth(), _place(seed, key, day), 720)
    pairs = zip(shapes.daylight()[::2], clouds, strict=True)
    return [round(strength * sun * max(0.1, 0.7 + 0.25 * cloud), 1) for sun, cloud in pairs]


def _latency(seed: int, key: str, day: date) -> list[float]:
    noise = stretch(white(), _place(seed, key, day), 1440)
    evening = [11 + 6.0 * max(0.0, 1 - abs(minute - 1230) / 180) for minute in range(1440)]
    spikes = [55.0 if chaos > 3 else 0.0 for chaos in noise]
    return [round(late + 1.8 * abs(c) + more, 1) for late, c, more in zip(evening, noise, spikes, strict=True)]


def _clients(seed: int, key: str, day: date) -> list[int]:
    wander = stretch(smooth(), _place(seed, key, day), 288)
    return [21 + round(4 * warm + 1.2 * c) for warm, c in zip(shapes.warmth()[::5], wander, strict=True)]


def _disk(seed: int, key: str, day: date) -> list[float]:
    start = 55 + chance(seed, key, "disk").uniform(0, 8) + (day.toordinal() % 90) * 0.25
    return [round(start + 0.25 * at / 288, 3) for at in range(288)]


def _status(seed: int, key: str, day: date) -> list[str]:
    """One word every five minutes."""
    draw = chance(seed, key, "status", day)
    if key == "thermostat":
        return ["heating" if warm < -0.2 + 0.1 * draw.random() else "idle" for warm in shapes.warmth()[::5]]
    if key == "printer":
        return ["printing" if draw.random() < 0.01 else "ready" for _ in range(288)]
    words = ["off"] * 288
    start, length = draw.randint(215, 232), draw.randint(24, 45)
    words[start : start + length] = [draw.choice(["live", "streaming"])] * len(words[start : start + length])
    return words


def _place(seed: int, key: str, day: date) -> int:
    return chance(seed, key, day).randrange(10_080)


_Maker: TypeAlias = Callable[[int, str, date], Values]
_SERIES: Final[dict[str, dict[str, tuple[int, _Maker]]]] = {
    "camera": {
        "temperature": (MINUTE, shapes.temperature),
        "signal": (5 * MINUTE, _signal),
        "motion": (MINUTE, _motion),
    },
    "climate sensor": {
        "temperature": (MINUTE, shapes.temperature),
        "humidity": (MINUTE, shapes.humidity),
        "battery": (HOUR, _battery),
    },
    "contact sensor": {"battery": (HOUR, _battery)},
    "motion sensor": {"motion": (MINUTE, _motion), "illuminance": (2 * MINUTE, _light), "battery": (HOUR, _battery)},
    "smart plug": {"power": (MINUTE // 2, shapes.power), "energy": (5 * MINUTE, shapes.energy)},
    "phone": {"battery": (2 * MINUTE, _charge)},
    "tablet": {"battery": (2 * MINUTE, _charge)},
    "computer": {"battery": (2 * MINUTE, _charge)},
    "tv": {"status": (5 * MINUTE, _status)},
    "thermostat": {"temperature": (MINUTE, shapes.temperature), "status": (5 * MINUTE, _status)},
    "router": {"latency": (MINUTE, _latency), "clients": (5 * MINUTE, _clients)},
    "storage": {"temperature": (MINUTE, shapes.temperature), "disk_used": (5 * MINUTE, _disk)},
    "printer": {"status": (5 * MINUTE, _status)},
}


def _series_of(thing: Thing) -> dict[str, tuple[int, _Maker]]:
    return _SERIES.get(thing.kind, {})
