"""Field declarations: what goes beside a type in ``Annotated[...]`` to say its limits and how it is searched."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from iotstore._values import MAX_INT, MIN_INT
from iotstore._waist.layout import Type


@dataclass(frozen=True, slots=True)
class Text:
    """Text of *min* to *max* characters. With *search* a casefolded shadow serves case-insensitive search; with
    *choices* only these texts are taken. Plain ``str`` means ``Text()``."""

    max: int = 255
    min: int = 0
    search: bool = False
    choices: tuple[str, ...] | None = None
    type = Type.TEXT


@dataclass(frozen=True, slots=True)
class Int:
    """A 64-bit integer from *min* to *max*. Plain ``int`` means ``Int()``."""

    min: int = MIN_INT
    max: int = MAX_INT
    type = Type.INT


@dataclass(frozen=True, slots=True)
class Real:
    """A finite double from *min* to *max*. Plain ``float`` means ``Real()``."""

    min: float | None = None
    max: float | None = None
    type = Type.REAL


@dataclass(frozen=True, slots=True)
class Flag:
    """A boolean. Plain ``bool`` means this."""

    type = Type.BOOL


@dataclass(frozen=True, slots=True)
class Time:
    """An instant, as an aware datetime, to the microsecond. Plain ``datetime`` means this."""

    type = Type.TIME


@dataclass(frozen=True, slots=True)
class Duration:
    """A timedelta, kept as integer microseconds. Plain ``timedelta`` means this."""

    type = Type.INT


@dataclass(frozen=True, slots=True)
class Bytes:
    """At most *max* bytes. Plain ``bytes`` means ``Bytes()``."""

    max: int = 1_048_576
    type = Type.BYTES


@dataclass(frozen=True, slots=True)
class Address:
    """An IPv4 or IPv6 address, as text in canonical form; orders by version, then value."""

    type = Type.TEXT


@dataclass(frozen=True, slots=True)
class Mac:
    """A MAC address, as text in lower case with colons."""

    type = Type.TEXT


@dataclass(frozen=True, slots=True)
class Json:
    """A JSON value of at most *max* characters of canonical text."""

    max: int = 1_048_576
    type = Type.TEXT


@dataclass(frozen=True, slots=True)
class Tags:
    """A ``frozenset[str]`` of texts of 1 to *max* characters. Plain ``frozenset[str]`` means ``Tags()``."""

    max: int = 64
    type = Type.TEXTSET


Declared: TypeAlias = Text | Int | Real | Flag | Time | Duration | Bytes | Address | Mac | Json | Tags
DECLARED = (Text, Int, Real, Flag, Time, Duration, Bytes, Address, Mac, Json, Tags)


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a kind as the core works with it: name, declaration, whether None is allowed, and its shadows."""

    name: str
    declared: Declared
    nullable: bool

    @property
    def fold(self) -> str | None:
        """The name of the casefolded shadow column, if the field has one."""
        return f"{self.name}__fold" if isinstance(self.declared, Text) and self.declared.search else None

    @property
    def order(self) -> str:
        """The column that the field is ordered and compared by."""
        return f"{self.name}__order" if isinstance(self.declared, Address) else self.name
