"""RecordEdges: the edges of any store, read from the records that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from iotstore._engine.engine import Engine
from iotstore._graph.bounds import Budget
from iotstore._graph.edges import Types, freeing, holding, plain, present
from iotstore._graph.holding import EdgesOf, NodesOf, edges_of, holders, place_of, weigher
from iotstore._graph.results import Direction
from iotstore._kinds.graphed import Bond
from iotstore._kinds.kind import Kind
from iotstore._kinds.relating import SELF
from iotstore._kinds.relations import RELATIONS
from iotstore._query.lower import all_of
from iotstore._waist.filters import ALWAYS, Compare, Filter, In, Op
from iotstore._waist.graph import Edge, NodeId
from iotstore._waist.layout import OnDelete, Row, Type, Value
from iotstore._waist.queries import Select
from iotstore._waist.sessions import ReadSession

#: Keys in one filter.
_CHUNK: Final = 5_000
#: Rows in one piece of a stream; some have much beside their edges.
_ROWS: Final = 1_000


class RecordEdges:
    """The edges that the records of a store hold. *engine* is bound to the session that all is read in."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._plain = plain(engine)
        self._free = freeing(engine)
        self._hold = {name: holding(engine.codec(kind)) for name, kind in engine.graph.nodes.items()}
        self._nodes = {name: NodesOf(name) for name in engine.graph.nodes}
        self._looks = _looks(engine)
        self._written: EdgesOf | None = None

    def expand(self, nodes: Sequence[NodeId], types: Types, direction: Direction, budget: Budget) -> list[Edge]:
        """The edges at these nodes, found by one filter for each kind, field and some thousands of nodes."""
        wanted: dict[str, list[Value]] = {}
        for kind, key in nodes:
            wanted.setdefault(kind, []).append(self._hold[kind](key))
        frontier = _Frontier(wanted, {kind: frozenset(keys) for kind, keys in wanted.items()}, types, direction)
        found: list[Edge] = []
        unsure: list[Edge] = []
        with self.engine.reading() as session:
            for look in self._looks:
                for edges, sure in self._of_look(session, look, frontier, budget):
                    (found if sure else unsure).extend(edges)
            unsure += self._relations(session, frontier, budget)
        there = self._existing(self._plain(unsure), set(nodes))
        budget.look_at_edges(len(there))
        return self._plain(found) + there

    def reach(
        self,
        nodes: Sequence[NodeId],  # noqa: ARG002
        types: Types,  # noqa: ARG002
        direction: Direction,  # noqa: ARG002
        hops: int,  # noqa: ARG002
        limit: int,  # noqa: ARG002
    ) -> list[tuple[NodeId, int]] | None:
        """None: level by level it is."""
        return None

    def stream(self, types: Types) -> Iterator[list[Edge]]:
        """Every edge, kind by kind."""
        with self.engine.reading() as session:
            for kind in holders(self.engine):
                declared = {bond.type for bond in self.engine.graph.bonds if bond.kind is kind}
                if kind.name != RELATIONS.name and types is not None and declared.isdisjoint(types):
                    continue
                where = self._of_type(types) if kind.name == RELATIONS.name else ALWAYS
                read, sure = edges_of(self.engine, kind), _points_surely(kind)
                for rows in session.stream(kind.layout, Select(where), _ROWS):
                    edges = self._plain([edge for row in rows for edge in read(row)])
                    edges = edges if types is None else [edge for edge in edges if edge.type in types]
                    yield edges if sure else self._existing(edges, set())

    def _existing(self, edges: list[Edge], known: set[NodeId]) -> list[Edge]:
        """Those of these edges whose nodes exist; *known* are nodes that do."""
        doubtful = {node for edge in edges for node in (edge.source, edge.target)} - known
        there = known | present(self.engine, sorted(doubtful)) if doubtful else known
        return [edge for edge in edges if edge.source in there and edge.target in there]

    def _of_look(
        self, session: ReadSession, look: _Look, frontier: _Frontier, budget: Budget
    ) -> Iterator[tuple[list[Edge], bool]]:
        """The edges that one look finds, and whether their other ends exist for sure."""
        keys = frontier.wanted.get(look.at)
        ways = [way for way in look.ways if frontier.asks(way.bond.type, outgoing=way.outgoing)]
        if not keys or not ways:
            return
        for rows in _rows(session, look, keys, budget):
            for way in ways:
                edges = self._along(way, look, rows, frontier)
                if way.sure:
                    budget.look_at_edges(len(edges))
                yield edges, way.sure

    def _along(self, way: _Way, look: _Look, rows: Sequence[Row], frontier: _Frontier) -> list[Edge]:
        bond, here, there, weigh = way.bond, look.place, way.other, way.weigh
        type_, sources, targets = bond.type, self._nodes[bond.source], self._nodes[bond.target]
        if way.outgoing:
            return [
                Edge(sources[row[here]], type_, targets[row[there]], weigh(row))
                for row in rows
                if row[there] is not None
            ]
        # Of an edge that begins here too the other look knows already.
        known = frontier.among.get(bond.source, _NONE) if frontier.direction == "both" else _NONE
        return [
            Edge(sources[row[there]], type_, targets[row[here]], weigh(row))
            for row in rows
            if row[there] is not None and row[there] not in known
        ]

    def _of_type(self, types: Types) -> Filter:
        hold = self.engine.codec(RELATIONS).hold
        return ALWAYS if types is None else In("type", tuple(hold(Type.TEXT, one) for one in types))

    def _relations(self, session: ReadSession, frontier: _Frontier, budget: Budget) -> list[Edge]:
        """The edges at these nodes that were written by hand."""
        if RELATIONS.name not in self.engine.kinds:
            return []
        if self._written is None:
            if not session.select(RELATIONS.layout, Select(limit=1)):
                return []
            self._written = edges_of(self.engine, RELATIONS)
        codec, found = self.engine.codec(RELATIONS), list[Edge]()
        for kind, keys in frontier.wanted.items():
            texts = [codec.hold(Type.TEXT, str(self._free((kind, key))[1])) for key in keys]
            for end in frontier.ends:
                at = Compare(f"{end}_kind", Op.EQ, codec.hold(Type.TEXT, kind))
                for start in range(0, len(texts), _CHUNK):
                    named = In(end, tuple(texts[start : start + _CHUNK]))
                    query = Select(all_of([at, named, self._of_type(frontier.types)]), limit=budget.edges + 1)
                    rows = session.select(RELATIONS.layout, query)
                    if len(rows) > budget.edges:
                        budget.look_at_edges(len(rows))
                    edges = [edge for row in rows for edge in self._written(row)]
                    if end == "target" and frontier.direction == "both":  # those that begin here too are known
                        among = frontier.among
                        edges = [edge for edge in edges if edge.source[1] not in among.get(edge.source[0], _NONE)]
                    found += edges
        return found


class _Frontier(NamedTuple):
    """What one call of ``expand`` is about: the keys of its nodes by kind, as the backend holds them, twice."""

    wanted: Mapping[str, Sequence[Value]]
    among: Mapping[str, frozenset[Value]]
    types: Types
    direction: Direction

    def asks(self, type_: str, *, outgoing: bool) -> bool:
        """Whether edges of this type that begin (or end) at the nodes are wanted."""
        return self.direction != ("in" if outgoing else "out") and (self.types is None or type_ in self.types)

    @property
    def ends(self) -> tuple[str, ...]:
        """The ends of a written relation at which the nodes may stand."""
        return {"out": ("source",), "in": ("target",), "both": ("source", "target")}[self.direction]


class _Way(NamedTuple):
    """A declared edge seen from one of its ends: it begins (*outgoing*) or ends there. *other* is the column of the
    other end, which exists for *sure* unless the reference to it outlives it."""

    bond: Bond
    outgoing: bool
    other: int
    sure: bool
    weigh: Callable[[Row], float | None]


class _Look(NamedTuple):
    """Where edges at nodes of the kind *at* are found: in rows of *kind* that name the node in *field*, column *place*,
    or by their key."""

    kind: Kind[Any]
    field: str
    place: int
    at: str
    ways: tuple[_Way, ...]


_NONE: Final[frozenset[Value]] = frozenset()


def _looks(engine: Engine) -> list[_Look]:
    found: dict[tuple[str, str], _Look] = {}
    for bond in engine.graph.bonds:
        kind, weigh = bond.kind, weigher(engine, bond)
        for field, at, other, outgoing in (
            (bond.start, bond.source, bond.end, True),
            (bond.end, bond.target, bond.start, False),
        ):
            sure = other == SELF or kind.references[other][1] is not OnDelete.KEEP
            look = found.get((kind.name, field), _Look(kind, field, place_of(kind, field), at, ()))
            way = _Way(bond, outgoing, place_of(kind, other), sure, weigh)
            found[kind.name, field] = look._replace(ways=(*look.ways, way))
    return list(found.values())


def _rows(session: ReadSession, look: _Look, keys: Sequence[Value], budget: Budget) -> Iterator[list[Row]]:
    for start in range(0, len(keys), _CHUNK):
        chunk = keys[start : start + _CHUNK]
        if look.field == SELF:
            found = session.get_many(look.kind.layout, [(key,) for key in chunk])
            yield [row for row in found if row is not None]
            continue
        rows = session.select(look.kind.layout, Select(In(look.field, tuple(chunk)), limit=budget.edges + 1))
        if len(rows) > budget.edges:
            budget.look_at_edges(len(rows))
        yield rows


def _points_surely(kind: Kind[Any]) -> bool:
    """Whether what the kind's edges end at exists as long as they do."""
    ends = [end for one in kind.relates or () for end in (one.source, one.target) if end != SELF]
    return bool(ends) and all(kind.references[end][1] is not OnDelete.KEEP for end in ends)
