"""How wide buckets are: what an application writes as ``every``."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal, TypeAlias

from iotstore._clock import MAX_MICROS, MIN_MICROS
from iotstore.errors import InvalidValue

__all__ = ["Calendar", "Every", "Fixed", "Unit", "parse_every"]

Unit: TypeAlias = Literal["hour", "day", "week", "month"]


@dataclass(frozen=True, slots=True)
class Fixed:
    """Buckets of one width in microseconds, aligned to 1970-01-01T00:00Z."""

    width: int


@dataclass(frozen=True, slots=True)
class Calendar:
    """Buckets of local time in a zone: hours, days, weeks from Monday, or months."""

    unit: Unit


Every: TypeAlias = Fixed | Calendar

_UNITS: Final[tuple[Unit, ...]] = ("hour", "day", "week", "month")
_WIDTHS: Final = {
    "us": 1,
    "ms": 1_000,
    "s": 1_000_000,
    "m": 60_000_000,
    "h": 3_600_000_000,
    "d": 86_400_000_000,
    "w": 604_800_000_000,
}
_FIXED: Final = re.compile(r"([0-9]{1,18})(us|ms|s|m|h|d|w)")
_WIDEST: Final = MAX_MICROS - MIN_MICROS
_HINT: Final = 'use a timedelta, a width such as "100ms", "30s", "15m", "1h", "1d" or "2w", or one of ' + ", ".join(
    f'"{unit}"' for unit in _UNITS
)


def parse_every(every: timedelta | str) -> Every:
    """The buckets that *every* asks for; anything that isn't a positive width or a calendar unit is InvalidValue."""
    if isinstance(every, timedelta):
        width = every // timedelta(microseconds=1)
    # Not every caller has a type checker, and `every=60` is an easy mistake.
    elif not isinstance(every, str):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise InvalidValue(f"a {type(every).__name__} is no bucket width", field="every", hint=_HINT)
    elif every in _UNITS:
        return Calendar(every)
    elif (match := _FIXED.fullmatch(every)) is not None:
        width = int(match[1]) * _WIDTHS[match[2]]
    else:
        raise InvalidValue(f"{every[:40]!r} is no bucket width", field="every", hint=_HINT)
    if not 0 < width <= _WIDEST:
        fault = "not positive" if width <= 0 else "wider than all of time"
        raise InvalidValue(f"a bucket width of {str(every)[:40]} is {fault}", field="every", hint=_HINT)
    return Fixed(width)
