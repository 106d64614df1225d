"""What the demo shows of the home: values, talkers, activity, alerts, health."""

from __future__ import annotations

from typing import Final

from iotstore import Store, field
from iotstore.cli._admin import health_lines
from iotstore.cli._alerts import list_lines, timeline_lines
from iotstore.cli._latest import course_of, draw
from iotstore.cli._simulation.home import THINGS
from iotstore.cli._simulation.week import Week
from iotstore.cli._talkers import bar_lines, heat_lines
from iotstore.cli._terminal import Terminal

_NAMES: Final = {thing.key: thing.name for thing in THINGS}
_SHOWN: Final = (
    ("climate-kitchen", "temperature"),
    ("climate-bedroom", "temperature"),
    ("climate-garden", "temperature"),
    ("climate-upstairs", "humidity"),
    ("plug-tv", "power"),
    ("plug-fridge", "energy"),
    ("phone-maya", "battery"),
    ("cam-garden", "signal"),
    ("motion-upstairs", "motion"),
    ("router", "latency"),
    ("thermostat", "status"),
)
_TALKERS: Final = 8
_DESTINATIONS: Final = 4
_URGENT: Final = 4


def report(terminal: Terminal, store: Store, week: Week) -> None:
    """Everything that a person wants to see, as of the end of the week."""
    _values(terminal, store, week)
    _traffic(terminal, store, week)
    _alerts(terminal, store, week)
    terminal.title("Health")
    terminal.lines(health_lines(terminal, store.admin.health()))


def _values(terminal: Terminal, store: Store, week: Week) -> None:
    metrics = {metric.name: metric for metric in store.telemetry.metrics()}
    found = [
        course_of(store, point, metrics[metric], week.end)
        for device, metric in _SHOWN
        if (point := store.telemetry.latest(device, metric)) is not None
    ]
    terminal.title("Latest values", "with the course of the last 24 hours")
    terminal.lines(draw(terminal, found, week.end, names=[_NAMES[course.device] for course in found]))


def _traffic(terminal: Terminal, store: Store, week: Week) -> None:
    talkers = store.connections.top_talkers(week.start, week.end, limit=_TALKERS)
    terminal.title("Top talkers")
    terminal.lines(bar_lines(terminal, talkers, _NAMES, "device"))
    terminal.title("Services")
    services = store.connections.bandwidth(week.start, week.end, by="service", limit=_DESTINATIONS)
    terminal.lines(bar_lines(terminal, services, {}, "service"))
    terminal.title("Activity by hour (UTC)", "each device against its own busiest hour")
    cells = store.connections.heatmap(week.start, week.end)
    terminal.lines(heat_lines(terminal, cells, _NAMES, [item.name for item in talkers]))


def _alerts(terminal: Terminal, store: Store, week: Week) -> None:
    terminal.title("Alerts by day")
    terminal.lines(timeline_lines(terminal, store.alerts.timeline(week.start, week.end), week.days))
    where = (field("status") == "open") & field("severity").in_(["high", "critical"])
    where &= field("time").between(week.start, week.end)
    urgent = store.alerts.list(where, order=["-time"], limit=_URGENT)
    if urgent:
        terminal.title("Most urgent", "high or critical, and nobody has looked")
        terminal.lines(list_lines(terminal, urgent, _NAMES))
