"""Writing golden backups of the installed version: ``python -m iotstore_conformance.golden HARNESS FOLDER``."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from iotstore import (
    Alert,
    Connection,
    Device,
    Group,
    Location,
    Metric,
    Owner,
    Point,
    Store,
    ThreatPattern,
)
from iotstore_conformance.golden import KEPT, PARTS, Kept, held_by
from iotstore_conformance.harness import Harness, find_harness
from iotstore_conformance.samples import HARD_TEXTS
from iotstore_conformance.stage import NOON, Stage, later

_TYPES: Final = {"f": "float", "i": "int64", "b": "bool", "t": "text"}


def fill_records(store: Store) -> None:
    """A record of every kind that an application fills, with values that were lost once somewhere."""
    store.owners.add(Owner(key="ann", name="Ann \u00c9", email="ann@example.org", metadata={"n": [1, 1.0, None]}))
    store.locations.add(Location(key="house"))
    store.locations.add(Location(key="hall", parent="house"))
    store.groups.add(Group(key="cams", description="cameras"))
    for number, text in enumerate(HARD_TEXTS):
        store.devices.add(Device(key=f"d{number:02}", name=text[:200], notes=text, metadata={"of": [text, True]}))
    store.devices.update("d00", owner="ann", location="hall", ip="10.0.0.1", mac="aa:bb:cc:dd:ee:ff", blocked=True)
    store.devices.update("d01", ip="2001:db8::1", tags=frozenset({"b", "a", "\U0001f600"}), last_seen=NOON)
    store.groups.add_device("cams", "d00")
    store.connections.add_many([
        Connection(device="d00", time=later(microseconds=n), destination="2001:db8::1", bytes_sent=2**62 + n)
        for n in range(5)
    ])  # fmt: skip
    alert = store.alerts.raise_(Alert(kind="test", title="t", device="d00", time=NOON, score=0.1))
    store.alerts.acknowledge(alert.id, by="ann")
    store.alerts.suppress("d01", timedelta(hours=1), reason="x")
    store.patterns.add(ThreatPattern(key="scan"))
    store.patterns.match(alert.id, "scan", weight=5e-324)
    store.relationships.relate(("device", "d00"), "FEEDS", ("device", "d01"), weight=0.25, properties={"n": 1.0})
    store.settings.set("s", {"deep": [None, 2**63 - 1, -0.5], "\uffff": "\U0010ffff"})
    kept = store.records(KEPT)
    kept.add(Kept(key="none"))
    kept.add(
        Kept(
            key="all",
            text="\uffff\U0010ffff\n",
            number=-(2**63),
            real=5e-324,
            flag=False,
            when=datetime.fromisoformat("0001-01-01T00:00:00+00:00"),
            span=timedelta(microseconds=-1),
            data=bytes(range(256)),
            ip="::ffff:1.2.3.4",
            mac="00:00:00:00:00:00",
            json={"a": [1, 1.0, True, None, "x" * 5000]},
            tags=frozenset({"x", "%"}),
        )
    )
    kept.update("none", number=2**63 - 1)


def fill_points(store: Store) -> None:
    """Two devices with points of every type, before 1970 and to the microsecond."""
    values: dict[str, Sequence[Any]] = {
        "f": [0.1, 5e-324, -1.7e308],
        "i": [2**63 - 1, -(2**63), 0],
        "b": [True, False, True],
        "t": ["", "\uffff\U0001f600", "x" * 1000],
    }
    for key in ("a", "b"):
        store.devices.add(Device(key=key))
        for name, given in values.items():
            if key == "a":
                store.telemetry.define(Metric(name=name, type=_TYPES[name]))  # type: ignore[arg-type]  # one of four
            times = [datetime.fromisoformat("1969-12-31T23:59:59.999999+00:00"), NOON, later(microseconds=1)]
            store.telemetry.write([Point(key, name, at, value) for at, value in zip(times, given, strict=True)])


def filled(stage: Stage, part: str) -> Store:
    """An open store that holds what a golden backup of this part is to hold."""
    store = stage.open(stage.new_place(), kinds=[KEPT])
    (fill_records if part == "records" else fill_points)(store)
    return store


def write_goldens(harness: Harness, folder: Path) -> list[Path]:
    """Write the golden backups of the installed version into *folder*, each with what it holds beside it."""
    made: list[Path] = []
    with Stage(harness) as stage:
        for part in PARTS:
            store = filled(stage, part)
            path = folder / f"{version('iotstore')}-{part}"
            backup = store.backups.create(folder, format="portable")
            made.append(Path(backup.path).rename(path.with_name(f"{path.name}.iotstore")))
            made[-1].chmod(0o644)  # a backup is its owner's alone, this one is everybody's
            held = json.dumps(held_by(store, points=part == "points"), indent=1, sort_keys=True)
            made.append(path.with_name(f"{path.name}.json"))
            made[-1].write_text(f"{held}\n", "utf-8")
    return made


if __name__ == "__main__":
    for written in write_goldens(find_harness(sys.argv[1]), Path(sys.argv[2])):
        sys.stdout.write(f"{written}\n")
