"""Alerts and their suppression."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final, Literal

from iotstore._kinds.fields import Json, Real, Text
from iotstore._kinds.kind import Kind, Retention, Tracked
from iotstore._kinds.relating import Relates
from iotstore._waist.layout import Merge, OnDelete

Severity = Literal["info", "low", "medium", "high", "critical"]
AlertStatus = Literal["open", "acknowledged", "resolved"]
SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")


class Alert(Tracked, frozen=True, kw_only=True):
    """Something a person should know. Its life is open, acknowledged, resolved; *id* is given by the store.

    *suppressed* is set by the store when the device's alerts were suppressed at its time: it is kept, but asks for no
    attention.
    """

    kind: Annotated[str, Text(80, min=1)]
    title: Annotated[str, Text(300, min=1, search=True)]
    severity: Severity = "medium"
    id: int = 0
    device: Annotated[str | None, Text(120, min=1)] = None
    owner: Annotated[str | None, Text(120, min=1)] = None
    time: datetime | None = None
    status: AlertStatus = "open"
    suppressed: bool = False
    score: Annotated[float | None, Real()] = None
    explanation: Annotated[str | None, Text(10_000, search=True)] = None
    metadata: Annotated[Any, Json()] = None
    acknowledged_by: Annotated[str | None, Text(120)] = None
    acknowledged_at: datetime | None = None
    resolved_by: Annotated[str | None, Text(120)] = None
    resolved_at: datetime | None = None


class ThreatPattern(Tracked, frozen=True, kw_only=True):
    """What an attack looks like, to hold alerts against. *indicators* is whatever tells it: addresses, ports, rules."""

    key: Annotated[str, Text(120, min=1)]
    name: Annotated[str | None, Text(200, search=True)] = None
    description: Annotated[str | None, Text(10_000, search=True)] = None
    severity: Severity = "medium"
    indicators: Annotated[Any, Json()] = None
    metadata: Annotated[Any, Json()] = None


class Suppression(Tracked, frozen=True, kw_only=True):
    """Until *until*, alerts of *device* are kept without asking for attention."""

    device: Annotated[str, Text(120, min=1)]
    until: datetime
    reason: Annotated[str | None, Text(2000)] = None


ALERTS: Final = Kind(
    Alert,
    "alert",
    "id",
    generated="id",
    # An alert is evidence: deleting a device or an owner leaves it.
    references={"device": ("device", OnDelete.KEEP), "owner": ("owner", OnDelete.KEEP)},
    indexes=[["time"], ["status", "time"], ["device", "time"]],
    # Only what was resolved may go: an alert nobody has dealt with is never pruned.
    retention=Retention("time", timedelta(days=365), only="resolved_at"),
    relates=[Relates("GENERATED", source="device")],
)
PATTERNS: Final = Kind(
    ThreatPattern,
    "threat_pattern",
    "key",
    merge=dict.fromkeys(("name", "description", "indicators", "metadata"), Merge.COALESCE),
    relates=(),
)
SUPPRESSIONS: Final = Kind(Suppression, "suppression", "device", references={"device": ("device", OnDelete.CASCADE)})
