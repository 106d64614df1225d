"""Partitions of points: made on demand beside open transactions, kept few, dropped whole, never missed by a reader."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import iotstore
from iotstore import Device, ManualClock, Point
from iotstore.backend import Appended, Busy, Corrupt, OnConflict, PointType, StoreError
from iotstore_postgres._partitions import WIDTH, Grid
from iotstore_postgres.store import PostgresBackend

FLOAT, KEEP = PointType.FLOAT, OnConflict.KEEP
MAX, MIN = 2**63 - 1, -(2**63)
DAY = 86_400_000_000
GRID = Grid(10, 100, 200)
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def backend(connect: Open) -> PostgresBackend:
    return connect(lock_timeout=20.0, pool_timeout=20.0, pool_size=6)


@pytest.fixture
def names(ask: Ask, schema: str) -> Callable[[], set[str]]:
    """The partitions that are there."""

    def look() -> set[str]:
        rows = ask(
            "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
            f" WHERE i.inhparent = '{schema}.iotstore_points'::regclass"
        )
        return {name.removeprefix("iotstore_points_") for (name,) in rows}

    return look


def append(backend: PostgresBackend, times: list[int], series: int = 1) -> Appended:
    with backend.write() as session:
        return session.append(FLOAT, [series] * len(times), times, [float(index) for index in range(len(times))], KEEP)


def times_of(backend: PostgresBackend, series: int = 1) -> list[int]:
    with backend.snapshot() as session:
        return [time for part in session.scan(series, FLOAT, None, None) for time in part.times]


@pytest.mark.parametrize(
    ("time", "number"),
    [(MIN, -1), (99, -1), (100, 0), (109, 0), (110, 1), (199, 9), (200, 10), (MAX, 10)],
)
def test_every_time_has_one_partition(time: int, number: int) -> None:
    assert GRID.number(time) == number
    assert GRID.name(number).endswith("earlier") == (number < 0)
    assert GRID.name(number).endswith("later") == (number >= 10)


def test_the_partitions_of_now_and_of_the_next_weeks_are_there_before_their_points(
    backend: PostgresBackend, names: Callable[[], set[str]]
) -> None:
    append(backend, [MIN])
    now = datetime.now(UTC)
    start = backend._partitions.grid.number(int(now.timestamp() * 1e6))
    expected = {backend._partitions.grid.name(start + ahead).removeprefix("iotstore_points_") for ahead in (0, 1)}
    assert names() == {"earlier", "later", *expected}


def test_late_points_make_their_partitions_and_a_batch_may_lie_in_many(
    backend: PostgresBackend, names: Callable[[], set[str]]
) -> None:
    grid = backend._partitions.grid
    times = [grid.start(number) + 5 for number in range(30, 40)]
    assert append(backend, times) == Appended(10, 0)
    assert {grid.name(number).removeprefix("iotstore_points_") for number in range(30, 40)} <= names()
    assert times_of(backend) == times


@pytest.mark.parametrize("count", [20, 3_000])
def test_hostile_times_make_no_tables(backend: PostgresBackend, names: Callable[[], set[str]], count: int) -> None:
    grid = backend._partitions.grid
    before = names()
    times = [MIN, MAX, *range(grid.first - count, grid.first), *range(grid.last, grid.last + count)]
    assert append(backend, times) == Appended(2 * count + 2, 0)
    assert names() == before
    assert times_of(backend) == sorted(times)


def test_an_append_that_is_rolled_back_leaves_its_partition_and_no_wrong_idea_of_it(
    backend: PostgresBackend, names: Callable[[], set[str]]
) -> None:
    grid = backend._partitions.grid
    session = backend.write()
    session.append(FLOAT, [1], [grid.start(50)], [1.0], KEEP)
    session.rollback()
    assert grid.name(50).removeprefix("iotstore_points_") in names()
    assert append(backend, [grid.start(50)]) == Appended(1, 0)


def test_two_stores_that_need_the_same_partitions_at_once_both_get_them(connect: Open) -> None:
    stores = [connect(lock_timeout=20.0) for _ in range(4)]
    grid = stores[0]._partitions.grid
    start = threading.Barrier(4)

    def write(worker: int) -> Appended:
        start.wait()
        return append(stores[worker], [grid.start(number) for number in range(60, 75)], series=worker)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [Appended(15, 0)] * 4


def test_a_partition_is_made_while_every_connection_of_the_pool_is_in_a_transaction(connect: Open) -> None:
    backend = connect(pool_size=2, pool_timeout=1.0, lock_timeout=5.0)
    grid = backend._partitions.grid
    reader, writer = backend.snapshot(), backend.write()
    try:
        assert reader.count() == 0
        writer.append(FLOAT, [1], [grid.start(80)], [1.0], KEEP)
        writer.append(FLOAT, [1], [grid.start(81)], [2.0], KEEP)
        assert writer.latest([(1, FLOAT)]) == [(grid.start(81), 2.0)]
        writer.commit()
        assert reader.count() == 0
    finally:
        writer.rollback()
        reader.close()
    assert times_of(backend) == [grid.start(80), grid.start(81)]


@pytest.mark.parametrize("count", [1, 2_000])
@pytest.mark.parametrize("of", ["one", "two"])
def test_a_partition_that_another_process_dropped_is_made_again(
    backend: PostgresBackend, connect: Open, count: int, of: str
) -> None:
    grid = backend._partitions.grid
    others = [] if of == "one" else [grid.start(95)]
    times = [*(grid.start(90) + at for at in range(count)), *others]
    append(backend, times)
    with connect().write() as session:
        assert session.shed(grid.start(96)) == len(times)
    with backend.write() as session:
        session.append(FLOAT, [2], [grid.start(96)], [0.0], KEEP)
        assert session.append(FLOAT, [1] * len(times), times, [0.0] * len(times), KEEP) == Appended(len(times), 0)
    assert times_of(backend) == times


def test_whole_partitions_go_at_once_and_what_is_left_stays_for_erase(
    backend: PostgresBackend, names: Callable[[], set[str]], ask: Ask, schema: str
) -> None:
    grid = backend._partitions.grid
    for series in (1, 2):
        append(backend, [grid.first - 1, grid.start(50), grid.start(51), grid.start(52) + 5][: 3 + series % 2], series)
    append(backend, [grid.start(50) + 7], series=3)
    with backend.write() as session:
        assert session.shed(grid.start(52) + 9) == 5
        assert session.shed(grid.start(52) + 9) == 0
    assert not {grid.name(number).removeprefix("iotstore_points_") for number in (50, 51)} & names()
    assert times_of(backend, 1) == [grid.first - 1, grid.start(52) + 5]
    with backend.read() as session:
        asked = [(1, FLOAT), (2, FLOAT), (3, FLOAT)]
        assert session.latest(asked) == [(grid.start(52) + 5, 3.0), (grid.first - 1, 0.0), None]
    assert ask(f"SELECT count(*) FROM {schema}.iotstore_latest") == [(2,)]


def test_a_snapshot_keeps_its_points_until_it_ends_and_nobody_waits_for_it(
    backend: PostgresBackend, names: Callable[[], set[str]]
) -> None:
    grid = backend._partitions.grid
    append(backend, [grid.start(50), grid.start(53)])
    before = names()
    reader = backend.snapshot()  # it has not looked at any point yet
    try:
        with backend.write() as session:
            assert session.shed(grid.start(52)) == 0
            session.append(FLOAT, [1], [grid.start(53) + 1], [0.0], KEEP)  # the transaction goes on
        assert names() == before
        assert reader.count() == 2
    finally:
        reader.close()
    with backend.write() as session:
        assert session.shed(grid.start(52)) == 1


def test_retention_drops_partitions_and_erases_the_rest_with_exact_counts(
    url: str, schema: str, names: Callable[[], set[str]]
) -> None:
    now = datetime(2026, 6, 1, tzinfo=UTC)
    with iotstore.open(f"{url}{'&' if '?' in url else '?'}schema={schema}", clock=ManualClock(now)) as store:
        store.devices.put_many([Device(key="a"), Device(key="b")])
        for key in ("a", "b"):
            days = range(400) if key == "a" else range(300, 400)
            store.telemetry.write([Point(key, "m", now - timedelta(days=day), float(day)) for day in days])
        before = len(names())
        (line,) = [
            line
            for line in store.admin.retention(dry_run=False, keep={"points": timedelta(days=100)})
            if line.kind == "points"
        ]
        assert line.deleted == line.rows == 299 + 100
        assert len(names()) < before - 9
        assert store.telemetry.count() == 101
        assert store.telemetry.latest("b", "m") is None
        newest = store.telemetry.latest("a", "m")
        assert newest is not None
        assert newest.time == now


def test_a_store_whose_grid_is_another_one_keeps_it(connect: Open, ask: Ask, schema: str) -> None:
    backend = connect()
    ask(f"UPDATE {schema}.iotstore_partitions SET width = {WIDTH // 4}")
    append(backend, [7 * DAY * 2_400])
    assert backend._partitions.grid.width == 7 * DAY


def test_a_server_that_refuses_the_connection_for_a_partition_is_an_error_and_nothing_is_stored(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    import psycopg

    grid = backend._partitions.grid

    def refuse() -> Any:
        raise psycopg.OperationalError("connection refused")

    monkeypatch.setattr(backend._partitions, "_connect", refuse)
    session = backend.write()
    with pytest.raises(StoreError, match="connection refused") as caught:
        session.append(FLOAT, [1], [grid.start(70)], [1.0], KEEP)
    assert caught.value.retryable
    session.append(FLOAT, [1], [MIN], [1.0], KEEP)  # the transaction goes on
    session.commit()
    assert times_of(backend) == [MIN]


def test_an_append_gives_up_when_its_partition_is_dropped_again_and_again(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    grid = backend._partitions.grid
    monkeypatch.setattr(backend._partitions, "table", lambda _: grid.name(71))
    session = backend.write()
    with pytest.raises(Busy, match="dropping their partition"):
        session.append(FLOAT, [1], [grid.start(71)], [1.0], KEEP)
    session.rollback()


def test_a_store_that_does_not_say_how_its_points_are_partitioned_is_damaged(
    connect: Open, ask: Ask, schema: str
) -> None:
    backend = connect()
    ask(f"DELETE FROM {schema}.iotstore_partitions")
    session = backend.write()
    with pytest.raises(Corrupt, match="nothing says how the points"):
        session.append(FLOAT, [1], [0], [1.0], KEEP)
    session.rollback()
