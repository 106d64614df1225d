"""All contenders do the same work in turns, and must hold the same rows and give the same answers."""

from __future__ import annotations

import gc
import importlib.metadata
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Final, TypeAlias

from sidebyside import workload
from sidebyside.engine import Engine

from instead import home, starting, threads, walking
from instead.contender import Contender
from instead.turns import Found, ask, check_answers, check_counts, in_batches
from instead.with_iotstore import WithIotstore
from iotstore import Point

DEVICES: Final = 20
#: Of all devices, those that measure nothing as well: for a list that has pages.
LISTED: Final = 500
NUMERIC: Final = frozenset({"temperature", "humidity", "battery"})
_METRIC: Final = "temperature"
_START: Final = workload.NOW - timedelta(days=365)
_AGAIN: Final = 0.1

#: Which contenders there are on each engine, by the modules that hold them; the library is the first.
CONTENDERS: Final = {
    "sqlite": (
        ("instead.with_iotstore", "WithIotstore"),
        ("instead.with_driver", "WithSqlite3"),
        ("instead.with_sqlalchemy", "WithSqlalchemy"),
        ("instead.with_django", "WithDjango"),
        ("instead.with_peewee", "WithPeewee"),
        ("instead.with_sqlite_utils", "WithSqliteUtils"),
        ("instead.with_pandas", "WithPandas"),
        ("instead.with_duckdb", "WithDuckdb"),
    ),
    "postgresql": (
        ("instead.with_iotstore", "WithIotstore"),
        ("instead.with_driver", "WithPsycopg"),
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
    flows: int
    turns: int
    seconds: float
    """that one turn of a question takes at least"""
    operations: int
    """of one turn of all threads"""
    starts: int
    """processes that each of them starts"""
    linked: int
    """devices that are related to each other"""


QUICK: Final = Sizes(5_000, 10, 1_000, 2_000, 5, 0.01, 80, 3, 200)
FULL: Final = Sizes(10_000, 20, 10_000, 20_000, 9, 0.05, 160, 5, 2_000)

Question: TypeAlias = Callable[[Contender], object]
#: What is asked, in the words of the page.
QUESTIONS: Final[dict[str, tuple[str, Question]]] = {
    "device": ("One device by its key", lambda one: one.device(workload.device_keys(1)[0])),
    "devices": ("Page of 50 devices in the midst of a list", lambda one: one.devices("device-0123", 50)),
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
    "timeline": (
        "Traffic by hour of a week",
        lambda one: home.traffic(one, workload.NOW - timedelta(days=7), workload.NOW),
    ),
    "home": (
        "Home page: fifteen answers that see one state",
        lambda one: one.home() if isinstance(one, WithIotstore) else home.home(one, workload.NOW),
    ),
}
#: What is written, in the words of the page.
INGEST: Final = {
    "ingest": "Points from objects, in batches",
    "ingest-one": "A point in a transaction of its own",
    "ingest-columns": "Points of one series from lists, in batches",
    "ingest-again": "Points from objects, a tenth of them again",
}


def points() -> Iterator[Point]:
    """Points of numeric metrics as they arrive: a few late, a few twice."""
    return (point for point in workload.points(DEVICES) if point.metric in NUMERIC)


@contextmanager
def place(engine: Engine) -> Iterator[str]:
    """The URL of an empty place."""
    with (
        tempfile.TemporaryDirectory(prefix="iotstore-instead-") as folder,
        engine.places(Path(folder)) as places,
    ):
        yield places.library


@contextmanager
def contenders(name: str, engine: Engine) -> Iterator[list[Contender]]:
    """Everybody, each with an empty place of its own."""
    with ExitStack() as stack:
        found: list[Contender] = []
        for module, contender_class in CONTENDERS[name]:
            url = stack.enter_context(place(engine))
            made: Contender = getattr(import_module(module), contender_class)(url)
            stack.callback(made.close)
            found.append(made)
        yield found


def fill(one: Contender, alerts: int, flows: int) -> None:
    """What is there before points come."""
    one.fill(workload.devices(LISTED), workload.alerts(DEVICES, alerts), workload.flows(DEVICES, flows))


def compare(everybody: Sequence[Contender], sizes: Sizes) -> dict[str, Found]:
    """Seconds of each turn, by what was done and by contender."""
    for one in everybody:
        fill(one, sizes.alerts, sizes.flows)
    gc.freeze()  # what was imported and mapped is nobody's work, and need not be looked through before each turn
    try:
        return _compare(everybody, sizes)
    finally:
        gc.unfreeze()


def _compare(everybody: Sequence[Contender], sizes: Sizes) -> dict[str, Found]:
    found = _ingest(everybody, sizes)
    check_counts({one.name: one.count() for one in everybody}, "points")
    for name, (_, question) in QUESTIONS.items():
        check_answers(everybody, name, question)
        found[name] = ask(everybody, question, sizes.turns, sizes.seconds)
    for count in threads.COUNTS:
        turns = max(sizes.turns // 2, 2)
        found[f"threads-{count}"] = threads.in_threads(everybody, DEVICES, count, sizes.operations, turns)
    check_counts({one.name: one.count() for one in everybody}, "points")
    return found


def _ingest(everybody: Sequence[Contender], sizes: Sizes) -> dict[str, Found]:
    def write(one: Contender, batch: Sequence[Point]) -> None:
        one.ingest(batch)

    def write_columns(one: Contender, batch: tuple[list[datetime], list[float]]) -> None:
        one.columns("device-0001", "humidity", *batch)

    def write_each(one: Contender, batch: Sequence[Point]) -> None:
        for point in batch:
            one.ingest([point])

    few, singles = sizes.turns + 1, max(sizes.batch // 200, 1)
    arriving = _batches(points(), sizes.batch, sizes.batches)
    found = {"ingest": in_batches(everybody, arriving, write, sizes.batch)}
    earlier = (
        point
        for point in workload.fresh_points(DEVICES, again=_AGAIN, start=_START - timedelta(days=1_000))
        if point.metric in NUMERIC
    )
    alone = _batches(earlier, singles, few)
    found["ingest-one"] = in_batches(everybody, alone, write_each, singles)
    found["ingest-columns"] = in_batches(everybody, _columns(sizes.batch, few), write_columns, sizes.batch)
    found["ingest-again"] = in_batches(everybody, _batches(earlier, sizes.batch, few), write, sizes.batch)
    return found


def _batches(source: Iterator[Point], size: int, count: int) -> list[list[Point]]:
    return [list(islice(source, size)) for _ in range(count)]


def _columns(size: int, count: int) -> list[tuple[list[datetime], list[float]]]:
    start = datetime(1990, 1, 1, tzinfo=UTC)
    found: list[tuple[list[datetime], list[float]]] = []
    for turn in range(count):
        seconds = range(turn * size, (turn + 1) * size)
        found.append(([start + timedelta(seconds=one) for one in seconds], [40 + one % 997 / 100 for one in seconds]))
    return found


def everything(name: str, engine: Engine, sizes: Sizes) -> dict[str, Found]:
    """All comparisons on one engine: points and records, relations, starts."""
    with contenders(name, engine) as everybody:
        found = compare(everybody, sizes)
    with ExitStack() as stack:
        urls = [stack.enter_context(place(engine)) for _ in range(2)]
        found |= walking.compare(walking.walkers(name, *urls), sizes.linked, sizes.turns, sizes.seconds)
    return found | starting.compare(CONTENDERS[name], sizes.starts)


def versions(name: str) -> dict[str, str]:
    """The versions of everything that took part."""
    needed = {
        need
        for module, contender_class in CONTENDERS[name]
        for need in getattr(import_module(module), contender_class).needs
    }
    return {need: importlib.metadata.version(need) for need in sorted(needed | walking.NEEDS)}
