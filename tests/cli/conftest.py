"""A small home in a real SQLite store, and the command line run inside this process."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Alert, Connection, Device, Group, Location, Metric, Owner, Point
from iotstore.cli import main

NOON = datetime(2025, 6, 15, 12, tzinfo=UTC)
AT = "2025-06-15T12:00Z"


@dataclass
class Answer:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Answer]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Cli:
    """Run one command in a folder of its own and return what it said."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*words: str) -> Answer:
        code = main(words)
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return run


@pytest.fixture
def url(tmp_path: Path) -> str:
    """A store with one camera, one sensor, and something of everything."""
    where = f"sqlite:///{tmp_path}/home.db"
    with iotstore.open(where) as store:
        store.owners.put(Owner(key="maya", name="Maya"))
        store.locations.put(Location(key="home", name="Home"))
        store.locations.put(Location(key="garden", name="Garden", parent="home"))
        store.groups.put(Group(key="cameras", name="Cameras"))
        camera = Device(
            key="cam-1", name="Front camera", kind="camera", vendor="Lumen", ip="192.168.1.20", location="garden"
        )
        store.devices.put(but(camera, last_seen=NOON - timedelta(minutes=2), tags=frozenset({"wifi"})))
        store.devices.put(
            Device(key="th-1", name="Hall sensor", kind="sensor", owner="maya", last_seen=NOON - timedelta(hours=3))
        )
        store.devices.trust("th-1")
        store.groups.add_device("cameras", "cam-1")
        store.telemetry.define(Metric(name="temperature", type="float", unit="°C"))
        hours = [NOON - timedelta(hours=back) for back in range(1, 13)]
        store.telemetry.write([Point("th-1", "temperature", hour, 20.0 + at) for at, hour in enumerate(hours)])
        store.telemetry.write([Point("th-1", "door", NOON - timedelta(minutes=5), True)])
        store.telemetry.write([Point("th-1", "mode", NOON - timedelta(minutes=5), "eco")])
        flow = Connection(
            device="cam-1", time=NOON - timedelta(minutes=30), destination="203.0.113.9", port=443, protocol="tcp"
        )
        store.connections.add(but(flow, service="https", bytes_sent=5_000_000, bytes_received=1000))
        store.connections.add(Connection(device="th-1", time=NOON - timedelta(days=3), protocol="udp", bytes_sent=200))
        night = Alert(kind="upload", title="Front camera sent too much", severity="critical", device="cam-1")
        store.alerts.raise_(but(night, time=NOON - timedelta(hours=2), score=0.9))
        store.alerts.raise_(
            Alert(kind="battery", title="Low battery", severity="low", device="th-1", time=NOON - timedelta(days=2))
        )
        store.alerts.acknowledge(2, "maya")
    return where


def but(record: Any, **changes: Any) -> Any:
    """A copy of a record with other fields."""
    return type(record)(**{**{name: getattr(record, name) for name in record.__struct_fields__}, **changes})
