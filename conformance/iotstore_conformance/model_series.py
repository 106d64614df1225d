"""The reference model of telemetry in plain Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias

from iotstore import BatchRejected, Conflict, Metric, NotFound, Point, Receipt, Rejected

Series: TypeAlias = tuple[str, str]
Value: TypeAlias = float | int | bool | str
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class SeriesModel:
    """Points of known devices and defined metrics; metric names fold."""

    def __init__(self, devices: Collection[str], metrics: Sequence[Metric]) -> None:
        self._devices = set(devices)
        self._metrics = {metric.name.casefold(): metric for metric in metrics}
        self._points: dict[Series, dict[datetime, Value]] = {}
        self._saved: list[dict[Series, dict[datetime, Value]]] = []

    def begin(self) -> None:
        """Start a transaction, or a savepoint inside one."""
        self._saved.append({series: dict(points) for series, points in self._points.items()})

    def commit(self) -> None:
        """Keep what was done since the innermost start."""
        self._saved.pop()

    def rollback(self) -> None:
        """Undo what was done since the innermost start."""
        self._points = self._saved.pop()

    def write(self, points: Sequence[Point], *, on_invalid: str, on_conflict: str) -> Receipt:
        """Write a batch, and say what became of every row."""
        rejected = tuple(Rejected(n, None, "") for n, point in enumerate(points) if not self._is_valid(point))
        if rejected and on_invalid == "raise":
            raise BatchRejected(rejected, len(points))
        bad = {row.index for row in rejected}
        good = [point for number, point in enumerate(points) if number not in bad]
        if on_conflict == "replace":
            return self._replace(good, rejected)
        fresh: dict[tuple[Series, datetime], Value] = {}
        for point in good:
            place = (self._series(point), point.time)
            if place in fresh or place[1] in self._points.get(place[0], {}):
                if on_conflict == "error":
                    raise Conflict("the point exists")
            else:
                fresh[place] = self._converted(point)
        for (series, time), value in fresh.items():
            self._points.setdefault(series, {})[time] = value
        return Receipt(len(fresh), len(good) - len(fresh), rejected)

    def _replace(self, good: Sequence[Point], rejected: tuple[Rejected, ...]) -> Receipt:
        last = {(self._series(point), point.time): self._converted(point) for point in good}
        stored = replaced = 0
        for (series, time), value in last.items():
            points = self._points.setdefault(series, {})
            if time not in points:
                stored += 1
            elif points[time] != value:
                stored, replaced = stored + 1, replaced + 1
            points[time] = value
        return Receipt(stored, len(good) - stored, rejected, replaced)

    def delete(self, device: str, metric: str, start: datetime | None, end: datetime | None) -> int:
        """Delete a range, and say how many points that were."""
        self._known(device)
        points = self._points.get((device, metric.casefold()), {})
        gone = [t for t in points if (start is None or t >= start) and (end is None or t < end)]
        for time in gone:
            del points[time]
        return len(gone)

    def range(self, device: str, metric: str, start: datetime, end: datetime) -> list[Point]:
        """The points of a range in the order of time."""
        self._known(device)
        key = metric.casefold()
        points = self._points.get((device, key), {})
        name = self._metrics[key].name
        return [Point(device, name, time, points[time]) for time in sorted(points) if start <= time < end]

    def latest(self, device: str) -> dict[str, Point]:
        """The newest point of each metric of a device, by the metric's name."""
        self._known(device)
        found: dict[str, Point] = {}
        for (owner, key), points in self._points.items():
            if owner == device and points:
                name, newest = self._metrics[key].name, max(points)
                found[name] = Point(device, name, newest, points[newest])
        return found

    def count(self) -> int:
        """How many points there are."""
        return sum(map(len, self._points.values()))

    def aggregate(
        self, device: str, metric: str, width: timedelta, start: datetime, end: datetime
    ) -> list[tuple[datetime, Mapping[str, Any]]]:
        """count, first, last, min and max of each bucket that has points; sum too where values are numbers."""
        buckets: dict[datetime, list[Value]] = {}
        for point in self.range(device, metric, start, end):
            buckets.setdefault(_EPOCH + (point.time - _EPOCH) // width * width, []).append(point.value)
        return [(begin, _folded(values)) for begin, values in buckets.items()]

    def _is_valid(self, point: Point) -> bool:
        if point.device not in self._devices:
            return False
        match self._metrics[point.metric.casefold()].type:
            case "text":
                return isinstance(point.value, str) and "\0" not in point.value
            case "bool":
                return isinstance(point.value, bool)
            case "int64":
                return _is_whole(point.value)
            case _:
                return _is_double(point.value)

    def _converted(self, point: Point) -> Value:
        match self._metrics[point.metric.casefold()].type:
            case "int64":
                return int(point.value)
            case "float":
                return float(point.value) + 0.0
            case _:
                return point.value

    def _series(self, point: Point) -> Series:
        return (point.device, point.metric.casefold())

    def _known(self, device: str) -> None:
        if device not in self._devices:
            raise NotFound("device", device)


def _is_whole(value: Value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return value == value and abs(value) != float("inf") and value == int(value) and -(2**63) <= int(value) < 2**63  # noqa: PLR0124 - only NaN differs from itself


def _is_double(value: Value) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return float(value) == value and abs(value) != float("inf")


def _folded(values: Sequence[Any]) -> dict[str, Any]:
    found = {"count": len(values), "first": values[0], "last": values[-1], "min": min(values), "max": max(values)}
    if isinstance(values[0], int):
        found["sum"] = sum(values)
    return found
