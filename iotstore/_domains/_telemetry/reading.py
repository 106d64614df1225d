"""The reading half of telemetry: newest points, ranges, columns, streams."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import overload

from iotstore._clock import EPOCH, to_micros
from iotstore._domains._telemetry.finding import Finder, Found
from iotstore._domains._telemetry.results import PointColumns, gather
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_reader
from iotstore._kinds.telemetry import Metric, Point, Series
from iotstore._waist.layout import Value
from iotstore._waist.queries import Columns
from iotstore._waist.sessions import SeriesReader
from iotstore.errors import InvalidValue

__all__ = ["TelemetryReads", "check_span"]


class TelemetryReads:
    """Reading points. Ranges are half-open ``[start, end)``; None leaves a side open.

    A device or a metric that does not exist is NotFound; a device without points of the metric is an empty answer.
    Metrics are found whatever their upper and lower case, and come back as they were first written.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._finder = Finder(engine)

    @overload
    def latest(self, device: str) -> dict[str, Point]: ...
    @overload
    def latest(self, device: str, metric: str) -> Point | None: ...
    def latest(self, device: str, metric: str | None = None) -> dict[str, Point] | Point | None:
        """The newest point by its time, however late it arrived: of one metric (None without points), or of every
        metric of the device that has points, by the metric's name."""
        if metric is not None:
            return self._finder.ask(device, metric, _latest, None)
        engine = self._engine
        with engine.consistent() as session:
            reader = series_reader(engine.backend, session)
            found = self._finder.of_device(session, device)
            return {point.metric: point for point in _newest(reader, found)}

    def latest_all(self, metric: str | None = None) -> list[Point]:
        """The newest point of every series (of one metric), by device key, then by metric."""
        engine = self._engine
        with engine.consistent() as session:
            reader = series_reader(engine.backend, session)
            return list(_newest(reader, self._finder.of_metric(session, metric)))

    def last(self, device: str, metric: str, n: int = 100) -> list[Point]:
        """The newest *n* points, newest first."""
        limit = _limit(n, "n")

        def question(reader: SeriesReader, found: Found) -> list[Point]:
            return _points(found, reader.scan(*found.asked, None, None, descending=True, limit=limit))

        return self._finder.ask(device, metric, question, [])

    def range(
        self,
        device: str,
        metric: str,
        start: datetime | None = None,
        end: datetime | None = None,
        *,
        limit: int | None = None,
    ) -> list[Point]:
        """The points of a range in time order, or the first *limit* of them."""
        low, high = check_span(start, end)
        most = None if limit is None else _limit(limit, "limit")

        def question(reader: SeriesReader, found: Found) -> list[Point]:
            return _points(found, reader.scan(*found.asked, low, high, limit=most))

        return self._finder.ask(device, metric, question, [])

    def window(self, device: str, start: datetime | None = None, end: datetime | None = None) -> dict[str, list[Point]]:
        """The points of a range of every metric of a device that has some, by the metric's name, each in time order."""
        low, high = check_span(start, end)
        engine = self._engine
        with engine.consistent() as session:
            reader = series_reader(engine.backend, session)
            of = self._finder.of_device(session, device)
            points = ((found.metric.name, _points(found, reader.scan(*found.asked, low, high))) for found in of)
            return {name: some for name, some in points if some}

    def columns(
        self, device: str, metric: str, start: datetime | None = None, end: datetime | None = None
    ) -> PointColumns:
        """The points of a range as columns, for numpy, Arrow and pandas, without an object per point."""
        low, high = check_span(start, end)
        engine = self._engine
        with engine.consistent() as session:
            reader = series_reader(engine.backend, session)
            found = self._finder.find(session, device, metric)
            if found is None:
                of = self._finder.metric(session, metric)
                return gather(device, of.name, of.type, ())
            return gather(device, found.metric.name, found.metric.type, reader.scan(*found.asked, low, high))

    def stream(
        self, device: str, metric: str, start: datetime | None = None, end: datetime | None = None
    ) -> Iterator[Point]:
        """The points of a range in time order, one by one in bounded memory, all from one state of the store.

        The state is that of the first step. What is refused is refused at the call.
        """
        low, high = check_span(start, end)
        with self._engine.reading() as session:
            series_reader(self._engine.backend, session)
            self._finder.find(session, device, metric)
        return self._stream(device, metric, low, high)

    def _stream(self, device: str, metric: str, low: int | None, high: int | None) -> Iterator[Point]:
        engine = self._engine
        with engine.consistent() as session:
            found = self._finder.find(session, device, metric)
            if found is None:
                return
            reader = series_reader(engine.backend, session)
            for chunk in reader.scan(*found.asked, low, high):
                yield from _points(found, (chunk,))

    def metrics(self) -> list[Metric]:
        """Every metric, by its key."""
        with self._engine.reading() as session:
            return self._finder.all_metrics(session)

    def series(self, device: str | None = None) -> list[Series]:
        """Every series (of one device), by device key, then by metric."""
        with self._engine.consistent() as session:
            return self._finder.all_series(session, device)

    def count(self, device: str | None = None, metric: str | None = None) -> int:
        """How many points there are: in all, of a device, of a metric, or of one series."""
        engine = self._engine
        with engine.consistent() as session:
            reader = series_reader(engine.backend, session)
            if device is None and metric is None:
                return reader.count()
            if device is None:
                found = self._finder.of_metric(session, metric)
            elif metric is None:
                found = self._finder.of_device(session, device)
            else:
                one = self._finder.find(session, device, metric)
                found = [] if one is None else [one]
            return reader.count([one.id for one in found]) if found else 0


def _latest(reader: SeriesReader, found: Found) -> Point | None:
    (newest,) = reader.latest([found.asked])
    return None if newest is None else _point(found, *newest)


def _newest(reader: SeriesReader, found: list[Found]) -> Iterator[Point]:
    if found:
        for one, newest in zip(found, reader.latest([one.asked for one in found]), strict=True):
            if newest is not None:
                yield _point(one, *newest)


def _point(found: Found, time: int, value: Value) -> Point:
    return Point(found.device, found.metric.name, EPOCH + timedelta(0, 0, time), value)


def _points(found: Found, chunks: Iterable[Columns]) -> list[Point]:
    device, metric = found.device, found.metric.name
    return [
        Point(device, metric, EPOCH + timedelta(0, 0, time), value)
        for times, values in chunks
        for time, value in zip(times, values, strict=True)
    ]


def check_span(start: datetime | None, end: datetime | None) -> tuple[int | None, int | None]:
    """A range in microseconds; InvalidValue for one that ends before it starts."""
    low = None if start is None else to_micros(start, "start")
    high = None if end is None else to_micros(end, "end")
    if low is not None and high is not None and low > high:
        raise InvalidValue("the range ends before it starts", field="end", hint="swap start and end")
    return low, high


def _limit(value: int, field: str) -> int:
    if type(value) is not int or value < 0:
        raise InvalidValue(f"{value!r} is no number of points", field=field)
    return value
