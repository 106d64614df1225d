"""Layouts: how the core describes a kind to a backend, in seven column types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple, TypeAlias

# One value as the backend holds it: None, int, float, bool, str, bytes, or what its Holding makes of them.
Value: TypeAlias = Any
Row: TypeAlias = tuple[Value, ...]
Key: TypeAlias = tuple[Value, ...]


class Type(StrEnum):
    """The seven column types of the waist."""

    INT = "int"  # 64-bit signed
    REAL = "real"  # finite IEEE double, never -0.0
    BOOL = "bool"
    TEXT = "text"  # well-formed Unicode without NUL, compared and ordered by code point
    BYTES = "bytes"
    TIME = "time"  # integer microseconds since 1970 UTC
    TEXTSET = "textset"  # a sorted tuple of distinct texts; the empty set is NULL


class Merge(StrEnum):
    """What an upsert does with one column of a record that exists already.

    REPLACE: the new value wins, NULL too. KEEP: the stored value stays, NULL too. COALESCE: the new value wins unless
    it is NULL. MIN and MAX: the smaller, or larger, of the two; NULL loses against every value. Key columns stay.
    """

    REPLACE = "replace"  # the new value wins, NULL too
    COALESCE = "coalesce"  # the new value wins unless it is NULL
    KEEP = "keep"  # the stored value stays, NULL too
    MIN = "min"  # the smaller of the two
    MAX = "max"  # the larger of the two


class OnDelete(StrEnum):
    """What happens to a record when the one it points to is deleted. The core performs it."""

    RESTRICT = "restrict"  # the deletion is refused
    CASCADE = "cascade"  # it is deleted too
    CLEAR = "clear"  # its reference becomes NULL
    KEEP = "keep"  # it stays as it is: evidence outlives what it is about


class Column(NamedTuple):
    """One column. *max_length* is in code points (text) or bytes (bytes); the core has checked it already.

    A column that is the shadow of another one is filled by the core and stored like any other. *default* is for the
    rows that exist when the column is added; it is plain, not held.
    """

    name: str
    type: Type
    nullable: bool = False
    max_length: int | None = None
    merge: Merge = Merge.REPLACE
    # A shadow is computed by the core from another column (casefolded text, address order) and not part of a digest.
    shadow_of: str | None = None
    # Given to the rows that exist when the column is added to a layout; in layout terms, not as it is held.
    default: Value = None


class Index(NamedTuple):
    """An index over *columns*, in order. NULL sorts smallest in it, as in every query."""

    columns: tuple[str, ...]
    unique: bool = False


class Reference(NamedTuple):
    """*column* holds the (single-column) key of *target*. An engine may back it with a constraint unless it is KEEP."""

    column: str
    target: str
    on_delete: OnDelete


@dataclass(frozen=True, eq=False)
class Layout:
    """A kind in the waist's terms. Compared by identity, so a backend can key its statement cache with it.

    *position* tells where a column stands in a row. The column *version* rises by one in the statement that changes a
    record: by update, and by upsert on a record that exists.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    indexes: tuple[Index, ...] = ()
    references: tuple[Reference, ...] = ()
    # Raised by one in the same statement that changes a record: by update, and by upsert on a record that exists.
    version: str | None = None
    # The time by which an engine may cut the place of the records into parts; None where it may not. The key is a
    # number that the store gives, and who deletes old records asks for whole parts first.
    parts: str | None = None
    position: Mapping[str, int] = field(init=False)
    key_positions: tuple[int, ...] = field(init=False)

    def __post_init__(self) -> None:
        position = {column.name: index for index, column in enumerate(self.columns)}
        object.__setattr__(self, "position", position)
        object.__setattr__(self, "key_positions", tuple(position[name] for name in self.key))

    def column(self, name: str) -> Column:
        """The column of this name."""
        return self.columns[self.position[name]]

    def key_of(self, row: Row) -> Key:
        """The key of a row."""
        return tuple(row[index] for index in self.key_positions)


class Holding(NamedTuple):
    """How a backend holds one column type: functions to and from it, None where it takes the value as it is."""

    encode: Callable[[Any], Value] | None = None
    decode: Callable[[Value], Any] | None = None


AS_IT_IS = Holding()
