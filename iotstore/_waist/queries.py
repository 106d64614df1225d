"""What a backend is asked: a selection, an aggregate, and what it answers about a write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from iotstore._waist.buckets import Buckets
from iotstore._waist.filters import ALWAYS, Filter
from iotstore._waist.layout import Row, Value


class Order(NamedTuple):
    """Order by a column. NULL is smaller than every value: first ascending, last descending."""

    column: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Select:
    """Rows that pass *where*, in *order*, at most *limit*. Where *order* is empty they may come in any.

    Paging needs nothing from a backend: the core writes the position of the last row into *where*.
    """

    where: Filter = ALWAYS
    order: tuple[Order, ...] = ()
    limit: int | None = None


class Function(StrEnum):
    """What an aggregate computes. There is no mean: the core divides a sum by a count.

    COUNT counts rows, or those where the column is not NULL. A SUM is NULL without a value; of integers it is exact, or
    raises Overflow: then the core asks for SUM_HIGH, the sum of floor(v / 2^32), and SUM_LOW, that of v mod 2^32. One
    of doubles may be infinite: the core refuses it.
    """

    COUNT = "count"  # rows, or rows where the column is not NULL
    COUNT_DISTINCT = "count_distinct"
    # Sums are NULL without a value. An integer sum is exact, or raises Overflow when the engine can't hold it on the
    # way: the core then asks for the two halves. A sum of doubles that leaves the range may be infinite: the core
    # refuses it.
    SUM = "sum"
    SUM_HIGH = "sum_high"  # sum of floor(v / 2^32), integers only
    SUM_LOW = "sum_low"  # sum of v mod 2^32 (0 <= . < 2^32), integers only
    MIN = "min"
    MAX = "max"


class Measure(NamedTuple):
    """One function over one column; only COUNT may go without."""

    function: Function
    column: str | None = None


class Bucketed(NamedTuple):
    """Group by the bucket number of a time column. Rows outside the buckets belong to no group."""

    column: str
    buckets: Buckets


@dataclass(frozen=True, slots=True)
class Aggregate:
    """Groups of the rows that pass *where*, each with its *measures*; without *groups* exactly one row.

    A result row is the group's values, then the measures. *order* names positions in that row, each with a flag for
    descending; NULL is smallest. The core has made it total.
    """

    groups: tuple[str | Bucketed, ...]
    measures: tuple[Measure, ...]
    where: Filter = ALWAYS
    order: tuple[tuple[int, bool], ...] = ()
    limit: int | None = None


class OnConflict(StrEnum):
    """What to do with a row whose key exists already."""

    ERROR = "error"  # raise Conflict, nothing is stored
    KEEP = "keep"  # leave the stored one, report the row as not stored
    REPLACE = "replace"  # points only: the new value wins


class Upserted(NamedTuple):
    """What one row of an upsert became: the row as it is stored now, and whether it is new."""

    row: Row
    inserted: bool


class Touched(NamedTuple):
    """One record that an update or delete changed: its key, and its version after the update (before the delete)."""

    key: Row
    version: int


class PointType(StrEnum):
    """The type of a metric's values, fixed when the metric is created."""

    FLOAT = "float"
    INT64 = "int64"
    BOOL = "bool"
    TEXT = "text"


class Columns(NamedTuple):
    """Points of one series as aligned columns: times in microseconds, values in layout terms (a boolean is a bool)."""

    times: Sequence[int]
    values: Sequence[Value]


class Appended(NamedTuple):
    """What an append did: *stored* points are there now and were not (with that value) before it or were replaced;
    *replaced* counts those of them that took the place of another value; *duplicates* were left out."""

    stored: int
    duplicates: int
    replaced: int = 0
