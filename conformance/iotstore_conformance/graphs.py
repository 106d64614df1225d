"""Graphs that are drawn into stores: of every shape, with keys that engines order wrongly, and a large random one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple, TypeAlias

from iotstore import Device, Location, Node, Owner, Relation, Relationship, Store
from iotstore_conformance.model_graph import Direction, Graph
from iotstore_conformance.seeding import current_seed

DIRECTIONS: Final[tuple[Direction, ...]] = ("out", "in", "both")
#: Pairs of numbers of nodes, of which the first points to the second.
_Pairs: TypeAlias = Iterable[tuple[int, int]]

_KINDS: Final = ("device", "owner", "device", "location")
# What stands before the number of a node: engines that compare in UTF-16, fold case or read syntax order these wrongly.
_HEADS: Final = ("a", "B", "\u00e9", "\uffff", "\U0001f600", "%_", "'; --", "e\u0301")
_WEIGHTS: Final = (None, 0.0, 0.25, 0.5, 1.0, 1.5, 3.0)  # their sums are exact, in any order


class Drawn(NamedTuple):
    """A graph with the *types* of its relations, of which no other graph in the store has one."""

    name: str
    types: tuple[str, str]
    graph: Graph

    @property
    def some(self) -> list[Node]:
        """A few of its nodes, as the seed says."""
        return _chance(self.name).sample(self.graph.nodes, 3)


def _chance(name: str) -> random.Random:
    return random.Random(f"{current_seed()} {name}")  # noqa: S311 - seeded on purpose


def _clique(size: int) -> _Pairs:
    return ((at, to) for at in range(size) for to in range(size) if at != to)


def _grid(side: int) -> _Pairs:
    for row in range(side):
        for column in range(side):
            at = row * side + column
            if column + 1 < side:
                yield at, at + 1
            if row + 1 < side:
                yield at, at + side


# The number of nodes of each shape, and its pairs. What lies apart and what leads to itself are in one, too.
_SHAPES: Final[dict[str, tuple[int, Callable[[], _Pairs]]]] = {
    "CHAIN": (9, lambda: ((n, n + 1) for n in range(8))),
    "STAR": (10, lambda: ((n, 0) if n % 3 else (0, n) for n in range(1, 10))),
    "CLIQUE": (5, lambda: _clique(5)),
    "RING": (7, lambda: ((n, (n + 1) % 7) for n in range(7))),
    "TREE": (13, lambda: (((n - 1) // 3, n) for n in range(1, 13))),
    "GRID": (12, lambda: ((at, to) for at, to in _grid(4) if to < 12)),
    "APART": (8, lambda: [(0, 1), (1, 0), (1, 2), (2, 2), (4, 5), (5, 6), (6, 4), (0, 0)]),
}


def _drawn(name: str, size: int, pairs: _Pairs, extra: int, kinds: Sequence[str] = _KINDS) -> Drawn:
    """A graph of a shape, some of whose relations are there twice under two types, and a few random ones."""
    chance = _chance(f"drawn {name}")
    numbers = chance.sample(range(1000), size) if size <= 1000 else list(range(size))
    nodes = [
        Node(kinds[n % len(kinds)], f"{_HEADS[number % len(_HEADS)]}{number} {name}")
        for n, number in enumerate(numbers)
    ]
    first, second = types = name, f"{name}_2"
    found: dict[tuple[Node, str, Node], float | None] = {}
    for at, to in pairs:
        found[nodes[at], first, nodes[to]] = chance.choice(_WEIGHTS)
        if chance.random() < 0.2:
            found[nodes[at], second, nodes[to]] = chance.choice(_WEIGHTS)
    for _ in range(extra):
        found[chance.choice(nodes), chance.choice(types), chance.choice(nodes)] = chance.choice(_WEIGHTS)
    relations = [Relationship(source, type_, target, weight) for (source, type_, target), weight in found.items()]
    return Drawn(name, types, Graph(nodes, relations))


def shapes() -> list[Drawn]:
    """Small graphs: every shape, and some that have none."""
    named = [_drawn(name, size, pairs(), 2) for name, (size, pairs) in _SHAPES.items()]
    return [*named, _drawn("SPARSE", 14, (), 16), _drawn("DENSE", 8, (), 30)]


def large(nodes: int, relations: int, kinds: Sequence[str] = _KINDS) -> Drawn:
    """One random graph of this size."""
    return _drawn("LARGE", nodes, (), relations, kinds)


def draw(store: Store, drawn: Sequence[Drawn]) -> None:
    """Put graphs into a store: their nodes as records, their relations as written by hand."""
    nodes = {"device": Device, "owner": Owner, "location": Location}
    for kind, record in nodes.items():
        keys = [node.key for one in drawn for node in one.graph.nodes if node.kind == kind]
        store.records(kind).add_many([record(key=str(key)) for key in keys])
    relations = [written(one) for each in drawn for one in each.graph.relations]
    assert store.relationships.relate_many(relations).stored == len(relations)


def written(one: Relationship) -> Relation:
    """The record that holds a relation which is written by hand."""
    return Relation(
        source_kind=one.source.kind,
        source=str(one.source.key),
        type=one.type,
        target_kind=one.target.kind,
        target=str(one.target.key),
        weight=one.weight,
    )
