"""Compare two result files: `python benchmarks/compare.py OLD NEW`.

Only ratios are compared, never times, so that files of different machines can be. A benchmark got worse when its
quartiles lie apart and its figure is off by a tenth; then the exit code is 1.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from sidebyside.measure import spread
from sidebyside.results import Result, read

_WORSE: Final = 0.10


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
    old, new = read(asked.old), read(asked.new)
    if old.backend != new.backend:
        parser.error(f"{asked.old} is of {old.backend}, {asked.new} of {new.backend}")
    before = {result.name: result for result in old.results}
    after = {result.name: result for result in new.results}
    lines = list(compare(before, after))
    for line in lines:
        print(f"{line.name:24} {line.before:8.2f} {line.after:8.2f}  {line.verdict}")
    for name in sorted(set(before) ^ set(after)):
        print(f"{name:24} only in {asked.old if name in before else asked.new}")
    return 1 if any(line.verdict == "worse" for line in lines) else 0


def compare(before: dict[str, Result], after: dict[str, Result]) -> Iterator[Line]:
    """What became of each benchmark that both have and that compares with work by hand."""
    for name, old in before.items():
        new = after.get(name)
        if new is None or old.measure not in ("speed", "time"):
            continue
        one, other = spread(old.ratios), spread(new.ratios)
        # Speed is better when it is more, time when it is less.
        sign = 1 if old.measure == "speed" else -1
        gain = sign * (other.median - one.median) / one.median
        apart = other.high < one.low or other.low > one.high
        verdict = "the same" if not apart or abs(gain) < _WORSE else "better" if gain > 0 else "worse"
        yield Line(name, one.median, other.median, verdict)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
