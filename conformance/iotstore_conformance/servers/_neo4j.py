"""Neo4j servers for the suite: a process from jars, a container, or somebody's own by its URL."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from iotstore import ConfigurationError
from iotstore_conformance.servers._neo4j_settings import CHOICES, VARIABLE

if TYPE_CHECKING:
    from iotstore_conformance.servers._neo4j_container import ContainerNeo4j
    from iotstore_conformance.servers._neo4j_given import GivenNeo4j
    from iotstore_conformance.servers._neo4j_local import LocalNeo4j

_SCHEMES: Final = ("neo4j", "bolt")


def start(choice: str) -> LocalNeo4j | ContainerNeo4j | GivenNeo4j:
    """The server that *choice* names, started where it is one of ours."""
    if "://" in choice and choice.partition("://")[0].partition("+")[0] in _SCHEMES:
        from iotstore_conformance.servers._neo4j_given import GivenNeo4j

        return GivenNeo4j(choice)
    if choice not in CHOICES:
        raise ConfigurationError(
            f"{choice!r} is no Neo4j server that the suite can start",
            hint=f"set {VARIABLE} to {', '.join(CHOICES)} or a URL neo4j://user:password@host:7687",
        )
    from iotstore_conformance.servers._leftovers import sweep

    sweep()
    kind, _, long_term = choice.partition("-")
    if kind == "local":
        from iotstore_conformance.servers._neo4j_local import LocalNeo4j

        return LocalNeo4j(long_term=bool(long_term))
    from iotstore_conformance.servers._neo4j_container import ContainerNeo4j, image

    return ContainerNeo4j(image(long_term=bool(long_term)))
