"""Filters in a neutral form, with two meanings: as a filter of the store, and as a Python function over a record."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from iotstore import Where, field


@dataclass(frozen=True, slots=True)
class Test:
    """A test of one field: the name of a method or operator, and what it compares with."""

    __test__ = False  # no test class, whatever its name

    field: str
    op: str
    value: Any = None


@dataclass(frozen=True, slots=True)
class Both:
    """Both parts hold."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Either:
    """One of the parts holds, or both do."""

    left: Condition
    right: Condition


@dataclass(frozen=True, slots=True)
class Opposite:
    """The part doesn't hold."""

    part: Condition


Condition: TypeAlias = "Test | Both | Either | Opposite"


_COMPARE: Final[Mapping[str, Callable[[Any, Any], Any]]] = {
    "==": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def as_where(condition: Condition) -> Where:
    """The condition as an application writes it."""
    match condition:
        case Both(left, right):
            return as_where(left) & as_where(right)
        case Either(left, right):
            return as_where(left) | as_where(right)
        case Opposite(part):
            return ~as_where(part)
        case Test(name, op, value):
            return _as_test(name, op, value)


def _as_test(name: str, op: str, value: Any) -> Where:
    named = field(name)
    compare = _COMPARE.get(op)
    if compare is not None:
        where: Where = compare(named, value)
        return where
    match op:
        case "in":
            return named.in_(value)
        case "contains":
            return named.contains(value)
        case "starts":
            return named.starts_with(value, case=True)
        case "tag":
            return named.has_tag(value)
        case _:
            return named.is_null()


def passes(condition: Condition, record: object) -> bool:
    """Whether a record passes, by Python's own rules: a comparison with a missing value is false."""
    match condition:
        case Both(left, right):
            return passes(left, record) and passes(right, record)
        case Either(left, right):
            return passes(left, record) or passes(right, record)
        case Opposite(part):
            return not passes(part, record)
        case Test(name, op, value):
            return _holds(op, getattr(record, name), value)


def _holds(op: str, found: Any, value: Any) -> bool:
    if op == "null":
        return found is None or found == frozenset()
    if found is None:
        return False
    compare = _COMPARE.get(op)
    if compare is not None:
        return bool(compare(found, value))
    match op:
        case "in":
            return found in value
        case "contains":
            return value.casefold() in found.casefold()
        case "starts":
            return bool(found.startswith(value))
        case _:
            return value in found
