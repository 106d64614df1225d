"""Finding series for reading: by device and metric, of a device, of a metric."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeVar, cast

from iotstore._domains._telemetry.values import check_device, check_metric, metric_key
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_reader
from iotstore._kinds.estate import DEVICES
from iotstore._kinds.telemetry import METRICS, SERIES, Metric, Series
from iotstore._waist.filters import ALWAYS, Compare, Filter, Op
from iotstore._waist.queries import Order, PointType, Select
from iotstore._waist.sessions import ReadSession, SeriesReader, WriteSession
from iotstore.errors import NotFound

__all__ = ["Finder", "Found"]

T = TypeVar("T")

_MOST_SERIES: Final = 100_000


class Found(NamedTuple):
    """A series that exists: as the waist is asked for it, its device, its metric with the name as first written."""

    asked: tuple[int, PointType]
    device: str
    metric: Metric

    @property
    def id(self) -> int:
        """The number of the series."""
        return self.asked[0]


class Finder:
    """Series by device and metric, with what was found before at hand.

    A remembered series may be deleted meanwhile. Its id is never given again, so that points found under it prove
    that it is there; when none are found, it is looked up anew.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._remembered: dict[tuple[str, str], Found] = {}
        #: Classes of sessions that were found to read points themselves: to ask each one is a twentieth of the cost.
        self._readers: set[type] = set()

    def ask(self, device: str, metric: str, question: Callable[[SeriesReader, Found], T], nothing: T) -> T:
        """What *question* answers about a series, *nothing* if the device has no points of this metric.

        NotFound if there is no such device, or no such metric.
        """
        engine = self._engine
        try:
            # A remembered pair has passed the checks, and they are a third of the cost of a latest value.
            found = self._remembered.get((device, metric))
        except TypeError:  # unhashable, so no text: the checks say so
            found = None
        with engine.reading() as session:
            reader = cast("SeriesReader", session) if type(session) in self._readers else self._reader(session)
            if found is not None:
                answer = question(reader, found)
                if answer:
                    return answer
            found = self.find(session, device, metric)
            return nothing if found is None else question(reader, found)

    def _reader(self, session: ReadSession) -> SeriesReader:
        reader = series_reader(self._engine.backend, session)
        if isinstance(session, SeriesReader):
            self._readers.add(type(session))
        return reader

    def find(self, session: ReadSession, device: str, metric: str) -> Found | None:
        """The series; None if both exist but the device has no such series. NotFound if one does not exist."""
        codec, key = self._engine.codec(SERIES), metric_key(check_metric(metric))
        row = session.get(SERIES.layout, codec.key((check_device(device), key)))
        if row is None:
            self.check_device(session, device)
            self.metric(session, metric)
            return None
        found = _found(codec.decode(row), self.metric(session, metric))
        # What an open transaction sees may be rolled back.
        if not isinstance(session, WriteSession):
            if len(self._remembered) >= _MOST_SERIES:
                self._remembered = {}
            self._remembered[device, metric] = found
        return found

    def check_device(self, session: ReadSession, device: str) -> None:
        """NotFound if there is no such device."""
        codec = self._engine.codec(DEVICES)
        if session.get(DEVICES.layout, codec.key(check_device(device))) is None:
            raise NotFound("device", device)

    def metric(self, session: ReadSession, name: str) -> Metric:
        """The metric of this name, whatever its upper and lower case; or NotFound."""
        codec = self._engine.codec(METRICS)
        row = session.get(METRICS.layout, codec.key(metric_key(check_metric(name))))
        if row is None:
            raise NotFound("metric", name, hint="a metric exists once it is defined or has a point")
        return codec.decode(row)

    def of_device(self, session: ReadSession, device: str) -> list[Found]:
        """All series of a device, by metric key; NotFound if there is no such device."""
        codec = self._engine.codec(SERIES)
        (held,) = self._engine.codec(DEVICES).key(check_device(device))
        rows = self._select(session, Compare("device", Op.EQ, held))
        if not rows:
            self.check_device(session, device)
        return self._named(session, [codec.decode(row) for row in rows])

    def of_metric(self, session: ReadSession, name: str | None) -> list[Found]:
        """All series of a metric (or all there are), by device and metric key; NotFound if there is no such metric."""
        codec = self._engine.codec(SERIES)
        if name is None:
            return self._named(session, [codec.decode(row) for row in self._select(session, ALWAYS)])
        metric = self.metric(session, name)
        (held,) = self._engine.codec(METRICS).key(metric.key)
        rows = self._select(session, Compare("metric", Op.EQ, held))
        return [_found(codec.decode(row), metric) for row in rows]

    def of_devices(
        self, session: ReadSession, devices: Sequence[str], metric: Metric
    ) -> list[tuple[str, Found | None]]:
        """The series of each of these devices, by device key; None where there is none. NotFound for an unknown one."""
        codec = self._engine.codec(SERIES)
        wanted = sorted({check_device(device) for device in devices})
        rows = session.get_many(SERIES.layout, [codec.key((device, metric.key)) for device in wanted])
        pairs: list[tuple[str, Found | None]] = []
        for device, row in zip(wanted, rows, strict=True):
            if row is None:
                self.check_device(session, device)
            pairs.append((device, None if row is None else _found(codec.decode(row), metric)))
        return pairs

    def all_metrics(self, session: ReadSession) -> list[Metric]:
        """Every metric, by its key."""
        codec = self._engine.codec(METRICS)
        return [codec.decode(row) for row in session.select(METRICS.layout, Select(order=(Order("key"),)))]

    def all_series(self, session: ReadSession, device: str | None) -> list[Series]:
        """Every series (of one device), by its key; NotFound if there is no such device."""
        codec = self._engine.codec(SERIES)
        where: Filter = ALWAYS
        if device is not None:
            self.check_device(session, device)
            (held,) = self._engine.codec(DEVICES).key(device)
            where = Compare("device", Op.EQ, held)
        return [codec.decode(row) for row in self._select(session, where)]

    def _select(self, session: ReadSession, where: Filter) -> Sequence[tuple[object, ...]]:
        return session.select(SERIES.layout, Select(where, (Order("device"), Order("metric"))))

    def _named(self, session: ReadSession, series: Sequence[Series]) -> list[Found]:
        codec = self._engine.codec(METRICS)
        keys = sorted({one.metric for one in series})
        rows = session.get_many(METRICS.layout, [codec.key(key) for key in keys]) if keys else []
        metrics = {key: codec.decode(row) for key, row in zip(keys, rows, strict=True) if row is not None}
        return [_found(one, metrics[one.metric]) for one in series if one.metric in metrics]


def _found(series: Series, metric: Metric) -> Found:
    return Found((series.id, PointType(series.type)), series.device, metric)
