"""Every kind that a store always has, in reference order: what is pointed to comes first."""

from __future__ import annotations

from typing import Any, Final

from iotstore._kinds import alerts, estate, network, projecting, relations, system, telemetry
from iotstore._kinds.kind import Kind

BUILTIN: Final[tuple[Kind[Any], ...]] = (
    system.SETTINGS,
    system.CLAIMS,
    estate.OWNERS,
    estate.LOCATIONS,
    estate.GROUPS,
    estate.DEVICES,
    estate.MEMBERSHIPS,
    network.CONNECTIONS,
    alerts.ALERTS,
    alerts.SUPPRESSIONS,
    alerts.PATTERNS,
    relations.CONTACTS,
    relations.RELATIONS,
    telemetry.METRICS,
    telemetry.SERIES,
    projecting.ATTACHMENTS,
    projecting.OUTBOX,
    projecting.LETTERS,
)
