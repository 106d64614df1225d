"""Neo4j in containers, through testcontainers."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from iotstore_conformance.servers._leftovers import LABEL
from iotstore_conformance.servers._neo4j_asking import version, wait_until_ready
from iotstore_conformance.servers._neo4j_settings import SETTINGS
from iotstore_conformance.servers._own_container import OwnContainer, address, bind, run_anywhere

if TYPE_CHECKING:
    from testcontainers.community.neo4j import Neo4jContainer

_PORT: Final = 7687
# What is started where images can be pulled; elsewhere the variable names an image that was built there.
_NEWEST: Final = ("IOTSTORE_TEST_IMAGE_NEO4J", "neo4j:2026")
_LONG_TERM: Final = ("IOTSTORE_TEST_IMAGE_NEO4J_5", "neo4j:5.26")


def image(*, long_term: bool) -> str:
    """The image of the newest version, or of the long-term one."""
    variable, official = _LONG_TERM if long_term else _NEWEST
    return os.environ.get(variable) or official


class ContainerNeo4j(OwnContainer["Neo4jContainer"]):
    """A Neo4j server of this process in a container, reached over a port that stays its own."""

    def __init__(self, image: str) -> None:
        variables = (_NEWEST[0], _LONG_TERM[0])
        super().__init__(image, _PORT, lambda label, password: _run(image, label, password), variables)

    @property
    def url(self) -> str:
        """Its database, with the password of its administrator. Not routed: what is asked goes where the URL says."""
        return f"bolt://{self.container.username}:{self.container.password}@{self.address}"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def _wait_until_ready(self, why_not: Callable[[], str | None]) -> None:
        wait_until_ready(self.url, why_not)


def _run(image: str, label: str, password: str) -> Neo4jContainer:
    """Start a container with a server that answers."""
    from testcontainers.community.neo4j import Neo4jContainer

    class Bound(Neo4jContainer):
        """It looks whether it answers at the address that its port is bound to."""

        def get_connection_url(self) -> str:
            return f"bolt://{address(self, _PORT)}"

    def make() -> Neo4jContainer:
        made = Bound(image, password=password)
        bind(made, _PORT)
        for setting in SETTINGS:
            name, _, value = setting.partition("=")
            made.with_env(variable(name), value)
        made.with_env("NEO4J_server_memory_heap_max__size", "512m")
        return made.with_kwargs(labels={LABEL: label})

    return run_anywhere(make)


def variable(setting: str) -> str:
    """The environment variable by which the official image takes a setting."""
    return "NEO4J_" + setting.replace("_", "__").replace(".", "_")
