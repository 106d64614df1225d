"""A batch of points, checked and sorted into series: the one loop over objects that telemetry has."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from iotstore._clock import EPOCH, MAX_MICROS, MIN_MICROS, to_micros
from iotstore._domains._telemetry.values import (
    CLASS_OF,
    EXACT_IN_DOUBLE,
    MAX_TEXT,
    check_device,
    check_metric,
    convert,
    first_type,
    metric_key,
)
from iotstore._kinds.telemetry import MetricType, Point, PointValue
from iotstore._values import MAX_INT, MIN_INT
from iotstore._waist.layout import Value
from iotstore.errors import InvalidValue, Rejected

__all__ = ["Batch", "Group", "Known", "sort_points"]

SeriesKey: TypeAlias = tuple[str, str]


@dataclass(slots=True)
class Known:
    """What is known of the store while a batch is checked. Grows when the transaction finds it to be wrong.

    *types* maps the key of a metric to its type. Points of the *absent* devices, or of the *undefined* metrics (where
    only defined ones are taken), are rejected.
    """

    types: Mapping[str, MetricType]
    absent: Collection[str] = frozenset[str]()
    undefined: Collection[str] = frozenset[str]()


@dataclass(slots=True, eq=False)
class Group:
    """The good points of one series, in the order of the batch. *name* is the metric's name as it was written first."""

    device: str
    metric: str
    name: str
    type: MetricType
    times: Sequence[int]
    values: Sequence[Value]
    series: int = 0


@dataclass(slots=True)
class Batch:
    """A checked batch: its series by device and metric key, its rejected rows, and how many rows it had.

    *types* holds the type of every metric in it; those that were unknown are typed by their first good value. *refused*
    are the metrics of which some value did not fit the type: whether it still has this type is worth a look.
    """

    total: int
    groups: dict[SeriesKey, Group] = field(default_factory=dict[SeriesKey, Group])
    rejected: list[Rejected] = field(default_factory=list[Rejected])
    types: dict[str, MetricType] = field(default_factory=dict[str, MetricType])
    refused: set[str] = field(default_factory=set[str])


# Where a point of a known device and metric goes: the class of its values, and the ends of two columns.
_Entry: TypeAlias = tuple[type, Callable[[int], None], Callable[[PointValue], None]]
# What arithmetic on anything that is not a datetime, and looking up anything that is not a text, can raise.
_ODD: Final = (KeyError, TypeError, AttributeError, ValueError, OverflowError)


def sort_points(points: Sequence[Point], known: Known) -> Batch:
    """Check every point and sort the good ones into series. Everything wrong with a row is found, nothing is raised.

    This loop decides how fast points are taken, hence its form: what is common is done inline and ends in
    ``continue``; whatever is not falls through to the careful way, which takes it or rejects it.
    """
    batch = Batch(len(points))
    entries: dict[SeriesKey, _Entry] = {}
    careful = _Careful(batch, known, entries).take
    epoch, first, last, longest = EPOCH, MIN_MICROS, MAX_MICROS, MAX_TEXT
    least, most, exact = MIN_INT, MAX_INT, EXACT_IN_DOUBLE
    for index, point in enumerate(points):
        try:
            wanted, add_time, add_value = entries[point.device, point.metric]
            since = point.time - epoch
            # Integers: a float of seconds loses microseconds far from 1970.
            micros = (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds
            if first <= micros <= last:
                value = point.value
                kind = value.__class__
                if kind is not wanted:
                    if kind is int and wanted is float and -exact <= value <= exact:  # type: ignore[operator]
                        add_value(float(value))
                        add_time(micros)
                        continue
                elif kind is float:
                    if value - value == 0.0:  # type: ignore[operator]  # neither NaN nor infinite
                        add_value(value + 0.0)  # type: ignore[operator]  # -0.0 becomes 0.0
                        add_time(micros)
                        continue
                elif kind is int:
                    if least <= value <= most:  # type: ignore[operator]
                        add_value(value)
                        add_time(micros)
                        continue
                elif kind is bool or (value.isascii() and len(value) <= longest and "\0" not in value):  # type: ignore[union-attr, operator, arg-type]
                    add_value(value)
                    add_time(micros)
                    continue
        except _ODD:
            pass
        careful(index, point)
    return batch


class _Careful:
    """Takes the points that are not common: the first of each series, values to convert, and everything wrong."""

    __slots__ = ("_batch", "_entries", "_known")

    def __init__(self, batch: Batch, known: Known, entries: dict[SeriesKey, _Entry]) -> None:
        self._batch = batch
        self._known = known
        self._entries = entries

    def take(self, index: int, point: Point) -> None:
        """Add the point to its series, or reject it."""
        try:
            try:
                device, metric, time, value = point.device, point.metric, point.time, point.value
            except AttributeError as error:
                raise InvalidValue(f"expected a Point, got {type(point).__name__}") from error
            device, metric = check_device(device), check_metric(metric)
            key = metric_key(metric)
            refuse_unknown(self._known, device, metric, key)
            micros = to_micros(time, "time")
            of, stored = self._typed(key, value)
        except InvalidValue as error:
            self._batch.rejected.append(Rejected(index, error.field, error.reason))
            return
        _, add_time, add_value = self._entry(device, metric, key, of)
        add_value(stored)
        add_time(micros)

    def _typed(self, key: str, value: object) -> tuple[MetricType, PointValue]:
        batch = self._batch
        of = batch.types.get(key) or self._known.types.get(key) or first_type(value) or "float"
        try:
            stored = convert(value, of)
        except InvalidValue:
            batch.refused.add(key)
            raise
        batch.types[key] = of
        return of, stored

    def _entry(self, device: str, metric: str, key: str, of: MetricType) -> _Entry:
        found = self._entries.get((device, metric))
        if found is None:
            group = self._batch.groups.get((device, key))
            if group is None:
                times: list[int] = []
                column: list[PointValue] = []
                self._batch.groups[device, key] = Group(device, key, metric, of, times, column)
                found = CLASS_OF[of], times.append, column.append
            else:  # another spelling of the metric's name: the same columns
                found = self._entries[device, group.name]
            self._entries[device, metric] = found
        return found


def refuse_unknown(known: Known, device: str, metric: str, key: str) -> None:
    """InvalidValue if the store has no such device, or takes no such metric."""
    if device in known.absent:
        raise InvalidValue(f"there is no device {device!r}", field="device")
    if key in known.undefined:
        raise InvalidValue(
            f"there is no metric {metric!r}, and this store takes defined ones only (strict_metrics)", field="metric"
        )
