"""What a run found, as it is kept in a file: ratios, spread, machine and versions; no names of hosts, no paths."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import statistics
from pathlib import Path
from typing import Literal

import msgspec

from sidebyside.catalogue import Benchmark, by_name
from sidebyside.engine import Engine
from sidebyside.measure import OF_RATIO, QUEUE, Measure, Measured, ratios, spread

Size = Literal["quick", "normal", "full"]


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One benchmark. *figure* is what the bar is compared with."""

    name: str
    measure: Measure
    figure: float
    low: float
    high: float
    ratio: float
    bar: float | None
    met: bool | None
    library: float
    by_hand: float
    unit: str
    pairs: int
    tries: int
    notes: list[str]
    ratios: list[float]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What it ran on."""

    system: str
    processor: str
    cores: int
    memory_gb: float
    queue_taken_off: bool


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run of the benchmarks."""

    command: str
    size: Size
    machine: Machine
    versions: dict[str, str | None]
    left_out: dict[str, str]
    results: list[Result]
    backend: str = "sqlite"
    settings: dict[str, str] = {}


def result_of(benchmark: Benchmark, measured: Measured, tries: int) -> Result:
    """The figures of what was measured."""
    compared = ratios(measured.pairs, benchmark.measure)
    own = [pair.library for pair in measured.pairs]
    of = spread(compared if benchmark.measure in OF_RATIO else own)
    met: bool | None = None
    if benchmark.bar is not None:
        met = of.median >= benchmark.bar if benchmark.measure == "speed" else of.median <= benchmark.bar
    scale, unit = _scale(benchmark.measure, measured)
    return Result(
        name=benchmark.name,
        measure=benchmark.measure,
        figure=_digits(of.median),
        low=_digits(of.low),
        high=_digits(of.high),
        ratio=_digits(statistics.median(compared)),
        bar=benchmark.bar,
        met=met,
        library=_digits(scale * statistics.median(own)),
        by_hand=_digits(scale * statistics.median(pair.by_hand for pair in measured.pairs)),
        unit=unit,
        pairs=len(measured.pairs),
        tries=tries,
        notes=list(measured.notes),
        ratios=[_digits(one) for one in compared],
    )


def _scale(measure: Measure, measured: Measured) -> tuple[float, str]:
    """What seconds of a repetition are multiplied with for a person to read them, and the unit that gives."""
    if measure in ("ms", "MB"):
        return 1.0, measure
    if measured.units > 1:
        return 1e6 / measured.units, f"µs per {measured.unit.rstrip('s')}"
    return 1e3, f"ms per {measured.unit.rstrip('s')}"


def _digits(value: float) -> float:
    return float(f"{value:.4g}")


def lost(result: Result) -> bool:
    """Whether the work by hand was better by more than noise of a few percent."""
    return result.ratio < 0.97 if result.measure == "speed" else result.ratio > 1.03


def machine() -> Machine:
    """The machine, as far as it matters."""
    return Machine(
        system=platform.system(),
        processor=platform.machine(),
        cores=os.cpu_count() or 1,
        memory_gb=_digits(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        queue_taken_off=QUEUE.is_counted,
    )


def versions(engine: Engine) -> dict[str, str | None]:
    """Of everything that has a part in the figures; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version(), **engine.versions()}
    for name in ("iotstore", "msgspec", "sqlalchemy", "numpy"):
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = None
    return found


def write(run: Run, path: Path) -> None:
    """Keep a run in a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(msgspec.json.format(msgspec.json.encode(run), indent=1) + b"\n")


def read(path: Path) -> Run:
    """The run that a file holds; every name in it is a benchmark that exists."""
    run = msgspec.json.decode(path.read_bytes(), type=Run)
    unknown = [result.name for result in run.results if result.name not in by_name(run.backend)]
    if unknown:
        raise ValueError(
            f"{path.name} holds results of benchmarks that do not exist: {', '.join(unknown)}; run it again"
        )
    return run


def figure_text(measure: Measure, value: float) -> str:
    """A figure as a person reads it."""
    return f"{value:.2f}x" if measure in OF_RATIO else f"{value:,.0f} {measure}"


def bar_text(result: Result) -> str:
    """The bar of a result, or a dash."""
    if result.bar is None:
        return "—"
    return f"{'≥' if result.measure == 'speed' else '≤'} {figure_text(result.measure, result.bar)}"


def verdict(result: Result) -> str:
    """How the result stands to its bar."""
    return {None: "—", True: "met", False: "MISSED"}[result.met]
