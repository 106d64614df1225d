"""Simulated sensors of a home: each publishes its readings over MQTT and repeats them until the broker has them."""

import argparse
import json
import math
import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import sleep

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

# What a sensor measures, around which value, with what swing over the day and what noise.
SENSORS = {
    ("attic", "temperature"): (19.0, 12.0, 0.4),
    ("cellar", "humidity"): (68.0, 3.0, 1.0),
    ("freezer", "temperature"): (-18.0, 0.5, 0.3),
    ("kitchen", "co2"): (700.0, 250.0, 30.0),
}
START = datetime(2025, 6, 16, tzinfo=UTC)


def readings(hours: int) -> Iterator[tuple[str, str, datetime, float]]:
    """A reading of every sensor for each quarter of an hour; the same in every run."""
    noise = random.Random(7)
    for quarter in range(hours * 4):
        swing = math.sin((quarter / 96 - 0.25) * 2 * math.pi)
        for (device, metric), (middle, amplitude, spread) in SENSORS.items():
            value = round(middle + amplitude * swing + noise.gauss(0, spread), 2)
            yield device, metric, START + timedelta(minutes=15 * quarter), value


def main() -> None:
    """Publish, and end when the broker has acknowledged everything, however often it was away meanwhile."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=int, default=24)
    hours = parser.parse_args().hours
    acknowledged: list[int] = []
    client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id="home-sensors", clean_session=False)
    client.max_queued_messages_set(0)  # no limit: what the broker has not acknowledged is kept here
    client.on_publish = lambda _client, _data, number, *_: acknowledged.append(number)
    client.connect_async("127.0.0.1", int(os.environ.get("MQTT_PORT", "1883")))
    sent = [
        client.publish(f"home/{device}/{metric}", json.dumps({"time": time.isoformat(), "value": value}), qos=1)
        for device, metric, time, value in readings(hours)
    ]
    while len(acknowledged) < len(sent):
        if client.loop(timeout=1) != mqtt.MQTT_ERR_SUCCESS:
            try:
                client.reconnect()
            except OSError as error:
                print("no broker:", error, file=sys.stderr, flush=True)
                sleep(0.2)
    client.disconnect()
    print(f"{len(sent)} readings, all acknowledged by the broker")


if __name__ == "__main__":
    main()
