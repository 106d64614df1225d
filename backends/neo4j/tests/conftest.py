"""What the tests of the Neo4j backend share: a server, places on it, and stores in them."""

from collections.abc import Callable, Iterator

import pytest

from iotstore.backend import Settings
from iotstore_conformance.servers import neo4j
from iotstore_neo4j import harness as suite
from iotstore_neo4j.store import Neo4jBackend


@pytest.fixture(scope="session")
def server() -> str:
    """The URL of the server that IOTSTORE_TEST_NEO4J chooses."""
    return neo4j().url


@pytest.fixture
def place(server: str) -> Iterator[str]:  # noqa: ARG001 - it has to be there
    """A prefix that no store has."""
    name = suite.harness.fresh()
    yield name
    assert suite.harness.drop is not None
    suite.harness.drop(name)


@pytest.fixture
def url(place: str) -> str:
    """The URL of the store at that prefix."""
    return suite.harness.url(place)


@pytest.fixture
def settings(url: str) -> Callable[..., Settings]:
    """Makes the settings of that URL, with more options."""
    from iotstore._urls import parse_url

    def make(*, create: bool = True, **options: object) -> Settings:
        parts = parse_url(url)
        known = {**parts.options, **options}
        return Settings(parts.scheme, parts.user, parts.password, parts.hosts, parts.path, parts.display, known, create)

    return make


@pytest.fixture
def connect(settings: Callable[..., Settings]) -> Iterator[Callable[..., Neo4jBackend]]:
    """Opens the store there; all are closed in the end."""
    opened: list[Neo4jBackend] = []

    def make(*, create: bool = True, **options: object) -> Neo4jBackend:
        opened.append(Neo4jBackend.connect(settings(create=create, **options)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Callable[..., Neo4jBackend]) -> Neo4jBackend:
    """An open, empty store."""
    return connect()
