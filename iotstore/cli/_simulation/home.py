"""Who and what is in the home: locations, owners, groups, forty devices and the metrics they report."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final, NamedTuple

from iotstore import Device, Group, Location, Metric, Owner

LOCATIONS: Final = (
    Location(key="home", name="Home"),
    Location(key="ground-floor", name="Ground floor", parent="home"),
    Location(key="upstairs", name="Upstairs", parent="home"),
    Location(key="garden", name="Garden", parent="home"),
    Location(key="kitchen", name="Kitchen", parent="ground-floor"),
    Location(key="living-room", name="Living room", parent="ground-floor"),
    Location(key="bedroom", name="Bedroom", parent="upstairs"),
    Location(key="office", name="Office", parent="upstairs"),
)
OWNERS: Final = (
    Owner(key="maya", name="Maya", email="maya@example.org"),
    Owner(key="jonas", name="Jonas", email="jonas@example.org"),
    Owner(key="lina", name="Lina"),
)
GROUPS: Final = (
    Group(key="cameras", name="Cameras"),
    Group(key="climate", name="Climate", description="Everything that measures or changes the air"),
    Group(key="energy", name="Energy", description="Plugs that measure what they switch"),
    Group(key="entrances", name="Entrances", description="Doors, windows and who moves near them"),
    Group(key="personal", name="Personal", description="Phones, tablets and computers"),
    Group(key="media", name="Media"),
    Group(key="infrastructure", name="Infrastructure"),
)
METRICS: Final = (
    Metric(name="temperature", type="float", unit="°C"),
    Metric(name="humidity", type="float", unit="%"),
    Metric(name="power", type="float", unit="W"),
    Metric(name="energy", type="float", unit="kWh", counter=True, description="Since the plug was last reset"),
    Metric(name="battery", type="float", unit="%"),
    Metric(name="illuminance", type="float", unit="lx"),
    Metric(name="latency", type="float", unit="ms"),
    Metric(name="disk_used", type="float", unit="%"),
    Metric(name="signal", type="int64", unit="dBm"),
    Metric(name="clients", type="int64"),
    Metric(name="motion", type="bool"),
    Metric(name="open", type="bool"),
    Metric(name="status", type="text"),
)


class Thing(NamedTuple):
    """One device of the home, before it is a record."""

    key: str
    name: str
    kind: str
    group: str
    location: str
    vendor: str
    model: str
    owner: str | None = None
    networked: bool = False
    traffic: float = 0.0


def _room(place: str) -> str:
    return place.replace("-", " ").capitalize()


_SINGLE: Final = (
    Thing("phone-maya", "Maya's phone", "phone", "personal", "home", "Pomelo", "X12", "maya", True, 11.0),
    Thing("phone-jonas", "Jonas's phone", "phone", "personal", "home", "Pomelo", "X11", "jonas", True, 9.0),
    Thing("phone-lina", "Lina's phone", "phone", "personal", "home", "Kiwi", "K7", "lina", True, 10.0),
    Thing("laptop-maya", "Maya's laptop", "computer", "personal", "office", "Pomelo", "Air", "maya", True, 13.0),
    Thing("laptop-jonas", "Jonas's laptop", "computer", "personal", "office", "Arbor", "T14", "jonas", True, 10.0),
    Thing("tablet", "Family tablet", "tablet", "personal", "living-room", "Pomelo", "Tab", None, True, 6.0),
    Thing("tv-living-room", "Television", "tv", "media", "living-room", "Helio", "55Q", None, True, 9.0),
    Thing("tv-bedroom", "Bedroom TV", "tv", "media", "bedroom", "Helio", "32S", None, True, 4.0),
    Thing("speaker-kitchen", "Kitchen speaker", "speaker", "media", "kitchen", "Sonora", "One", None, True, 2.0),
    Thing("speaker-office", "Office speaker", "speaker", "media", "office", "Sonora", "One", None, True, 1.5),
    Thing("thermostat", "Thermostat", "thermostat", "climate", "ground-floor", "Nordlys", "Z", None, True, 1.0),
    Thing("hub", "Sensor hub", "hub", "infrastructure", "ground-floor", "Nordlys", "Hub 3", None, True, 3.0),
    Thing("router", "Router", "router", "infrastructure", "ground-floor", "Tramontana", "AX6", None, True, 2.0),
    Thing("nas", "Family NAS", "storage", "infrastructure", "office", "Basalt", "DS2", None, True, 4.0),
    Thing("printer", "Printer", "printer", "infrastructure", "office", "Inkwell", "220", None, True, 0.5),
)


def _things() -> list[Thing]:
    """Five cameras, sensors in every room, plugs; then those that are one of a kind."""
    cameras = [("front-door", "ground-floor"), ("drive", "garden"), ("garden", "garden"), ("hall", "ground-floor")]
    found = [
        Thing(f"cam-{key}", f"{_room(key)} camera", "camera", "cameras", place, "Lumen", "Eye 2", None, True, 5.0)
        for key, place in [*cameras, ("nursery", "upstairs")]
    ]
    rooms = ["kitchen", "living-room", "bedroom", "office", "garden", "upstairs", "ground-floor"]
    found += [
        Thing(f"climate-{room}", f"{_room(room)} climate", "climate sensor", "climate", room, "Nordlys", "TH-1")
        for room in rooms
    ]
    found += [
        Thing(f"door-{key}", name, "contact sensor", "entrances", place, "Nordlys", "C-2")
        for key, name, place in (
            ("front", "Front door", "ground-floor"),
            ("terrace", "Terrace door", "living-room"),
            ("garage", "Garage door", "garden"),
            ("window-office", "Office window", "office"),
        )
    ]
    found += [
        Thing(f"motion-{place}", f"{_room(place)} motion", "motion sensor", "entrances", place, "Nordlys", "M-3")
        for place in ("ground-floor", "upstairs", "garden")
    ]
    found += [
        Thing(f"plug-{key}", name, "smart plug", "energy", place, "Volta", "P-16", None, True, 0.6)
        for key, name, place in (
            ("fridge", "Fridge plug", "kitchen"),
            ("kettle", "Kettle plug", "kitchen"),
            ("washer", "Washing machine plug", "ground-floor"),
            ("tv", "Television plug", "living-room"),
            ("desk", "Desk plug", "office"),
            ("heater", "Heater plug", "bedroom"),
        )
    ]
    return [*found, *_SINGLE]


THINGS: Final = tuple(_things())


def address_of(at: int) -> str:
    """The address of the networked thing at this place of the list."""
    return "192.168.1.1" if THINGS[at].kind == "router" else f"192.168.1.{20 + at}"


def devices(first_seen: datetime, last_seen: datetime) -> list[Device]:
    """The records of all things, as a hub would report them."""
    found: list[Device] = []
    for at, thing in enumerate(THINGS):
        found.append(
            Device(
                key=thing.key,
                name=thing.name,
                kind=thing.kind,
                category=thing.group,
                ip=address_of(at) if thing.networked else None,
                mac=f"02:00:5e:10:00:{at:02x}" if thing.networked else None,
                serial=f"{thing.vendor[:2].upper()}-{40_000 + 7 * at}",
                vendor=thing.vendor,
                model=thing.model,
                firmware=f"{1 + at % 4}.{at % 7}.{at % 3}",
                owner=thing.owner,
                location=thing.location,
                status="online",
                trusted=thing.kind not in ("camera", "tv"),
                tags=frozenset({"wifi" if thing.networked else "zigbee", thing.group}),
                first_seen=first_seen + timedelta(minutes=3 * at),
                last_seen=last_seen - timedelta(seconds=(at * 7) % 240),
            )
        )
    return found
