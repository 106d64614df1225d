"""Points by hand: what a careful programmer writes with ``sqlite3`` alone, as fast as is known, on the same tables."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final

from iotstore import Bucket, Point
from sidebyside.byhand_records import insert_text
from sidebyside.engine import PointsByHand, Row
from sidebyside.moments import HOUR, micros_of
from sidebyside.workload import EPOCH

_ROWS: Final = 500  # of one statement: more gain little
_TYPES: Final[dict[str, type]] = {"float": float, "int64": int, "bool": bool}


class SqlitePoints(PointsByHand):
    """Points of known series in one table, written and read with one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute = connection.execute
        self.series: dict[tuple[str, str], tuple[int, type]] = {}
        for device, metric, of, number in self.execute("SELECT device, metric, type, id FROM series"):
            self.series[device, metric] = (number, _TYPES[of])

    def number(self, device: str, metric: str) -> int:
        return self.series[device, metric][0]

    def write(self, points: Sequence[Point]) -> tuple[int, int]:
        flat: list[object] = []
        series, epoch = self.series, EPOCH
        for index, point in enumerate(points):
            number, wanted = series[point.device, point.metric]
            time, value = point.time, point.value
            if time.tzinfo is None:
                raise ValueError(f"point {index} has no time zone")
            if value.__class__ is not wanted or (wanted is float and value - value != 0.0):  # type: ignore[operator]
                raise ValueError(f"point {index} has no value of its metric's type")
            since = time - epoch
            flat += (number, (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds, value)
        return self._insert(flat, len(points))

    def write_sorted(self, points: Sequence[Point]) -> tuple[int, int]:
        """The same, series by series: neighbours in the table are inserted one after the other."""
        columns: dict[tuple[str, str], tuple[list[int], list[object], type]] = {
            key: ([], [], wanted) for key, (_, wanted) in self.series.items()
        }
        epoch = EPOCH
        for index, point in enumerate(points):
            times, values, wanted = columns[point.device, point.metric]
            time, value = point.time, point.value
            if time.tzinfo is None:
                raise ValueError(f"point {index} has no time zone")
            if value.__class__ is not wanted or (wanted is float and value - value != 0.0):  # type: ignore[operator]
                raise ValueError(f"point {index} has no value of its metric's type")
            since = time - epoch
            times.append((since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds)
            values.append(value)
        flat: list[object] = [None] * (3 * len(points))
        at = 0
        for key, (number, _) in sorted(self.series.items(), key=lambda item: item[1][0]):
            times, values, _ = columns[key]
            end = at + 3 * len(times)
            flat[at:end:3], flat[at + 1 : end : 3], flat[at + 2 : end : 3] = [number] * len(times), times, values
            at = end
        return self._insert(flat, len(points))

    def write_numbers(self, series: int, micros: Sequence[int], values: Sequence[float]) -> int:
        flat: list[object] = [series] * (3 * len(micros))
        flat[1::3], flat[2::3] = micros, values
        return self._insert(flat, len(micros))[0]

    def _insert(self, flat: list[object], count: int) -> tuple[int, int]:
        before = self.connection.total_changes
        ending = " ON CONFLICT (series, time) DO NOTHING"
        full = insert_text("iotstore_points", 3, _ROWS, ending)
        self.execute("BEGIN IMMEDIATE")
        try:
            for at in range(0, 3 * (count - count % _ROWS), 3 * _ROWS):
                self.execute(full, flat[at : at + 3 * _ROWS])
            rest = count % _ROWS
            if rest:
                self.execute(insert_text("iotstore_points", 3, rest, ending), flat[3 * (count - rest) :])
        except BaseException:
            self.execute("ROLLBACK")
            raise
        self.execute("COMMIT")
        stored = self.connection.total_changes - before
        return stored, count - stored

    def latest(self, device: str, metric: str) -> Point:
        number, _ = self.series[device, metric]
        time, value = self.execute(
            "SELECT time, value FROM iotstore_points WHERE series = ? ORDER BY time DESC LIMIT 1", (number,)
        ).fetchone()
        return Point(device, metric, EPOCH + timedelta(0, 0, time), value)

    def last(self, device: str, metric: str, count: int) -> list[Point]:
        number, _ = self.series[device, metric]
        rows = self.execute(
            "SELECT time, value FROM iotstore_points WHERE series = ? ORDER BY time DESC LIMIT ?", (number, count)
        )
        return [Point(device, metric, EPOCH + timedelta(0, 0, time), value) for time, value in rows]

    def rows(self, device: str, metric: str) -> list[Row]:
        number, _ = self.series[device, metric]
        return self.execute(
            "SELECT time, value FROM iotstore_points WHERE series = ? ORDER BY time", (number,)
        ).fetchall()

    def size_note(self, rows: int) -> str:
        text = "SELECT sum(pgsize) FROM dbstat WHERE name = 'iotstore_points'"
        try:
            (used,) = self.execute(text).fetchone()
        except sqlite3.OperationalError:
            return f"{rows:,} points on each side; this SQLite does not tell the size of a table"
        return f"{rows:,} points on each side, {used / rows:.1f} bytes per point"

    def stream(self, device: str, metric: str) -> Iterator[Point]:
        """Every point of a series in time order."""
        number, wanted = self.series[device, metric]
        rows = self.execute("SELECT time, value FROM iotstore_points WHERE series = ? ORDER BY time", (number,))
        if wanted is bool:
            return (Point(device, metric, EPOCH + timedelta(0, 0, time), bool(value)) for time, value in rows)
        return (Point(device, metric, EPOCH + timedelta(0, 0, time), value) for time, value in rows)

    def hourly(self, device: str, metric: str, start: datetime, end: datetime) -> list[Bucket]:
        number, _ = self.series[device, metric]
        rows = self.execute(
            f"SELECT time / {HOUR} AS hour, count(*), avg(value), min(value), max(value) FROM iotstore_points"  # noqa: S608
            " WHERE series = ? AND time >= ? AND time < ? GROUP BY hour ORDER BY hour",
            (number, micros_of(start), micros_of(end)),
        )
        hour = timedelta(hours=1)
        return [
            Bucket(
                device,
                metric,
                begin := EPOCH + timedelta(0, 0, at * HOUR),
                begin + hour,
                {"count": count, "mean": mean, "min": least, "max": most},
            )
            for at, count, mean, least, most in rows
        ]
