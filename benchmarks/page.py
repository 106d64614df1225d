"""Write `docs/performance.md` from the result files: `python benchmarks/page.py`; `--check` only compares, for a test.

Every figure on the page stands in a result file, so that the page says nothing that was not measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sidebyside.catalogue import CATALOGUE, by_name
from sidebyside.measure import OF_RATIO
from sidebyside.results import Result, Run, bar_text, figure_text, lost, read, verdict

ROOT = Path(__file__).parent.parent
FOLDER = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"

_HEAD = """<!-- Written by `python benchmarks/page.py` from `benchmarks/results/`. Do not edit. -->

# Performance

What does the library cost, compared with the same work written by hand with the driver alone: {drivers}?

Each benchmark does the same work with both, in the same run and process: the same rows and Python objects, tables of
the same definition (the work by hand starts with a copy of the store), the same settings of the engine, transactions of
the same size, values checked and converted, and the same objects given back. Afterwards both must hold the same rows,
or have given the same answers, or the benchmark fails.

The sides take turns, and who goes first alternates. A figure is the median over all pairs of turns of the ratio within
a pair, with its quartiles: what else the machine does hits neighbours alike. {queue}
Times are there for orientation; on another machine they differ, the ratios less.

*speed* is the library's speed in units of the work by hand: more is better. *time* is its time in the same units: less
is better. Bars are what the project promises; `python benchmarks/run.py` ends with an error when one is missed.

`python benchmarks/page.py` writes this page from the result files, and a test fails when they disagree. With `--quick`
the same comparisons take a minute or two, with fewer rows and turns; there a benchmark that misses its bar is measured
up to three times, and the best of the three counts.
"""


@dataclass(frozen=True, slots=True)
class About:
    """What the page says of a backend."""

    title: str
    driver: str
    says: str


_ABOUT: Final = {
    "sqlite": About(
        "SQLite",
        "`sqlite3` for SQLite",
        "Both sides have the same `PRAGMA`s: WAL, `synchronous=NORMAL`, foreign keys.",
    ),
    "postgresql": About(
        "PostgreSQL",
        "`psycopg` for PostgreSQL",
        "Each side has a database of its own on the same server, the second one made from the first by"
        " `CREATE DATABASE ... TEMPLATE`: the same tables, partitions, indexes and statistics. All connections have the"
        " server's settings, among them {settings}. {fsync}By hand everything goes over one connection with prepared"
        " statements, binary answers, and binary COPY with `write_row`. While single calls are timed, this process and"
        " the two of the server that answer it share a core, where the system lets that be arranged: otherwise chance"
        " decides which side has to wake up another core.",
    ),
}
_NO_FSYNC: Final = (
    "With `fsync=off` neither side waits for the disk: both are equally safe from a killed server, and exposed to"
    " a loss of power alike. "
)


def page(runs: Sequence[Run]) -> str:
    """The page of a run of each backend."""
    drivers = ", ".join(_ABOUT[run.backend].driver for run in runs)
    queue = "Time in which\nthis thread stood ready while others had the processors is taken off, as Linux counts it."
    counted = all(run.machine.queue_taken_off for run in runs)
    lines = [_HEAD.format(drivers=drivers, queue=queue if counted else "Times are wall-clock times.")]
    for run in runs:
        lines += [*_top(run), *_table(run), *_losses(run), *_details(run)]
    return "\n".join(lines).rstrip() + "\n"


def _anchor(run: Run, name: str) -> str:
    return name if run.backend == "sqlite" else f"{run.backend}-{name}"


def _top(run: Run) -> Iterator[str]:
    about, machine = _ABOUT[run.backend], run.machine
    yield f"## {about.title}\n"
    settings = ", ".join(f"`{name}={value}`" for name, value in run.settings.items())
    yield about.says.format(settings=settings, fsync=_NO_FSYNC if run.settings.get("fsync") == "off" else "") + "\n"
    names = ", ".join(f"{name} {version or '(not installed)'}" for name, version in run.versions.items())
    yield (
        f"Measured on {machine.system} ({machine.processor}) with {machine.cores} cores and {machine.memory_gb:g} GB of"
        f" memory; {names}. All figures come from one run:\n"
    )
    yield f"```console\n$ {run.command} --json benchmarks/results/{run.backend}.json\n```\n"
    for name, reason in run.left_out.items():
        yield f"`{name}` did not run: {reason}.\n"


def _table(run: Run) -> Iterator[str]:
    yield f"### Results with {_ABOUT[run.backend].title}\n"
    yield "| benchmark | compared | quartiles | bar | verdict | library | by hand |"
    yield "|---|---|---|---|---|---|---|"
    for result in run.results:
        figure, low, high = (figure_text(result.measure, value) for value in (result.figure, result.low, result.high))
        cells = [
            f"[{by_name(run.backend)[result.name].title}](#{_anchor(run, result.name)})",
            f"**{figure}**{f' {result.measure}' if result.measure in OF_RATIO else ''}",
            f"{low} to {high}" if result.pairs > 1 else "one pair",
            bar_text(result),
            verdict(result),
            f"{result.library:g} {result.unit}",
            f"{result.by_hand:g} {result.unit}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""
    missed = [result for result in run.results if result.met is False]
    if missed:
        said = (
            f"{by_name(run.backend)[one.name].title} ({figure_text(one.measure, one.figure)}, bar {bar_text(one)})"
            for one in missed
        )
        yield f"**Missed in this run:** {'; '.join(said)}.\n"


def _losses(run: Run) -> Iterator[str]:
    yield f"### Where it loses with {_ABOUT[run.backend].title}, and why\n"
    slower = [result for result in run.results if lost(result)]
    if not slower:
        yield "In this run it was nowhere slower or larger than the work by hand by more than 3 %.\n"
    for result in slower:
        benchmark = by_name(run.backend)[result.name]
        yield f"* **{benchmark.title}** ({result.ratio:.2f}x {_word(result)}): the library {benchmark.beyond}."
    yield ""


def _word(result: Result) -> str:
    return {"speed": "the speed", "time": "the time", "ms": "the time", "MB": "the memory"}[result.measure]


def _details(run: Run) -> Iterator[str]:
    yield f"### Each of them with {_ABOUT[run.backend].title}\n"
    for result in run.results:
        benchmark = by_name(run.backend)[result.name]
        yield f'<a id="{_anchor(run, result.name)}"></a>\n\n#### {benchmark.title}\n'
        turns = f"{result.pairs} pairs of turns" if result.pairs > 1 else "One pair"
        tries = f", the best of {result.tries} tries" if result.tries > 1 else ""
        yield " ".join([benchmark.says, f"{turns}{tries}.", *(f"{_sentence(note)}." for note in result.notes)]) + "\n"
        yield f"```console\n$ {run.command} --only {result.name}\n```\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def found(folder: Path) -> list[Path]:
    """The result files of a folder, in the order of the catalogue."""
    return [path for backend in CATALOGUE if (path := folder / f"{backend}.json").exists()]


def _missing(run: Run) -> list[str]:
    known = {*run.left_out, *(result.name for result in run.results)}
    return [benchmark.name for benchmark in CATALOGUE[run.backend] if benchmark.name not in known]


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check say by the exit code whether it is what the result files give."""
    parser = argparse.ArgumentParser(prog="python benchmarks/page.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--results", type=Path, default=FOLDER, metavar="FOLDER", help="where BACKEND.json files are")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE")
    asked = parser.parse_args(arguments)
    files = found(asked.results)
    runs = [read(path) for path in files]
    for path, run in zip(files, runs, strict=True):
        if missing := _missing(run):
            print(f"{path.name} lacks {', '.join(missing)}; run all benchmarks into it")
            return 1
    text = page(runs)
    if not asked.check:
        asked.page.write_text(text, "utf-8")
    elif not asked.page.exists() or asked.page.read_text("utf-8") != text:
        print(f"{asked.page.name} is not what the result files give; run: python benchmarks/page.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
