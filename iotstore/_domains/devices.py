"""Devices: what they are, when they were seen, what they may do."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal, cast

from iotstore._domains.telemetry import Telemetry
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._kinds.estate import DEVICES, Device
from iotstore._kinds.network import CONNECTIONS
from iotstore._kinds.telemetry import SERIES
from iotstore._query.expressions import Where, field
from iotstore._query.grouping import count, count_distinct, sum_
from iotstore.errors import Busy, InvalidValue, StillReferenced, VersionConflict

_ATTEMPTS: Final = 20


@dataclass(frozen=True, slots=True)
class Traffic:
    """What a device sent and received in a time."""

    device: str
    connections: int
    bytes_sent: int
    bytes_received: int
    packets_sent: int
    packets_received: int
    destinations: int


class Devices(Collection[Device]):
    """Devices and sensors, each known by a key of the caller's choice."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, DEVICES)

    def seen(self, key: str, *, ip: str | None = None, time: datetime | None = None) -> Device:
        """Note that a device was seen, now or at *time*, perhaps at another address. An earlier *time* changes only
        *first_seen*. NotFound for an unknown device."""
        when = time or self._engine.clock.now()
        with self._engine.writing():
            self.get(key)
            return self.put(Device(key=key, ip=ip, first_seen=when, last_seen=when))

    def recent(self, within: timedelta = timedelta(minutes=5)) -> list[Device]:
        """Devices seen within the last time, the newest first."""
        since = self._engine.clock.now() - within
        return self.list(field("last_seen") >= since, order=["-last_seen"])

    def newcomers(self, since: datetime) -> int:
        """How many devices were seen for the first time since then."""
        return self.count(field("first_seen") >= since)

    def by_ip(self, ip: str) -> list[Device]:
        """The devices that have this address now."""
        return self.list(field("ip") == ip, order=["-last_seen"])

    def trusted(self) -> list[Device]:
        """The devices that are trusted, by key."""
        return self.list(field("trusted") == True)  # noqa: E712 - a filter, not a truth value

    def blocked(self) -> list[Device]:
        """The devices that are blocked, by key."""
        return self.list(field("blocked") == True)  # noqa: E712 - a filter, not a truth value

    def rename(self, key: str, name: str | None) -> Device:
        """Give a device another name; its key stays."""
        return self.update(key, name=name)

    def trust(self, key: str, trusted: bool = True) -> Device:
        """Trust a device, or no longer."""
        return self.update(key, trusted=trusted)

    def block(self, key: str, blocked: bool = True) -> Device:
        """Block a device, or no longer."""
        return self.update(key, blocked=blocked)

    def activate(self, key: str, active: bool = True) -> Device:
        """Take a device into service, or out of it."""
        return self.update(key, active=active)

    def set_metadata(self, key: str, /, **entries: Any) -> Device:
        """Set entries of a device's metadata and leave the others; None removes one. No concurrent change is lost."""
        for _ in range(_ATTEMPTS):
            device = self.get(key)
            stored: object = device.metadata
            current = cast("dict[str, Any]", stored) if isinstance(stored, dict) else {}
            merged = {name: value for name, value in {**current, **entries}.items() if value is not None}
            try:
                return self.update(key, expected=device.version, metadata=merged or None)
            except VersionConflict:
                continue
        raise Busy(f"the metadata of device {key!r} changed {_ATTEMPTS} times meanwhile", hint="try again")

    def traffic(self, key: str, start: datetime | None = None, end: datetime | None = None) -> Traffic:
        """What a device sent and received in ``[start, end)``; NotFound for an unknown device."""
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            Devices(twin).get(key)
            where: Where = field("device") == key
            if start is not None:
                where &= field("time") >= start
            if end is not None:
                where &= field("time") < end
            (got,) = Collection(twin, CONNECTIONS).aggregate(_TRAFFIC, where=where)
        return Traffic(key, **{name: got[name] or 0 for name in _TRAFFIC})

    def delete(
        self, key: object, *, expected: int | None = None, telemetry: Literal["refuse", "delete"] = "refuse"
    ) -> None:
        """Delete a device. Its flows and alerts stay: they are evidence. Telemetry is deleted only when that is said;
        otherwise a device that has some is StillReferenced."""
        if telemetry not in ("refuse", "delete"):
            raise InvalidValue(f'{telemetry!r} is neither "refuse" nor "delete"', field="telemetry")
        with self._engine.writing():
            series = Collection(self._engine, SERIES)
            mine = field("device") == key
            if series.count(mine):
                if telemetry == "refuse":
                    raise StillReferenced(
                        f"device {key!r} has telemetry", hint='pass telemetry="delete" to delete it too'
                    )
                if expected is not None and self.get(key).version != expected:
                    raise VersionConflict("device", key, expected, self.get(key).version)
                Telemetry(self._engine).forget(str(key))
            super().delete(key, expected=expected)


_TRAFFIC: Final = {
    "connections": count(),
    "bytes_sent": sum_("bytes_sent"),
    "bytes_received": sum_("bytes_received"),
    "packets_sent": sum_("packets_sent"),
    "packets_received": sum_("packets_received"),
    "destinations": count_distinct("destination"),
}
