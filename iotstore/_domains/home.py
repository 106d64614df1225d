"""The page that a monitor shows every few seconds, in one call over one consistent snapshot."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from iotstore._domains.alerts import AlertDay, Alerts, AlertView, ScoreBin
from iotstore._domains.connections import Bandwidth, Connections, HeatCell, TrafficBucket
from iotstore._domains.devices import Devices
from iotstore._engine.engine import Engine
from iotstore._kinds.alerts import Alert
from iotstore._kinds.estate import Device
from iotstore._kinds.network import Connection
from iotstore._query.expressions import field


@dataclass(frozen=True, slots=True)
class HomePage:
    """Everything on the page, as of one instant and one committed state."""

    at: datetime
    active: list[Device]
    unacknowledged: list[Alert]
    connections: list[Connection]
    devices: list[Device]
    timeline: list[TrafficBucket]
    protocols: list[Bandwidth]
    heatmap: list[HeatCell]
    alerts: list[AlertView]
    alert_timeline: list[AlertDay]
    scores: list[ScoreBin]
    bandwidth: list[Bandwidth]
    total_devices: int
    total_connections: int
    total_alerts: int


def home_page(
    engine: Engine,
    *,
    zone: str = "UTC",
    active: timedelta = timedelta(minutes=5),
    recent: timedelta = timedelta(hours=1),
    day: timedelta = timedelta(hours=24),
    week: timedelta = timedelta(days=7),
    limit: int = 100,
) -> HomePage:
    """Devices active, alerts unacknowledged in the last *day*, flows of the *recent* time, lists and totals.

    Lists of records hold at most *limit*; times are cut in *zone*.
    """
    with engine.consistent() as session:
        twin = engine.bound(session)
        devices, connections, alerts = Devices(twin), Connections(twin), Alerts(twin)
        now = engine.clock.now()
        since, week_ago = now - day, now - week
        until = now + timedelta(microseconds=1)  # ranges are half-open, and what happens now is on the page
        unacknowledged = (field("status") == "open") & (field("time") >= since)
        return HomePage(
            at=now,
            active=devices.recent(active),
            unacknowledged=alerts.list(unacknowledged, order=["-time"], limit=limit),
            connections=connections.recent(recent, limit=limit),
            devices=devices.list(order=["-last_seen"], limit=limit),
            timeline=connections.timeline(since, until, width="hour", zone=zone),
            protocols=connections.protocols(since, until),
            heatmap=connections.heatmap(week_ago, until, zone=zone),
            alerts=alerts.recent(day, limit=limit),
            alert_timeline=alerts.timeline(week_ago, until, zone=zone),
            scores=alerts.scores(week_ago, until),
            bandwidth=connections.bandwidth(since, until, limit=10),
            total_devices=devices.count(),
            total_connections=connections.count(),
            total_alerts=alerts.count(),
        )
