"""Answers of a store in a form that two stores can be compared by: ids by their turn, versions by their changes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from iotstore import Kind, Page, Rejected

#: A bound of the contract: sums and means of doubles agree to this part of the sum of absolute values.
TOLERANCE: Final = 1e-12
# Versions of a record deleted and made anew are further apart than any history changes it.
_ANEW: Final = 100_000
# These hold their values as items, not as attributes with names.
_PLAIN: Final = (bool, int, float, str, bytes)

Seen: TypeAlias = Any


@dataclass(frozen=True, slots=True)
class Near:
    """A double that is the same within the tolerance, and the sum of absolute values that scales it."""

    value: float
    scale: float


@dataclass(frozen=True, slots=True)
class Answer:
    """What a call did: the name of the *error* that it raised, or what it returned.

    A *foreign* error is none of the library's: it should never have left the store.
    """

    error: str | None = None
    value: Seen = None
    foreign: bool = False

    def __str__(self) -> str:
        return f"raised {self.error}" if self.error else f"answered {self.value!r}"


class Names:
    """Generated ids and versions as one history has seen them: the first id of a kind is 0, and so on."""

    def __init__(self, kinds: Mapping[str, Kind[Any]]) -> None:
        self._kinds: dict[type, Kind[Any]] = {}
        self.learn(kinds)
        self._ids: dict[str, dict[int, int]] = {}
        self._versions: dict[tuple[str, object], int] = {}

    def learn(self, kinds: Mapping[str, Kind[Any]]) -> None:
        """Take the records of these kinds for what they are."""
        self._kinds |= {kind.record: kind for kind in kinds.values()}

    def of_id(self, kind: str, number: int) -> str:
        """The turn of an id; one that was never seen is the next."""
        turns = self._ids.setdefault(kind, {})
        return f"#{turns.setdefault(number, len(turns))}"

    def id_of(self, kind: str, nth: int) -> int:
        """The id that came at this turn, or one that no record has."""
        turns = list(self._ids.get(kind, {}))
        return turns[nth] if nth < len(turns) else 2**62 + nth

    def plain(self, value: Any) -> Seen:
        """The value in comparable form."""
        if value is None or isinstance(value, _PLAIN):
            return value
        if isinstance(value, Rejected):  # reasons are for people
            return ("Rejected", value.index, value.field)
        if isinstance(value, Page):
            return ("Page", self.plain(value.items), value.next is not None)
        if isinstance(value, Mapping):
            return {key: self.plain(one) for key, one in value.items()}
        if hasattr(type(value), "__struct_fields__"):
            return self._record(value)
        if isinstance(value, Near):
            return value
        if dataclasses.is_dataclass(value):
            fields = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
            return (type(value).__name__, self.plain(fields))
        if isinstance(value, Sequence):
            return [self.plain(one) for one in value]
        return value

    def _record(self, record: Any) -> Seen:
        fields = {name: self.plain(getattr(record, name)) for name in record.__struct_fields__}
        kind = self._kinds.get(type(record))
        if kind is not None:
            if kind.generated:
                fields[kind.generated] = self.of_id(kind.name, fields[kind.generated])
            if kind.tracked:
                key = tuple(repr(fields[name]) for name in kind.keys)
                fields["version"] = self._change(kind.name, key, fields["version"])
        return (type(record).__name__, fields)

    def _change(self, kind: str, key: object, version: int) -> str:
        first = self._versions.setdefault((kind, key), version)
        if not 0 <= version - first < _ANEW:
            first = self._versions[kind, key] = version
        return f"+{version - first}"


def same(left: Seen, right: Seen) -> bool:
    """Whether two comparable values are equal: types too, doubles to the bit unless they are Near."""
    if isinstance(left, Near) and isinstance(right, Near):
        scale = max(left.scale, right.scale)
        return abs(left.value - right.value) <= TOLERANCE * scale
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        return left.hex() == float(right).hex()
    if isinstance(left, Answer):
        return (left.error, True) == (right.error, same(left.value, right.value))
    if isinstance(left, dict):
        return list(left) == list(right) and all(same(left[name], right[name]) for name in left)
    if isinstance(left, list | tuple):
        return len(left) == len(right) and all(map(same, left, right))
    return bool(left == right)
