"""pandas: ``to_sql`` with a method that leaves out conflicts, as its documentation shows one; ``read_sql_query``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar

import msgspec
import pandas as pd
from sqlalchemy import JSON, Engine, create_engine, event, text
from sqlalchemy.dialects import postgresql, sqlite

from instead.contender import ALERT, AlertRead, Contender, Hour, Reading
from instead.with_sqlalchemy import Base, DeviceRow, _pragmas
from iotstore import Alert, Device, Point


class WithPandas(Contender):
    """Data frames in and out; tables and indexes are made beforehand, for ``to_sql`` knows no keys."""

    name: ClassVar[str] = "pandas to_sql"
    needs: ClassVar[tuple[str, ...]] = ("pandas", "sqlalchemy")

    def __init__(self, url: str) -> None:
        self._engine: Engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
        self._sqlite = self._engine.dialect.name == "sqlite"
        if self._sqlite:
            event.listen(self._engine, "connect", _pragmas)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
        """Frames of them."""
        Base.metadata.create_all(self._engine)
        names = [column.name for column in DeviceRow.__table__.columns]
        frame = pd.DataFrame([{name: getattr(device, name) for name in names} for device in devices])
        frame.to_sql("devices", self._engine, if_exists="append", index=False)
        frame = pd.DataFrame([{name: getattr(alert, name) for name in ALERT} for alert in alerts])
        types: Any = {"metadata": JSON()}
        frame.to_sql("alerts", self._engine, if_exists="append", index=False, dtype=types)

    def ingest(self, points: Sequence[Point]) -> None:
        """A frame, appended."""
        frame = pd.DataFrame([msgspec.structs.astuple(point)[:4] for point in points])
        frame.columns = pd.Index(["device", "metric", "time", "value"])
        with self._engine.begin() as connection:
            frame.to_sql("readings", connection, if_exists="append", index=False, method=self._leave_out)

    def _leave_out(self, table: Any, connection: Any, keys: Sequence[str], rows: Any) -> int:
        data = [dict(zip(keys, row, strict=True)) for row in rows]
        insert: Any = (sqlite if self._sqlite else postgresql).insert
        return int(connection.execute(insert(table.table).on_conflict_do_nothing(), data).rowcount)

    def _read(self, sql: str, **values: object) -> pd.DataFrame:
        with self._engine.connect() as connection:
            return pd.read_sql_query(text(sql), connection, params=values, parse_dates={"time": {"utc": True}})

    def device(self, key: str) -> str | None:
        """A frame of one row."""
        return str(self._read("SELECT * FROM devices WHERE key = :key", key=key)["name"].iloc[0])

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """A frame in order of time."""
        frame = self._read(
            "SELECT time, value FROM readings WHERE device = :device AND metric = :metric"
            " ORDER BY time DESC LIMIT :count",
            device=device,
            metric=metric,
            count=count,
        )
        return [(time.to_pydatetime(), value) for time, value in zip(frame["time"], frame["value"], strict=True)]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest time of each device, joined with its row."""
        frame = self._read(
            "SELECT r.device, r.value FROM readings r JOIN (SELECT device, max(time) AS newest FROM readings"
            " WHERE metric = :metric GROUP BY device) n ON n.device = r.device AND n.newest = r.time"
            " WHERE r.metric = :metric ORDER BY r.device",
            metric=metric,
        )
        return list(zip(frame["device"], frame["value"], strict=True))

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """The readings of the range, resampled."""
        only = "" if device is None else " AND device = :device"
        moments = {"start": self._moment(start), "end": self._moment(end)}
        sql = (
            f"SELECT device, time, value FROM readings WHERE metric = :metric AND time >= :start AND time < :end{only}"
        )
        frame = self._read(sql, metric=metric, **moments, **({} if device is None else {"device": device}))
        hours: Any = frame.groupby(["device", frame["time"].dt.floor("h")])["value"].agg(["mean", "min", "max"])
        rows = hours.sort_index().itertuples()
        return [Hour(row[0][0], row[0][1].to_pydatetime(), row[1], row[2], row[3]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """A frame in order of time."""
        sql = "SELECT * FROM alerts WHERE time < :before ORDER BY time DESC LIMIT :count"
        frame = self._read(sql, before=self._moment(before), count=count)
        acknowledged = pd.to_datetime(frame["acknowledged_at"], utc=True)
        made = frame["metadata"].map(lambda said: json.loads(said) if isinstance(said, str) else said)
        rows: Any = zip(frame["title"], frame["time"], acknowledged, made, strict=True)
        return [
            AlertRead(title, time.to_pydatetime(), None if pd.isna(at) else at.to_pydatetime(), said)
            for title, time, at, said in rows
        ]

    def count(self) -> int:
        """All rows."""
        return int(self._read("SELECT count(*) AS n FROM readings")["n"].iloc[0])

    def close(self) -> None:
        """Close the pool."""
        self._engine.dispose()

    def _moment(self, time: datetime) -> object:
        """SQLAlchemy keeps times in SQLite as texts, and plain SQL must say them in the same way."""
        return time.strftime("%Y-%m-%d %H:%M:%S.%f") if self._sqlite else time
