"""Network flows: kept, worked off, and looked at from above."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from iotstore._domains.contacts import note_contacts
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._engine.transaction import Transaction
from iotstore._kinds.network import CONNECTIONS, Connection
from iotstore._query.expressions import Where, field
from iotstore._query.grouping import count, every, part, sum_
from iotstore._waist.layout import Row
from iotstore.errors import NotFound

_SUMS: Final = {"connections": count(), "sent": sum_("bytes_sent"), "received": sum_("bytes_received")}


@dataclass(frozen=True, slots=True)
class Bandwidth:
    """Traffic of one *name*: a device, destination, protocol or service; None gathers flows without one."""

    name: Any
    connections: int
    bytes_sent: int
    bytes_received: int

    @property
    def bytes(self) -> int:
        """Both ways together."""
        return self.bytes_sent + self.bytes_received


@dataclass(frozen=True, slots=True)
class TrafficBucket:
    """Traffic of one time bucket."""

    start: datetime
    connections: int
    bytes_sent: int
    bytes_received: int


@dataclass(frozen=True, slots=True)
class HeatCell:
    """Activity of a device in an hour of the local day, and on a weekday where those are told apart (1 is Monday)."""

    device: str
    hour: int
    connections: int
    bytes: int
    weekday: int | None = None


class Connections(Collection[Connection]):
    """Network flows of devices. Ids are given by the store.

    Storing a flow notes the contact with the device that has its destination's address at that moment.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, CONNECTIONS)

    def _added(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        note_contacts(self._engine, transaction, rows)

    def recent(self, within: timedelta = timedelta(hours=1), *, limit: int | None = None) -> list[Connection]:
        """Flows of the last time, the newest first."""
        return self.list(field("time") >= self._engine.clock.now() - within, order=["-time"], limit=limit)

    def unprocessed(self, limit: int = 1000) -> list[Connection]:
        """Flows that nobody has processed yet, the oldest first."""
        return self.list(field("processed") == False, order=["time"], limit=limit)  # noqa: E712 - a filter

    def mark_processed(self, ids: Iterable[int]) -> int:
        """Mark flows as processed, tens of thousands at once; returns how many. NotFound names an id that does not
        exist, and then nothing is marked."""
        wanted = list(dict.fromkeys(ids))
        if not wanted:
            return 0
        with self._engine.writing():
            changed = self.update_where(field("id").in_(wanted), processed=True)
            if changed < len(wanted):
                missing = next(id_ for id_, row in zip(wanted, self.get_many(wanted), strict=True) if row is None)
                raise NotFound("connection", missing, hint="nothing was marked")
        return changed

    def bandwidth(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        by: Literal["device", "destination", "protocol", "service"] = "device",
        limit: int | None = None,
    ) -> list[Bandwidth]:
        """Traffic in ``[start, end)`` by device (or another field), the most bytes first."""
        rows = self.aggregate(_SUMS, by=[by], where=_between(start, end))
        found = [Bandwidth(row[by], row["connections"], row["sent"], row["received"]) for row in rows]
        # By name first and then, stably, by bytes: equal ones keep one order on every backend.
        found.sort(key=lambda item: item.bytes, reverse=True)
        return found[:limit]

    def top_talkers(
        self, start: datetime | None = None, end: datetime | None = None, *, limit: int = 10
    ) -> list[Bandwidth]:
        """The devices with the most traffic in ``[start, end)``."""
        return self.bandwidth(start, end, by="device", limit=limit)

    def protocols(self, start: datetime | None = None, end: datetime | None = None) -> list[Bandwidth]:
        """Traffic by protocol in ``[start, end)``, the most bytes first."""
        return self.bandwidth(start, end, by="protocol")

    def timeline(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        width: timedelta | str = "hour",
        zone: str = "UTC",
        device: str | None = None,
    ) -> list[TrafficBucket]:
        """Traffic by time bucket, those with flows in them, in order of time."""
        where = None if device is None else field("device") == device
        rows = self.aggregate(_SUMS, by=[every("time", width, zone=zone)], where=where, start=start, end=end)
        return [TrafficBucket(row["time"], row["connections"], row["sent"], row["received"]) for row in rows]

    def heatmap(
        self, start: datetime | None = None, end: datetime | None = None, *, zone: str = "UTC", weekdays: bool = False
    ) -> list[HeatCell]:
        """Activity by device and hour of the local day, with *weekdays* by day of the week as well."""
        by = ["device", *([part("time", "weekday", zone=zone)] if weekdays else []), part("time", "hour", zone=zone)]
        rows = self.aggregate(_SUMS, by=by, start=start, end=end)
        return [
            HeatCell(row["device"], row["hour"], row["connections"], row["sent"] + row["received"], row.get("weekday"))
            for row in rows
        ]


def _between(start: datetime | None, end: datetime | None) -> Where | None:
    where: Where | None = None
    if start is not None:
        where = field("time") >= start
    if end is not None:
        before = field("time") < end
        where = before if where is None else where & before
    return where
