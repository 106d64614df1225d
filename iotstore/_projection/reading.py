"""Where a question about the graph is answered: by the projection, by it once it has caught up, or by the primary."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Final

from iotstore._engine.engine import Engine
from iotstore._engine.powers import graph_reader
from iotstore._graph.edges import Edges, PowerEdges
from iotstore._graph.records import RecordEdges
from iotstore._graph.sources import Consistency
from iotstore._projection.projection import Projection

#: What a composed store does when nobody says anything: fast, and it may lag.
DEFAULT: Final[Consistency] = "projected"


class Composed:
    """The edges of a composed store."""

    def __init__(self, engine: Engine, projection: Projection) -> None:
        self._engine = engine
        self._projection = projection

    @contextmanager
    def opened(self, consistency: Consistency | None) -> Generator[Edges]:
        """The edges of one state of one source, until the block is left.

        The primary answers whenever the projection can't: while it is away, is being made, or has diverged; inside a
        transaction, whose changes nobody else sees, and in a snapshot; and while there are dead letters, to one who
        wants to read what he wrote.
        """
        with ExitStack() as stack:
            if not self._by_projection(consistency or DEFAULT):
                session = stack.enter_context(self._engine.consistent())
                yield RecordEdges(self._engine.bound(session))
                return
            target = self._projection.target
            session = stack.enter_context(target.engine.consistent())
            bound = target.engine.bound(session)
            yield PowerEdges(bound, graph_reader(bound.backend, session)) if target.graph else RecordEdges(bound)

    def _by_projection(self, consistency: Consistency) -> bool:
        if consistency == "primary" or self._engine.in_transaction or self._engine.bound_to is not None:
            return False
        if not self._projection.usable():
            return False
        if consistency == "projected":
            return True
        self._projection.wait()
        return not self._projection.dead_letters(1)
