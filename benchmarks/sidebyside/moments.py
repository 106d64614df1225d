"""Times as integer microseconds, which is how both sides keep them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from sidebyside.workload import EPOCH

HOUR: Final = 3_600_000_000


def micros_of(when: datetime) -> int:
    """Integer microseconds since 1970."""
    since = when - EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def micros_or_none(when: datetime | None) -> int | None:
    """The same, where there may be no time."""
    return None if when is None else micros_of(when)


def instant(micros: int) -> datetime:
    """The instant of integer microseconds since 1970."""
    return EPOCH + timedelta(0, 0, micros)
