"""How an application says what to aggregate, and by what."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias

from iotstore._calendar.every import Every, parse_every
from iotstore._calendar.parts import Part

MeasureName: TypeAlias = Literal["count", "count_distinct", "sum", "min", "max", "mean"]


@dataclass(frozen=True, slots=True)
class MeasureOf:
    """One number per group. Made by ``count()``, ``sum_("bytes_sent")`` and their like."""

    function: MeasureName
    field: str | None = None


def count(field: str | None = None) -> MeasureOf:
    """How many records, or how many with a value in *field*."""
    return MeasureOf("count", field)


def count_distinct(field: str) -> MeasureOf:
    """How many different values *field* has."""
    return MeasureOf("count_distinct", field)


def sum_(field: str) -> MeasureOf:
    """The sum of *field*; None without a value. Exact for integers, or Overflow."""
    return MeasureOf("sum", field)


def min_(field: str) -> MeasureOf:
    """The smallest value of *field*; None without one."""
    return MeasureOf("min", field)


def max_(field: str) -> MeasureOf:
    """The largest value of *field*; None without one."""
    return MeasureOf("max", field)


def mean(field: str) -> MeasureOf:
    """The mean of *field*; None without a value."""
    return MeasureOf("mean", field)


@dataclass(frozen=True, slots=True)
class ByTime:
    """Groups of a time field by buckets; the group's value is the bucket's start."""

    field: str
    every: Every
    zone: str
    name: str


@dataclass(frozen=True, slots=True)
class ByPart:
    """Groups of a time field by a part of local time."""

    field: str
    part: Part
    zone: str
    name: str


Group: TypeAlias = ByTime | ByPart


def every(field: str, width: timedelta | str, *, zone: str = "UTC", name: str | None = None) -> Group:
    """Group by buckets of *width*: a timedelta, ``"15m"``, or ``"hour" "day" "week" "month"`` in a time zone.

    The result holds the bucket's start under *name* (the field's own name by default).
    """
    return ByTime(field, parse_every(width), zone, name or field)


def part(field: str, part: Part, *, zone: str = "UTC", name: str | None = None) -> Group:
    """Group by a part of local time: ``"hour"``, ``"weekday"`` (1 is Monday), ``"day"``, ``"month"``, ``"year"``.

    The result holds the number under *name* (the part's name by default).
    """
    return ByPart(field, part, zone, name or part)
