"""Steps: how a stored kind of an older version becomes the declared one, where a comparison can't know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias


@dataclass(frozen=True, slots=True)
class Rename:
    """From *version* on, the field *old* is called *new*. Its values stay."""

    version: int
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Drop:
    """From *version* on, the field *name* does not exist. Its values are deleted, after a backup."""

    version: int
    name: str


@dataclass(frozen=True, slots=True)
class RenameKind:
    """From *version* on, the kind that was called *old* has its present name."""

    version: int
    old: str


@dataclass(frozen=True, slots=True)
class Transform:
    """At *version*, every record is rewritten: *change* takes its fields by name and returns those to set."""

    version: int
    change: Callable[[Mapping[str, Any]], Mapping[str, Any]]


Step: TypeAlias = Rename | Drop | RenameKind | Transform
