"""The driver alone, by hand: ``sqlite3`` with statements of many rows, ``psycopg`` with a binary COPY into staging."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any, ClassVar, Final

import psycopg
from sidebyside.byhand_records import insert_text
from sidebyside.moments import HOUR, instant, micros_of

from instead.contender import ALERT, DEVICE, FLOW, AlertRead, Hour, Reading, flow_values
from instead.plain import PlainSql, utc
from iotstore import Alert, Connection, Device, Point

#: A series has a number, so that a point is three numbers; a view gives it its names again.
_TABLES: Final = """
CREATE TABLE devices (key TEXT PRIMARY KEY, name TEXT, kind TEXT, ip TEXT, mac TEXT, vendor TEXT, model TEXT,
                      firmware TEXT, last_seen {time});
CREATE TABLE alerts (id {id}, device TEXT REFERENCES devices, kind TEXT, title TEXT, severity TEXT, time {time},
                     status TEXT, score {real}, explanation TEXT, metadata TEXT, acknowledged_by TEXT,
                     acknowledged_at {time}, resolved_by TEXT, resolved_at {time});
CREATE INDEX alerts_time ON alerts (time);
CREATE TABLE flows (id {id}, device TEXT REFERENCES devices, time {time}, destination TEXT, port INTEGER,
                    protocol TEXT, service TEXT, state TEXT, bytes_sent BIGINT, bytes_received BIGINT,
                    packets_sent BIGINT, packets_received BIGINT, duration {real}, processed BOOLEAN);
CREATE INDEX flows_time ON flows (time);
CREATE INDEX flows_device_time ON flows (device, time);
CREATE TABLE series (id INTEGER PRIMARY KEY, device TEXT REFERENCES devices, metric TEXT, UNIQUE (metric, device));
CREATE TABLE points (series INTEGER REFERENCES series, time {time}, value {real}, PRIMARY KEY (series, time)){ending};
CREATE VIEW readings AS SELECT s.device, s.metric, p.time, p.value FROM points p JOIN series s ON s.id = p.series;
"""
_ROWS: Final = 500  # of one statement


class WithDriver(PlainSql):
    """One connection for each thread, numbers of series that are remembered, and SQL."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._series: dict[tuple[str, str], int] = {}

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Rows in order of time."""
        sql = f"SELECT {', '.join(ALERT)} FROM alerts WHERE time < ? ORDER BY time DESC LIMIT ?"
        return [
            AlertRead(row[2], self.when(row[4]), None if row[10] is None else self.when(row[10]), json.loads(row[8]))
            for row in self.rows(sql, self.moment(before), count)
        ]

    def device(self, key: str) -> str | None:
        """One row."""
        name: str | None = self.rows(f"SELECT {', '.join(DEVICE)} FROM devices WHERE key = ?", key)[0][1]
        return name

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """By the number of the series: through the view PostgreSQL would sort a whole series first."""
        sql = "SELECT time, value FROM points WHERE series = ? ORDER BY time DESC LIMIT ?"
        return [(self.when(time), value) for time, value in self.rows(sql, self._number(device, metric), count)]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """One series by its number, and all of them through the view."""
        if device is None:
            return super().hourly(device, metric, start, end)
        sql = (
            f"SELECT {self.cuts['hour']} AS hour, avg(value), min(value), max(value) FROM points"
            " WHERE series = ? AND time >= ? AND time < ? GROUP BY hour ORDER BY hour"
        )
        rows = self.rows(sql, self._number(device, metric), self.moment(start), self.moment(end))
        return [Hour(device, self.when(row[0]), *row[1:]) for row in rows]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """A step down the index for each series."""
        newest = "SELECT value FROM points WHERE series = s.id ORDER BY time DESC LIMIT 1"
        rows = self.rows(f"SELECT device, ({newest}) FROM series s WHERE metric = ? ORDER BY device", metric)
        return [(device, value) for device, value in rows]

    def _number(self, device: str, metric: str) -> int:
        """The number of a series, which is made when it is new."""
        if (device, metric) not in self._series:
            self.rows(
                "INSERT INTO series SELECT coalesce(max(id), 0) + 1, ?, ? FROM series WHERE true"
                " ON CONFLICT DO NOTHING",
                device,
                metric,
            )
            ((number,),) = self.rows("SELECT id FROM series WHERE device = ? AND metric = ?", device, metric)
            self._series[device, metric] = int(number)
        return self._series[device, metric]

    def _kept(self, values: Sequence[object]) -> list[object]:
        return [self.moment(value) if isinstance(value, datetime) else value for value in values]

    def _filled(
        self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]
    ) -> Iterator[tuple[str, tuple[str, ...], list[list[object]]]]:
        """Tables with their columns and rows."""
        yield "devices", DEVICE, [self._kept([getattr(one, name) for name in DEVICE]) for one in devices]
        rows = [self._kept([getattr(one, name) for name in ALERT]) for one in alerts]
        for row in rows:
            row[8] = json.dumps(row[8])
        yield "alerts", ALERT, rows
        yield "flows", FLOW, [self._kept(flow_values(one)) for one in flows]

    def for_thread(self) -> WithDriver:
        """Another connection."""
        return type(self)(self.url)

    def left_thread(self) -> None:
        """Close it."""
        self.close()


class WithSqlite3(WithDriver):
    """Times are microseconds; points lie in the order of their key."""

    name: ClassVar[str] = "sqlite3 by hand"
    needs: ClassVar[tuple[str, ...]] = ()
    cuts: ClassVar[Mapping[str, str]] = {
        "hour": f"time / {HOUR} * {HOUR}",
        "day": f"time / {24 * HOUR} * {24 * HOUR}",
        "hour of day": f"time / {HOUR} % 24",
        "tenth": "CAST(score * 10 AS INTEGER)",
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._connection = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, timeout=30)
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self._connection.execute(f"PRAGMA {pragma}")

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Everything at once."""
        return self._connection.execute(sql, values).fetchall()

    def moment(self, time: datetime) -> object:
        """Microseconds."""
        return micros_of(time)

    def when(self, kept: Any) -> datetime:
        """Of microseconds."""
        return instant(kept)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Rows by executemany."""
        self._connection.executescript(
            _TABLES.format(id="INTEGER PRIMARY KEY", time="INTEGER", real="REAL", ending=" WITHOUT ROWID")
        )
        with self._transaction("IMMEDIATE"):
            for table, columns, rows in self._filled(devices, alerts, flows):
                marks = ", ".join("?" * len(columns))
                self._connection.executemany(f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({marks})", rows)

    def ingest(self, points: Sequence[Point]) -> None:
        """Statements of 500 rows."""
        with self._transaction("IMMEDIATE"):
            flat: list[object] = []
            for point in points:
                flat += (self._number(point.device, point.metric), micros_of(point.time), point.value)
            self._insert(flat)

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same with one number."""
        with self._transaction("IMMEDIATE"):
            flat: list[object] = [self._number(device, metric)] * (3 * len(times))
            flat[1::3], flat[2::3] = map(micros_of, times), values
            self._insert(flat)

    def _insert(self, flat: list[object]) -> None:
        for at in range(0, len(flat), 3 * _ROWS):
            some = flat[at : at + 3 * _ROWS]
            self._connection.execute(insert_text("points", 3, len(some) // 3, " ON CONFLICT DO NOTHING"), some)

    @contextmanager
    def _transaction(self, kind: str) -> Iterator[None]:
        self._connection.execute(f"BEGIN {kind}")
        try:
            yield
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def one_state(self) -> AbstractContextManager[object]:
        """A read transaction of WAL."""
        return self._transaction("")

    def room(self) -> int:
        """Pages, those of the log as well."""
        return int(self.rows("SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


class WithPsycopg(WithDriver):
    """Rows go through a temporary table, for COPY knows no ON CONFLICT."""

    name: ClassVar[str] = "psycopg by hand"
    needs: ClassVar[tuple[str, ...]] = ("psycopg",)
    cuts: ClassVar[Mapping[str, str]] = {
        "hour": "date_trunc('hour', time, 'UTC')",
        "day": "date_trunc('day', time, 'UTC')",
        "hour of day": "extract(hour FROM time AT TIME ZONE 'UTC')",
        "tenth": "floor(score * 10)",
    }

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._connection: Any = psycopg.connect(url, autocommit=True)
        self._cursor = self._connection.cursor(binary=True)
        self.rows(
            "CREATE TEMPORARY TABLE staging (series INTEGER, time TIMESTAMPTZ, value FLOAT8) ON COMMIT DELETE ROWS"
        )

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Everything at once, in binary form."""
        cursor = self._cursor.execute(sql.replace("?", "%s"), values)
        return [] if cursor.description is None else list(cursor.fetchall())

    def moment(self, time: datetime) -> object:
        """As it is."""
        return time

    def when(self, kept: Any) -> datetime:
        """In UTC."""
        return utc(kept)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Rows by COPY; then the statistics that autovacuum would gather a minute later."""
        tables = _TABLES.format(
            id="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", time="TIMESTAMPTZ", real="FLOAT8", ending=""
        )
        with self._connection.transaction():
            self._connection.execute(tables)
            for table, columns, rows in self._filled(devices, alerts, flows):
                with self._cursor.copy(f"COPY {table} ({', '.join(columns)}) FROM STDIN") as copy:
                    for row in rows:
                        copy.write_row(row)
        self.rows("ANALYZE")

    def ingest(self, points: Sequence[Point]) -> None:
        """A binary COPY, and one statement that takes over what is new."""
        with self._connection.transaction():
            self._insert([(self._number(one.device, one.metric), one.time, one.value) for one in points])

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same with one number."""
        with self._connection.transaction():
            number = self._number(device, metric)
            self._insert([(number, time, value) for time, value in zip(times, values, strict=True)])

    def _insert(self, rows: Sequence[Sequence[object]]) -> None:
        if len(rows) == 1:
            self.rows("INSERT INTO points VALUES (?, ?, ?) ON CONFLICT DO NOTHING", *rows[0])
            return
        with self._cursor.copy("COPY staging FROM STDIN (FORMAT BINARY)") as copy:
            copy.set_types(("int4", "timestamptz", "float8"))
            for row in rows:
                copy.write_row(row)
        self.rows("INSERT INTO points SELECT * FROM staging ON CONFLICT DO NOTHING")

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """A transaction that reads repeatably."""
        with self._connection.transaction():
            self.rows("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def room(self) -> int:
        """The whole database."""
        return int(self.rows("SELECT pg_database_size(current_database())")[0][0])

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()
