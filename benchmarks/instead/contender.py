"""What a contender has to do, and in which form it answers, so that answers can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, NamedTuple, TypeAlias

from iotstore import Alert, Connection, Device, Point

#: A time and what was measured then.
Reading: TypeAlias = tuple[datetime, float]
#: What is listed on the home page.
Listed: TypeAlias = Literal["devices", "alerts", "flows"]

#: The fields of a device, an alert and a flow that everybody keeps and reads back.
DEVICE: Final = ("key", "name", "kind", "ip", "mac", "vendor", "model", "firmware", "last_seen")
ALERT: Final = (
    "device", "kind", "title", "severity", "time", "status", "score", "explanation", "metadata",
    "acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at",
)  # fmt: skip
FLOW: Final = (
    "device", "time", "destination", "port", "protocol", "service", "state", "bytes_sent", "bytes_received",
    "packets_sent", "packets_received", "duration", "processed",
)  # fmt: skip
#: What rows are grouped by, under the name of the question: alerts by the last two, flows by the others.
GROUPS: Final[dict[str, tuple[str, ...]]] = {
    "hour": ("hour",),
    "protocol": ("protocol",),
    "device": ("device",),
    "device-hour": ("device", "hour of day"),
    "day-severity": ("day", "severity"),
    "tenth": ("tenth",),
}
ALERTS_BY: Final = ("day-severity", "tenth")


class AlertRead(NamedTuple):
    """What is used of an alert that was read as a whole."""

    title: str
    time: datetime
    acknowledged_at: datetime | None
    metadata: object


class Hour(NamedTuple):
    """One hour of one device: mean, least and largest value."""

    device: str
    start: datetime
    mean: float
    low: float
    high: float


class Read(NamedTuple):
    """What the home page shows of a device, an alert or a flow that was read as a whole."""

    name: str
    time: datetime
    device: str | None = None


def flow_values(flow: Connection) -> tuple[Any, ...]:
    """The values of a flow in the order of `FLOW`; how long it took as seconds, for not everybody has intervals."""
    values = [getattr(flow, name) for name in FLOW]
    values[FLOW.index("duration")] = None if flow.duration is None else flow.duration.total_seconds()
    return tuple(values)


class Contender(ABC):
    """One way to keep devices, alerts, flows and points of numeric metrics: a point is unique by device, metric, time.

    A batch is one transaction, in which points that are there already are left out. On SQLite everybody has WAL and
    ``synchronous=NORMAL``; on PostgreSQL everybody has the server's settings.
    """

    name: ClassVar[str]
    #: The distributions whose versions the results name.
    needs: ClassVar[tuple[str, ...]]

    def __init__(self, url: str) -> None:
        self.url = url

    @abstractmethod
    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Make tables and indexes, and keep devices, alerts and flows."""

    @abstractmethod
    def ingest(self, points: Sequence[Point]) -> None:
        """Keep points that came as objects, in one transaction; those that are there already stay as they are."""

    @abstractmethod
    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """Keep points of one series that came as two lists, in the same way."""

    @abstractmethod
    def device(self, key: str) -> str | None:
        """The name of the device that its key finds, read as a whole object."""

    @abstractmethod
    def devices(self, after: str, count: int) -> list[str]:
        """The keys of the next devices after a key, in order of key, read as whole objects."""

    @abstractmethod
    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """The newest readings, the newest first."""

    @abstractmethod
    def latest(self, device: str, metric: str) -> Reading:
        """The newest reading."""

    @abstractmethod
    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest value of every device, in order of device."""

    @abstractmethod
    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Hours of one device or (None) of all, in order of device and time."""

    @abstractmethod
    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """The newest alerts before a time, read as a whole, the newest first."""

    @abstractmethod
    def one_state(self) -> AbstractContextManager[object]:
        """A transaction whose questions see one committed state."""

    @abstractmethod
    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """The newest rows since a time as whole objects, the newest first, and of equal ones the greatest key first."""

    @abstractmethod
    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """One of `GROUPS` in any order: its keys, how many rows, and of flows the bytes both ways."""

    @abstractmethod
    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """The names of some devices by their keys."""

    @abstractmethod
    def total(self, of: Listed) -> int:
        """How many rows there are."""

    @abstractmethod
    def count(self) -> int:
        """How many points there are."""

    @abstractmethod
    def room(self) -> int:
        """How many bytes everything takes, with its indexes."""

    def for_thread(self) -> Contender:
        """What a thread of its own works with; itself where threads may share it."""
        return self

    def left_thread(self) -> None:  # noqa: B027 - most have nothing to give back
        """Give back what the thread had of its own."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and files."""
