"""``iotstore latest``, and the picture of values: what is now, and how it came there."""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from iotstore import Metric, Point, Store
from iotstore.cli._common import emit, opened
from iotstore.cli._drawing import Cell, Column, sparkline, table
from iotstore.cli._formats import ago, duration, number, value
from iotstore.cli._terminal import Terminal
from iotstore.errors import NotFound

STEPS: Final = 24
_DAY: Final = timedelta(hours=24)


class Course(NamedTuple):
    """The latest value of one series, and one number for each stretch of time before it (None: nothing is known)."""

    device: str
    metric: str
    unit: str | None
    value: object
    time: datetime
    low: float | None
    high: float | None
    course: list[float | None]


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show the latest value of every metric of a device, or of one."""
    with opened(args) as store:
        device = store.devices.get(args.device)
        now = store.clock.now()
        found = course_rows(store, device.key, now, args.course)
    if args.metric is not None:
        found = [course for course in found if course.metric.casefold() == args.metric.casefold()]
        if not found:
            raise NotFound(
                "series", (device.key, args.metric), hint=f"iotstore latest {device.key} shows what there is"
            )
    if args.json:
        emit(terminal, found)
        return 0
    if not found:
        terminal.line(f"{device.key} has no telemetry.")
        return 0
    terminal.title(device.name or device.key, f"the last {_span_name(args.course)}")
    terminal.lines(draw(terminal, found, now))
    return 0


def _span_name(span: timedelta) -> str:
    return "24 hours" if span == _DAY else duration(span)


def course_rows(store: Store, device: str, now: datetime, span: timedelta = _DAY) -> list[Course]:
    """The courses of every series of a device, by metric."""
    metrics = {metric.name: metric for metric in store.telemetry.metrics()}
    latest = store.telemetry.latest(device)
    return [course_of(store, latest[name], metrics[name], now, span) for name in sorted(latest)]


def course_of(store: Store, point: Point, metric: Metric, now: datetime, span: timedelta = _DAY) -> Course:
    """One series over *span*: means of numbers, increases of counters, shares of true; nothing for text."""
    low: float | None = None
    high: float | None = None
    course: list[float | None] = []
    if metric.type != "text":
        function = "increase" if metric.counter else "mean"
        extremes = [] if metric.type == "bool" or metric.counter else ["min", "max"]
        width = max(span / STEPS, timedelta(seconds=1))
        buckets = store.telemetry.aggregate(
            point.device,
            metric.name,
            every=width,
            start=now - span,
            end=now,
            functions=[function, *extremes],
            fill="null",
        )
        course = [_number(bucket[function]) for bucket in buckets]
        if extremes:
            low = min(_known(bucket["min"] for bucket in buckets), default=None)
            high = max(_known(bucket["max"] for bucket in buckets), default=None)
    return Course(point.device, metric.name, metric.unit, point.value, point.time, low, high, course)


def _number(found: object) -> float | None:
    return float(found) if isinstance(found, int | float) else None


def _known(values: Iterable[object]) -> list[float]:
    return [found for item in values if (found := _number(item)) is not None]


def draw(
    terminal: Terminal, found: Sequence[Course], now: datetime, *, names: Sequence[str] | None = None
) -> list[str]:
    """Courses as a table; with *names*, those say whose they are (and there is no room left for when)."""
    titles: list[list[str | Cell]] = [[] for _ in found] if names is None else [[name] for name in names]
    rows: list[list[str | Cell]] = [
        [
            *title,
            course.metric,
            Cell(value(course.value, course.unit), ("bold",)),
            Cell(sparkline(terminal, course.course, STEPS // 3 if terminal.narrow else STEPS), ("cyan",)),
            _range(course),
            *([] if names is not None else [Cell(ago(course.time, now), ("dim",))]),
        ]
        for title, course in zip(titles, found, strict=True)
    ]
    columns = [
        *([Column("device", shrinks=True)] if names is not None else []),
        Column("metric", shrinks=True),
        Column("now", ">"),
        Column("course"),
        Column("range", ">"),
        *([] if names is not None else [Column("seen", ">")]),
    ]
    return table(terminal, columns, rows)


def _range(course: Course) -> str:
    if course.low is None or course.high is None:
        return ""
    return f"{_short(course.low)}..{_short(course.high)}"


def _short(found: float) -> str:
    """Three digits are enough for a range."""
    return number(round(found)) if abs(found) >= 100 else f"{found:.3g}"
