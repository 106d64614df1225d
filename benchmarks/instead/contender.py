"""What a contender has to do, and in which form it answers, so that answers can be compared."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, NamedTuple, TypeAlias

from iotstore import Alert, Device, Point

#: A time and what was measured then.
Reading: TypeAlias = tuple[datetime, float]


#: The fields of an alert that everybody keeps and reads back.
ALERT: Final = (
    "device", "kind", "title", "severity", "time", "status", "score", "explanation", "metadata",
    "acknowledged_by", "acknowledged_at", "resolved_by", "resolved_at",
)  # fmt: skip


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


class Contender(ABC):
    """One way to keep devices, alerts and points of numeric metrics: a point is unique by device, metric and time.

    A batch is one transaction, in which points that are there already are left out. On SQLite everybody has WAL and
    ``synchronous=NORMAL``; on PostgreSQL everybody has the server's settings.
    """

    name: ClassVar[str]
    #: The distributions whose versions the results name.
    needs: ClassVar[tuple[str, ...]]

    @abstractmethod
    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Make tables and indexes, and keep devices and alerts."""

    @abstractmethod
    def ingest(self, points: Sequence[Point]) -> None:
        """Keep points that came as objects, in one transaction; those that are there already stay as they are."""

    @abstractmethod
    def device(self, key: str) -> str | None:
        """The name of the device that its key finds, read as a whole object."""

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
    def count(self) -> int:
        """How many points there are."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and files."""
