"""Several processes on one store: an order explains every answer, no update is lost, no batch is torn."""

from __future__ import annotations

from collections.abc import Mapping

from iotstore.backend import Capability
from iotstore_conformance.histories.register import Event, State, linearizable, lost_updates
from iotstore_conformance.histories.visibility import torn_batches, vanished_batches
from iotstore_conformance.histories.working import BATCH, KEY, in_processes, read_batches
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.seeding import current_seed
from iotstore_conformance.stage import Stage

_NEEDS = [Capability.PERSISTENCE, Capability.MANY_PROCESSES]
_WORKERS = 2
_ROUNDS = {"fast": 25, "full": 200}


def _nothing() -> None:
    """What the parent does meanwhile, where it only waits."""


@clause("CNC-110", profile="concurrency", needs=_NEEDS, deep=True)
def processes_have_an_order(stage: Stage) -> None:
    """Reads, changes and compare-and-set of one record by several processes MUST have an order in real time that
    explains every answer."""
    samples = stage.store.records(SAMPLES)
    before = State(samples.add(Sample(key=KEY, number=0)).version, 0)
    rounds, seed = _ROUNDS[stage.effort], current_seed()
    name, url = stage.harness.name, stage.url()
    events = in_processes(name, url, "register", rounds, workers=_WORKERS, seed=seed, meanwhile=_nothing)
    stored = samples.get(KEY)
    after = State(stored.version, stored.number or 0)
    end = max(event.end for event in events)
    assert lost_updates(events, before, after) == 0
    assert linearizable([*events, Event(-1, "read", end + 1, end + 2, after)], before)


@clause("CNC-111", profile="concurrency", needs=_NEEDS, deep=True)
def processes_lose_no_update(stage: Stage) -> None:
    """When several processes count with expected= and retries, value and version MUST count every success once."""
    samples = stage.store.records(SAMPLES)
    before = State(samples.add(Sample(key=KEY, number=0)).version, 0)
    rounds, name, url = _ROUNDS[stage.effort], stage.harness.name, stage.url()
    events = in_processes(name, url, "counter", rounds, workers=_WORKERS, seed=0, meanwhile=_nothing)
    stored = samples.get(KEY)
    assert len(events) == stored.number == _WORKERS * rounds
    assert lost_updates(events, before, State(stored.version, stored.number or 0)) == 0
    assert len({event.found for event in events}) == len(events)


@clause("CNC-112", profile="concurrency", needs=[*_NEEDS, Capability.TRANSACTIONS], deep=True)
def processes_tear_no_batch(stage: Stage) -> None:
    """A process MUST see the batches of other processes whole or not at all, and none vanish again."""
    readings: list[Mapping[str, int]] = []
    rounds, name, url = _ROUNDS[stage.effort], stage.harness.name, stage.url()
    store = stage.store

    def read() -> None:
        readings.extend(read_batches(store, _WORKERS * rounds))

    in_processes(name, url, "batches", rounds, workers=_WORKERS, seed=0, meanwhile=read)
    assert torn_batches(readings, BATCH) == []
    assert vanished_batches(readings) == []
    assert len(readings[-1]) == _WORKERS * rounds
