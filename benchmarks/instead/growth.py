"""How everybody grows: 10^5, 10^6 and 10^7 points, each contender in a process of its own, in turns.

A process writes when it is told to, and says how long its batches took; at some sizes it is asked for the last 100
points of a series, for the room that everything takes and for its peak of memory.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sidebyside import workload
from sidebyside.bounded import peak_megabytes
from sidebyside.engine import Engine

from instead.comparison import CONTENDERS, DEVICES, NUMERIC, fill, place
from instead.contender import Contender
from instead.turns import check_counts, rotated, seconds_of

SIZES: Final = (100_000, 1_000_000, 10_000_000)
BATCH: Final = 10_000
_TURN: Final = 10  # batches of one turn
_ASKED: Final = 50
#: Who would need longer than this to write the next size does not try.
PATIENCE: Final = 120.0


class Grower:
    """One contender in a process of its own."""

    def __init__(self, module: str, contender_class: str, url: str) -> None:
        command = [sys.executable, "-m", "instead.growth", module, contender_class, url]
        folder = Path(__file__).parent.parent
        self._process = subprocess.Popen(command, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.name = str(self._answer())
        self.seconds: list[float] = []
        """of each batch"""

    def tell(self, what: str) -> Any:
        """Have something done, and wait for what is said about it."""
        if self._process.stdin is None:
            raise RuntimeError(f"{self.name} can't be told anything")
        self._process.stdin.write(f"{what}\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        line = self._process.stdout.readline() if self._process.stdout is not None else ""
        if not line:
            raise RuntimeError(f"a process of the comparison ended with {self._process.wait()}; its error is above")
        return json.loads(line)

    def end(self) -> None:
        """Close its input, which ends it."""
        self._process.communicate()


def measure(
    backend: str, engine: Engine, largest: int, keep: Callable[[dict[str, Any]], object] = lambda _: None
) -> dict[str, Any]:
    """By size and contender: ratios of batches, of the last 100 points, bytes per point and the peak of memory.

    *keep* gets what is known so far after each size, for the largest takes long.
    """
    found: dict[str, Any] = {}
    with ExitStack() as stack:
        growing: list[Grower] = []
        for module, contender_class in CONTENDERS[backend]:
            growing.append(Grower(module, contender_class, stack.enter_context(place(engine))))
            stack.callback(growing[-1].end)
        done = 0
        for size in [size for size in SIZES if size <= largest]:
            growing = [one for one in growing if _can(one, done, size)]
            before = {one.name: len(one.seconds) for one in growing}
            for turn in range(done // BATCH, size // BATCH, _TURN):
                for one in rotated(growing, turn // _TURN):
                    one.seconds += one.tell("write")
            done = size
            asked = {one.name: one.tell("ask") for one in growing}
            check_counts({name: answer["points"] for name, answer in asked.items()}, "points")
            rows = {one.name: one.seconds[before[one.name] :] for one in growing}
            found[str(size)] = _rows(rows, asked)
            print(f"{size:,}", *(f"{name}: {row['ingest']['ratio']:.2f}x" for name, row in found[str(size)].items()))
            keep(found)
    return found


def _can(one: Grower, done: int, size: int) -> bool:
    """Whether it writes the points up to a size within the time that there is."""
    return not one.seconds or statistics.fmean(one.seconds) * (size - done) / BATCH <= PATIENCE


def _rows(seconds: Mapping[str, Sequence[float]], asked: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    first = next(iter(seconds))
    return {
        name: {
            "ingest": _spread([its / mine for its, mine in zip(took, seconds[first], strict=True)]),
            "last-100": _spread(
                [its / mine for its, mine in zip(asked[name]["last"], asked[first]["last"], strict=True)]
            ),
            "points": asked[name]["points"],
            "bytes": asked[name]["bytes"],
            "megabytes": asked[name]["megabytes"],
            "microseconds": statistics.median(took) / BATCH * 1e6,
        }
        for name, took in seconds.items()
    }


def _spread(ratios: Sequence[float]) -> dict[str, float]:
    low, median, high = statistics.quantiles(ratios, n=4, method="inclusive")
    return {"low": low, "ratio": median, "high": high}


def runs_of(results: Path) -> dict[str, dict[str, Any]]:
    """What the result files hold, by engine."""
    paths = {name: results / "growth" / f"{name}.json" for name in CONTENDERS}
    return {name: json.loads(path.read_text("utf-8")) for name, path in paths.items() if path.exists()}


def section(run: Mapping[str, Any], engine: str) -> Iterator[str]:
    """What the page says of it."""
    yield f"\n### Growing on {engine}\n\n"
    yield f"Each contender in a process of its own; they write {_TURN} batches of {BATCH:,} points in turn."
    yield " Bytes are those of the database with its indexes beyond what was there before the points came; memory is"
    yield f" the peak of the whole process. Who would write for more than {PATIENCE / 60:.0f} minutes to get to a size"
    yield " was left out of it (—).\n\n"
    yield f"```console\n$ {run['command']} --json benchmarks/results/instead/growth/{run['backend']}.json\n```\n\n"
    names = list(next(iter(run["results"].values())))
    yield f"| points | what | {' | '.join(names)} |\n|---|---|{'---|' * len(names)}\n"
    for size, rows in run["results"].items():
        count = f"{int(size):,}"
        own = f"{rows[names[0]]['microseconds']:.3g} µs per point"
        for what, words, first in (("ingest", "writing", own), ("last-100", "last 100", "1")):
            cells = [first, *(_ratio(rows.get(name), what) for name in names[1:])]
            yield f"| {count} | {words} | {' | '.join(cells)} |\n"
        cells = [f"{rows[name]['bytes']:.0f} bytes" if name in rows else "—" for name in names]
        yield f"| {count} | each point takes | {' | '.join(cells)} |\n"
        cells = [f"{rows[name]['megabytes']:.0f} MB" if name in rows else "—" for name in names]
        yield f"| {count} | memory | {' | '.join(cells)} |\n"


def _ratio(row: Mapping[str, Any] | None, what: str) -> str:
    if row is None:
        return "—"
    texts = [f"{row[what][key]:.2f}x" for key in ("ratio", "low", "high")]
    return f"**{texts[0]}** ({texts[1]} to {texts[2]})"


def main(module: str, contender_class: str, url: str) -> None:
    """Be one contender, and do what is told by the lines of standard input."""
    one: Contender = getattr(import_module(module), contender_class)(url)
    key = workload.device_keys(DEVICES)[3]
    try:
        fill(one, 1, 1)  # sqlite-utils makes a table of its first row
        empty = one.room()
        source = workload.many_points(DEVICES, sorted(NUMERIC))
        _say(one.name)
        for line in sys.stdin:
            if line.strip() == "write":
                batches = ([*islice(source, BATCH)] for _ in range(_TURN))
                _say([seconds_of(partial(one.ingest, batch)) for batch in batches])
            else:
                count = one.count()
                last = [seconds_of(partial(one.last, key, "temperature", 100)) for _ in range(_ASKED)]
                bytes_each = (one.room() - empty) / count
                _say({"points": count, "last": last, "bytes": bytes_each, "megabytes": peak_megabytes()})
    finally:
        one.close()


def _say(what: object) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:4])
