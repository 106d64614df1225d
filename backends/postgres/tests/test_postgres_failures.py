"""A server that fails, on a server of these tests' own: a typed error in bounded time, and the next call recovers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from iotstore.backend import (
    ALWAYS,
    Busy,
    Conflict,
    Corrupt,
    EngineError,
    InvalidValue,
    Layout,
    NotAllowed,
    OnConflict,
    Select,
    Settings,
    StoreError,
    Unreachable,
)
from iotstore_conformance.proxy import Proxy
from iotstore_conformance.servers._embedded import EmbeddedPostgres
from iotstore_postgres.store import PostgresBackend

Make = Callable[..., tuple[Any, ...]]
Ask = Callable[..., list[tuple[Any, ...]]]
Clean = Callable[[PostgresBackend], bool]
BOUND = 20.0  # seconds within which every call here must have ended


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedPostgres]:
    """A server that may be stopped and killed."""
    server = EmbeddedPostgres()
    yield server
    server.stop()
    server.end()


@pytest.fixture(scope="module")
def url(server: EmbeddedPostgres) -> str:
    """The database of these tests, in place of the one that all tests share."""
    return server.url


@pytest.fixture
def admin(url: str, server: EmbeddedPostgres) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the store, for one test: the server may end in it."""
    server.start()
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def schema() -> str:
    """The server ends with the tests: nothing is dropped."""
    return f"test_{time.monotonic_ns()}"


@pytest.fixture(autouse=True)
def bounded() -> Iterator[None]:
    """No call may last: a server that fails must not take the application with it."""
    begun = time.monotonic()
    yield
    assert time.monotonic() - begun < BOUND


@pytest.fixture
def clean(ask: Ask, schema: str) -> Clean:
    """Whether nothing is lent, and the server sees no transaction of the store."""

    def look(backend: PostgresBackend) -> bool:
        seen = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL"
        return backend._pool.statistics().lent == 0 and ask(seen, schema) == [(0,)]

    return look


@pytest.fixture
def terminate(ask: Ask, schema: str) -> Callable[[], int]:
    """End every connection of the store and return when they are gone: how many there were."""

    def end() -> int:
        ended = ask(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s AND pid <>"
            " pg_backend_pid()",
            schema,
        )
        assert all(row == (True,) for row in ended)
        return len(ended)

    return end


def _keys(backend: PostgresBackend, devices: Layout) -> list[object]:
    with backend.read() as session:
        return sorted(str(found[0]) for found in session.select(devices, Select(ALWAYS)))


# ---------------------------------------------------------------------- connections that end


def test_a_read_does_not_notice_that_its_connection_was_ended_before_it(
    backend: PostgresBackend, devices: Layout, terminate: Callable[[], int]
) -> None:
    with backend.read() as session:
        assert terminate() == 1
        assert session.get(devices, ("a",)) is None
        assert session.select(devices, Select(ALWAYS)) == []
    assert backend._pool.statistics().retried == 1


def test_a_read_is_repeated_once_and_not_for_ever(
    backend: PostgresBackend, clean: Clean, terminate: Callable[[], int]
) -> None:
    with backend.read() as session:
        terminate()
        suicide = "SELECT pg_terminate_backend(pg_backend_pid(), 0)::text FROM (SELECT pg_sleep(0)) AS s"
        with pytest.raises(Unreachable, match=r"terminat|lost") as raised:
            session.rows(suicide, ())
    assert raised.value.retryable
    assert clean(backend)


def test_a_transaction_begins_although_the_connections_were_ended_before(
    backend: PostgresBackend, devices: Layout, row: Make, terminate: Callable[[], int]
) -> None:
    terminate()
    with backend.write() as session:
        session.insert(devices, row("a"))
    assert _keys(backend, devices) == ["a"]


def test_a_transaction_that_lost_its_connection_stores_nothing_and_the_next_one_works(
    backend: PostgresBackend, devices: Layout, row: Make, clean: Clean, terminate: Callable[[], int]
) -> None:
    session = backend.write()
    session.insert(devices, row("half"))
    terminate()
    with pytest.raises(Unreachable, match=r"terminat|lost") as raised:
        session.insert(devices, row("more"))
    assert raised.value.retryable
    with pytest.raises(StoreError, match=r"lost|connection"):
        session.insert(devices, row("still more"))
    session.rollback()
    with backend.write() as again:
        again.insert(devices, row("whole"))
    assert _keys(backend, devices) == ["whole"]
    assert clean(backend)


def test_a_commit_whose_answer_never_came_says_that_nobody_knows(
    backend: PostgresBackend, devices: Layout, row: Make, clean: Clean, terminate: Callable[[], int]
) -> None:
    session = backend.write()
    session.insert(devices, row("a"))
    terminate()
    with pytest.raises(EngineError, match="nobody here knows"):
        session.commit()
    assert _keys(backend, devices) == []
    assert clean(backend)


def test_a_snapshot_that_lost_its_connection_is_over(
    backend: PostgresBackend, clean: Clean, terminate: Callable[[], int]
) -> None:
    with backend.snapshot() as session:
        assert session.layouts()
        terminate()
        with pytest.raises(Unreachable, match=r"terminat|lost"):
            session.layouts()
    with backend.snapshot() as again:
        assert again.layouts()
    assert clean(backend)


# ---------------------------------------------------------------------- limits


def test_a_statement_beyond_its_time_is_stopped_and_the_session_goes_on(
    connect: Callable[..., PostgresBackend], clean: Clean
) -> None:
    backend = connect(statement_timeout=0.2)
    with backend.read() as session:
        with pytest.raises(Busy, match="statement_timeout") as raised:
            session.rows("SELECT pg_sleep(60)::text", ())
        assert raised.value.retryable
        assert session.rows("SELECT 1", ()) == [(1,)]
    assert clean(backend)


def test_a_statement_beyond_its_time_ends_its_transaction_whole(
    connect: Callable[..., PostgresBackend], clean: Clean
) -> None:
    backend = connect(statement_timeout=0.2)
    session = backend.write()
    session.reserve("n", 1)
    with pytest.raises(Busy, match="stopped the statement"):
        session.rows("SELECT pg_sleep(60)::text", ())
    with pytest.raises(EngineError, match="nothing of it was stored"):
        session.commit()
    with backend.read() as reading:
        assert reading.counters() == {}
    assert clean(backend)


def test_a_statement_whose_client_is_gone_does_not_go_on(
    connect: Callable[..., PostgresBackend], ask: Ask, schema: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotstore_postgres.store.CLIENT_CHECK", "50ms")
    backend = connect()
    sessions = [backend.read(), backend.read()]  # the first connection, and one that was made later
    for session in sessions:
        assert session._link is not None
        session._link.connection.patience = 0.2
        with pytest.raises(Unreachable, match="no answer from the server"):
            session.rows("SELECT pg_sleep(60)::text", ())
    while ask("SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND state = 'active'", schema):
        ask("SELECT pg_sleep(0.01)")


def test_when_every_connection_is_in_use_a_call_is_busy_in_bounded_time(
    connect: Callable[..., PostgresBackend],
) -> None:
    backend = connect(pool_size=2, pool_timeout=0.1)
    with backend.write(), backend.read():
        begun = time.monotonic()
        for begin in (backend.read, backend.write, backend.snapshot):
            with pytest.raises(Busy, match="all 2 are in use"):
                begin()
        assert time.monotonic() - begun < 5
    with backend.write() as session:
        assert session.layouts() == frozenset()


def test_a_server_without_connections_left_is_busy(settings: Callable[..., Settings], ask: Ask) -> None:
    ask("DROP ROLE IF EXISTS crowd")
    ask("CREATE ROLE crowd LOGIN CONNECTION LIMIT 0 PASSWORD 'crowd'")
    with pytest.raises(Busy, match=r"no connection left|too many connections") as raised:
        PostgresBackend.connect(settings()._replace(user="crowd", password="crowd"))
    assert raised.value.retryable


def test_a_row_that_is_locked_for_too_long_is_busy(
    connect: Callable[..., PostgresBackend], backend: PostgresBackend, devices: Layout, row: Make, clean: Clean
) -> None:
    impatient = connect(lock_timeout=0.2)
    with backend.write() as session:
        session.insert(devices, row("a"))
        waiting = impatient.write()
        with pytest.raises(Busy, match="lock_timeout") as raised:
            waiting.insert(devices, row("a"))
        assert raised.value.retryable
        waiting.rollback()
    with impatient.write() as again, pytest.raises(Conflict, match="exists already"):
        again.insert(devices, row("a"))
    assert clean(backend)


def test_of_two_transactions_that_wait_for_each_other_one_is_busy_and_the_other_goes_through(
    backend: PostgresBackend, clean: Clean
) -> None:
    meet = threading.Barrier(2)
    ends: dict[str, str] = {}

    def works(first: str, second: str) -> None:
        try:
            with backend.write() as session:
                session.reserve(first, 1)
                meet.wait(10)
                session.reserve(second, 1)
        except StoreError as error:
            ends[first] = f"{type(error).__name__} {error.retryable}"
        else:
            ends[first] = "stored"

    threads = [threading.Thread(target=works, args=names) for names in (("x", "y"), ("y", "x"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND)
    assert sorted(ends.values()) == ["Busy True", "stored"]
    with backend.read() as session:
        assert session.counters() == {"x": 2, "y": 2}
    assert clean(backend)


# ---------------------------------------------------------------------- servers that end


def test_a_store_goes_on_after_its_server_was_stopped_and_started(
    backend: PostgresBackend, devices: Layout, row: Make, server: EmbeddedPostgres
) -> None:
    with backend.write() as session:
        session.insert(devices, row("before"))
    server.stop()
    for begin in (backend.read, backend.write, backend.snapshot):
        with pytest.raises(Unreachable, match=r"lost|reached|shutting down") as raised:
            begin().layouts()
        assert raised.value.retryable
    server.start()
    with backend.write() as session:
        session.insert(devices, row("after"))
    assert _keys(backend, devices) == ["after", "before"]
    assert backend._pool.statistics().lent == 0


def test_what_was_acknowledged_is_there_after_the_server_was_killed(
    backend: PostgresBackend, devices: Layout, row: Make, server: EmbeddedPostgres
) -> None:
    acknowledged: list[object] = []
    for number in range(20):
        with backend.write() as session:
            session.insert(devices, row(f"d{number:02}"))
        acknowledged.append(f"d{number:02}")
    unfinished = backend.write()
    unfinished.insert(devices, row("unfinished"))
    server.kill()
    with pytest.raises(StoreError, match=r"nobody here knows|lost"):
        unfinished.commit()
    server.start()
    assert _keys(backend, devices) == acknowledged


def test_a_new_store_on_a_server_that_is_down_is_unreachable_at_once(
    settings: Callable[..., Settings], server: EmbeddedPostgres
) -> None:
    server.stop()
    try:
        with pytest.raises(Unreachable, match=r"can't be reached.*check that it runs"):
            PostgresBackend.connect(settings())
    finally:
        server.start()


@pytest.fixture
def damage(server: EmbeddedPostgres, ask: Ask, schema: str) -> Callable[[str], None]:
    """Overwrite a part of a table's first page, the way a failing disk does."""

    def write(table: str) -> None:
        ((file,),) = ask("SELECT pg_relation_filepath(to_regclass(%s))", f'"{schema}"."{table}"')
        server.stop()
        with (server._data / file).open("r+b") as damaged:
            damaged.seek(4_000)
            damaged.write(b"\xff" * 100)
        server.start()

    return write


def test_a_damaged_page_is_told_when_it_is_met_and_found_by_verify(
    connect: Callable[..., PostgresBackend],
    backend: PostgresBackend,
    devices: Layout,
    row: Make,
    damage: Callable[[str], None],
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row(f"d{number}", name="x" * 200) for number in range(50)], OnConflict.ERROR)
    backend.close()
    damage("devices")
    again = connect()
    with again.read() as session, pytest.raises(Corrupt, match=r"damaged data.*iotstore backup"):
        session.select(devices, Select(ALWAYS))
    (tables,) = [check for check in again.verify() if check.name == "tables"]
    assert tables.status == "failed"
    assert "devices" in tables.detail
    assert "flows" not in tables.detail
    with again.write() as session:
        session.reserve("n", 1)


# ---------------------------------------------------------------------- networks that fail


@pytest.fixture
def proxied(server: EmbeddedPostgres, settings: Callable[..., Settings]) -> Iterator[tuple[PostgresBackend, Proxy]]:
    """A store that reaches its server through a proxy, and waits for an answer for one second."""
    with Proxy(server._port) as proxy:
        chosen = settings(connect_timeout=2)._replace(hosts=(("127.0.0.1", proxy.port),))
        backend = PostgresBackend.connect(chosen)
        backend._connect = _impatient(backend._connect)
        backend._pool._drain()
        yield backend, proxy
        backend.close()


def _impatient(connect: Callable[[], Any]) -> Callable[[], Any]:
    def make() -> Any:
        connection = connect()
        connection.patience = 1.0
        return connection

    return make


@pytest.mark.parametrize("what", ["cut", "reset", "half-close", "stall"])
def test_an_answer_that_breaks_off_is_an_error_and_the_next_call_recovers(
    proxied: tuple[PostgresBackend, Proxy], what: Any
) -> None:
    backend, proxy = proxied
    session = backend.write()
    session.reserve("n", 1)
    proxy.trouble(what, after=10)
    with pytest.raises(Unreachable, match="lost") as raised:
        session.rows("SELECT repeat('x', 100000)", ())
    assert raised.value.retryable
    session.rollback()
    proxy.heal()
    with backend.write() as again:
        again.reserve("m", 1)
    with backend.read() as reading:
        assert reading.counters() == {"m": 2}
    assert backend._pool.statistics().lent == 0


def test_a_server_that_falls_silent_costs_its_patience_once_and_not_for_each_connection(
    proxied: tuple[PostgresBackend, Proxy],
) -> None:
    backend, proxy = proxied
    sessions = [backend.read() for _ in range(6)]
    for session in sessions:
        session.close()
    backend._pool._idle_check, backend._pool._check_patience = 0.0, 0.5
    proxy.trouble("stall")
    begun = time.monotonic()
    with pytest.raises(Unreachable, match="reached"):
        backend.read()
    # Half a second for the connection that was tried, and two for the one that could not be made.
    assert time.monotonic() - begun < 0.5 + 2 + 1
    proxy.heal()
    with backend.read() as again:
        assert again.counters() == {}


def test_a_slow_network_is_no_error(proxied: tuple[PostgresBackend, Proxy]) -> None:
    backend, proxy = proxied
    proxy.trouble("delay", seconds=0.05)
    with backend.write() as session:
        session.reserve("n", 1)
    with backend.read() as reading:
        assert reading.counters() == {"n": 2}


# ---------------------------------------------------------------------- nothing stays behind


def test_no_failure_leaves_a_transaction_open(
    backend: PostgresBackend, devices: Layout, row: Make, clean: Clean
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a", raw=b"x"))

    def violates() -> None:
        with backend.write() as session:
            session.insert(devices, row("b", raw=b"x"))

    def conflicts() -> None:
        with backend.write() as session:
            session.insert(devices, row("a"))

    def breaks_off() -> None:
        with backend.write() as session:
            session.reserve("n", 1)
            raise EngineError("on purpose")

    def leaves_a_stream() -> None:
        with backend.read() as session:
            next(session.stream(devices, Select(ALWAYS), 1))
            raise EngineError("on purpose")

    def asks_nonsense() -> None:
        with backend.snapshot() as session:
            session.rows("SELECT nonsense", ())

    def overstays() -> None:
        with backend.snapshot() as session:
            session.deadline = 0.0
            session.layouts()

    def uses_it_afterwards() -> None:
        session = backend.write()
        session.commit()
        session.insert(devices, row("c"))

    expected: list[tuple[Callable[[], None], type[StoreError]]] = [
        (violates, InvalidValue),
        (conflicts, Conflict),
        (breaks_off, EngineError),
        (leaves_a_stream, EngineError),
        (asks_nonsense, EngineError),
        (overstays, Busy),
        (uses_it_afterwards, NotAllowed),
    ]
    for work, error in expected:
        with pytest.raises(error, match=r"."):
            work()
        assert clean(backend), work.__name__
    assert _keys(backend, devices) == ["a"]


def test_the_server_itself_ends_what_a_hanging_process_leaves_open(
    connect: Callable[..., PostgresBackend], ask: Ask, schema: str, clean: Clean
) -> None:
    backend = connect(snapshot_seconds=7.0)
    with backend.read() as session:
        found = session.rows("SELECT current_setting('idle_in_transaction_session_timeout')", ())
    assert found == [("67s",)]
    hanging = backend.write()
    hanging.rows("SELECT set_config('idle_in_transaction_session_timeout', '50ms', true)", ())
    while ask("SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL", schema):
        ask("SELECT pg_sleep(0.01)")
    with pytest.raises(StoreError, match=r"did nothing for too long|lost"):
        hanging.reserve("n", 1)
    hanging.rollback()
    assert clean(backend)
