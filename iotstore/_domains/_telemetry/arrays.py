"""Columns that come as arrays of numpy: checked and converted as a whole. numpy is never imported here.

Whoever hands in an array has imported numpy already.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from iotstore._clock import MAX_MICROS, MIN_MICROS
from iotstore._domains._telemetry.values import EXACT_IN_DOUBLE
from iotstore._kinds.telemetry import MetricType
from iotstore._values import MAX_INT
from iotstore._waist.layout import Value
from iotstore.errors import InvalidValue

__all__ = ["NO_TIME", "NO_VALUE", "NO_YEAR", "Array", "Checked", "Faults", "array_times", "array_values", "is_array"]
__all__ += ["without"]

Array: TypeAlias = Any  # numpy.ndarray, which is not there for everybody
Faults: TypeAlias = dict[int, str]

NO_TIME: Final = "there is no time"
NO_VALUE: Final = "there is no value"
NO_YEAR: Final = "the time is outside the years 1 to 9999"
# Units that are finer than a microsecond: all that they can hold is in the calendar.
_FINE: Final = frozenset({"ns", "ps", "fs", "as"})


@dataclass(slots=True)
class Checked:
    """A column as it is stored, and what is wrong with it by row. A row at fault holds any value of the type."""

    column: Sequence[Value]
    faults: Faults = field(default_factory=Faults)


def is_array(column: object) -> Any:
    """Whether this is an array of numpy; it is none if nobody has imported numpy."""
    np = sys.modules.get("numpy")
    return np is not None and isinstance(column, np.ndarray)


def without(column: Sequence[Value], bad: Sequence[int]) -> Sequence[Value]:
    """The column without these rows, which ascend."""
    if not bad:
        return column
    if is_array(column):
        kept: Sequence[Value] = sys.modules["numpy"].delete(column, bad)
        return kept
    left_out = frozenset(bad)
    return [value for index, value in enumerate(column) if index not in left_out]


def array_times(column: Array) -> Checked:
    """Integer microseconds since 1970 of datetime64, which has no zone and is taken as UTC, or of integers.

    What is finer than a microsecond is cut.
    """
    np = sys.modules["numpy"]
    kind = column.dtype.kind
    if kind == "M" and np.datetime_data(column.dtype)[0] != "generic":
        missing = np.isnat(column)
        if np.datetime_data(column.dtype)[0] in _FINE:
            outside = np.zeros(len(column), dtype=bool)
        else:  # compared in its own unit, where nothing overflows
            low, high = (np.datetime64(micros, "us").astype(column.dtype) for micros in (MIN_MICROS, MAX_MICROS))
            outside = (column < low) | (column > high)
        safe = np.where(missing | outside, np.datetime64(0, "us").astype(column.dtype), column)
        micros = safe.astype("datetime64[us]").astype(np.int64)
        return Checked(micros, _faults(outside, NO_YEAR) | _faults(missing, NO_TIME))
    if kind not in "iu":
        raise InvalidValue(
            f"a numpy array of {column.dtype}",
            field="times",
            hint="pass datetime64, or integer microseconds since 1970",
        )
    outside = column > MAX_MICROS if kind == "u" else (column < MIN_MICROS) | (column > MAX_MICROS)
    return Checked(np.where(outside, 0, column).astype(np.int64), _faults(outside, NO_YEAR))


def array_values(column: Array, of: MetricType) -> Checked | None:
    """The values as a metric of this type stores them; None where each has to be looked at."""
    kind = column.dtype.kind
    if of == "float" and kind == "f":
        return _floats(column)
    if of == "float" and kind in "iu":
        return _floats_of_integers(column)
    if of == "int64" and kind in "iu":
        return _integers(column)
    if of == "int64" and kind == "f":
        return _integers_of_floats(column)
    return None


def _floats(column: Array) -> Checked:
    np = sys.modules["numpy"]
    finite = np.isfinite(column)
    # One more addition than it seems to need: -0.0 becomes 0.0.
    doubles = column.astype(np.float64) + 0.0
    if finite.all() and np.isfinite(doubles).all():
        return Checked(doubles)
    finite &= np.isfinite(doubles)
    faults = {at: f"{column[at]!s} is not a finite number" for at in np.flatnonzero(~finite).tolist()}
    return Checked(np.where(finite, doubles, 0.0), faults)


def _floats_of_integers(column: Array) -> Checked:
    np = sys.modules["numpy"]
    doubles = column.astype(np.float64)
    large = column > EXACT_IN_DOUBLE
    if column.dtype.kind == "i":
        large |= column < -EXACT_IN_DOUBLE
    suspects: list[int] = np.flatnonzero(large).tolist()
    inexact = [at for at in suspects if int(doubles[at]) != int(column[at])]
    return Checked(doubles, dict.fromkeys(inexact, "integer that no double holds exactly"))


def _integers(column: Array) -> Checked:
    np = sys.modules["numpy"]
    if column.dtype.kind == "i" or column.dtype.itemsize < 8:
        return Checked(column.astype(np.int64))
    outside = column > MAX_INT
    return Checked(np.where(outside, 0, column).astype(np.int64), _faults(outside, "integer beyond 64 bits"))


def _integers_of_floats(column: Array) -> Checked:
    np = sys.modules["numpy"]
    doubles = column.astype(np.float64)
    # A comparison with NaN is false, so that it is none of the good ones.
    good = (np.floor(doubles) == doubles) & (doubles >= -(2.0**63)) & (doubles < 2.0**63)
    faults = {at: f"{column[at]!s} is not an integer of 64 bits" for at in np.flatnonzero(~good).tolist()}
    return Checked(np.where(good, doubles, 0.0).astype(np.int64), faults)


def _faults(bad: Array, reason: str) -> Faults:
    return dict.fromkeys(sys.modules["numpy"].flatnonzero(bad).tolist(), reason) if bad.any() else {}
