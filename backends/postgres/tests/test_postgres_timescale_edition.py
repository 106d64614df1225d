"""TimescaleDB's own edition: what it compresses, drops and sums up is answered as before, and never wrongly.

These tests run against the server that ``IOTSTORE_TEST_TIMESCALE`` names: `pytest -m given`.
"""

from __future__ import annotations

import os
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import iotstore
from iotstore import Device, ManualClock, Metric, Point, Store
from iotstore.backend import Appended, Buckets, Conflict, OnConflict, Piece, PointType
from iotstore.cli import main
from iotstore_postgres._hypertable import Wanted, setup
from iotstore_postgres._policies import NEVER
from iotstore_postgres.store import PostgresBackend

pytestmark = pytest.mark.given

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FLOAT, KEEP, REPLACE, ERROR = PointType.FLOAT, OnConflict.KEEP, OnConflict.REPLACE, OnConflict.ERROR
DAY = 86_400_000_000
WEEK = 7 * DAY
OLD = 7 * DAY * 2_700
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]
RunJob = Callable[[str], None]


@pytest.fixture(scope="module")
def url() -> str:
    """A database with TimescaleDB's own edition. Without one these tests are errors: nobody asks for them by chance."""
    named = os.environ.get("IOTSTORE_TEST_TIMESCALE", "")
    if not named:
        raise pytest.UsageError("IOTSTORE_TEST_TIMESCALE names no server with TimescaleDB's own edition")
    with psycopg.connect(named) as connection:
        found = connection.execute("SELECT current_setting('timescaledb.license')").fetchone()
    if found != ("timescale",):
        raise pytest.UsageError(f"the server that IOTSTORE_TEST_TIMESCALE names has the licence {found}")
    return named


@pytest.fixture
def run_job(admin: psycopg.Connection[Any], schema: str) -> RunJob:
    """Run a job of the test's store now, as the server does it from time to time."""

    def run(procedure: str) -> None:
        ((number,),) = admin.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = %s AND hypertable_schema = %s",
            [procedure, schema],
        ).fetchall()
        admin.execute(f"CALL run_job({number})".encode())

    return run


@pytest.fixture
def compressed(ask: Ask, schema: str) -> Callable[[], list[bool]]:
    """Of every chunk whether it is compressed."""

    def look() -> list[bool]:
        found = ask(
            "SELECT is_compressed FROM timescaledb_information.chunks"
            f" WHERE hypertable_schema = '{schema}' AND hypertable_name = 'iotstore_points'"
            " ORDER BY range_start_integer"
        )
        return [bool(row[0]) for row in found]

    return look


@pytest.fixture
def hyper(connect: Open, settings: Callable[..., Any]) -> PostgresBackend:
    """An open store that was set up."""
    connect().close()
    setup(settings(create=False), Wanted(retain=timedelta(days=365)), force=False, dry_run=False)
    return connect(lock_timeout=5.0, pool_timeout=5.0, pool_size=6)


def fill(store: Store, days: int = 100) -> None:
    """Two devices with points of every type, four a day."""
    store.devices.put_many([Device(key="a"), Device(key="b")])
    store.telemetry.define(Metric(name="count", type="int64"))
    past = [NOW - timedelta(hours=6 * number, microseconds=number) for number in range(4 * days)]
    for key in ("a", "b"):
        store.telemetry.write([Point(key, "level", when, at / 7) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "count", when, 2**53 + at) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "on", when, at % 2 == 0) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "mode", when, f"Straße {at % 5}") for at, when in enumerate(past)])


@pytest.fixture
def filled(place: str) -> str:
    """A plain store with points, closed."""
    with iotstore.open(place, clock=ManualClock(NOW)) as store:
        fill(store)
    return place


def append(
    backend: PostgresBackend, times: list[int], values: list[float], series: int = 1, conflict: OnConflict = KEEP
) -> Appended:
    with backend.write() as session:
        return session.append(FLOAT, [series] * len(times), times, values, conflict)


def points_of(backend: PostgresBackend, series: int = 1) -> dict[int, Any]:
    with backend.snapshot() as session:
        parts = list(session.scan(series, FLOAT, None, None))
    return {time: value for part in parts for time, value in zip(part.times, part.values, strict=True)}


@pytest.fixture
def digest(ask: Ask, schema: str) -> Callable[[], list[tuple[Any, ...]]]:
    """Of all points."""
    text = f"SELECT count(*), md5(string_agg(p::text, ',' ORDER BY series, time)) FROM {schema}.iotstore_points p"
    return lambda: ask(text)


def test_setup_compresses_after_thirty_days_if_nothing_else_is_said(
    filled: str, settings: Callable[..., Any], digest: Any, run_job: RunJob, compressed: Any
) -> None:
    before = digest()
    done = setup(settings(create=False), Wanted(), force=False, dry_run=False)
    assert done.summary == "3200 points are in a hypertable now, with chunks of 7 days"
    assert done.policies == ("chunks are compressed when all of their points are older than 30 days",)
    assert done.left_out == ()
    assert not any(compressed())
    run_job("iotstore_compress")
    assert all(compressed())
    assert digest() == before
    with iotstore.open(filled, create=False, clock=ManualClock(NOW)) as store:
        assert store.telemetry.count() == 3200
        newest = store.telemetry.latest("a", "count")
        assert newest is not None
        assert newest.value == 2**53
        assert len(store.telemetry.range("b", "mode", NOW - timedelta(days=10))) == 40
        (size,) = [place.bytes for place in store.admin.statistics().places if place.name == "points"]
        assert size is not None
        assert size > 100_000
        assert store.admin.optimise(compact=True)
        assert store.admin.verify()
    assert digest() == before


def test_every_policy_is_set_changed_and_taken_away_and_a_second_run_does_nothing(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def jobs() -> list[tuple[Any, ...]]:
        return ask(
            "SELECT proc_name, config->'after' FROM timescaledb_information.jobs"
            f" WHERE hypertable_schema = '{schema}' ORDER BY 1"
        )

    command = ["timescale", "setup", "-u", filled]
    wanted = [*command, "--compress-after", "14d", "--retain", "1y", "--materialize", "1h,1d"]
    assert main(wanted) == 0
    assert capsys.readouterr().out.splitlines() == [
        "3200 points are in a hypertable now, with chunks of 7 days",
        "chunks are compressed when all of their points are older than 14 days",
        "chunks are dropped when all of their points are older than 365 days",
        "buckets of 1:00:00, 1 day are materialized",
    ]
    refresh = ("policy_refresh_continuous_aggregate", None)
    assert jobs() == [("iotstore_compress", 14 * DAY), ("iotstore_retain", 365 * DAY), refresh, refresh]
    for again in (wanted, command):
        assert main(again) == 0
        assert capsys.readouterr().out == "nothing to do: the points are in a hypertable with chunks of 7 days\n"
    other = [*command, "--retain", "2y", "--compress-after", "never", "--materialize", "1d", "--chunk", "1d"]
    assert main([*other, "--dry-run"]) == 0
    assert "alter_job" in capsys.readouterr().out
    assert len(jobs()) == 4
    assert main(other) == 0
    assert capsys.readouterr().out.splitlines() == [
        "new chunks hold 1 day, instead of 7 days; those that are there stay",
        "chunks are not compressed any more; those that are stay so",
        "chunks are dropped when all of their points are older than 730 days",
        "buckets of 1:00:00 are not materialized any more",
    ]
    assert jobs() == [("iotstore_retain", 730 * DAY), refresh]
    assert main([*command, "--retain", "never", "--materialize", "never"]) == 0
    assert jobs() == []
    done = setup(settings(create=False), Wanted(retain=NEVER, materialize=()), force=False, dry_run=False)
    assert done.statements == ()


def test_the_statements_of_a_dry_run_are_all_there_is_to_do(
    filled: str, settings: Callable[..., Any], ask: Ask, url: str, schema: str
) -> None:
    wanted = Wanted(retain=timedelta(days=365), materialize=(timedelta(hours=1),))
    done = setup(settings(create=False), wanted, force=False, dry_run=True)
    look = f"SELECT count(*) FROM timescaledb_information.jobs WHERE hypertable_schema = '{schema}'"
    assert ask(look) == [(0,)]
    with psycopg.connect(url, autocommit=True) as connection:
        for text in done.statements:
            connection.execute(text.encode())
    assert ask(look) == [(3,)]
    found = ask(
        "SELECT attname, segmentby_column_index, orderby_column_index, orderby_asc"
        f" FROM timescaledb_information.compression_settings WHERE hypertable_schema = '{schema}' ORDER BY 1"
    )
    assert found == [("series", 1, None, None), ("time", None, 1, True)]
    assert setup(settings(create=False), wanted, force=False, dry_run=False).statements == ()
    with iotstore.open(filled, create=False) as store:
        assert store.telemetry.count() == 3200


def test_jobs_belong_to_the_owner_of_the_points_and_go_with_them(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str
) -> None:
    owner = f"{schema}_owner"
    look = f"SELECT DISTINCT owner::text FROM timescaledb_information.jobs WHERE proc_schema = '{schema}'"
    ask(f"CREATE ROLE {owner} LOGIN")
    try:
        ask(f"GRANT ALL ON SCHEMA {schema} TO {owner}")
        for (table,) in ask(f"SELECT tablename FROM pg_tables WHERE schemaname = '{schema}'"):
            ask(f'ALTER TABLE {schema}."{table}" OWNER TO {owner}')
        wanted = Wanted(retain=timedelta(days=365), materialize=(timedelta(days=1),))
        setup(settings(create=False), wanted, force=False, dry_run=False)
        assert ask(look) == [(owner,)]
        assert ask(
            f"SELECT DISTINCT proowner::regrole::text FROM pg_proc WHERE pronamespace = '{schema}'::regnamespace"
        )
        ask(f"DROP SCHEMA {schema} CASCADE")
        assert ask(look) == []
        assert ask(f"SELECT 1 FROM timescaledb_information.jobs WHERE hypertable_schema = '{schema}'") == []
    finally:
        ask(f"DROP SCHEMA IF EXISTS {schema} CASCADE; DROP OWNED BY {owner}; DROP ROLE {owner}")
    del filled


def test_whatever_is_done_to_compressed_points_is_what_is_done_to_any(hyper: PostgresBackend, run_job: RunJob) -> None:
    """Late points, replaced, repeated and erased ones, at random, against a dictionary."""
    chance, model = random.Random(7), dict[int, float]()
    times = [OLD + step * DAY // 4 for step in range(-60, 60)]
    assert append(hyper, times, [0.0] * len(times)) == Appended(len(times), 0)
    model.update(dict.fromkeys(times, 0.0))
    for number in range(60):
        if number % 7 == 0:
            run_job("iotstore_compress")
        size = 300 if number % 10 == 0 else chance.randint(1, 12)
        asked = sorted({OLD + chance.randint(-200, 200) * DAY // 16 for _ in range(size)})
        values = [float(chance.randint(0, 2)) for _ in asked]
        fresh = [time for time in asked if time not in model]
        match chance.choice(("keep", "keep", "replace", "replace", "error", "erase")):
            case "keep":
                assert append(hyper, asked, values) == Appended(len(fresh), len(asked) - len(fresh))
                model.update({time: value for time, value in zip(asked, values, strict=True) if time in set(fresh)})
            case "replace":
                changed = sum(model.get(time, value) != value for time, value in zip(asked, values, strict=True))
                equal = len(asked) - len(fresh) - changed
                found = append(hyper, asked, values, conflict=REPLACE)
                assert found == Appended(len(fresh) + changed, equal, changed)
                model.update(zip(asked, values, strict=True))
            case "error" if len(fresh) == len(asked):
                assert append(hyper, asked, values, conflict=ERROR) == Appended(len(asked), 0)
                model.update(zip(asked, values, strict=True))
            case "error":
                with pytest.raises(Conflict, match="exists already"):
                    append(hyper, asked, values, conflict=ERROR)
            case _:
                low, high = min(asked), min(asked) + 3 * DAY
                with hyper.write() as session:
                    gone = session.erase([1], low, high)
                assert gone == sum(low <= time < high for time in model)
                model = {time: value for time, value in model.items() if not low <= time < high}
        assert points_of(hyper) == model
        with hyper.read() as session:
            newest = max(model)
            assert session.latest([(1, FLOAT)]) == [(newest, model[newest])]
            assert session.count() == len(model)
    run_job("iotstore_compress")
    assert points_of(hyper) == model


def test_more_points_than_timescaledb_unpacks_by_itself_are_replaced_and_erased(
    hyper: PostgresBackend, run_job: RunJob, compressed: Any
) -> None:
    count = 110_000
    times = [OLD + second * 1_000_000 for second in range(count)]
    assert append(hyper, times, [0.5] * count) == Appended(count, 0)
    run_job("iotstore_compress")
    assert any(compressed())
    assert append(hyper, times, [1.5] * count, conflict=REPLACE) == Appended(count, 0, count)
    run_job("iotstore_compress")
    assert append(hyper, times, [2.5] * count) == Appended(0, count)
    with hyper.write() as session:
        assert session.erase([1], OLD + 10_000_000, None) == count - 10
    assert points_of(hyper) == {OLD + second * 1_000_000: 1.5 for second in range(10)}


def test_writers_that_race_for_compressed_points_get_exact_receipts(hyper: PostgresBackend, run_job: RunJob) -> None:
    """Each round all write the same points, half of them compressed: one stores, or all but equal values replace."""
    times = [OLD + minute * 60_000_000 for minute in range(600)]
    append(hyper, times[::2], [-1.0] * 300)
    run_job("iotstore_compress")
    begun = threading.Barrier(4)

    def write(writer: int) -> list[Appended]:
        found = []
        for conflict in (KEEP, REPLACE, KEEP, REPLACE):
            begun.wait(30)
            found.append(append(hyper, times, [float(writer)] * 600, conflict=conflict))
        return found

    with ThreadPoolExecutor(4) as pool:
        receipts = [one.result(120) for one in [pool.submit(write, writer) for writer in range(4)]]
    kept, replaced, again, last = zip(*receipts, strict=True)
    assert sum(one.stored for one in kept) == 300
    assert all(one.stored + one.duplicates == 600 for one in kept)
    # Every writer has a value of its own: the first round of replacing leaves nothing of what was compressed.
    assert all(one.stored == one.replaced for one in replaced)
    assert sum(one.stored for one in again) == 0
    assert all(one.stored + one.duplicates == 600 for one in last)
    points = points_of(hyper)
    assert len(points) == 600
    assert set(points) == set(times)
    assert len(set(points.values())) == 1


def test_a_snapshot_keeps_its_points_and_the_jobs_wait_for_it(
    hyper: PostgresBackend, run_job: RunJob, compressed: Any
) -> None:
    ancient = OLD - 100 * WEEK
    append(hyper, [OLD, OLD + 1], [1.0, 2.0])
    append(hyper, [ancient], [3.0])
    reader = hyper.snapshot()
    append(hyper, [OLD + 2], [4.0])
    for job in ("iotstore_compress", "iotstore_retain"):
        with pytest.raises(psycopg.errors.LockNotAvailable, match="lock timeout"):
            run_job(job)
    assert not any(compressed())
    assert reader.count() == 3
    assert [time for part in reader.scan(1, FLOAT, None, None) for time in part.times] == [ancient, OLD, OLD + 1]
    reader.close()
    run_job("iotstore_compress")
    assert compressed()[:2] == [True, True]
    assert points_of(hyper) == {ancient: 3.0, OLD: 1.0, OLD + 1: 2.0, OLD + 2: 4.0}


def test_chunks_that_the_server_drops_take_their_latest_values_with_them(
    connect: Open, settings: Callable[..., Any], run_job: RunJob
) -> None:
    connect().close()
    setup(settings(create=False), Wanted(retain=timedelta(days=365)), force=False, dry_run=False)
    backend = connect()
    today = int(datetime.now(UTC).timestamp()) * 1_000_000
    old = today - 500 * DAY
    append(backend, [old, old + DAY], [1.0, 2.0], series=1)
    append(backend, [old, today], [3.0, 4.0], series=2)
    append(backend, [old], [5.0], series=3)
    run_job("iotstore_compress")
    asked = [(1, FLOAT), (2, FLOAT), (3, FLOAT)]
    with backend.read() as session:
        assert session.latest(asked) == [(old + DAY, 2.0), (today, 4.0), (old, 5.0)]
    run_job("iotstore_retain")
    with backend.read() as session:
        assert session.latest(asked) == [None, (today, 4.0), None]
        assert session.count() == 1
    assert append(backend, [old, today + 1], [6.0, 7.0]) == Appended(2, 0)
    with backend.read() as session:
        assert session.latest(asked) == [(today + 1, 7.0), (today, 4.0), None]


QUESTIONS: list[dict[str, Any]] = [
    {"every": "1h"},
    {"every": "3h", "start": NOW - timedelta(days=9, minutes=13), "end": NOW - timedelta(days=2, seconds=1)},
    {"every": "day"},
    {"every": "day", "zone": "Europe/Berlin"},
    {"every": "month", "zone": "Asia/Kathmandu", "start": NOW - timedelta(days=99)},
    {"every": "week", "start": NOW - timedelta(days=70, hours=5)},
    {"every": "90m"},
    {"every": "10m", "start": NOW - timedelta(days=3), "fill": "null"},
]


def test_what_is_materialized_is_what_the_points_say(filled: str, settings: Callable[..., Any]) -> None:
    wanted = Wanted(materialize=(timedelta(hours=1), timedelta(days=1)))
    setup(settings(create=False), wanted, force=False, dry_run=False)
    functions = {"level": ["count", "sum", "mean", "min", "max", "first", "last"], "mode": ["min", "last", "count"]}
    functions |= {"count": functions["level"], "on": ["sum", "mean", "first", "max"]}
    with iotstore.open(filled, create=False, clock=ManualClock(NOW)) as store:
        # Clocks that say 1950: buckets before 1970 end where all others do.
        store.telemetry.write(
            [Point("a", "level", datetime(1950, 1, 1, 0, minute, tzinfo=UTC), 1.0) for minute in (1, 2)]
        )
        for metric, of in functions.items():
            for question in QUESTIONS:
                options: dict[str, Any] = {"start": NOW - timedelta(days=40), "end": NOW, "functions": of, **question}
                current = store.telemetry.aggregate(None, metric, **options)
                found = store.telemetry.aggregate(None, metric, consistency="materialized", **options)
                assert len(current) > 1
                for one, other in zip(current, found, strict=True):
                    assert (one.device, one.start, one.end) == (other.device, other.start, other.end)
                    for name in of:
                        exact = metric != "level" or name not in ("sum", "mean") or one[name] is None
                        assert other[name] == (one[name] if exact else pytest.approx(one[name], rel=1e-12))


def test_only_who_accepts_it_gets_what_was_summed_up_before(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str
) -> None:
    setup(settings(create=False), Wanted(materialize=(timedelta(hours=1),)), force=False, dry_run=False)
    start = NOW - timedelta(days=20)
    options: dict[str, Any] = {"every": "1h", "start": start, "end": start + timedelta(hours=1), "functions": ["count"]}
    with iotstore.open(filled, create=False, clock=ManualClock(NOW)) as store:
        telemetry = store.telemetry

        def counted(**more: Any) -> int:
            return sum(bucket["count"] for bucket in telemetry.aggregate("a", "level", **options, **more))

        assert counted() == counted(consistency="materialized") == 0
        late = [Point("a", "level", start + timedelta(minutes=minute), 1.0) for minute in range(5)]
        assert telemetry.write(late).stored == 5
        assert (counted(), counted(consistency="current"), counted(consistency="materialized")) == (5, 5, 0)
        plan = store.explain(lambda seen: seen.telemetry.aggregate("a", "level", consistency="materialized", **options))
        assert "_materialized_hypertable_" in str(plan)
        assert "_materialized_hypertable_" not in str(
            store.explain(lambda seen: seen.telemetry.aggregate("a", "level", **options))
        )
        with store.transaction():
            telemetry.delete("a", "level", start, start + timedelta(minutes=2))
            assert counted(consistency="materialized") == 3  # who has changed them sees them
        # What is newer than all that was summed up comes from the points.
        fresh = datetime.now(UTC) + timedelta(hours=3)
        telemetry.write([Point("a", "level", fresh, 1.0)])
        options = {**options, "start": fresh - timedelta(minutes=1), "end": fresh + timedelta(minutes=1)}
        assert counted(consistency="materialized") == 1
        options = {**options, "start": start, "end": start + timedelta(hours=1)}
        ask(f"CALL refresh_continuous_aggregate('{schema}.iotstore_points_every_3600', NULL, {schema}.iotstore_now())")
        assert counted(consistency="materialized") == 3


def test_doubles_that_no_sum_holds_are_added_up_from_the_points(
    connect: Open, settings: Callable[..., Any], ask: Ask, schema: str
) -> None:
    connect().close()
    setup(settings(create=False), Wanted(materialize=(timedelta(hours=1),)), force=False, dry_run=False)
    backend = connect()
    append(backend, [OLD, OLD + 1, OLD + 2], [1.7e308, -1.7e308, 1.0])
    ask(f"CALL refresh_continuous_aggregate('{schema}.iotstore_points_every_3600', NULL, {schema}.iotstore_now())")
    buckets = Buckets((Piece(OLD, 3_600_000_000, 0),), OLD + 7_200_000_000)
    with backend.snapshot() as session:
        (found,) = session.fold_materialized([(1, FLOAT)], buckets, edges=False)
    assert [(one.count, one.min, one.max) for one in found] == [(3, -1.7e308, 1.7e308)]
    assert found[0].sum == pytest.approx(1.0)


def test_a_backup_brings_back_what_is_compressed_summed_up_and_set(
    url: str, admin: psycopg.Connection[Any], settings_of: Callable[..., Any], tmp_path: Path
) -> None:
    database = f"edition_{uuid.uuid4().hex[:8]}"
    home = f"{url.rpartition('/')[0]}/{database}"
    admin.execute(f"CREATE DATABASE {database}".encode())
    kept: str | None = None
    try:
        with psycopg.connect(home, autocommit=True) as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        with iotstore.open(home, clock=ManualClock(NOW)) as store:
            fill(store)
        wanted = Wanted(retain=timedelta(days=20_000), materialize=(timedelta(days=1),))
        setup(settings_of(home, create=False), wanted, force=False, dry_run=False)
        _run_jobs(home)
        late = Point("a", "level", NOW - timedelta(days=50, seconds=1), 1.0)
        with iotstore.open(home, create=False, clock=ManualClock(NOW)) as store:
            store.telemetry.write([late])
        _refresh(home)
        digests = _digests(home)
        with iotstore.open(home, create=False, clock=ManualClock(NOW)) as store:
            made = store.backups.create(tmp_path)
            store.telemetry.delete("a", "level")
        kept = iotstore.restore(made.path, home, replace=True).kept
        assert kept is not None
        with iotstore.open(home, create=False, clock=ManualClock(NOW)) as store:
            assert store.telemetry.count() == 3201
            assert store.telemetry.write([late]).duplicates == 1
        assert _digests(home) == digests
        # It is as it was set up, and goes on; what was kept beside it drops nothing any more.
        assert setup(settings_of(home, create=False), wanted, force=False, dry_run=False).statements == ()
        assert _scheduled(home) == {"iotstore_compress": True, "iotstore_retain": True}
        assert _scheduled(f"{url.rpartition('/')[0]}/{kept}") == {"iotstore_compress": False, "iotstore_retain": False}
        _run_jobs(home)
        assert _digests(home) == digests
    finally:
        for name in filter(None, (database, kept)):
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


def _refresh(home: str) -> None:
    with psycopg.connect(home, autocommit=True) as own:
        own.execute(
            "CALL refresh_continuous_aggregate('iotstore.iotstore_points_every_86400', NULL, iotstore.iotstore_now())"
        )


def _run_jobs(home: str) -> None:
    with psycopg.connect(home, autocommit=True) as own:
        for (number,) in own.execute(
            "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_schema = 'iotstore' ORDER BY 1"
        ).fetchall():
            own.execute(f"CALL run_job({number})".encode())


def _scheduled(home: str) -> dict[str, bool]:
    with psycopg.connect(home, autocommit=True) as own:
        found = own.execute(
            "SELECT proc_name, scheduled FROM timescaledb_information.jobs WHERE proc_name LIKE 'iotstore%' ORDER BY 1"
        )
        return dict(found.fetchall())


def _digests(home: str) -> list[tuple[Any, ...]]:
    """Of the points, of what is summed up, and whether anything is compressed."""
    with psycopg.connect(home, autocommit=True) as own:
        return own.execute(
            "SELECT (SELECT md5(string_agg(p::text, ',' ORDER BY series, time)) FROM iotstore.iotstore_points p),"
            " (SELECT md5(string_agg(s::text, ',' ORDER BY series, bucket))"
            " FROM iotstore.iotstore_points_every_86400 s),"
            " (SELECT count(*) > 10 FROM timescaledb_information.chunks WHERE is_compressed)"
        ).fetchall()
