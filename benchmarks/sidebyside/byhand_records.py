"""Devices, flows and alerts by hand: what a careful programmer writes with the driver alone, on the same tables.

What differs between SQLite and PostgreSQL is left to a subclass for each.
"""

from __future__ import annotations

import ipaddress
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Any, ClassVar, Final

import msgspec

from iotstore import Alert, Connection, Device
from sidebyside.moments import instant, micros_of, micros_or_none

_encode: Final = msgspec.json.Encoder(order="sorted").encode
_decode: Final = msgspec.json.Decoder().decode
_MAC: Final = re.compile(r"[0-9a-f]{2}(?::[0-9a-f]{2}){5}\Z")
_MICROSECOND: Final = timedelta(microseconds=1)
_LARGEST: Final = 2**63 - 1

_DEVICE: Final = (
    "key, name, kind, category, ip, mac, serial, vendor, model, firmware, owner, location, status, trusted, blocked,"
    " active, notes, settings, metadata, tags, first_seen, last_seen, version"
)
_PUT_COLUMNS: Final = (
    "key, name, name__fold, kind, category, ip, ip__order, mac, serial, vendor, vendor__fold, model, firmware, owner,"
    " location, status, trusted, blocked, active, notes, notes__fold, settings, metadata, tags, first_seen, last_seen,"
    " version"
)
_COALESCED: Final = [
    name
    for name in _PUT_COLUMNS.split(", ")
    if name not in ("key", "trusted", "blocked", "active", "first_seen", "last_seen", "version")
]
_PUT: Final = (
    f"INSERT INTO device ({_PUT_COLUMNS}) VALUES ({', '.join('?' * 27)}) ON CONFLICT (key) DO UPDATE SET "  # noqa: S608
    + ", ".join(f"{name} = coalesce(excluded.{name}, device.{name})" for name in _COALESCED)
    + ", first_seen = CASE WHEN excluded.first_seen IS NOT NULL AND (device.first_seen IS NULL OR"
    " excluded.first_seen < device.first_seen) THEN excluded.first_seen ELSE device.first_seen END"
    ", last_seen = CASE WHEN excluded.last_seen IS NOT NULL AND (device.last_seen IS NULL OR"
    " excluded.last_seen > device.last_seen) THEN excluded.last_seen ELSE device.last_seen END"
    f", version = device.version + 1 RETURNING {_DEVICE}"
)
_GET: Final = f"SELECT {_DEVICE} FROM device WHERE key = ?"  # noqa: S608
_ALERT: Final = (
    "kind, title, severity, id, device, owner, time, status, suppressed, score, explanation, metadata,"
    " acknowledged_by, acknowledged_at, resolved_by, resolved_at, version"
)
FLOW_COLUMNS: Final = (
    "device, time, id, destination, destination__order, port, protocol, service, state, bytes_sent, bytes_received,"
    " packets_sent, packets_received, duration, processed"
)
_FLOW: Final = FLOW_COLUMNS.replace(" destination__order,", "")


def device_of(row: Sequence[Any]) -> Device:
    """The device of a row in the order of its columns."""
    (key, name, kind, category, ip, mac, serial, vendor, model, firmware, owner, location, status) = row[:13]
    (trusted, blocked, active, notes, settings, metadata, tags, first, last, version) = row[13:]
    return Device(
        key=key,
        name=name,
        kind=kind,
        category=category,
        ip=ip,
        mac=mac,
        serial=serial,
        vendor=vendor,
        model=model,
        firmware=firmware,
        owner=owner,
        location=location,
        status=status,
        trusted=bool(trusted),
        blocked=bool(blocked),
        active=bool(active),
        notes=notes,
        settings=None if settings is None else _decode(settings),
        metadata=None if metadata is None else _decode(metadata),
        tags=frozenset() if tags is None else frozenset(tags if tags.__class__ is list else tags[1:-1].split("\n")),
        first_seen=None if first is None else instant(first),
        last_seen=None if last is None else instant(last),
        version=version,
    )


def alert_of(row: Sequence[Any]) -> Alert:
    """The alert of a row in the order of its columns."""
    kind, title, severity, number, device, owner, time, status, suppressed, score, explanation, metadata = row[:12]
    acknowledged_by, acknowledged_at, resolved_by, resolved_at, version = row[12:]
    return Alert(
        kind=kind,
        title=title,
        severity=severity,
        id=number,
        device=device,
        owner=owner,
        time=None if time is None else instant(time),
        status=status,
        suppressed=bool(suppressed),
        score=score,
        explanation=explanation,
        metadata=None if metadata is None else _decode(metadata),
        acknowledged_by=acknowledged_by,
        acknowledged_at=None if acknowledged_at is None else instant(acknowledged_at),
        resolved_by=resolved_by,
        resolved_at=None if resolved_at is None else instant(resolved_at),
        version=version,
    )


def flow_of(row: Sequence[Any]) -> Connection:
    """The flow of a row in the order of its columns."""
    device, time, number, destination, port, protocol, service, state, sent, received, out, into, duration, done = row
    return Connection(
        device=device,
        time=instant(time),
        id=number,
        destination=destination,
        port=port,
        protocol=protocol,
        service=service,
        state=state,
        bytes_sent=sent,
        bytes_received=received,
        packets_sent=out,
        packets_received=into,
        duration=None if duration is None else timedelta(microseconds=duration),
        processed=bool(done),
    )


@lru_cache(maxsize=16_384)
def address(text: str) -> tuple[str, str]:
    """The canonical text of an address, and a text that orders addresses."""
    parsed = ipaddress.ip_address(text)
    return str(parsed), str(parsed.version) + parsed.packed.hex()


def text(value: str | None, longest: int) -> str | None:
    """A text that may be stored."""
    if value is not None and (len(value) > longest or "\0" in value):
        raise ValueError(f"{value!r} is too long, or holds a NUL")
    if value is not None and not value.isascii():
        value.encode()  # raises for lone surrogates
    return value


def number(value: int | None, least: int, most: int) -> int | None:
    """An integer in its range."""
    if value is not None and (value.__class__ is not int or not least <= value <= most):
        raise ValueError(f"{value!r} is not between {least} and {most}")
    return value


def insert_text(table: str, columns: int, rows: int, ending: str = "") -> str:
    """A statement that inserts several rows at once."""
    row = "(" + ", ".join("?" * columns) + ")"
    return f"INSERT INTO {table} VALUES {', '.join([row] * rows)}{ending}"  # noqa: S608 - names of our own tables


class RecordsByHand(ABC):
    """Devices, flows and alerts, written and read with one connection."""

    begin: ClassVar[str]
    begin_reading: ClassVar[str]
    #: the tenth of the range from 0 to 1 that a score lies in
    tenth: ClassVar[str]

    def __init__(self, execute: Callable[..., Any]) -> None:
        #: runs a statement whose parameters stand as question marks, and returns a cursor
        self.execute = execute
        self._version = 1
        self._next_flow = 1

    @abstractmethod
    def tags(self, tags: Sequence[str]) -> object:
        """Tags as a column holds them."""

    @abstractmethod
    def insert_flows(self, flat: list[object], count: int) -> None:
        """Insert rows of flows whose columns follow each other."""

    def get_device(self, key: str) -> Device:
        """One device by its key."""
        row = self.execute(_GET, (key,)).fetchone()
        if row is None:
            raise KeyError(key)
        return device_of(row)

    def put_device(self, device: Device) -> Device:
        """Check and store a device, or merge it into the one that is there; returns what is stored now."""
        ip, ip_order = (None, None) if device.ip is None else address(device.ip)
        if device.mac is not None and not _MAC.match(device.mac):
            raise ValueError(f"{device.mac!r} is not a MAC address")
        tags = sorted({text(tag, 64) or "" for tag in device.tags})
        row = (
            text(device.key, 120),
            text(device.name, 200),
            None if device.name is None else device.name.casefold(),
            text(device.kind, 60),
            text(device.category, 60),
            ip,
            ip_order,
            device.mac,
            text(device.serial, 120),
            text(device.vendor, 120),
            None if device.vendor is None else device.vendor.casefold(),
            text(device.model, 120),
            text(device.firmware, 120),
            text(device.owner, 120),
            text(device.location, 120),
            text(device.status, 40),
            device.trusted,
            device.blocked,
            device.active,
            text(device.notes, 10_000),
            None if device.notes is None else device.notes.casefold(),
            None if device.settings is None else _encode(device.settings).decode(),
            None if device.metadata is None else _encode(device.metadata).decode(),
            self.tags(tags) if tags else None,
            micros_or_none(device.first_seen),
            micros_or_none(device.last_seen),
            self._version,
        )
        self._version += 1
        self.execute(self.begin)
        try:
            (stored,) = self.execute(_PUT, row).fetchall()
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        return device_of(stored)

    def add_flows(self, flows: Sequence[Connection]) -> int:
        """Check and store flows in one transaction; returns how many."""
        flat: list[object] = []
        first, largest = self._next_flow, _LARGEST
        known = {key for (key,) in self.execute("SELECT key FROM device")}
        for index, flow in enumerate(flows):
            if flow.device not in known:
                raise ValueError(f"flow {index} is of an unknown device")
            if flow.time.tzinfo is None:
                raise ValueError(f"flow {index} has no time zone")
            destination, order = (None, None) if flow.destination is None else address(flow.destination)
            flat += (
                flow.device,
                micros_of(flow.time),
                first + index,
                destination,
                order,
                number(flow.port, 0, 65_535),
                text(flow.protocol, 20),
                text(flow.service, 60),
                text(flow.state, 40),
                number(flow.bytes_sent, 0, largest),
                number(flow.bytes_received, 0, largest),
                number(flow.packets_sent, 0, largest),
                number(flow.packets_received, 0, largest),
                None if flow.duration is None else flow.duration // _MICROSECOND,
                flow.processed,
            )
        self._next_flow += len(flows)
        self.execute(self.begin)
        try:
            self.insert_flows(flat, len(flows))
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        return len(flows)

    def serious_open_alerts(self, limit: int) -> list[Alert]:
        """The newest open alerts of high or critical severity."""
        rows = self.execute(
            f"SELECT {_ALERT} FROM alert WHERE status = 'open' AND severity IN ('high', 'critical')"  # noqa: S608
            " ORDER BY time DESC NULLS LAST, id LIMIT ?",
            (limit,),
        )
        return [alert_of(row) for row in rows]

    def select_alerts(self, rest: str, parameters: Sequence[object]) -> list[Alert]:
        """Alerts by the end of a statement."""
        return [alert_of(row) for row in self.execute(f"SELECT {_ALERT} FROM alert {rest}", parameters)]  # noqa: S608

    def select_devices(self, rest: str, parameters: Sequence[object]) -> list[Device]:
        """Devices by the end of a statement."""
        return [device_of(row) for row in self.execute(f"SELECT {_DEVICE} FROM device {rest}", parameters)]  # noqa: S608

    def select_flows(self, rest: str, parameters: Sequence[object]) -> list[Connection]:
        """Flows by the end of a statement."""
        return [flow_of(row) for row in self.execute(f"SELECT {_FLOW} FROM connection {rest}", parameters)]  # noqa: S608
