"""The reference model of the graph: questions about nodes and edges, answered in plain Python, however slowly.

It shares no code with the store. Its own tests compare it with networkx.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final, Literal, TypeAlias

from iotstore import Node, Relationship

Direction: TypeAlias = Literal["out", "in", "both"]

#: A way: its nodes, and the relations between them.
Way: TypeAlias = tuple[tuple[Node, ...], tuple[Relationship, ...]]
_Moves: TypeAlias = dict[Node, list[tuple[Node, Relationship]]]
_DAMPING: Final = 0.85
_FLIPPED: Final[dict[Direction, Direction]] = {"out": "in", "in": "out", "both": "both"}


def ends(relation: Relationship) -> tuple[Node, str, Node]:
    """What relations are ordered by, and told apart by."""
    return relation.source, relation.type, relation.target


@dataclass(frozen=True)
class Graph:
    """Some nodes, and relations between them, each of which is there once."""

    nodes: list[Node]
    relations: list[Relationship] = field(default_factory=list[Relationship])
    _moves: dict[Direction, _Moves] = field(default_factory=dict, repr=False, compare=False)

    def of(self, types: Iterable[str]) -> Graph:
        """The same nodes with the relations of some types only."""
        wanted = set(types)
        return Graph(self.nodes, [one for one in self.relations if one.type in wanted])

    def at(self, node: Node, direction: Direction = "both") -> list[Relationship]:
        """The relations at a node, in order."""
        found = [
            one
            for one in self.relations
            if (direction != "in" and one.source == node) or (direction != "out" and one.target == node)
        ]
        return sorted(found, key=ends)

    def moves(self, direction: Direction) -> _Moves:
        """From each node to where one can go from it, and over which relation, in order."""
        if direction not in self._moves:
            self._moves[direction] = self._moved(direction)
        return self._moves[direction]

    def _moved(self, direction: Direction) -> _Moves:
        found: _Moves = {node: [] for node in self.nodes}
        for one in self.relations:
            if direction != "in":
                found[one.source].append((one.target, one))
            if direction != "out":
                found[one.target].append((one.source, one))
        for ways in found.values():
            ways.sort(key=lambda way: (way[0], ends(way[1])))
        return found

    def hops(self, starts: Iterable[Node], direction: Direction, most: int) -> dict[Node, int]:
        """How far each node within *most* relations is from the nearest of these, which are 0 away."""
        moves, found = self.moves(direction), dict.fromkeys(starts, 0)
        level = list(found)
        for far in range(1, most + 1):
            level = list(dict.fromkeys(to for node in level for to, _ in moves[node] if to not in found))
            found.update(dict.fromkeys(level, far))
        return found

    def neighbours(self, start: Node, direction: Direction, hops: int) -> list[tuple[Node, int]]:
        """The nodes within *hops*, the nearest first, then by node."""
        found = [(node, far) for node, far in self.hops([start], direction, hops).items() if far]
        return sorted(found, key=lambda one: (one[1], one[0]))

    def around(self, starts: Sequence[Node], direction: Direction, hops: int) -> tuple[list[Node], list[Relationship]]:
        """The nodes within *hops* of these, these too, and every relation between two of them."""
        nodes = set(self.hops(starts, direction, hops))
        between = [one for one in self.relations if one.source in nodes and one.target in nodes]
        return sorted(nodes), sorted(between, key=ends)

    def paths(self, start: Node, end: Node, direction: Direction, length: int) -> list[Way]:
        """Every way that meets no node twice, the shortest first, then by nodes and relations."""
        if start == end:
            return [((start,), ())]
        found = [way for way in self._ways(self.moves(direction), (start,), (), length) if way[0][-1] == end]
        return sorted(found, key=by_length)

    def _ways(
        self,
        moves: _Moves,
        nodes: tuple[Node, ...],
        over: tuple[Relationship, ...],
        length: int,
    ) -> Iterator[Way]:
        yield nodes, over
        if len(over) < length:
            for to, relation in moves[nodes[-1]]:
                if to not in nodes:
                    yield from self._ways(moves, (*nodes, to), (*over, relation), length)

    def shortest(self, start: Node, end: Node, direction: Direction, *, weighted: bool = False) -> Way | None:
        """The best way by (weight,) hops and nodes: the costs to the end first, then the least step that keeps to
        them."""
        costs = self._costs(end, _FLIPPED[direction], weighted=weighted)
        if start not in costs:
            return None
        moves, nodes, over = self.moves(direction), [start], list[Relationship]()
        while nodes[-1] != end:
            for to, relation in moves[nodes[-1]]:
                step = costs.get(to)
                if step is not None and _after(step, relation, weighted=weighted) == costs[nodes[-1]]:
                    nodes.append(to)
                    over.append(relation)
                    break
        return tuple(nodes), tuple(over)

    def _costs(self, end: Node, direction: Direction, *, weighted: bool) -> dict[Node, tuple[float, int]]:
        moves = self.moves(direction)
        found: dict[Node, tuple[float, int]] = {}
        waiting: list[tuple[tuple[float, int], Node]] = [((0.0, 0), end)]
        while waiting:
            cost, node = heappop(waiting)
            if node not in found:
                found[node] = cost
                for to, relation in moves[node]:
                    heappush(waiting, (_after(cost, relation, weighted=weighted), to))
        return found

    def cycles(self, length: int) -> list[Way]:
        """Every way along the relations that ends at its least node, where it began, and meets no other twice."""
        moves = self.moves("out")
        found: list[Way] = []
        for start in self.nodes:
            for nodes, over in self._ways(moves, (start,), (), length - 1):
                if min(nodes) == start:
                    back = [relation for to, relation in moves[nodes[-1]] if to == start]
                    found += [((*nodes, start), (*over, relation)) for relation in back]
        return sorted(found, key=by_length)

    def components(self) -> list[list[Node]]:
        """The nodes that hang together, whatever the direction; the largest set first, then by node."""
        left, found = sorted(self.nodes), list[list[Node]]()
        while left:
            one = set(self.hops(left[:1], "both", len(self.nodes)))
            found.append(sorted(one))
            left = [node for node in left if node not in one]
        return sorted(found, key=lambda nodes: (-len(nodes), nodes[0]))

    def related(self) -> list[Node]:
        """The nodes that have a relation, in order."""
        return sorted({node for one in self.relations for node in (one.source, one.target)})

    def degrees(self) -> dict[Node, float]:
        """With how many others each related node has to do, as a part of all others."""
        nodes = self.related()
        near = {node: {to for to, _ in ways} - {node} for node, ways in self.moves("both").items()}
        return {node: len(near[node]) / max(len(nodes) - 1, 1) for node in nodes}

    def betweenness(self) -> dict[Node, float]:
        """The part of the shortest ways between others that lead over each related node, whatever their direction."""
        nodes = self.related()
        near = {node: sorted({to for to, _ in ways} - {node}) for node, ways in self.moves("both").items()}
        found = dict.fromkeys(nodes, 0.0)
        for start in nodes:
            for node, part in _dependencies(near, start).items():
                if node != start:
                    found[node] += part
        pairs = (len(nodes) - 1) * (len(nodes) - 2)
        return {node: score / pairs if pairs > 0 else 0.0 for node, score in found.items()}

    def pageranks(self) -> dict[Node, float]:
        """How often one who follows the relations by their weights comes by each related node."""
        nodes = self.related()
        out = {node: sum(_weight(one) for one in self.relations if one.source == node) for node in nodes}
        ranks = dict.fromkeys(nodes, 1 / len(nodes))
        for _ in range(1000):
            lost = sum(rank for node, rank in ranks.items() if not out[node])
            following = dict.fromkeys(nodes, (1 - _DAMPING + _DAMPING * lost) / len(nodes))
            for one in self.relations:
                if out[one.source]:
                    following[one.target] += _DAMPING * ranks[one.source] * _weight(one) / out[one.source]
            if sum(abs(following[node] - ranks[node]) for node in nodes) < 1e-12:
                break
            ranks = following
        return ranks


def by_length(way: Way) -> tuple[int, tuple[Node, ...], list[tuple[Node, str, Node]]]:
    """What ways are ordered by."""
    nodes, over = way
    return len(over), nodes, [ends(one) for one in over]


def _weight(relation: Relationship) -> float:
    return 1.0 if relation.weight is None else relation.weight


def _after(cost: tuple[float, int], relation: Relationship, *, weighted: bool) -> tuple[float, int]:
    return cost[0] + (_weight(relation) if weighted else 0.0), cost[1] + 1


def _dependencies(near: dict[Node, list[Node]], start: Node) -> dict[Node, float]:
    """How much of the shortest ways from one node leads over each other (Brandes)."""
    order, counts, far = [start], {start: 1}, {start: 0}
    for node in order:
        for to in near[node]:
            if to not in far:
                far[to], counts[to] = far[node] + 1, 0
                order.append(to)
            if far[to] == far[node] + 1:
                counts[to] += counts[node]
    found = dict.fromkeys(order, 0.0)
    for node in reversed(order):
        for to in near[node]:
            if far[to] == far[node] - 1:
                found[to] += counts[to] / counts[node] * (1 + found[node])
    return found
