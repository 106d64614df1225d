"""``iotstore talkers``, and the pictures of traffic: bars, protocols and the activity of devices by hour."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from typing import Final

from iotstore import Bandwidth, HeatCell, Store
from iotstore.cli._common import emit, opened, since
from iotstore.cli._drawing import Cell, Column, bar, shade, table
from iotstore.cli._formats import number, size
from iotstore.cli._terminal import Terminal, clean, pad, shorten

_BAR: Final = 22
_BAR_NARROW: Final = 8
_NAME: Final = 22
_HOURS: Final = range(24)


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Who moves the most bytes: devices, or destinations, services, protocols."""
    with opened(args) as store:
        start = since(args, store.clock.now())
        found = store.connections.bandwidth(start, args.at, by=args.by, limit=args.limit)
        names = names_of(store, [item.name for item in found]) if args.by == "device" else {}
    if args.json:
        emit(terminal, [_as_json(item, names) for item in found])
        return 0
    if not found:
        terminal.line("No connections.")
        return 0
    terminal.lines(bar_lines(terminal, found, names, args.by))
    return 0


def names_of(store: Store, keys: Sequence[str]) -> dict[str, str]:
    """The names of devices by key."""
    return {device.key: device.name or device.key for device in store.devices.get_many(keys) if device is not None}


def bar_lines(terminal: Terminal, found: Sequence[Bandwidth], names: Mapping[str, str], title: str) -> list[str]:
    """Traffic by name, the most bytes first, with bars."""
    most = max((item.bytes for item in found), default=0) or 1
    width = _BAR_NARROW if terminal.narrow else _BAR
    rows: list[list[str | Cell]] = [
        [
            "(none)" if item.name is None else names.get(item.name, str(item.name)),
            Cell(bar(terminal, item.bytes / most, width), ("cyan",)),
            Cell(size(item.bytes), ("bold",)),
            size(item.bytes_sent),
            size(item.bytes_received),
            number(item.connections),
        ]
        for item in found
    ]
    columns = [
        Column(title, shrinks=True),
        Column(""),
        Column("bytes", ">"),
        Column("sent", ">"),
        Column("received", ">"),
        Column("flows", ">"),
    ]
    return table(terminal, columns, rows)


def heat_lines(
    terminal: Terminal, cells: Sequence[HeatCell], names: Mapping[str, str], devices: Sequence[str]
) -> list[str]:
    """The bytes of each of these devices by hour of the day; each row is shaded against its own busiest hour."""
    bytes_of = {(cell.device, cell.hour): cell.bytes for cell in cells}
    mark = terminal.pick("…", "~")
    wide = 1 if terminal.narrow else 2  # columns for an hour
    ruler = "".join(pad(f"{hour:02}", 3 * wide) for hour in _HOURS if hour % 3 == 0).rstrip()
    lines = [terminal.paint("  " + " " * (_NAME + 2) + ruler, "dim")]
    for device in devices:
        row = [bytes_of.get((device, hour), 0) for hour in _HOURS]
        most = max(row)
        shades = "".join(shade(terminal, value, most) * wide for value in row)
        name = pad(shorten(clean(names.get(device, device)), _NAME, mark), _NAME)
        lines.append(f"  {name}  {terminal.paint(shades, 'cyan')}".rstrip())
    return lines


def _as_json(item: Bandwidth, names: Mapping[str, str]) -> dict[str, object]:
    return {
        "name": item.name,
        "device_name": names.get(item.name) if item.name is not None else None,
        "connections": item.connections,
        "bytes": item.bytes,
        "bytes_sent": item.bytes_sent,
        "bytes_received": item.bytes_received,
    }
