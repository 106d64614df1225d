"""Questions in SQL, for everybody who asks in SQL and gets rows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from instead.contender import ALERT, ALERTS_BY, DEVICE, FLOW, GROUPS, Contender, Hour, Listed, Read, Reading

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {"devices": DEVICE, "alerts": ALERT, "flows": FLOW}
#: Where the name, the time and the device of what is listed stand, and what follows the time in the order.
_PLACES: Final[dict[str, tuple[str, str, str, str]]] = {
    "devices": ("key", "last_seen", "key", ", key DESC"),
    "alerts": ("title", "time", "device", ""),
    "flows": ("destination", "time", "device", ""),
}


class PlainSql(Contender):
    """Tables ``devices``, ``alerts``, ``flows`` and ``readings``, asked with question marks."""

    #: What an hour, a day, an hour of the day and a tenth of the score are in this engine.
    cuts: ClassVar[Mapping[str, str]]

    @abstractmethod
    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What a question finds."""

    @abstractmethod
    def moment(self, time: datetime) -> object:
        """A time as it is kept."""

    @abstractmethod
    def when(self, kept: Any) -> datetime:
        """A time that was kept, or an hour or a day that was cut off one."""

    def devices(self, after: str, count: int) -> list[str]:
        """Rows in order of key."""
        sql = f"SELECT {', '.join(DEVICE)} FROM devices WHERE key > ? ORDER BY key LIMIT ?"
        return [row[0] for row in self.rows(sql, after, count)]

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Rows in order of time."""
        sql = "SELECT time, value FROM readings WHERE device = ? AND metric = ? ORDER BY time DESC LIMIT ?"
        return [(self.when(time), value) for time, value in self.rows(sql, device, metric, count)]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by the hour of the time."""
        only, which = ("", []) if device is None else (" AND device = ?", [device])
        sql = (
            f"SELECT device, {self.cuts['hour']} AS hour, avg(value), min(value), max(value) FROM readings"
            f" WHERE metric = ? AND time >= ? AND time < ?{only} GROUP BY device, hour ORDER BY device, hour"
        )
        rows = self.rows(sql, metric, self.moment(start), self.moment(end), *which)
        return [Hour(row[0], self.when(row[1]), row[2], row[3], row[4]) for row in rows]

    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """Rows in order of time."""
        columns = _COLUMNS[of]
        name, time, device, then = _PLACES[of]
        conditions = [f"{time} >= ?"] if since is not None else []
        conditions += ["status = 'open'"] if only_open else []
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        sql = f"SELECT {', '.join(columns)} FROM {of}{where} ORDER BY {time} DESC{then}"
        values: list[object] = [] if since is None else [self.moment(since)]
        if count is not None:
            sql, values = f"{sql} LIMIT ?", [*values, count]
        at, at_time, at_device = (columns.index(one) for one in (name, time, device))
        return [
            Read(row[at], self.when(row[at_time]), None if of == "devices" else row[at_device])
            for row in self.rows(sql, *values)
        ]

    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """A GROUP BY with counts and, of flows, sums."""
        keys = GROUPS[by]
        table, sums = ("alerts", "") if by in ALERTS_BY else ("flows", ", sum(bytes_sent), sum(bytes_received)")
        asked = ", ".join(f"{self.cuts.get(key, key)} AS k{at}" for at, key in enumerate(keys))
        groups = ", ".join(f"k{at}" for at in range(len(keys)))
        sql = f"SELECT {asked}, count(*){sums} FROM {table} WHERE time >= ? AND time < ? GROUP BY {groups}"
        rows = self.rows(sql, self.moment(start), self.moment(end))
        if keys[0] in ("hour", "day"):
            return [(self.when(row[0]), *_whole(row[1:])) for row in rows]
        return [_whole(row) for row in rows]

    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Two columns."""
        marks = ", ".join("?" * len(keys))
        return dict(self.rows(f"SELECT key, name FROM devices WHERE key IN ({marks})", *keys))

    def total(self, of: Listed) -> int:
        """All rows of a table."""
        return int(self.rows(f"SELECT count(*) FROM {of}")[0][0])

    def count(self) -> int:
        """All rows."""
        return int(self.rows("SELECT count(*) FROM readings")[0][0])


def _whole(row: Sequence[Any]) -> tuple[Any, ...]:
    """Numbers are whole; engines sum them up as decimals."""
    return tuple(value if isinstance(value, str) else int(value) for value in row)


def utc(time: datetime) -> datetime:
    """The same instant, in UTC; a naive one is in UTC already."""
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
