"""The power to walk a graph: edges between records, asked for where they are kept as edges.

The core answers every question about the graph from the records of any backend. A backend that claims GRAPH keeps the
edges as such beside its records, which is what a projection is made of, and answers the same questions from them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple, TypeAlias

from iotstore._waist.layout import Key, Value

#: A node: the name of a layout with one key column, and the key as the backend holds it.
NodeId: TypeAlias = tuple[str, Value]


class Edge(NamedTuple):
    """One edge. Its *weight* is a finite double of 0 or more, or None."""

    source: NodeId
    type: str
    target: NodeId
    weight: float | None


class Held(NamedTuple):
    """An edge with the record that holds it: the name of the record's layout, and its key."""

    holder: tuple[str, Key]
    edge: Edge


class GraphReader(ABC):
    """Reading edges: a power of the read sessions of a backend that claims GRAPH.

    Two records may hold the same edge (source, type, target); it comes once for each of them, and the core makes one of
    them. *types* are the types of edges to look at, None for all of them. Limits count edges, or nodes, as they come:
    who finds more than *limit* gives *limit* + 1 of them, any, and the core refuses the question.
    """

    @abstractmethod
    def expand(
        self, nodes: Sequence[NodeId], types: Sequence[str] | None, *, outgoing: bool, incoming: bool, limit: int
    ) -> list[Edge]:
        """The edges that begin (*outgoing*) or end (*incoming*) at these nodes, in no order.

        One that does both, because it joins two of the nodes or begins and ends at one, comes once.
        """

    @abstractmethod
    def reach(
        self,
        nodes: Sequence[NodeId],
        types: Sequence[str] | None,
        *,
        outgoing: bool,
        incoming: bool,
        hops: int,
        limit: int,
    ) -> list[tuple[NodeId, int]]:
        """The nodes that lie 1 to *hops* edges from the nearest of these nodes, each with that number, in no order.

        The nodes started from are not among them. No node is gone into twice, so a clique costs what its edges cost.
        """

    @abstractmethod
    def edges(self, types: Sequence[str] | None, rows: int) -> Iterator[list[Held]]:
        """Every edge in lists of about *rows*, in bounded memory, ordered by holder (layout name, then key), source,
        type and target."""


class GraphWriter(GraphReader):
    """Writing edges: a power of the write sessions of a backend that claims GRAPH.

    Deleting a record takes the edges at its node, and those that it holds, with it.
    """

    @abstractmethod
    def draw(self, holders: Sequence[tuple[str, Key]], edges: Sequence[Held]) -> None:
        """From now on the edges that these holders hold are exactly these. One of a node that does not exist is left
        out, without an error."""
