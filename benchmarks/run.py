"""Run the benchmarks: `python benchmarks/run.py [--backend NAME] [--quick | --full] [--only NAME ...] [--json FILE]`.

Each one does the same work with the library and by hand, in turns, and compares ratios. The exit code is 1 when a bar
is missed. With --quick a benchmark that misses its bar is measured up to three times, and the best of the three counts:
few repetitions on a busy machine can be wrong, but a bar that is really missed is missed three times.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from sidebyside.catalogue import CATALOGUE, Benchmark, by_name, engine_of
from sidebyside.engine import Engine
from sidebyside.ingest import has_numpy
from sidebyside.results import Result, Run, Size, bar_text, figure_text, machine, result_of, verdict, versions, write
from sidebyside.stage import FULL, NORMAL, QUICK, Sizes

from iotstore import ConfigurationError

TRIES = 3
WIDTHS = (21, 13, 18, 10, 8, 20, 20)


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for, print a table, and say by the exit code whether every bar holds."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    size: Size = "quick" if asked.quick else "full" if asked.full else "normal"
    known = by_name(asked.backend)
    unknown = [name for name in asked.only if name not in known]
    if unknown:
        parser.error(f"{asked.backend} has no benchmark {', '.join(unknown)}; choose from {', '.join(known)}")
    try:
        engine = engine_of(asked.backend)
    except ImportError as error:
        parser.error(f"{error.name} is not installed; run: pip install 'iotstore[conformance,postgres,servers]'")
    except ConfigurationError as error:
        parser.error(str(error))
    chosen = [known[name] for name in asked.only] or list(known.values())
    results, left_out = _run(engine, chosen, size)
    if asked.json is not None:
        options = ["--backend", asked.backend] if asked.backend != "sqlite" else []
        options += [f"--{size}"] if size != "normal" else []
        command = shlex.join(["python", "benchmarks/run.py", *options])
        run = Run(command, size, machine(), versions(engine), left_out, results, asked.backend, engine.settings())
        write(run, asked.json)
    missed = [result.name for result in results if result.met is False]
    print(f"missed: {', '.join(missed)}" if missed else "every bar holds")
    return 1 if missed else 0


def _run(engine: Engine, chosen: Sequence[Benchmark], size: Size) -> tuple[list[Result], dict[str, str]]:
    """Measure and print: the results, and what was left out with the reason."""
    sizes = {"quick": QUICK, "normal": NORMAL, "full": FULL}[size]
    left_out: dict[str, str] = {}
    results: list[Result] = []
    print(_line(["benchmark", "compared", "quartiles", "bar", "verdict", "library", "by hand"]))
    for benchmark in chosen:
        if benchmark.needs == "numpy" and not has_numpy():
            left_out[benchmark.name] = "numpy is not installed; run: pip install numpy"
            continue
        start = perf_counter()
        result = _best(engine, benchmark, sizes, TRIES if size == "quick" else 1)
        results.append(result)
        print(_row(result), f"[{perf_counter() - start:.0f} s]", flush=True)
    for result in results:
        print(*(f"{result.name}: {note}" for note in result.notes), sep="\n", end="\n" if result.notes else "")
    for name, reason in left_out.items():
        print(f"{name} did not run: {reason}")
    return results, left_out


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python benchmarks/run.py", description=(__doc__ or "").partition("\n")[2])
    parser.add_argument("--backend", choices=[*CATALOGUE], default="sqlite", help="what the store lies in (sqlite)")
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="few repetitions and rows, for a look within 90 seconds")
    size.add_argument("--full", action="store_true", help="10 million points for the peak of memory: some minutes")
    names = dict.fromkeys(benchmark.name for benchmarks in CATALOGUE.values() for benchmark in benchmarks)
    parser.add_argument("--only", nargs="+", default=[], choices=[*names], metavar="NAME", help=", ".join(names))
    parser.add_argument("--json", type=Path, metavar="FILE", help="keep the results")
    return parser


def _best(engine: Engine, benchmark: Benchmark, sizes: Sizes, tries: int) -> Result:
    found: list[Result] = []
    for number in range(1, tries + 1):
        found.append(result_of(benchmark, benchmark.run(engine, sizes), number))
        if found[-1].met is not False:
            return found[-1]
    return max(found, key=lambda one: one.figure if one.measure == "speed" else -one.figure)


def _row(result: Result) -> str:
    figure, low, high = (figure_text(result.measure, value) for value in (result.figure, result.low, result.high))
    kind = {"speed": "speed", "time": "time"}.get(result.measure, "")
    cells = [result.name, f"{figure} {kind}", f"{low} to {high}", bar_text(result), verdict(result)]
    return _line(cells + [f"{value:g} {result.unit}" for value in (result.library, result.by_hand)])


def _line(cells: Sequence[str]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, WIDTHS, strict=True))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
