"""Takes readings from MQTT into the store in batches, raises alerts, and shows a table. It may be killed at any time.

A message is acknowledged to the broker after the store has committed it, never before. What comes twice is told by its
series and time. So every reading is stored once, whatever dies in between.
"""

import argparse
import json
import logging
import math
import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import UTC, datetime

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from rich.console import Console
from rich.live import Live
from rich.table import Table

import iotstore
from iotstore import Alert, Device, Metric, Point, Store, field

log = logging.getLogger("home_monitor")
# Above which value of which sensor somebody should know.
LIMITS = {("attic", "temperature"): 30.0, ("freezer", "temperature"): -17.0, ("kitchen", "co2"): 1000.0}
BATCH, PATIENCE = 200, 0.2  # messages, and seconds that the first of them waits for more


class Monitor:
    """One MQTT session and one store. Everything happens in one thread, between two calls of the client's loop."""

    def __init__(self, store: Store) -> None:
        self.store = store
        for metric in {metric for _, metric in LIMITS}:
            store.telemetry.define(Metric(name=metric, type="float"))
        self.waiting: list[mqtt.MQTTMessage] = []
        self.first = 0.0  # when the first of those waiting came
        self.heard = float("inf")  # when the last one came; nothing can come before the broker knows us
        # The broker keeps a session that is not clean while we are away, and sends again what was not acknowledged.
        self.client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id="home-monitor", clean_session=False, manual_ack=True
        )
        self.client.on_connect = self.connected
        self.client.on_subscribe = self.subscribed
        self.client.on_message = self.received

    def connected(self, client: mqtt.Client, *_: object) -> None:
        """Begin anew: what was on its way is sent again, and its old numbers mean nothing in this connection."""
        self.waiting.clear()
        client.subscribe("home/+/+", qos=1)

    def subscribed(self, *_: object) -> None:
        """The broker keeps what is published from now on."""
        self.heard = time.monotonic()

    def received(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        """Note a message; it is stored with the next batch."""
        self.heard = time.monotonic()
        self.first = self.first if self.waiting else self.heard
        self.waiting.append(message)

    def step(self) -> bool:
        """Listen for a moment, then store what has come; whether something was stored."""
        if self.client.loop(timeout=PATIENCE) != mqtt.MQTT_ERR_SUCCESS:
            try:
                self.client.reconnect()
            except OSError as error:
                log.info("no broker: %s", error)
                time.sleep(PATIENCE)
            return False
        if not self.waiting or (len(self.waiting) < BATCH and time.monotonic() - self.first < PATIENCE):
            return False
        batch, self.waiting = self.waiting[:BATCH], self.waiting[BATCH:]
        try:
            stored, duplicates = self.keep([point for message in batch if (point := read(message))])
        except iotstore.Failed as error:
            if not error.retryable:
                raise
            log.warning("not stored, tried again: %s", error)
            self.waiting = batch + self.waiting
            return False
        log.info("stored %d, there already %d", stored, duplicates)
        self.acknowledge(batch)
        return True

    def keep(self, points: list[Point]) -> tuple[int, int]:
        """Store points, and alerts for those beyond a limit, in one transaction."""
        telemetry, alerts = self.store.telemetry, self.store.alerts
        with self.store.transaction():
            seen = [Device(key=one.device, last_seen=one.time) for one in points]
            self.store.devices.put_many(seen, on_invalid="reject")
            beyond = [one for one in points if float(one.value) > LIMITS.get((one.device, one.metric), float("inf"))]
            # A reading that comes again has had its alert, and somebody may have dealt with that since.
            new = [one for one in beyond if one not in telemetry.range(one.device, one.metric, one.time, limit=1)]
            receipt = telemetry.write(points, on_invalid="reject")
            for one in new:
                title = f"{one.device}: {one.metric} is {one.value}"
                alerts.raise_(Alert(kind=one.metric, title=title, device=one.device, time=one.time), once=True)
        for row in receipt.rejected:
            log.warning("rejected: %s: %s", points[row.index], row.reason)
        return receipt.stored, receipt.duplicates

    def acknowledge(self, batch: Sequence[mqtt.MQTTMessage]) -> None:
        """Tell the broker that it may forget these messages."""
        for message in batch:
            self.client.ack(message.mid, message.qos)

    def table(self) -> Table:
        """What the home is like now."""
        with self.store.snapshot() as now:
            table = Table(title=f"{now.telemetry.count()} readings")
            for name in ("device", "metric", "latest", "at", "alert"):
                table.add_column(name, justify="right" if name == "latest" else "left")
            titles = {(alert.device, alert.kind): alert.title for alert in now.alerts.list(field("status") == "open")}
            for one in now.telemetry.latest_all():
                alert = titles.get((one.device, one.metric), "")
                table.add_row(one.device, one.metric, f"{one.value:.2f}", f"{one.time:%d %b %H:%M}", alert)
        return table


def read(message: mqtt.MQTTMessage) -> Point | None:
    """The reading in a message; None for one that is none, which would come again for ever if it stopped us."""
    try:
        _, device, metric = message.topic.split("/")
        said = json.loads(message.payload)
        taken, value = datetime.fromisoformat(said["time"]), float(said["value"])
        if taken.tzinfo is not None and math.isfinite(value):
            return Point(device, metric, taken.astimezone(UTC), value)
    except (ValueError, TypeError, KeyError, OverflowError):
        pass
    log.warning("no reading: %s %r", message.topic, message.payload[:80])
    return None


def main(arguments: Sequence[str] | None = None) -> None:
    """Run until Ctrl-C, or with --idle until nothing has come for so many seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--idle", type=float, default=float("inf"))
    idle = parser.parse_args(arguments).idle
    logging.basicConfig(format="%(message)s")
    console = Console()
    log.setLevel(logging.ERROR if console.is_terminal else logging.INFO)
    with iotstore.open() as store:
        monitor = Monitor(store)
        monitor.client.connect_async("127.0.0.1", int(os.environ.get("MQTT_PORT", "1883")))
        with Live(console=console) if console.is_terminal else nullcontext() as live:
            while monitor.waiting or time.monotonic() - monitor.heard < idle:
                if monitor.step() and live is not None:
                    live.update(monitor.table())
        if live is None:
            console.print(monitor.table())
        monitor.client.disconnect()


if __name__ == "__main__":
    main()
