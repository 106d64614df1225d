"""Columns that an application hands in: lists of Python objects, or arrays, which are checked without making any."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Callable
from datetime import datetime
from math import isfinite
from typing import Any, Final

import msgspec

from iotstore._clock import EPOCH, MAX_MICROS, MIN_MICROS, to_micros
from iotstore._domains._telemetry.arrays import (
    NO_TIME,
    NO_VALUE,
    NO_YEAR,
    Array,
    Checked,
    Faults,
    array_times,
    array_values,
    is_array,
    without,
)
from iotstore._domains._telemetry.arrow import from_arrow, is_list
from iotstore._domains._telemetry.batch import Batch, Group, Known, refuse_unknown
from iotstore._domains._telemetry.values import check_device, check_metric, convert, first_type, metric_key
from iotstore._kinds.telemetry import MetricType
from iotstore._values import MAX_INT, MIN_INT, wrong_type
from iotstore.errors import InvalidValue, Rejected

__all__ = ["Incoming"]

_STAND_IN: Final[dict[MetricType, Any]] = {"float": 0.0, "int64": 0, "bool": False, "text": ""}
_encoder: Final = msgspec.msgpack.Encoder(enc_hook=repr)


class Incoming:
    """Points of one series as columns: times checked once, values whenever the metric's type is another one."""

    def __init__(self, device: str, metric: str, times: object, values: object) -> None:
        self._device = check_device(device)
        self._metric = check_metric(metric)
        given, faults = _plain(times, "times")
        self._times = array_times(given) if is_array(given) else _list_times(given)
        self._times.faults.update(faults)
        taken, self._nulls = _plain(values, "values")
        self._values: Any = taken
        if len(self._values) != len(self._times.column):
            raise InvalidValue(
                f"{len(self._values)} values do not match {len(self._times.column)} times", field="values"
            )

    def check(self, known: Known) -> Batch:
        """The batch of the good rows, as the metric's type stores them."""
        times, total, key = self._times, len(self._values), metric_key(self._metric)
        batch = Batch(total)
        try:
            refuse_unknown(known, self._device, self._metric, key)
        except InvalidValue as error:
            batch.rejected = [Rejected(index, error.field, error.reason) for index in range(total)]
            return batch
        of = known.types.get(key) or self._first_type()
        checked = array_values(self._values, of) if is_array(self._values) else None
        if checked is None:
            values = self._values.tolist() if is_array(self._values) else self._values
            checked = _list_values(values, of)
        if checked.faults:
            batch.refused.add(key)
        checked.faults.update(self._nulls)
        batch.rejected = _rejected(times.faults, checked.faults)
        if len(batch.rejected) < total:
            bad = [row.index for row in batch.rejected]
            batch.types[key] = of
            batch.groups[self._device, key] = Group(
                self._device, key, self._metric, of, without(times.column, bad), without(checked.column, bad)
            )
        return batch

    def digest(self) -> str:
        """A digest of what was handed in, for its idempotency key; the same for lists and arrays of the same points."""
        digest = hashlib.blake2b(digest_size=16)
        digest.update(msgspec.msgpack.encode(["telemetry columns", self._device, self._metric, len(self._values)]))
        digest.update(_packed(self._times.column))
        digest.update(msgspec.msgpack.encode([sorted(self._times.faults), sorted(self._nulls)]))
        digest.update(_packed(self._values))
        return digest.hexdigest()

    def _first_type(self) -> MetricType:
        if is_array(self._values):
            return "bool" if self._values.dtype.kind == "b" else "float"
        good = (value for index, value in enumerate(self._values) if index not in self._times.faults)
        for value in good:
            of = None if value is None else first_type(value)
            if of is not None:
                return of
        return "float"


def _plain(given: Any, name: str) -> tuple[Any, Faults]:
    """The column as a list or as an array of numbers or times with one dimension, and the rows that are null in it."""
    given, nulls = from_arrow(given, name)
    faults = dict.fromkeys(nulls, NO_TIME if name == "times" else NO_VALUE)
    if is_array(given):
        if given.ndim != 1:
            raise InvalidValue(f"has {given.ndim} dimensions instead of one", field=name)
        if name == "values" and given.dtype.kind in "mM":
            raise InvalidValue(f"a numpy array of {given.dtype}; values are numbers, booleans or texts", field=name)
        return (given if given.dtype.kind in "fiubM" else given.tolist()), faults
    return _listed(given, name), faults


def _listed(given: Any, name: str) -> list[Any]:
    if type(given) in (str, bytes, dict) or not hasattr(given, "__iter__"):
        raise wrong_type("a column (a list, a numpy array or an Arrow array)", given, name)
    return given if is_list(given) else list(given)


def _list_times(column: list[Any]) -> Checked:
    """Integer microseconds since 1970 of datetimes or of such integers."""
    classes = set(map(type, column))
    if classes == {int} and min(column) >= MIN_MICROS and max(column) <= MAX_MICROS:
        return Checked(column)
    if classes == {datetime}:
        try:
            sinces = [time - EPOCH for time in column]
        except TypeError:
            return _each(column, _time, 0)  # a naive one: the careful way tells which
        micros = [(since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds for since in sinces]
        if min(micros) >= MIN_MICROS and max(micros) <= MAX_MICROS:
            return Checked(micros)
    return _each(column, _time, 0)


def _time(value: Any) -> int:
    if value is None:
        raise InvalidValue(NO_TIME)
    if isinstance(value, datetime):
        return to_micros(value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise wrong_type("a datetime or integer microseconds since 1970", value, None)
    if not MIN_MICROS <= value <= MAX_MICROS:
        raise InvalidValue(NO_YEAR)
    return int(value)


def _list_values(column: list[Any], of: MetricType) -> Checked:
    """The values as a metric of this type stores them. What is all of the right class is checked by builtins alone."""
    classes = set(map(type, column))
    # The sum of anything that is not finite is not finite.
    if of == "float" and classes == {float} and isfinite(sum(column)):
        return Checked([value + 0.0 for value in column])  # -0.0 becomes 0.0
    if of == "int64" and classes == {int} and min(column) >= MIN_INT and max(column) <= MAX_INT:
        return Checked(column)
    if of == "bool" and classes == {bool}:
        return Checked(column)
    return _each(column, lambda value: convert(value, of), _STAND_IN[of])


def _each(column: list[Any], take: Callable[[Any], Any], stand_in: Any) -> Checked:
    result = Checked([])
    done: list[Any] = []
    for index, value in enumerate(column):
        try:
            done.append(take(value))
        except InvalidValue as error:
            result.faults[index] = error.reason
            done.append(stand_in)
    result.column = done
    return result


def _rejected(times: Faults, values: Faults) -> list[Rejected]:
    rejected = [Rejected(index, "time", reason) for index, reason in times.items()]
    rejected += [Rejected(index, "value", reason) for index, reason in values.items() if index not in times]
    return sorted(rejected, key=lambda row: row.index)


def _packed(column: Any) -> bytes:
    """Bytes that tell columns apart, the same for a list and an array of equal integers or floats."""
    if is_array(column) and column.dtype.kind in "fi":
        wide: Array = column.astype("<f8" if column.dtype.kind == "f" else "<i8")
        return bytes(wide.tobytes())
    values: list[Any] = column.tolist() if is_array(column) else column
    classes = set(map(type, values))
    try:
        if classes == {float}:
            return array("d", values).tobytes()
        if classes == {int}:
            return array("q", values).tobytes()
        return _encoder.encode(values)
    except (OverflowError, UnicodeEncodeError):  # rows that will be rejected; their text tells them apart
        return repr(values).encode("utf-8", "backslashreplace")
