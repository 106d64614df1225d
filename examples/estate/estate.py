"""An estate with its owners, places, hubs and sensors; and what is affected when one of them fails."""

import argparse
from contextlib import suppress

import iotstore
from iotstore import Alert, Device, Location, Node, Owner, Store, field

OWNERS = {"housing": "City Housing", "meyer": "Ms Meyer", "school": "The school"}
PLACES = {  # place: the one that it lies in
    "estate": None,
    "house-1": "estate",
    "cellar-1": "house-1",
    "flat-1": "house-1",
    "house-2": "estate",
    "hall-2": "house-2",
}
DEVICES = {  # device: kind, owner, place
    "router": ("router", "housing", "estate"),
    "hub-1": ("hub", "housing", "cellar-1"),
    "hub-2": ("hub", "housing", "hall-2"),
    "repeater-1": ("hub", "meyer", "flat-1"),
    "boiler": ("sensor", "housing", "cellar-1"),
    "water": ("sensor", "housing", "cellar-1"),
    "smoke-1": ("sensor", "meyer", "flat-1"),
    "window-1": ("sensor", "meyer", "flat-1"),
    "smoke-2": ("sensor", "school", "hall-2"),
    "door-2": ("sensor", "school", "hall-2"),
}
SERVES = {  # who passes on what others say; the smoke detectors have two ways
    "router": ["hub-1", "hub-2"],
    "hub-1": ["repeater-1", "boiler", "water", "smoke-1"],
    "hub-2": ["smoke-1", "smoke-2", "door-2"],
    "repeater-1": ["window-1", "smoke-2"],
}
ROOT = "router"


def fill(store: Store) -> None:
    """Write the estate, all of it or nothing. A second time changes nothing."""
    with store.transaction():
        store.owners.put_many(Owner(key=key, name=name) for key, name in OWNERS.items())
        store.locations.put_many(Location(key=key, parent=parent) for key, parent in PLACES.items())
        store.devices.put_many(
            Device(key=key, kind=kind, owner=owner, location=place) for key, (kind, owner, place) in DEVICES.items()
        )
        for hub, served in SERVES.items():
            for device in served:
                store.relationships.relate(("device", hub), "SERVES", ("device", device))
        leak = Alert(kind="leak", title="Water on the floor", device="water", severity="high")
        store.alerts.raise_(leak, once=True)
    print(f"{store.devices.count()} devices of {store.owners.count()} owners in {store.locations.count()} places")


def catch_up(store: Store) -> None:
    """Apply what other runs of this program have written to the graph database, if there is one."""
    # There is none, or it is away: then the store answers by itself, and says the same.
    with suppress(iotstore.NotAllowed, iotstore.Failed):
        store.projection.sync()


def ways_without(store: Store, device: Node, failed: str) -> list[str]:
    """How a device is still got at from the router when another one has failed."""
    ways = store.relationships.paths(("device", ROOT), device, types="SERVES", direction="out", length=6)
    named = [[str(node.key) for node in way.nodes] for way in ways]
    return [" > ".join(way) for way in named if failed not in way]


def fails(store: Store, device: str) -> None:
    """What is affected if this device fails: the graph database is asked where there is one, the store where not."""
    radius = store.relationships.blast_radius(device, hops=6, types="SERVES", direction="out")
    print(f"If {device} fails, {len(radius.devices)} devices are affected")
    lost: list[str] = []
    for found in radius.devices:
        key = str(found.node.key)
        others = ways_without(store, found.node, device)
        lost += [] if others else [key]
        print(f"  {key:12} {found.hops} away  {f'still there by {others[0]}' if others else 'out of reach'}")
    print(f"  owners       {', '.join(OWNERS[key] for key in radius.owners)}")
    print(f"  places       {', '.join(radius.locations)}")
    for alert in store.alerts.list(field("device").in_([device, *lost]) & (field("status") == "open")):
        print(f"  nobody would hear of: {alert.title} ({alert.device}, {alert.severity})")


def main() -> None:
    """Fill the estate, ask what a failure means, or take a hub out of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["fill", "fails", "connect", "remove"])
    parser.add_argument("devices", nargs="*")
    asked = parser.parse_args()
    with iotstore.open() as store:
        if asked.command == "fill":
            fill(store)
        elif asked.command == "connect":
            hub, device = asked.devices
            store.relationships.relate(("device", hub), "SERVES", ("device", device))
        elif asked.command == "remove":
            for device in asked.devices:
                store.devices.delete(device)
        else:
            catch_up(store)
            for device in asked.devices:
                fails(store, device)


if __name__ == "__main__":
    main()
