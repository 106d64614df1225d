"""The edges of primary and projection side by side, both in the order of who holds them, in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

import msgspec

from iotstore._engine.powers import graph_reader
from iotstore._graph.holding import edges_of, holders
from iotstore._kinds.kind import Kind
from iotstore._projection.comparing import Compared
from iotstore._projection.keys import Name
from iotstore._projection.records import Records
from iotstore._projection.target import Target
from iotstore._projection.writing import Writing
from iotstore._waist.graph import Edge, NodeId
from iotstore._waist.layout import Key, Row, Value
from iotstore._waist.queries import Order, Select
from iotstore._waist.sessions import ReadSession

_ROWS: Final = 1000
#: The edges of one holder, in order: (source, type, target, weight) as the projection holds them.
Star: TypeAlias = tuple[Edge, ...]
Place: TypeAlias = tuple[str, tuple[Any, ...]]


class EdgeComparison:
    """Compares what records hold with what was drawn; iterate over it for the suspects, then ask for the result."""

    def __init__(self, records: Records, target: Target, writing: Writing) -> None:
        self._records = records
        self._target = target
        self._writing = writing
        self._count = 0
        self._primary = hashlib.blake2b(digest_size=24)
        self._projection = hashlib.blake2b(digest_size=24)

    def suspects(self) -> Iterator[tuple[Name, Star, Star]]:
        """The holders whose edges are not the same on both sides, with what should be and what is."""
        with self._records.engine.consistent() as session, self._target.engine.reading() as other:
            wanted, found = self._held_by_records(session), self._drawn(other)
            one, two = next(wanted, None), next(found, None)
            while one is not None or two is not None:
                if two is None or (one is not None and one[0] < two[0]):
                    yield self._name(one[0]), one[1], ()  # type: ignore[index]  # one of them is there
                    one = next(wanted, None)
                elif one is None or two[0] < one[0]:
                    yield self._name(two[0]), (), two[1]
                    two = next(found, None)
                else:
                    if one[1] != two[1]:
                        yield self._name(one[0]), one[1], two[1]
                    one, two = next(wanted, None), next(found, None)

    def result(self) -> Compared:
        """What both sides held, when all suspects have been asked for."""
        return Compared("edges", self._count, self._primary.hexdigest(), self._projection.hexdigest())

    def _name(self, place: Place) -> Name:
        kind, plain = place
        return Name(kind or "?", msgspec.json.encode(list(plain)).decode())

    def _held_by_records(self, session: ReadSession) -> Iterator[tuple[Place, Star]]:
        engine = self._records.engine
        for kind in sorted(holders(engine), key=lambda kind: kind.name):
            order = tuple(Order(column) for column in kind.keys)
            for rows in session.stream(kind.layout, Select(order=order), _ROWS):
                for row, star in zip(rows, self.stars(session, kind, rows), strict=True):
                    if star:
                        self._count += len(star)
                        place = (kind.name, tuple(self._records.keys[kind.name].plain(kind.layout.key_of(row))))
                        self._primary.update(msgspec.json.encode([place, star]))
                        yield place, star

    def stars(self, session: ReadSession, kind: Kind[Any], rows: Sequence[Row]) -> list[Star]:
        """The edges that each of these rows of the primary holds, without those that lack a node, as the projection
        holds them."""
        engine = self._records.engine
        own, twin = edges_of(engine, kind), self._writing.holding[kind.name]
        decode = engine.codec(kind).decode
        edges = [own(row) for row in rows]
        there = self._there(session, {node for star in edges for edge in star for node in (edge.source, edge.target)})
        return [
            _star(
                held.edge
                for edge, held in zip(star, twin(self._writing.row(kind.name, decode(row))), strict=True)
                if edge.source in there and edge.target in there
            )
            for row, star in zip(rows, edges, strict=True)
        ]

    def _there(self, session: ReadSession, nodes: set[NodeId]) -> set[NodeId]:
        by_kind: dict[str, list[Value]] = {}
        for kind, key in nodes:
            by_kind.setdefault(kind, []).append(key)
        found: set[NodeId] = set()
        for kind, keys in by_kind.items():
            rows = session.get_many(self._records.kinds[kind].layout, [(key,) for key in keys])
            found |= {(kind, key) for key, row in zip(keys, rows, strict=True) if row is not None}
        return found

    def _drawn(self, session: ReadSession) -> Iterator[tuple[Place, Star]]:
        reader = graph_reader(self._target.engine.backend, session)
        everything = (held for chunk in reader.edges(None, _ROWS) for held in chunk)
        for holder, several in groupby(everything, key=lambda held: held.holder):
            star = _star(held.edge for held in several)
            place = self._place(holder)
            self._projection.update(msgspec.json.encode([place, star]))
            yield place, star

    def _place(self, holder: tuple[str, Key]) -> Place:
        kind, key = holder
        keys = self._target.keys.get(kind)
        return (kind, tuple(key) if keys is None else tuple(keys.plain(key)))


def _star(edges: Any) -> Star:
    return tuple(sorted(edges, key=lambda edge: (edge[:3], edge.weight is not None, edge.weight or 0.0)))


def drawn_at(target: Target, session: ReadSession, wanted: Sequence[Edge]) -> set[Edge]:
    """Which of these edges (of the same ends, type and weight) are drawn now, whoever holds them."""
    reader = graph_reader(target.engine.backend, session)
    found: set[Edge] = set()
    for type_ in {edge.type for edge in wanted}:
        starts = list({edge.source for edge in wanted if edge.type == type_})
        for at in range(0, len(starts), 100):
            found |= set(reader.expand(starts[at : at + 100], [type_], outgoing=True, incoming=False, limit=2**31))
    return found
