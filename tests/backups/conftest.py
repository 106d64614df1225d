"""A store with something of everything in it, for the tests of backups."""

import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

import iotstore
from iotstore import (
    Address,
    Alert,
    Bytes,
    Connection,
    Device,
    Group,
    Json,
    Kind,
    Location,
    ManualClock,
    Metric,
    OnDelete,
    Owner,
    Point,
    Record,
    Text,
    Tracked,
)
from iotstore._catalogue.catalogue import Catalogue
from iotstore._catalogue.manifest import Summary
from iotstore._catalogue.native import standing_still

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Probe(Tracked, frozen=True, kw_only=True):
    """Every declaration that a field can have."""

    id: int = 0
    name: Annotated[str, Text(80, search=True)]
    parent: int | None = None
    device: Annotated[str | None, Text(120)] = None
    raw: Annotated[bytes, Bytes(64)] = b""
    tags: frozenset[str] = frozenset()
    extra: Annotated[Any, Json()] = None
    span: timedelta | None = None
    ip: Annotated[str | None, Address()] = None
    level: float = 0.0
    flag: bool | None = None
    at: datetime | None = None


class Pair(Record, frozen=True, kw_only=True):
    """A record of a kind without versions, with a key of two fields."""

    left: str
    right: int


PROBES = Kind(
    Probe,
    "probe",
    "id",
    generated="id",
    references={"parent": ("probe", OnDelete.CASCADE), "device": ("device", OnDelete.CLEAR)},
    indexes=[["name"], ["ip"]],
)
PAIRS = Kind(Pair, "a_pair", ("left", "right"))


def fill(store: iotstore.Store, points: int = 9000, seed: int = 1) -> None:
    """Put something of every kind and of every type of point into a store."""
    chance = random.Random(seed)
    store.owners.put(Owner(key="ann", name="Änn \u2028 \U0001f600"))
    # Pointed to by what comes before it in the order of keys.
    store.locations.put(Location(key="house"))
    store.locations.put(Location(key="attic", parent="house", metadata={"b": [1, 1.0, None], "a": "x"}))
    store.groups.put(Group(key="cams", name="Cameras"))
    for number in range(5):
        store.devices.put(
            Device(
                key=f"cam-{number}",
                name=f"Camera {number}",
                ip=f"192.168.1.{number + 9}",
                owner="ann",
                location="attic",
                tags=frozenset({"b", "a", str(number)}),
            )
        )
    store.groups.add_device("cams", "cam-1")
    store.connections.add_many(
        [
            Connection(
                device=f"cam-{n % 5}", time=START + timedelta(microseconds=n), destination="2001:db8::1", bytes_sent=n
            )
            for n in range(700)
        ]
    )
    for number in range(3):
        store.alerts.raise_(Alert(kind="test", title=f"Alert {number}", device="cam-0", score=0.1 * number))
    store.settings.set("theme", {"dark": True})
    store.telemetry.define(Metric(name="Counter", type="int64"))
    times = [START + timedelta(milliseconds=n) for n in range(points)]
    store.telemetry.write_columns("cam-0", "temperature", times, [chance.uniform(-40, 40) for _ in times])
    store.telemetry.write_columns("cam-0", "counter", times[:4096], [chance.randrange(2**62) for _ in times[:4096]])
    store.telemetry.write([Point("cam-1", "open", when, chance.random() < 0.5) for when in times[:50]])
    store.telemetry.write([Point("cam-1", "state", when, f"état {n}") for n, when in enumerate(times[:50])])
    if "probe" in store.kinds:
        probes = store.records(PROBES)
        first = probes.add(Probe(name="Straße", raw=b"\x00\xff", tags=frozenset({"z", "y"}), extra={"n": [1, 2.5]}))
        probes.add(
            Probe(
                name="x",
                parent=first.id,
                device="cam-2",
                span=timedelta(microseconds=-5),
                ip="::1",
                level=5e-324,
                flag=True,
                at=START,
            )
        )
        store.records(PAIRS).add(Pair(left="", right=-(2**63)))


def summaries(store: iotstore.Store) -> tuple[Summary, ...]:
    """Count and digest of every collection of a store."""
    with standing_still(store.backend) as session:
        return Catalogue.of(store.backend, session).summaries(session)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def open_store(tmp_path: Path, clock: ManualClock) -> Iterator[Callable[..., iotstore.Store]]:
    """Opens stores in the test's folder and closes them."""
    opened: list[iotstore.Store] = []

    def opening(name: str = "home.db", **options: Any) -> iotstore.Store:
        store = iotstore.open(f"sqlite:///{tmp_path / name}", clock=clock, **options)
        opened.append(store)
        return store

    yield opening
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., iotstore.Store]) -> iotstore.Store:
    """A store with something of everything, two kinds of an application's own among it."""
    made = open_store(kinds=[PROBES, PAIRS])
    fill(made)
    return made


@pytest.fixture
def url(tmp_path: Path) -> str:
    """Where nothing is yet."""
    return f"sqlite:///{tmp_path / 'restored.db'}"


@pytest.fixture
def digests() -> Callable[[iotstore.Store], tuple[Summary, ...]]:
    """Tells count and digest of every collection of a store."""
    return summaries


@pytest.fixture
def fill_store() -> Callable[..., None]:
    """Puts something of everything into a store."""
    return fill


@pytest.fixture
def own_kinds() -> list[Kind[Any]]:
    """The kinds of an application's own."""
    return [PROBES, PAIRS]
