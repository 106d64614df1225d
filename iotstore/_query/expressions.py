"""Filter expressions as an application writes them: ``(field("severity") == "high") & field("title").contains("cam")``.

Their logic has two values, as Python's: a comparison with a missing value is false, and ``~`` makes it true.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from iotstore.errors import InvalidValue


class Where:
    """A condition on a record. Combine with ``&``, ``|`` and ``~``."""

    __slots__ = ()

    def __and__(self, other: Where) -> Where:
        return AllOf((self, _condition(other)))

    def __or__(self, other: Where) -> Where:
        return AnyOf((self, _condition(other)))

    def __invert__(self) -> Where:
        return Not(self)

    def __bool__(self) -> bool:
        raise InvalidValue("a filter has no truth value of its own", hint="write & and | instead of 'and' and 'or'")


def _condition(other: object) -> Where:
    if not isinstance(other, Where):
        raise InvalidValue(f"expected a filter, got {type(other).__name__}", hint="put comparisons in brackets")
    return other


@dataclass(frozen=True, slots=True, eq=False)
class Compared(Where):
    """*field* compared with *value*; *test* is one of = <> < <= > >=."""

    field: str
    test: str
    value: object


@dataclass(frozen=True, slots=True, eq=False)
class Among(Where):
    """*field* is one of *values*."""

    field: str
    values: tuple[object, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Holds(Where):
    """*field* contains, or with *prefix* starts with, *text*."""

    field: str
    text: str
    prefix: bool
    case: bool | None


@dataclass(frozen=True, slots=True, eq=False)
class Tagged(Where):
    """*field* has the member *tag*."""

    field: str
    tag: str


@dataclass(frozen=True, slots=True, eq=False)
class InNetwork(Where):
    """*field* is an address of *network*."""

    field: str
    network: object


@dataclass(frozen=True, slots=True, eq=False)
class Missing(Where):
    """*field* is None (or the empty set)."""

    field: str


@dataclass(frozen=True, slots=True, eq=False)
class AllOf(Where):
    """Every part holds."""

    parts: tuple[Where, ...]


@dataclass(frozen=True, slots=True, eq=False)
class AnyOf(Where):
    """At least one part holds."""

    parts: tuple[Where, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Not(Where):
    """The part does not hold."""

    part: Where


class FieldName:
    """A field of a record, to be compared. Made by ``field(name)``."""

    __slots__ = ("name",)
    __hash__ = None  # type: ignore[assignment]  # == makes a filter, so it can't be looked up

    def __init__(self, name: str) -> None:
        self.name = name

    def __eq__(self, value: object) -> Where:  # type: ignore[override]  # a comparison is a filter here
        return Missing(self.name) if value is None else Compared(self.name, "=", value)

    def __ne__(self, value: object) -> Where:  # type: ignore[override]  # a comparison is a filter here
        return Not(self == value)

    def __lt__(self, value: object) -> Where:
        return Compared(self.name, "<", value)

    def __le__(self, value: object) -> Where:
        return Compared(self.name, "<=", value)

    def __gt__(self, value: object) -> Where:
        return Compared(self.name, ">", value)

    def __ge__(self, value: object) -> Where:
        return Compared(self.name, ">=", value)

    def in_(self, values: Iterable[object]) -> Where:
        """It is one of *values*; None among them means missing. There may be tens of thousands."""
        return Among(self.name, tuple(values))

    def not_in(self, values: Iterable[object]) -> Where:
        """It is none of *values*."""
        return Not(Among(self.name, tuple(values)))

    def between(self, start: object, end: object) -> Where:
        """From *start* inclusive to *end* exclusive."""
        return AllOf((Compared(self.name, ">=", start), Compared(self.name, "<", end)))

    def contains(self, text: str, *, case: bool | None = None) -> Where:
        """It holds *text*, literally. Upper and lower case are one where the field is declared for search; see *case*.

        ``case=True`` tells them apart, ``case=False`` insists that they are one.
        """
        return Holds(self.name, text, prefix=False, case=case)

    def starts_with(self, text: str, *, case: bool | None = None) -> Where:
        """It begins with *text*, literally; *case* as in ``contains``."""
        return Holds(self.name, text, prefix=True, case=case)

    def has_tag(self, tag: str) -> Where:
        """The set has *tag* as a member (never merely as a part of one)."""
        return Tagged(self.name, tag)

    def in_network(self, network: object) -> Where:
        """The address lies in a network such as ``192.168.1.0/24``."""
        return InNetwork(self.name, network)

    def is_null(self) -> Where:
        """It is None, or the empty set."""
        return Missing(self.name)

    def is_set(self) -> Where:
        """It has a value."""
        return Not(Missing(self.name))


def field(name: str) -> FieldName:
    """The field called *name*, to be compared in a filter."""
    return FieldName(name)
