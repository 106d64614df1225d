"""Threads and handles: no lost update, no torn batch, exact receipts, one winner."""

from __future__ import annotations

import threading
from collections.abc import Callable

from iotstore import Connection, Device, Point, VersionConflict
from iotstore.backend import Capability
from iotstore_conformance.kinds import CELLS, LEAVES, SAMPLES, TALLIES, Cell, Leaf, Sample, Tally
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, later
from iotstore_conformance.threads import in_thread, in_threads

_WRITERS = 4


def _writers(work: Callable[[int], object]) -> list[object]:
    def bound(number: int) -> Callable[[], object]:
        return lambda: work(number)

    return in_threads([bound(number) for number in range(_WRITERS)])


@clause("CNC-001", profile="concurrency")
def compare_and_set_loses_nothing(stage: Stage) -> None:
    """With expected= and retries, every increment of a shared number by several threads MUST count."""
    samples = stage.store.records(SAMPLES)
    start = samples.add(Sample(key="a", number=0)).version

    def increment(_: int) -> None:
        for _round in range(10):
            while True:
                sample = samples.get("a")
                try:
                    samples.update("a", expected=sample.version, number=(sample.number or 0) + 1)
                except VersionConflict:
                    continue
                break

    _writers(increment)
    stored = samples.get("a")
    assert (stored.number, stored.version) == (10 * _WRITERS, start + 10 * _WRITERS)


@clause("CNC-002", profile="concurrency")
def merges_lose_nothing(stage: Stage) -> None:
    """Puts of several threads to one record MUST all be merged: the least, the most and every version count."""
    tallies = stage.store.records(TALLIES)
    start = tallies.put(Tally(key="a", least=0, most=0)).version

    def put(number: int) -> None:
        for n in range(10):
            tallies.put(Tally(key="a", least=-(number * 100 + n), most=number * 100 + n))

    _writers(put)
    stored = tallies.get("a")
    top = (_WRITERS - 1) * 100 + 9
    assert (stored.least, stored.most, stored.version) == (-top, top, start + 10 * _WRITERS)


@clause("CNC-003", profile="concurrency")
def overlapping_batches_add_up(stage: Stage) -> None:
    """Receipts of overlapping batches from several threads MUST add up to what is stored: each key stored once."""
    cells = stage.store.records(CELLS)

    def add(number: int) -> int:
        rows = [Cell(room="a", number=n) for n in range(number * 50, number * 50 + 200)]
        receipt = cells.add_many(rows, on_conflict="keep")
        assert receipt.stored + receipt.duplicates == 200
        return receipt.stored

    stored = _writers(add)
    assert sum(int(str(count)) for count in stored) == cells.count() == (_WRITERS - 1) * 50 + 200


@clause("CNC-004", profile="concurrency")
def numbers_differ_between_threads(stage: Stage) -> None:
    """Ids given to several threads at once MUST all differ."""
    leaves = stage.store.records(LEAVES)
    ids: list[int] = []
    _writers(lambda _: ids.extend(leaves.add(Leaf()).id for _round in range(20)))
    assert len(set(ids)) == 20 * _WRITERS == leaves.count()


@clause("CNC-005", profile="concurrency", needs=[Capability.SERIES])
def latest_survives_races(stage: Stage) -> None:
    """However many writers race with points in any order, the latest value MUST be the newest by event time."""
    stage.devices("a")

    def write(number: int) -> None:
        for n in range(15):
            minute = (n * 7 + number * 3) % 60
            moment = later(minutes=minute, seconds=number)
            stage.store.telemetry.write([Point("a", "m", moment, float(minute))])

    _writers(write)
    newest = stage.store.telemetry.last("a", "m", 1)[0]
    assert stage.store.telemetry.latest("a", "m") == newest
    points = stage.store.telemetry.range("a", "m", NOON, later(days=1))
    assert newest == max(points, key=lambda point: point.time)


@clause("CNC-006", profile="concurrency", needs=[Capability.SERIES])
def point_receipts_add_up(stage: Stage) -> None:
    """Receipts of overlapping batches of points from several threads MUST add up to the points that are there."""
    stage.devices("a")

    def write(number: int) -> int:
        points = [Point("a", "m", later(seconds=n), float(n)) for n in range(number * 100, number * 100 + 300)]
        return stage.store.telemetry.write(points).stored

    stored = _writers(write)
    assert sum(int(str(count)) for count in stored) == stage.store.telemetry.count() == (_WRITERS - 1) * 100 + 300


@clause("CNC-007", profile="concurrency", needs=[Capability.TRANSACTIONS])
def readers_see_whole_batches(stage: Stage) -> None:
    """A reader MUST never see part of a batch or of a transaction."""
    cells = stage.store.records(CELLS)
    stop = threading.Event()

    def write() -> int:
        for batch in range(15):
            cells.add_many([Cell(room=f"r{batch}", number=n) for n in range(40)])
        stop.set()
        return 0

    def read() -> int:
        seen = 0
        while not stop.is_set():
            count = cells.count()
            assert count % 40 == 0
            seen = max(seen, count)
        return seen

    in_threads([write, read, read])
    assert cells.count() == 600


@clause("CNC-008", profile="concurrency", needs=[Capability.TRANSACTIONS, Capability.CONCURRENT_READS])
def readers_do_not_wait(stage: Stage) -> None:
    """A reader MUST be answered while another thread holds a transaction open, with the state before it."""
    stage.devices("a")
    with stage.store.transaction():
        stage.store.devices.update("a", name="x")
        assert in_thread(lambda: stage.store.devices.get("a").name) is None
        assert in_thread(lambda: stage.store.devices.count()) == 1  # noqa: PLW0108 - looked up when called


@clause("CNC-009", profile="concurrency", needs=[Capability.PERSISTENCE])
def handles_see_each_other(stage: Stage) -> None:
    """What one handle has committed MUST be seen by another handle on the same store at once, updates and
    points too."""
    first, second = stage.store, stage.open()
    first.devices.add(Device(key="a", name="one"))
    assert first.devices.get("a").name == second.devices.get("a").name == "one"
    second.devices.update("a", name="two")
    assert first.devices.get("a").name == "two"
    if first.capabilities.has(Capability.SERIES):
        first.telemetry.write([Point("a", "m", NOON, 1.0)])
        second.telemetry.write([Point("a", "m", later(seconds=1), 2.0)])
        latest = first.telemetry.latest("a", "m")
        assert latest is not None
        assert latest.value == 2.0
        first.telemetry.delete("a", "m")
        assert second.telemetry.latest("a", "m") is None
    second.devices.delete("a", telemetry="delete")
    assert first.devices.find("a") is None


@clause("CNC-010", profile="concurrency", needs=[Capability.PERSISTENCE])
def handles_write_side_by_side(stage: Stage) -> None:
    """Two handles that write at once MUST both succeed, and lose nothing."""
    stage.devices("a")
    stores = [stage.store, stage.open()]

    def write(number: int) -> None:
        for n in range(15):
            when = later(seconds=n * 10 + number)
            stores[number % 2].connections.add(Connection(device="a", time=when))

    _writers(write)
    assert [store.connections.count() for store in stores] == [15 * _WRITERS] * 2
    assert len({flow.time for flow in stores[0].connections.list()}) == 15 * _WRITERS


@clause("CNC-011", profile="concurrency")
def stores_share_nothing(stage: Stage) -> None:
    """Two stores in two places MUST share nothing."""
    other = stage.open(stage.new_place())
    stage.devices("a")
    assert other.devices.count() == 0
    other.devices.add(Device(key="b"))
    other.settings.set("x", 1)
    assert stage.store.devices.find("b") is None
    assert stage.store.settings.all() == {}


@clause("CNC-012", profile="concurrency")
def one_claim_wins(stage: Stage) -> None:
    """Of several threads that send one batch under one idempotency key exactly one MUST store it, all get
    its receipt."""
    leaves = stage.store.records(LEAVES)
    rows = [Leaf(value=n) for n in range(20)]
    replayed: list[bool] = []

    def send(_: int) -> None:
        receipt = leaves.add_many(rows, idempotency_key="k")
        assert receipt.stored == 20
        replayed.append(receipt.replayed)

    _writers(send)
    assert sorted(replayed) == [False] + [True] * (_WRITERS - 1)
    assert leaves.count() == 20


@clause("CNC-013", profile="concurrency")
def deleted_references_do_not_dangle(stage: Stage) -> None:
    """A record that refers to another one MUST not come to point to nothing while that one is deleted by another
    thread."""
    samples, leaves = stage.store.records(SAMPLES), stage.store.records(LEAVES)
    samples.add_many([Sample(key=f"k{n}") for n in range(10)])

    def refer() -> None:
        for n in range(10):
            leaves.add_many([Leaf(cascade=f"k{n}")], on_invalid="reject")

    def delete() -> None:
        for n in range(10):
            samples.delete(f"k{n}")

    in_threads([refer, delete])
    assert [leaf.cascade for leaf in leaves.list()] == []
