"""All contenders do the same work in turns, and must hold the same rows and give the same answers."""

from __future__ import annotations

import gc
import importlib.metadata
import math
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

from sidebyside import workload
from sidebyside.engine import Engine
from sidebyside.measure import clock

from instead.contender import Contender
from iotstore import Point

DEVICES: Final = 20
NUMERIC: Final = frozenset({"temperature", "humidity", "battery"})
_METRIC: Final = "temperature"
_START: Final = workload.NOW - timedelta(days=365)

#: Which contenders there are on each engine, by the modules that hold them; the library is the first.
CONTENDERS: Final = {
    "sqlite": (
        ("instead.with_iotstore", "WithIotstore"),
        ("instead.with_sqlalchemy", "WithSqlalchemy"),
        ("instead.with_django", "WithDjango"),
        ("instead.with_peewee", "WithPeewee"),
        ("instead.with_sqlite_utils", "WithSqliteUtils"),
        ("instead.with_pandas", "WithPandas"),
        ("instead.with_duckdb", "WithDuckdb"),
    ),
    "postgresql": (
        ("instead.with_iotstore", "WithIotstore"),
        ("instead.with_sqlalchemy", "WithSqlalchemy"),
        ("instead.with_django", "WithDjango"),
        ("instead.with_peewee", "WithPeewee"),
        ("instead.with_pandas", "WithPandas"),
    ),
}


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a comparison does."""

    batch: int
    batches: int
    """that everybody has before questions are asked"""
    alerts: int
    turns: int
    seconds: float
    """that one turn of a question takes at least with the library"""


QUICK: Final = Sizes(5_000, 10, 1_000, 5, 0.01)
FULL: Final = Sizes(10_000, 50, 10_000, 15, 0.05)

Question: TypeAlias = Callable[[Contender], object]
#: What is asked, in the words of the page.
QUESTIONS: Final[dict[str, tuple[str, Question]]] = {
    "device": ("One device by its key", lambda one: one.device(workload.device_keys(1)[0])),
    "latest": ("Latest value of a series", lambda one: one.latest("device-0003", _METRIC)),
    "latest-all": ("Latest value of every series of a metric", lambda one: one.latest_all(_METRIC)),
    "last-100": ("Last 100 points of a series", lambda one: one.last("device-0003", _METRIC, 100)),
    "hourly": (
        "Hourly mean, least and largest of a series, five days",
        lambda one: one.hourly("device-0003", _METRIC, _START, _START + timedelta(days=5)),
    ),
    "hourly-all": (
        "The same of all series of a metric",
        lambda one: one.hourly(None, _METRIC, _START, _START + timedelta(days=5)),
    ),
    "alerts": ("Page of 50 alerts in the midst", lambda one: one.alerts(workload.NOW - timedelta(days=30), 50)),
}
INGEST: Final = "Points from objects, in batches"


def points() -> Iterator[Point]:
    """Points of numeric metrics as they arrive: a few late, a few twice."""
    return (point for point in workload.points(DEVICES) if point.metric in NUMERIC)


@contextmanager
def contenders(name: str, engine: Engine) -> Iterator[list[Contender]]:
    """Everybody, each with an empty place of its own."""
    with ExitStack() as stack:
        found: list[Contender] = []
        for module, contender_class in CONTENDERS[name]:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iotstore-instead-")))
            places = stack.enter_context(engine.places(folder))
            made: Contender = getattr(import_module(module), contender_class)(places.library)
            stack.callback(made.close)
            found.append(made)
        yield found


def compare(everybody: Sequence[Contender], sizes: Sizes) -> dict[str, dict[str, list[float]]]:
    """Seconds of each turn, by what was done and by contender."""
    devices = workload.devices(DEVICES)
    alerts = workload.alerts(DEVICES, sizes.alerts)
    for one in everybody:
        one.fill(devices, alerts)
    source = points()
    found = {"ingest": _ingest(everybody, source, sizes)}
    stored = {one.name: one.count() for one in everybody}
    if len(set(stored.values())) != 1:
        raise RuntimeError(f"they hold different numbers of points: {stored}")
    for name, (_, question) in QUESTIONS.items():
        _check_answers(everybody, name, question)
        found[name] = _ask(everybody, question, sizes)
    return found


def _ingest(everybody: Sequence[Contender], source: Iterator[Point], sizes: Sizes) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {one.name: [] for one in everybody}
    for turn in range(sizes.batches):
        batch = list(islice(source, sizes.batch))
        for one in _rotated(everybody, turn):
            seconds = _seconds(partial(one.ingest, batch))
            if turn:  # the first batch pays for what is prepared once
                found[one.name].append(seconds / len(batch))
    return found


def _ask(everybody: Sequence[Contender], question: Question, sizes: Sizes) -> dict[str, list[float]]:
    once = min(_seconds(lambda: question(everybody[0])) for _ in range(5))
    times = {one.name: max(1, min(1_000, math.ceil(sizes.seconds / once))) for one in everybody}
    for one in everybody[1:]:  # a slow one need not do it as often
        its = min(_seconds(partial(question, one)) for _ in range(2))
        times[one.name] = max(1, min(1_000, math.ceil(sizes.seconds / its)))
    found: dict[str, list[float]] = {one.name: [] for one in everybody}
    for turn in range(sizes.turns):
        for one in _rotated(everybody, turn):
            count = times[one.name]
            found[one.name].append(_seconds(partial(_repeat, one, question, count)) / count)
    return found


def _repeat(one: Contender, question: Question, count: int) -> None:
    for _ in range(count):
        question(one)


def _rotated(everybody: Sequence[Contender], turn: int) -> Sequence[Contender]:
    first = turn % len(everybody)
    return [*everybody[first:], *everybody[:first]]


def _seconds(work: Callable[[], object]) -> float:
    gc.collect()
    start = clock()
    work()
    return max(clock() - start, 1e-9)


def _check_answers(everybody: Sequence[Contender], name: str, question: Question) -> None:
    expected = question(everybody[0])
    for one in everybody[1:]:
        answer = question(one)
        if not _same(expected, answer):
            raise RuntimeError(f"{name}: {everybody[0].name} says {expected!r:.300}, {one.name} says {answer!r:.300}")


def _same(one: Any, other: Any) -> bool:
    """Equal, but for the rounding of a mean."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(_same(a, b) for a, b in zip(one, other, strict=True))
    if isinstance(one, float) and isinstance(other, float):
        return math.isclose(one, other, rel_tol=1e-9)
    return bool(one == other)


def versions(name: str) -> dict[str, str]:
    """The versions of everything that took part."""
    needed = {
        need
        for module, contender_class in CONTENDERS[name]
        for need in getattr(import_module(module), contender_class).needs
    }
    return {need: importlib.metadata.version(need) for need in sorted(needed)}
