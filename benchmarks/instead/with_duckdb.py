"""DuckDB, with batches from an Arrow table, as its documentation advises for bulk inserts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar

import duckdb
import pyarrow as pa

from instead.contender import ALERT, DEVICE, FLOW, AlertRead, flow_values
from instead.plain import PlainSql, utc
from iotstore import Alert, Connection, Device, Point

_TABLES = """
CREATE TABLE devices (key TEXT PRIMARY KEY, name TEXT, kind TEXT, ip TEXT, mac TEXT, vendor TEXT, model TEXT,
                      firmware TEXT, last_seen TIMESTAMPTZ);
CREATE TABLE alerts (device TEXT REFERENCES devices, kind TEXT, title TEXT, severity TEXT, time TIMESTAMPTZ,
                     status TEXT, score DOUBLE, explanation TEXT, metadata JSON, acknowledged_by TEXT,
                     acknowledged_at TIMESTAMPTZ, resolved_by TEXT, resolved_at TIMESTAMPTZ);
CREATE TABLE flows (device TEXT REFERENCES devices, time TIMESTAMPTZ, destination TEXT, port INTEGER, protocol TEXT,
                    service TEXT, state TEXT, bytes_sent BIGINT, bytes_received BIGINT, packets_sent BIGINT,
                    packets_received BIGINT, duration DOUBLE, processed BOOLEAN);
CREATE TABLE readings (device TEXT, metric TEXT, time TIMESTAMPTZ, value DOUBLE,
                       PRIMARY KEY (device, metric, time));
"""


class WithDuckdb(PlainSql):
    """SQL on a file of its own format."""

    name: ClassVar[str] = "DuckDB"
    needs: ClassVar[tuple[str, ...]] = ("duckdb", "pyarrow")
    cuts: ClassVar[Mapping[str, str]] = {
        "hour": "time_bucket(INTERVAL 1 hour, time)",
        "day": "date_trunc('day', time)",
        "hour of day": "hour(time)",
        "tenth": "floor(score * 10)",
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._file = Path(url.removeprefix("sqlite:///") + ".duckdb")
        self._use(duckdb.connect(str(self._file), config={"threads": 2}))

    def _use(self, connection: Any) -> None:
        self._connection = connection
        self._connection.execute("SET TimeZone = 'UTC'")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Everything at once."""
        found: list[tuple[Any, ...]] = self._connection.execute(sql, list(values)).fetchall()
        return found

    def moment(self, time: datetime) -> object:
        """As it is."""
        return time

    def when(self, kept: Any) -> datetime:
        """In UTC."""
        return utc(kept)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Tables, and rows from Arrow tables."""
        self._connection.execute(_TABLES)
        rows = [[getattr(device, name) for name in DEVICE] for device in devices]
        self._connection.executemany(f"INSERT INTO devices VALUES ({', '.join('?' * len(DEVICE))})", rows)
        columns = {name: [getattr(alert, name) for alert in alerts] for name in ALERT}
        columns["metadata"] = [json.dumps(said) for said in columns["metadata"]]
        self._insert("INSERT INTO alerts SELECT * FROM batch", pa.table(columns))
        told = list(zip(*map(flow_values, flows), strict=True))
        self._insert("INSERT INTO flows SELECT * FROM batch", pa.table(dict(zip(FLOW, map(list, told), strict=True))))

    def ingest(self, points: Sequence[Point]) -> None:
        """An Arrow table, inserted by a SELECT; a key that comes twice in it is taken once."""
        self._keep([one.device for one in points], [one.metric for one in points], *_columns(points))

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        self._keep([device] * len(times), [metric] * len(times), times, values)

    def _keep(
        self, devices: Sequence[str], metrics: Sequence[str], times: Sequence[datetime], values: Sequence[float]
    ) -> None:
        stamps = pa.array(times, pa.timestamp("us", "UTC"))
        table = pa.table(
            {"device": devices, "metric": metrics, "time": stamps, "value": pa.array(values, pa.float64())}
        )
        self._connection.execute("BEGIN")
        self._insert("INSERT INTO readings SELECT * FROM batch ON CONFLICT DO NOTHING", table)
        self._connection.execute("COMMIT")

    def _insert(self, sql: str, table: Any) -> None:
        self._connection.register("batch", table)
        self._connection.execute(sql)
        self._connection.unregister("batch")

    def device(self, key: str) -> str | None:
        """One row."""
        name: str | None = self.rows("SELECT * FROM devices WHERE key = ?", key)[0][1]
        return name

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The value at the greatest time."""
        sql = "SELECT device, arg_max(value, time) FROM readings WHERE metric = ? GROUP BY device ORDER BY device"
        return [(device, value) for device, value in self.rows(sql, metric)]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Rows in order of time."""
        sql = "SELECT * FROM alerts WHERE time < ? ORDER BY time DESC LIMIT ?"
        return [
            AlertRead(row[2], utc(row[4]), row[10] and utc(row[10]), json.loads(row[8]))
            for row in self.rows(sql, before, count)
        ]

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """A transaction."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")

    def room(self) -> int:
        """The file, once what is in its log has been taken over."""
        self._connection.execute("CHECKPOINT")
        return self._file.stat().st_size

    def for_thread(self) -> WithDuckdb:
        """A cursor, which is a connection of its own to the same database."""
        twin = object.__new__(WithDuckdb)
        twin.url, twin._file = self.url, self._file
        twin._use(self._connection.cursor())
        return twin

    def left_thread(self) -> None:
        """Close the cursor."""
        self._connection.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _columns(points: Sequence[Point]) -> tuple[list[datetime], list[float]]:
    return [point.time for point in points], [float(point.value) for point in points]
