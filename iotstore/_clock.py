"""The one place that time comes from, and the conversion between instants and the waist's integers."""

from __future__ import annotations

import time as _time
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from iotstore.errors import InvalidValue

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MIN_MICROS: Final = -62_135_596_800_000_000  # 0001-01-01T00:00:00Z
MAX_MICROS: Final = 253_402_300_799_999_999  # 9999-12-31T23:59:59.999999Z


class Clock(Protocol):
    """What a store asks for the time. Tests pass their own."""

    def now(self) -> datetime:
        """The current instant, timezone-aware."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back, for timeouts and durations."""
        ...


class SystemClock:
    """The computer's clock, in UTC."""

    def now(self) -> datetime:
        """The current instant in UTC."""
        return datetime.now(UTC)

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return _time.monotonic()


class ManualClock:
    """A clock that stands still until it is told to move: for tests and simulations."""

    def __init__(self, start: datetime) -> None:
        to_micros(start)  # refuses a naive start here, not at the first use
        self._now = start.astimezone(UTC)
        self._monotonic = 0.0

    def now(self) -> datetime:
        """The instant it was last set to."""
        return self._now

    def monotonic(self) -> float:
        """Seconds advanced since it was made."""
        return self._monotonic

    def advance(self, by: timedelta) -> None:
        """Move forward (or the wall clock back, by a negative duration)."""
        self._now += by
        self._monotonic += max(by.total_seconds(), 0.0)


def to_micros(when: datetime, field: str | None = None) -> int:
    """Integer microseconds since 1970 of an aware datetime; a naive one is refused."""
    if not isinstance(when, datetime):  # pyright: ignore[reportUnnecessaryIsInstance]  # callers without a checker
        raise InvalidValue(f"expected a datetime, got {type(when).__name__}", field=field)
    # Integer arithmetic: a float of seconds loses microseconds far from 1970.
    try:
        delta = when - EPOCH
    except TypeError as error:
        raise InvalidValue(
            "a datetime without time zone", field=field, hint="give it one, for example datetime.now(timezone.utc)"
        ) from error
    micros = (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds
    if not MIN_MICROS <= micros <= MAX_MICROS:  # 0001-01-01T00:00+02:00 is still year 0 in UTC
        raise InvalidValue(f"{when.isoformat()} is outside the years 1 to 9999 in UTC", field=field)
    return micros


def from_micros(micros: int) -> datetime:
    """The UTC datetime of integer microseconds since 1970."""
    return EPOCH + timedelta(microseconds=micros)


def in_calendar(micros: int) -> bool:
    """Whether the instant lies in the years 1 to 9999 that a datetime can hold."""
    return MIN_MICROS <= micros <= MAX_MICROS
