"""The page and its plots, from the result files and nothing else."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from instead import plot
from instead.comparison import INGEST, QUESTIONS

_ENGINES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}
_TITLES: Final = {"ingest": INGEST, **{name: words for name, (words, _) in QUESTIONS.items()}}
_LOST: Final = {
    "DuckDB": "DuckDB keeps each column together and computes over many values at once, which is what an aggregate over"
    " much data wants; a library on a row store will not catch up with it there.",
    "sqlite-utils": "sqlite-utils gives back dictionaries of what the driver said; the library gives back whole records"
    " with all their fields, checked types and times in UTC.",
    "peewee": "peewee's table has the columns that are asked for and no more; the library reads whole records.",
    "SQLAlchemy ORM": "SQLAlchemy's table has the columns that are asked for and no more.",
    "Django ORM": "Django's table has the columns that are asked for and no more.",
    "pandas to_sql": "pandas works on the whole frame at once.",
}
_HEAD: Final = """\
<!-- Written by `python benchmarks/contenders.py --page` from `benchmarks/results/instead/`. Do not edit. -->

# Compared with what you would pick instead

The same work with iotstore and with general-purpose libraries: each as its own documentation recommends it, with the
same guarantees (a batch is one transaction, points that are there already are left out, WAL and `synchronous=NORMAL`
on SQLite, the server's settings on PostgreSQL), and checked to hold the same rows and to give the same answers.

A figure says how many times as long the other one takes as iotstore does: the median over all turns of the ratio
within a turn, with the quartiles. They take turns, and who begins changes; time in which the process waited for a
processor is taken off. Under 1.0x iotstore loses, and the reason stands below. What the library costs over the bare
driver is on the [performance page](performance.md).
"""


def ratios(found: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, Any]:
    """Of each piece of work how much longer the others took, turn by turn, and what the library took."""
    result: dict[str, Any] = {}
    for name, times in found.items():
        (first, own), *others = times.items()
        result[name] = {"microseconds": statistics.median(own) * 1e6, "library": first, "others": {}}
        for other, theirs in others:
            each = [its / mine for its, mine in zip(theirs, own, strict=True)]
            low, median, high = statistics.quantiles(each, n=4, method="inclusive")
            result[name]["others"][other] = {"low": low, "ratio": median, "high": high}
    return result


def write(results: Path, docs: Path, *, check: bool) -> int:
    """Write page and plots, or with *check* say by the exit code whether they are there as they would be written."""
    runs = [
        json.loads((results / f"{name}.json").read_text("utf-8"))
        for name in _ENGINES
        if (results / f"{name}.json").exists()
    ]
    files = {docs / "comparison.md": "".join(_page(runs))}
    for run in runs:
        files[docs / f"comparison-{run['backend']}.svg"] = plot.svg(_bars(run), _ENGINES[run["backend"]])
    stale = [path for path, text in files.items() if not path.exists() or path.read_text("utf-8") != text]
    if check:
        for path in stale:
            print(f"{path.name} is not what the result files give; run: python benchmarks/contenders.py --page")
        return 1 if stale else 0
    for path in stale:
        path.write_text(files[path], "utf-8")
    return 0


def _bars(run: Mapping[str, Any]) -> list[plot.Group]:
    return [
        plot.Group(_TITLES[name], [plot.Bar(other, one["ratio"]) for other, one in row["others"].items()])
        for name, row in run["results"].items()
    ]


def _page(runs: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield _HEAD
    for run in runs:
        engine = _ENGINES[run["backend"]]
        sizes, machine = run["sizes"], run["machine"]
        others = list(run["results"]["ingest"]["others"])
        yield f"\n## {engine}\n\n"
        yield f"{sizes['batch'] * sizes['batches']:,} points of 60 series in batches of {sizes['batch']:,}, 20 devices,"
        yield f" {sizes['alerts']:,} alerts. Measured on {machine['system']} with {machine['cores']} cores; "
        yield ", ".join(f"{name} {version}" for name, version in run["versions"].items())
        yield f".\n\n```console\n$ {run['command']} --json benchmarks/results/instead/{run['backend']}.json\n```\n\n"
        yield f"![How many times as long the others take on {engine}](comparison-{run['backend']}.svg)\n\n"
        yield f"| work | iotstore | {' | '.join(others)} |\n|---|---|{'---|' * len(others)}\n"
        for name, row in run["results"].items():
            cells = [_cell(row["others"][other]) for other in others]
            per = " per point" if name == "ingest" else ""
            yield f"| {_TITLES[name]} | {_microseconds(row['microseconds'])}{per} | {' | '.join(cells)} |\n"
        lost = list(_lost(run))
        if lost:
            yield f"\nWhere it loses on {engine}, and why:\n\n" + "".join(lost)


def _cell(one: Mapping[str, float]) -> str:
    return f"**{_times(one['ratio'])}** ({_times(one['low'])} to {_times(one['high'])})"


def _times(ratio: float) -> str:
    return f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def _microseconds(value: float) -> str:
    return f"{value:.3g} µs" if value < 1000 else f"{value / 1000:.3g} ms"


def _lost(run: Mapping[str, Any]) -> Iterator[str]:
    for name, row in run["results"].items():
        for other, one in row["others"].items():
            if one["ratio"] < 1:
                yield f"* **{_TITLES[name]}**, {other} takes {_times(one['ratio'])} of the time: {_LOST[other]}\n"
