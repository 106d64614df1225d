"""Faults of systems that people ran before: each one is impossible here."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone

import pytest

from iotstore import (
    Alert,
    Connection,
    Device,
    InvalidValue,
    NotFound,
    Point,
    StoreError,
    UnknownReference,
    field,
)
from iotstore.backend import Capability
from iotstore_conformance.aborting import aborted
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later
from iotstore_conformance.threads import in_thread, in_threads

_SERIES = [Capability.SERIES]


class _Died(BaseException):
    """Ends a thread in a way that nothing catches by habit."""


@clause("FLT-001", profile="faults")
def a_failed_write_leaves_no_lock(stage: Stage) -> None:
    """After a write that failed, in any way, every other thread MUST be able to write at once."""
    store = stage.store
    stage.devices("a")
    failing: list[Callable[[], object]] = [
        lambda: store.devices.add(Device(key="a")),
        lambda: store.connections.add(Connection(device="ghost", time=NOON)),
        lambda: store.connections.add_many([Connection(device="a", time=NOON), Connection(device="ghost", time=NOON)]),
        lambda: store.devices.update("ghost", name="x"),
        lambda: store.devices.delete("ghost"),
        lambda: store.alerts.acknowledge(99, "ann"),
    ]
    for number, work in enumerate(failing):
        with pytest.raises(StoreError, match=r"."):
            work()
        in_thread(lambda number=number: store.devices.add(Device(key=f"other-{number}")))  # type: ignore[misc]
    assert store.devices.count() == 1 + len(failing)


@clause("FLT-002", profile="faults", needs=[Capability.TRANSACTIONS])
def an_abandoned_thread_leaves_no_lock(stage: Stage) -> None:
    """A thread that ends with an error inside a transaction MUST leave no lock and none of its work."""
    store = stage.store

    def dies() -> None:
        with store.transaction():
            store.devices.add(Device(key="half"))
            raise _Died("on purpose")

    with pytest.raises(_Died, match="on purpose"):
        in_thread(dies)
    store.devices.add(Device(key="whole"))
    assert [device.key for device in store.devices.list()] == ["whole"]


@clause("FLT-003", profile="faults")
def the_systems_zone_does_not_matter(stage: Stage) -> None:
    """Spans before now MUST be cut in UTC, whatever time zone the machine is in: suppression, recency and retention."""
    stage.devices("a")
    zone = os.environ.get("TZ")
    try:
        for name in ("Pacific/Kiritimati", "America/Los_Angeles"):
            os.environ["TZ"] = name
            time.tzset()
            stage.store.alerts.suppress("a", timedelta(hours=2), reason=name)
            assert stage.store.alerts.raise_(Alert(kind="k", title="t", device="a")).suppressed
            stage.store.devices.seen("a")
            assert [device.key for device in stage.store.devices.recent(timedelta(minutes=5))] == ["a"]
    finally:
        os.environ.pop("TZ") if zone is None else os.environ.__setitem__("TZ", zone)
        time.tzset()


@clause("FLT-004", profile="faults")
def replayed_captures_are_not_now(stage: Stage) -> None:
    """Alerts, connections and sightings MUST carry the time they are given, not that of their arrival."""
    stage.store.devices.add(Device(key="a"))
    yesterday = ago(days=1)
    assert stage.store.connections.add(Connection(device="a", time=yesterday)).time == yesterday
    assert stage.store.alerts.raise_(Alert(kind="k", title="t", time=yesterday)).time == yesterday
    assert stage.store.devices.seen("a", time=yesterday).last_seen == yesterday


@clause("FLT-005", profile="faults")
def leases_move_addresses_not_devices(stage: Stage) -> None:
    """When a DHCP server gives an address to another device, the devices MUST neither merge nor split."""
    devices = stage.store.devices
    devices.put(Device(key="cam", ip="10.0.0.5", name="Camera"))
    devices.put(Device(key="tv", ip="10.0.0.6", name="TV"))
    devices.seen("cam", ip="10.0.0.6", time=later(minutes=1))
    devices.seen("tv", ip="10.0.0.5", time=later(minutes=2))
    found = [(device.key, device.ip, device.name) for device in devices.list()]
    assert found == [("cam", "10.0.0.6", "Camera"), ("tv", "10.0.0.5", "TV")]
    assert [device.key for device in devices.by_ip("10.0.0.5")] == ["tv"]


@clause("FLT-006", profile="faults")
def setters_do_not_say_yes_to_nobody(stage: Stage) -> None:
    """No setter MUST succeed for an id or key that doesn't exist, in any domain."""
    store = stage.store
    works: list[Callable[[], object]] = [
        lambda: store.devices.trust("ghost"),
        lambda: store.connections.mark_processed([1]),
        lambda: store.alerts.acknowledge(1, "ann"),
        lambda: store.alerts.resolve(1, "ann"),
        lambda: store.settings.delete("ghost"),
        lambda: store.groups.update("ghost", name="x"),
        lambda: store.locations.delete("ghost"),
        lambda: store.owners.update("ghost", name="x"),
    ]
    for work in works:
        with pytest.raises(NotFound, match=r"ghost|1"):
            work()
    with pytest.raises((NotFound, UnknownReference), match="ghost"):
        store.groups.add_device("ghost", "ghost")


@clause("FLT-007", profile="faults")
def wrong_names_are_not_ignored(stage: Stage) -> None:
    """A wrong field name in a change MUST be refused, with nothing of the change made."""
    stage.store.devices.add(Device(key="a", name="x"))
    with pytest.raises(InvalidValue, match="nmae"):
        stage.store.devices.update("a", notes="y", nmae="z")
    assert stage.store.devices.get("a").notes is None


@clause("FLT-008", profile="faults", needs=_SERIES)
def one_bad_number_costs_one_row(stage: Stage) -> None:
    """One bad number in a batch of connections or points MUST cost one row under reject, not the batch."""
    stage.devices("a")
    flows = [Connection(device="a", time=NOON, port=n - 1) for n in range(100)]
    receipt = stage.store.connections.add_many(flows, on_invalid="reject")
    assert (receipt.stored, [(row.index, row.field) for row in receipt.rejected]) == (99, [(0, "port")])
    points = [Point("a", "m", later(seconds=n), float("inf") if n == 7 else 1.0) for n in range(100)]
    written = stage.store.telemetry.write(points, on_invalid="reject")
    assert (written.stored, [row.index for row in written.rejected]) == (99, [7])


@clause("FLT-009", profile="faults", needs=_SERIES)
def duplicates_are_not_counted_as_created(stage: Stage) -> None:
    """A receipt MUST not count a duplicate as created, in one batch or over several."""
    stage.devices("a")
    points = [Point("a", "m", later(seconds=n // 2), 1.0) for n in range(10)]
    assert stage.store.telemetry.write(points).stored == 5
    assert stage.store.telemetry.write(points).stored == 0


@clause("FLT-010", profile="faults", needs=[*_SERIES, Capability.TRANSACTIONS])
def retries_lose_nothing(stage: Stage) -> None:
    """A batch of points that failed after its idempotency key was claimed MUST be stored by the retry."""
    stage.devices("a")
    points = [Point("a", "m", NOON, 1.0)]
    aborted(stage.store, lambda: stage.store.telemetry.write(points, idempotency_key="k"))
    assert stage.store.telemetry.write(points, idempotency_key="k").stored == 1


@clause("FLT-011", profile="faults", needs=_SERIES)
def two_readings_in_a_second(stage: Stage) -> None:
    """Two readings within one second MUST both be there, with their own times."""
    stage.devices("a")
    stage.store.telemetry.write([Point("a", "m", later(milliseconds=n * 250), float(n)) for n in range(4)])
    assert [point.value for point in stage.store.telemetry.range("a", "m", NOON, later(seconds=1))] == [
        0.0,
        1.0,
        2.0,
        3.0,
    ]


@clause("FLT-012", profile="faults")
def searches_take_wildcards_literally(stage: Stage) -> None:
    """A search for a percent sign or an underscore MUST find those characters only."""
    for key, name in (("a", "100% sure"), ("b", "under_score"), ("c", "plain")):
        stage.store.devices.add(Device(key=key, name=name))
    for text, expected in (("%", ["a"]), ("_", ["b"]), ("l_in", []), ("1%e", [])):
        assert [device.key for device in stage.store.devices.list(field("name").contains(text))] == expected


@clause("FLT-013", profile="faults")
def limits_have_a_next_page(stage: Stage) -> None:
    """A thousand alerts MUST all be reachable page by page, newest first."""
    stage.store.alerts.add_many([Alert(kind="k", title="t", time=later(seconds=n % 50)) for n in range(1050)])
    seen, after = list[int](), None
    while True:
        page = stage.store.alerts.page(order=["-time"], limit=400, after=after)
        seen += [alert.id for alert in page.items]
        after = page.next
        if after is None:
            break
    assert len(seen) == len(set(seen)) == 1050


@clause("FLT-014", profile="faults")
def evidence_is_not_cascaded(stage: Stage) -> None:
    """Deleting a sensor MUST not delete its alerts, acknowledged or not."""
    stage.devices("a")
    ids = [stage.store.alerts.raise_(Alert(kind="k", title="t", device="a")).id for _ in range(3)]
    stage.store.alerts.acknowledge(ids[0], "ann")
    stage.store.devices.delete("a")
    assert [alert.id for alert in stage.store.alerts.list()] == ids
    assert {alert.device for alert in stage.store.alerts.list()} == {"a"}


@clause("FLT-015", profile="faults", needs=[Capability.TRANSACTIONS, Capability.SERIES])
def reading_alert_and_flag_are_one(stage: Stage) -> None:
    """A reading, its alert and a processed flag in one transaction MUST be there together or not at all."""
    store = stage.store
    stage.devices("a")
    flow = store.connections.add(Connection(device="a", time=NOON))

    def work() -> None:
        store.telemetry.write([Point("a", "m", NOON, 1.0)])
        store.alerts.raise_(Alert(kind="k", title="t", device="a"))
        store.connections.mark_processed([flow.id])

    aborted(store, work)
    assert (store.telemetry.count(), store.alerts.count()) == (0, 0)
    assert not store.connections.get(flow.id).processed


@clause("FLT-016", profile="faults")
def every_offset_is_one_instant(stage: Stage) -> None:
    """Times of different offsets MUST never be compared as text: one instant is one value, and order is
    that of time."""
    stage.devices("a")
    east, west = timezone(timedelta(hours=9)), timezone(timedelta(hours=-8))
    times = [datetime(2026, 3, 4, 21, tzinfo=east), datetime(2026, 3, 4, 5, tzinfo=west), NOON]
    for when in times:
        stage.store.connections.add(Connection(device="a", time=when))
    assert [flow.time for flow in stage.store.connections.list(order=["time"])] == sorted(times)
    assert stage.store.connections.count(field("time") == times[0]) == 2


@clause("FLT-017", profile="faults", needs=[Capability.PERSISTENCE])
def closed_stores_are_not_handed_out(stage: Stage) -> None:
    """Opening a place again after closing it MUST give a working store, not the closed one."""
    stage.devices("a")
    again = stage.reopen()
    assert [device.key for device in again.devices.list()] == ["a"]
    again.devices.add(Device(key="b"))


@clause("FLT-018", profile="faults")
def ten_threads_share_a_store(stage: Stage) -> None:
    """Ten threads MUST be able to read and write one store at once, and every acknowledged write be there."""
    store = stage.store

    def work(number: int) -> None:
        for n in range(5):
            store.devices.put(Device(key=f"d{number}-{n}"))
            assert store.devices.get(f"d{number}-{n}").key

    in_threads([lambda number=number: work(number) for number in range(10)])  # type: ignore[misc]
    assert store.devices.count() == 50


@clause("FLT-019", profile="faults")
def retention_is_not_all_or_nothing(stage: Stage) -> None:
    """Retention MUST not fail as a whole because one record is still referred to, nor lose what refers to it."""
    stage.devices("a")
    old = stage.store.connections.add(Connection(device="a", time=ago(days=500)))
    alert = stage.store.alerts.raise_(Alert(kind="k", title="t", device="a", time=ago(days=500)))
    stage.store.admin.retention(dry_run=False)
    assert stage.store.connections.find(old.id) is None
    assert stage.store.alerts.get(alert.id) == alert
    assert stage.store.devices.count() == 1
