"""The primary's records, as they are now, by name; and which of them hold edges at given nodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from iotstore._engine.engine import Engine
from iotstore._kinds.kind import Kind, Record
from iotstore._kinds.relations import RELATIONS
from iotstore._projection.keys import Name, graph_kinds, grouped, keys_by_kind
from iotstore._projection.terms import equals, value
from iotstore._waist.filters import And, Filter, In
from iotstore._waist.queries import Order, Select
from iotstore._waist.sessions import ReadSession


class Records:
    """What the primary keeps of the graph."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.kinds = graph_kinds(engine)
        self.keys = keys_by_kind(engine, self.kinds)

    def now(self, names: Sequence[Name]) -> dict[Name, Record]:
        """These records as they are in this moment, without those that are gone."""
        found: dict[Name, Record] = {}
        with self.engine.consistent() as session:
            for kind, texts in grouped(names).items():
                if kind in self.kinds:
                    found.update(self._some(session, self.kinds[kind], texts))
        return found

    def _some(self, session: ReadSession, kind: Kind[Any], texts: Sequence[str]) -> Iterator[tuple[Name, Record]]:
        held, decode = self.keys[kind.name].held, self.engine.codec(kind).decode
        rows = session.get_many(kind.layout, [held(text) for text in texts])
        for text, row in zip(texts, rows, strict=True):
            if row is not None:
                yield Name(kind.name, text), decode(row)

    def pointing(self, names: Sequence[Name], rows: int) -> Iterator[list[Name]]:
        """The records that hold an edge at these nodes, in lists of about *rows*; one may come more than once."""
        for kind, texts in grouped(names).items():
            if kind in self.engine.graph.nodes:
                for where, holder in self._filters(kind, texts):
                    yield from self._named(holder, where, rows)

    def _filters(self, kind: str, texts: Sequence[str]) -> Iterator[tuple[Filter, Kind[Any]]]:
        values = tuple(self.keys[kind].held(text)[0] for text in texts)
        for bond in self.engine.graph.bonds:
            for field, of in ((bond.start, bond.source), (bond.end, bond.target)):
                if of == kind and field in bond.kind.fields:  # else the record itself is that end
                    yield In(field, values), bond.kind
        told = [str(msgspec.json.decode(text)[0]) for text in texts]
        for side in ("source", "target"):
            ends = In(side, tuple(value(self.engine, RELATIONS, side, one) for one in told))
            yield And((equals(self.engine, RELATIONS, f"{side}_kind", kind), ends)), RELATIONS

    def _named(self, kind: Kind[Any], where: Filter, rows: int) -> Iterator[list[Name]]:
        name, key_of = self.keys[kind.name].name, kind.layout.key_of
        order = tuple(Order(column) for column in kind.keys)
        with self.engine.consistent() as session:
            for chunk in session.stream(kind.layout, Select(where, order), rows):
                if chunk:
                    yield [name(key_of(row)) for row in chunk]
