"""Django's ORM without a site: ``settings.configure``, models, ``bulk_create(..., ignore_conflicts=True)``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

import django
from django.conf import settings
from django.db import connection, models, transaction
from django.db.models import Avg, F, Max, Min, OuterRef, Subquery
from django.db.models.functions import TruncHour

from instead.contender import ALERT, AlertRead, Contender, Hour, Reading
from iotstore import Alert, Device, Point


def _configured(url: str) -> dict[str, Any]:
    if url.startswith("sqlite:"):
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;"
        return {
            "ENGINE": "django.db.backends.sqlite3",
            "NAME": url.removeprefix("sqlite:///"),
            "OPTIONS": {"init_command": pragmas, "transaction_mode": "IMMEDIATE"},
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
    """One application with three models. A process can configure Django once: there is one of these."""

    name: ClassVar[str] = "Django ORM"
    needs: ClassVar[tuple[str, ...]] = ("django",)

    def __init__(self, url: str) -> None:
        settings.configure(DATABASES={"default": _configured(url)}, USE_TZ=True, INSTALLED_APPS=[])
        django.setup()
        self._models: Any = _models()
        self._devices, self._alerts, self._readings = self._models

    def fill(self, devices: Sequence[Device], alerts: Sequence[Alert]) -> None:
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

    def ingest(self, points: Sequence[Point]) -> None:
        """Objects, created in bulk; those that are there already are ignored."""
        make = self._readings
        atomic: Any = transaction.atomic
        with atomic():
            make.objects.bulk_create(
                [make(device_id=one.device, metric=one.metric, time=one.time, value=one.value) for one in points],
                ignore_conflicts=True,
            )

    def device(self, key: str) -> str | None:
        """One object."""
        name: str | None = self._devices.objects.get(pk=key).name
        return name

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

    def count(self) -> int:
        """All rows."""
        return int(self._readings.objects.count())

    def close(self) -> None:
        """Close the connection."""
        connection.close()


def _models() -> tuple[Any, Any, Any]:
    """The models; Django wants its settings before a model is declared."""

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

    class ReadingRow(models.Model):
        pk = models.CompositePrimaryKey("device_id", "metric", "time")
        device = models.ForeignKey(DeviceRow, on_delete=models.CASCADE, db_index=False)
        metric = models.CharField(max_length=120)
        time = models.DateTimeField()
        value = models.FloatField()

        class Meta:
            app_label = "instead"
            indexes = (models.Index(fields=["metric", "device", "time"], name="readings_newest"),)

    return DeviceRow, AlertRow, ReadingRow
