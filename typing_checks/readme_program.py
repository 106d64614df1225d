"""The README's program and its answers' types: never run, only read by type checkers."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, assert_type

import iotstore
from iotstore import (
    Alert,
    Bucket,
    Collection,
    Connection,
    Device,
    Health,
    Kind,
    Page,
    Point,
    Receipt,
    Store,
    Text,
    Tracked,
    count,
    every,
    field,
    sum_,
)


class Meter(Tracked, frozen=True, kw_only=True):
    """An application's own record."""

    serial: Annotated[str, Text(40, min=1)]
    room: Annotated[str | None, Text(80, search=True)] = None


METERS = Kind(Meter, "meter", "serial", indexes=[["room"]])
now = datetime.now(UTC)
yesterday = now - timedelta(days=1)

with iotstore.open("sqlite:///home.db", kinds=[METERS]) as store:
    assert_type(store, Store)
    assert_type(store.devices.put(Device(key="cam-1", name="Front camera", kind="camera", ip="192.168.1.20")), Device)
    assert_type(store.devices.get("cam-1"), Device)
    assert_type(store.devices.find("cam-1"), Device | None)

    receipt = store.telemetry.write([Point("cam-1", "temperature", now, 21.5)])
    assert_type(receipt, Receipt)
    assert_type(receipt.stored, int)
    assert_type(store.telemetry.latest("cam-1"), dict[str, Point])
    assert_type(store.telemetry.latest("cam-1", "temperature"), Point | None)
    hours = store.telemetry.aggregate(
        "cam-1", "temperature", every="1h", start=yesterday, functions=["mean", "max"], fill="previous"
    )
    assert_type(hours, list[Bucket])

    with store.transaction():
        connection = Connection(device="cam-1", time=now, destination="203.0.113.9", port=443, bytes_sent=900)
        assert_type(store.connections.add(connection), Connection)
        assert_type(store.alerts.raise_(Alert(kind="new-destination", title="A stranger", device="cam-1")), Alert)

    assert_type(store.alerts.page(field("severity").in_(["medium"]), order=["-time"], limit=20), Page[Alert])
    groups = store.connections.aggregate(
        {"flows": count(), "bytes": sum_("bytes_sent")}, by=["device", every("time", "day", zone="Europe/Kyiv")]
    )
    assert_type(groups, list[dict[str, Any]])
    with store.snapshot() as still:
        assert_type(still, Store)
    assert_type(store.admin.health(), Health)

    meters = store.records(METERS)
    assert_type(meters, Collection[Meter])
    assert_type(meters.list(field("room").contains("cell")), list[Meter])
