"""The application kinds of the suite: every field type, kind of key, merge rule and reference."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from iotstore import Address, Bytes, Json, Kind, Mac, Merge, OnDelete, Record, Tags, Text, Tracked

WIDEST: Final = 1_048_576


class Sample(Tracked, frozen=True, kw_only=True):
    """A record with a field of every type."""

    key: Annotated[str, Text(60, min=1)]
    text: Annotated[str | None, Text(WIDEST)] = None
    title: Annotated[str | None, Text(300, search=True)] = None
    number: int | None = None
    real: float | None = None
    flag: bool | None = None
    when: datetime | None = None
    span: timedelta | None = None
    data: Annotated[bytes | None, Bytes(WIDEST)] = None
    ip: Annotated[str | None, Address()] = None
    mac: Annotated[str | None, Mac()] = None
    json: Annotated[Any, Json(WIDEST)] = None
    tags: Annotated[frozenset[str], Tags()] = frozenset()


class Cell(Record, frozen=True, kw_only=True):
    """An untracked record with a key of two fields."""

    room: Annotated[str, Text(40, min=1)]
    number: int
    value: int | None = None


class Leaf(Tracked, frozen=True, kw_only=True):
    """A numbered record that points to samples in every way that a deletion can be met, with a unique code."""

    id: int = 0
    code: Annotated[str | None, Text(40)] = None
    value: int | None = None
    cascade: Annotated[str | None, Text(60, min=1)] = None
    clear: Annotated[str | None, Text(60, min=1)] = None
    restrict: Annotated[str | None, Text(60, min=1)] = None
    keep: Annotated[str | None, Text(60, min=1)] = None


class Tally(Tracked, frozen=True, kw_only=True):
    """A record with a field for every merge rule."""

    key: Annotated[str, Text(60, min=1)]
    replaced: int | None = None
    filled: int | None = None
    kept: int | None = None
    least: int | None = None
    most: int | None = None


SAMPLES: Final = Kind(Sample, "suite_sample", "key", indexes=[["number"], ["when", "number"]])
CELLS: Final = Kind(Cell, "suite_cell", ("room", "number"))
LEAVES: Final = Kind(
    Leaf,
    "suite_leaf",
    "id",
    generated="id",
    unique=[["code"]],
    references={
        "cascade": ("suite_sample", OnDelete.CASCADE),
        "clear": ("suite_sample", OnDelete.CLEAR),
        "restrict": ("suite_sample", OnDelete.RESTRICT),
        "keep": ("suite_sample", OnDelete.KEEP),
    },
)
TALLIES: Final = Kind(
    Tally,
    "suite_tally",
    "key",
    merge={"filled": Merge.COALESCE, "kept": Merge.KEEP, "least": Merge.MIN, "most": Merge.MAX},
)
KINDS: Final[tuple[Kind[Any], ...]] = (SAMPLES, CELLS, LEAVES, TALLIES)
