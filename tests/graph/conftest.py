"""What the tests of the graph share: a store with a small house."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Alert, Device, Group, Location, ManualClock, Owner, Store, ThreatPattern

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon of the first of June 2024, UTC."""
    return ManualClock(NOW)


@pytest.fixture
def open_store(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., Store]]:
    """Open stores with the clock, on one file unless it is said otherwise; all are closed in the end."""
    opened: list[Store] = []

    def opener(**said: Any) -> Store:
        url = said.pop("url", f"sqlite:///{tmp_path}/home.db")
        opened.append(iotstore.open(url, **{"clock": clock, **said}))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """An empty store."""
    return open_store()


@pytest.fixture
def house(store: Store) -> Store:
    """Ann's house: a kitchen with a lamp and a television, and a hub and a camera in the hall."""
    store.owners.put(Owner(key="ann"))
    store.locations.put(Location(key="house"))
    for room in ("hall", "kitchen"):
        store.locations.put(Location(key=room, parent="house"))
    rooms = {"cam": "hall", "hub": "hall", "lamp": "kitchen", "tv": "kitchen"}
    for number, (key, room) in enumerate(rooms.items(), start=1):
        owner = "ann" if key != "tv" else None
        store.devices.put(Device(key=key, ip=f"192.168.1.{number}", location=room, owner=owner))
    store.groups.put(Group(key="screens"))
    store.groups.add_device("screens", "tv")
    store.patterns.put(ThreatPattern(key="mirai"))
    store.alerts.raise_(Alert(kind="scan", title="Port scan", device="cam"))
    return store
