"""Schema operations that the core asks a write session to apply, in order, in its transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from iotstore._waist.layout import Column, Index, Layout, Reference


@dataclass(frozen=True, slots=True)
class CreateLayout:
    """Make the place where records of *layout* are kept, with its indexes, unique rules and references."""

    layout: Layout


@dataclass(frozen=True, slots=True)
class DropLayout:
    """Remove the place and all records in it."""

    name: str


@dataclass(frozen=True, slots=True)
class RenameLayout:
    """Give the place another name; records stay."""

    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AddColumn:
    """Add a column to the layout; existing records hold the column's *default*."""

    layout: str
    column: Column


@dataclass(frozen=True, slots=True)
class DropColumn:
    """Remove a column and its values. The core has dropped the indexes over it before."""

    layout: str
    column: str


@dataclass(frozen=True, slots=True)
class RenameColumn:
    """Give a column another name; values stay."""

    layout: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class AlterColumn:
    """Change a column's nullability or length to that of *column*; the values fit, the core has checked."""

    layout: str
    column: Column


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """Make an index."""

    layout: str
    index: Index


@dataclass(frozen=True, slots=True)
class DropIndex:
    """Remove an index."""

    layout: str
    index: Index


@dataclass(frozen=True, slots=True)
class SetReferences:
    """Replace the references that the engine enforces for the layout."""

    layout: Layout
    references: tuple[Reference, ...]


Operation: TypeAlias = (
    CreateLayout
    | DropLayout
    | RenameLayout
    | AddColumn
    | DropColumn
    | RenameColumn
    | AlterColumn
    | CreateIndex
    | DropIndex
    | SetReferences
)
