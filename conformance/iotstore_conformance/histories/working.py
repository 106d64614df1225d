"""Workers that call one record at once and note what happened: in threads of this process, or as child processes.

Run as a module it is a child: ``python -m iotstore_conformance.histories.working HARNESS URL WORK WHO ROUNDS SEED``.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

from iotstore import Store, VersionConflict, count
from iotstore_conformance.children import Child, child
from iotstore_conformance.harness import find_harness
from iotstore_conformance.histories.register import Event, State
from iotstore_conformance.kinds import CELLS, KINDS, SAMPLES, Cell
from iotstore_conformance.stage import StillClock

KEY: Final = "register"
BATCH: Final = 25
_PATIENCE: Final = 60.0


def work_on_register(store: Store, who: int, rounds: int, seed: int) -> list[Event]:
    """Read, write and compare-and-set the register, with versions that may be old, and note each call."""
    samples = store.records(SAMPLES)
    chance = random.Random(seed * 1000 + who)  # noqa: S311 - seeded on purpose
    known = samples.get(KEY).version
    events: list[Event] = []
    for turn in range(rounds):
        value = who * 1000 + turn
        action = chance.choice(("read", "write", "cas", "cas"))
        start = time.monotonic_ns()
        if action == "read":
            stored = samples.get(KEY)
        elif action == "write":
            stored = samples.update(KEY, number=value)
        else:
            # One in three expects a version that is gone for certain: it must be refused, whatever the others do.
            expected = known - chance.choice((0, 0, 1))
            try:
                stored = samples.update(KEY, expected=expected, number=value)
            except VersionConflict as error:
                events.append(Event(who, "cas", start, time.monotonic_ns(), None, value, expected))
                known = error.found
                continue
            events.append(Event(who, "cas", start, time.monotonic_ns(), _state(stored), value, expected))
            known = stored.version
            continue
        found = _state(stored)
        events.append(Event(who, "read" if action == "read" else "write", start, time.monotonic_ns(), found, value))
        known = stored.version
    return events


def _state(stored: object) -> State:
    return State(int(getattr(stored, "version")), int(getattr(stored, "number") or 0))  # noqa: B009 - of any record


def work_as_counter(store: Store, who: int, rounds: int, _: int) -> list[Event]:
    """Add one to the register as often as told, with ``expected=`` and retries, and note what succeeded."""
    samples = store.records(SAMPLES)
    events: list[Event] = []
    while len(events) < rounds:
        sample = samples.get(KEY)
        start = time.monotonic_ns()
        try:
            stored = samples.update(KEY, expected=sample.version, number=(sample.number or 0) + 1)
        except VersionConflict:
            continue
        events.append(
            Event(who, "cas", start, time.monotonic_ns(), _state(stored), stored.number or 0, sample.version)
        )  # fmt: skip
    return events


def write_batches(store: Store, who: int, rounds: int, _: int) -> list[Event]:
    """Store whole batches of cells, each in a room of its own."""
    for turn in range(rounds):
        store.records(CELLS).add_many([Cell(room=f"batch-{who}-{turn}", number=number) for number in range(BATCH)])
    return []


def read_batches(store: Store, wanted: int) -> list[dict[str, int]]:
    """Count the rows of every batch again and again, until as many batches as wanted are there."""
    readings: list[dict[str, int]] = []
    until = time.monotonic() + _PATIENCE
    while not readings or (len(readings[-1]) < wanted and time.monotonic() < until):
        rows = store.records(CELLS).aggregate({"n": count()}, by=["room"])
        readings.append({str(row["room"]): int(str(row["n"])) for row in rows})
    return readings


Work = Callable[[Store, int, int, int], list[Event]]
WORKS: Final[dict[str, Work]] = {
    "register": work_on_register,
    "counter": work_as_counter,
    "batches": write_batches,
}


def in_processes(
    harness: str, url: str, work: str, rounds: int, *, workers: int, seed: int, meanwhile: Callable[[], object]
) -> list[Event]:
    """What child processes did that all began at one word; *meanwhile* is called after it, in this process."""
    with ExitStack() as stack:
        children = [
            stack.enter_context(child(__name__, harness, url, work, str(who), str(rounds), str(seed)))
            for who in range(workers)
        ]
        return _conduct(children, meanwhile)


def _conduct(children: Sequence[Child], meanwhile: Callable[[], object]) -> list[Event]:
    for one in children:
        if one.hear() != "ready\n":
            raise AssertionError(f"a child process could not open the store: {one.ended()[1][-2000:]}")
    for one in children:
        one.tell("go\n")
    meanwhile()
    events: list[Event] = []
    for one in children:
        said, complaint = one.ended()
        assert one.code == 0, f"a child process failed: {complaint[-2000:]}"
        for fields in json.loads(said):
            found = None if fields["found"] is None else State(*fields["found"])
            events.append(Event(**{**fields, "found": found}))
    return events


def main(arguments: Sequence[str]) -> None:
    """Be a child."""
    harness, url, work, who, rounds, seed = arguments
    with find_harness(harness).open(url, kinds=list(KINDS), clock=StillClock()) as store:
        store.devices.count()
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        events = WORKS[work](store, int(who), int(rounds), int(seed))
    names = Event.__dataclass_fields__
    sys.stdout.write(json.dumps([{name: getattr(event, name) for name in names} for event in events]))


if __name__ == "__main__":
    main(sys.argv[1:])
