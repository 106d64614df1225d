"""Django's ORM without a site: ``settings.configure``, models, ``bulk_create(..., ignore_conflicts=True)``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Avg, Count, F, FloatField, IntegerField, Max, Min, OuterRef, Subquery, Sum
from django.db.models.functions import Cast, ExtractHour, Floor, TruncDay, TruncHour

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


def _configured(url: str) -> dict[str, Any]:
    if url.startswith("sqlite:"):
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": url.removeprefix("sqlite:///"),
            "OPTIONS": {"init_command": pragmas, "transaction_mode": "IMMEDIATE", "timeout": 30},
        }
    parts = urlsplit(url)
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.path[1:],
        "USER": parts.username,
        "PASSWORD": unquote(parts.password or ""),
        "HOST": parts.hostname,
        "PORT": parts.port,
    }


class WithDjango(Contender):
    """One application with four models. A process can configure Django once: there is one of these."""

    name: ClassVar[str] = "Django ORM"
    needs: ClassVar[tuple[str, ...]] = ("django",)

    def __init__(self, url: str) -> None:
        super().__init__(url)
        settings.configure(DATABASES={"default": _configured(url)}, USE_TZ=True, INSTALLED_APPS=[])
        django.setup()
        self._models: Any = _models()
        self._devices, self._alerts, self._flows, self._readings = self._models

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert], flows: Sequence[Connection]) -> None:
        """Objects, created in bulk."""
        with connection.schema_editor() as editor:
            for model in self._models:
                editor.create_model(model)
        names = [field.name for field in self._devices._meta.fields]
        self._devices.objects.bulk_create(
            [self._devices(**{name: getattr(device, name) for name in names}) for device in devices]
        )
        self._alerts.objects.bulk_create(
            [
                self._alerts(device_id=alert.device, **{name: getattr(alert, name) for name in ALERT[1:]})
                for alert in alerts
            ]
        )
        told = (dict(zip(FLOW[1:], flow_values(flow)[1:], strict=True)) for flow in flows)
        self._flows.objects.bulk_create(
            [self._flows(device_id=flow.device, **values) for flow, values in zip(flows, told, strict=True)]
        )

    def ingest(self, points: Sequence[Point]) -> None:
        """Objects, created in bulk; those that are there already are ignored."""
        make = self._readings
        self._keep([make(device_id=one.device, metric=one.metric, time=one.time, value=one.value) for one in points])

    def columns(self, device: str, metric: str, times: Sequence[datetime], values: Sequence[float]) -> None:
        """The same."""
        make = self._readings
        pairs = zip(times, values, strict=True)
        self._keep([make(device_id=device, metric=metric, time=time, value=value) for time, value in pairs])

    def _keep(self, rows: list[Any]) -> None:
        atomic: Any = transaction.atomic
        with atomic():
            self._readings.objects.bulk_create(rows, ignore_conflicts=True)

    def device(self, key: str) -> str | None:
        """One object."""
        name: str | None = self._devices.objects.get(pk=key).name
        return name

    def devices(self, after: str, count: int) -> list[str]:
        """Objects in order of key."""
        return [row.key for row in self._devices.objects.filter(pk__gt=after).order_by("pk")[:count]]

    def last(self, device: str, metric: str, count: int) -> list[Reading]:
        """Objects in order of time."""
        rows = self._readings.objects.filter(device_id=device, metric=metric).order_by("-time")[:count]
        return [(row.time, row.value) for row in rows]

    def latest(self, device: str, metric: str) -> Reading:
        """The last one."""
        row = self._readings.objects.filter(device_id=device, metric=metric).latest("time")
        return row.time, row.value

    def latest_all(self, metric: str) -> list[tuple[str, float]]:
        """For each device its newest value by a subquery."""
        newest = self._readings.objects.filter(device_id=OuterRef("pk"), metric=metric).order_by("-time")
        rows = self._devices.objects.annotate(newest=Subquery(newest.values("value")[:1])).order_by("pk")
        return list(rows.filter(newest__isnull=False).values_list("pk", "newest"))

    def hourly(self, device: str | None, metric: str, start: datetime, end: datetime) -> list[Hour]:
        """Grouped by the truncated hour."""
        rows = self._readings.objects.filter(metric=metric, time__gte=start, time__lt=end)
        if device is not None:
            rows = rows.filter(device_id=device)
        rows = rows.annotate(hour=TruncHour("time", tzinfo=UTC), key=F("device_id")).values("key", "hour")
        rows = rows.annotate(mean=Avg("value"), low=Min("value"), high=Max("value")).order_by("key", "hour")
        return [Hour(row["key"], row["hour"], row["mean"], row["low"], row["high"]) for row in rows]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Objects in order of time."""
        rows = self._alerts.objects.filter(time__lt=before).order_by("-time")[:count]
        return [AlertRead(row.title, row.time, row.acknowledged_at, row.metadata) for row in rows]

    @contextmanager
    def one_state(self) -> Iterator[None]:
        """An atomic block; on PostgreSQL it reads repeatably."""
        atomic: Any = transaction.atomic
        with atomic():
            if connection.vendor == "postgresql":
                with connection.cursor() as cursor:
                    cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
            yield

    def newest(self, of: Listed, since: datetime | None, count: int | None, *, only_open: bool = False) -> list[Read]:
        """Objects in order of time."""
        rows = {"devices": self._devices, "alerts": self._alerts, "flows": self._flows}[of].objects.all()
        time = "last_seen" if of == "devices" else "time"
        rows = rows.order_by(f"-{time}", *(["-pk"] if of == "devices" else []))
        if since is not None:
            rows = rows.filter(**{f"{time}__gte": since})
        if only_open:
            rows = rows.filter(status="open")
        found = rows if count is None else rows[:count]
        if of == "devices":
            return [Read(row.key, row.last_seen) for row in found]
        return [Read(row.title if of == "alerts" else row.destination, row.time, row.device_id) for row in found]

    def grouped(self, by: str, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Values, annotated with counts and sums."""
        cuts = {
            "hour": TruncHour("time", tzinfo=UTC),
            "day": TruncDay("time", tzinfo=UTC),
            "hour of day": ExtractHour("time", tzinfo=UTC),
            "tenth": Cast(Floor(F("score") * 10, output_field=FloatField()), IntegerField()),
            "device": F("device_id"),
        }
        keys = {f"k{at}": cuts.get(key, F(key)) for at, key in enumerate(GROUPS[by])}
        sums = {} if by in ALERTS_BY else {"sent": Sum("bytes_sent"), "received": Sum("bytes_received")}
        rows = (self._alerts if by in ALERTS_BY else self._flows).objects.filter(time__gte=start, time__lt=end)
        rows = rows.annotate(**keys).values(*keys).annotate(n=Count("pk"), **sums).order_by()
        return list(rows.values_list(*keys, "n", *sums))

    def names(self, keys: Sequence[str]) -> dict[str, str | None]:
        """Two columns."""
        return dict(self._devices.objects.filter(pk__in=keys).values_list("pk", "name"))

    def total(self, of: Listed) -> int:
        """All rows of a table."""
        return int({"devices": self._devices, "alerts": self._alerts, "flows": self._flows}[of].objects.count())

    def count(self) -> int:
        """All rows."""
        return int(self._readings.objects.count())

    def room(self) -> int:
        """As the engine says."""
        sql = "SELECT pg_database_size(current_database())"
        if connection.vendor == "sqlite":
            sql = "SELECT page_count * page_size FROM pragma_page_count(), pragma_page_size()"
        with connection.cursor() as cursor:
            cursor.execute(sql)
            return int(cursor.fetchone()[0])

    def left_thread(self) -> None:
        """Each thread has its connection."""
        connection.close()

    def close(self) -> None:
        """Close the connection."""
        connection.close()


def _models() -> tuple[Any, Any, Any, Any]:
    """The models; Django wants its settings before a model is declared."""
    device, alert = _few()
    return device, alert, *_many(device)


def _few() -> tuple[Any, Any]:
    """The models of what is listed in pages."""

    class DeviceRow(models.Model):
        key = models.CharField(max_length=120, primary_key=True)
        name = models.TextField(null=True)  # noqa: DJ001 - None is what a device may have
        kind = models.TextField(null=True)  # noqa: DJ001
        ip = models.GenericIPAddressField(null=True)
        mac = models.TextField(null=True)  # noqa: DJ001
        vendor = models.TextField(null=True)  # noqa: DJ001
        model = models.TextField(null=True)  # noqa: DJ001
        firmware = models.TextField(null=True)  # noqa: DJ001
        last_seen = models.DateTimeField(null=True)

        class Meta:
            app_label = "instead"

    class AlertRow(models.Model):
        device = models.ForeignKey(DeviceRow, on_delete=models.CASCADE)
        kind = models.TextField()
        title = models.TextField()
        severity = models.TextField()
        time = models.DateTimeField(db_index=True)
        status = models.TextField()
        score = models.FloatField(null=True)
        explanation = models.TextField(null=True)  # noqa: DJ001
        metadata = models.JSONField(null=True)
        acknowledged_by = models.TextField(null=True)  # noqa: DJ001
        acknowledged_at = models.DateTimeField(null=True)
        resolved_by = models.TextField(null=True)  # noqa: DJ001
        resolved_at = models.DateTimeField(null=True)

        class Meta:
            app_label = "instead"

    return DeviceRow, AlertRow


def _many(device_row: Any) -> tuple[Any, Any]:
    """The models of what there is much of; both point to a device."""

    class FlowRow(models.Model):
        device = models.ForeignKey(device_row, on_delete=models.CASCADE, db_index=False)
        time = models.DateTimeField(db_index=True)
        destination = models.GenericIPAddressField(null=True)
        port = models.IntegerField(null=True)
        protocol = models.TextField(null=True)  # noqa: DJ001
        service = models.TextField(null=True)  # noqa: DJ001
        state = models.TextField(null=True)  # noqa: DJ001
        bytes_sent = models.BigIntegerField()
        bytes_received = models.BigIntegerField()
        packets_sent = models.BigIntegerField()
        packets_received = models.BigIntegerField()
        duration = models.FloatField(null=True)
        processed = models.BooleanField()

        class Meta:
            app_label = "instead"
            indexes = (models.Index(fields=["device", "time"], name="flows_device_time"),)

    class ReadingRow(models.Model):
        pk = models.CompositePrimaryKey("device_id", "metric", "time")
        device = models.ForeignKey(device_row, on_delete=models.CASCADE, db_index=False)
        metric = models.CharField(max_length=120)
        time = models.DateTimeField()
        value = models.FloatField()

        class Meta:
            app_label = "instead"
            indexes = (models.Index(fields=["metric", "device", "time"], name="readings_newest"),)

    return FlowRow, ReadingRow
