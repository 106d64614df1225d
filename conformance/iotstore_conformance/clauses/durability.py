"""Durability: what was acknowledged is there after closing, and after the process was killed."""

from __future__ import annotations

import random
from datetime import timedelta

from iotstore import Connection, Device, Point, count
from iotstore.backend import Capability
from iotstore_conformance.killing import BATCH, acknowledged_by_killed_child
from iotstore_conformance.kinds import CELLS, SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage

_NEEDS = [Capability.PERSISTENCE]


@clause("DUR-001", profile="durability", needs=_NEEDS)
def closing_keeps_everything(stage: Stage) -> None:
    """What was written MUST be there after the store was closed and opened again: records, settings, versions and
    claims."""
    store = stage.store
    store.devices.add(Device(key="a", name="x"))
    version = store.devices.update("a", name="y").version
    store.settings.set("s", [1])
    store.connections.add_many([Connection(device="a", time=NOON)], idempotency_key="k")
    store.records(SAMPLES).add(Sample(key="a", data=b"\0", tags=frozenset({"t"})))
    before = (store.devices.list(), store.connections.list(), store.records(SAMPLES).list(), store.settings.all())
    again = stage.reopen()
    assert (
        again.devices.list(),
        again.connections.list(),
        again.records(SAMPLES).list(),
        again.settings.all(),
    ) == before
    assert again.devices.get("a").version == version


@clause("DUR-002", profile="durability", needs=[*_NEEDS, Capability.SERIES])
def closing_keeps_points(stage: Stage) -> None:
    """Points, metrics and latest values MUST be there after the store was closed and opened again."""
    stage.devices("a")
    points = [Point("a", "m", NOON + timedelta(seconds=n), n) for n in range(100)]
    stage.store.telemetry.write(points)
    again = stage.reopen()
    assert again.telemetry.range("a", "m", NOON, NOON + timedelta(1)) == points
    assert again.telemetry.latest("a", "m") == points[-1]
    assert again.telemetry.write(points).duplicates == 100


@clause("DUR-003", profile="durability", needs=_NEEDS, deep=True)
def acknowledged_batches_survive_a_kill(stage: Stage) -> None:
    """A batch that was acknowledged MUST survive the death of its process by kill -9; others are whole or absent."""
    seeds = random.Random(20260304)  # noqa: S311 - seeded on purpose
    for _ in range(20 if stage.effort == "full" else 2):
        place = stage.new_place()
        stage.open(place).close()
        acknowledged = acknowledged_by_killed_child(stage.harness.name, stage.url(place), after=seeds.randint(1, 12))
        rows = stage.open(place).records(CELLS).aggregate({"n": count()}, by=["room"])
        sizes = {str(row["room"]): row["n"] for row in rows}
        assert all(sizes.get(f"batch-{number}") == BATCH for number in range(acknowledged))
        assert set(sizes.values()) <= {BATCH}
