"""PostgreSQL in containers, through testcontainers; and what servers in containers have in common."""

from __future__ import annotations

import os
import secrets
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast

from iotstore import ConfigurationError
from iotstore_conformance.servers._asking import needs_the_extra, version, wait_until_ready
from iotstore_conformance.servers._leftovers import LABEL, keep
from iotstore_conformance.servers._ports import free_port
from iotstore_conformance.servers._settings import SETTINGS, as_arguments

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient

USER: Final = "iotstore"
_PORT: Final = 5432
_TRIES: Final = 5
_STOPPED: Final = 60  # seconds for a server to end in order, after which Docker kills it
# What is started where images can be pulled; elsewhere the variable names an image that was built there.
_IMAGES: Final = {
    "container": ("IOTSTORE_TEST_IMAGE_POSTGRES", "postgres:17"),
    "timescale": ("IOTSTORE_TEST_IMAGE_TIMESCALE", "timescale/timescaledb:latest-pg17-oss"),
}


def image(choice: str) -> str:
    """The image of the server that is called *choice*."""
    variable, official = _IMAGES[choice]
    return os.environ.get(variable) or official


@contextmanager
def docker_errors(image: str, *variables: str) -> Iterator[None]:
    """Errors of Docker and of the tools around it, as one that says what to do."""
    try:
        from docker.errors import APIError, DockerException
    except ImportError as error:
        raise needs_the_extra(error) from error
    try:
        yield
    except ImportError as error:
        raise needs_the_extra(error) from error
    except APIError as error:
        named = " or ".join(variables or (variable for variable, _ in _IMAGES.values()))
        raise ConfigurationError(
            f"no container of {image} can be started: {error.explanation or error}",
            hint=f"name an image that is on this machine in {named}; conformance/images/build makes some",
        ) from error
    except DockerException as error:
        raise ConfigurationError(
            f"no Docker daemon answers: {error}", hint="start one, or choose the embedded server"
        ) from error
    except TimeoutError as error:
        raise ConfigurationError(f"the container of {image} is not ready in time: {error}") from error


def answering() -> None:
    """Raise an error of Docker unless its daemon answers: then there is nothing to start, and nothing to note."""
    import docker

    docker.from_env().close()


class ContainerPostgres:
    """A PostgreSQL server of this process in a container, reached over a port that stays its own."""

    ours = True

    def __init__(self, image: str) -> None:
        with docker_errors(image):
            answering()
            label, self.end = keep()
            try:
                self.container = run(image, label, secrets.token_hex(16))
                self.address = address(self.container)
            except BaseException:
                self.end()
                raise

    @property
    def url(self) -> str:
        """Its own database, with the password of the superuser."""
        found = self.container
        return f"postgresql://{found.username}:{found.password}@{self.address}/{found.dbname}"

    @property
    def version(self) -> str:
        """What the server says that it is."""
        return version(self.url)

    def start(self) -> None:
        """Start the container again, and return when the server accepts connections."""
        with inside(self.container) as found:
            found.start()
            wait_until_ready(self.url, lambda: why_not(found))

    def stop(self) -> None:
        """End the server in order."""
        with inside(self.container) as found:
            found.stop(timeout=_STOPPED)

    def kill(self) -> None:
        """End all processes of the container as `kill -9` does."""
        kill(self.container)


@contextmanager
def inside(container: DockerContainer) -> Iterator[Any]:
    """Docker's own container, with its errors translated and no connection to the daemon left open."""
    with docker_errors(container.image):
        try:
            yield container.get_wrapped_container()
        finally:
            container.get_docker_client().client.close()


def why_not(found: Any) -> str | None:
    """The last words of a container that doesn't run."""
    found.reload()
    return None if found.status == "running" else str(found.logs(tail=20).decode("utf-8", errors="replace"))


def kill(container: DockerContainer) -> None:
    """End all processes of the container at once; returns when they are gone."""
    with inside(container) as found:
        found.reload()
        if found.status == "running":
            found.kill()
            found.wait(timeout=_STOPPED)


def address(container: PostgresContainer) -> str:
    """Where the server of a container is reached."""
    with inside(container):
        host = "127.0.0.1" if is_local(container.get_docker_client()) else container.get_container_host_ip()
        return f"{host}:{container.get_exposed_port(_PORT)}"


def run(
    image: str, label: str, password: str, *, settings: Mapping[str, str] | None = None, **options: Any
) -> PostgresContainer:
    """Start a container with a server that answers. *options* are Docker's own."""
    from docker.errors import APIError

    command = ["postgres", *as_arguments({**SETTINGS, **(settings or {})})]
    for left in reversed(range(_TRIES)):
        container = _made(image, password, command, {"labels": {LABEL: label}, **options})
        try:
            return container.start()
        except APIError as error:
            container.stop()
            if not left or "port is already allocated" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def _made(image: str, password: str, command: list[str], options: dict[str, Any]) -> PostgresContainer:
    """A container that is about to be started; its port is ours even while it is down."""
    from testcontainers.community.postgres import PostgresContainer

    made = PostgresContainer(image, username=USER, password=password, dbname=USER, driver=None, command=command)
    # Docker takes an address too: where the daemon is this machine's, nobody else on the network gets to the server.
    bound = ("127.0.0.1", free_port()) if is_local(made.get_docker_client()) else free_port()
    cast("dict[str, Any]", made.ports)[str(_PORT)] = bound
    return made.with_kwargs(**options)


def is_local(client: DockerClient) -> bool:
    """Whether the daemon publishes ports on the loopback interface of this very machine."""
    from testcontainers.core.config import ConnectionMode

    mode = client.get_connection_mode()
    if mode is ConnectionMode.gateway_ip:
        # We seem to be in a container. Some virtual machines only look like one: there the daemon's name is ours.
        return bool(client.client.info().get("Name") == socket.gethostname())
    return mode is ConnectionMode.docker_host and client.host() in ("localhost", "127.0.0.1")
