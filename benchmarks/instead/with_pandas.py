"""pandas: ``to_sql`` with a method that leaves out conflicts, as its documentation shows one; ``read_sql_query``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, ClassVar, Final

import msgspec
import pandas as pd
from sqlalchemy import JSON, text

from instead.contender import ALERT, FLOW, AlertRead, Hour, Reading, flow_values
from instead.plain import PlainSql, utc
from instead.with_sqlalchemy import Base, DeviceRow, engine_of, insert_of, one_state, room_of
from iotstore import Alert, Connection, Device, Point

_SQLITE: Final = {
    "hour": "strftime('%Y-%m-%d %H:00:00', time)",
    "day": "strftime('%Y-%m-%d 00:00:00', time)",
    "hour of day": "CAST(strftime('%H', time) AS INTEGER)",
    "tenth": "CAST(score * 10 AS INTEGER)",
}
_POSTGRES: Final = {
    "hour": "date_trunc('hour', time, 'UTC')",
    "day": "date_trunc('day', time, 'UTC')",
    "hour of day": "extract(hour FROM time AT TIME ZONE 'UTC')",
    "tenth": "floor(score * 10)",
}


class WithPandas(PlainSql):
    """Data frames in and out; tables and indexes are made beforehand, for ``to_sql`` knows no keys."""

    name: ClassVar[str] = "pandas to_sql"
    needs: ClassVar[tuple[str, ...]] = ("pandas", "sqlalchemy")

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._engine = engine_of(url)
        self._sqlite = self._engine.dialect.name == "sqlite"
        self.cuts: Mapping[str, str] = _SQLITE if self._sqlite else _POSTGRES  # type: ignore[misc]
        self._connection: Any = None

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Frames of them."""
        Base.metadata.create_all(self._engine)
        names = [column.name for column in DeviceRow.__table__.columns]
        frame = pd.DataFrame([{name: getattr(device, name) for name in names} for device in devices])
        frame.to_sql("devices", self._engine, if_exists="append", index=False)
        frame = pd.DataFrame([{name: getattr(alert, name) for name in ALERT} for alert in alerts])
        types: Any = {"metadata": JSON()}
        frame.to_sql("alerts", self._engine, if_exists="append", index=False, dtype=types)
        frame = pd.DataFrame(list(map(flow_values, flows)), columns=pd.Index(FLOW))
        frame.to_sql("flows", self._engine, if_exists="append", index=False)

    def ingest(self, points: Sequence[Point]) -> None:
        """A frame, appended."""
        frame = pd.DataFrame([msgspec.structs.astuple(point)[:4] for point in points])
        frame.columns = pd.Index(["device", "metric", "time", "value"])
        self._append(frame)

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        self._append(pd.DataFrame({"device": device, "metric": metric, "time": list(times), "value": list(values)}))

    def _append(self, frame: pd.DataFrame) -> None:
        with self._engine.begin() as connection:
            frame.to_sql("readings", connection, if_exists="append", index=False, method=self._leave_out)

    def _leave_out(self, table: Any, connection: Any, keys: Sequence[str], rows: Any) -> int:
        data = [dict(zip(keys, row, strict=True)) for row in rows]
        return int(connection.execute(insert_of(self._engine, table.table), data).rowcount)

    def _read(self, sql: str, *values: object) -> pd.DataFrame:
        named = {f"p{at}": value for at, value in enumerate(values)}
        first, *rest = sql.split("?")
        asked = text(first + "".join(f":p{at}{part}" for at, part in enumerate(rest)))
        times = {"time": {"utc": True}}
        if self._connection is not None:
            return pd.read_sql_query(asked, self._connection, params=named, parse_dates=times)
        with self._engine.connect() as connection:
            return pd.read_sql_query(asked, connection, params=named, parse_dates=times)

    def rows(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """The rows of a frame."""
        return list(self._read(sql, *values).itertuples(index=False, name=None))

    def moment(self, time: datetime) -> object:
        """SQLAlchemy keeps times in SQLite as texts, and plain SQL must say them in the same way."""
        return time.strftime("%Y-%m-%d %H:%M:%S.%f") if self._sqlite else time

    def when(self, kept: Any) -> datetime:
        """Of a time stamp or a text."""
        stamp: Any = pd.Timestamp(kept)
        return utc(stamp.to_pydatetime())

    def device(self, key: str) -> str | None:
        """A frame of one row."""
        return str(self._read("SELECT * FROM devices WHERE key = ?", key)["name"].iloc[0])

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """A frame in order of time."""
        sql = "SELECT time, value FROM readings WHERE device = ? AND metric = ? ORDER BY time DESC LIMIT ?"
        frame = self._read(sql, device, metric, count)
        return [(time.to_pydatetime(), value) for time, value in zip(frame["time"], frame["value"], strict=True)]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest time of each device, joined with its row."""
        frame = self._read(
            "SELECT r.device, r.value FROM readings r JOIN (SELECT device, max(time) AS newest FROM readings"
            " WHERE metric = ? GROUP BY device) n ON n.device = r.device AND n.newest = r.time"
            " WHERE r.metric = ? ORDER BY r.device",
            metric,
            metric,
        )
        return list(zip(frame["device"], frame["value"], strict=True))

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """The readings of the range, resampled."""
        only, which = ("", []) if device is None else (" AND device = ?", [device])
        sql = f"SELECT device, time, value FROM readings WHERE metric = ? AND time >= ? AND time < ?{only}"
        frame = self._read(sql, metric, self.moment(start), self.moment(end), *which)
        hours: Any = frame.groupby(["device", frame["time"].dt.floor("h")])["value"].agg(["mean", "min", "max"])
        rows = hours.sort_index().itertuples()
        return [Hour(row[0][0], row[0][1].to_pydatetime(), row[1], row[2], row[3]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """A frame in order of time."""
        sql = "SELECT * FROM alerts WHERE time < ? ORDER BY time DESC LIMIT ?"
        frame = self._read(sql, self.moment(before), count)
        acknowledged = pd.to_datetime(frame["acknowledged_at"], utc=True)
        made = frame["metadata"].map(lambda said: json.loads(said) if isinstance(said, str) else said)
        rows: Any = zip(frame["title"], frame["time"], acknowledged, made, strict=True)
        return [
            AlertRead(title, time.to_pydatetime(), None if pd.isna(at) else at.to_pydatetime(), said)
            for title, time, at, said in rows
        ]

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """A connection in a transaction."""
        with self._engine.connect() as connection, one_state(connection):
            self._connection = connection
            try:
                yield
            finally:
                self._connection = None

    def room(self) -> int:
        """As the engine says."""
        return room_of(self._engine)

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()
