"""Walks: level by level, no node twice, within a budget. Written once over any edges."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from iotstore._graph.bounds import Bounds, Budget, too_many
from iotstore._graph.edges import Edges, Types, strongest
from iotstore._graph.results import Direction
from iotstore._waist.graph import Edge, NodeId

#: From nodes that were met to those of them that are gone on from, and count.
Admit = Callable[[set[NodeId]], set[NodeId]]
#: A way as it is found: its nodes, and the edges between them.
Way = tuple[tuple[NodeId, ...], tuple[Edge, ...]]
FLIPPED: dict[Direction, Direction] = {"out": "in", "in": "out", "both": "both"}


def moves(edges: Iterable[Edge], direction: Direction) -> Iterator[tuple[NodeId, NodeId, Edge]]:
    """The moves that edges allow, each from a node to a node over an edge."""
    for edge in edges:
        if direction != "in":
            yield edge.source, edge.target, edge
        if direction != "out":
            yield edge.target, edge.source, edge


class Ground(NamedTuple):
    """What a walk goes over: edges of some types (None: of all), in a direction, within a budget."""

    edges: Edges
    types: Types
    direction: Direction
    budget: Budget

    def turned(self) -> Ground:
        """The same, gone over backwards."""
        return self._replace(direction=FLIPPED[self.direction])

    def expand(self, nodes: list[NodeId]) -> list[Edge]:
        """The edges at these nodes, each once."""
        return strongest(self.edges.expand(nodes, self.types, self.direction, self.budget))

    def whole(self) -> list[Edge]:
        """Every edge once, in order."""
        found: list[Edge] = []
        for chunk in self.edges.stream(self.types):
            self.budget.look_at_edges(len(chunk))
            found += chunk
        return sorted(strongest(found), key=by_ends)


def by_ends(edge: Edge) -> tuple[NodeId, str, NodeId]:
    """What edges are ordered by; their weights say nothing about that."""
    return edge[:3]


class Walk:
    """A walk from some nodes. ``hops`` says how far each node is, ``frontier`` which ones were met last."""

    def __init__(self, ground: Ground, starts: Iterable[NodeId], admit: Admit | None = None) -> None:
        self._ground = ground
        self._admit = admit
        self.frontier: list[NodeId] = sorted(set(starts))
        self.hops: dict[NodeId, int] = dict.fromkeys(self.frontier, 0)
        #: The edges at each level's nodes, from the start on.
        self.levels: list[list[Edge]] = []

    def step(self) -> list[NodeId]:
        """Go one level on; returns the nodes that are new, which are the frontier from now on."""
        found = self._ground.expand(self.frontier)
        self.levels.append(found)
        here = set(self.frontier)
        new = {to for at, to, _ in moves(found, self._ground.direction) if at in here and to not in self.hops}
        self._ground.budget.look_at_nodes(len(new))
        if self._admit is not None and new:
            new = self._admit(new)
        self.frontier = sorted(new)
        self.hops.update(dict.fromkeys(self.frontier, len(self.levels)))
        return self.frontier


def reached(
    ground: Ground, starts: Iterable[NodeId], *, hops: int, limit: int, admit: Admit | None = None
) -> list[tuple[int, NodeId]]:
    """The nodes within *hops* of the starts, without these, by distance and node; at most *limit*, or LimitExceeded."""
    first, budget = sorted(set(starts)), ground.budget
    # An engine that is asked for nodes does not tell how many edges it saw: for who bounds those they are counted here.
    if admit is None and budget.bounds.edges >= Bounds().edges:
        found = ground.edges.reach(first, ground.types, ground.direction, hops, min(limit, budget.nodes))
        if found is not None:
            if len(found) > limit:
                raise too_many("nodes", limit)
            budget.look_at_nodes(len(found))
            return sorted((far, node) for node, far in found)
    walk = Walk(ground, first, admit)
    while walk.frontier and len(walk.levels) < hops:
        walk.step()
        if len(walk.hops) - len(first) > limit:
            raise too_many("nodes", limit)
    return sorted((far, node) for node, far in walk.hops.items() if far)


def shortest(ground: Ground, start: NodeId, end: NodeId, *, hops: int) -> Way | None:
    """The way with the fewest hops, of several the one with the least sequence of nodes; None if there is none.

    Two walks meet: each goes over the nodes near its own end only.
    """
    if start == end:
        return (start,), ()
    there, back = Walk(ground, [start]), Walk(ground.turned(), [end])
    while len(there.levels) + len(back.levels) < hops and there.frontier and back.frontier:
        nearer, other = (there, back) if len(there.frontier) <= len(back.frontier) else (back, there)
        meeting = set(nearer.step()).intersection(other.frontier)
        if meeting:
            return _least(start, end, _onwards(there, back, meeting, ground.direction))
    return None


def _onwards(there: Walk, back: Walk, meeting: set[NodeId], direction: Direction) -> dict[NodeId, dict[NodeId, Edge]]:
    """From each node on a shortest way to those that may follow it, with the least edge between them."""
    follows: dict[NodeId, dict[NodeId, Edge]] = {}
    alive = meeting
    for level in range(len(there.levels) - 1, -1, -1):
        before: set[NodeId] = set()
        for at, to, edge in moves(there.levels[level], direction):
            if to in alive and there.hops.get(at) == level:
                _note(follows, at, to, edge)
                before.add(at)
        alive = before
    for level, found in enumerate(back.levels):
        for at, to, edge in moves(found, direction):
            if back.hops.get(to) == level and back.hops.get(at) == level + 1:
                _note(follows, at, to, edge)
    return follows


def _note(follows: dict[NodeId, dict[NodeId, Edge]], at: NodeId, to: NodeId, edge: Edge) -> None:
    known = follows.setdefault(at, {})
    if to not in known or edge[:3] < known[to][:3]:
        known[to] = edge


def _least(start: NodeId, end: NodeId, follows: dict[NodeId, dict[NodeId, Edge]]) -> Way:
    nodes, over = [start], list[Edge]()
    while nodes[-1] != end:
        following = follows[nodes[-1]]
        to = min(following)
        over.append(following[to])
        nodes.append(to)
    return tuple(nodes), tuple(over)


def around(ground: Ground, starts: Iterable[NodeId], *, hops: int, limit: int) -> tuple[list[NodeId], list[Edge]]:
    """The nodes within *hops* of the starts, these included, and every edge between two of them, both in order."""
    first = sorted(set(starts))
    far = reached(ground, first, hops=hops, limit=limit) if hops else []
    nodes = {*first, *(node for _, node in far)}
    # The outermost nodes' edges were not looked at on the way there.
    between = ground._replace(direction="out").expand(sorted(nodes))
    return sorted(nodes), sorted((edge for edge in between if edge.target in nodes), key=by_ends)
