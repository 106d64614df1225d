"""Edges: what every walk asks of a store, whether it has records only or a power of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, Protocol, TypeAlias

from iotstore._engine.engine import Engine
from iotstore._graph.bounds import Budget
from iotstore._graph.results import Direction
from iotstore._kinds.codec import Codec
from iotstore._waist.graph import Edge, GraphReader, NodeId
from iotstore._waist.layout import Type, Value

Types: TypeAlias = Sequence[str] | None
#: Nodes whose existence is looked up at once.
LOOKED_UP: Final = 5_000


class Edges(Protocol):
    """The edges of one state of a store. Nodes are (kind, key), the key as an application knows it.

    An edge exists only if both its nodes exist as records. Two records may hold the same edge: it comes once for each.
    """

    @property
    def engine(self) -> Engine:
        """The engine, bound to the session that the edges are read in, for what the records of nodes say."""
        ...

    def expand(self, nodes: Sequence[NodeId], types: Types, direction: Direction, budget: Budget) -> list[Edge]:
        """The edges at these nodes, which exist, in no order. They are taken from the budget."""
        ...

    def reach(
        self, nodes: Sequence[NodeId], types: Types, direction: Direction, hops: int, limit: int
    ) -> list[tuple[NodeId, int]] | None:
        """The nodes within *hops* of these, with how far they are, more than *limit* of them if there are more; None
        where that is no better than going level by level."""
        ...

    def stream(self, types: Types) -> Iterator[list[Edge]]:
        """Every edge, in no order."""
        ...


def strongest(edges: Iterable[Edge]) -> list[Edge]:
    """Each edge once: of those that several records hold, a weight beats none and the least one counts."""
    found: dict[tuple[NodeId, str, NodeId], Edge] = {}
    for edge in edges:
        same = edge[:3]
        other = found.setdefault(same, edge)
        if other is not edge and edge.weight is not None and (other.weight is None or edge.weight < other.weight):
            found[same] = edge
    return list(found.values())


def present(engine: Engine, nodes: Iterable[NodeId]) -> set[NodeId]:
    """Those of these nodes that exist as records."""
    found: set[NodeId] = set()
    by_kind: dict[str, list[Value]] = {}
    for node in nodes:
        by_kind.setdefault(node[0], []).append(node[1])
    with engine.reading() as session:
        for name, keys in by_kind.items():
            kind = engine.graph.nodes.get(name)
            if kind is None:
                continue
            hold = holding(engine.codec(kind))
            for start in range(0, len(keys), LOOKED_UP):
                chunk = keys[start : start + LOOKED_UP]
                rows = session.get_many(kind.layout, [(hold(key),) for key in chunk])
                found.update((name, key) for key, row in zip(chunk, rows, strict=True) if row is not None)
    return found


def holding(codec: Codec[Any]) -> Callable[[Value], Value]:
    """From a key of the codec's kind, which is one field, to how the backend holds it."""
    of = codec.kind.layout.column(codec.kind.keys[0]).type
    encode = codec.holding(of).encode
    return _same if encode is None else encode


def _same(value: Value) -> Value:
    return value


def plain(engine: Engine) -> Callable[[list[Edge]], list[Edge]]:
    """From edges as the backend holds them to edges as an application knows them."""
    if not any(engine.backend.holds[of].decode for of in (Type.TEXT, Type.INT) if of in engine.backend.holds):
        return lambda edges: edges
    free = freeing(engine)
    return lambda edges: [Edge(free(source), type_, free(target), weight) for source, type_, target, weight in edges]


def freeing(engine: Engine) -> Callable[[NodeId], NodeId]:
    """From a node as the backend holds it to the node as an application knows it."""
    decoders: dict[str, Callable[[Value], Value]] = {}
    for name, kind in engine.graph.nodes.items():
        of = kind.layout.column(kind.keys[0]).type
        decoders[name] = engine.codec(kind).holding(of).decode or _same
    return lambda node: (node[0], decoders[node[0]](node[1]))


class PowerEdges:
    """The edges of a store whose backend keeps them as such. *engine* is bound to the session that *reader* is of."""

    def __init__(self, engine: Engine, reader: GraphReader) -> None:
        self.engine = engine
        self._reader = reader
        self._plain = plain(engine)
        self._free = freeing(engine)
        self._hold = {name: holding(engine.codec(kind)) for name, kind in engine.graph.nodes.items()}

    def expand(self, nodes: Sequence[NodeId], types: Types, direction: Direction, budget: Budget) -> list[Edge]:
        """The edges at these nodes, from the engine."""
        found = self._reader.expand(
            self._held(nodes), types, outgoing=direction != "in", incoming=direction != "out", limit=budget.edges
        )
        budget.look_at_edges(len(found))
        return self._plain(found)

    def reach(
        self, nodes: Sequence[NodeId], types: Types, direction: Direction, hops: int, limit: int
    ) -> list[tuple[NodeId, int]] | None:
        """The nodes within *hops* of these, by one question to the engine."""
        found = self._reader.reach(
            self._held(nodes), types, outgoing=direction != "in", incoming=direction != "out", hops=hops, limit=limit
        )
        return [(self._free(node), far) for node, far in found]

    def stream(self, types: Types) -> Iterator[list[Edge]]:
        """Every edge, from the engine."""
        for chunk in self._reader.edges(types, LOOKED_UP):
            yield self._plain([held.edge for held in chunk])

    def _held(self, nodes: Sequence[NodeId]) -> list[NodeId]:
        return [(kind, self._hold[kind](key)) for kind, key in nodes]
