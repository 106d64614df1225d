"""Write `docs/performance.md` from a result file: `python benchmarks/page.py`; `--check` only compares, for a test.

Every figure on the page stands in the result file, so that the page says nothing that was not measured.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from sidebyside.catalogue import BENCHMARKS, BY_NAME
from sidebyside.measure import OF_RATIO
from sidebyside.results import Result, Run, bar_text, figure_text, lost, read, verdict

ROOT = Path(__file__).parent.parent
RESULTS = ROOT / "benchmarks" / "results" / "sqlite.json"
PAGE = ROOT / "docs" / "performance.md"

_HEAD = """<!-- Written by `python benchmarks/page.py` from `benchmarks/results/sqlite.json`. Do not edit. -->

# Performance

What does the library cost, compared with the same work written by hand with Python's `sqlite3`?

Each benchmark does the same work with both, in the same run and process: the same rows and Python objects, tables of
the same definition (the work by hand starts with a copy of the store's file), the same `PRAGMA`s (WAL,
`synchronous=NORMAL`, foreign keys), transactions of the same size, values checked and converted, and the same objects
given back. Afterwards both must hold the same rows, or have given the same answers, or the benchmark fails.

The sides take turns, and who goes first alternates. A figure is the median over all pairs of turns of the ratio within
a pair, with its quartiles: what else the machine does hits neighbours alike. {queue}
Times are there for orientation; on another machine they differ, the ratios less.

*speed* is the library's speed in units of the work by hand: more is better. *time* is its time in the same units: less
is better. Bars are what the project promises; `python benchmarks/run.py` ends with an error when one is missed.
"""


_RUN_IT = """\
`python benchmarks/page.py` writes this page from that file, and a test fails when the two disagree. With `--quick` the
same comparisons take a minute, with fewer rows and turns; there a benchmark that misses its bar is measured up to three
times, and the best of the three counts.
"""


def page(run: Run) -> str:
    """The page of a run."""
    return "\n".join([*_top(run), *_table(run), *_losses(run), *_details(run)]).rstrip() + "\n"


def _top(run: Run) -> Iterator[str]:
    queue = "Time in which the\nthread stood ready while others had the processors is taken off, as Linux counts it."
    yield _HEAD.format(queue=queue if run.machine.queue_taken_off else "Times are wall-clock times.")
    machine = run.machine
    names = ", ".join(f"{name} {version or '(not installed)'}" for name, version in run.versions.items())
    yield (
        f"Measured on {machine.system} ({machine.processor}) with {machine.cores} cores and {machine.memory_gb:g} GB of"
        f" memory; {names}. All figures come from one run:\n"
    )
    yield f"```console\n$ {run.command} --json benchmarks/results/sqlite.json\n```\n"
    for name, reason in run.left_out.items():
        yield f"`{name}` did not run: {reason}.\n"
    yield _RUN_IT


def _table(run: Run) -> Iterator[str]:
    yield "## Results\n"
    yield "| benchmark | compared | quartiles | bar | verdict | library | by hand |"
    yield "|---|---|---|---|---|---|---|"
    for result in run.results:
        figure, low, high = (figure_text(result.measure, value) for value in (result.figure, result.low, result.high))
        cells = [
            f"[{BY_NAME[result.name].title}](#{result.name})",
            f"**{figure}**{f' {result.measure}' if result.measure in OF_RATIO else ''}",
            f"{low} to {high}" if result.pairs > 1 else "one pair",
            bar_text(result),
            verdict(result),
            f"{result.library:g} {result.unit}",
            f"{result.by_hand:g} {result.unit}",
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _losses(run: Run) -> Iterator[str]:
    yield "## Where it loses, and why\n"
    slower = [result for result in run.results if lost(result)]
    if not slower:
        yield "In this run it was nowhere slower or larger than the work by hand by more than 3 %.\n"
    for result in slower:
        benchmark = BY_NAME[result.name]
        yield f"* **{benchmark.title}** ({result.ratio:.2f}x {_word(result)}): the library {benchmark.beyond}."
    yield ""


def _word(result: Result) -> str:
    return {"speed": "the speed", "time": "the time", "ms": "the time", "MB": "the memory"}[result.measure]


def _details(run: Run) -> Iterator[str]:
    size = f" --{run.size}" if run.size != "normal" else ""
    yield "## Each of them\n"
    for result in run.results:
        benchmark = BY_NAME[result.name]
        yield f'<a id="{result.name}"></a>\n\n### {benchmark.title}\n'
        turns = f"{result.pairs} pairs of turns" if result.pairs > 1 else "One pair"
        tries = f", the best of {result.tries} tries" if result.tries > 1 else ""
        yield " ".join([benchmark.says, f"{turns}{tries}.", *(f"{_sentence(note)}." for note in result.notes)]) + "\n"
        yield f"```console\n$ python benchmarks/run.py{size} --only {result.name}\n```\n"


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def main(arguments: Sequence[str]) -> int:
    """Write the page, or with --check say by the exit code whether it is what the result file gives."""
    parser = argparse.ArgumentParser(prog="python benchmarks/page.py", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare only")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="FILE")
    parser.add_argument("--page", type=Path, default=PAGE, metavar="FILE")
    asked = parser.parse_args(arguments)
    run = read(asked.results)
    missing = [
        one.name for one in BENCHMARKS if one.name not in {*run.left_out, *(result.name for result in run.results)}
    ]
    if missing:
        print(f"{asked.results.name} lacks {', '.join(missing)}; run all benchmarks into it")
        return 1
    text = page(run)
    if not asked.check:
        asked.page.write_text(text, "utf-8")
    elif not asked.page.exists() or asked.page.read_text("utf-8") != text:
        print(f"{asked.page.name} is not what {asked.results.name} gives; run: python benchmarks/page.py")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
