"""The page and its plots, from the result files and nothing else."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from instead import growth, parts, plot
from instead.reasons import reason

ENGINES: Final = {"sqlite": "SQLite", "postgresql": "PostgreSQL", "neo4j": "Neo4j"}
_HEAD: Final = """\
<!-- Written by `python benchmarks/contenders.py --page` from `benchmarks/results/instead/`. Do not edit. -->

# Compared with what you would pick instead

The same work with iotstore, with the driver alone by hand, and with general-purpose libraries: each as its own
documentation recommends it, with the same guarantees (a batch is one transaction, points that are there already are
left out, WAL and `synchronous=NORMAL` on SQLite, the server's settings on PostgreSQL and Neo4j), and checked to hold
the same rows and to give the same answers. By hand means tables that are made for exactly these questions.

A figure says how many times as long the other one takes as iotstore does: the median over all turns of the ratio
within a turn, with the quartiles. They take turns, and who begins changes; time in which the process waited for a
processor is taken off, but for that of a server and of several threads. Under 1.00x iotstore loses, and the reason
stands below. What the library costs over the bare driver on its very own tables is on the
[performance page](performance.md).
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


def runs_of(results: Path) -> list[dict[str, Any]]:
    """What the result files hold, engine by engine."""
    paths = [results / f"{name}.json" for name in ENGINES]
    return [json.loads(path.read_text("utf-8")) for path in paths if path.exists()]


def write(results: Path, docs: Path, *, check: bool) -> int:
    """Write page and plots, or with *check* say by the exit code whether they are there as they would be written."""
    runs, grown = runs_of(results), growth.runs_of(results)
    files = {docs / "comparison.md": "".join(_page(runs, grown))}
    for run in runs:
        for part, rows in parts.divided(run["results"]).items():
            title = f"{part.title} on {ENGINES[run['backend']]}"
            files[docs / f"comparison-{run['backend']}-{part.name}.svg"] = plot.svg(_bars(rows), title)
    known = {*docs.glob("comparison*.svg"), *files}
    stale = [path for path in known if not path.exists() or path.read_text("utf-8") != files.get(path)]
    if check:
        for path in sorted(stale):
            print(f"{path.name} is not what the result files give; run: python benchmarks/contenders.py --page")
        return 1 if stale else 0
    for path in stale:
        if path in files:
            path.write_text(files[path], "utf-8")
        else:
            path.unlink()
    return 0


def _bars(rows: Mapping[str, Any]) -> list[plot.Group]:
    return [
        plot.Group(parts.TITLES[name], [plot.Bar(other, one["ratio"]) for other, one in row["others"].items()])
        for name, row in rows.items()
    ]


def _page(runs: Sequence[Mapping[str, Any]], grown: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    yield _HEAD
    for run in runs:
        engine = ENGINES[run["backend"]]
        yield f"\n## {engine}\n\n{parts.described(run)} {measured_on(run)}\n"
        yield f"\n```console\n$ {run['command']} --json benchmarks/results/instead/{run['backend']}.json\n```\n"
        for part, rows in parts.divided(run["results"]).items():
            yield (
                f"\n### {part.title} on {engine}\n\n{part.says}\n\n"
                if part.says
                else f"\n### {part.title} on {engine}\n\n"
            )
            yield f"![{part.title} on {engine}](comparison-{run['backend']}-{part.name}.svg)\n\n"
            yield from _table(rows)
        lost = list(_lost(run))
        if lost:
            yield f"\n### Where it loses on {engine}, and why\n\n" + "".join(lost)
        if run["backend"] in grown:
            yield from growth.section(grown[run["backend"]], engine)


def measured_on(run: Mapping[str, Any]) -> str:
    """Machine and versions in a sentence."""
    machine, versions = run["machine"], (f"{name} {version}" for name, version in run["versions"].items() if version)
    return f"Measured on {machine['system']} with {machine['cores']} cores; {', '.join(versions)}."


def _table(rows: Mapping[str, Any]) -> Iterator[str]:
    others = list(dict.fromkeys(other for row in rows.values() for other in row["others"]))
    yield f"| work | iotstore | {' | '.join(others)} |\n|---|---|{'---|' * len(others)}\n"
    for name, row in rows.items():
        cells = [_cell(row["others"].get(other)) for other in others]
        yield f"| {parts.TITLES[name]} | {microseconds(row['microseconds'])}{parts.UNITS.get(name, '')}"
        yield f" | {' | '.join(cells)} |\n"


def _cell(one: Mapping[str, float] | None) -> str:
    return "—" if one is None else f"**{times(one['ratio'])}** ({times(one['low'])} to {times(one['high'])})"


def times(ratio: float) -> str:
    """A ratio as a person reads it."""
    return f"{ratio:.3f}x" if ratio < 0.1 else f"{ratio:.2f}x" if ratio < 10 else f"{ratio:.0f}x"


def microseconds(value: float) -> str:
    """A time as a person reads it."""
    return f"{value:.3g} µs" if value < 1000 else f"{value / 1000:.3g} ms"


def _lost(run: Mapping[str, Any]) -> Iterator[str]:
    lost: dict[str, list[str]] = {}
    for part, rows in parts.divided(run["results"]).items():
        for name, row in rows.items():
            for other, one in row["others"].items():
                if one["ratio"] < 1:
                    said = f"{parts.TITLES[name]} ({times(one['ratio'])})"
                    lost.setdefault(f"**{other}**: {{}}. {reason(part.name, name, other)}", []).append(said)
    for text, works in lost.items():
        yield f"* {text.format('; '.join(works))}\n"
