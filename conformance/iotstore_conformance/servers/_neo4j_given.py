"""A Neo4j server that somebody else runs."""

from __future__ import annotations

from iotstore_conformance.servers._given import GivenServer
from iotstore_conformance.servers._neo4j_asking import version


class GivenNeo4j(GivenServer):
    """A server that is known by its URL only: it is used, and left as it is."""

    __slots__ = ()

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)
