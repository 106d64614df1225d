"""What questions about the graph are answered with."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

Direction: TypeAlias = Literal["out", "in", "both"]
Measure: TypeAlias = Literal["degree", "betweenness", "pagerank"]


class Node(NamedTuple):
    """A record as the graph sees it: its kind and its key. Nodes are ordered by kind, then key."""

    kind: str
    key: str | int


class Relationship(NamedTuple):
    """A relation from *source* to *target*; *weight* is None where nobody has given one, and counts as 1."""

    source: Node
    type: str
    target: Node
    weight: float | None = None


class Neighbour(NamedTuple):
    """A node, and how many relations lie between it and the nearest of those that were asked about."""

    node: Node
    hops: int


@dataclass(frozen=True, slots=True)
class GraphPath:
    """A way through the graph: its *nodes* in order, and the *relations* between them, one fewer."""

    nodes: tuple[Node, ...]
    relations: tuple[Relationship, ...]

    @property
    def length(self) -> int:
        """How many relations it goes over."""
        return len(self.relations)

    @property
    def weight(self) -> float:
        """The weights of its relations together; one without counts as 1."""
        return math.fsum(1.0 if one.weight is None else one.weight for one in self.relations)


@dataclass(frozen=True, slots=True)
class Subgraph:
    """Some nodes, and every relation between two of them."""

    nodes: tuple[Node, ...]
    relations: tuple[Relationship, ...]


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """What is in danger when *device* falls: the *devices* that can be got at from it, the nearest first, and the
    owners, locations and groups of all of them."""

    device: str
    devices: tuple[Neighbour, ...]
    owners: tuple[str, ...]
    locations: tuple[str, ...]
    groups: tuple[str, ...]


class Score(NamedTuple):
    """How central a node is."""

    node: Node
    score: float


class PatternAlerts(NamedTuple):
    """How many alerts resemble a threat pattern, and how many devices they are about."""

    pattern: str
    alerts: int
    devices: int
