"""One transaction of the projection: records put or removed, their edges drawn, the checkpoint with them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from iotstore._engine.powers import graph_writer
from iotstore._engine.references import keys_filter
from iotstore._graph.holding import held_edges, holders
from iotstore._kinds.kind import Kind, Record
from iotstore._projection.keys import Name, grouped
from iotstore._projection.target import Target
from iotstore._waist.graph import Held
from iotstore._waist.layout import Key, Row
from iotstore._waist.sessions import WriteSession

_KEYS_AT_ONCE: Final = 200


class Writing:
    """Writes records of the primary into the projection, inside a transaction that the caller began."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._holding: dict[str, Callable[[Row], list[Held]]] | None = None

    def put(self, session: WriteSession, names: Sequence[Name], records: Mapping[Name, Record]) -> list[Name]:
        """Make the projection hold exactly *records* of *names*. Returns which of them it had not held before."""
        new: list[Name] = []
        for kind, texts in grouped(names).items():
            if kind in self._target.kinds:
                there = [Name(kind, text) for text in texts if Name(kind, text) in records]
                gone = [Name(kind, text) for text in texts if Name(kind, text) not in records]
                self.remove(session, kind, [self._key(name) for name in gone])
                new += self._upsert(session, self._target.kinds[kind], there, records)
        return new

    def remove(self, session: WriteSession, kind: str, keys: Sequence[Key]) -> None:
        """Remove records; where edges are kept as such, theirs go with them."""
        twin = self._target.kinds[kind]
        for at in range(0, len(keys), _KEYS_AT_ONCE):
            session.delete(twin.layout, keys_filter(twin, keys[at : at + _KEYS_AT_ONCE]))

    def _upsert(
        self, session: WriteSession, twin: Kind[Any], names: Sequence[Name], records: Mapping[Name, Record]
    ) -> list[Name]:
        new: list[Name] = []
        size = self._target.engine.backend.limits.insert_rows
        for at in range(0, len(names), size):
            part = names[at : at + size]
            stored = session.upsert(twin.layout, [self._row(twin, records[name]) for name in part])
            new += [name for name, one in zip(part, stored, strict=True) if one.inserted]
        return new

    def draw(self, session: WriteSession, records: Mapping[Name, Record], lost: Sequence[Name] = ()) -> None:
        """Draw the edges that these records hold, and none for those that are *lost*, where edges are kept as such."""
        if not self._target.graph:
            return
        found: list[Held] = []
        held = [self._holder(name) for name in lost]
        for name, record in records.items():
            edges = self.holding.get(name.kind)
            if edges is not None:
                held.append((name.kind, self._key(name)))
                found += edges(self._row(self._target.kinds[name.kind], record))
        if held:
            graph_writer(self._target.engine.backend, session).draw(held, found)

    @property
    def holding(self) -> dict[str, Callable[[Row], list[Held]]]:
        """The kinds whose records hold edges, and which, from a row as the projection holds it."""
        if self._holding is None:
            engine = self._target.engine
            self._holding = {kind.name: held_edges(engine, kind) for kind in holders(engine)}
        return self._holding

    def row(self, kind: str, record: Record) -> Row:
        """A record of the primary as the projection holds it."""
        return self._row(self._target.kinds[kind], record)

    def _holder(self, name: Name) -> tuple[str, Key]:
        if name.kind in self._target.kinds:
            return name.kind, self._key(name)
        # Drawn by hand, or by another program: named as it was found.
        return "" if name.kind == "?" else name.kind, tuple(msgspec.json.decode(name.key))

    def _row(self, twin: Kind[Any], record: Record) -> Row:
        return self._target.engine.codec(twin).encode(record, getattr(record, "version", 0), 0)

    def _key(self, name: Name) -> Key:
        return self._target.keys[name.kind].held(name.key)
