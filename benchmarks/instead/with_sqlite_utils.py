"""sqlite-utils: dictionaries into tables, and SQL out of them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar

from sqlite_utils import Database

from instead.contender import ALERT, DEVICE, FLOW, AlertRead, Reading, flow_values
from instead.plain import PlainSql, utc
from iotstore import Alert, Connection, Device, Point


class WithSqliteUtils(PlainSql):
    """``insert_all(..., ignore=True)``, and questions in SQL. Times are ISO texts in UTC."""

    name: ClassVar[str] = "sqlite-utils"
    needs: ClassVar[tuple[str, ...]] = ("sqlite-utils",)
    cuts: ClassVar[Mapping[str, str]] = {
        "hour": "substr(time, 1, 13) || ':00:00+00:00'",
        "day": "substr(time, 1, 10) || 'T00:00:00+00:00'",
        "hour of day": "substr(time, 12, 2) + 0",
        "tenth": "CAST(score * 10 AS INTEGER)",
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), timeout=30)
        self._database: Any = Database(self._connection)
        self._database.enable_wal()
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute("PRAGMA foreign_keys=ON")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """What `query` gives as dictionaries."""
        return [tuple(row.values()) for row in self._database.query(sql, list(values))]

    def moment(self, time: datetime) -> object:
        """An ISO text."""
        return _plain(time)

    def when(self, kept: Any) -> datetime:
        """Of an ISO text."""
        return utc(datetime.fromisoformat(kept))

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Rows as dictionaries."""
        rows = [{name: _plain(getattr(device, name)) for name in DEVICE} for device in devices]
        self._database["devices"].insert_all(rows, pk="key")
        made = ({name: _plain(getattr(alert, name)) for name in ALERT} for alert in alerts)
        self._database["alerts"].insert_all(made, foreign_keys=[("device", "devices", "key")])
        self._database["alerts"].create_index(["time"])
        told = (dict(zip(FLOW, map(_plain, flow_values(flow)), strict=True)) for flow in flows)
        self._database["flows"].insert_all(told, foreign_keys=[("device", "devices", "key")])
        for columns in (["time"], ["device", "time"]):
            self._database["flows"].create_index(columns)
        self._database["readings"].create(
            {"device": str, "metric": str, "time": str, "value": float},
            pk=("device", "metric", "time"),
            foreign_keys=[("device", "devices", "key")],
        )
        self._database["readings"].create_index(["metric", "device", "time"])

    def ingest(self, points: Sequence[Point]) -> None:
        """Rows as dictionaries; a transaction around all its batches."""
        self._keep(
            {"device": one.device, "metric": one.metric, "time": _plain(one.time), "value": one.value} for one in points
        )

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        self._keep(
            {"device": device, "metric": metric, "time": _plain(time), "value": value}
            for time, value in zip(times, values, strict=True)
        )

    def _keep(self, rows: Iterator[dict[str, Any]]) -> None:
        with self._connection:
            self._database["readings"].insert_all(rows, ignore=True, batch_size=5_000)

    def device(self, key: str) -> str | None:
        """One row as a dictionary."""
        name: str | None = self._database["devices"].get(key)["name"]
        return name

    def devices(self, after: str, count: int) -> list[str]:
        """Rows in order of key."""
        return [row["key"] for row in self._database["devices"].rows_where("key > ?", [after], "key", limit=count)]

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Rows in order of time."""
        rows = self._database["readings"].rows_where(
            "device = ? and metric = ?", [device, metric], order_by="time desc", limit=count
        )
        return [(datetime.fromisoformat(row["time"]), row["value"]) for row in rows]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """SQLite gives the row that has the maximum."""
        sql = "select device, value, max(time) from readings where metric = ? group by device order by device"
        return [(row["device"], row["value"]) for row in self._database.query(sql, [metric])]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Rows in order of time."""
        rows = self._database["alerts"].rows_where("time < ?", [_plain(before)], order_by="time desc", limit=count)
        return [
            AlertRead(row["title"], self.when(row["time"]), _time(row["acknowledged_at"]), json.loads(row["metadata"]))
            for row in rows
        ]

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """A read transaction of WAL."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.rollback()

    def room(self) -> int:
        """Pages, those of the log as well."""
        return int(self.rows("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")[0][0])

    def for_thread(self) -> WithSqliteUtils:
        """Another connection."""
        return WithSqliteUtils(self.url)

    def left_thread(self) -> None:
        """Close it."""
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _plain(value: Any) -> Any:
    return value.astimezone(UTC).isoformat(timespec="microseconds") if isinstance(value, datetime) else value


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)
