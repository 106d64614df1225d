"""The library itself."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar

from sidebyside import workload

import iotstore
from instead.contender import AlertRead, Contender, Hour, Reading
from iotstore import Alert, Device, ManualClock, Point, field


class WithIotstore(Contender):
    """``iotstore.open(url)``."""

    name: ClassVar[str] = "iotstore"
    needs: ClassVar[tuple[str, ...]] = ("iotstore",)

    def __init__(self, url: str) -> None:
        self._store = iotstore.open(url, clock=ManualClock(workload.NOW))

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Devices and alerts, as records."""
        self._store.devices.put_many(devices)
        self._store.alerts.add_many(alerts)

    def ingest(self, points: Sequence[Point]) -> None:
        """One batch."""
        self._store.telemetry.write(points)

    def device(self, key: str) -> str | None:
        """One record."""
        return self._store.devices.get(key).name

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """The last points of a series."""
        return [(point.time, float(point.value)) for point in self._store.telemetry.last(device, metric, count)]

    def latest(self, device: str, metric: str) -> Reading:
        """The newest point of a series."""
        point = self._store.telemetry.latest(device, metric)
        if point is None:
            raise LookupError(device)
        return point.time, float(point.value)

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest point of each series of a metric."""
        return [(point.device, float(point.value)) for point in self._store.telemetry.latest_all(metric)]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Buckets of an hour."""
        buckets = self._store.telemetry.aggregate(
            device, metric, every="1h", start=start, end=end, functions=["mean", "min", "max"]
        )
        return [Hour(one.device, one.start, *(_real(one[name]) for name in ("mean", "min", "max"))) for one in buckets]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """A page in the midst of a list."""
        found = self._store.alerts.list(field("time") < before, order=["-time"], limit=count)
        return [AlertRead(one.title, _there(one.time), one.acknowledged_at, one.metadata) for one in found]

    def count(self) -> int:
        """All points."""
        return self._store.telemetry.count()

    def close(self) -> None:
        """Close the store."""
        self._store.close()


def _real(value: object) -> float:
    if not isinstance(value, float):
        raise TypeError(f"{value!r} is no value of a numeric metric")
    return value


def _there(time: datetime | None) -> datetime:
    if time is None:
        raise LookupError("an alert without a time")
    return time
