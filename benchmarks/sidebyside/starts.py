"""Cold starts: how long a person waits for an import, for the command line's help, and for a store to open."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from time import perf_counter
from typing import Final

from sidebyside import workload
from sidebyside.engine import Engine
from sidebyside.measure import QUEUE, Measured, Pair
from sidebyside.stage import Sizes, staged

# Told at the end of a program: nanoseconds that it stood ready while others had the processors.
_TELL: Final = """
import atexit, sys
def queued():
    with open("/proc/self/schedstat") as file:
        return int(file.read().split()[1])
atexit.register(lambda: sys.stderr.write(str(queued())))
"""
_TIMED: Final = """
import time
before = queued() if "queued" in globals() else 0
start = time.perf_counter()
import {modules}
took = time.perf_counter() - start
print(took - ((queued() if "queued" in globals() else 0) - before) / 1e9)
"""
_DRIVERS: Final = (
    "import sys, iotstore; print(*(m for m in ('sqlite3', 'sqlalchemy', 'numpy', 'pluggy') if m in sys.modules))"
)
_HELP: Final = "import sys; sys.argv = ['iotstore', '--help']; from iotstore.cli import main; sys.exit(main())"
_HELP_BY_HAND: Final = "import argparse; argparse.ArgumentParser(description='by hand').parse_args(['--help'])"
_OPEN: Final = """
import iotstore, sys
with iotstore.open(sys.argv[1]) as store:
    assert store.devices.get(sys.argv[2]).key == sys.argv[2]
"""


def run(program: str, *arguments: str) -> tuple[str, float]:
    """Run a program in a fresh interpreter; what it printed, and its milliseconds (those in the queue taken off)."""
    command = [sys.executable, "-c", (_TELL if QUEUE.is_counted else "") + program, *arguments]
    queued, start = QUEUE.seconds(), perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)
    took = perf_counter() - start - (QUEUE.seconds() - queued)
    return done.stdout, (took - int(done.stderr or 0) / 1e9) * 1000


def seconds_to_import(modules: str) -> float:
    """How long a fresh interpreter takes to import some modules, its own start left out."""
    return float(run(_TIMED.format(modules=modules))[0])


def _processes(library: Sequence[str], by_hand: Sequence[str], rounds: int) -> list[Pair]:
    """Milliseconds of whole processes, in turns; the first turn brings the files into memory and does not count."""
    pairs: list[Pair] = []
    for turn in range(rounds + 1):
        sides = [library, by_hand] if turn % 2 else [by_hand, library]
        took = [run(*side)[1] for side in sides]
        pairs.append(Pair(*took) if turn % 2 else Pair(took[1], took[0]))
    return pairs[1:]


def imports(_: Engine, sizes: Sizes) -> Measured:
    """`import iotstore` in a fresh interpreter, against the modules that work by hand imports."""
    pairs: list[Pair] = []
    for _turn in range(sizes.starts + 1):
        library, by_hand = (
            seconds_to_import(modules) * 1000 for modules in ("iotstore", "sqlite3, json, datetime, dataclasses")
        )
        pairs.append(Pair(library, by_hand))
    found = run(_DRIVERS)[0].split()
    note = f"it imported {', '.join(found)}" if found else "no driver is imported"
    return Measured(pairs[1:], 1, "imports", [note])


def help_page(_: Engine, sizes: Sizes) -> Measured:
    """`iotstore --help`, the interpreter's own start included, against an argparse program of one line."""
    return Measured(_processes([_HELP], [_HELP_BY_HAND], sizes.starts), 1, "starts")


def first_read(engine: Engine, sizes: Sizes) -> Measured:
    """A fresh process opens a store that exists and reads one device, against a connection opened by hand."""
    with staged(engine, sizes) as stage:
        key = workload.device_keys(1)[0]
        stage.store.close()
        pairs = _processes(
            [_OPEN, stage.places.library, key],
            [engine.first_read, engine.argument(stage.places.by_hand), key],
            sizes.starts,
        )
        return Measured(pairs, 1, "starts")
