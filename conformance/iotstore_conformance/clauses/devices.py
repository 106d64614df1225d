"""Devices, groups, locations, owners."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from iotstore import (
    Alert,
    Connection,
    Device,
    Group,
    InvalidValue,
    Location,
    NotFound,
    Owner,
    Point,
    StillReferenced,
    UnknownReference,
    field,
)
from iotstore.backend import Capability
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later


@clause("DEV-001")
def putting_again_fills_in(stage: Stage) -> None:
    """Putting a device again MUST let new values win, keep the old ones where the new are missing, and make no second
    one."""
    devices = stage.store.devices
    devices.put(Device(key="cam", name="Camera", ip="10.0.0.1", vendor="Acme", first_seen=NOON, last_seen=NOON))
    stored = devices.put(Device(key="cam", ip="10.0.0.2", first_seen=later(hours=1), last_seen=later(hours=1)))
    assert (stored.name, stored.vendor, stored.ip) == ("Camera", "Acme", "10.0.0.2")
    assert (stored.first_seen, stored.last_seen) == (NOON, later(hours=1))
    stored = devices.put(Device(key="cam", first_seen=ago(hours=1), last_seen=ago(hours=1)))
    assert (stored.first_seen, stored.last_seen) == (ago(hours=1), later(hours=1))
    assert devices.count() == 1


@clause("DEV-002")
def decisions_outlive_puts(stage: Stage) -> None:
    """Trust, block and activity MUST change through their own methods only, never by putting the device again."""
    devices = stage.store.devices
    devices.put(Device(key="cam"))
    devices.trust("cam")
    devices.block("cam")
    devices.activate("cam", False)
    stored = devices.put(Device(key="cam", name="x"))
    assert (stored.trusted, stored.blocked, stored.active) == (True, True, False)
    devices.trust("cam", False)
    devices.block("cam", False)
    devices.activate("cam")
    stored = devices.get("cam")
    assert (stored.trusted, stored.blocked, stored.active) == (False, False, True)
    assert [device.key for device in devices.list(field("trusted") == True)] == []  # noqa: E712 - a filter


@clause("DEV-003")
def setters_know_their_devices(stage: Stage) -> None:
    """Every method that changes one device MUST raise NotFound for an unknown key and create nothing."""
    devices = stage.store.devices
    works: list[Callable[[], object]] = [
        lambda: devices.trust("ghost"),
        lambda: devices.block("ghost"),
        lambda: devices.activate("ghost"),
        lambda: devices.rename("ghost", "x"),
        lambda: devices.set_metadata("ghost", note="x"),
        lambda: devices.seen("ghost"),
        lambda: devices.delete("ghost"),
        lambda: devices.update("ghost", name="x"),
    ]
    for work in works:
        with pytest.raises(NotFound, match="ghost"):
            work()
    assert devices.count() == 0


@clause("DEV-004")
def seeing_moves_forward(stage: Stage) -> None:
    """Seeing a device MUST move last_seen to the time given, or now, never back, and note its new address."""
    devices = stage.store.devices
    devices.add(Device(key="cam", ip="10.0.0.1"))
    assert devices.seen("cam").last_seen == NOON
    assert devices.seen("cam", time=later(minutes=5), ip="10.0.0.9").ip == "10.0.0.9"
    stored = devices.seen("cam", time=ago(hours=1))
    assert stored.last_seen == later(minutes=5)
    assert stored.first_seen is None or stored.first_seen <= NOON


@clause("DEV-005")
def recent_devices(stage: Stage) -> None:
    """`recent` MUST give the devices seen within the span before now by the store's clock, newest first."""
    devices = stage.store.devices
    for key, minutes in (("a", 4), ("b", 1), ("c", 6), ("d", 1)):
        devices.add(Device(key=key, last_seen=ago(minutes=minutes)))
    devices.add(Device(key="never"))
    assert [device.key for device in devices.recent(timedelta(minutes=5))] == ["d", "b", "a"]
    stage.clock.move(timedelta(minutes=2))
    assert [device.key for device in devices.recent(timedelta(minutes=5))] == ["d", "b"]


@clause("DEV-006")
def names_and_metadata(stage: Stage) -> None:
    """Renaming MUST change the name only, and setting metadata the named entries only; None removes one."""
    devices = stage.store.devices
    devices.add(Device(key="cam", name="old", metadata={"a": 1, "b": [1.0]}))
    devices.rename("cam", "new")
    devices.set_metadata("cam", a=None, b=2, c="x")
    stored = devices.get("cam")
    assert (stored.name, stored.metadata) == ("new", {"b": 2, "c": "x"})


@clause("DEV-007")
def devices_are_found_by_address(stage: Stage) -> None:
    """Looking a device up by address MUST find it however the address is written, IPv6 too."""
    devices = stage.store.devices
    devices.add(Device(key="six", ip="2001:db8::1", last_seen=NOON))
    devices.add(Device(key="four", ip="10.0.0.1", last_seen=NOON))

    def keys(ip: str) -> list[str]:
        return [device.key for device in devices.by_ip(ip)]

    assert keys("2001:DB8:0::0001") == ["six"]
    assert keys("10.0.0.1") == ["four"]
    assert keys("10.0.0.2") == []


@clause("DEV-008")
def newcomers_are_counted(stage: Stage) -> None:
    """The number of newcomers MUST be that of the devices first seen at or after the instant."""
    for key, minutes in (("a", 10), ("b", 5), ("c", 0)):
        stage.store.devices.add(Device(key=key, first_seen=ago(minutes=minutes)))
    assert stage.store.devices.newcomers(ago(minutes=5)) == 2
    assert stage.store.devices.newcomers(later(minutes=1)) == 0


@clause("DEV-009")
def traffic_of_a_device(stage: Stage) -> None:
    """The traffic of a device MUST sum the connections of the range [start, end) of that device only."""
    stage.devices("a", "b")
    flows = [("a", 0, 10), ("a", 59, 5), ("a", 60, 100), ("b", 1, 1000)]
    for device, minute, sent in flows:
        stage.store.connections.add(
            Connection(device=device, time=later(minutes=minute), bytes_sent=sent, bytes_received=1)
        )
    traffic = stage.store.devices.traffic("a", NOON, later(hours=1))
    assert (traffic.connections, traffic.bytes_sent, traffic.bytes_received) == (2, 15, 2)
    with pytest.raises(NotFound, match="ghost"):
        stage.store.devices.traffic("ghost", NOON, later(hours=1))


@clause("DEV-010")
def groups_hold_devices(stage: Stage) -> None:
    """A group MUST hold each device once, and be found from the device and from the group."""
    stage.devices("a", "b")
    groups = stage.store.groups
    groups.add(Group(key="cams", name="Cameras"))
    groups.add(Group(key="all"))
    for group, device in (("cams", "a"), ("cams", "a"), ("all", "a"), ("all", "b")):
        groups.add_device(group, device)
    assert [device.key for device in groups.members("cams")] == ["a"]
    assert [group.key for group in groups.of("a")] == ["all", "cams"]
    groups.remove_device("all", "a")
    assert [device.key for device in groups.members("all")] == ["b"]


@clause("DEV-011")
def groups_know_their_members(stage: Stage) -> None:
    """An unknown group or device MUST be refused where a group is changed or read."""
    stage.devices("a")
    groups = stage.store.groups
    groups.add(Group(key="g"))
    with pytest.raises((NotFound, UnknownReference), match="ghost"):
        groups.add_device("ghost", "a")
    with pytest.raises((NotFound, UnknownReference), match="ghost"):
        groups.add_device("g", "ghost")
    with pytest.raises(NotFound, match="ghost"):
        groups.members("ghost")
    with pytest.raises(NotFound, match="a"):
        groups.remove_device("g", "a")


@clause("DEV-012")
def deleted_devices_leave_their_groups(stage: Stage) -> None:
    """A deleted device MUST leave its groups, and a deleted group leave its devices."""
    stage.devices("a", "b")
    groups = stage.store.groups
    groups.add(Group(key="g"))
    groups.add_device("g", "a")
    groups.add_device("g", "b")
    stage.store.devices.delete("a")
    assert [device.key for device in groups.members("g")] == ["b"]
    groups.delete("g")
    assert [device.key for device in stage.store.devices.list()] == ["b"]
    assert groups.of("b") == []


@clause("DEV-013")
def evidence_outlives_devices(stage: Stage) -> None:
    """Deleting a device MUST leave its alerts and connections as they are."""
    stage.devices("a")
    alert = stage.store.alerts.raise_(Alert(kind="k", title="t", device="a"))
    flow = stage.store.connections.add(Connection(device="a", time=NOON))
    stage.store.devices.delete("a")
    assert stage.store.alerts.get(alert.id) == alert
    assert stage.store.connections.get(flow.id) == flow
    assert stage.store.alerts.recent(timedelta(hours=1))[0].alert == alert


@clause("DEV-014", profile="telemetry", needs=[Capability.SERIES])
def telemetry_is_not_lost_by_the_way(stage: Stage) -> None:
    """Deleting a device with points MUST be refused unless the call says that they go too; then exactly they go."""
    stage.devices("a", "b")
    stage.store.telemetry.write([Point("a", "m", NOON, 1.0), Point("b", "m", NOON, 2.0)])
    with pytest.raises(StillReferenced, match=r"telemetry|series|point"):
        stage.store.devices.delete("a")
    assert stage.store.telemetry.count() == 2
    stage.store.devices.delete("a", telemetry="delete")
    assert stage.store.telemetry.count() == 1
    assert [device.key for device in stage.store.devices.list()] == ["b"]
    stage.devices("a")
    assert stage.store.telemetry.latest("a") == {}


@clause("DEV-015")
def locations_nest(stage: Stage) -> None:
    """A location's devices MUST be those of nested locations too where asked, and its children its direct ones."""
    locations = stage.store.locations
    locations.add(Location(key="house"))
    locations.add(Location(key="attic", parent="house"))
    locations.add(Location(key="corner", parent="attic"))
    for key, location in (("a", "house"), ("b", "attic"), ("c", "corner"), ("d", None)):
        stage.store.devices.add(Device(key=key, location=location))
    assert [device.key for device in locations.devices("house")] == ["a", "b", "c"]
    assert [device.key for device in locations.devices("house", nested=False)] == ["a"]
    assert [location.key for location in locations.children("house")] == ["attic"]
    with pytest.raises(StillReferenced, match=r"corner|location|device"):
        locations.delete("attic")
    with pytest.raises(NotFound, match="ghost"):
        locations.devices("ghost")


@clause("DEV-016")
def locations_do_not_nest_in_themselves(stage: Stage) -> None:
    """A location that would lie inside itself MUST be refused."""
    locations = stage.store.locations
    locations.add(Location(key="a"))
    locations.add(Location(key="b", parent="a"))
    with pytest.raises(InvalidValue, match="parent"):
        locations.update("a", parent="b")
    with pytest.raises(InvalidValue, match="parent"):
        locations.update("a", parent="a")
    assert locations.get("a").parent is None


@clause("DEV-017")
def owners_own(stage: Stage) -> None:
    """An owner's devices MUST be found, an unknown owner refused, and an owner of devices not deleted."""
    owners = stage.store.owners
    owners.add(Owner(key="ann", name="Ann"))
    stage.store.devices.add(Device(key="a", owner="ann"))
    assert [device.key for device in owners.devices("ann")] == ["a"]
    with pytest.raises(UnknownReference, match="owner"):
        stage.store.devices.add(Device(key="b", owner="bob"))
    with pytest.raises(StillReferenced, match="device"):
        owners.delete("ann")
    with pytest.raises(NotFound, match="bob"):
        owners.devices("bob")
