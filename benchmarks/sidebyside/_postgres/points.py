"""Points by hand in PostgreSQL: what a careful programmer writes with ``psycopg`` alone, on the same tables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, LiteralString, TypeAlias

import psycopg

from iotstore import Bucket, Point
from sidebyside._postgres.partitions import Partitions
from sidebyside.engine import PointsByHand, Row
from sidebyside.moments import HOUR, instant, micros_of
from sidebyside.workload import EPOCH

#: The columns of a point that this workload fills: series, time, number, whole.
Filled: TypeAlias = tuple[int, int, float | None, int | None]

_TYPES: Final[dict[str, type]] = {"float": float, "int64": int, "bool": bool}
_COPY: Final[LiteralString] = "COPY {} (series, time, number, whole) FROM STDIN (FORMAT BINARY)"
_COPY_NUMBERS: Final[LiteralString] = "COPY iotstore_points (series, time, number) FROM STDIN (FORMAT BINARY)"
_STAGING: Final = (
    "CREATE TEMPORARY TABLE staging (series BIGINT, time BIGINT, number DOUBLE PRECISION, whole BIGINT)"
    " ON COMMIT DELETE ROWS"
)
_FROM_STAGING: Final = (
    "INSERT INTO iotstore_points (series, time, number, whole) SELECT series, time, number, whole FROM staging"
    " ON CONFLICT DO NOTHING"
)
_FORWARD: Final = (
    "INSERT INTO iotstore_latest AS l (series, time, number, whole)"
    " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::double precision[], $4::bigint[])"
    " ON CONFLICT (series) DO UPDATE SET time = excluded.time, number = excluded.number, whole = excluded.whole"
    " WHERE l.time < excluded.time"
)


class PostgresPoints(PointsByHand):
    """Points of known series in one partitioned table, and the newest ones in another."""

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self.connection: psycopg.Connection[Any] = connection
        self._cursor = connection.cursor(binary=True)
        self.execute: Callable[..., Any] = self._cursor.execute
        self.series: dict[tuple[str, str], tuple[int, type]] = {}
        for device, metric, of, number in self.execute("SELECT device, metric, type, id FROM series").fetchall():
            self.series[device, metric] = (number, _TYPES[of])
        ((width, first),) = self.execute(
            "SELECT width, first FROM iotstore_partitions WHERE name = 'points'"
        ).fetchall()
        self._partitions = Partitions(self.execute, "iotstore_points", width, first)
        self.execute(_STAGING)

    def number(self, device: str, metric: str) -> int:
        return self.series[device, metric][0]

    def write(self, points: Sequence[Point]) -> tuple[int, int]:
        rows = self._checked(points)
        with self.connection.transaction():
            self._copy(_COPY.format("iotstore_points"), ("int8", "int8", "float8", "int8"), rows)
            self._forward(rows)
        return len(rows), 0

    def write_bare(self, points: Sequence[Point]) -> tuple[int, int]:
        """The same, but for the latest values, which nothing follows then."""
        rows = self._checked(points)
        with self.connection.transaction():
            self._copy(_COPY.format("iotstore_points"), ("int8", "int8", "float8", "int8"), rows)
        return len(rows), 0

    def write_staged(self, points: Sequence[Point]) -> tuple[int, int]:
        """Check and store points, some of which are there already: of those, the first value stays."""
        rows = self._checked(points)
        with self.connection.transaction():
            self._copy(_COPY.format("staging"), ("int8", "int8", "float8", "int8"), rows)
            stored = self.execute(_FROM_STAGING).rowcount
            self._forward(rows)
        return stored, len(rows) - stored

    def write_numbers(self, series: int, micros: Sequence[int], values: Sequence[float]) -> int:
        newest = max(range(len(micros)), key=micros.__getitem__)
        self._make_partitions(min(micros), micros[newest])
        with self.connection.transaction():
            rows = zip([series] * len(micros), micros, values, strict=True)
            self._copy(_COPY_NUMBERS, ("int8", "int8", "float8"), rows)
            self.execute(_FORWARD, ([series], [micros[newest]], [values[newest]], [None]))
        return len(micros)

    def _checked(self, points: Sequence[Point]) -> list[Filled]:
        rows: list[Filled] = []
        series, epoch = self.series, EPOCH
        for index, point in enumerate(points):
            number, wanted = series[point.device, point.metric]
            time, value = point.time, point.value
            if time.tzinfo is None:
                raise ValueError(f"point {index} has no time zone")
            if value.__class__ is not wanted or (wanted is float and value - value != 0.0):  # type: ignore[operator]
                raise ValueError(f"point {index} has no value of its metric's type")
            since = time - epoch
            micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            if wanted is float:
                rows.append((number, micros, value, None))  # type: ignore[arg-type]
            else:
                rows.append((number, micros, None, int(value)))
        times = [row[1] for row in rows]
        self._make_partitions(min(times), max(times))
        return rows

    def _copy(self, statement: LiteralString, types: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        with self._cursor.copy(statement) as copy:
            copy.set_types(types)
            write = copy.write_row
            for row in rows:
                write(row)

    def _forward(self, rows: Sequence[Filled]) -> None:
        """Move the latest values on, in the order of the series, so that two writers never wait for each other."""
        newest: dict[int, Filled] = {}
        for row in rows:
            known = newest.get(row[0])
            if known is None or known[1] < row[1]:
                newest[row[0]] = row
        columns = zip(*(newest[number] for number in sorted(newest)), strict=True)
        self.execute(_FORWARD, [list(column) for column in columns])

    def _make_partitions(self, least: int, most: int) -> None:
        number = self._partitions.number
        # One partition takes all that is older than the first.
        self._partitions.make(range(max(number(least), 0), number(most) + 1))

    def latest(self, device: str, metric: str) -> Point:
        number, _ = self.series[device, metric]
        time, value = self.execute("SELECT time, number FROM iotstore_latest WHERE series = $1", (number,)).fetchone()
        return Point(device, metric, EPOCH + timedelta(0, 0, time), value)

    def last(self, device: str, metric: str, count: int) -> list[Point]:
        number, _ = self.series[device, metric]
        rows = self.execute(
            "SELECT time, number FROM iotstore_points WHERE series = $1 ORDER BY time DESC LIMIT $2", (number, count)
        )
        return [Point(device, metric, EPOCH + timedelta(0, 0, time), value) for time, value in rows.fetchall()]

    def rows(self, device: str, metric: str) -> list[Row]:
        number, _ = self.series[device, metric]
        found: list[Row] = self.execute(
            "SELECT time, number FROM iotstore_points WHERE series = $1 ORDER BY time", (number,)
        ).fetchall()
        return found

    def hourly(self, device: str, metric: str, start: datetime, end: datetime) -> list[Bucket]:
        number, _ = self.series[device, metric]
        rows = self.execute(
            f"SELECT time / {HOUR} AS hour, count(*), avg(number), min(number), max(number) FROM iotstore_points"  # noqa: S608
            " WHERE series = $1 AND time >= $2 AND time < $3 GROUP BY hour ORDER BY hour",
            (number, micros_of(start), micros_of(end)),
        )
        hour = timedelta(hours=1)
        return [
            Bucket(
                device,
                metric,
                begin := instant(at * HOUR),
                begin + hour,
                {"count": count, "mean": mean, "min": least, "max": most},
            )
            for at, count, mean, least, most in rows.fetchall()
        ]

    def size_note(self, rows: int) -> str:
        (used,) = self.execute(
            "SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits"
            " WHERE inhparent = 'iotstore_points'::regclass"
        ).fetchone()
        return f"{rows:,} points on each side, {float(used) / rows:.1f} bytes per point with their index"
