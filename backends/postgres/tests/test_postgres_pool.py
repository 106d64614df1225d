"""The pool: what a checkout costs, who waits, what is found dead, and that nothing gets lost."""

from __future__ import annotations

import dataclasses
import gc
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from iotstore.backend import Busy, CreateLayout, Layout, NotAllowed, Settings, StoreError, Unreachable
from iotstore_postgres._connection import Wire, connector
from iotstore_postgres._options import Tuning
from iotstore_postgres._pool import Pool, _Waiter
from iotstore_postgres.store import PostgresBackend

Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def made() -> list[Wire]:
    """The connections that the pool has made so far."""
    return []


@pytest.fixture
def pool(settings: Callable[..., Settings], made: list[Wire]) -> Iterator[Callable[..., Pool]]:
    """A pool without a store; closed when the test ends."""
    pools: list[Pool] = []

    def make(**options: Any) -> Pool:
        chosen = settings(**options)
        tuning = Tuning.of(chosen)
        connect = connector(chosen, tuning)

        def remembered() -> Wire:
            made.append(connect())
            return made[-1]

        pools.append(
            Pool(remembered, size=tuning.pool_size, timeout=tuning.pool_timeout, idle_check=tuning.idle_check_seconds)
        )
        return pools[-1]

    yield make
    for one in pools:
        one.close()


def _terminate(ask: Ask, connection: Wire) -> None:
    """End a connection from the server's side and return when it is gone."""
    pid = connection.info.backend_pid
    ask("SELECT pg_terminate_backend(%s, 5000)", pid)
    assert ask("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid) == []


def _pid(link: Any) -> int:
    found: int = link.execute("SELECT pg_backend_pid()", ()).fetchone()[0]
    return found


def test_the_connection_used_last_is_lent_first_without_a_round_trip(
    pool: Callable[..., Pool], made: list[Wire]
) -> None:
    some = pool()
    first, second = some.borrow(), some.borrow()
    some.give(first)
    some.give(second)
    waits = 0
    plain = Wire.wait

    def counted(self: Wire, *arguments: Any, **named: Any) -> Any:
        nonlocal waits
        waits += 1
        return plain(self, *arguments, **named)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Wire, "wait", counted)
        again = some.borrow()
        some.give(again)
    assert again is second
    assert (waits, len(made)) == (0, 2)


def test_when_all_are_in_use_a_call_waits_its_time_and_is_busy(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=2, pool_timeout=0.05)
    links = [some.borrow(), some.borrow()]
    with pytest.raises(Busy, match=r"all 2 are in use.* 0\.05 seconds") as raised:
        some.borrow()
    assert raised.value.retryable
    for link in links:
        some.give(link)
    some.give(some.borrow())
    found = some.statistics()
    assert (found.open, found.lent, found.waits, found.timeouts) == (2, 0, 1, 1)


def test_who_waits_gets_the_first_connection_that_is_given_back(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=1, pool_timeout=10.0)
    link = some.borrow()
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(some.borrow()))
    thread.start()
    while not some.statistics().waiting:
        thread.join(0.001)
    some.give(link)
    thread.join(10)
    assert got == [link]
    some.give(link)


def test_who_waits_comes_before_the_next_call_of_who_gave_the_connection_back(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=1, pool_timeout=10.0)
    link = some.borrow()
    got: list[int] = []

    def waits(number: int) -> None:
        mine = some.borrow()
        got.append(number)
        some.give(mine)

    threads = [threading.Thread(target=waits, args=(number,)) for number in range(3)]
    for number, thread in enumerate(threads):
        thread.start()
        while some.statistics().waiting <= number:
            thread.join(0.001)
    some.give(link)
    some.give(some.borrow())  # at once, and yet after the three that waited
    assert got == [0, 1, 2]
    for thread in threads:
        thread.join(10)
    assert some.statistics().lent == 0


def test_a_waiting_call_that_is_interrupted_leaves_the_connection_to_the_next(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=1, pool_timeout=10.0)
    link = some.borrow()

    class Interrupted:
        """A lock whose wait ends with Ctrl-C: before the call is served, or just after."""

        def __init__(self, *, served: bool) -> None:
            self.is_served = served

        def acquire(self, timeout: float) -> bool:
            assert timeout > 0
            if self.is_served:
                some.give(link)
            raise KeyboardInterrupt("Ctrl-C")

        def release(self) -> None:
            assert self.is_served

    for served in (False, True):
        waiter = _Waiter()
        waiter.served = Interrupted(served=served)  # type: ignore[assignment]
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("iotstore_postgres._pool._Waiter", lambda waiter=waiter: waiter)
            with pytest.raises(KeyboardInterrupt, match="Ctrl-C"):
                some.borrow()
        assert some.statistics().waiting == 0
    assert some.borrow() is link
    some.give(link)


@pytest.mark.parametrize("end", [Pool.give, Pool.discard], ids=["given back", "discarded"])
def test_a_session_collected_as_garbage_while_another_serves_costs_no_connection(
    pool: Callable[..., Pool], end: Callable[[Pool, Any], None]
) -> None:
    some = pool(pool_size=2, pool_timeout=10.0)
    first, second = some.borrow(), some.borrow()
    got: list[Any] = []
    thread = threading.Thread(target=lambda: got.append(some.borrow()))
    thread.start()
    while not some.statistics().waiting:
        thread.join(0.001)

    class Meddled(deque[Any]):
        """What rests, and a collection of garbage in the midst of the first look at it."""

        collected = False

        def pop(self) -> Any:
            try:
                return super().pop()
            finally:
                if not self.collected:
                    self.collected = True
                    some.give(second)

    some._idle = Meddled()
    end(some, first)
    thread.join(10)
    assert got == [second]
    assert some.statistics().open == 2 - (end is Pool.discard)
    again = some.borrow()
    assert (again is first) == (end is Pool.give)
    assert some.statistics().lent == 2
    for link in (again, second):
        some.give(link)


def test_closing_refuses_those_who_wait(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=1, pool_timeout=10.0)
    link = some.borrow()
    refused: list[StoreError] = []

    def waits() -> None:
        try:
            some.borrow()
        except NotAllowed as error:
            refused.append(error)

    thread = threading.Thread(target=waits)
    thread.start()
    while not some.statistics().waiting:
        thread.join(0.001)
    some.close()
    thread.join(10)
    assert [error.message for error in refused] == ["the store is closed"]
    some.give(link)


def test_a_connection_given_back_inside_a_transaction_is_rolled_back(pool: Callable[..., Pool], ask: Ask) -> None:
    some = pool()
    link = some.begin("BEGIN")
    pid = _pid(link)
    some.give(link)
    assert ask("SELECT state FROM pg_stat_activity WHERE pid = %s", pid) == [("idle",)]
    assert some.borrow() is link
    with pytest.raises(psycopg.Error, match="syntax"):
        link.execute("BEGIN; no such thing", ())
    some.give(link)
    assert ask("SELECT state FROM pg_stat_activity WHERE pid = %s", pid) == [("idle",)]


def test_a_connection_in_the_midst_of_an_answer_is_closed(pool: Callable[..., Pool]) -> None:
    some = pool()
    link = some.borrow()
    link.connection.pgconn.send_query(b"SELECT pg_sleep(60)")
    some.give(link)
    assert link.lost
    assert some.statistics().open == 0


def test_a_rested_connection_is_tried_and_replaced_when_it_is_dead(
    pool: Callable[..., Pool], made: list[Wire], ask: Ask
) -> None:
    some = pool(idle_check_seconds=0.0)
    some.give(some.borrow())
    _terminate(ask, made[0])
    link = some.borrow()
    assert link.connection is made[1]
    assert link.execute("SELECT 1", ()).fetchone() == (1,)
    some.give(link)
    assert some.statistics().lost == 1


def test_where_one_connection_died_the_others_are_tried_before_they_are_used(
    pool: Callable[..., Pool], made: list[Wire], ask: Ask
) -> None:
    some = pool(idle_check_seconds=1_000.0)
    links = [some.borrow() for _ in range(3)]
    for link in links:
        some.give(link)
    for connection in made:
        _terminate(ask, connection)
    dead = some.borrow()
    with pytest.raises(psycopg.OperationalError, match="terminat"):
        dead.execute("SELECT 1", ())
    alive = some.renewed(dead)
    assert alive.execute("SELECT 1", ()).fetchone() == (1,)
    some.give(alive)
    found = some.statistics()
    assert (found.open, found.lost, found.retried, found.connected) == (1, 3, 1, 4)


def test_a_transaction_is_begun_on_another_connection_when_the_first_is_dead(
    pool: Callable[..., Pool], made: list[Wire], ask: Ask
) -> None:
    some = pool()
    some.give(some.borrow())
    _terminate(ask, made[0])
    link = some.begin("BEGIN")
    assert link.connection is made[1]
    some.give(link)


def test_a_beginning_that_fails_gives_the_connection_back(pool: Callable[..., Pool]) -> None:
    some = pool(pool_size=1, pool_timeout=0.05)
    with pytest.raises(StoreError, match="syntax"):
        some.begin("BEGIN SIDEWAYS")
    some.give(some.borrow())


def test_a_server_that_is_not_there_is_an_error_of_the_call_at_once(pool: Callable[..., Pool]) -> None:
    some = pool(connect_timeout=2)
    some._connect = connector_to_nowhere
    with pytest.raises(Unreachable, match="can't be reached"):
        some.borrow()
    found = some.statistics()
    assert (found.open, found.waiting) == (0, 0)


def connector_to_nowhere() -> Wire:
    return Wire.connect("host=127.0.0.1 port=1 connect_timeout=2")


def test_a_silent_server_is_given_up_after_a_bounded_time(pool: Callable[..., Pool]) -> None:
    some = pool()
    link = some.borrow()
    link.connection.patience = 0.2
    with pytest.raises(psycopg.OperationalError, match=r"no answer .* within 0\.2 seconds"):
        link.execute("SELECT pg_sleep(60)", ())
    some.give(link)
    assert some.statistics().open == 0


def test_maintenance_has_no_statement_timeout_and_leaves_none_behind(pool: Callable[..., Pool]) -> None:
    some = pool(statement_timeout=30.0)
    with some.unhurried() as link:
        assert link.execute("SELECT current_setting('statement_timeout')", ()).fetchone() == ("0",)
        assert link.connection.patience is None
    again = some.borrow()
    assert again is link
    assert again.execute("SELECT current_setting('statement_timeout')", ()).fetchone() == ("30s",)
    assert again.connection.patience == 35.0
    some.give(again)


def test_failed_maintenance_keeps_no_connection_without_limits(pool: Callable[..., Pool]) -> None:
    some = pool()
    with pytest.raises(StoreError, match="syntax"), some.unhurried() as link:
        link.execute("VACUUM sideways nowhere", ())
    assert some.statistics().open == 0


def test_a_schema_change_has_no_statement_timeout_and_the_next_transaction_has_it_again(
    backend: PostgresBackend, members: Layout
) -> None:
    with backend.write() as session:
        session.apply([CreateLayout(dataclasses.replace(members, name="others"))])
        assert session.rows("SELECT current_setting('statement_timeout')", ()) == [("0",)]
        assert session._link is not None
        connection = session._link.connection
        assert connection.patience is None
    assert connection.patience == 305.0
    with backend.write() as session:
        assert session.rows("SELECT current_setting('statement_timeout')", ()) == [("5min",)]


def test_a_session_that_nobody_closed_gives_its_connection_back(backend: PostgresBackend) -> None:
    for begin in (backend.read, backend.snapshot, backend.write):
        session = begin()
        assert session.layouts()
        assert backend._pool.statistics().lent == 1
        del session
        gc.collect()
        assert backend._pool.statistics().lent == 0


def test_a_forgotten_connection_is_named_with_the_place_where_it_was_taken(connect: Open) -> None:
    backend = connect(leak_seconds=0.0)
    with backend.write():
        (found,) = [check for check in backend.health() if check.name == "leaks"]
    assert found.status == "warning"
    assert "test_postgres_pool.py:" in found.detail
    assert "test_a_forgotten_connection_is_named" in found.detail
    assert [check.status for check in backend.health() if check.name == "leaks"] == ["ok"]


def test_a_thread_that_holds_a_connection_is_named_by_where_it_is_now(connect: Open) -> None:
    backend = connect(leak_seconds=0.0)
    ready, done = threading.Event(), threading.Event()

    def reads_for_long() -> None:
        with backend.read():
            ready.set()
            done.wait(30)

    thread = threading.Thread(target=reads_for_long)
    thread.start()
    ready.wait(30)
    (found,) = [check for check in backend.health() if check.name == "leaks"]
    done.set()
    thread.join()
    assert "threading.py:" in found.detail


def test_closing_refuses_the_next_call_of_every_open_session(backend: PostgresBackend, ask: Ask, schema: str) -> None:
    sessions = [backend.read(), backend.snapshot(), backend.write()]
    stream_of = sessions[1]
    backend.close()
    for session in sessions:
        with pytest.raises(NotAllowed, match="the store is closed"):
            session.layouts()
        session.close()
    with pytest.raises(NotAllowed, match=r"closed|ended"):
        list(stream_of.counters())
    for begin in (backend.read, backend.snapshot, backend.write):
        with pytest.raises(NotAllowed, match="the store is closed"):
            begin()
    ask("SELECT pg_stat_clear_snapshot()")
    assert _left(ask, schema) == 0


def _left(ask: Ask, schema: str) -> int:
    """How many of the store's connections the server still sees, once it has noticed that they are closed."""
    for _ in range(500):
        ((left,),) = ask("SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", schema)
        if not left:
            return 0
        ask("SELECT pg_sleep(0.01)")
    return int(left)


def test_a_call_under_way_when_the_store_is_closed_is_the_last_of_its_session(backend: PostgresBackend) -> None:
    session = backend.read()
    ends: list[object] = []

    def asks() -> None:
        try:
            ends.append(session.rows("SELECT pg_sleep(0.3)::text", ()))
            session.rows("SELECT 1", ())
        except StoreError as error:
            ends.append(type(error))

    thread = threading.Thread(target=asks)
    thread.start()
    while not session._connection.lock.locked():
        thread.join(0.001)
    backend.close()
    thread.join(30)
    assert ends == [[("",)], NotAllowed]
    session.close()


def test_a_snapshot_that_nobody_calls_ends_at_its_age_and_says_so_when_it_is_called(
    connect: Open, ask: Ask, schema: str
) -> None:
    backend = connect(snapshot_seconds=0.1)
    snapshot = backend.snapshot()
    assert snapshot.layouts() == frozenset()
    while ask("SELECT 1 FROM pg_stat_activity WHERE application_name = %s AND xact_start IS NOT NULL", schema):
        ask("SELECT pg_sleep(0.01)")
    with pytest.raises(Busy, match=r"older than 0\.1 seconds.*snapshot_seconds") as raised:
        snapshot.layouts()
    assert raised.value.retryable
    snapshot.close()
    assert backend._pool.statistics().lent == 0


def test_a_statement_of_a_snapshot_is_stopped_at_its_age_and_hurts_no_other_session(connect: Open) -> None:
    backend = connect(snapshot_seconds=0.2, pool_size=1)
    with backend.snapshot() as snapshot, pytest.raises(Busy, match="snapshot_seconds"):
        snapshot.rows("SELECT pg_sleep(60)::text", ())
    for _ in range(20):
        with backend.read() as session:
            assert session.rows("SELECT pg_sleep(0.01)::text", ()) == [("",)]


def test_a_forked_child_is_refused_and_its_parent_goes_on(backend: PostgresBackend) -> None:
    held = backend.write()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            told = []
            for work in (backend.read, backend.write, backend.snapshot, held.layouts):
                try:
                    work()
                    told.append("allowed")
                except NotAllowed as error:
                    told.append("refused" if "fork" in str(error) else "other")
            held.rollback()
            backend.close()
            os.write(writer, ",".join(told).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == "refused,refused,refused,refused"
    os.waitpid(child, 0)
    assert held.layouts()
    held.commit()
    with backend.read() as session:
        assert session.layouts()


def test_many_threads_share_few_connections_and_none_is_lost(backend: PostgresBackend) -> None:
    errors: list[BaseException] = []

    def works() -> None:
        try:
            for _ in range(20):
                with backend.read() as session:
                    session.layouts()
                with backend.write() as writing:
                    writing.reserve("numbers", 1)
        except BaseException as error:  # noqa: BLE001 - told below
            errors.append(error)

    threads = [threading.Thread(target=works) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    found = backend._pool.statistics()
    assert (found.lent, found.waiting) == (0, 0)
    assert 1 <= found.open <= found.size
    with backend.read() as session:
        assert session.counters()["numbers"] == 321
