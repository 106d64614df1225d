"""Which edges a record holds: a function of its row and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from iotstore._engine.engine import Engine
from iotstore._kinds.graphed import Bond
from iotstore._kinds.kind import Kind
from iotstore._kinds.relating import SELF
from iotstore._kinds.relations import RELATIONS
from iotstore._waist.graph import Edge, Held, NodeId
from iotstore._waist.layout import Row, Type, Value

EdgesOf: TypeAlias = Callable[[Row], list[Edge]]


def holders(engine: Engine) -> list[Kind[Any]]:
    """The kinds whose records hold edges, in the order of the kinds."""
    declared = {bond.kind.name for bond in engine.graph.bonds}
    return [kind for kind in engine.kinds.values() if kind.name in declared or kind.name == RELATIONS.name]


def edges_of(engine: Engine, kind: Kind[Any]) -> EdgesOf:
    """From a row of *kind*, as this engine's backend holds it, to the edges that it holds, held alike.

    Whether their nodes exist is not looked at.
    """
    if kind.name == RELATIONS.name:
        return _written(engine)
    bonds = [bond for bond in engine.graph.bonds if bond.kind.name == kind.name]
    places = [
        (
            bond.type,
            NodesOf(bond.source),
            place_of(kind, bond.start),
            NodesOf(bond.target),
            place_of(kind, bond.end),
            weigher(engine, bond),
        )
        for bond in bonds
    ]
    return lambda row: [
        Edge(sources[row[start]], type_, targets[row[end]], weigh(row))
        for type_, sources, start, targets, end, weigh in places
        if row[start] is not None and row[end] is not None
    ]


def held_edges(engine: Engine, kind: Kind[Any]) -> Callable[[Row], list[Held]]:
    """The same with their holder, as the Graph power wants them."""
    read, name, key_of = edges_of(engine, kind), kind.name, kind.layout.key_of
    return lambda row: [Held((name, key_of(row)), edge) for edge in read(row)]


class NodesOf(dict[Value, NodeId]):
    """The nodes of one kind by their keys, each made once: many edges meet at one."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self._kind = kind

    def __missing__(self, key: Value) -> NodeId:
        node = self[key] = (self._kind, key)
        return node


def place_of(kind: Kind[Any], end: str) -> int:
    """The column of a row that says what an end of a declared edge is."""
    return kind.layout.position[kind.keys[0] if end == SELF else end]


def weigher(engine: Engine, bond: Bond) -> Callable[[Row], float | None]:
    """From a row that holds a declared edge to the edge's weight."""
    if bond.weight is None:
        return lambda _: None
    column, place = bond.kind.layout.column(bond.weight), bond.kind.layout.position[bond.weight]
    free = engine.codec(bond.kind).free_of

    def weigh(row: Row) -> float | None:
        plain = free(column.type, row[place])
        return None if plain is None else float(plain)

    return weigh


def written_key(engine: Engine, kind: str, text: str) -> NodeId | None:
    """The node that a written relation names by the *text* of its key; None if there can be no such node."""
    known = engine.graph.nodes.get(kind)
    if known is None:
        return None
    column = known.layout.column(known.keys[0])
    if column.type is not Type.INT:
        return (kind, engine.codec(known).hold(column.type, text))
    number = int(text) if text.removeprefix("-").isascii() and text.removeprefix("-").isdigit() else None
    # Only the text that the store itself writes: 07 is no second name of 7.
    return None if number is None or str(number) != text else (kind, engine.codec(known).hold(column.type, number))


def _written(engine: Engine) -> EdgesOf:
    codec, position = engine.codec(RELATIONS), RELATIONS.layout.position
    places = [position[name] for name in ("source_kind", "source", "type", "target_kind", "target")]
    weight = position["weight"]

    def read(row: Row) -> list[Edge]:
        source_kind, source, type_, target_kind, target = [codec.free_of(Type.TEXT, row[at]) for at in places]
        start, end = written_key(engine, source_kind, source), written_key(engine, target_kind, target)
        if start is None or end is None:
            return []
        return [Edge(start, type_, end, codec.free_of(Type.REAL, row[weight]))]

    return read
