"""Numbers, sizes, durations and instants as people read them, and back from what people type."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
_DURATION: Final = re.compile(r"(?:\d+(?:\.\d+)?[smhdwy])+", re.ASCII)
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)([smhdwy])", re.ASCII)
_STEPS: Final = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND: Final = 1000


def number(value: float) -> str:
    """A number with thousands apart: ``512,345`` or ``21.5``."""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}" if abs(value) < _THOUSAND else f"{value:,.0f}"


def size(count: float) -> str:
    """A count of bytes: ``812 B``, ``1.5 MB`` (decimal, as disks are sold)."""
    value, unit = float(count), _STEPS[0]
    for unit in _STEPS:
        if abs(value) < 999.5 or unit == _STEPS[-1]:
            break
        value /= _THOUSAND
    if unit == _STEPS[0]:
        return f"{value:.0f} B"
    return f"{value:.1f} {unit}" if abs(value) < 99.95 else f"{value:.0f} {unit}"


def duration(span: timedelta) -> str:
    """A length of time in its two largest units: ``3 d 4 h``, ``12 min``, ``4.2 s``, ``180 ms``."""
    seconds = span.total_seconds()
    if seconds < 0:
        return f"-{duration(-span)}"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    days, rest = divmod(minutes, 1440)
    hours, minutes = divmod(rest, 60)
    if days:
        return f"{days} d {hours} h" if hours else f"{days} d"
    if hours:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    return f"{minutes} min"


def ago(when: datetime | None, now: datetime) -> str:
    """How long before *now* that was: ``4 min ago``, ``in 2 h``, ``never``."""
    if when is None:
        return "never"
    behind = now - when
    if abs(behind) < timedelta(seconds=1):
        return "now"
    whole = timedelta(seconds=round(abs(behind).total_seconds()))
    text = duration(whole).replace(".0 s", " s")
    return f"{text} ago" if behind > timedelta() else f"in {text}"


def instant(when: datetime | None) -> str:
    """A time to the minute, in UTC: ``2025-06-15 18:04``."""
    return "" if when is None else when.astimezone(UTC).strftime("%Y-%m-%d %H:%M")


def short_instant(when: datetime | None) -> str:
    """A time to the minute, in UTC, without its year: ``15 Jun 18:04``."""
    return "" if when is None else f"{when.astimezone(UTC):%d %b %H:%M}"


def value(found: object, unit: str | None = None) -> str:
    """A point's value: ``21.5 °C``, ``yes``, ``heating``."""
    if isinstance(found, bool):
        return "yes" if found else "no"
    text = number(found) if isinstance(found, int | float) else str(found)
    return f"{text} {unit}" if unit else text


def parse_duration(text: str) -> timedelta:
    """``90s``, ``15m``, ``24h``, ``7d``, ``2w``, ``1y`` or several together (``1d12h``); ValueError otherwise."""
    if not _DURATION.fullmatch(text):
        raise ValueError(f"{text!r} is no duration; write it like 90s, 15m, 24h, 7d, 2w, 1y or 1d12h")
    try:
        return timedelta(seconds=sum(float(count) * _UNITS[unit] for count, unit in _PART.findall(text)))
    except OverflowError:
        raise ValueError(f"{text!r} is longer than any duration can be") from None


def parse_instant(text: str) -> datetime:
    """An ISO date or time; what has no zone is UTC. ValueError otherwise."""
    try:
        found = datetime.fromisoformat(text)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(f"{text!r} is no time; write it like 2025-06-15 or 2025-06-15T18:00+02:00") from None
