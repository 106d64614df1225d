"""Alerts: their life, suppression, summaries and evidence."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from iotstore import Alert, Conflict, Device, InvalidValue, NotAllowed, NotFound, UnknownReference, VersionConflict
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later


def _raise(stage: Stage, **fields: object) -> Alert:
    return stage.store.alerts.raise_(Alert(**{"kind": "scan", "title": "Port scan", **fields}))  # type: ignore[arg-type]


@clause("ALR-001")
def alerts_live(stage: Stage) -> None:
    """An alert MUST go from open to acknowledged to resolved, with by whom and when, and back to open when reopened."""
    alerts = stage.store.alerts
    alert = _raise(stage)
    assert (alert.status, alert.time) == ("open", NOON)
    stage.clock.move(timedelta(minutes=1))
    acknowledged = alerts.acknowledge(alert.id, "ann")
    assert (acknowledged.status, acknowledged.acknowledged_by) == ("acknowledged", "ann")
    assert acknowledged.acknowledged_at == later(minutes=1)
    stage.clock.move(timedelta(minutes=1))
    resolved = alerts.resolve(alert.id, "bob")
    assert (resolved.status, resolved.resolved_by, resolved.resolved_at) == ("resolved", "bob", later(minutes=2))
    assert resolved.acknowledged_by == "ann"
    reopened = alerts.reopen(alert.id)
    assert (reopened.status, reopened.resolved_at) == ("open", None)
    assert reopened == alerts.get(alert.id)


@clause("ALR-002")
def unknown_alerts_are_told(stage: Stage) -> None:
    """Acknowledging, resolving or reopening an unknown alert MUST raise NotFound."""
    alerts = stage.store.alerts
    works: list[Callable[[], object]] = [
        lambda: alerts.acknowledge(7, "ann"),
        lambda: alerts.resolve(7, "ann"),
        lambda: alerts.reopen(7),
    ]
    for work in works:
        with pytest.raises(NotFound, match="7"):
            work()


@clause("ALR-003")
def acknowledging_is_guarded(stage: Stage) -> None:
    """Acknowledging with an expected version that has passed MUST raise VersionConflict and change nothing."""
    alerts = stage.store.alerts
    alert = _raise(stage)
    changed = alerts.update(alert.id, title="Other")
    with pytest.raises(VersionConflict, match=str(alert.id)):
        alerts.acknowledge(alert.id, "ann", expected=alert.version)
    assert alerts.acknowledge(alert.id, "ann", expected=changed.version).status == "acknowledged"


@clause("ALR-004")
def what_is_over_is_over(stage: Stage) -> None:
    """Acknowledging a resolved alert MUST be refused and leave it resolved."""
    alerts = stage.store.alerts
    alert = _raise(stage)
    alerts.resolve(alert.id, "ann")
    with pytest.raises((Conflict, NotAllowed, InvalidValue), match="resolved"):
        alerts.acknowledge(alert.id, "bob")
    assert alerts.get(alert.id).status == "resolved"


@clause("ALR-005")
def open_alerts(stage: Stage) -> None:
    """`open` MUST give alerts that nobody has acknowledged, newest first, at most as many as asked, suppressed ones
    not."""
    ids = [_raise(stage, time=ago(minutes=minute)).id for minute in (3, 1, 2)]
    stage.store.alerts.acknowledge(ids[2], "ann")
    assert [alert.id for alert in stage.store.alerts.open()] == [ids[1], ids[0]]
    assert [alert.id for alert in stage.store.alerts.open(limit=1)] == [ids[1]]


@clause("ALR-006")
def recent_alerts_have_names(stage: Stage) -> None:
    """`recent` MUST give alerts with their device's name, newest first, of at least the severity asked, in severity's
    order."""
    stage.store.devices.add(Device(key="cam", name="Camera"))
    for minutes, severity, device in (
        (70, "high", "cam"),
        (3, "low", "cam"),
        (2, "critical", None),
        (1, "high", "cam"),
    ):
        _raise(stage, time=ago(minutes=minutes), severity=severity, device=device)
    views = stage.store.alerts.recent(timedelta(hours=1))
    assert [view.alert.severity for view in views] == ["high", "critical", "low"]
    assert [view.device_name for view in views] == ["Camera", None, "Camera"]
    views = stage.store.alerts.recent(timedelta(hours=2), at_least="high")
    assert [view.alert.severity for view in views] == ["high", "critical", "high"]


@clause("ALR-007")
def suppression_lasts_its_time(stage: Stage) -> None:
    """Suppressing a device's alerts MUST last exactly the time asked by the store's clock, in whatever zone it runs."""
    stage.devices("cam", "tv")
    stage.store.alerts.suppress("cam", timedelta(hours=2), reason="works")
    assert _raise(stage, device="cam").suppressed
    assert not _raise(stage, device="tv").suppressed
    assert not _raise(stage).suppressed
    stage.clock.move(timedelta(hours=2, microseconds=-1))
    assert _raise(stage, device="cam").suppressed
    stage.clock.move(timedelta(microseconds=1))
    assert not _raise(stage, device="cam").suppressed
    assert stage.store.alerts.count() == 5


@clause("ALR-008")
def suppression_can_be_taken_back(stage: Stage) -> None:
    """Suppression MUST keep alerts without asking for attention, be taken back by unsuppress, and need a
    known device."""
    stage.devices("cam")
    alerts = stage.store.alerts
    alerts.suppress("cam", timedelta(hours=2), reason="works")
    _raise(stage, device="cam")
    assert alerts.open() == []
    alerts.unsuppress("cam")
    loud = _raise(stage, device="cam")
    assert [alert.id for alert in alerts.open()] == [loud.id]
    with pytest.raises((NotFound, UnknownReference), match="ghost"):
        alerts.suppress("ghost", timedelta(hours=1), reason="x")
    with pytest.raises(NotFound, match="cam"):
        alerts.unsuppress("cam")


@clause("ALR-009")
def no_alert_storms(stage: Stage) -> None:
    """Raising with once=True MUST give the open alert of the same device and kind instead of making another."""
    stage.devices("door")
    first = stage.store.alerts.raise_(Alert(kind="open", title="Open", device="door"), once=True)
    again = stage.store.alerts.raise_(Alert(kind="open", title="Open", device="door"), once=True)
    assert again.id == first.id
    stage.store.alerts.resolve(first.id, "ann")
    assert stage.store.alerts.raise_(Alert(kind="open", title="Open", device="door"), once=True).id != first.id
    assert stage.store.alerts.count() == 2


@clause("ALR-010")
def incidents_gather(stage: Stage) -> None:
    """Incidents MUST gather a device's alerts that follow each other within the gap, and keep devices apart."""
    stage.devices("cam", "tv")
    for device, minute in (("cam", 0), ("cam", 29), ("cam", 58), ("cam", 120), ("tv", 30)):
        _raise(stage, device=device, time=later(minutes=minute))
    incidents = stage.store.alerts.incidents(NOON, later(hours=4), gap=timedelta(minutes=30))
    found = sorted((incident.device, incident.start, incident.end, len(incident.alerts)) for incident in incidents)
    assert found == [
        ("cam", NOON, later(minutes=58), 3),
        ("cam", later(minutes=120), later(minutes=120), 1),
        ("tv", later(minutes=30), later(minutes=30), 1),
    ]


@clause("ALR-011")
def alert_timelines(stage: Stage) -> None:
    """The alert timeline MUST count by severity and by day of the zone asked for, over [start, end)."""
    for when, severity in ((NOON, "high"), (later(hours=9), "high"), (later(hours=11), "high"), (NOON, "low")):
        _raise(stage, time=when, severity=severity)
    rows = stage.store.alerts.timeline(ago(days=1), later(days=2), zone="Europe/Kyiv")
    found = {(row.day, row.severity): row.alerts for row in rows if row.alerts}
    midnight = ago(hours=14)
    assert found == {(midnight, "high"): 2, (midnight, "low"): 1, (midnight + timedelta(days=1), "high"): 1}


@clause("ALR-012")
def scores_are_distributed(stage: Stage) -> None:
    """The score distribution MUST put every scored alert of the range into exactly one bin, the largest score
    included."""
    for score in (0.0, 0.05, 0.5, 0.95, 1.0, None):
        _raise(stage, score=score)
    bins = stage.store.alerts.scores(bins=10, start=ago(hours=1), end=later(hours=1))
    assert sum(bin_.alerts for bin_ in bins) == 5
    assert len(bins) == 10


@clause("ALR-013")
def alerts_need_known_devices(stage: Stage) -> None:
    """An alert of an unknown device MUST be refused, as one with an unknown severity or a score that is no number."""
    with pytest.raises(UnknownReference, match="device"):
        _raise(stage, device="ghost")
    with pytest.raises(InvalidValue, match="severity"):
        _raise(stage, severity="urgent")
    with pytest.raises(InvalidValue, match="score"):
        _raise(stage, score=float("nan"))
    assert stage.store.alerts.count() == 0


@clause("ALR-014")
def alerts_are_counted(stage: Stage) -> None:
    """Alert statistics MUST count all alerts by status, by severity and by kind."""
    first = _raise(stage, severity="high")
    _raise(stage, severity="high")
    _raise(stage, severity="low")
    stage.store.alerts.resolve(first.id, "ann")
    statistics = stage.store.alerts.statistics()
    assert statistics["status"] == {"open": 2, "resolved": 1}
    assert statistics["severity"] == {"high": 2, "low": 1}
    assert statistics["kind"] == {"scan": 3}
