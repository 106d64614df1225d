"""Alerts: raised, acknowledged, resolved, and looked at from above."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import msgspec

from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._kinds.alerts import ALERTS, SEVERITIES, SUPPRESSIONS, Alert, AlertStatus, Severity, Suppression
from iotstore._kinds.estate import DEVICES
from iotstore._query.expressions import Where, field
from iotstore._query.grouping import count, every
from iotstore.errors import InvalidValue, NotAllowed

_OPEN: Final = (field("status") == "open") & (field("suppressed") == False)  # noqa: E712 - a filter


@dataclass(frozen=True, slots=True)
class AlertView:
    """An alert with the name of its device, as a list shows it."""

    alert: Alert
    device_name: str | None


@dataclass(frozen=True, slots=True)
class AlertDay:
    """How many alerts of a severity a local day had; *day* is its start."""

    day: datetime
    severity: Severity
    alerts: int


@dataclass(frozen=True, slots=True)
class ScoreBin:
    """How many alerts have a score in ``[low, high)``; the last bin holds its upper end too."""

    low: float
    high: float
    alerts: int


@dataclass(frozen=True, slots=True)
class Incident:
    """Alerts of one device that follow each other closely."""

    device: str
    start: datetime
    end: datetime
    severity: Severity
    alerts: tuple[int, ...]


class Alerts(Collection[Alert]):
    """Alerts and their life: open, acknowledged, resolved."""

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine, ALERTS)
        self._suppressions = Collection(engine, SUPPRESSIONS)

    def raise_(self, alert: Alert, *, once: bool = False) -> Alert:
        """Store a new alert, at its time or now. With *once*, an open alert of the same device and kind is returned
        instead of a second one. While the device's alerts are suppressed it is stored as *suppressed*."""
        time = alert.time or self._engine.clock.now()
        with self._engine.writing():
            if once:
                same = (field("kind") == alert.kind) & (field("device") == alert.device) & (field("status") == "open")
                earlier = self.first(same, order=["-time"])
                if earlier is not None:
                    return earlier
            pause = None if alert.device is None else self._suppressions.find(alert.device)
            suppressed = alert.suppressed or (pause is not None and time < pause.until)
            return self.add(msgspec.structs.replace(alert, time=time, suppressed=suppressed))

    def acknowledge(self, id: int, by: str, *, expected: int | None = None) -> Alert:  # noqa: A002 - the field's name
        """Note that somebody looks after an open alert. One that is acknowledged or resolved already is NotAllowed."""
        return self._move(id, ("open",), "acknowledged", expected, acknowledged_by=by)

    def resolve(self, id: int, by: str, *, expected: int | None = None) -> Alert:  # noqa: A002 - the field's name
        """Note that an open or acknowledged alert is dealt with."""
        return self._move(id, ("open", "acknowledged"), "resolved", expected, resolved_by=by)

    def reopen(self, id: int, *, expected: int | None = None) -> Alert:  # noqa: A002 - the field's name
        """Open an acknowledged or resolved alert again."""
        return self._move(id, ("acknowledged", "resolved"), "open", expected)

    def open(self, *, limit: int | None = None) -> list[Alert]:
        """Alerts that ask for attention, the newest first."""
        return self.list(_OPEN, order=["-time"], limit=limit)

    def recent(
        self,
        within: timedelta = timedelta(hours=24),
        *,
        at_least: Severity = "info",
        statuses: Sequence[AlertStatus] = ("open", "acknowledged", "resolved"),
        limit: int | None = None,
    ) -> list[AlertView]:
        """Alerts of the last time with the names of their devices, the newest first."""
        where = field("time") >= self._engine.clock.now() - within
        where &= field("severity").in_(severities_from(at_least)) & field("status").in_(statuses)
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            found = Alerts(twin).list(where, order=["-time"], limit=limit)
            keys = sorted({alert.device for alert in found if alert.device is not None})
            names = {device.key: device.name for device in Collection(twin, DEVICES).get_many(keys) if device}
        return [AlertView(alert, names.get(alert.device) if alert.device else None) for alert in found]

    def timeline(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        width: timedelta | str = "day",
        zone: str = "UTC",
    ) -> list[AlertDay]:
        """Alerts by local day (or another width) and severity, in order of time and rising severity."""
        by = [every("time", width, zone=zone), "severity"]
        rows = self.aggregate({"alerts": count()}, by=by, where=field("time").is_set(), start=start, end=end)
        rows.sort(key=lambda row: (row["time"], SEVERITIES.index(row["severity"])))
        return [AlertDay(row["time"], row["severity"], row["alerts"]) for row in rows]

    def scores(
        self,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        low: float = 0.0,
        high: float = 1.0,
        bins: int = 10,
    ) -> list[ScoreBin]:
        """How anomaly scores from *low* to *high* are distributed over equal *bins*."""
        if bins < 1 or not low < high:
            raise InvalidValue(f"{bins} bins from {low} to {high} make no distribution", field="bins")
        edges = [low + (high - low) * index / bins for index in range(bins)] + [high]
        where = field("score").is_set()
        where = where if start is None else where & (field("time") >= start)
        where = where if end is None else where & (field("time") < end)
        rows = self.aggregate({"alerts": count()}, by=["score"], where=where)
        counts = [0] * bins
        for row in rows:
            if low <= row["score"] <= high:
                counts[bisect_right(edges, row["score"], 1, bins) - 1] += row["alerts"]
        return [ScoreBin(edges[index], edges[index + 1], counts[index]) for index in range(bins)]

    def statistics(self, start: datetime | None = None, end: datetime | None = None) -> dict[str, dict[str, int]]:
        """Counts by status, by severity and by kind."""
        where = field("time").is_set()
        where = where if start is None else where & (field("time") >= start)
        where = where if end is None else where & (field("time") < end)
        with self._engine.consistent() as session:
            alerts = Alerts(self._engine.bound(session))
            return {
                name: {row[name]: row["n"] for row in alerts.aggregate({"n": count()}, by=[name], where=where)}
                for name in ("status", "severity", "kind")
            }

    def incidents(
        self, start: datetime, end: datetime | None = None, *, gap: timedelta = timedelta(minutes=30)
    ) -> list[Incident]:
        """Alerts of a device that follow each other within *gap*, gathered, in order of their start."""
        where = (field("time") >= start) & field("device").is_set()
        where = where if end is None else where & (field("time") < end)
        found: list[Incident] = []
        gathered: list[Alert] = []
        for alert in self.stream(where, order=["device", "time"]):
            if gathered and (gathered[-1].device != alert.device or _time(alert) - _time(gathered[-1]) > gap):
                found.append(_incident(gathered))
                gathered = []
            gathered.append(alert)
        if gathered:
            found.append(_incident(gathered))
        return sorted(found, key=lambda item: (item.start, item.device))

    def suppress(self, device: str, for_: timedelta, *, reason: str | None = None) -> Suppression:
        """Keep alerts of a device, from now on for this long, without asking for attention."""
        if for_ <= timedelta(0):
            raise InvalidValue(f"{for_} is no time to suppress alerts for", field="for_")
        until = self._engine.clock.now() + for_
        return self._suppressions.put(Suppression(device=device, until=until, reason=reason))

    def unsuppress(self, device: str) -> None:
        """End a suppression; NotFound if there is none."""
        self._suppressions.delete(device)

    def suppressed(self, device: str, at: datetime | None = None) -> bool:
        """Whether alerts of a device are suppressed now, or at a time."""
        pause = self._suppressions.find(device)
        return pause is not None and (at or self._engine.clock.now()) < pause.until

    def _move(
        self, id_: int, allowed: tuple[AlertStatus, ...], to: AlertStatus, expected: int | None, **who: str
    ) -> Alert:
        now = self._engine.clock.now()
        with self._engine.writing():
            alert = self.get(id_)
            if alert.status not in allowed:
                raise NotAllowed(f"alert {id_} is {alert.status}", hint=f"only {' or '.join(allowed)} ones become {to}")
            changes: dict[str, object] = {"status": to, **who}
            if to == "open":
                changes.update(acknowledged_by=None, acknowledged_at=None, resolved_by=None, resolved_at=None)
            else:
                changes[f"{to}_at"] = now
            return self.update(id_, expected=alert.version if expected is None else expected, **changes)


def severities_from(at_least: Severity) -> tuple[Severity, ...]:
    """The severities from this one up."""
    if at_least not in SEVERITIES:
        raise InvalidValue(f"{at_least!r} is none of {', '.join(SEVERITIES)}", field="severity")
    return SEVERITIES[SEVERITIES.index(at_least) :]


def open_alerts() -> Where:
    """The filter for alerts that ask for attention."""
    return _OPEN


def _time(alert: Alert) -> datetime:
    if alert.time is None:
        raise InvalidValue("an alert without time can't be gathered", field="time")
    return alert.time


def _incident(alerts: list[Alert]) -> Incident:
    worst = SEVERITIES[max(SEVERITIES.index(alert.severity) for alert in alerts)]
    return Incident(
        alerts[0].device or "", _time(alerts[0]), _time(alerts[-1]), worst, tuple(alert.id for alert in alerts)
    )
