"""Recorded histories of threads and handles: an order explains every answer, and nothing uncommitted is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from iotstore import Store
from iotstore.backend import Capability
from iotstore_conformance.aborting import aborted
from iotstore_conformance.histories.register import Event, State, linearizable, lost_updates
from iotstore_conformance.histories.visibility import uncommitted_reads
from iotstore_conformance.histories.working import KEY, work_on_register
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.seeding import current_seed
from iotstore_conformance.stage import Stage
from iotstore_conformance.threads import in_threads

_WORKERS = 3
_ROUNDS = {"fast": 25, "full": 200}


def _at_once(stores: Sequence[Store], rounds: int) -> tuple[State, list[Event], State]:
    """The register before, what the workers did to it at once, and the register after it."""
    samples = stores[0].records(SAMPLES)
    before = samples.add(Sample(key=KEY, number=0))

    def worker(who: int) -> Callable[[], list[Event]]:
        store = stores[who % len(stores)]
        return lambda: work_on_register(store, who, rounds, current_seed())

    events = [event for done in in_threads([worker(who) for who in range(_WORKERS)]) for event in done]
    after = samples.get(KEY)
    return State(before.version, 0), events, State(after.version, after.number or 0)


def _check(before: State, events: list[Event], after: State) -> None:
    end = max(event.end for event in events)
    assert lost_updates(events, before, after) == 0
    assert linearizable([*events, Event(-1, "read", end + 1, end + 2, after)], before)


@clause("CNC-101", profile="concurrency", deep=True)
def threads_have_an_order(stage: Stage) -> None:
    """Reads, changes and compare-and-set of one record by several threads MUST have an order in real time that
    explains every answer."""
    _check(*_at_once([stage.store], _ROUNDS[stage.effort]))


@clause("CNC-102", profile="concurrency", needs=[Capability.PERSISTENCE], deep=True)
def handles_have_an_order(stage: Stage) -> None:
    """Reads, changes and compare-and-set of one record through two handles MUST have an order in real time that
    explains every answer."""
    _check(*_at_once([stage.store, stage.open()], _ROUNDS[stage.effort]))


@clause("CNC-103", profile="concurrency", needs=[Capability.TRANSACTIONS])
def nothing_uncommitted_is_seen(stage: Stage) -> None:
    """A reader MUST never see what a transaction did that was rolled back, nor a value that it replaced itself."""
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key=KEY, number=0))
    reading = (stage.open() if stage.persistent else stage.store).records(SAMPLES)
    rounds = range(1, 21)
    done: list[int] = []

    def write() -> list[int]:
        for turn in rounds:
            with stage.store.transaction():
                samples.update(KEY, number=turn * 10 + 1)  # replaced before the end
                samples.update(KEY, number=turn * 10)
            aborted(stage.store, lambda turn=turn: samples.update(KEY, number=turn * 10 + 2))  # type: ignore[misc]
        done.append(1)
        return []

    def read() -> list[int]:
        seen: list[int] = []
        while not done:
            seen.append(reading.get(KEY).number or 0)
        return [*seen, reading.get(KEY).number or 0]

    _, first, second = in_threads([write, read, read])
    assert uncommitted_reads([*first, *second], {0, *(turn * 10 for turn in rounds)}) == []
    assert first == sorted(first)
    assert second == sorted(second)
    assert first[-1] == second[-1] == rounds[-1] * 10
