"""Mutants of alerts: their life, suppression and summaries."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

from iotstore import NotAllowed, NotFound, field
from iotstore.backend import And, Filter, Layout, NotNull
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import answers, filters, forced, leaves, swallowed


@mutant(
    "resolving-forgets-who-acknowledged",
    kills=("ALR-001",),
    sentence="A resolved alert says nothing of who acknowledged it.",
)
def _forgotten(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "resolve")
    def _resolve(self: Any, right: Any, id_: int, by: str, **options: Any) -> Any:
        right(id_, by, **options)
        return self.update(id_, acknowledged_by=None)


@mutant("unknown-alerts-are-dealt-with", kills=("ALR-002", "FLT-006"), sentence="Resolving an unknown alert succeeds.")
def _unknown(breaking: Breaking) -> None:
    swallowed(breaking, "alerts", "acknowledge resolve reopen", NotFound)


@mutant("anybody-acknowledges", kills=("ALR-003",), sentence="Acknowledging ignores the version that it expects.")
def _anybody(breaking: Breaking) -> None:
    forced(breaking, "alerts", "acknowledge", expected=None)


@mutant("the-resolved-come-back", kills=("ALR-004",), sentence="A resolved alert can be acknowledged.")
def _back(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "acknowledge")
    def _acknowledge(self: Any, right: Any, id_: int, by: str, **options: Any) -> Any:
        try:
            return right(id_, by, **options)
        except NotAllowed:
            return self.update(id_, status="acknowledged", acknowledged_by=by)


@mutant("open-alerts-come-oldest-first", kills=("ALR-005",), sentence="Open alerts come oldest first.")
def _oldest(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "open")
    def _open(_self: Any, right: Any, *, limit: Any = None) -> Any:
        return right()[::-1][:limit]


@mutant("severities-sort-by-letter", kills=("ALR-006",), sentence="Severities are compared by their letters.")
def _letters(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "recent")
    def _recent(_self: Any, right: Any, *args: Any, at_least: str = "", **options: Any) -> Any:
        return [view for view in right(*args, **options) if view.alert.severity >= at_least]


@mutant("names-of-devices-are-lost", kills=("ALR-006", "HOM-001"), sentence="Recent alerts have no names of devices.")
def _nameless(breaking: Breaking) -> None:
    answers(breaking, "alerts", "recent", lambda views: [replace(view, device_name=None) for view in views])


@mutant("suppression-lasts-an-hour", kills=("ALR-007",), sentence="Suppression lasts an hour, whatever was asked.")
def _an_hour(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "suppress")
    def _suppress(_self: Any, right: Any, device: str, for_: timedelta, **options: Any) -> Any:
        return right(device, min(for_, timedelta(hours=1)), **options)


@mutant(
    "suppression-runs-by-the-wall-clock",
    kills=("FLT-003",),
    sentence="The end of a suppression is off by the offset of the machine's time zone.",
)
def _wall_clock(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "suppress")
    def _suppress(_self: Any, right: Any, device: str, for_: timedelta, **options: Any) -> Any:
        return right(device, for_ - timedelta(seconds=time.timezone), **options)


@mutant(
    "suppressed-alerts-ask-for-attention", kills=("ALR-008",), sentence="Suppressed alerts are among the open ones."
)
def _loud(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "open")
    def _open(self: Any, _right: Any, *, limit: Any = None) -> Any:
        return self.list(field("status") == "open", order=["-time"], limit=limit)


@mutant("once-is-every-time", kills=("ALR-009",), sentence="Raising an alert once makes another one each time.")
def _every_time(breaking: Breaking) -> None:
    forced(breaking, "alerts", "raise_", once=False)


@mutant("incidents-never-end", kills=("ALR-010",), sentence="Alerts of a device are one incident, however far apart.")
def _never_ending(breaking: Breaking) -> None:
    forced(breaking, "alerts", "incidents", gap=timedelta(days=1))


@mutant("the-largest-score-is-lost", kills=("ALR-012",), sentence="The largest score of all is in no bin.")
def _largest(breaking: Breaking) -> None:
    forced(breaking, "alerts", "scores", high=1.0 - 1e-9)


@mutant("statistics-count-the-open", kills=("ALR-014",), sentence="Alert statistics count open alerts only.")
def _open_only(breaking: Breaking) -> None:
    @breaking.wrong("alerts", "aggregate")
    def _aggregate(_self: Any, right: Any, measures: Any, *, where: Any = None, **options: Any) -> Any:
        if options.get("by") not in (["status"], ["severity"], ["kind"]):
            return right(measures, where=where, **options)
        return right(measures, where=where & (field("status") == "open"), **options)


@mutant(
    "retention-takes-open-alerts",
    kills=("ADM-006", "FLT-019"),
    sentence="Retention deletes alerts that nobody has resolved.",
)
def _unprotected(breaking: Breaking) -> None:
    def unprotected(leaf: Any) -> Filter:
        return And(()) if isinstance(leaf, NotNull) and leaf.column == "resolved_at" else leaf

    filters(breaking, lambda _, where: leaves(where, unprotected))

    @breaking.wrong("writer", "delete")
    def _delete(_self: Any, right: Any, layout: Layout, where: Filter) -> Any:
        return right(layout, leaves(where, unprotected))
