"""Points: one table in the order of (series, time), private to this backend, so that its layout can change one day."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

from iotstore.backend import (
    Appended,
    Buckets,
    Columns,
    Conflict,
    Layout,
    OnConflict,
    Overflow,
    Partial,
    Partials,
    PointType,
    Row,
    SeriesReader,
    SeriesWriter,
    Value,
    fold_columns,
    merge_partials,
)
from iotstore_sql.statements import in_chunks

#: Without a rowid the rows lie in the tree of their key: neighbours in time are neighbours on disk, and the table
#: needs no index beside it. ANY keeps each value in the type it was given in.
CREATE_POINTS: Final = (
    "CREATE TABLE iotstore_points (series INTEGER NOT NULL, time INTEGER NOT NULL, value ANY NOT NULL,"
    " PRIMARY KEY (series, time)) STRICT, WITHOUT ROWID"
)
_EARLIEST: Final = -(2**63)
_LATEST: Final = 2**63 - 1
_CHUNK: Final = 10_000
#: Rows of one statement: twice as many gain a tenth and double the memory of the prepared statement.
_ROWS: Final = 500
# Where buckets hold fewer points than this on average, reading the points beats asking bucket by bucket.
_SPARSE: Final = 12
_SAMPLE: Final = 32

_IN_RANGE: Final = "FROM iotstore_points WHERE series = ? AND time >= ? AND time <= ?"
_SCAN: Final = f"SELECT time, value {_IN_RANGE} ORDER BY time LIMIT ?"
_SCAN_BACK: Final = f"SELECT time, value {_IN_RANGE} ORDER BY time DESC LIMIT ?"
# Looked up once: to reach a member of an enumeration costs a newest point a hundredth of its time.
_BOOL: Final = PointType.BOOL
_LAST: Final = "SELECT time, value FROM iotstore_points WHERE series = ? ORDER BY time DESC LIMIT 1"
# CROSS JOIN fixes the order: for each series one seek to the end of its range.
_NEWEST_OF_MANY: Final = (
    "SELECT wanted.key, p.time, p.value FROM json_each(?) AS wanted CROSS JOIN iotstore_points AS p"
    " WHERE p.series = wanted.value AND p.time = (SELECT q.time FROM iotstore_points AS q"
    " WHERE q.series = wanted.value AND q.time <= ? ORDER BY q.time DESC LIMIT 1)"
)
_OF_SERIES: Final = "series IN (SELECT value FROM json_each(?))"
_COUNT_OF: Final = f"SELECT count(*) FROM iotstore_points WHERE {_OF_SERIES}"  # noqa: S608 - constants only
_ERASE: Final = f"DELETE FROM iotstore_points WHERE {_OF_SERIES} AND time >= ? AND time <= ?"  # noqa: S608 - the same


def _fold_text(sums: str, edges: bool) -> str:
    # One statement per bucket: its points lie side by side, and the start of the next non-empty bucket is one more
    # seek. Grouping by a computed bucket number would sort all points first, at five times the cost.
    following = "(SELECT time FROM iotstore_points WHERE series = ? AND time > ? AND time <= ? ORDER BY time LIMIT 1)"
    values = ""
    if edges:
        values = (
            ", (SELECT value FROM iotstore_points WHERE series = ? AND time >= ? ORDER BY time LIMIT 1)"
            ", (SELECT value FROM iotstore_points WHERE series = ? AND time <= ? ORDER BY time DESC LIMIT 1)"
        )
    return f"SELECT {following}, count(*), {sums}, min(value), max(value), max(time){values} {_IN_RANGE}"


def _fold_parameters(series: int, time: int, last: int, end: int, *, edges: bool) -> tuple[int, ...]:
    # By position: early releases of Python 3.12 take a numbered placeholder for a named one and warn.
    values = (series, time, series, last) if edges else ()
    return (series, last, end, *values, series, time, last)


@lru_cache(32)
def _append_text(rows: int, conflict: OnConflict) -> str:
    text = "INSERT INTO iotstore_points (series, time, value) VALUES " + ", ".join(["(?, ?, ?)"] * rows)  # noqa: S608 - constants only
    if conflict is OnConflict.KEEP:
        return text + " ON CONFLICT (series, time) DO NOTHING"
    if conflict is OnConflict.REPLACE:
        # Equal values stay, so that what is counted as changed was another value.
        return text + " ON CONFLICT (series, time) DO UPDATE SET value = excluded.value WHERE value <> excluded.value"
    return text


def _listed(column: Sequence[Value]) -> list[Value]:
    if type(column) is list:
        return column
    to_list = getattr(column, "tolist", None)  # numpy arrays and array.array: the driver can't bind numpy's scalars
    return list(column) if to_list is None else to_list()


def _as_bool(point: Row | None) -> tuple[int, Value] | None:
    return None if point is None else (point[0], bool(point[1]))


def _identifiers(series: Sequence[int]) -> str:
    return "[" + ",".join(map(str, series)) + "]"


class PointReads(SeriesReader):
    """Reading points with the statements of a session."""

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
        first = _EARLIEST if start is None else start
        last = _LATEST if end is None else end - 1
        most = -1 if limit is None else limit
        text, parameters = _SCAN_BACK if descending else _SCAN, (series, first, last, most)
        # A short answer costs one call instead of a generator with a cursor of its own.
        parts: Any = [self.rows(text, parameters)] if 0 <= most <= _CHUNK else self.chunks(text, parameters, _CHUNK)
        for rows in parts:
            if rows:
                times, values = zip(*rows, strict=True)
                yield Columns(times, list(map(bool, values)) if of is _BOOL else values)

    def latest(self, series: Sequence[tuple[int, PointType]]) -> list[tuple[int, Value] | None]:
        if len(series) != 1:
            return self._newest(series, _LATEST)
        ((one, of),) = series
        found = self.row(_LAST, (one,))
        return [found if of is not _BOOL else _as_bool(found)]

    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        return self._newest(series, time - 1)

    def _newest(self, series: Sequence[tuple[int, PointType]], last: int) -> list[tuple[int, Value] | None]:
        result: list[tuple[int, Value] | None] = [None] * len(series)
        for index, time, value in self.rows(_NEWEST_OF_MANY, (_identifiers([one for one, _ in series]), last)):
            result[index] = (time, value)
        for index, (_, of) in enumerate(series):
            if of is _BOOL:
                result[index] = _as_bool(result[index])
        return result

    def count(self, series: Sequence[int] | None = None) -> int:
        if series is None:
            found = self.rows("SELECT count(*) FROM iotstore_points", ())
        else:
            found = self.rows(_COUNT_OF, (_identifiers(series),))
        return int(found[0][0])

    def fold(self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool) -> list[Partials]:
        return [self._fold_one(one, of, buckets, edges=edges) for one, of in series]

    def _fold_one(self, series: int, of: PointType, buckets: Buckets, *, edges: bool) -> Partials:
        end = buckets.end - 1
        found = self.rows(_SCAN, (series, buckets.start, end, 1))
        time: int | None = found[0][0] if found else None
        text = _fold_text("NULL" if of is PointType.TEXT else "sum(value)", edges)
        partials: Partials = []
        points = 0
        while time is not None:
            if len(partials) == _SAMPLE and points < _SAMPLE * _SPARSE:
                rest = self.scan(series, of, time, buckets.end)
                return merge_partials([partials, *(fold_columns(buckets, *part, edges=edges) for part in rest)])
            number, last = _bucket(buckets, time)
            asked = _fold_parameters(series, time, last, end, edges=edges)
            partial, time = self._fold_bucket(text, asked, of, number, time, edges=edges)
            partials.append(partial)
            points += partial.count
        ordered = buckets.modulo is None
        return partials if ordered else merge_partials([[partial] for partial in partials])

    def _fold_bucket(
        self, text: str, parameters: tuple[int, ...], of: PointType, number: int, time: int, *, edges: bool
    ) -> tuple[Partial, int | None]:
        try:
            (row,) = self.rows(text, parameters)
            following, count, total, least, most, last_time, *values = row
        except Overflow:
            # 64 bits don't hold the sum, or not on the way: the halves do, and Python joins them.
            (row,) = self.rows(_fold_text("sum(value >> 32), sum(value & 4294967295)", edges), parameters)
            following, count, high, low, least, most, last_time, *values = row
            total = (high << 32) + low
        if of is _BOOL:
            least, most, *values = map(bool, (least, most, *values))
        if not edges:
            return Partial(number, count, total, least, most), following
        return Partial(number, count, total, least, most, time, values[0], last_time, values[1]), following


def _bucket(buckets: Buckets, time: int) -> tuple[int, int]:
    """The number of the bucket that *time* lies in, and the last instant of it."""
    pieces = buckets.pieces
    low, high = 0, len(pieces)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if pieces[middle].start <= time else (low, middle)
    start, width, first = pieces[low]
    steps = (time - start) // width
    limit = pieces[low + 1].start if low + 1 < len(pieces) else buckets.end
    number = first + steps
    return number if buckets.modulo is None else number % buckets.modulo, min(start + (steps + 1) * width, limit) - 1


class PointWrites(PointReads, SeriesWriter):
    """Writing points with the statements of a transaction."""

    @abstractmethod
    def change(self, text: str, parameters: Sequence[Value], layout: Layout | None) -> int:
        """Run a statement and return how many rows it changed."""

    @abstractmethod
    def savepoint(self) -> None:
        """Start a part that can be undone."""

    @abstractmethod
    def release(self) -> None:
        """Keep the part."""

    @abstractmethod
    def undo(self) -> None:
        """Undo the part."""

    def append(
        self,
        of: PointType,  # noqa: ARG002 - the driver binds each type as it is
        series: Sequence[int],
        times: Sequence[int],
        values: Sequence[Value],
        conflict: OnConflict,
    ) -> Appended:
        count = len(series)
        if not len(times) == len(values) == count:
            raise ValueError(f"columns of {count}, {len(times)} and {len(values)} points are not aligned")
        flat: list[Value] = [None] * (3 * count)
        flat[0::3], flat[1::3], flat[2::3] = _listed(series), _listed(times), _listed(values)
        stored = replaced = 0
        self.savepoint()  # several statements, and a refused call stores nothing
        try:
            for start, stop in in_chunks(count, _ROWS):
                part = flat if stop - start == count else flat[3 * start : 3 * stop]
                if conflict is OnConflict.REPLACE:
                    # New points first; what the second statement still changes took another value's place.
                    fresh = self.change(_append_text(stop - start, OnConflict.KEEP), part, None)
                    stored += fresh
                    if fresh < stop - start:
                        replaced += self.change(_append_text(stop - start, OnConflict.REPLACE), part, None)
                else:
                    stored += self.change(_append_text(stop - start, conflict), part, None)
        except Conflict as error:
            self.undo()
            raise Conflict("a point of this series and time exists already") from error
        except BaseException:
            self.undo()
            raise
        self.release()
        return Appended(stored + replaced, count - stored - replaced, replaced)

    def erase(self, series: Sequence[int], start: int | None, end: int | None) -> int:
        first = _EARLIEST if start is None else start
        last = _LATEST if end is None else end - 1
        return self.change(_ERASE, (_identifiers(series), first, last), None)
