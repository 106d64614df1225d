"""Golden backups: portable backups that released versions wrote, and what they held. They have to be read for ever.

``python -m iotstore_conformance.golden HARNESS FOLDER`` writes those of the installed version.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from datetime import datetime, timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from iotstore import Address, Bytes, Json, Kind, Mac, Merge, Store, Tags, Text, Tracked

#: Every release whose backups are kept. One is added at each release, none is ever taken away.
RELEASES: Final = ("0.1.0",)
#: The two backups of a release: of records alone, and of points with what they need. Not every engine keeps points.
PARTS: Final = ("records", "points")


class Kept(Tracked, frozen=True, kw_only=True):
    """A record of an application with a field of every type. It never changes: old backups hold such records."""

    key: Annotated[str, Text(60, min=1)]
    text: Annotated[str | None, Text(20_000, search=True)] = None
    number: int | None = None
    real: float | None = None
    flag: bool | None = None
    when: datetime | None = None
    span: timedelta | None = None
    data: Annotated[bytes | None, Bytes(1000)] = None
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    json: Annotated[Any, Json(20_000)] = None
    tags: Annotated[frozenset[str], Tags()] = frozenset()


KEPT: Final = Kind(Kept, "golden", "key", merge={"number": Merge.MAX}, indexes=[["number"]])


@dataclass(frozen=True, slots=True)
class Golden:
    """A backup that a release wrote, and what the store held then: the records of each kind, and points."""

    release: str
    part: str

    @property
    def held(self) -> dict[str, Any]:
        """What was in the store, as it was written down beside the backup."""
        found: dict[str, Any] = json.loads((files(__name__) / f"{self.name}.json").read_text("utf-8"))
        return found

    @property
    def name(self) -> str:
        """What its files are called, without their suffix."""
        return f"{self.release}-{self.part}"

    def copied(self, folder: Path) -> Path:
        """A copy of the backup in *folder*: what reads it may want to write beside it."""
        with as_file(files(__name__) / f"{self.name}.iotstore") as path:
            return Path(shutil.copy(path, folder))


def goldens() -> list[Golden]:
    """All that are kept, the oldest first."""
    return [Golden(release, part) for release in RELEASES for part in PARTS]


def held_by(store: Store, *, points: bool) -> dict[str, Any]:
    """Everything that a store holds, as JSON values: its records by kind, and its points by device and metric."""
    found: dict[str, Any] = {
        name: [_plain(record) for record in store.records(name).list()] for name in sorted(store.kinds)
    }
    if points:
        found["points"] = {
            device.key: {
                metric: [[at.time.isoformat(), at.value] for at in store.telemetry.range(device.key, metric)]
                for metric in sorted(store.telemetry.latest(device.key))
            }
            for device in store.devices.list()
        }
    return found


def _plain(record: object) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(record)
    return {name: sorted(value) if name == "tags" else value for name, value in plain.items()}


def as_then(now: dict[str, Any], then: dict[str, Any]) -> dict[str, Any]:
    """What is held now, without the kinds and fields that came later."""
    found: dict[str, Any] = {}
    for name, before in then.items():
        found[name] = now.get(name, [])
        if name != "points":
            fields = before[0] if before else ()
            found[name] = [{field: record.get(field) for field in fields} for record in found[name]]
    return found
