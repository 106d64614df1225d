"""Reading points with the statements of a session."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar, Final, Literal

from iotstore.backend import (
    Buckets,
    Columns,
    Partials,
    PointType,
    Row,
    SeriesReader,
    Value,
    fold_columns,
    merge_partials,
)
from iotstore_postgres import _summaries
from iotstore_postgres._binary import unpacked
from iotstore_postgres._conversions import Int8Array
from iotstore_postgres._latest import COLUMN, LATEST, LATEST_OF_MANY, POSITION
from iotstore_postgres._point_fold import fold_parameters, fold_text, partial_of

EARLIEST: Final = -(2**63)
LATEST_TIME: Final = 2**63 - 1
_CHUNK: Final = 10_000
#: Points of one packed answer: they stay in the caches of the processor, on both sides.
_PAGE: Final = 20_000
#: The same where the next answer would come from another state: below two megabytes.
_ALONE: Final = 100_000
#: Up to so many points come as rows: packing them gains nothing.
_FEW: Final = 100

_IN_RANGE: Final = "FROM iotstore_points WHERE series = $1 AND time >= $2 AND time <= $3"


def _scan_text(of: PointType, direction: str) -> str:
    return f"SELECT time, {COLUMN[of][0]} {_IN_RANGE} ORDER BY time {direction} LIMIT $4"


def _packed_text(of: PointType, direction: str) -> str:
    # Each row of a COPY, and each value of a row, costs the client more than the server needs to find it: so all of
    # a page comes as one value. The server's binary forms of numbers have 8 bytes each. One aggregate of pairs takes
    # the server a sixth less than two of columns. NULL is no separator; an empty one would be appended each time.
    column = COLUMN[of][0]
    send = {"number": "float8send", "whole": "int8send"}[column]
    return (
        f"SELECT string_agg(int8send(time) || {send}({column}), NULL)"  # noqa: S608 - constants
        f" FROM ({_scan_text(of, direction)}) AS p"
    )


_DIRECTIONS: Final = {False: "ASC", True: "DESC"}
_SCAN: Final = {(of, back): _scan_text(of, way) for of in PointType for back, way in _DIRECTIONS.items()}
_PACKED: Final[dict[tuple[PointType, bool], str]] = {
    (of, back): _packed_text(of, way)
    for of in PointType
    if of is not PointType.TEXT
    for back, way in _DIRECTIONS.items()
}
# For each series one step back from the end of its range: partitions after the time are never opened, and those before
# the one that has a point are not looked at.
_BEFORE: Final = (
    "SELECT w.position, p.time, p.number, p.whole, p.words"
    " FROM unnest($1::bigint[]) WITH ORDINALITY AS w(series, position) CROSS JOIN LATERAL"
    " (SELECT q.time, q.number, q.whole, q.words FROM iotstore_points AS q"
    " WHERE q.series = w.series AND q.time < $2 ORDER BY q.time DESC LIMIT 1) AS p"
)
_COUNT: Final = "SELECT count(*) FROM iotstore_points"
_COUNT_OF: Final = f"{_COUNT} WHERE series = ANY($1)"


def _point(of: PointType, time: int, values: Sequence[Value]) -> tuple[int, Value]:
    value = values[POSITION[of]]
    return time, bool(value) if of is PointType.BOOL else value


class PointReads(SeriesReader):
    """Reading points with the statements of a session."""

    #: Whether all statements of the session see one state.
    sees_one_state: ClassVar[bool] = False

    @abstractmethod
    def rows(self, text: str, parameters: Sequence[Value]) -> list[Row]:
        """Run a statement and return its rows."""

    @abstractmethod
    def row(self, text: str, parameters: Sequence[Value]) -> Row | None:
        """Run a statement that returns one row at most."""

    @abstractmethod
    def chunks(self, text: str, parameters: Sequence[Value], rows: int) -> Iterator[list[Row]]:
        """Run a statement and return its rows in lists."""

    def scan(
        self,
        series: int,
        of: PointType,
        start: int | None,
        end: int | None,
        *,
        descending: bool = False,
        limit: int | None = None,
    ) -> Iterator[Columns]:
        low = EARLIEST if start is None else start
        high = LATEST_TIME if end is None else end - 1
        most = LATEST_TIME if limit is None else limit
        if of is PointType.TEXT or most <= _FEW:
            return self._scan_rows(of, descending, (series, low, high, most))
        return self._scan_packed(of, series, low, high, most, descending=descending)

    def _scan_rows(self, of: PointType, descending: bool, parameters: tuple[int, int, int, int]) -> Iterator[Columns]:
        text = _SCAN[of, descending]
        # A short answer costs one call instead of a cursor of the server's.
        few = parameters[3] <= _CHUNK
        parts: Any = [self.rows(text, parameters)] if few else self.chunks(text, parameters, _CHUNK)
        for rows in parts:
            if rows:
                times, values = zip(*rows, strict=True)
                yield Columns(times, list(map(bool, values)) if of is PointType.BOOL else values)

    def _scan_packed(
        self, of: PointType, series: int, low: int, high: int, most: int, *, descending: bool
    ) -> Iterator[Columns]:
        text, whole = _PACKED[of, descending], (series, low, high, most)
        code: Literal["q", "d"] = "d" if of is PointType.FLOAT else "q"
        page = _PAGE if self.sees_one_state else _ALONE
        while True:
            asked = min(most, page)
            (packed,) = self.row(text, (series, low, high, asked)) or (None,)
            if packed is None:
                return
            times, values = unpacked(packed, code)
            if len(times) == page < most and not self.sees_one_state:
                # The next page would come from another state. What is known of this one is asked for again.
                yield from self._scan_rows(of, descending, whole)
                return
            for at in range(0, len(times), _CHUNK):
                part = slice(at, at + _CHUNK)
                some: Sequence[Value] = values[part]
                yield Columns(times[part], list(map(bool, some)) if of is PointType.BOOL else some)
            most -= len(times)
            last_time = times[-1]
            if len(times) < asked or most <= 0 or last_time == (low if descending else high):
                return
            low, high = (low, last_time - 1) if descending else (last_time + 1, high)

    def latest(self, series: Sequence[tuple[int, PointType]]) -> list[tuple[int, Value] | None]:
        if len(series) == 1:
            ((one, of),) = series
            found = self.row(LATEST[of], (one,))
            if found is not None and of is PointType.BOOL:
                found = (found[0], bool(found[1]))
            return [found]
        rows = self.rows(LATEST_OF_MANY, (Int8Array(one for one, _ in series),))
        by_series = {number: (time, values) for number, time, *values in rows}
        return [_point(of, *by_series[one]) if one in by_series else None for one, of in series]

    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        result: list[tuple[int, Value] | None] = [None] * len(series)
        for position, moment, *values in self.rows(_BEFORE, (Int8Array(one for one, _ in series), time)):
            result[position - 1] = _point(series[position - 1][1], moment, values)
        return result

    def count(self, series: Sequence[int] | None = None) -> int:
        rows = self.rows(_COUNT, ()) if series is None else self.rows(_COUNT_OF, (Int8Array(series),))
        return int(rows[0][0])

    def fold(self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool) -> list[Partials]:
        return self._folded(series, buckets, lambda of: fold_text(of, buckets, edges=edges), edges=edges)

    def fold_materialized(
        self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool
    ) -> list[Partials]:
        """The same, of buckets that the server has summed up before as far as it has."""
        width, low, high = self._summarised(buckets)
        middle = _summaries.clipped(buckets, low, high)
        if middle is None:
            return self.fold(series, buckets, edges=edges)
        found = [
            self._folded(series, middle, lambda of: _summaries.summed_text(of, middle, width, edges=edges), edges=edges)
        ]
        ends = _summaries.clipped(buckets, buckets.start, low), _summaries.clipped(buckets, high, buckets.end)
        found += [self.fold(series, end, edges=edges) for end in ends if end is not None]
        return [merge_partials(parts) for parts in zip(*found, strict=True)]

    def _summarised(self, buckets: Buckets) -> tuple[int, int, int]:
        """The widest buckets that are materialized and serve these, and the span in which they do."""
        for (seconds,) in reversed(self.rows(_summaries.VIEWS, ())):
            width = seconds * 1_000_000
            if _summaries.fits(width, buckets):
                found = self.rows(_summaries.WATERMARK, (_summaries.view_of(width),))
                low = -(-buckets.start // width) * width
                high = min(buckets.end // width * width, found[0][0] if found else low)
                if low < high:
                    return width, low, high
        return 0, buckets.end, buckets.end

    def _folded(
        self,
        series: Sequence[tuple[int, PointType]],
        buckets: Buckets,
        text_of: Callable[[PointType], str],
        *,
        edges: bool,
    ) -> list[Partials]:
        types = dict(series)
        by_column: dict[str, list[int]] = {}
        for one, of in types.items():
            by_column.setdefault(COLUMN[of][0], []).append(one)
        found: dict[int, Partials] = {one: [] for one in types}
        unsummed: set[int] = set()
        for some in by_column.values():
            for row in self.rows(text_of(types[some[0]]), fold_parameters(some, buckets)):
                partial = partial_of(row, types[row[0]], edges=edges)
                if partial is None:
                    unsummed.add(row[0])
                else:
                    found[row[0]].append(partial)
        for one in unsummed:
            found[one] = self._fold_here(one, types[one], buckets, edges=edges)
        for partials in found.values():
            partials.sort(key=lambda partial: partial.bucket)
        return [found[one] for one, _ in series]

    def _fold_here(self, series: int, of: PointType, buckets: Buckets, *, edges: bool) -> Partials:
        parts = self.scan(series, of, buckets.start, buckets.end)
        return merge_partials(fold_columns(buckets, *part, edges=edges) for part in parts)
