"""Threat patterns, and which alerts resemble them."""

from __future__ import annotations

from typing import Any

from iotstore._domains.relationships import Relationships
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._kinds.alerts import ALERTS, PATTERNS, ThreatPattern
from iotstore._kinds.relations import Relation


class Patterns(Collection[ThreatPattern]):
    """Threat patterns, each known by a key of the caller's choice."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, PATTERNS)

    def match(self, alert: int, pattern: str, *, weight: float | None = None, properties: Any = None) -> Relation:
        """Note that an alert resembles a pattern, how much (*weight*) and why (*properties*). UnknownReference if
        there is no such alert or pattern."""
        return Relationships(self._engine).relate(
            (ALERTS.name, alert), "SIMILAR_TO", (PATTERNS.name, pattern), weight=weight, properties=properties
        )
