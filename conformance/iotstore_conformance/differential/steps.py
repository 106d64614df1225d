"""Steps of a history as plain data, and as the Python that makes them again."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Made:
    """The id of the *nth* record of a kind that the history has seen; an unknown id where there were fewer."""

    kind: str
    nth: int


@dataclass(frozen=True, slots=True)
class Version:
    """The version that a record has when the step is played, or with *stale* one that it had before."""

    kind: str
    key: str
    stale: bool = False


@dataclass(frozen=True, slots=True)
class Ask:
    """A measure or group of an aggregate by the name of its function: ``Ask("sum_", ("real",))``."""

    name: str
    args: tuple[object, ...] = ()
    zone: str | None = None


class Plants:
    """A record of the kind that grows, with those of the *fields* that it has when the step is played."""

    __slots__ = ("fields",)

    def __init__(self, **fields: object) -> None:
        self.fields = fields

    def __repr__(self) -> str:
        return f"Plants({', '.join(f'{name}={written(value)}' for name, value in self.fields.items())})"


class Step:
    """One call on a store: ``Step("devices.add", Device(key="a"))``, or ``Step("begin")``, "commit" and "undo".

    ``Step("back up")`` restores a portable backup beside the other store and tells what is in it; ``Step("grow")``
    opens the store again with a kind that has one more field.

    What stands before the dot is a domain of the store or the name of a kind. Arguments are plain values, records,
    the conditions of ``iotstore_conformance.filters``, and the stand-ins of this module.
    """

    __slots__ = ("args", "call", "options")

    def __init__(self, call: str, /, *args: object, **options: object) -> None:
        self.call = call
        self.args = args
        self.options = options

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Step) and repr(self) == repr(other)

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        parts = [repr(self.call), *(written(value) for value in self.args)]
        parts += [f"{name}={written(value)}" for name, value in self.options.items()]
        return f"Step({', '.join(parts)})"


def written(value: object) -> str:
    """The Python that makes *value* again, without what is a default anyway."""
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{written(name)}: {written(one)}" for name, one in value.items()) + "}"
    if isinstance(value, list):
        return f"[{', '.join(written(one) for one in value)}]"
    if isinstance(value, frozenset):
        return f"frozenset({{{', '.join(sorted(written(one) for one in value))}}})" if value else "frozenset()"
    if isinstance(value, tuple):
        return f"({', '.join(written(one) for one in value)}{',' if len(value) == 1 else ''})"
    return _record(value) if hasattr(type(value), "__struct_fields__") else repr(value)


def _record(record: Any) -> str:
    names: tuple[str, ...] = record.__struct_fields__
    defaults: tuple[object, ...] = record.__struct_defaults__
    usual = dict(zip(reversed(names), reversed(defaults), strict=False))
    values = {name: getattr(record, name) for name in names}
    given = [
        f"{name}={written(value)}"
        for name, value in values.items()
        if name not in usual or type(usual[name]) is not type(value) or usual[name] != value
    ]
    return f"{type(record).__name__}({', '.join(given)})"
