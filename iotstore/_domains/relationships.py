"""Relations between records: who owns what, what stands where, what talks to what."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Final

from iotstore._domains._relations.writing import WrittenRelations
from iotstore._engine.engine import Engine
from iotstore._graph import estate, naming, paths, walks, whole
from iotstore._graph.bounds import Bounds, Budget, check_hops, check_limit, too_many
from iotstore._graph.naming import DeviceLike, NodeLike
from iotstore._graph.results import (
    BlastRadius,
    Direction,
    GraphPath,
    Measure,
    Neighbour,
    Node,
    PatternAlerts,
    Relationship,
    Score,
    Subgraph,
)
from iotstore._graph.sources import Consistency, EdgeSource, FromRecords
from iotstore._graph.walks import Ground
from iotstore._kinds.estate import LOCATIONS
from iotstore.errors import InvalidValue

_TALKS: Final = ("CONNECTED_TO",)
Types = str | Iterable[str] | None


class Relationships(WrittenRelations):
    """The graph of a store's records.

    What records say is a relation by itself: OWNS, LOCATED_IN, GENERATED, MEMBER_OF, and CONNECTED_TO between devices
    that were seen to talk. Others are written by ``relate``. A relation is there as long as both its records are.

    Every question takes *types* of relations (None: all), a *direction* ("out" along them, "in" against them, "both"),
    the most answers that are wanted (*limit*; more of them are LimitExceeded, never a part) and a *consistency*, which
    matters where a projection answers.
    """

    def __init__(self, engine: Engine, source: EdgeSource | None = None, bounds: Bounds | None = None) -> None:
        super().__init__(engine)
        self._source = source or FromRecords(engine)
        self._bounds = bounds or Bounds()

    def within(self, *, nodes: int | None = None, edges: int | None = None, steps: int | None = None) -> Relationships:
        """The same questions with other bounds: the most *nodes* and *edges* that one looks at, and the most *steps*
        that it takes over them. Beyond them it is LimitExceeded."""
        old = self._bounds
        for name, value in (("nodes", nodes), ("edges", edges), ("steps", steps)):
            if value is not None and (isinstance(value, bool) or value < 1):
                raise InvalidValue(f"{value!r} is no number of {name}", field=name)
        bounds = Bounds(nodes or old.nodes, edges or old.edges, steps or old.steps)
        return Relationships(self._engine, self._source, bounds)

    def of(
        self,
        node: NodeLike,
        *,
        types: Types = None,
        direction: Direction = "both",
        limit: int = 10_000,
        consistency: Consistency | None = None,
    ) -> list[Relationship]:
        """The relations of one record, in order; NotFound if there is no such record."""
        with self._asked(types, direction, consistency) as ground:
            (start,) = self._known(ground, node)
            found = ground.expand([start])
        if len(found) > check_limit(limit):
            raise too_many("relations", limit)
        return [naming.relationship(edge) for edge in sorted(found, key=walks.by_ends)]

    def neighbours(
        self,
        node: NodeLike,
        *,
        hops: int = 1,
        types: Types = None,
        direction: Direction = "both",
        limit: int = 10_000,
        consistency: Consistency | None = None,
    ) -> list[Neighbour]:
        """The records within *hops* relations of this one, the nearest first, then by node."""
        check_hops(hops, "hops")
        with self._asked(types, direction, consistency) as ground:
            found = walks.reached(ground, self._known(ground, node), hops=hops, limit=check_limit(limit))
        return [Neighbour(Node(*one), far) for far, one in found]

    def subgraph(
        self,
        nodes: Iterable[NodeLike],
        *,
        hops: int = 1,
        types: Types = None,
        direction: Direction = "both",
        limit: int = 10_000,
        consistency: Consistency | None = None,
    ) -> Subgraph:
        """These records, those within *hops* of them (0: none), and every relation between any two of all these."""
        far = check_hops(hops, "hops", least=0)
        with self._asked(types, direction, consistency) as ground:
            starts = self._known(ground, *nodes)
            found, edges = walks.around(ground, starts, hops=far, limit=check_limit(limit))
        return Subgraph(naming.nodes_of(found), tuple(naming.relationship(edge) for edge in edges))

    def paths(
        self,
        start: NodeLike,
        end: NodeLike,
        *,
        length: int = 4,
        types: Types = None,
        direction: Direction = "both",
        limit: int = 1_000,
        consistency: Consistency | None = None,
    ) -> list[GraphPath]:
        """Every way from one record to another over at most *length* relations that meets no record twice; the
        shortest first, then by their nodes and relations."""
        check_hops(length, "length")
        with self._asked(types, direction, consistency) as ground:
            first, last = self._known(ground, start, end)
            found = paths.all_paths(ground, first, last, length=length, limit=check_limit(limit))
        return [naming.path(way) for way in found]

    def shortest_path(
        self,
        start: NodeLike,
        end: NodeLike,
        *,
        weighted: bool = False,
        hops: int = 1_000,
        types: Types = None,
        direction: Direction = "both",
        consistency: Consistency | None = None,
    ) -> GraphPath | None:
        """The way with the fewest relations, at most *hops*, or with *weighted* the one with the least weight and of
        those the fewest relations; None if there is none. Of equals the least sequence of nodes."""
        check_hops(hops, "hops")
        with self._asked(types, direction, consistency) as ground:
            first, last = self._known(ground, start, end)
            way = paths.lightest(ground, first, last) if weighted else walks.shortest(ground, first, last, hops=hops)
        return None if way is None else naming.path(way)

    def cycles(
        self,
        *,
        length: int = 6,
        types: Types = None,
        limit: int = 1_000,
        consistency: Consistency | None = None,
    ) -> list[GraphPath]:
        """Every way along the relations, over at most *length* of them, that ends where it began and meets no other
        record twice. Each begins at its least node; the shortest first."""
        check_hops(length, "length")
        with self._asked(types, "out", consistency) as ground:
            found = paths.all_cycles(ground, length=length, limit=check_limit(limit))
        return [naming.path(way) for way in found]

    def components(self, *, types: Types = _TALKS, consistency: Consistency | None = None) -> list[tuple[Node, ...]]:
        """Active devices that hang together by relations between them, whatever their direction: the largest set
        first. A device without such a relation is a set of its own."""
        with self._asked(types, "both", consistency) as ground:
            return [naming.nodes_of(found) for found in estate.device_components(ground)]

    def blast_radius(
        self,
        device: DeviceLike,
        *,
        hops: int = 3,
        types: Types = _TALKS,
        direction: Direction = "both",
        limit: int = 10_000,
        consistency: Consistency | None = None,
    ) -> BlastRadius:
        """What is in danger when this device falls: the devices that can be got at from it over *types*, and the
        owners, locations and groups of all of them. Devices that are inactive or blocked pass nothing on and are not
        counted, but for the one that is asked about."""
        check_hops(hops, "hops")
        with self._asked(types, direction, consistency) as ground:
            node = naming.device_node(self._engine, device, "device")
            naming.existing(ground.edges.engine, [node])
            return estate.blast_radius(ground, node, hops=hops, limit=check_limit(limit))

    def devices_at(
        self,
        location: str | Node,
        *,
        nested: bool = True,
        limit: int = 10_000,
        consistency: Consistency | None = None,
    ) -> list[Node]:
        """The devices at a location and, with *nested*, at all locations inside it, by key."""
        with self._asked("LOCATED_IN", "in", consistency) as ground:
            given = (LOCATIONS.name, location) if isinstance(location, str) else location
            (node,) = self._known(ground, given)
            if node[0] != LOCATIONS.name:
                raise InvalidValue(f"{location!r} is no location", field="location")
            hops = check_hops(10_000 if nested else 1, "hops")
            found = estate.devices_at(ground, node, hops=hops, limit=check_limit(limit))
        return list(naming.nodes_of(found))

    def alerts_by_pattern(
        self, start: datetime | None = None, end: datetime | None = None, *, consistency: Consistency | None = None
    ) -> list[PatternAlerts]:
        """How many alerts in ``[start, end)`` are SIMILAR_TO each threat pattern; the most alerts first, then by
        pattern. Patterns without any are left out."""
        with self._asked("SIMILAR_TO", "out", consistency) as ground:
            return estate.alerts_by_pattern(ground, start, end)

    def communities(
        self,
        *,
        types: Types = _TALKS,
        resolution: float = 1.0,
        seed: int = 0,
        consistency: Consistency | None = None,
    ) -> list[tuple[Node, ...]]:
        """Records that have more to do with each other than with others, by Louvain's method: the largest set first.

        A larger *resolution* makes smaller sets. The same *seed* gives the same answer. It needs ``iotstore[graph]``.
        """
        with self._asked(types, "both", consistency) as ground:
            edges = ground.whole()
        return [naming.nodes_of(found) for found in whole.communities(edges, resolution=resolution, seed=seed)]

    def centrality(
        self,
        measure: Measure = "degree",
        *,
        types: Types = None,
        limit: int | None = None,
        consistency: Consistency | None = None,
    ) -> list[Score]:
        """How central each record is that has such a relation: the most central first, then by node, the first *limit*.

        "degree" is the part of all others that it has to do with, "betweenness" the part of shortest ways that lead
        over it, whatever their direction, "pagerank" how often one who follows the relations comes by. The latter two
        need ``iotstore[graph]``.
        """
        most = None if limit is None else check_limit(limit)
        with self._asked(types, "both", consistency) as ground:
            found = whole.centrality(ground.whole(), measure, ground.budget)
        return [Score(Node(*node), score) for node, score in found[:most]]

    @contextmanager
    def _asked(self, types: Types, direction: str, consistency: Consistency | None) -> Generator[Ground]:
        asked, way = naming.check_types(types), naming.check_direction(direction)
        if consistency not in (None, "projected", "read-your-writes", "primary"):
            raise InvalidValue(
                f'{consistency!r} is none of "projected", "read-your-writes" and "primary"', field="consistency"
            )
        with self._source.opened(consistency) as edges:
            yield Ground(edges, asked, way, Budget(self._bounds))

    def _known(self, ground: Ground, *nodes: Any) -> list[tuple[str, Any]]:
        found = [naming.known_node(self._engine, node, "node") for node in nodes]
        naming.existing(ground.edges.engine, found)
        return found
