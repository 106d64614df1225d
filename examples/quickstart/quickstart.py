"""The program of the project's README: a camera, its temperature, what it talked to, and an alert."""

from datetime import UTC, datetime, timedelta

import iotstore
from iotstore import Alert, Connection, Device, Point

noon = datetime(2025, 6, 16, 12, tzinfo=UTC)
morning = noon - timedelta(hours=3)

with iotstore.open() as store:
    store.devices.put(Device(key="cam-1", name="Front camera", kind="camera", ip="192.168.1.20"))
    points = [Point("cam-1", "temperature", morning, 20.5), Point("cam-1", "temperature", noon, 21.5)]
    receipt = store.telemetry.write(points)  # exactly what was stored, was a duplicate, was rejected and why
    print(f"{receipt.stored} stored, {receipt.duplicates} there already, {len(receipt.rejected)} rejected")
    print("latest:", store.telemetry.latest("cam-1")["temperature"].value)
    for hour in store.telemetry.aggregate(
        "cam-1", "temperature", every="1h", start=morning, end=noon, functions=["mean", "max"], fill="previous"
    ):
        print(f"{hour.start:%H:%M}", hour["mean"], hour["max"])
    with store.transaction():  # both, or neither
        store.connections.add(Connection(device="cam-1", time=noon, destination="203.0.113.9", bytes_sent=900))
        stranger = Alert(kind="new-destination", title="Front camera talks to a stranger", device="cam-1")
        store.alerts.raise_(stranger, once=True)
    print("open alerts:", ", ".join(alert.title for alert in store.alerts.open()))
