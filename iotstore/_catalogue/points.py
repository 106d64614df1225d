"""Points as canonical lines: series by device and metric, each in lines of 4,096 points, and back into a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from iotstore._catalogue.lines import Block, after, freed, held
from iotstore._engine.powers import series_reader, series_writer
from iotstore._kinds.telemetry import MetricType
from iotstore._waist.contract import Backend
from iotstore._waist.filters import ALWAYS, Filter
from iotstore._waist.layout import Key, Layout, Type
from iotstore._waist.queries import Columns, OnConflict, Order, PointType, Select
from iotstore._waist.sessions import ReadSession, WriteSession
from iotstore.errors import BackupError

POINTS: Final = "points"
#: Points in a line; only the last line of a series has fewer. Part of the format.
LINE_POINTS: Final = 4096
_SERIES_PER_PAGE: Final = 1000
_VALUE: Final[Mapping[str, type]] = {"float": float, "int64": int, "bool": bool, "text": str}


class PointLine(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One line: up to 4,096 points of one series in time order."""

    device: str
    metric: str
    type: MetricType
    times: list[int]
    values: list[Any]


class SeriesEntry(NamedTuple):
    """One series as the catalogue needs it."""

    device: str
    metric: str
    type: MetricType
    id: int


_encoder: Final = msgspec.json.Encoder()
_parse: Final = msgspec.json.Decoder(PointLine).decode_lines


class PointLines:
    """Streams and loads the points of a store. *layout* is that of the series."""

    def __init__(self, layout: Layout, backend: Backend) -> None:
        self._layout = layout
        self._backend = backend
        self._holds = backend.holds
        self._types = tuple((layout.position[name], layout.column(name).type) for name in SeriesEntry._fields)

    def blocks(self, session: ReadSession) -> Iterator[Block]:
        """Every point of the store as canonical lines, in the order of device, metric and time."""
        points = series_reader(self._backend, session)
        for series in self.series(session):
            yield from _lines(series, points.scan(series.id, PointType(series.type), None, None))

    def series(self, session: ReadSession) -> Iterator[SeriesEntry]:
        """Every series, in the order of device and metric."""
        # Pages by key, not an open stream: points are scanned in between on the same session.
        order = tuple(Order(name) for name in self._layout.key)
        where: Filter = ALWAYS
        while True:
            rows = session.select(self._layout, Select(where, order, _SERIES_PER_PAGE))
            for row in rows:
                yield SeriesEntry(*(freed(row[position], type_, self._holds) for position, type_ in self._types))
            if len(rows) < _SERIES_PER_PAGE:
                return
            where = after(self._layout.key, self._layout.key_of(rows[-1]))

    def orphans(self, session: ReadSession, counted: int) -> int:
        """How many points belong to no series, when *counted* belong to one."""
        return series_reader(self._backend, session).count() - counted

    def load(self, session: WriteSession, lines: bytes, most: int) -> None:
        """Append the points of some lines, at most *most* in one call. Their series are in the store."""
        points = series_writer(self._backend, session)
        parsed = parse(lines)
        columns: dict[PointType, tuple[list[int], list[int], list[Any]]] = {}
        for line, series in zip(parsed, self._ids(session, parsed), strict=True):
            of = PointType(line.type)
            ids, times, values = columns.setdefault(of, ([], [], []))
            ids += [series] * len(line.times)
            times += line.times
            values += line.values
        for of, (ids, times, values) in columns.items():
            for at in range(0, len(ids), most):
                part = slice(at, at + most)
                points.append(of, ids[part], times[part], values[part], OnConflict.ERROR)

    def _ids(self, session: WriteSession, lines: Sequence[PointLine]) -> Iterator[int]:
        keys: list[Key] = [
            (held(line.device, Type.TEXT, self._holds), held(line.metric, Type.TEXT, self._holds)) for line in lines
        ]
        for line, row in zip(lines, session.get_many(self._layout, keys), strict=True):
            if row is None:
                raise BackupError(f"there are points of {line.device!r} and {line.metric!r}, which is no series here")
            series = SeriesEntry(*(freed(row[position], type_, self._holds) for position, type_ in self._types))
            if series.type != line.type:
                raise BackupError(
                    f"points of {line.device!r} and {line.metric!r} are {line.type}, but the series is {series.type}"
                )
            yield series.id


def _lines(series: SeriesEntry, chunks: Iterator[Columns]) -> Iterator[Block]:
    times: list[int] = []
    values: list[Any] = []
    for chunk in chunks:
        times += _listed(chunk.times)
        values += _listed(chunk.values)
        at = 0
        while len(times) - at >= LINE_POINTS:
            yield _line(series, times[at : at + LINE_POINTS], values[at : at + LINE_POINTS])
            at += LINE_POINTS
        if at:
            times, values = times[at:], values[at:]
    if times:
        yield _line(series, times, values)


def _listed(column: Sequence[Any]) -> list[Any]:
    # Arrays give their elements as Python numbers; the encoder knows no others.
    if isinstance(column, list):
        return column
    tolist: Callable[[], list[Any]] | None = getattr(column, "tolist", None)
    return list(column) if tolist is None else tolist()


def _line(series: SeriesEntry, times: list[int], values: list[Any]) -> Block:
    line = PointLine(series.device, series.metric, series.type, times, values)
    return Block(_encoder.encode(line) + b"\n", len(times))


def parse(lines: bytes) -> list[PointLine]:
    """Point lines with their values checked; BackupError when one is not as the format wants it."""
    try:
        parsed = _parse(lines)
    except (msgspec.MsgspecError, ValueError) as error:
        raise BackupError(f"a line of points is not as the format wants it: {error}") from error
    for line in parsed:
        if len(line.times) != len(line.values) or not 0 < len(line.times) <= LINE_POINTS:
            raise BackupError(
                f"a line of points of {line.device!r} has {len(line.times)} times, {len(line.values)} values"
            )
        # One type per series, and exactly that one: True is no integer here, and 1 is no double.
        if set(map(type, line.values)) != {_VALUE[line.type]}:
            raise BackupError(
                f"a line of points of {line.device!r} and {line.metric!r} has values that are not {line.type}"
            )
    return parsed
