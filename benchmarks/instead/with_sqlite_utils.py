"""sqlite-utils: dictionaries into tables, and SQL out of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlite_utils import Database

from instead.contender import ALERT, AlertRead, Contender, Hour, Reading
from iotstore import Alert, Device, Point

_DEVICE = ("key", "name", "kind", "ip", "mac", "vendor", "model", "firmware", "last_seen")


class WithSqliteUtils(Contender):
    """``insert_all(..., ignore=True)``, and questions in SQL. Times are ISO texts in UTC."""

    name: ClassVar[str] = "sqlite-utils"
    needs: ClassVar[tuple[str, ...]] = ("sqlite-utils",)

    def __init__(self, url: str) -> None:
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        self._database: Any = Database(self._connection)
        self._database.enable_wal()
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Rows as dictionaries."""
        rows = [{name: _plain(getattr(device, name)) for name in _DEVICE} for device in devices]
        self._database["devices"].insert_all(rows, pk="key")
        made = ({name: _plain(getattr(alert, name)) for name in ALERT} for alert in alerts)
        self._database["alerts"].insert_all(made, foreign_keys=[("device", "devices", "key")])
        self._database["alerts"].create_index(["time"])
        self._database["readings"].create(
            {"device": str, "metric": str, "time": str, "value": float},
            pk=("device", "metric", "time"),
            foreign_keys=[("device", "devices", "key")],
        )
        self._database["readings"].create_index(["metric", "device", "time"])

    def ingest(self, points: Sequence[Point]) -> None:
        """Rows as dictionaries; a transaction around all its batches."""
        rows = (
            {"device": one.device, "metric": one.metric, "time": _plain(one.time), "value": one.value} for one in points
        )
        with self._connection:
            self._database["readings"].insert_all(rows, ignore=True, batch_size=5_000)

    def device(self, key: str) -> str | None:
        """One row as a dictionary."""
        name: str | None = self._database["devices"].get(key)["name"]
        return name

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Rows in order of time."""
        rows = self._database["readings"].rows_where(
            "device = ? and metric = ?", [device, metric], order_by="time desc", limit=count
        )
        return [(datetime.fromisoformat(row["time"]), row["value"]) for row in rows]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """SQLite gives the row that has the maximum."""
        sql = "select device, value, max(time) from readings where metric = ? group by device order by device"
        return [(row["device"], row["value"]) for row in self._database.query(sql, [metric])]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by the hour that the text begins with."""
        where = "metric = :metric and time >= :start and time < :end" + (" and device = :device" if device else "")
        sql = (
            "select device, substr(time, 1, 13) as hour, avg(value) as mean, min(value) as low, max(value) as high"
            f" from readings where {where} group by device, hour order by device, hour"
        )
        values = {"metric": metric, "start": _plain(start), "end": _plain(end), "device": device}
        return [
            Hour(row["device"], _hour(row["hour"]), row["mean"], row["low"], row["high"])
            for row in self._database.query(sql, values)
        ]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Rows in order of time."""
        rows = self._database["alerts"].rows_where("time < ?", [_plain(before)], order_by="time desc", limit=count)
        return [
            AlertRead(row["title"], _time(row["time"]), _time(row["acknowledged_at"]), json.loads(row["metadata"]))
            for row in rows
        ]

    def count(self) -> int:
        """All rows."""
        return int(self._database["readings"].count)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def _time(text: str | None) -> Any:
    return None if text is None else datetime.fromisoformat(text)


def _hour(text: str) -> datetime:
    return datetime.fromisoformat(f"{text}:00:00+00:00")
