"""Counting all operations of an engine, and comparing what was counted with what the book says."""

from __future__ import annotations

import json
import platform
import tempfile
import tracemalloc
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Final, TypeAlias

from counted.meters import Meter
from counted.work import OPERATIONS, Operation, filled
from iotstore import Store

Counts: TypeAlias = dict[str, dict[str, int]]

#: Where the meter of each backend is; it is imported when it is asked for, for it needs the backend's driver.
METERS: Final = {"sqlite": ("counted.sqlite", "SqliteMeter"), "postgresql": ("counted.postgres", "PostgresMeter")}
BOOK: Final = Path(__file__).parent.parent / "counts.json"
#: psycopg prepares a statement when it comes the sixth time; from then on every turn is like the one before.
_WARM: Final = 7
_TURNS: Final = 3
#: What may differ a little from run to run (an entry more in a cache, a page that a batch filled), as a share.
_SLACK: Final = {"bytes": 0.10, "blocks": 0.05, "steps": 0.02}


def count(name: str) -> tuple[str, Counts]:
    """The engine with its version, and what each operation of it costs."""
    module, meter_class = METERS[name]
    meter: Meter = getattr(import_module(module), meter_class)()
    with (
        tempfile.TemporaryDirectory(prefix="iotstore-count-") as folder,
        meter.place(Path(folder)) as url,
        filled(url) as store,
    ):
        return meter.engine, {operation.name: _count(store, meter, operation) for operation in OPERATIONS}


def _count(store: Store, meter: Meter, operation: Operation) -> dict[str, int]:
    for turn in range(_WARM):
        operation.prepare(store, turn)()
    turns: list[Mapping[str, int]] = []
    for turn in range(_WARM, _WARM + _TURNS):
        run = operation.prepare(store, turn)
        meter.reset()
        run()
        turns.append(meter.counts())
    run = operation.prepare(store, _WARM + _TURNS)
    tracemalloc.start()
    try:
        run()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The least of several: a server that tidies up meanwhile adds to what is counted.
    return {**{what: min(turn[what] for turn in turns) for what in turns[0]}, "bytes": peak // operation.rows}


def read_book(path: Path = BOOK) -> dict[str, dict[str, object]]:
    """What was counted before, by engine."""
    found: dict[str, dict[str, object]] = json.loads(path.read_text("utf-8")) if path.exists() else {}
    return found


def write_down(name: str, engine: str, counts: Counts, path: Path = BOOK) -> None:
    """Put what was counted into the book."""
    book = read_book(path)
    book[name] = {"engine": engine, "python": _python(), "counts": counts}
    path.write_text(json.dumps(dict(sorted(book.items())), indent=1) + "\n", "utf-8")


def grown(entry: Mapping[str, object], engine: str, counts: Counts) -> list[str]:
    """What grew, one line each; and operations that the book does not have or that were not counted.

    Statements and round trips are the same on every version. Other counts are compared with those of the same engine,
    and memory with that of the same Python.
    """
    known = entry["counts"]
    if not isinstance(known, dict):
        raise TypeError("the book's counts are no table")
    lines = [f"{name}: not in the book" for name in counts if name not in known]
    lines += [f"{name}: in the book, and not counted" for name in known if name not in counts]
    for name, now in counts.items():
        for what, value in now.items() if name in known else ():
            if what == "bytes" and entry["python"] != _python():
                continue
            if what in ("steps", "blocks") and entry["engine"] != engine:
                continue
            before = int(known[name][what])
            if value > before * (1 + _SLACK.get(what, 0.0)):
                lines.append(f"{name}: {before} {what} became {value}")
    return lines


def _python() -> str:
    return ".".join(platform.python_version_tuple()[:2])
