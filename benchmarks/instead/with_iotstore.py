"""The library itself."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any, ClassVar

from sidebyside import workload

import iotstore
from instead.contender import AlertRead, Contender, Hour, Listed, Read, Reading
from instead.home import Home
from instead.with_sqlalchemy import engine_of, room_of
from iotstore import Alert, Connection, Device, HomePage, ManualClock, Point, field


class WithIotstore(Contender):
    """``iotstore.open(url)``."""

    name: ClassVar[str] = "iotstore"
    needs: ClassVar[tuple[str, ...]] = ("iotstore",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.store = iotstore.open(url, clock=ManualClock(workload.NOW))

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Records."""
        self.store.devices.put_many(devices)
        self.store.alerts.add_many(alerts)
        self.store.connections.add_many(flows)

    def ingest(self, points: Sequence[Point]) -> None:
        """One batch."""
        self.store.telemetry.write(points)

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """Columns as they are."""
        self.store.telemetry.write_columns(device, metric, times, values)

    def device(self, key: str) -> str | None:
        """One record."""
        return self.store.devices.get(key).name

    def devices(self, after: str, count: int) -> list[str]:
        """A page in the midst of a list."""
        return [one.key for one in self.store.devices.list(field("key") > after, order=["key"], limit=count)]

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """The last points of a series."""
        return [(point.time, float(point.value)) for point in self.store.telemetry.last(device, metric, count)]

    def latest(self, device: str, metric: str) -> Reading:
        """The newest point of a series."""
        point = self.store.telemetry.latest(device, metric)
        if point is None:
            raise LookupError(device)
        return point.time, float(point.value)

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest point of each series of a metric."""
        return [(point.device, float(point.value)) for point in self.store.telemetry.latest_all(metric)]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Buckets of an hour."""
        buckets = self.store.telemetry.aggregate(
            device, metric, every="1h", start=start, end=end, functions=["mean", "min", "max"]
        )
        return [Hour(one.device, one.start, *(_real(one[name]) for name in ("mean", "min", "max"))) for one in buckets]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """A page in the midst of a list."""
        found = self.store.alerts.list(field("time") < before, order=["-time"], limit=count)
        return [AlertRead(one.title, _there(one.time), one.acknowledged_at, one.metadata) for one in found]

    def home(self) -> Home:
        """One call, in the form that everybody answers in."""
        return shown(self.store.home())

    def one_state(self) -> AbstractContextManager[object]:
        """Each answer sees one state; the home page is one call."""
        return nullcontext()

    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Traffic by hour; all else is on the home page."""
        if by != "hour":
            raise NotImplementedError("the home page answers this in one call")
        found = self.store.connections.timeline(start, end, width="hour")
        return [(one.start, one.connections, one.bytes_sent, one.bytes_received) for one in found]

    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """On the home page."""
        raise NotImplementedError("the home page answers this in one call")

    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """By their keys."""
        return {one.key: one.name for one in self.store.devices.get_many(keys) if one is not None}

    def total(self, of: Listed) -> int:
        """How many records."""
        if of == "devices":
            return self.store.devices.count()
        return self.store.alerts.count() if of == "alerts" else self.store.connections.count()

    def count(self) -> int:
        """All points."""
        return self.store.telemetry.count()

    def room(self) -> int:
        """As the engine says."""
        engine = engine_of(self.url)
        try:
            return room_of(engine)
        finally:
            engine.dispose()

    def close(self) -> None:
        """Close the store."""
        self.store.close()


def shown(page: HomePage) -> Home:
    """The page that the library gives, in the form that everybody answers in."""
    return Home(
        active=[Read(one.key, _there(one.last_seen)) for one in page.active],
        unacknowledged=[Read(one.title, _there(one.time), one.device) for one in page.unacknowledged],
        connections=[Read(one.destination or "", one.time, one.device) for one in page.connections],
        devices=[Read(one.key, _there(one.last_seen)) for one in page.devices],
        timeline=[(one.start, one.connections, one.bytes_sent, one.bytes_received) for one in page.timeline],
        protocols=[(one.name, one.connections, one.bytes_sent, one.bytes_received) for one in page.protocols],
        heatmap=[(one.device, one.hour, one.connections, one.bytes) for one in page.heatmap],
        alerts=[(one.alert.title, one.device_name) for one in page.alerts],
        alert_timeline=sorted((one.day, one.severity, one.alerts) for one in page.alert_timeline),
        scores=[one.alerts for one in page.scores],
        bandwidth=[(one.name, one.connections, one.bytes_sent, one.bytes_received) for one in page.bandwidth],
        totals=(page.total_devices, page.total_connections, page.total_alerts),
    )


def _real(value: object) -> float:
    if not isinstance(value, float):
        raise TypeError(f"{value!r} is no value of a numeric metric")
    return value


def _there(time: datetime | None) -> datetime:
    if time is None:
        raise LookupError("a record without a time")
    return time
