"""Which devices talk to each other is noted when flows are stored."""

from datetime import UTC, datetime

import pytest

from iotstore import Connection, Device, NotFound

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)


def contacts(store):
    return [(one.device, one.peer) for one in store.records("contact").list()]


def flow(device, destination):
    return Connection(device=device, time=NOW, destination=destination)


def test_a_flow_to_the_address_of_a_device_is_a_contact(house):
    house.connections.add_many(
        [
            flow("cam", "192.168.1.2"),
            flow("cam", "192.168.1.2"),
            flow("cam", "8.8.8.8"),
            flow("tv", None),
            flow("tv", "192.168.1.4"),
        ]
    )
    house.connections.add(flow("hub", "192.168.1.1"))

    assert contacts(house) == [("cam", "hub"), ("hub", "cam")]
    assert [one.node.key for one in house.relationships.neighbours(("device", "cam"), types="CONNECTED_TO")] == ["hub"]


def test_a_contact_stays_when_the_address_moves_on(house):
    house.connections.add(flow("cam", "192.168.1.2"))
    house.devices.update("hub", ip="192.168.1.9")
    house.devices.update("tv", ip="192.168.1.2")
    house.connections.add(flow("cam", "192.168.1.2"))

    assert contacts(house) == [("cam", "hub"), ("cam", "tv")]


def test_of_several_devices_with_one_address_the_one_seen_last_is_meant(house):
    for key, seen in (("a", None), ("b", NOW), ("c", NOW), ("d", NOW.replace(year=2020))):
        house.devices.put(Device(key=key, ip="10.0.0.1", last_seen=seen))
    house.connections.add(flow("cam", "10.0.0.1"))

    assert contacts(house) == [("cam", "b")]


def test_addresses_of_either_version_are_compared_by_value(house):
    house.devices.put(Device(key="six", ip="fe80::0:1"))
    house.connections.add(flow("cam", "FE80:0::1"))

    assert contacts(house) == [("cam", "six")]


def test_a_contact_is_told_once_and_a_flow_that_is_undone_leaves_none(house):
    told = []
    house.on_commit(told.extend)
    for _ in range(2):
        house.connections.add_many([flow("cam", "192.168.1.2")])
    assert [(one.kind, one.key, one.action) for one in told] == [("contact", ("cam", "hub"), "insert")]

    def fails():
        with house.transaction():
            house.connections.add(flow("hub", "192.168.1.1"))
            house.devices.get("nobody")

    with pytest.raises(NotFound, match="nobody"):
        fails()
    assert contacts(house) == [("cam", "hub")]


def test_a_contact_goes_with_its_device_and_the_flow_stays(house):
    house.connections.add(flow("cam", "192.168.1.2"))
    house.devices.delete("hub")

    assert contacts(house) == []
    assert house.connections.count() == 1
