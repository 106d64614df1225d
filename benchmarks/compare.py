"""Compare two result files: `python benchmarks/compare.py OLD NEW`, of run.py or of contenders.py.

Only ratios are compared, never times, so that files of different machines can be. A benchmark got worse when its
quartiles lie apart and its figure is off by a tenth; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from sidebyside.measure import Spread, spread
from sidebyside.results import read

_WORSE: Final = 0.10


class Figure(NamedTuple):
    """The ratios of one benchmark, and whether more of them is better."""

    spread: Spread
    more: bool


class Line(NamedTuple):
    """One benchmark in both files: its ratios, and what became of them."""

    name: str
    before: float
    after: float
    verdict: str


def main(arguments: Sequence[str]) -> int:
    """Print what changed; 1 when something got worse, 2 when the files can't be compared."""
    parser = argparse.ArgumentParser(prog="compare.py", description="Compare the ratios of two result files.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    asked = parser.parse_args(arguments)
    (old_of, before), (new_of, after) = figures(asked.old), figures(asked.new)
    if old_of != new_of:
        parser.error(f"{asked.old} is of {old_of}, {asked.new} of {new_of}")
    lines = list(compare(before, after))
    for line in lines:
        print(f"{line.name:40} {line.before:8.2f} {line.after:8.2f}  {line.verdict}")
    for name in sorted(set(before) ^ set(after)):
        print(f"{name:40} only in {asked.old if name in before else asked.new}")
    return 1 if any(line.verdict == "worse" for line in lines) else 0


def figures(path: Path) -> tuple[str, dict[str, Figure]]:
    """What a file is of, and its benchmarks that compare."""
    found = json.loads(path.read_text("utf-8"))
    if isinstance(found["results"], dict):
        return f"{found['backend']} beside others", _beside_others(found["results"])
    run = read(path)
    compared = (result for result in run.results if result.measure in ("speed", "time"))
    return run.backend, {one.name: Figure(spread(one.ratios), one.measure == "speed") for one in compared}


def _beside_others(results: Mapping[str, Any]) -> dict[str, Figure]:
    """How many times as long the others take: more is better for the library."""
    return {
        f"{name}, {other}": Figure(Spread(one["low"], one["ratio"], one["high"]), more=True)
        for name, row in results.items()
        for other, one in row.get("others", {}).items()
    }


def compare(before: Mapping[str, Figure], after: Mapping[str, Figure]) -> Iterator[Line]:
    """What became of each benchmark that both have."""
    for name, old in before.items():
        if name not in after:
            continue
        one, other = old.spread, after[name].spread
        gain = (other.median - one.median) / one.median * (1 if old.more else -1)
        apart = other.high < one.low or other.low > one.high
        verdict = "the same" if not apart or abs(gain) < _WORSE else "better" if gain > 0 else "worse"
        yield Line(name, one.median, other.median, verdict)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
