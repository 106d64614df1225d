"""Where both sides stand: a store, a copy of it for the work by hand, and the proof that both hold the same."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import iotstore
from iotstore import ManualClock, Store
from sidebyside import workload
from sidebyside.byhand_records import RecordsByHand
from sidebyside.engine import Engine, Places, PointsByHand, same_rows


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much work a run does."""

    devices: int
    pairs: int
    """of repetitions that take a tenth of a second"""
    calls: int
    """of one repetition that times single calls"""
    batch: int
    """rows of one transaction"""
    points: int
    """that are there before reads are timed"""
    flows: int
    alerts: int
    starts: int
    """processes that are started for a cold start"""
    bounded: int
    """points that are written and read back for the peak of memory"""


QUICK = Sizes(20, 9, 300, 10_000, 100_000, 5_000, 5_000, 7, 100_000)
NORMAL = Sizes(20, 41, 1_000, 10_000, 1_000_000, 20_000, 20_000, 21, 1_000_000)
FULL = Sizes(20, 41, 1_000, 10_000, 1_000_000, 20_000, 20_000, 21, 10_000_000)


@dataclass(slots=True)
class Stage:
    """A store and the same tables for the work by hand, with the same rows in them at the beginning."""

    engine: Engine
    folder: Path
    places: Places
    store: Store
    points: PointsByHand
    records: RecordsByHand

    def check_same(self, table: str, leave_out: Sequence[str] = ()) -> int:
        """Raise unless both sides hold the same rows, but for some columns; returns how many rows."""
        return same_rows(self.engine, self.places, table, leave_out)


@contextmanager
def staged(engine: Engine, sizes: Sizes, *, points: int = 0, flows: int = 0, alerts: int = 0) -> Iterator[Stage]:
    """A stage with its devices and series, and with so many rows from the workload."""
    with (
        tempfile.TemporaryDirectory(prefix="iotstore-bench-") as name,
        engine.places(Path(name)) as places,
    ):
        with iotstore.open(places.library, clock=ManualClock(workload.NOW)) as store:
            _fill(store, sizes, points, flows, alerts)
        # Page for page: the work by hand begins with the same tables, rows and state of the trees.
        engine.copy(places)
        connection = engine.connect(places.by_hand)
        try:
            with iotstore.open(places.library, clock=ManualClock(workload.NOW)) as store:
                yield Stage(engine, Path(name), places, store, engine.points(connection), engine.records(connection))
        finally:
            connection.close()


def _fill(store: Store, sizes: Sizes, points: int, flows: int, alerts: int) -> None:
    store.devices.put_many(workload.devices(sizes.devices))
    for metric in workload.METRICS:
        store.telemetry.define(metric)
    # One round before all others creates every series.
    early = workload.points(sizes.devices, workload.EPOCH)
    first = {(point.device, point.metric): point for point, _ in zip(early, range(sizes.devices * 10), strict=False)}
    store.telemetry.write(first.values())
    if points:
        write_in_batches(store, sizes, points)
    if flows:
        store.connections.add_many(workload.flows(sizes.devices, flows))
    if alerts:
        store.alerts.add_many(workload.alerts(sizes.devices, alerts))


def write_in_batches(store: Store, sizes: Sizes, count: int) -> None:
    """Write so many points of the workload."""
    source = workload.points(sizes.devices)
    for _ in range(count // sizes.batch):
        store.telemetry.write([next(source) for _ in range(sizes.batch)])


def same_answer(library: object, by_hand: object, what: str) -> None:
    """Raise unless both sides gave the same answer."""
    if library != by_hand:
        raise RuntimeError(f"{what}: the answers differ:\n{library}\n{by_hand}")
