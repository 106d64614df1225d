"""The filter tree as a backend sees it: positive leaves, and, or. The core has pushed all negation down to the leaves.

A leaf is true or false, never unknown: a comparison with NULL is false, so an engine's three-valued logic gives the
same answer as two-valued logic as long as nothing negates a leaf. Where Python's meaning needs NULL rows
(``not a == 1``) the core has added an ``IsNull`` leaf beside it.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeAlias

from iotstore._waist.layout import Value


class Op(StrEnum):
    """A comparison of a column with a value that is not NULL."""

    EQ = "="
    NE = "<>"
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="


@dataclass(frozen=True, slots=True)
class Compare:
    """*column* op *value*. Text compares by code point."""

    column: str
    op: Op
    value: Value


@dataclass(frozen=True, slots=True)
class In:
    """*column* equals one of *values*; none of them is NULL. May hold many thousands: bind them as one array."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class NotIn:
    """*column* is not NULL and equals none of *values*."""

    column: str
    values: tuple[Value, ...]


@dataclass(frozen=True, slots=True)
class IsNull:
    """*column* is NULL."""

    column: str


@dataclass(frozen=True, slots=True)
class NotNull:
    """*column* is not NULL."""

    column: str


@dataclass(frozen=True, slots=True)
class Contains:
    """The text *column* holds *text*, literally: no wildcard, no folding. *negated*: it is not NULL and does not."""

    column: str
    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class HasTag:
    """The text set *column* has *tag* as a member. *negated*: not NULL and has not."""

    column: str
    tag: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class And:
    """All parts hold; true when there are none."""

    all_of: tuple[Filter, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one part holds; false when there are none."""

    any_of: tuple[Filter, ...]


Filter: TypeAlias = Compare | In | NotIn | IsNull | NotNull | Contains | HasTag | And | Or
ALWAYS = And(())
NEVER = Or(())


def shape(where: Filter, values: list[Value]) -> Hashable:
    """What a statement's text depends on. The values are appended to *values* in the order of the leaves.

    The values of ``In`` and ``NotIn`` are appended as one tuple: the text does not depend on how many there are.
    """
    match where:
        case Compare(column, op, value):
            values.append(value)
            return ("cmp", column, op)
        case In(column, several):
            values.append(several)
            return ("in", column)
        case NotIn(column, several):
            values.append(several)
            return ("notin", column)
        case IsNull(column):
            return ("null", column)
        case NotNull(column):
            return ("notnull", column)
        case Contains(column, text, negated):
            values.append(text)
            return ("contains", column, negated)
        case HasTag(column, tag, negated):
            values.append(tag)
            return ("tag", column, negated)
        case And(parts):
            return ("and", *(shape(part, values) for part in parts))
        case Or(parts):
            return ("or", *(shape(part, values) for part in parts))
