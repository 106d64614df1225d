"""All ways between two nodes, the way with the least weight, and cycles."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from iotstore._graph.bounds import Budget, too_many
from iotstore._graph.edges import strongest
from iotstore._graph.results import Direction
from iotstore._graph.walks import FLIPPED, Ground, Walk, Way, moves
from iotstore._waist.graph import Edge, NodeId

Follows: TypeAlias = Mapping[NodeId, Sequence[tuple[NodeId, Edge]]]


def following(edges: Iterable[Edge], direction: Direction) -> dict[NodeId, list[tuple[NodeId, Edge]]]:
    """From each node to what follows it over which edge, in no order."""
    found: dict[NodeId, list[tuple[NodeId, Edge]]] = {}
    for at, to, edge in moves(edges, direction):
        if at != to:
            found.setdefault(at, []).append((to, edge))
    return found


def _by_node(way: tuple[NodeId, Edge]) -> tuple[NodeId, NodeId, str, NodeId]:
    return way[0], way[1].source, way[1].type, way[1].target


def _by_length(way: Way) -> tuple[int, tuple[NodeId, ...], list[tuple[NodeId, str, NodeId]]]:
    nodes, over = way
    return len(over), nodes, [(edge.source, edge.type, edge.target) for edge in over]


def all_paths(ground: Ground, start: NodeId, end: NodeId, *, length: int, limit: int) -> list[Way]:
    """Every way from start to end over at most *length* edges that meets no node twice, the shortest first."""
    if start == end:
        return [((start,), ())]
    there, back = Walk(ground, [start]), Walk(ground.turned(), [end])
    # Every edge of such a way lies near one of the ends: walks of half its length meet them all.
    while there.frontier and len(there.levels) < (length + 1) // 2:
        there.step()
    while back.frontier and len(back.levels) < length // 2:
        back.step()
    near = strongest(edge for level in (*there.levels, *back.levels) for edge in level)
    left = _distances(end, following(near, FLIPPED[ground.direction]), length, ground.budget)
    search = _Search(following(near, ground.direction), length, ground.budget, limit, "paths")
    search.ways(start, end, left)
    return sorted(search.found, key=_by_length)


def _distances(end: NodeId, follows: Follows, most: int, budget: Budget) -> dict[NodeId, int]:
    """How many edges each node is away from *end*, up to *most*."""
    found, level = {end: 0}, [end]
    for far in range(1, most + 1):
        new: list[NodeId] = []
        for node in level:
            ways = follows.get(node, ())
            budget.step(len(ways))
            for to, _ in ways:
                if to not in found:
                    found[to] = far
                    new.append(to)
        level = new
    return found


class _Search:
    """A search for ways that meet no node twice, in depth, without recursion: a way may be long."""

    def __init__(self, follows: Follows, length: int, budget: Budget, limit: int, what: str) -> None:
        self._follows = follows
        self._length = length
        self._budget = budget
        self._limit = limit
        self._what = what
        self.found: list[Way] = []

    def note(self, way: Way) -> None:
        """Keep a way that was found."""
        self.found.append(way)
        if len(self.found) > self._limit:
            raise too_many(self._what, self._limit)

    def ways(self, start: NodeId, end: NodeId, left: Mapping[NodeId, int]) -> None:
        """Find every way from start to end; *left* says how far from the end each node is at least."""
        nodes, over, on = [start], list[Edge](), {start}
        stack = [iter(self._follows.get(start, ()))]
        while stack:
            for to, edge in stack[-1]:
                self._budget.step()
                if to == end:
                    self.note(((*nodes, to), (*over, edge)))
                elif to not in on and len(over) + 1 + left.get(to, self._length) <= self._length:
                    nodes.append(to)
                    over.append(edge)
                    on.add(to)
                    stack.append(iter(self._follows.get(to, ())))
                    break
            else:
                stack.pop()
                on.discard(nodes.pop())
                del over[-1:]


def lightest(ground: Ground, start: NodeId, end: NodeId) -> Way | None:
    """The way with the least weight, of several one with the fewest hops, of those the least sequence of nodes.

    Dijkstra from the end, so that from the start on the least next node that loses nothing can be taken.
    """
    if start == end:
        return (start,), ()
    edges, budget = ground.whole(), ground.budget
    before = following(edges, FLIPPED[ground.direction])
    costs: dict[NodeId, tuple[float, int]] = {}
    waiting: list[tuple[float, int, NodeId]] = [(0.0, 0, end)]
    while waiting:
        cost, hops, node = heappop(waiting)
        if node in costs:
            continue
        costs[node] = (cost, hops)
        if node == start:
            return _cheapest(start, end, following(edges, ground.direction), costs)
        ways = before.get(node, ())
        budget.step(len(ways))
        for at, edge in ways:
            if at not in costs:
                heappush(waiting, (cost + _weight(edge), hops + 1, at))
    return None


def _cheapest(start: NodeId, end: NodeId, follows: Follows, costs: Mapping[NodeId, tuple[float, int]]) -> Way:
    nodes, over = [start], list[Edge]()
    while nodes[-1] != end:
        cost, hops = costs[nodes[-1]]
        # The same sum of the same two numbers as on the way here, so it is equal, not only close.
        tight = [
            (to, edge)
            for to, edge in follows[nodes[-1]]
            if to in costs and (costs[to][0] + _weight(edge), costs[to][1] + 1) == (cost, hops)
        ]
        to, edge = min(tight, key=_by_node)
        nodes.append(to)
        over.append(edge)
    return tuple(nodes), tuple(over)


def _weight(edge: Edge) -> float:
    return 1.0 if edge.weight is None else edge.weight


def all_cycles(ground: Ground, *, length: int, limit: int) -> list[Way]:
    """Every way along the edges' direction, over at most *length* of them, that ends where it began and meets no other
    node twice. Each begins at its least node; the shortest first."""
    edges, budget = ground.whole(), ground.budget
    follows, before = _without_ends(following(edges, "out"))
    search = _Search(follows, length, budget, limit, "cycles")
    for edge in edges:
        if edge.source == edge.target:
            search.note(((edge.source, edge.target), (edge,)))
    for start in sorted(follows):
        left = _distances(start, before, length - 1, budget)
        if len(left) > 1:
            search.ways(start, start, left)
        # Cycles through it are known now.
        for node, _ in before.pop(start):
            follows[node] = [way for way in follows[node] if way[0] != start]
        for node, _ in follows.pop(start):
            before[node] = [way for way in before[node] if way[0] != start]
    return sorted(search.found, key=_by_length)


def _without_ends(follows: Follows) -> tuple[dict[NodeId, list[tuple[NodeId, Edge]]], ...]:
    """What follows and what comes before each node, when nodes that nothing leads to, or that lead to nothing, are
    taken away until there are none: cycles are in what is left."""
    before: dict[NodeId, list[tuple[NodeId, Edge]]] = {node: [] for node in follows}
    for node, ways in follows.items():
        for to, edge in ways:
            before.setdefault(to, []).append((node, edge))
    left = {node: [len(follows.get(node, ())), len(entering)] for node, entering in before.items()}
    ends = [node for node, counts in left.items() if 0 in counts]
    while ends:
        node = ends.pop()
        if left.pop(node, None) is None:
            continue
        for ways, side in ((follows.get(node, ()), 1), (before[node], 0)):
            for to, _ in ways:
                if to in left:
                    left[to][side] -= 1
                    if not left[to][side]:
                        ends.append(to)
    onwards, back = (
        {node: [way for way in ways.get(node, ()) if way[0] in left] for node in left} for ways in (follows, before)
    )
    return onwards, back
