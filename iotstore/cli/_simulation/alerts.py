"""The alerts of a day, derived from what its points and flows show."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, date, datetime, timedelta
from typing import Final

import msgspec

from iotstore import Alert, Severity
from iotstore.cli._simulation.chance import HOUR, MINUTE, chance
from iotstore.cli._simulation.home import THINGS
from iotstore.cli._simulation.network import flows
from iotstore.cli._simulation.shapes import WEDNESDAY
from iotstore.cli._simulation.telemetry import Columns, deliver, midnight

_NAMES: Final = {thing.key: thing.name for thing in THINGS}
_UPLOAD: Final = 150_000_000  # bytes in an hour to one address outside, from a camera
_HOT: Final = {"climate-kitchen": (27.0, "medium"), "nas": (49.0, "high")}
_DAMP: Final = 72.0
_LOW: Final = 15.0
_FORGOTTEN: Final = 10 * MINUTE
_SILENT: Final = 45 * MINUTE
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def alerts(seed: int, day: date) -> list[Alert]:
    """The alerts of one day by time, with what the people of the home did about them."""
    found = [*_uploads(seed, day), *_silence(seed, day)]
    for columns in deliver(seed, day).prompt:
        found += _from_points(columns)
    if day.weekday() == WEDNESDAY:
        text = "The energy counter of the washing machine's plug went back to 0"
        found.append(_alert("counter-reset", "info", "plug-washer", midnight(day) + 14 * HOUR, text, score=0.1))
    found.sort(key=lambda alert: (alert.time or _EPOCH, alert.kind))
    return [_handled(alert, seed, day, at) for at, alert in enumerate(found)]


def _alert(kind: str, severity: Severity, device: str, time: int, title: str, *, score: float, why: str = "") -> Alert:
    return Alert(
        kind=kind,
        title=title,
        severity=severity,
        device=device,
        time=_EPOCH + timedelta(microseconds=time),
        score=round(score, 3),
        explanation=why or None,
    )


def _uploads(seed: int, day: date) -> list[Alert]:
    """A camera that sends far more than cameras send, to one address outside."""
    found: list[Alert] = []
    for hour, batch in enumerate(flows(seed, day)):
        sent: dict[tuple[str, str], int] = defaultdict(int)
        for flow in batch:
            if flow.device.startswith("cam-") and flow.destination and not flow.destination.startswith("192.168."):
                sent[flow.device, flow.destination] += flow.bytes_sent
        for (device, address), count in sorted(sent.items()):
            if count > _UPLOAD:
                title = f"{_NAMES[device]} sent {count / 1e6:.0f} MB to {address}"
                why = f"Between {hour:02}:00 and {hour + 1:02}:00 UTC; a camera usually sends less than 60 MB there."
                end = midnight(day) + (hour + 1) * HOUR - MINUTE
                found.append(
                    _alert("unusual-upload", "critical", device, end, title, score=min(0.99, count / 5e8), why=why)
                )
    return found


def _silence(seed: int, day: date) -> list[Alert]:
    """Devices that were not heard of for a long time."""
    found: list[Alert] = []
    for gap in deliver(seed, day).gaps:
        length = gap.end - gap.start
        if length >= _SILENT:
            severity: Severity = "medium" if gap.device.startswith("cam-") else "low"
            title = f"{_NAMES[gap.device]} was silent for {length // MINUTE} minutes"
            score = min(0.9, length / (4 * HOUR))
            found.append(_alert("device-silent", severity, gap.device, gap.start + _SILENT, title, score=score))
    return found


def _from_points(columns: Columns) -> list[Alert]:
    device, metric, times, _ = columns
    values = [value if isinstance(value, float) else 0.0 for value in columns.values]
    name = _NAMES[device]
    if metric == "temperature" and device in _HOT:
        limit, level = _HOT[device]
        severity: Severity = "high" if level == "high" else "medium"
        at = next((at for at, value in enumerate(values) if value >= limit), None)
        if at is None:
            return []
        title = f"{name} is above {limit:.0f} °C ({max(values):.1f} °C at most)"
        return [_alert("too-hot", severity, device, times[at], title, score=0.6)]
    if metric == "humidity" and device == "climate-upstairs":
        at = next((at for at, value in enumerate(values) if value >= _DAMP), None)
        title = f"{name} is above {_DAMP:.0f} % humidity"
        return [] if at is None else [_alert("too-damp", "info", device, times[at], title, score=0.2)]
    if metric == "battery" and device.startswith(("climate", "door", "motion")):
        # The moment it goes below, not every hour after it.
        at = next((n for n in range(1, len(values)) if values[n] < _LOW <= values[n - 1]), None)
        title = f"The battery of {name} is below {_LOW:.0f} %"
        return [] if at is None else [_alert("battery-low", "low", device, times[at], title, score=0.3)]
    return _forgotten(columns, name) if metric == "open" else []


def _forgotten(columns: Columns, name: str) -> list[Alert]:
    """Doors and windows that stay open."""
    found: list[Alert] = []
    since: int | None = None
    for time, state in zip(columns.times, columns.values, strict=True):
        if state and since is None:
            since = time
        elif not state:
            if since is not None and time - since > _FORGOTTEN:
                title = f"{name} stayed open for {(time - since) // MINUTE} minutes"
                found.append(_alert("left-open", "high", columns.device, since + _FORGOTTEN, title, score=0.7))
            since = None
    return found


def _handled(alert: Alert, seed: int, day: date, at: int) -> Alert:
    """Somebody looked at most alerts, and dealt with many."""
    draw = chance(seed, "handled", day, at)
    fate, who = draw.random(), draw.choice(["maya", "jonas"])
    if alert.time is None or alert.severity == "critical" or fate > 0.75:
        return alert
    seen = alert.time + timedelta(minutes=draw.randint(2, 90))
    changes: dict[str, object] = {"status": "acknowledged", "acknowledged_by": who, "acknowledged_at": seen}
    if fate < 0.55:
        done = seen + timedelta(minutes=draw.randint(5, 240))
        changes |= {"status": "resolved", "resolved_by": who, "resolved_at": done}
    return msgspec.structs.replace(alert, **changes)
