"""``iotstore alerts``, and the picture of alerts by day and severity."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date
from typing import Final

from iotstore import Alert, AlertDay, Store, field
from iotstore.cli._arguments import SEVERITIES
from iotstore.cli._common import emit, opened, plain, since
from iotstore.cli._drawing import Cell, Column, bar, table
from iotstore.cli._formats import instant, short_instant
from iotstore.cli._terminal import Terminal

STYLES: Final[Mapping[str, tuple[str, ...]]] = {
    "critical": ("bold", "red"),
    "high": ("red",),
    "medium": ("yellow",),
    "low": (),
    "info": ("dim",),
}
_BAR: Final = 16


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """List alerts, newest first."""
    with opened(args) as store:
        where = field("id") > 0
        start = since(args, store.clock.now())
        if start is not None:
            where &= field("time") >= start
        if args.at is not None:
            where &= field("time") < args.at
        if args.open:
            where &= field("status") == "open"
        if args.severity:
            where &= field("severity").in_(SEVERITIES[SEVERITIES.index(args.severity) :])
        if args.device:
            store.devices.get(args.device)  # an unknown key is an error, not an empty list
            where &= field("device") == args.device
        found = store.alerts.list(where, order=["-time"], limit=args.limit + 1)
        shown = found[: args.limit]
        names = device_names(store, shown)
    if args.json:
        emit(terminal, [_as_json(alert, names) for alert in shown])
        return 0
    if not shown:
        terminal.line("No alerts.")
        return 0
    terminal.lines(list_lines(terminal, shown, names))
    if len(found) > args.limit:
        terminal.line(terminal.paint(f"  There are more; --limit {args.limit * 2} shows them.", "dim"))
    return 0


def device_names(store: Store, alerts: Iterable[Alert]) -> dict[str, str]:
    """The names of the devices that these alerts are about."""
    keys = sorted({alert.device for alert in alerts if alert.device is not None})
    return {device.key: device.name or device.key for device in store.devices.get_many(keys) if device is not None}


def list_lines(terminal: Terminal, alerts: Iterable[Alert], names: Mapping[str, str]) -> list[str]:
    """Alerts as a table. Whose they are has a column only where a title does not say it."""
    rows = [(alert, names.get(alert.device, alert.device) if alert.device else "") for alert in alerts]
    named = all(name in alert.title for alert, name in rows)
    # The year is worth its room only where there are several.
    show = short_instant if len({alert.time.year for alert, _ in rows if alert.time}) == 1 else instant
    columns = [
        Column("id", ">"),
        Column("time (UTC)"),
        Column("severity"),
        Column("status"),
        *([] if named else [Column("device", shrinks=True)]),
        Column("title", shrinks=True),
    ]
    return table(terminal, columns, [_row(alert, show(alert.time), [] if named else [name]) for alert, name in rows])


def _row(alert: Alert, time: str, device: list[str]) -> list[str | Cell]:
    status = "suppressed" if alert.suppressed else alert.status
    waiting = status == "open"
    return [
        str(alert.id),
        time,
        Cell(alert.severity, STYLES[alert.severity]),
        Cell(status, () if waiting else ("dim",)),
        *device,
        alert.title,
    ]


def _as_json(alert: Alert, names: Mapping[str, str]) -> object:
    shown = plain(alert)
    if isinstance(shown, dict):
        shown["device_name"] = names.get(alert.device) if alert.device else None
    return shown


def timeline_lines(terminal: Terminal, found: Sequence[AlertDay], days: Sequence[date]) -> list[str]:
    """Alerts by day and severity, with a bar for each day's whole."""
    counts = {(item.day.astimezone(UTC).date(), item.severity): item.alerts for item in found}
    sums = {day: sum(counts.get((day, severity), 0) for severity in SEVERITIES) for day in days}
    most = max(sums.values(), default=0) or 1
    nothing = Cell(terminal.pick("·", "."), ("dim",))
    rows: list[list[str | Cell]] = []
    for day in days:
        cells = [
            Cell(str(count), STYLES[severity]) if (count := counts.get((day, severity))) else nothing
            for severity in SEVERITIES
        ]
        drawn = Cell(bar(terminal, sums[day] / most, _BAR), ("yellow",))
        rows.append([f"{day:%a} {day.day:2} {day:%b}", *cells, drawn, str(sums[day])])
    columns = [Column(""), *(Column(severity, ">") for severity in SEVERITIES), Column(""), Column("all", ">")]
    return table(terminal, columns, rows)
