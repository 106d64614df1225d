"""One script on any store: writes a week of a greenhouse, asks every kind of question, prints what it is told."""

import argparse
import random
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import iotstore
from iotstore import (
    Alert,
    Connection,
    Device,
    Location,
    Owner,
    Point,
    Store,
    count,
    every,
    field,
    mean,
    part,
    sum_,
)

START = datetime(2025, 10, 20, tzinfo=UTC)  # its week ends with the change from summer time
HOURS = 7 * 24
ZONE = "Europe/Kyiv"
DEVICES = ("Äpfel", "Zwiebel", "apfel", "birne", "zitrone")


def write(store: Store) -> None:
    """The same week in every store: late points, repeated ones, values that float arithmetic does not like."""
    dice = random.Random(8)
    store.owners.put_many([Owner(key="ida", name="Ida"), Owner(key="jon", name="Jon")])
    store.locations.put_many([Location(key="farm"), Location(key="glass", parent="farm")])
    store.devices.put_many(
        Device(
            key=key,
            name=key.upper(),
            ip=f"10.0.0.{number + 9}",
            owner=("ida", "jon", None)[number % 3],
            location=("glass", "farm")[number % 2],
        )
        for number, key in enumerate(DEVICES)
    )
    points = [
        Point(key, "power", START + timedelta(minutes=20 * step), dice.choice([0.1, 1e9, -1e9, 0.3]) * dice.random())
        for key in DEVICES
        for step in range(HOURS * 3)
        if dice.random() < 0.9
    ]
    again = dice.sample(points, 50)
    dice.shuffle(points)
    receipt = store.telemetry.write([*points, *again], on_conflict="keep")
    print(f"{receipt.stored} points stored, {receipt.duplicates} duplicates")
    flows = [
        Connection(
            device=dice.choice(DEVICES),
            time=START + timedelta(seconds=dice.randrange(HOURS * 3600)),
            destination=dice.choice(["10.0.0.9", "10.0.0.10", "fd00::1", "2001:db8::1"]),
            protocol=dice.choice(["tcp", "udp", None]),
            bytes_sent=dice.randrange(1 << 40),
        )
        for _ in range(500)
    ]
    store.connections.add_many(flows)
    for number in range(30):
        about = Alert(
            kind="heat",
            title=f"Nº {number}",
            device=dice.choice(DEVICES),
            score=dice.choice([None, 0.5, 0.9]),
            time=START + timedelta(hours=5 * number),
        )
        raised = store.alerts.raise_(about)
        if number % 4 == 0:
            store.alerts.acknowledge(raised.id, "ida")


def ask(store: Store) -> Iterator[tuple[str, object]]:
    """Every question with its answer. With exact=True sums and means are the same to the last bit."""
    end = START + timedelta(hours=HOURS)
    yield "devices, by code point", [device.key for device in store.devices.list()]
    yield "devices without owner", [device.key for device in store.devices.list(~field("owner").is_set())]
    yield "names with an ä in any case", [device.key for device in store.devices.list(field("name").contains("ä"))]
    yield "devices in the farm", [device.key for device in store.locations.devices("farm")]

    days = store.telemetry.aggregate(
        None,
        "power",
        every="day",
        zone=ZONE,
        start=START,
        end=end,
        functions=["count", "sum", "mean", "min", "max", "first", "last", "median"],
        exact=True,
    )
    for day in days:
        yield f"power of {day.device} from {day.start:%d %b %H:%M} to {day.end:%d %b %H:%M}", dict(day.values)
    hours = store.telemetry.aggregate("birne", "power", every="6h", start=START, end=end, fill="linear", exact=True)
    yield "six hours each of birne, gaps filled", [hour["mean"] for hour in hours]
    yield "latest of all", [(point.device, point.time, point.value) for point in store.telemetry.latest_all()]

    traffic = {"flows": count(), "bytes": sum_("bytes_sent"), "mean": mean("bytes_sent")}
    by = ["protocol", every("time", "day", zone=ZONE)]
    for row in store.connections.aggregate(traffic, by=by, order=["-bytes"], limit=8, exact=True):
        yield "traffic", row
    yield "flows by weekday", store.connections.aggregate({"n": count()}, by=[part("time", "weekday", zone=ZONE)])
    inside = store.connections.list(
        field("destination").in_network("10.0.0.0/8"), order=["destination", "time"], limit=5
    )
    yield "flows inside", [(flow.destination, flow.time) for flow in inside]
    yield "heatmap", [(cell.device, cell.hour, cell.bytes) for cell in store.connections.heatmap(zone=ZONE)][:24]

    page = store.alerts.page(field("status") != "acknowledged", order=["score", "-time"], limit=10)
    while page.items:
        yield "alerts, no score first", [(alert.title, alert.score, alert.device) for alert in page.items]
        if page.next is None:
            break
        page = store.alerts.page(field("status") != "acknowledged", order=["score", "-time"], limit=10, after=page.next)
    yield "alerts by day", [(day.day, day.severity, day.alerts) for day in store.alerts.timeline(zone=ZONE)]


def ask_relationships(store: Store) -> Iterator[tuple[str, object]]:
    """Questions about who has to do with whom; a graph database beside the store answers them where there is one."""
    with suppress(iotstore.NotAllowed):  # there is none
        store.projection.wait(200)
    graph = store.relationships
    types = ("OWNS", "LOCATED_IN", "CONNECTED_TO")
    near = graph.neighbours(("owner", "ida"), hops=3, types=types)
    yield "within three steps of ida", [(found.node.key, found.hops) for found in near]
    for way in graph.paths(("owner", "jon"), ("location", "farm"), length=3, types=types):
        yield "from jon to the farm", [node.key for node in way.nodes]
    radius = graph.blast_radius("birne", hops=2)
    yield "what falls with birne", ([found.node.key for found in radius.devices], radius.owners, radius.locations)
    yield "talk to each other", [[node.key for node in together] for together in graph.components()]
    central = graph.centrality("degree", types=types, limit=4)
    yield "most relations", [(score.node.key, score.score) for score in central]


def main() -> None:
    """Write and ask, in the store that a configuration names."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("configuration", nargs="?", default="iotstore.toml")
    with iotstore.open(config=parser.parse_args().configuration) as store:
        write(store)
        for question, answer in [*ask(store), *ask_relationships(store)]:
            print(f"{question}: {answer}")


if __name__ == "__main__":
    main()
