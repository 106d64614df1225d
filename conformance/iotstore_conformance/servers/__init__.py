"""Database servers for the suite: out of a wheel or from jars, in a container, or somebody's own by its URL.

``IOTSTORE_TEST_POSTGRES`` chooses: ``embedded`` (the default), ``container``, ``timescale`` or a URL;
``IOTSTORE_TEST_NEO4J``: ``local`` (the default), ``local-5``, ``container``, ``container-5`` or a URL. A server
starts when it is asked for first, is shared by everything in the process, and ends with the process, however that ends.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol

from iotstore import ConfigurationError
from iotstore_conformance.servers._neo4j_settings import CHOICES as NEO4J_CHOICES
from iotstore_conformance.servers._neo4j_settings import VARIABLE as NEO4J_VARIABLE

if TYPE_CHECKING:
    from iotstore_conformance.servers._replica import ReplicaSet

__all__ = [
    "CHOICES",
    "NEO4J_CHOICES",
    "NEO4J_VARIABLE",
    "VARIABLE",
    "Server",
    "neo4j",
    "postgres",
    "replica_set",
    "server_url",
]

VARIABLE: Final = "IOTSTORE_TEST_POSTGRES"
CHOICES: Final = ("embedded", "container", "timescale")


class Server(Protocol):
    """A running database server."""

    @property
    def url(self) -> str:
        """The URL of a database on it, with the name and password of a superuser. It stays the same for ever."""
        ...

    @property
    def version(self) -> str:
        """What the server says that it is."""
        ...

    @property
    def ours(self) -> bool:
        """Whether it was started for this process. Only then it can be killed, stopped and started."""
        ...

    def kill(self) -> None:
        """End it as `kill -9` does."""
        ...

    def stop(self) -> None:
        """End it in order, without waiting for its clients."""
        ...

    def start(self) -> None:
        """Start it again with the data it had, and return when it answers. Nothing happens while it runs."""
        ...

    def end(self) -> None:
        """End it for good and remove its data. The end of the process does it too."""
        ...


_running: Final[dict[tuple[int, str, str], Server]] = {}


def postgres(choice: str | None = None) -> Server:
    """The PostgreSQL server that *choice* names, or the environment where it names none."""
    return _shared(choice, VARIABLE, CHOICES[0], _start)


def neo4j(choice: str | None = None) -> Server:
    """The Neo4j server that *choice* names, or the environment where it names none."""
    from iotstore_conformance.servers._neo4j import start

    return _shared(choice, NEO4J_VARIABLE, NEO4J_CHOICES[0], start)


def _shared(choice: str | None, variable: str, default: str, start: Callable[[str], Server]) -> Server:
    wanted = choice or os.environ.get(variable) or default
    # A forked child has its own run, and must not end a server of its parent.
    key = (os.getpid(), variable, wanted)
    if key not in _running:
        _running[key] = server = start(wanted)
        if choice is None:
            # The processes that the suite starts ask for a server too: they shall use this one, and leave it alone.
            os.environ[variable] = server.url
            _running[os.getpid(), variable, server.url] = server
    return _running[key]


def server_url(choice: str | None = None) -> str:
    """The URL of the server that *choice* or the environment names."""
    return postgres(choice).url


def replica_set() -> ReplicaSet:
    """A primary with a synchronous replica, in containers; each call starts another pair, which `end()` removes."""
    from iotstore_conformance.servers._leftovers import sweep
    from iotstore_conformance.servers._replica import ReplicaSet

    sweep()
    return ReplicaSet()


def _start(choice: str) -> Server:
    if choice.startswith(("postgresql://", "postgres://")):
        from iotstore_conformance.servers._given import GivenServer

        return GivenServer(choice)
    if choice not in CHOICES:
        raise ConfigurationError(
            f"{choice!r} is no server that the suite can start",
            hint=f"set {VARIABLE} to {', '.join(CHOICES)} or a URL postgresql://...",
        )
    from iotstore_conformance.servers._leftovers import sweep

    sweep()
    if choice == "embedded":
        from iotstore_conformance.servers._embedded import EmbeddedPostgres

        return EmbeddedPostgres()
    from iotstore_conformance.servers._containers import ContainerPostgres, image

    return ContainerPostgres(image(choice))
