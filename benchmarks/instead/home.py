"""The home page of a monitor: fifteen answers that see one state, put together from what a contender answers."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from instead.contender import Contender, Read

_BINS: Final = 10
#: Ranges are half-open, and what happens now is on the page.
_MOMENT: Final = timedelta(microseconds=1)


class Home(NamedTuple):
    """What is on the page."""

    active: list[Read]
    unacknowledged: list[Read]
    connections: list[Read]
    devices: list[Read]
    timeline: list[tuple[Any, ...]]
    protocols: list[tuple[Any, ...]]
    heatmap: list[tuple[Any, ...]]
    alerts: list[tuple[str, str | None]]
    alert_timeline: list[tuple[Any, ...]]
    scores: list[int]
    bandwidth: list[tuple[Any, ...]]
    totals: tuple[int, int, int]


def traffic(one: Contender, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
    """Flows and bytes by hour, in order of time."""
    return sorted(one.grouped("hour", start, end))


def home(one: Contender, now: datetime) -> Home:
    """The page, from questions of one transaction."""
    day, week, end = now - timedelta(days=1), now - timedelta(days=7), now + _MOMENT
    with one.one_state():
        raised = one.newest("alerts", day, 100)
        names = one.names(sorted({alert.device for alert in raised if alert.device is not None}))
        tenths: dict[int, int] = {}
        for tenth, count in one.grouped("tenth", week, end):
            tenths[min(int(tenth), _BINS - 1)] = tenths.get(min(int(tenth), _BINS - 1), 0) + count
        return Home(
            active=one.newest("devices", now - timedelta(minutes=5), None),
            unacknowledged=one.newest("alerts", day, 100, only_open=True),
            connections=one.newest("flows", now - timedelta(hours=1), 100),
            devices=one.newest("devices", None, 100),
            timeline=traffic(one, day, end),
            protocols=_most(one.grouped("protocol", day, end)),
            heatmap=sorted((*row[:3], row[3] + row[4]) for row in one.grouped("device-hour", week, end)),
            alerts=[(alert.name, None if alert.device is None else names[alert.device]) for alert in raised],
            alert_timeline=sorted(one.grouped("day-severity", week, end)),
            scores=[tenths.get(tenth, 0) for tenth in range(_BINS)],
            bandwidth=_most(one.grouped("device", day, end))[:10],
            totals=(one.total("devices"), one.total("flows"), one.total("alerts")),
        )


def _most(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return sorted(rows, key=lambda row: (-row[2] - row[3], row[0]))
