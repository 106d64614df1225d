"""A store that is distributed over a Citus cluster loses nothing, answers as before, and shows no half of a commit.

These tests run on the coordinator that ``IOTSTORE_TEST_CITUS`` names, with two workers or more: `pytest -m given`.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import iotstore
from iotstore import Connection, Device, ManualClock, Point, Store
from iotstore._catalogue.catalogue import Catalogue
from iotstore.backend import (
    Appended,
    Busy,
    Conflict,
    NotAllowed,
    OnConflict,
    PointType,
    Unsupported,
    Value,
)
from iotstore.cli import main
from iotstore_conformance.kinds import CELLS, KINDS, Cell
from iotstore_postgres._citus_setup import Wanted, setup
from iotstore_postgres.store import PostgresBackend

pytestmark = pytest.mark.given

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FLOAT, KEEP, REPLACE, ERROR = PointType.FLOAT, OnConflict.KEEP, OnConflict.REPLACE, OnConflict.ERROR
DAY = 86_400_000_000
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="module")
def url() -> str:
    """The coordinator of a cluster. Without one these tests are errors: nobody asks for them by chance."""
    named = os.environ.get("IOTSTORE_TEST_CITUS", "")
    if not named:
        raise pytest.UsageError("IOTSTORE_TEST_CITUS names no coordinator of a Citus cluster")
    with psycopg.connect(named) as connection:
        found = connection.execute("SELECT count(*) FROM citus_get_active_worker_nodes()").fetchone()
    if found is None or found[0] < 2:
        raise pytest.UsageError(f"the cluster that IOTSTORE_TEST_CITUS names has {found} workers, and 2 are needed")
    return named


def fill(store: Store) -> None:
    """Devices with points of every type over many weeks and at the ends of time, and flows."""
    store.devices.put_many([Device(key=f"d{number}", name=f"Straße {number}") for number in range(12)])
    past = [NOW - timedelta(days=day, microseconds=day) for day in range(120)]
    values: list[Callable[[int], Any]] = [float, int, lambda at: at % 2 == 0, lambda at: f"Größe {at}"]
    for metric, value in enumerate(values):
        store.telemetry.write(
            [Point(f"d{number}", f"m{metric}", when, value(at)) for number in range(12) for at, when in enumerate(past)]
        )
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    store.telemetry.write([Point("d1", "far", when, 1.0) for when in ends])
    store.connections.add_many(
        [Connection(device=f"d{at % 12}", time=past[at % 120], port=at, bytes_sent=at) for at in range(600)]
    )


@pytest.fixture
def filled(place: str) -> str:
    """A plain store with records and points, closed."""
    with iotstore.open(place, clock=ManualClock(NOW)) as store:
        fill(store)
    return place


@pytest.fixture
def spread(filled: str, settings: Callable[..., Any]) -> str:
    """A distributed store with records and points, closed."""
    setup(settings(create=False), Wanted(shards=4), force=False, dry_run=False)
    return filled


@pytest.fixture
def backend(connect: Open, settings: Callable[..., Any]) -> PostgresBackend:
    """A distributed store without anything in it, open."""
    connect().close()
    setup(settings(create=False), Wanted(shards=4), force=False, dry_run=False)
    return connect(lock_timeout=10.0, pool_timeout=10.0, pool_size=8)


def digests(place: str) -> dict[str, tuple[int, str]]:
    """Count and digest of every collection of a store, in the core's canonical encoding."""
    with iotstore.open(place, create=False) as store:
        backend = store._engine.backend
        with backend.snapshot() as session:
            found = Catalogue.of(backend, session).summaries(session)
    return {one.name: (one.count, one.digest) for one in found}


def append(
    backend: PostgresBackend,
    series: list[int],
    times: list[int],
    values: list[Value] | None = None,
    conflict: OnConflict = KEEP,
) -> Appended:
    with backend.write() as session:
        return session.append(FLOAT, series, times, values or [0.0] * len(times), conflict)


def times_of(backend: PostgresBackend, series: int = 1) -> list[int]:
    with backend.snapshot() as session:
        return [time for part in session.scan(series, FLOAT, None, None) for time in part.times]


# ---------------------------------------------------------------------------------------------- setting up


def test_setting_up_loses_no_record_no_point_and_no_latest_value(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str
) -> None:
    before = digests(filled)
    assert before["points"][0] == 12 * 4 * 120 + 2
    done = setup(settings(create=False), Wanted(shards=4), force=False, dry_run=False)
    assert done.summary.startswith("5762 points and 600 flows are in 4 shards now, and ")
    assert digests(filled) == before
    kinds: dict[str, str] = dict(
        ask(
            "SELECT relname, partmethod::text || ' ' || coalesce(column_to_column_name(logicalrelid, partkey), '')"
            " FROM pg_dist_partition JOIN pg_class ON pg_class.oid = logicalrelid"
            f" WHERE relnamespace = '{schema}'::regnamespace AND NOT relispartition"
        )
    )
    assert kinds.pop("iotstore_points") == kinds.pop("iotstore_latest") == "h series"
    assert kinds.pop("connection") == "h device"
    assert set(kinds.values()) == {"n "}
    assert {"device", "alert", "series", "setting"} <= set(kinds)
    assert ask(
        "SELECT count(DISTINCT nodename) FROM citus_shards WHERE table_name = %s::regclass", f"{schema}.iotstore_points"
    ) == [(2,)]
    with iotstore.open(filled, create=False) as store:
        newest = store.telemetry.latest("d1", "m0")
        assert newest is not None
        assert (newest.time, newest.value) == (NOW, 0.0)
        assert store.admin.describe()["cluster"].endswith("points and flows in 4 shards each")


@pytest.mark.usefixtures("spread")
def test_references_of_small_kinds_are_still_watched_by_the_engine(ask: Ask, schema: str) -> None:
    with pytest.raises(psycopg.errors.ForeignKeyViolation, match="fk_series_device"):
        ask(f"DELETE FROM {schema}.device WHERE key = 'd1'")


def test_the_statements_of_a_dry_run_are_all_there_is_to_do(
    filled: str, settings: Callable[..., Any], url: str
) -> None:
    before = digests(filled)
    done = setup(settings(create=False), Wanted(shards=2), force=False, dry_run=True)
    with psycopg.connect(url, autocommit=True) as connection:
        for text in done.statements:
            connection.execute(text.encode())
    assert digests(filled) == before
    again = setup(settings(create=False), Wanted(), force=False, dry_run=False)
    assert again.statements == ()
    assert again.summary == "nothing to do: points and flows are in 2 shards on 2 workers"
    with pytest.raises(NotAllowed, match=r"has 2 shards already; nothing was changed.*alter_distributed_table"):
        setup(settings(create=False), Wanted(shards=3), force=False, dry_run=False)


def test_an_open_store_is_left_alone_unless_it_is_forced_and_then_says_what_happened(
    connect: Open, settings: Callable[..., Any]
) -> None:
    backend = connect()
    append(backend, [1], [5])
    with pytest.raises(Busy, match=r"is open in another process or store; close it there; or use --force"):
        setup(settings(create=False), Wanted(shards=2), force=False, dry_run=False)
    setup(settings(create=False), Wanted(shards=2), force=True, dry_run=False)
    with (
        pytest.raises(NotAllowed, match=r"was distributed over a Citus cluster.*open it again"),
        backend.read() as read,
    ):
        read.count()
    assert times_of(connect()) == [5]


def test_the_command_sets_up_and_says_what_it_did(filled: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["citus", "setup", "-u", filled, "--dry-run", "--shards", "2"]) == 0
    assert "SELECT create_distributed_table('iotstore_points', 'series'" in capsys.readouterr().out
    assert main(["-u", filled, "citus", "setup", "--shards", "2"]) == 0
    assert capsys.readouterr().out.startswith("5762 points and 600 flows are in 2 shards now")
    assert main(["citus", "setup", "-u", filled]) == 0
    assert capsys.readouterr().out == "nothing to do: points and flows are in 2 shards on 2 workers\n"


# ---------------------------------------------------------------------------------------------- the same answers


def test_a_distributed_store_is_written_read_erased_and_put_in_order(spread: str) -> None:
    with iotstore.open(spread, clock=ManualClock(NOW), create=False) as store:
        telemetry = store.telemetry
        later = [NOW + timedelta(minutes=minute) for minute in range(1, 1001)]
        many = [Point("d0", "m0", when, 0.5) for when in later]
        assert telemetry.write(many).stored == 1000
        assert telemetry.write(many).duplicates == 1000
        assert telemetry.write([*many[:10], Point("d0", "m0", NOW, 7.5)], on_conflict="replace").replaced == 1
        newest = telemetry.latest("d0", "m0")
        assert newest is not None
        assert (newest.time, newest.value) == (later[-1], 0.5)
        assert telemetry.delete("d0", "m0", start=NOW + timedelta(microseconds=1)) == 1000
        newest = telemetry.latest("d0", "m0")
        assert newest is not None
        assert (newest.time, newest.value) == (NOW, 7.5)
        before = telemetry.count()
        lines = store.admin.retention(dry_run=False, keep={"points": timedelta(days=60)})
        (gone,) = [line.deleted for line in lines if line.kind == "points"]
        assert gone == 12 * 4 * 60 + 1
        assert telemetry.count() == before - gone
        assert store.admin.optimise(compact=True)
        assert store.admin.verify()
        cluster = next(check for check in store.admin.health().checks if check.name == "cluster")
        assert cluster.status == "ok"
        sizes = {place.name: place.bytes for place in store.admin.statistics().places}
        assert (sizes["points"] or 0) > 100_000


def test_a_flow_that_is_given_to_another_device_moves_to_its_machine(spread: str) -> None:
    with iotstore.open(spread, create=False) as store:
        first = store.connections.first(order=["id"])
        assert first is not None
        for number in range(12):
            store.connections.update(first.id, device=f"d{number}")
            assert store.connections.get(first.id).device == f"d{number}"
        assert store.connections.count() == 600
        assert store.connections.mark_processed(range(first.id, first.id + 600)) == 600
        assert store.connections.unprocessed() == []


@pytest.mark.parametrize("count", [20, 2_000])
def test_receipts_are_exact_whichever_way_a_batch_goes(backend: PostgresBackend, count: int) -> None:
    series = [number % 20 for number in range(count)]
    times = list(range(count))
    assert append(backend, series, times) == Appended(count, 0)
    assert append(backend, series, times) == Appended(0, count)
    assert append(backend, [*series, 1], [*times, 9 * DAY]) == Appended(1, count)
    changed: list[Value] = [float(number % 2) for number in range(count)]
    assert append(backend, series, times, changed, REPLACE) == Appended(count // 2, count // 2, count // 2)
    with pytest.raises(Conflict, match="a point of this series and time exists already"):
        append(backend, series, times, changed, ERROR)
    assert append(backend, [1, 2], [10 * DAY, 10 * DAY], None, ERROR) == Appended(2, 0)


def test_partitions_are_made_on_demand_on_all_machines_and_go_whole(backend: PostgresBackend) -> None:
    grid = backend._partitions.grid
    append(backend, [1, 2, 3], [grid.start(70), grid.start(71), grid.start(72)])
    with backend.write() as session:
        assert session.shed(grid.start(72)) == 2
    assert [times_of(backend, one) for one in (1, 2, 3)] == [[], [], [grid.start(72)]]
    with backend.read() as read:
        assert read.latest([(1, FLOAT), (2, FLOAT), (3, FLOAT)]) == [None, None, (grid.start(72), 0.0)]
    assert append(backend, [1], [grid.start(70)]) == Appended(1, 0)


# ---------------------------------------------------------------------------------------------- many at once


def test_nobody_sees_half_of_a_commit_that_happens_on_several_machines(backend: PostgresBackend) -> None:
    series = list(range(1, 17))
    append(backend, series, [0] * 16, [0.0] * 16)
    over = threading.Event()

    def write() -> int:
        for number in range(1, 60):
            append(backend, series, [number] * 16, [float(number)] * 16)
        over.set()
        return 0

    def look() -> int:
        looks = 0
        while not over.is_set():
            with backend.read() as read:
                newest = set(read.latest([(one, FLOAT) for one in series]))
                assert len(newest) == 1
                assert read.count() % 16 == 0
            with backend.snapshot() as snapshot:
                counts = [snapshot.count([one]) for one in series]
                assert len(set(counts)) == 1
            looks += 1
        return looks

    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(write), pool.submit(look), pool.submit(look)]
        assert jobs[0].result(240) == 0
        assert all(job.result(60) for job in jobs[1:])


@pytest.mark.parametrize("size", [50, 600])
def test_receipts_of_overlapping_batches_of_several_threads_add_up(backend: PostgresBackend, size: int) -> None:
    def write(worker: int) -> int:
        stored = 0
        for part in range(4):
            keys = [(number % 9, number) for number in range(part * size // 2, part * size // 2 + size)]
            order = keys if worker % 2 else keys[::-1]
            stored += append(backend, [key[0] for key in order], [key[1] for key in order]).stored
        return stored

    with ThreadPoolExecutor(4) as pool:
        total = sum(job.result(240) for job in [pool.submit(write, worker) for worker in range(4)])
    with backend.snapshot() as session:
        assert session.count() == total == size // 2 * 3 + size


def test_a_device_that_somebody_points_to_is_not_deleted_under_him(spread: str) -> None:
    with iotstore.open(spread, create=False) as store:
        store.devices.add(Device(key="lonely"))
        deleted = threading.Event()

        def delete() -> str:
            try:
                store.devices.delete("lonely")
            except iotstore.StoreError as error:
                return type(error).__name__
            finally:
                deleted.set()
            return "deleted"

        with ThreadPoolExecutor(1) as pool:
            with store.transaction():
                store.telemetry.write([Point("lonely", "m0", NOW, 1.0)])
                job = pool.submit(delete)
                assert not deleted.wait(0.3)
            assert job.result(60) == "StillReferenced"
        assert store.telemetry.latest("lonely", "m0") is not None


def test_changes_of_one_kind_wait_for_each_other_and_of_two_kinds_do_not(spread: str) -> None:
    with iotstore.open(spread, create=False, lock_timeout=0.3) as store, ThreadPoolExecutor(1) as pool:
        with store.transaction():
            store.devices.update("d1", name="x")
            waited = pool.submit(lambda: store.devices.update("d2", name="y"))
            with pytest.raises(Busy, match="a lock was not free in time"):
                waited.result(60)
            pool.submit(lambda: store.settings.set("a", 1)).result(60)
            pool.submit(lambda: store.telemetry.write([Point("d2", "m0", NOW, 1.0)])).result(60)
        assert store.devices.get("d1").name == "x"


# ---------------------------------------------------------------------------------------------- backups, schema


def test_a_backup_is_portable_and_comes_back_as_a_plain_store(spread: str, tmp_path: Path) -> None:
    before = digests(spread)
    with iotstore.open(spread, create=False) as store:
        with pytest.raises(Unsupported, match="a dump of the coordinator holds no row of them"):
            store.backups.create(tmp_path, format="native")
        made = store.backups.create(tmp_path, format="portable")
        store.devices.add(Device(key="later"))
    kept = iotstore.restore(made.path, spread, replace=True).kept
    assert kept is not None
    try:
        assert digests(spread) == before
        with iotstore.open(spread, create=False) as store:
            assert store.admin.describe()["cluster"] == "none"
    finally:
        with psycopg.connect(spread.partition("?")[0], autocommit=True) as connection:
            connection.execute(f'DROP SCHEMA IF EXISTS "{kept}" CASCADE'.encode())


def test_a_kind_that_comes_later_gets_a_copy_on_every_machine(spread: str, ask: Ask, schema: str) -> None:
    with iotstore.open(spread, create=False, kinds=KINDS) as store:
        cells = store.records(CELLS)
        cells.add_many([Cell(room="a", number=number) for number in range(40)])
        assert cells.count() == 40
    tables = ask("SELECT citus_table_type FROM citus_tables WHERE table_name = %s::regclass", f"{schema}.{CELLS.name}")
    assert tables == [("reference",)]
