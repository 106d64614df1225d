"""peewee, with ``insert_many(...).on_conflict_ignore()`` in chunks inside ``atomic``, as its guide says."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import peewee

from instead.contender import (
    ALERT,
    ALERTS_BY,
    FLOW,
    GROUPS,
    AlertRead,
    Contender,
    Hour,
    Listed,
    Read,
    Reading,
    flow_values,
)
from iotstore import Alert, Connection, Device, Point

#: So many rows stay below SQLite's limit of variables: four of them each.
_CHUNK = 5_000


class _Utc(peewee.DateTimeField):
    """peewee keeps naive times; all of them are UTC here."""

    def db_value(self, value: Any) -> Any:
        """Without its zone."""
        return super().db_value(value.astimezone(UTC).replace(tzinfo=None) if value is not None else None)

    def python_value(self, value: Any) -> Any:
        """With its zone again."""
        found = super().python_value(value)
        return found.replace(tzinfo=UTC) if found is not None else None


class _Json(peewee.TextField):
    """JSON as text, on every engine."""

    def db_value(self, value: Any) -> Any:
        """As text."""
        return None if value is None else json.dumps(value)

    def python_value(self, value: Any) -> Any:
        """As what it says."""
        return None if value is None else json.loads(value)


def _few() -> tuple[Any, Any]:
    """The models of what is listed in pages, bound to no database yet."""

    class DeviceRow(peewee.Model):
        key = peewee.CharField(120, primary_key=True)
        name = peewee.TextField(null=True)
        kind = peewee.TextField(null=True)
        ip = peewee.TextField(null=True)
        mac = peewee.TextField(null=True)
        vendor = peewee.TextField(null=True)
        model = peewee.TextField(null=True)
        firmware = peewee.TextField(null=True)
        last_seen = _Utc(null=True)

    class AlertRow(peewee.Model):
        device = peewee.ForeignKeyField(DeviceRow)
        kind = peewee.TextField()
        title = peewee.TextField()
        severity = peewee.TextField()
        time = _Utc(index=True)
        status = peewee.TextField()
        score = peewee.DoubleField(null=True)
        explanation = peewee.TextField(null=True)
        metadata = _Json(null=True)
        acknowledged_by = peewee.TextField(null=True)
        acknowledged_at = _Utc(null=True)
        resolved_by = peewee.TextField(null=True)
        resolved_at = _Utc(null=True)

    return DeviceRow, AlertRow


def _many(device_row: Any) -> tuple[Any, Any]:
    """The models of what there is much of; both point to a device."""

    class FlowRow(peewee.Model):
        device = peewee.ForeignKeyField(device_row, index=False)
        time = _Utc(index=True)
        destination = peewee.TextField(null=True)
        port = peewee.IntegerField(null=True)
        protocol = peewee.TextField(null=True)
        service = peewee.TextField(null=True)
        state = peewee.TextField(null=True)
        bytes_sent = peewee.BigIntegerField()
        bytes_received = peewee.BigIntegerField()
        packets_sent = peewee.BigIntegerField()
        packets_received = peewee.BigIntegerField()
        duration = peewee.DoubleField(null=True)
        processed = peewee.BooleanField()

        class Meta:
            indexes = ((("device", "time"), False),)

    class ReadingRow(peewee.Model):
        device = peewee.ForeignKeyField(device_row, index=False)
        metric = peewee.CharField(120)
        time = _Utc()
        value = peewee.DoubleField()

        class Meta:
            primary_key = peewee.CompositeKey("device", "metric", "time")
            indexes = ((("metric", "device", "time"), False),)

    return FlowRow, ReadingRow


class WithPeewee(Contender):
    """Models that are bound to a database."""

    name: ClassVar[str] = "peewee"
    needs: ClassVar[tuple[str, ...]] = ("peewee",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._database = _database(url)
        self._database.connect()
        self._sqlite = url.startswith("sqlite:")

        device, alert = _few()
        self._models: Any = (device, alert, *_many(device))
        self._devices: Any
        self._alerts: Any
        self._flows: Any
        self._readings: Any
        self._devices, self._alerts, self._flows, self._readings = self._models
        self._listed: Any = {"devices": self._devices, "alerts": self._alerts, "flows": self._flows}
        self._database.bind(self._models)

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Rows as dictionaries."""
        self._database.create_tables(self._models)
        names = list(self._devices._meta.fields)
        with self._database.atomic():
            self._devices.insert_many([{name: getattr(one, name) for name in names} for one in devices]).execute()
            rows = [tuple(getattr(alert, name) for name in ALERT) for alert in alerts]
            fields = [getattr(self._alerts, name) for name in ALERT]
            for chunk in peewee.chunked(rows, _CHUNK // 5):
                self._alerts.insert_many(chunk, fields=fields).execute()
            fields = [getattr(self._flows, name) for name in FLOW]
            for chunk in peewee.chunked(map(flow_values, flows), _CHUNK // 5):
                self._flows.insert_many(chunk, fields=fields).execute()

    def ingest(self, points: Sequence[Point]) -> None:
        """Rows as tuples, in chunks."""
        self._keep([(point.device, point.metric, point.time, point.value) for point in points])

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        self._keep([(device, metric, time, value) for time, value in zip(times, values, strict=True)])

    def _keep(self, rows: list[tuple[Any, ...]]) -> None:
        model = self._readings
        fields = [model.device, model.metric, model.time, model.value]
        with self._database.atomic():
            for chunk in peewee.chunked(rows, _CHUNK):
                model.insert_many(chunk, fields=fields).on_conflict_ignore().execute()

    def device(self, key: str) -> str | None:
        """One model."""
        name: str | None = self._devices.get_by_id(key).name
        return name

    def devices(self, after: str, count: int) -> list[str]:
        """Models in order of key."""
        model = self._devices
        return [row.key for row in model.select().where(model.key > after).order_by(model.key).limit(count)]

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Models in order of time."""
        model = self._readings
        query = model.select().where((model.device == device) & (model.metric == metric))
        return [(row.time, row.value) for row in query.order_by(model.time.desc()).limit(count)]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        return self.last(device, metric, 1)[0]

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """The newest time of each device, joined with its row."""
        model = self._readings
        alias = model.alias()
        newest = alias.select(alias.device, peewee.fn.MAX(alias.time).alias("newest")).where(alias.metric == metric)
        newest = newest.group_by(alias.device)
        on = (model.device == newest.c.device_id) & (model.time == newest.c.newest)
        query = model.select().join(newest, on=on).where(model.metric == metric).order_by(model.device)
        return [(row.device_id, row.value) for row in query]

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by the hour that the engine makes of the time."""
        model, fn = self._readings, peewee.fn
        hour = self._cut("hour", model)
        measures = (fn.AVG(model.value), fn.MIN(model.value), fn.MAX(model.value))
        query = model.select(model.device, hour.alias("hour"), *measures)
        query = query.where((model.metric == metric) & (model.time >= start) & (model.time < end))
        if device is not None:
            query = query.where(model.device == device)
        rows = query.group_by(model.device, peewee.SQL("hour")).order_by(model.device, peewee.SQL("hour")).tuples()
        return [Hour(row[0], _hour(row[1]), row[2], row[3], row[4]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Models in order of time."""
        model = self._alerts
        query = model.select().where(model.time < before).order_by(model.time.desc()).limit(count)
        return [AlertRead(row.title, row.time, row.acknowledged_at, row.metadata) for row in query]

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """An atomic block; on PostgreSQL it reads repeatably."""
        with self._database.atomic():
            if not self._sqlite:
                self._database.execute_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """Models in order of time."""
        model = self._listed[of]
        time = model.last_seen if of == "devices" else model.time
        query = model.select().order_by(time.desc(), *([model.key.desc()] if of == "devices" else [])).limit(count)
        if since is not None:
            query = query.where(time >= since)
        if only_open:
            query = query.where(model.status == "open")
        if of == "devices":
            return [Read(row.key, row.last_seen) for row in query]
        return [Read(row.title if of == "alerts" else row.destination, row.time, row.device_id) for row in query]

    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Tuples of keys, counts and sums."""
        model, fn = self._alerts if by in ALERTS_BY else self._flows, peewee.fn
        keys = [self._cut(key, model).alias(f"k{at}") for at, key in enumerate(GROUPS[by])]
        sums = [] if by in ALERTS_BY else [fn.SUM(model.bytes_sent), fn.SUM(model.bytes_received)]
        query = model.select(*keys, fn.COUNT(peewee.SQL("*")), *sums)
        query = query.where((model.time >= start) & (model.time < end))
        query = query.group_by(*(peewee.SQL(f"k{at}") for at in range(len(keys))))
        times = GROUPS[by][0] in ("hour", "day")
        return [
            (_hour(row[0]) if times else row[0], *row[1 : len(keys)], *map(int, row[len(keys) :]))
            for row in query.tuples()
        ]

    def _cut(self, key: str, model: Any) -> Any:
        """A column, or what is cut off one."""
        fn = peewee.fn
        if key == "tenth":
            return (model.score * 10).cast("integer") if self._sqlite else fn.floor(model.score * 10).cast("integer")
        if key not in ("hour", "day", "hour of day"):
            return getattr(model, key)
        if not self._sqlite:
            return (
                fn.date_part("hour", model.time).cast("integer")
                if key == "hour of day"
                else fn.date_trunc(key, model.time)
            )
        formats = {"hour": "%Y-%m-%d %H:00:00", "day": "%Y-%m-%d 00:00:00", "hour of day": "%H"}
        found = fn.strftime(formats[key], model.time)
        return found.cast("integer") if key == "hour of day" else found

    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Two columns."""
        model = self._devices
        return dict(model.select(model.key, model.name).where(model.key.in_(keys)).tuples())

    def total(self, of: Listed) -> int:
        """All rows of a table."""
        return int(self._listed[of].select().count())

    def room(self) -> int:
        """As the engine says."""
        sql = "SELECT pg_database_size(current_database())"
        if self._sqlite:
            sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        return int(self._database.execute_sql(sql).fetchone()[0])

    def left_thread(self) -> None:
        """Each thread has its connection."""
        self._database.close()

    def count(self) -> int:
        """All rows."""
        return int(self._readings.select().count())

    def close(self) -> None:
        """Close the connection."""
        self._database.close()


def _database(url: str) -> Any:
    if url.startswith("sqlite:"):
        pragmas = {"foreign_keys": 1, "journal_mode": "wal", "synchronous": "normal"}
        return peewee.SqliteDatabase(url.removeprefix("sqlite:///"), pragmas=pragmas, timeout=30)
    parts = urlsplit(url)
    return peewee.PostgresqlDatabase(
        parts.path[1:],
        user=parts.username,
        password=unquote(parts.password or ""),
        host=parts.hostname,
        port=parts.port,
        prefer_psycopg3=True,
    )


def _hour(given: str | datetime) -> datetime:
    return (datetime.fromisoformat(given) if isinstance(given, str) else given).replace(tzinfo=UTC)
