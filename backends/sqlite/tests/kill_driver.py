"""Kill a writer at seeded points and check what is left. Run as ``python kill_driver.py FOLDER CUTS SEED``.

The process holds no store and no thread of its own, so each writer and each checker is a fork of a warm interpreter:
hundreds of real kills in seconds. The writer acknowledges each transaction over a pipe *after* the store did.
"""

from __future__ import annotations

import os
import random
import select
import signal
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import iotstore
import iotstore.store
from iotstore import Connection, Device

START: Final = datetime(2026, 1, 1, tzinfo=UTC)
POINTS: Final = 400
FLOWS: Final = 25
CUTS_PER_FILE: Final = 25


def write(path: Path, first: int, acknowledge: int) -> None:
    """Store numbered batches, each of points, flows and a setting in one transaction, until killed."""
    with iotstore.open(f"sqlite:///{path}") as store:
        store.devices.put(Device(key="meter"))
        batch = first
        while True:
            times = [START + timedelta(seconds=batch * POINTS + step) for step in range(POINTS)]
            flows = [Connection(device="meter", time=times[0], port=batch % 65_536) for _ in range(FLOWS)]
            with store.transaction():
                store.telemetry.write_columns("meter", "energy", times, [float(batch)] * POINTS)
                store.connections.add_many(flows)
                store.settings.set("batch", batch)
            os.write(acknowledge, batch.to_bytes(4, "big"))
            batch += 1


def check(path: Path, acknowledged: int, tell: int) -> None:
    """Every acknowledged batch is there, and the one after it is whole or absent, in every domain alike."""
    with iotstore.open(f"sqlite:///{path}", create=False) as store:
        last = store.settings.get("batch", -1)
        points = store.telemetry.count("meter", "energy") if store.devices.find("meter") and last >= 0 else 0
        flows = store.connections.count()
        if last < acknowledged:
            sys.exit(f"batch {acknowledged} was acknowledged, and the last one there is {last}")
        if last > acknowledged + 1:
            sys.exit(f"batch {last} is there, and only {acknowledged} was acknowledged")
        if (points, flows) != ((last + 1) * POINTS, (last + 1) * FLOWS):
            sys.exit(f"after batch {last} there are {points} points and {flows} flows: a batch is torn")
        columns = store.telemetry.columns("meter", "energy") if points else None
        if columns is not None and list(columns.values) != [float(at // POINTS) for at in range(points)]:
            sys.exit("a batch holds values of another one")
        if store.admin.verify().status != "ok":
            sys.exit(f"the file is damaged: {store.admin.verify().checks}")
        # The next call works: a flow is stored, and taken back so that the counts above stay exact.
        store.connections.delete(store.connections.add(Connection(device="meter", time=START)).id)
        os.write(tell, last.to_bytes(4, "big"))


def in_child(work: object, *arguments: object) -> int:
    """Fork, run *work* there, and return the process id."""
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        work(*arguments)  # type: ignore[operator]  # one of the two functions above
        code = 0
    except SystemExit as error:
        sys.stdout.write(f"{error.code}\n")
        sys.stdout.flush()
    finally:
        os._exit(code)


def cut(path: Path, acknowledged: int, chance: random.Random) -> int:
    """Start a writer, kill it at a seeded point, and return the last batch that it acknowledged."""
    reading, writing = os.pipe()
    child = in_child(write, path, acknowledged + 1, writing)
    os.close(writing)
    try:
        for _ in range(chance.randrange(4)):
            if not select.select([reading], [], [], 60)[0]:
                break
            if got := os.read(reading, 4):
                acknowledged = int.from_bytes(got, "big")
        # Anywhere in the next transaction, the first one (opening, migrating) included.
        select.select([], [], [], chance.random() ** 2 * 0.02)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while got := os.read(reading, 4):
            acknowledged = int.from_bytes(got, "big")
    finally:
        os.close(reading)
    return acknowledged


def main(folder: Path, cuts: int, seed: int) -> int:
    """Do all the cuts; print how many batches were acknowledged and kept."""
    chance = random.Random(seed)
    path, acknowledged, total = folder / "none", -1, 0
    for number in range(cuts):
        if number % CUTS_PER_FILE == 0:
            path, acknowledged = folder / f"cut-{number}.db", -1
        before = acknowledged
        acknowledged = cut(path, acknowledged, chance)
        total += acknowledged - before
        if acknowledged < 0:
            continue
        reading, writing = os.pipe()
        _, status = os.waitpid(in_child(check, path, acknowledged, writing), 0)
        if status:
            sys.stdout.write(f"cut {number} of seed {seed} broke a promise\n")
            return 1
        # An unacknowledged batch may be there whole: the next writer goes on after it.
        acknowledged = int.from_bytes(os.read(reading, 4), "big")
        os.close(reading)
        os.close(writing)
    sys.stdout.write(f"{cuts} cuts, {total} batches acknowledged, 0 lost, 0 torn\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
