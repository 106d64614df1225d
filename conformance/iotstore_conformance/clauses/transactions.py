"""Transactions: all or nothing over every domain, savepoints, threads of their own, snapshots, changes."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from typing import Any

import pytest

from iotstore import Alert, Conflict, Connection, Device, InvalidValue, NotAllowed, Point
from iotstore.backend import Capability
from iotstore_conformance.aborting import Abort, aborted
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage
from iotstore_conformance.threads import in_thread

_NEEDS = [Capability.TRANSACTIONS]
_NESTED = [Capability.TRANSACTIONS, Capability.SAVEPOINTS]


@clause("TXN-001", needs=_NEEDS)
def transactions_are_whole(stage: Stage) -> None:
    """What a transaction did in every domain MUST be there after it, and nothing of it after an error."""
    store = stage.store

    def work() -> None:
        store.devices.add(Device(key="a"))
        store.connections.add(Connection(device="a", time=NOON))
        store.alerts.raise_(Alert(kind="k", title="t", device="a"))
        store.settings.set("s", 1)
        store.records(SAMPLES).add(Sample(key="a"))

    def counts() -> list[int]:
        domains: list[Any] = [store.devices, store.connections, store.alerts, store.records(SAMPLES)]
        return [*(domain.count() for domain in domains), len(store.settings.all())]

    aborted(store, work)
    assert counts() == [0] * 5
    with store.transaction():
        work()
    assert counts() == [1] * 5


@clause("TXN-002", profile="telemetry", needs=[Capability.TRANSACTIONS, Capability.SERIES])
def transactions_cover_points(stage: Stage) -> None:
    """A rolled-back transaction MUST leave no point, metric or series, and the same points can be written after it."""
    store = stage.store
    store.devices.add(Device(key="a"))
    points = [Point("a", "m", NOON, 1.5)]
    aborted(store, lambda: store.telemetry.write(points))
    assert store.telemetry.latest("a") == {}
    assert [metric.name for metric in store.telemetry.metrics()] == []
    assert store.telemetry.write([Point("a", "m", NOON, "now a text")]).stored == 1


@clause("TXN-003", needs=_NEEDS)
def transactions_see_themselves(stage: Stage) -> None:
    """A transaction MUST see its own changes before it ends."""
    store = stage.store
    with store.transaction():
        store.devices.add(Device(key="a"))
        assert store.devices.get("a").name is None
        store.devices.update("a", name="x")
        assert [device.name for device in store.devices.list()] == ["x"]
        store.devices.delete("a")
        assert store.devices.count() == 0


@clause("TXN-004", needs=_NEEDS)
def failed_calls_leave_the_transaction_usable(stage: Stage) -> None:
    """A call that is refused inside a transaction MUST leave nothing of itself, and the rest of the
    transaction whole."""
    store = stage.store
    with store.transaction():
        store.devices.add(Device(key="a"))
        with pytest.raises(InvalidValue, match="ip"):
            store.devices.add(Device(key="b", ip="nonsense"))
        store.devices.add(Device(key="c"))
    assert [device.key for device in store.devices.list()] == ["a", "c"]


@clause("TXN-005", needs=_NEEDS)
def the_store_is_usable_after_an_error(stage: Stage) -> None:
    """After a failed transaction the store MUST be usable at once, from every thread, with no lock left."""
    store = stage.store
    for _ in range(20):
        aborted(store, lambda: store.devices.add(Device(key="a")))
    store.devices.add(Device(key="b"))
    in_thread(lambda: store.devices.add(Device(key="c")))
    assert [device.key for device in store.devices.list()] == ["b", "c"]


@clause("TXN-006", needs=_NESTED)
def savepoints_fail_alone(stage: Stage) -> None:
    """A nested transaction that fails MUST undo its own changes only, at every depth."""
    store = stage.store
    with store.transaction():
        store.devices.add(Device(key="a"))
        aborted(store, lambda: store.devices.add(Device(key="b")))
        with store.transaction():
            store.devices.add(Device(key="c"))
            aborted(store, lambda: store.devices.update("a", name="x"))
    assert [(device.key, device.name) for device in store.devices.list()] == [("a", None), ("c", None)]


@clause("TXN-007", needs=_NESTED)
def savepoints_end_with_the_outer_one(stage: Stage) -> None:
    """What a nested transaction kept MUST go when the outer one fails."""
    store = stage.store

    def work() -> None:
        with store.transaction():
            store.devices.add(Device(key="a"))

    aborted(store, work)
    assert store.devices.count() == 0


@clause("TXN-008", profile="telemetry", needs=[*_NESTED, Capability.SERIES])
def savepoints_leave_no_cache(stage: Stage) -> None:
    """A metric that a failed savepoint created MUST be unknown after it, in the transaction and afterwards."""
    store = stage.store
    store.devices.add(Device(key="a"))
    with store.transaction():
        aborted(store, lambda: store.telemetry.write([Point("a", "m", NOON, 1.5)]))
        assert store.telemetry.write([Point("a", "m", NOON, True)]).stored == 1
    latest = store.telemetry.latest("a", "m")
    assert latest is not None
    assert latest.value is True


@clause("TXN-010", profile="concurrency", needs=_NEEDS)
def threads_have_their_own(stage: Stage) -> None:
    """A transaction MUST belong to its thread: another thread neither sees its changes nor ends up inside it."""
    store = stage.store
    store.devices.add(Device(key="a"))

    def work() -> None:
        store.devices.update("a", name="half done")
        assert in_thread(lambda: store.devices.get("a").name) is None

    aborted(store, work)
    in_thread(lambda: store.devices.update("a", status="from outside"))
    assert (store.devices.get("a").name, store.devices.get("a").status) == (None, "from outside")


@clause("TXN-011", profile="concurrency", needs=_NEEDS)
def one_threads_commit_is_its_own(stage: Stage) -> None:
    """A commit in one thread MUST not publish what another thread's open transaction has done."""
    store = stage.store
    written, decided, done = threading.Event(), threading.Event(), list[str]()

    def rolls_back() -> None:
        with store.transaction():
            store.devices.add(Device(key="half"))
            written.set()
            decided.wait(10)
            raise Abort("on purpose")

    def run() -> None:
        try:
            rolls_back()
        except Abort:
            done.append("rolled back")

    other = threading.Thread(target=run)
    other.start()
    assert written.wait(10)
    assert store.devices.find("half") is None
    decided.set()
    other.join(10)
    store.devices.add(Device(key="whole"))
    assert done == ["rolled back"]
    assert [device.key for device in store.devices.list()] == ["whole"]


@clause("TXN-020", needs=[Capability.SNAPSHOTS])
def snapshots_stand_still(stage: Stage) -> None:
    """All reads of a snapshot MUST see one committed state, whatever is committed meanwhile."""
    store = stage.store
    store.devices.add(Device(key="a"))
    with store.snapshot() as frozen:
        store.devices.add(Device(key="b"))
        store.devices.update("a", name="new")
        assert [(device.key, device.name) for device in frozen.devices.list()] == [("a", None)]
        assert frozen.devices.count() == 1
        assert store.devices.count() == 2
    with store.snapshot() as frozen:
        assert frozen.devices.count() == 2


@clause("TXN-021", needs=[Capability.SNAPSHOTS])
def snapshots_are_for_reading(stage: Stage) -> None:
    """Writing through a snapshot MUST raise NotAllowed and change nothing."""
    store = stage.store
    with store.snapshot() as frozen, pytest.raises(NotAllowed, match="snapshot"):
        frozen.devices.add(Device(key="a"))
    assert store.devices.count() == 0


@clause("TXN-022", profile="telemetry", needs=[Capability.SNAPSHOTS, Capability.SERIES])
def snapshots_cover_points(stage: Stage) -> None:
    """A snapshot MUST show points, latest values and aggregates of its own state."""
    store = stage.store
    store.devices.add(Device(key="a"))
    store.telemetry.write([Point("a", "m", NOON, 1.0)])
    with store.snapshot() as frozen:
        store.telemetry.write([Point("a", "m", stage.clock.now().replace(hour=13), 2.0), Point("a", "n", NOON, 3.0)])
        latest = frozen.telemetry.latest("a")
        assert {name: point.value for name, point in latest.items()} == {"m": 1.0}
        assert frozen.telemetry.count() == 1


@clause("TXN-030", needs=_NEEDS)
def changes_are_handed_over(stage: Stage) -> None:
    """Observers MUST get a transaction's changes once, after the commit, and none of a rolled-back one."""
    store = stage.store
    seen: list[list[tuple[str, tuple[object, ...], str]]] = []
    store.on_commit(lambda changes: seen.append([(c.kind, tuple(c.key), c.action) for c in changes]))
    with store.transaction():
        store.devices.add(Device(key="a"))
        store.devices.update("a", name="x")
        assert seen == []
    aborted(store, lambda: store.devices.add(Device(key="b")))
    store.devices.delete("a")
    assert [change for changes in seen for change in changes][-1] == ("device", ("a",), "delete")
    assert {change[:2] for change in seen[0]} == {("device", ("a",))}
    assert len(seen) == 2


@clause("TXN-031", needs=_NESTED)
def changes_of_failed_savepoints_vanish(stage: Stage) -> None:
    """Changes of a failed savepoint MUST not be handed over with the transaction that goes on."""
    store = stage.store
    seen: list[tuple[object, ...]] = []
    store.on_commit(lambda changes: seen.extend(tuple(change.key) for change in changes))
    with store.transaction():
        store.devices.add(Device(key="a"))
        aborted(store, lambda: store.devices.add(Device(key="b")))
    assert seen == [("a",)]


@clause("TXN-032", needs=_NEEDS)
def refused_transactions_are_not_retried_halfway(stage: Stage) -> None:
    """A batch that is refused inside a transaction MUST leave none of its rows when the transaction commits."""
    store = stage.store
    samples = store.records(SAMPLES)
    samples.add(Sample(key="old"))
    savepoints = store.capabilities.has(Capability.SAVEPOINTS)
    # Without savepoints the refused call can't be undone alone: the transaction must not commit at all.
    with nullcontext() if savepoints else pytest.raises(NotAllowed, match="undo part"), store.transaction():
        samples.add(Sample(key="first"))
        with pytest.raises(Conflict, match="exists"):
            samples.add_many([Sample(key="x"), Sample(key="old")])
    assert [sample.key for sample in samples.list()] == (["first", "old"] if savepoints else ["old"])
