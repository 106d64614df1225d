"""``iotstore devices list`` and ``iotstore devices show``."""

from __future__ import annotations

import argparse
from datetime import datetime
from typing import Final

from iotstore import Device, Store, field
from iotstore.cli._alerts import list_lines
from iotstore.cli._common import emit, opened
from iotstore.cli._drawing import Cell, Column, facts, table
from iotstore.cli._formats import ago, instant, number, size
from iotstore.cli._latest import course_rows, draw
from iotstore.cli._terminal import Terminal

_ALERTS: Final = 5
_FACTS: Final = ("kind", "category", "vendor", "model", "firmware", "serial", "ip", "mac", "status", "notes")


def list_devices(args: argparse.Namespace, terminal: Terminal) -> int:
    """List devices, last seen first."""
    with opened(args) as store:
        now = store.clock.now()
        where = field("key") >= ""
        for name in ("kind", "owner"):
            if (wanted := getattr(args, name)) is not None:
                where &= field(name) == wanted
        if args.tag is not None:
            where &= field("tags").has_tag(args.tag)
        if args.search is not None:
            where &= field("name").contains(args.search) | field("vendor").contains(args.search)
        if args.seen is not None:
            where &= field("last_seen") >= now - args.seen
        if args.location is not None:
            where &= field("key").in_([device.key for device in store.locations.devices(args.location)])
        if args.group is not None:
            where &= field("key").in_([device.key for device in store.groups.members(args.group)])
        found = store.devices.list(where, order=["-last_seen"], limit=args.limit + 1)
    shown = found[: args.limit]
    if args.json:
        emit(terminal, shown)
        return 0
    if not shown:
        terminal.line("No devices.")
        return 0
    terminal.lines(device_lines(terminal, shown, now))
    if len(found) > args.limit:
        terminal.line(terminal.paint(f"  There are more; --limit {args.limit * 2} shows them.", "dim"))
    return 0


def device_lines(terminal: Terminal, devices: list[Device], now: datetime) -> list[str]:
    """Devices as a table."""
    columns = [
        Column("key", shrinks=True),
        Column("name", shrinks=True),
        Column("kind", shrinks=True),
        Column("location", shrinks=True),
        Column("seen"),
        Column(""),
    ]
    rows: list[list[str | Cell]] = [
        [
            Cell(device.key, ("bold",)),
            device.name or "",
            device.kind or "",
            device.location or "",
            ago(device.last_seen, now),
            _mark(device),
        ]
        for device in devices
    ]
    return table(terminal, columns, rows)


def _mark(device: Device) -> Cell:
    """The one thing about the device that a person should see at once."""
    if device.blocked:
        return Cell("blocked", ("red",))
    return Cell("trusted", ("green",)) if device.trusted else Cell("")


def show(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show all about one device."""
    with opened(args) as store:
        now = store.clock.now()
        device = store.devices.get(args.key)
        groups = store.groups.of(device.key)
        traffic = store.devices.traffic(device.key)
        alerts = store.alerts.list(field("device") == device.key, order=["-time"], limit=_ALERTS)
        courses = course_rows(store, device.key, now)
        place = _place(store, device.location)
    if args.json:
        latest = {course.metric: course for course in courses}
        emit(terminal, {"device": device, "groups": groups, "traffic": traffic, "alerts": alerts, "latest": latest})
        return 0
    mark = _mark(device)
    terminal.title(device.name or device.key, device.key)
    pairs = [(name, str(found)) for name in _FACTS if (found := getattr(device, name))]
    pairs += [
        ("location", place),
        ("owner", device.owner or ""),
        ("groups", ", ".join(g.name or g.key for g in groups)),
    ]
    pairs += [("tags", ", ".join(sorted(device.tags))), ("marked", mark.text)]
    pairs += [("first seen", instant(device.first_seen)), ("last seen", ago(device.last_seen, now))]
    terminal.lines(facts(terminal, [(name, found) for name, found in pairs if found]))
    if courses:
        terminal.title("Latest values", "the last 24 hours")
        terminal.lines(draw(terminal, courses, now))
    if traffic.connections:
        terminal.title("Traffic")
        flows = f"{number(traffic.connections)} to {number(traffic.destinations)} destinations"
        sums = [("flows", flows), ("sent", size(traffic.bytes_sent)), ("received", size(traffic.bytes_received))]
        terminal.lines(facts(terminal, sums))
    if alerts:
        terminal.title("Alerts", f"the last {len(alerts)}")
        terminal.lines(list_lines(terminal, alerts, {device.key: device.name or device.key}))
    return 0


def _place(store: Store, key: str | None) -> str:
    """A location with the places it lies in, the innermost first."""
    names: list[str] = []
    while key is not None and len(names) < 10:
        location = store.locations.get(key)
        names.append(location.name or location.key)
        key = location.parent
    return ", ".join(names)
