"""``iotstore home``: the page that a monitor shows, drawn in a terminal."""

from __future__ import annotations

import argparse
from datetime import timedelta
from typing import Final

from iotstore import HomePage
from iotstore.cli._alerts import list_lines, timeline_lines
from iotstore.cli._common import emit, opened, plain
from iotstore.cli._drawing import facts, sparkline
from iotstore.cli._formats import instant, number, size
from iotstore.cli._talkers import bar_lines, heat_lines
from iotstore.cli._terminal import Terminal

_ROWS: Final = 5
_HOURS: Final = 24
_WEEK: Final = 7


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Draw the page. All of it is one state of the store."""
    with opened(args) as store:
        page = store.home()
        url = store.url
    if args.json:
        emit(terminal, plain(page))
        return 0
    terminal.title("Home", f"{url}  {instant(page.at)} UTC")
    terminal.lines(facts(terminal, _totals(page)))
    names = {device.key: device.name or device.key for device in page.devices}
    _traffic(terminal, page, names)
    _alerts(terminal, page, names)
    return 0


def _totals(page: HomePage) -> list[tuple[str, str]]:
    return [
        ("devices", f"{number(page.total_devices)}, {number(len(page.active))} seen within 5 minutes"),
        ("connections", f"{number(page.total_connections)}, {number(len(page.connections))} in the last hour"),
        (
            "alerts",
            f"{number(page.total_alerts)}, {number(len(page.unacknowledged))} of the last day wait for somebody",
        ),
    ]


def _traffic(terminal: Terminal, page: HomePage, names: dict[str, str]) -> None:
    if page.timeline:
        terminal.title("Traffic", "the last 24 hours")
        first = page.at - timedelta(hours=_HOURS)
        sums = [0.0] * (_HOURS + 1)
        for bucket in page.timeline:
            sums[min(max(0, (bucket.start - first) // timedelta(hours=1)), _HOURS)] += (
                bucket.bytes_sent + bucket.bytes_received
            )
        whole = sum(bucket.bytes_sent + bucket.bytes_received for bucket in page.timeline)
        flows = sum(bucket.connections for bucket in page.timeline)
        drawn = terminal.paint(sparkline(terminal, list(sums)), "cyan")
        terminal.line(f"  {drawn}  {size(whole)} in {number(flows)} flows")
        terminal.line()
        terminal.lines(bar_lines(terminal, page.bandwidth[:_ROWS], names, "device"))
        terminal.line()
        terminal.lines(bar_lines(terminal, page.protocols[:_ROWS], {}, "protocol"))
    if page.heatmap:
        terminal.title("Activity by hour (UTC)", "the last 7 days; each device against its own busiest hour")
        busiest = list(dict.fromkeys(item.name for item in page.bandwidth))[: _ROWS + 1]
        terminal.lines(heat_lines(terminal, page.heatmap, names, busiest))


def _alerts(terminal: Terminal, page: HomePage, names: dict[str, str]) -> None:
    terminal.title("Alerts", "the last 7 days")
    if not page.alert_timeline:
        terminal.line("  None.")
        return
    days = [(page.at - timedelta(days=back, microseconds=1)).date() for back in reversed(range(_WEEK))]
    terminal.lines(timeline_lines(terminal, page.alert_timeline, days))
    if page.unacknowledged:
        terminal.title("Waiting for somebody", "the last 24 hours")
        terminal.lines(list_lines(terminal, page.unacknowledged[:_ROWS], names))
