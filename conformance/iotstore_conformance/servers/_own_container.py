"""What servers in containers have in common: Docker's errors, a port that stays, and an end with the run."""

from __future__ import annotations

import secrets
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from iotstore import ConfigurationError
from iotstore_conformance.servers._asking import needs_the_extra
from iotstore_conformance.servers._leftovers import keep
from iotstore_conformance.servers._ports import free_port

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.docker_client import DockerClient

C = TypeVar("C", bound="DockerContainer")
_TRIES: Final = 5
_STOPPED: Final = 60  # seconds for a server to end in order, after which Docker kills it


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
        named = " or ".join(variables) or "its variable (docs/servers.md)"
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


class OwnContainer(Generic[C]):
    """A server of this process in a container, reached over a port that stays its own.

    *run* starts the container with a label and a password; *variables* are those that name another image.
    """

    ours = True

    def __init__(self, image: str, port: int, run: Callable[[str, str], C], variables: tuple[str, ...]) -> None:
        with docker_errors(image, *variables):
            answering()
            label, self.end = keep()
            try:
                self.container = run(label, secrets.token_hex(16))
                with inside(self.container):
                    self.address = address(self.container, port)
                self._wait()
            except BaseException:
                self.end()
                raise

    def _wait_until_ready(self, why_not: Callable[[], str | None]) -> None:
        """Return when the server answers."""
        raise NotImplementedError

    def _wait(self) -> None:
        def why_not() -> str | None:
            with inside(self.container) as found:
                found.reload()
                running = found.status == "running"
                return None if running else str(found.logs(tail=20).decode("utf-8", errors="replace"))

        self._wait_until_ready(why_not)

    def start(self) -> None:
        """Start the container again, and return when the server answers."""
        with inside(self.container) as found:
            found.start()
        self._wait()

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


def kill(container: DockerContainer) -> None:
    """End all processes of the container at once; returns when they are gone."""
    with inside(container) as found:
        found.reload()
        if found.status == "running":
            found.kill()
            found.wait(timeout=_STOPPED)


def address(container: DockerContainer, port: int) -> str:
    """Where a port of a container is reached."""
    host = "127.0.0.1" if is_local(container.get_docker_client()) else container.get_container_host_ip()
    return f"{host}:{container.get_exposed_port(port)}"


def bind(container: DockerContainer, port: int) -> None:
    """Give a container that is about to be started a port of this machine, which is its own even while it is down."""
    # Docker takes an address too: where the daemon is this machine's, nobody else on the network gets to the server.
    bound: Any = ("127.0.0.1", free_port()) if is_local(container.get_docker_client()) else free_port()
    cast("dict[str, Any]", container.ports)[str(port)] = bound


def run_anywhere(make: Callable[[], C]) -> C:
    """Start a container with a server that answers, on another port where the first one is taken meanwhile."""
    from docker.errors import APIError

    for left in reversed(range(_TRIES)):
        container = make()
        try:
            return container.start()
        except APIError as error:
            container.stop()
            if not left or "port is already allocated" not in str(error):
                raise
    raise AssertionError("the last try returns or raises")


def is_local(client: DockerClient) -> bool:
    """Whether the daemon publishes ports on the loopback interface of this very machine."""
    from testcontainers.core.config import ConnectionMode

    mode = client.get_connection_mode()
    if mode is ConnectionMode.gateway_ip:
        # We seem to be in a container. Some virtual machines only look like one: there the daemon's name is ours.
        return bool(client.client.info().get("Name") == socket.gethostname())
    return mode is ConnectionMode.docker_host and client.host() in ("localhost", "127.0.0.1")
