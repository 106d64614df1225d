"""Connections that fell silent, or whose server is gone: what the next call costs, and that it is one call only."""

import errno
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest
from neo4j.exceptions import ServiceUnavailable, TransientError

from iotstore.backend import Settings, Unreachable
from iotstore_conformance.proxy import Proxy
from iotstore_neo4j._connections import Losses, died_at_rest
from iotstore_neo4j._options import Tuning
from iotstore_neo4j.store import Neo4jBackend

PATIENCE = 1.0


class Silencer(Proxy):
    """A proxy that keeps connections open and says nothing over them any more; new ones are as they should be."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self._silenced: set[socket.socket] = set()

    def silence(self) -> None:
        """From now on nothing comes over the connections that are open."""
        self._silenced = set(self._sockets)

    def _answer(self, server: socket.socket, client: socket.socket, data: bytes) -> bool:
        return client in self._silenced or super()._answer(server, client, data)


def lost(cause: Exception | None) -> ServiceUnavailable:
    """The driver's error for a connection that ended so."""
    error = ServiceUnavailable("gone")
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (lost(ConnectionResetError()), True),
        (lost(None), True),
        (lost(TimeoutError("timed out")), False),
        (lost(TimeoutError(errno.ETIMEDOUT, "nobody is there")), True),
        (TransientError("busy"), False),
    ],
    ids=["reset", "ended", "silent server", "silent machine", "an answer"],
)
def test_what_died_at_rest_is_told_from_a_server_that_says_nothing(error: Exception, expected: bool) -> None:
    assert died_at_rest(error) is expected


def test_a_call_is_asked_again_once_however_long_it_took_and_more_often_while_there_is_time() -> None:
    settings = Settings("bolt", None, None, (("localhost", None),), "", "bolt://localhost", {"retry_seconds": 0})
    dead = lost(ConnectionResetError())
    losses = Losses(Tuning.of(settings))
    assert [losses.again(dead), losses.again(dead)] == [True, False]
    assert not Losses(Tuning.of(settings)).again(lost(TimeoutError("timed out")))
    patient = Losses(Tuning.of(settings._replace(options={"retry_seconds": 60, "pool_size": 3})))
    assert [patient.again(dead) for _ in range(4)] == [True, True, True, False]


@pytest.fixture
def proxy(settings: Callable[..., Settings]) -> Iterator[Silencer]:
    """A proxy before the server."""
    ((_, port),) = settings().hosts
    assert port is not None
    with Silencer(port) as found:
        yield found


@pytest.fixture
def behind(settings: Callable[..., Settings], proxy: Silencer) -> Iterator[Callable[..., Neo4jBackend]]:
    """Opens the store through the proxy, with little patience and several connections that rest."""
    opened: list[Neo4jBackend] = []

    def make(**options: object) -> Neo4jBackend:
        Neo4jBackend.connect(settings()).close()
        through = settings(read_timeout=PATIENCE, connect_timeout=PATIENCE, **options)
        backend = Neo4jBackend.connect(through._replace(hosts=(("127.0.0.1", proxy.port),)))
        opened.append(backend)
        together = threading.Barrier(4)

        def use() -> None:
            with backend.wire.session() as session, session.begin_transaction():
                together.wait(30)

        threads = [threading.Thread(target=use) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert proxy.connections >= 4
        return backend

    yield make
    for backend in opened:
        backend.close()


@pytest.mark.neo4j
def test_when_a_resting_connection_does_not_answer_the_others_are_let_go_with_it(
    behind: Callable[..., Neo4jBackend], proxy: Silencer
) -> None:
    backend = behind(idle_check_seconds=0)
    proxy.silence()
    began = time.monotonic()
    for _ in range(3):
        with backend.read() as session:
            assert session.layouts() == frozenset()
    assert PATIENCE <= time.monotonic() - began < 3 * PATIENCE


@pytest.mark.neo4j
def test_connections_that_fell_silent_cost_one_call_and_not_one_each(
    behind: Callable[..., Neo4jBackend], proxy: Silencer
) -> None:
    backend = behind()
    proxy.silence()
    with backend.read() as session, pytest.raises(Unreachable, match="the connection to it was lost"):
        session.layouts()
    for _ in range(3):
        with backend.read() as session:
            assert session.layouts() == frozenset()


@pytest.mark.neo4j
@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux ends connections to dead machines")
def test_the_kernel_ends_connections_to_a_machine_that_is_gone(connect: Callable[..., Neo4jBackend]) -> None:
    backend = connect(connect_timeout=7)
    with backend.wire.session() as session, session.begin_transaction():
        connected = session._connection.socket._socket
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7_000
        assert connected.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 7
