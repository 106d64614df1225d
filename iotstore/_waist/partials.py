"""The mergeable part of a bucket of points, from which the core finishes every simple function."""

from __future__ import annotations

from typing import NamedTuple

from iotstore._waist.layout import Value


class Partial(NamedTuple):
    """One non-empty bucket of one series."""

    bucket: int
    count: int  # type: ignore[assignment]  # a tuple's own count() is of no use here
    sum: float | int | None  # None for text; booleans sum as 0 and 1; integers exactly
    min: Value
    max: Value
    first_time: int | None = None
    first: Value = None
    last_time: int | None = None
    last: Value = None


Partials = list[Partial]
