"""DuckDB, with batches from an Arrow table, as its documentation advises for bulk inserts."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar

import duckdb
import pyarrow as pa

from instead.contender import ALERT, AlertRead, Contender, Hour, Reading
from iotstore import Alert, Device, Point

_DEVICE = ("key", "name", "kind", "ip", "mac", "vendor", "model", "firmware", "last_seen")
_TABLES = """
CREATE TABLE devices (key TEXT PRIMARY KEY, name TEXT, kind TEXT, ip TEXT, mac TEXT, vendor TEXT, model TEXT,
                      firmware TEXT, last_seen TIMESTAMPTZ);
CREATE TABLE alerts (device TEXT REFERENCES devices, kind TEXT, title TEXT, severity TEXT, time TIMESTAMPTZ,
                     status TEXT, score DOUBLE, explanation TEXT, metadata JSON, acknowledged_by TEXT,
                     acknowledged_at TIMESTAMPTZ, resolved_by TEXT, resolved_at TIMESTAMPTZ);
CREATE TABLE readings (device TEXT, metric TEXT, time TIMESTAMPTZ, value DOUBLE,
                       PRIMARY KEY (device, metric, time));
"""


class WithDuckdb(Contender):
    """SQL on a file of its own format."""

    name: ClassVar[str] = "DuckDB"
    needs: ClassVar[tuple[str, ...]] = ("duckdb", "pyarrow")

    def __init__(self, url: str) -> None:
        self._connection: Any = duckdb.connect(url.removeprefix("sqlite:///") + ".duckdb", config={"threads": 2})
        self._connection.execute("SET TimeZone = 'UTC'")

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Tables, and rows by executemany."""
        self._connection.execute(_TABLES)
        rows = [[getattr(device, name) for name in _DEVICE] for device in devices]
        self._connection.executemany(f"INSERT INTO devices VALUES ({', '.join('?' * len(_DEVICE))})", rows)
        columns = {name: [getattr(alert, name) for alert in alerts] for name in ALERT}
        columns["metadata"] = [json.dumps(said) for said in columns["metadata"]]
        table = pa.table(columns)
        self._insert("INSERT INTO alerts SELECT * FROM batch", table)

    def ingest(self, points: Sequence[Point]) -> None:
        """An Arrow table, inserted by a SELECT; a key that comes twice in it is taken once."""
        table = pa.table(
            {
                "device": [point.device for point in points],
                "metric": [point.metric for point in points],
                "time": pa.array([point.time for point in points], pa.timestamp("us", "UTC")),
                "value": pa.array([point.value for point in points], pa.float64()),
            }
        )
        self._connection.execute("BEGIN")
        self._insert("INSERT INTO readings SELECT * FROM batch ON CONFLICT DO NOTHING", table)
        self._connection.execute("COMMIT")

    def _insert(self, sql: str, table: Any) -> None:
        self._connection.register("batch", table)
        self._connection.execute(sql)
        self._connection.unregister("batch")

    def _rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(sql, list(values)).fetchall()
        return found

    def device(self, key: str) -> str | None:
        """One row."""
        name: str | None = self._rows("SELECT * FROM devices WHERE key = ?", key)[0][1]
        return name

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Rows in order of time."""
        sql = "SELECT time, value FROM readings WHERE device = ? AND metric = ? ORDER BY time DESC LIMIT ?"
        return [(time.astimezone(UTC), value) for time, value in self._rows(sql, device, metric, count)]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The value at the greatest time."""
        sql = "SELECT device, arg_max(value, time) FROM readings WHERE metric = ? GROUP BY device ORDER BY device"
        return [(device, value) for device, value in self._rows(sql, metric)]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by time_bucket."""
        only = "" if device is None else " AND device = ?"
        sql = (
            "SELECT device, time_bucket(INTERVAL 1 hour, time) AS hour, avg(value), min(value), max(value)"
            f" FROM readings WHERE metric = ? AND time >= ? AND time < ?{only} GROUP BY ALL ORDER BY device, hour"
        )
        rows = self._rows(sql, metric, start, end, *([] if device is None else [device]))
        return [Hour(row[0], row[1].astimezone(UTC), row[2], row[3], row[4]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Rows in order of time."""
        sql = "SELECT * FROM alerts WHERE time < ? ORDER BY time DESC LIMIT ?"
        return [
            AlertRead(row[2], row[4].astimezone(UTC), row[10] and row[10].astimezone(UTC), json.loads(row[8]))
            for row in self._rows(sql, before, count)
        ]

    def count(self) -> int:
        """All rows."""
        return int(self._rows("SELECT count(*) FROM readings")[0][0])

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
