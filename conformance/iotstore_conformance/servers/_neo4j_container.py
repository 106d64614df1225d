"""Neo4j in containers, through testcontainers."""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING, Any, Final, cast

from iotstore_conformance.servers._containers import answering, docker_errors, inside, is_local, kill, why_not
from iotstore_conformance.servers._leftovers import LABEL, keep
from iotstore_conformance.servers._neo4j_asking import version, wait_until_ready
from iotstore_conformance.servers._neo4j_settings import SETTINGS
from iotstore_conformance.servers._ports import free_port

if TYPE_CHECKING:
    from testcontainers.community.neo4j import Neo4jContainer

_PORT: Final = 7687
_TRIES: Final = 5
_STOPPED: Final = 60  # seconds for a server to end in order, after which Docker kills it
# What is started where images can be pulled; elsewhere the variable names an image that was built there.
_NEWEST: Final = ("IOTSTORE_TEST_IMAGE_NEO4J", "neo4j:2026")
_LONG_TERM: Final = ("IOTSTORE_TEST_IMAGE_NEO4J_5", "neo4j:5.26")


def image(*, long_term: bool) -> str:
    """The image of the newest version, or of the long-term one."""
    variable, official = _LONG_TERM if long_term else _NEWEST
    return os.environ.get(variable) or official


class ContainerNeo4j:
    """A Neo4j server of this process in a container, reached over a port that stays its own."""

    ours = True

    def __init__(self, image: str) -> None:
        with docker_errors(image, _NEWEST[0], _LONG_TERM[0]):
            answering()
            label, self.end = keep()
            try:
                self.container = _run(image, label, secrets.token_hex(16))
                with inside(self.container):
                    self._address = _address(self.container)
                wait_until_ready(self.url, self._why_not)
            except BaseException:
                self.end()
                raise

    @property
    def url(self) -> str:
        """Its database, with the password of its administrator. Not routed: what is asked goes where the URL says."""
        return f"bolt://{self.container.username}:{self.container.password}@{self._address}"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def start(self) -> None:
        """Start the container again, and return when the server answers."""
        with inside(self.container) as found:
            found.start()
        wait_until_ready(self.url, self._why_not)

    def _why_not(self) -> str | None:
        with inside(self.container) as found:
            return why_not(found)

    def stop(self) -> None:
        """End the server in order."""
        with inside(self.container) as found:
            found.stop(timeout=_STOPPED)

    def kill(self) -> None:
        """End all processes of the container as `kill -9` does."""
        kill(self.container)


def _address(container: Neo4jContainer) -> str:
    host = "127.0.0.1" if is_local(container.get_docker_client()) else container.get_container_host_ip()
    return f"{host}:{container.get_exposed_port(_PORT)}"


def _run(image: str, label: str, password: str) -> Neo4jContainer:
    """Start a container with a server that answers."""
    from docker.errors import APIError

    for left in reversed(range(_TRIES)):
        container = _made(image, label, password)
        try:
            return container.start()
        except APIError as error:
            container.stop()
            if not left or "port is already allocated" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def _made(image: str, label: str, password: str) -> Neo4jContainer:
    from testcontainers.community.neo4j import Neo4jContainer

    class Bound(Neo4jContainer):
        """It looks whether it answers at the address that its port is bound to."""

        def get_connection_url(self) -> str:
            return f"bolt://{_address(self)}"

    made = Bound(image, password=password)
    # Docker takes an address too: where the daemon is this machine's, nobody else on the network gets to the server.
    bound: Any = ("127.0.0.1", free_port()) if is_local(made.get_docker_client()) else free_port()
    cast("dict[str, Any]", made.ports)[str(_PORT)] = bound
    for setting in SETTINGS:
        name, _, value = setting.partition("=")
        made.with_env(variable(name), value)
    made.with_env("NEO4J_server_memory_heap_max__size", "512m")
    return made.with_kwargs(labels={LABEL: label})


def variable(setting: str) -> str:
    """The environment variable by which the official image takes a setting."""
    return "NEO4J_" + setting.replace("_", "__").replace(".", "_")
