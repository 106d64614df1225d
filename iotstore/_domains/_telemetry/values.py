"""The values of points: what each metric type takes, and the type that a first value gives to its metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from iotstore import _values as values
from iotstore._kinds.telemetry import MetricType, PointValue
from iotstore.errors import InvalidValue

__all__ = [
    "CLASS_OF",
    "EXACT_IN_DOUBLE",
    "MAX_TEXT",
    "check_device",
    "check_metric",
    "convert",
    "first_type",
    "metric_key",
]

#: Characters that one text value may have.
MAX_TEXT: Final = 65_536
#: Every integer from minus this to this is a double exactly.
EXACT_IN_DOUBLE: Final = 2**53
#: The class of a type's values, exactly as they are stored.
CLASS_OF: Final[Mapping[MetricType, type]] = {"float": float, "int64": int, "bool": bool, "text": str}

_MAX_DEVICE: Final = 120
_MAX_METRIC: Final = 80
_INT_HINT: Final = "define the metric as float to store fractions"


def convert(value: object, of: MetricType) -> PointValue:
    """The value as a metric of this type stores it: converted exactly, or refused with InvalidValue.

    A float metric takes integers that a double holds, an int64 metric takes floats without a fraction; a boolean is
    never a number. Scalars of numpy are taken for the Python values that they hold.
    """
    if value is None:
        raise InvalidValue("there is no value", field="value")
    value = _scalar(value)
    if of == "float":
        return values.check_real(value, "value")
    if of == "bool":
        return values.check_bool(value, "value")
    if of == "text":
        text = values.check_text(value, "value")
        if len(text) > MAX_TEXT:
            raise InvalidValue(f"has {len(text)} characters; allowed are {MAX_TEXT}", field="value")
        return text
    if isinstance(value, float):
        if not value.is_integer():
            raise InvalidValue(f"{value} is not an integer, and the metric is int64", field="value", hint=_INT_HINT)
        value = int(value)
    return values.check_int(value, "value")


def first_type(value: object) -> MetricType | None:
    """The type of a metric whose first value this is; None if no metric could store the value.

    Every number makes a float metric: a thermometer that first says 21 will say 21.5. Integers beyond what a double
    holds need a metric that was defined as int64.
    """
    value = _scalar(value)
    of: MetricType
    if isinstance(value, bool):
        of = "bool"
    elif isinstance(value, str):
        of = "text"
    else:
        of = "float"
    try:
        convert(value, of)
    except InvalidValue:
        return None
    return of


def _scalar(value: object) -> object:
    """The Python value that a scalar of numpy holds; anything else as it is."""
    if isinstance(value, float | int | str):
        return value
    item: Callable[[], object] | None = getattr(value, "item", None)
    return value if item is None else item()


def metric_key(name: str) -> str:
    """The key of a metric of this name: names differ by more than upper and lower case."""
    return name.casefold()


def check_device(key: object) -> str:
    """A well-formed key of a device."""
    return _name(key, "device", _MAX_DEVICE)


def check_metric(name: object) -> str:
    """A well-formed name of a metric."""
    return _name(name, "metric", _MAX_METRIC)


def _name(value: object, field: str, longest: int) -> str:
    text = values.check_text(value, field)
    if not 0 < len(text) <= longest:
        raise InvalidValue(f"has {len(text)} characters; allowed are 1 to {longest}", field=field)
    return text
