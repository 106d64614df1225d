"""Keys of records as text: the same for every backend, in the outbox, in dead letters and in checkpoints."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from iotstore._catalogue.lines import PYTHON, freed, held
from iotstore._engine.engine import Engine
from iotstore._kinds.kind import Kind
from iotstore._kinds.relations import RELATIONS
from iotstore._waist.layout import Key
from iotstore.errors import Corrupt


class Name(NamedTuple):
    """One record, whatever keeps it: its kind, and its key as canonical JSON text."""

    kind: str
    key: str

    @property
    def digest(self) -> str:
        """The key in a fixed length, for an index."""
        return hashlib.blake2b(self.key.encode(), digest_size=24).hexdigest()


def graph_kinds(engine: Engine) -> dict[str, Kind[Any]]:
    """The kinds that a projection keeps, in the order of the kinds: nodes, and those whose records hold edges."""
    holding = {bond.kind.name for bond in engine.graph.bonds} | {RELATIONS.name}
    return {name: kind for name, kind in engine.kinds.items() if name in engine.graph.nodes or name in holding}


class Keys:
    """The keys of one kind as one backend holds them, to text and back."""

    def __init__(self, engine: Engine, kind: Kind[Any]) -> None:
        self._kind = kind
        self._types = tuple(kind.layout.column(name).type for name in kind.keys)
        self._holds = engine.backend.holds
        self._decode = msgspec.json.Decoder(tuple[tuple(PYTHON[one] for one in self._types)]).decode  # type: ignore[misc]  # made from the kind's key

    def name(self, key: Key) -> Name:
        """The name of the record with this held key."""
        return Name(self._kind.name, msgspec.json.encode(self.plain(key)).decode())

    def plain(self, key: Key) -> list[Any]:
        """A held key in layout terms."""
        return [freed(value, of, self._holds) for value, of in zip(key, self._types, strict=True)]

    def held(self, text: str) -> Key:
        """The held key that a text stands for."""
        try:
            plain = self._decode(text)
        except (msgspec.MsgspecError, ValueError) as error:
            raise Corrupt(f"an outbox row names a {self._kind.noun} by what is no key of one") from error
        return tuple(held(value, of, self._holds) for value, of in zip(plain, self._types, strict=True))


def keys_by_kind(engine: Engine, kinds: Mapping[str, Kind[Any]]) -> dict[str, Keys]:
    """One for each kind."""
    return {name: Keys(engine, kind) for name, kind in kinds.items()}


def grouped(names: Sequence[Name]) -> dict[str, list[str]]:
    """The key texts of each kind."""
    found: dict[str, list[str]] = {}
    for one in names:
        found.setdefault(one.kind, []).append(one.key)
    return found
