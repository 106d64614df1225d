"""Many writers, holders and snapshots on one PostgreSQL schema: who waits, and what nobody may lose."""

from __future__ import annotations

import gc
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
import pytest

import iotstore
from iotstore import Device, field
from iotstore.backend import (
    Aggregate,
    And,
    Busy,
    Compare,
    Conflict,
    Function,
    In,
    Layout,
    Measure,
    NotAllowed,
    OnConflict,
    Op,
    Order,
    Row,
    Select,
)
from iotstore_postgres.store import PostgresBackend

MakeRow = Callable[..., Row]
Ask = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., PostgresBackend]
T = TypeVar("T")


def together(count: int, work: Callable[[int], T]) -> list[T]:
    """Run *work* in threads that begin at the same moment; what each returned."""
    barrier = threading.Barrier(count)

    def run(number: int) -> T:
        barrier.wait(30)
        return work(number)

    with ThreadPoolExecutor(count) as threads:
        return [future.result(60) for future in [threads.submit(run, number) for number in range(count)]]


def waits_for_a_lock(ask: Ask, schema: str) -> None:
    """Return once somebody of the store waits for a lock."""
    text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND wait_event_type = 'Lock'"
    for _ in range(100_000):
        if ask(text, schema)[0][0]:
            return
    raise AssertionError("nobody waits")


def test_overlapping_batches_in_any_order_store_each_key_once_and_say_so(
    backend: PostgresBackend, flows: Layout
) -> None:
    def work(number: int) -> int:
        generator, stored = random.Random(number), 0
        for _ in range(12):
            wanted = generator.sample(range(1_500), 400)
            with backend.write() as session:
                missing = session.insert_many(flows, [(key, None, number, None) for key in wanted], OnConflict.KEEP)
            assert missing == sorted(set(missing))
            stored += len(wanted) - len(missing)
        return stored

    counts = together(4, work)
    with backend.read() as session:
        assert session.aggregate(flows, Aggregate((), (Measure(Function.COUNT),))) == [(sum(counts),)]


def test_a_batch_waits_for_a_rival_and_counts_what_became_of_him(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    rows = [(key, None, 0, None) for key in range(3)]
    with ThreadPoolExecutor(1) as thread:
        for commits, missing in ((False, []), (True, [1])):
            rival = backend.write()
            rival.insert(flows, (1, None, 9, None))

            def store() -> list[int]:
                with backend.write() as session:
                    found = session.insert_many(flows, rows, OnConflict.KEEP)
                    session.delete(flows, Compare("at", Op.EQ, 0))
                    return found

            waiting = thread.submit(store)
            waits_for_a_lock(ask, schema)
            (rival.commit if commits else rival.rollback)()
            assert waiting.result(30) == missing


def test_upserts_of_the_same_keys_lose_no_update_and_count_each_new_record_once(
    backend: PostgresBackend, devices: Layout, row: MakeRow
) -> None:
    keys = [f"k{number}" for number in range(40)]

    def work(number: int) -> int:
        generator, inserted = random.Random(number), 0
        for turn in range(10):
            batch = generator.sample(keys, generator.choice((1, 25)))
            with backend.write() as session:
                merged = session.upsert(devices, [row(key, score=float(number * 100 + turn), size=1) for key in batch])
            assert [one.row[0] for one in merged] == batch
            inserted += sum(one.inserted for one in merged)
            puts.extend(batch)
        return inserted

    puts: list[str] = []
    counts = together(4, work)
    with backend.read() as session:
        found = session.select(devices, Select(order=(Order("key"),)))
    assert sum(counts) == len(found)
    # Inserted with version 1, and each later put has raised it by one.
    assert {one[0]: one[-1] for one in found} == {one[0]: puts.count(one[0]) for one in found}


def test_upserts_and_deletions_of_one_key_race_without_an_error(
    backend: PostgresBackend, devices: Layout, row: MakeRow
) -> None:
    def work(number: int) -> int:
        balance = 0
        for _ in range(40):
            with backend.write() as session:
                if number % 2:
                    balance += sum(one.inserted for one in session.upsert(devices, [row("a"), row("b")]))
                else:
                    balance -= len(session.delete(devices, In("key", ("a",))))
                    balance -= len(session.delete(devices, In("key", ("b",))))
        return balance

    balance = sum(together(4, work))
    with backend.read() as session:
        assert session.aggregate(devices, Aggregate((), (Measure(Function.COUNT),))) == [(balance,)]


def test_of_two_who_insert_one_key_the_second_waits_and_is_told(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    first = backend.write()
    first.insert(flows, (1, None, 1, None))

    def second() -> None:
        with backend.write() as session:
            session.insert(flows, (1, None, 2, None))

    with ThreadPoolExecutor(1) as thread:
        waiting: Future[None] = thread.submit(second)
        waits_for_a_lock(ask, schema)
        first.commit()
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            waiting.result(30)


def test_what_is_held_can_be_changed_but_not_deleted_until_the_holder_ends(
    backend: PostgresBackend, connect: Open, devices: Layout, row: MakeRow
) -> None:
    impatient = connect(lock_timeout=0.2)
    with backend.write() as session:
        session.insert_many(devices, [row("a"), row("b")], OnConflict.ERROR)
    with backend.write() as holder:
        assert holder.get_many(devices, [("a",), ("nobody",)], hold=True) == [row("a"), None]
        with impatient.write() as rival:
            assert rival.get_many(devices, [("a",)], hold=True) == [row("a")]
            rival.upsert(devices, [row("a", name="x"), row("c")])
            assert len(rival.update(devices, And(()), {"size": 3})) == 3
        with pytest.raises(Busy, match="a lock was not free in time") as caught, impatient.write() as rival:
            rival.delete(devices, Compare("key", Op.EQ, "a"))
        assert caught.value.retryable
    with impatient.write() as rival:
        assert len(rival.delete(devices, Compare("key", Op.EQ, "a"))) == 1


def test_numbers_of_a_counter_are_given_once_to_those_who_commit(backend: PostgresBackend) -> None:
    def work(number: int) -> list[int]:
        got: list[int] = []
        for turn in range(20):
            session = backend.write()
            first = session.reserve("c", 3)
            if (number + turn) % 3:
                session.commit()
                got += range(first, first + 3)
            else:
                session.rollback()
        return got

    given = [one for part in together(4, work) for one in part]
    assert sorted(given) == list(range(1, len(given) + 1))


def test_a_single_call_that_a_deadlock_ended_is_done_again_and_an_application_s_transaction_is_not(
    url: str, ask: Ask, schema: str
) -> None:
    def rivalry(call: Callable[[], object], first: str, second: str) -> Future[object]:
        """Let *call* wait for a transaction that then waits for it; the rival never finds out itself."""
        with psycopg.connect(url, options=f"-c search_path={schema} -c deadlock_timeout=60s") as rival:
            rival.execute("UPDATE device SET vendor = 'rival' WHERE key = %s", [second])
            calling = thread.submit(call)
            waits_for_a_lock(ask, schema)
            rival.execute("UPDATE device SET vendor = 'rival' WHERE key = %s", [first])
        return calling

    with iotstore.open(f"{url}?schema={schema}&application_name={schema}") as store, ThreadPoolExecutor(1) as thread:
        store.devices.put_many([Device(key=key) for key in "abcd"])

        def change() -> int:
            return store.devices.update_where(field("key") <= "b", model="call")

        def change_in_a_transaction() -> None:
            with store.transaction():
                store.devices.update_where(field("key") >= "c", model="call")

        assert rivalry(change, "a", "b").result(30) == 2
        error = rivalry(change_in_a_transaction, "c", "d").exception(30)
        found = [(one.vendor, one.model) for one in store.devices.list()]
    assert isinstance(error, Busy)
    assert error.victim
    assert found == [("rival", "call"), ("rival", "call"), ("rival", None), ("rival", None)]


def test_a_deadlock_ends_one_of_the_two_with_an_error_that_can_be_retried(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(1, None, 0, 0), (2, None, 0, 0)], OnConflict.ERROR)
    one, two = backend.write(), backend.write()
    one.update(flows, Compare("id", Op.EQ, 1), {"bytes": 1})
    two.update(flows, Compare("id", Op.EQ, 2), {"bytes": 2})

    def cross() -> Busy | None:
        try:
            one.update(flows, Compare("id", Op.EQ, 2), {"bytes": 1})
        except Busy as error:
            one.rollback()
            return error
        one.commit()
        return None

    with ThreadPoolExecutor(1) as thread:
        crossing = thread.submit(cross)
        waits_for_a_lock(ask, schema)
        mine: Busy | None = None
        try:
            two.update(flows, Compare("id", Op.EQ, 1), {"bytes": 2})
        except Busy as error:
            mine = error
            two.rollback()
        else:
            two.commit()
        (error,) = [error for error in (mine, crossing.result(30)) if error is not None]
    assert error.retryable
    with backend.read() as session:
        assert len({found[3] for found in session.select(flows, Select())}) == 1


# ---------------------------------------------------------------------- snapshots


def test_a_snapshot_sees_the_state_of_its_beginning_and_writers_go_on(
    backend: PostgresBackend, devices: Layout, flows: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a"))
    with backend.snapshot() as snapshot:
        with backend.write() as session:
            session.update(devices, And(()), {"name": "later"})
            session.insert(flows, (1, "a", 0, None))
        assert snapshot.get(devices, ("a",)) == row("a")
        assert snapshot.select(flows, Select()) == []
        assert snapshot.get_many(devices, [("a",), ("b",)]) == [row("a"), None]
        assert list(snapshot.stream(flows, Select(), 5)) == []
        assert snapshot.layouts() == {"devices", "flows", "members"}
    with backend.read() as session:
        assert session.get(devices, ("a",)) == row("a", name="later", version=2)


def test_a_snapshot_that_grew_too_old_is_ended_also_when_nobody_calls_it(connect: Open, ask: Ask, schema: str) -> None:
    backend = connect(snapshot_seconds=0.2)
    snapshot = backend.snapshot()
    text = "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s AND state = 'idle in transaction'"
    for _ in range(100_000):
        if not ask(text, schema)[0][0]:
            break
    else:
        pytest.fail("the snapshot is still open")
    with pytest.raises(Busy, match=r"grew older than 0\.2 seconds"):
        snapshot.layouts()
    snapshot.close()


def test_a_snapshot_ends_in_the_midst_of_a_statement_or_a_stream_with_the_same_error(
    connect: Open, flows: Layout, backend: PostgresBackend
) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(key, None, 0, None) for key in range(10)], OnConflict.ERROR)
    hasty = connect(snapshot_seconds=0.3)
    with hasty.snapshot() as snapshot, pytest.raises(Busy, match=r"grew older than 0\.3 seconds"):
        snapshot.rows("SELECT pg_sleep(30)::text", ())
    with hasty.snapshot() as snapshot:
        stream = snapshot.stream(flows, Select(), 2)
        next(stream)
        snapshot.deadline = 0.0
        with pytest.raises(Busy, match=r"grew older than 0\.3 seconds"):
            next(stream)
    with hasty.snapshot() as snapshot:  # its connection serves on
        assert len(snapshot.select(flows, Select())) == 10


def test_a_pinned_snapshot_outlives_its_age(backend: PostgresBackend) -> None:
    with backend.snapshot() as snapshot:
        snapshot.pinned = True
        snapshot.deadline = 0.0
        assert not snapshot.expire()
        assert "devices" in snapshot.layouts()
        snapshot.pinned = False
        with pytest.raises(Busy, match="grew older"):
            snapshot.layouts()


# ---------------------------------------------------------------------- the end of a session


def test_sessions_that_ended_refuse_every_call(backend: PostgresBackend, flows: Layout) -> None:
    for session in (backend.read(), backend.snapshot(), backend.write()):
        session.close()
        session.close()
        for call in (
            lambda session=session: session.get(flows, (1,)),
            lambda session=session: session.get_many(flows, [(1,), (2,)]),
            lambda session=session: session.select(flows, Select()),
            lambda session=session: next(session.stream(flows, Select(), 1)),
            lambda session=session: session.layouts(),
            lambda session=session: session.counters(),
        ):
            with pytest.raises(NotAllowed, match="this session has ended"):
                call()
    writing = backend.write()
    writing.commit()
    for change in (
        lambda: writing.insert(flows, (1, None, 0, None)),
        lambda: writing.insert_many(flows, [(1, None, 0, None), (2, None, 0, None)], OnConflict.KEEP),
        lambda: writing.upsert(flows, [(1, None, 0, None)]),
        lambda: writing.update(flows, And(()), {"at": 1}),
        lambda: writing.delete(flows, And(())),
        lambda: writing.reserve("c", 1),
        lambda: writing.apply(()),
        writing.savepoint,
        writing.release,
        writing.undo,
        writing.commit,
    ):
        with pytest.raises(NotAllowed, match="this session has ended"):
            change()
    writing.rollback()


def test_sessions_that_nobody_ended_cost_no_connection_and_no_lock(connect: Open) -> None:
    backend = connect(pool_size=1, pool_timeout=0.5)
    for begin in (backend.read, backend.snapshot, backend.write):
        for _ in range(3):
            begin().reserve("c", 1) if begin == backend.write else begin().layouts()  # type: ignore[attr-defined]
            gc.collect()
    with backend.read() as session:
        assert session.counters() == {}
