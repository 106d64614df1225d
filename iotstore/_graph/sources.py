"""Where the edges for a question come from."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Literal, Protocol, TypeAlias

from iotstore._engine.engine import Engine
from iotstore._graph.edges import Edges
from iotstore._graph.records import RecordEdges

#: How fresh an answer has to be: of a projection that may lag, of one that has the caller's own writes, of the primary.
Consistency: TypeAlias = Literal["projected", "read-your-writes", "primary"]


class EdgeSource(Protocol):
    """Gives the edges to answer one question from; None asks for the store's default."""

    def opened(self, consistency: Consistency | None) -> AbstractContextManager[Edges]:
        """The edges of one state, until the block is left."""
        ...


class FromRecords:
    """Edges from the records of the store itself, which are always up to date, whatever is asked for."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    @contextmanager
    def opened(self, consistency: Consistency | None) -> Generator[Edges]:  # noqa: ARG002 - there is one answer only
        """The edges of one state, where the backend claims SNAPSHOTS."""
        with self._engine.consistent() as session:
            yield RecordEdges(self._engine.bound(session))
