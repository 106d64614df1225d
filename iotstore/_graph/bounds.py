"""How much a question about the graph may look at, and the error when that is not enough."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iotstore.errors import InvalidValue, LimitExceeded

#: More relations in a row than anybody asks for on purpose.
MAX_HOPS: Final = 10_000


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most *nodes* and *edges* that one question looks at, and the most *steps* that it takes over them."""

    nodes: int = 100_000
    edges: int = 1_000_000
    steps: int = 10_000_000


class Budget:
    """What one question has left of its bounds."""

    __slots__ = ("bounds", "edges", "nodes", "steps")

    def __init__(self, bounds: Bounds) -> None:
        self.bounds = bounds
        self.nodes = bounds.nodes
        self.edges = bounds.edges
        self.steps = bounds.steps

    def look_at_nodes(self, count: int) -> None:
        """Note nodes that were met."""
        self.nodes -= count
        if self.nodes < 0:
            raise _beyond("nodes", self.bounds.nodes)

    def look_at_edges(self, count: int) -> None:
        """Note edges that were looked at."""
        self.edges -= count
        if self.edges < 0:
            raise _beyond("edges", self.bounds.edges)

    def step(self, count: int = 1) -> None:
        """Note steps that were taken over edges in memory."""
        self.steps -= count
        if self.steps < 0:
            raise _beyond("steps", self.bounds.steps)


def _beyond(what: str, limit: int) -> LimitExceeded:
    return LimitExceeded(
        f"the question has to look at more than {limit} {what}",
        what=what,
        limit=limit,
        hint=f"ask for fewer hops or types, or allow more with store.relationships.within({what}=...)",
    )


def too_many(what: str, limit: int) -> LimitExceeded:
    """The error for an answer that would be longer than its caller wants."""
    return LimitExceeded(
        f"the answer has more than {limit} {what}", what=what, limit=limit, hint="ask for less, or raise limit"
    )


def check_hops(hops: object, field: str, least: int = 1) -> int:
    """A number of relations in a row."""
    if isinstance(hops, bool) or not isinstance(hops, int) or not least <= hops <= MAX_HOPS:
        raise InvalidValue(f"{hops!r} is no number from {least} to {MAX_HOPS}", field=field)
    return hops


def check_limit(limit: object) -> int:
    """The most answers that a caller wants."""
    if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
        raise InvalidValue(f"{limit!r} is no number of answers", field="limit")
    return limit
