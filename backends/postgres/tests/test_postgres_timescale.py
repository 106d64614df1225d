"""A store that is set up for TimescaleDB loses nothing and answers as before; what can't be set up says why."""

from __future__ import annotations

import os
import re
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

import iotstore
from iotstore import Device, ManualClock, Point, Store
from iotstore.backend import Appended, BackupError, Busy, ConfigurationError, Corrupt, NotAllowed, OnConflict, PointType
from iotstore.cli import main
from iotstore_conformance.servers import server_url
from iotstore_postgres._hypertable import Wanted, setup
from iotstore_postgres.store import PostgresBackend

NOW = datetime(2026, 6, 1, tzinfo=UTC)
FLOAT, KEEP = PointType.FLOAT, OnConflict.KEEP
DAY = 86_400_000_000
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]
DIGEST = (
    "SELECT count(*), md5(string_agg(p::text, ',' ORDER BY series, time)),"
    " (SELECT md5(string_agg(l::text, ',' ORDER BY series)) FROM {0}.iotstore_latest l) FROM {0}.iotstore_points p"
)


@pytest.fixture(scope="module")
def url() -> str:
    """A database with TimescaleDB: of the Apache edition, or the one that is named for the other edition's tests."""
    return os.environ.get("IOTSTORE_TEST_TIMESCALE") or server_url("timescale")


@pytest.fixture
def chunks(ask: Ask, schema: str) -> Callable[[], list[tuple[int, int]]]:
    """Where the chunks begin and end."""

    def look() -> list[tuple[int, int]]:
        return [
            (int(begin), int(end))
            for begin, end in ask(
                "SELECT range_start_integer, range_end_integer FROM timescaledb_information.chunks"
                f" WHERE hypertable_schema = '{schema}' ORDER BY 1"
            )
        ]

    return look


def fill(store: Store, days: int = 300) -> None:
    """Two devices with points of every type, over many weeks and at the ends of time."""
    store.devices.put_many([Device(key="a"), Device(key="b")])
    past = [NOW - timedelta(days=day, microseconds=day) for day in range(days)]
    for key in ("a", "b"):
        store.telemetry.write([Point(key, "level", when, float(at)) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "count", when, at) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "on", when, at % 2 == 0) for at, when in enumerate(past)])
        store.telemetry.write([Point(key, "mode", when, f"Straße {at}") for at, when in enumerate(past)])
    ends = [datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)]
    store.telemetry.write([Point("b", "far", when, 1.0) for when in ends])


@pytest.fixture
def filled(place: str) -> str:
    """A plain store with points, closed."""
    with iotstore.open(place, clock=ManualClock(NOW)) as store:
        fill(store)
    return place


@pytest.mark.container
def test_setting_up_loses_no_point_no_latest_value_and_not_the_primary_key(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str, chunks: Callable[[], list[tuple[int, int]]]
) -> None:
    before = ask(DIGEST.format(schema))
    ask(f"GRANT SELECT ON {schema}.iotstore_points TO PUBLIC")
    done = setup(settings(create=False), Wanted(), force=False, dry_run=False)
    assert done.summary == "2402 points are in a hypertable now, with chunks of 7 days"
    assert ask(DIGEST.format(schema)) == before
    assert before[0][0] == 2402
    assert len(chunks()) > 42
    assert {end - begin for begin, end in chunks()} == {7 * DAY}
    keys = ask(
        f"SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint"
        f" WHERE conrelid = '{schema}.iotstore_points'::regclass AND contype = 'p'"
    )
    assert keys == [("iotstore_points_pkey", 'PRIMARY KEY (series, "time")')]
    assert ask(f"SELECT relacl::text LIKE '%,=r/%' FROM pg_class WHERE oid = '{schema}.iotstore_points'::regclass") == [
        (True,)
    ]
    found = ask(f"SELECT relname FROM pg_class WHERE relnamespace = '{schema}'::regnamespace AND relname ~ 'points'")
    assert sorted(found) == [("iotstore_points",), ("iotstore_points_pkey",)]
    ask("CREATE EXTENSION IF NOT EXISTS amcheck")
    with iotstore.open(filled, create=False) as store:
        health, verified = store.admin.health(), store.admin.verify()
        assert health
        assert verified
        details = {check.name: check.detail for check in verified.checks}
    agreeing = int(details["indexes"].removesuffix(" agree with their tables"))
    assert agreeing > len(chunks())


@pytest.mark.container
def test_a_store_that_was_set_up_is_written_read_erased_and_put_in_order(
    filled: str, settings: Callable[..., Any], chunks: Callable[[], list[tuple[int, int]]]
) -> None:
    setup(settings(create=False), Wanted(), force=False, dry_run=False)
    with iotstore.open(filled, clock=ManualClock(NOW), create=False) as store:
        telemetry = store.telemetry
        later = [NOW + timedelta(minutes=minute) for minute in range(1, 1001)]
        many = [Point("a", "level", when, 0.5) for when in later]
        assert telemetry.write(many).stored == 1000
        assert telemetry.write(many).duplicates == 1000
        assert telemetry.write([*many[:10], Point("a", "level", NOW, 7.5)], on_conflict="replace").replaced == 1
        assert telemetry.count() == 3402
        newest = telemetry.latest("a", "level")
        assert newest is not None
        assert (newest.time, newest.value) == (later[-1], 0.5)
        assert telemetry.delete("a", "level", start=NOW + timedelta(microseconds=1)) == 1000
        newest = telemetry.latest("a", "level")
        assert newest is not None
        assert (newest.time, newest.value) == (NOW, 7.5)
        before = len(chunks())
        (line,) = [
            line
            for line in store.admin.retention(dry_run=False, keep={"points": timedelta(days=100)})
            if line.kind == "points"
        ]
        assert line.deleted == line.rows == 8 * 200 + 1
        assert len(chunks()) < before - 25
        assert telemetry.count() == 8 * 100 + 1
        assert store.admin.optimise(compact=True)
        assert telemetry.count() == 8 * 100 + 1
        assert store.admin.verify()


@pytest.mark.container
def test_the_statements_of_a_dry_run_are_all_there_is_to_do(
    filled: str, settings: Callable[..., Any], ask: Ask, url: str, schema: str
) -> None:
    before = ask(DIGEST.format(schema))
    done = setup(settings(create=False), Wanted(chunk=timedelta(days=2)), force=False, dry_run=True)
    hypertables = f"SELECT num_chunks FROM timescaledb_information.hypertables WHERE hypertable_schema = '{schema}'"
    assert ask(hypertables) == []
    with psycopg.connect(url, autocommit=True) as connection:
        for text in done.statements:
            connection.execute(text.encode())
    assert ask(DIGEST.format(schema)) == before
    assert ask(hypertables)[0][0] > 100
    again = setup(settings(create=False), Wanted(), force=False, dry_run=False)
    assert again.statements == ()
    assert again.summary == "nothing to do: the points are in a hypertable with chunks of 2 days"
    with iotstore.open(filled, create=False) as store:
        assert store.telemetry.count() == 2402


@pytest.mark.container
def test_a_second_run_applies_another_interval_even_while_the_store_is_open(
    connect: Open, settings: Callable[..., Any], chunks: Callable[[], list[tuple[int, int]]]
) -> None:
    connect().close()
    setup(settings(create=False), Wanted(), force=False, dry_run=False)
    backend = connect()
    append(backend, [7 * DAY * 100])
    done = setup(settings(create=False), Wanted(chunk=timedelta(days=1)), force=False, dry_run=False)
    assert done.summary == "new chunks hold 1 day, instead of 7 days; those that are there stay"
    append(backend, [7 * DAY * 200])
    other = connect()
    append(other, [7 * DAY * 300, 7 * DAY * 100 + 5])
    assert (7 * DAY * 100, 7 * DAY * 101) in chunks()
    assert (7 * DAY * 300, 7 * DAY * 300 + DAY) in chunks()
    assert times_of(backend) == [7 * DAY * 100, 7 * DAY * 100 + 5, 7 * DAY * 200, 7 * DAY * 300]


def append(backend: PostgresBackend, times: list[int], series: int = 1) -> Appended:
    with backend.write() as session:
        return session.append(FLOAT, [series] * len(times), times, [0.0] * len(times), KEEP)


def times_of(backend: PostgresBackend, series: int = 1) -> list[int]:
    with backend.snapshot() as session:
        return [time for part in session.scan(series, FLOAT, None, None) for time in part.times]


@pytest.mark.container
def test_an_open_store_is_left_alone_unless_it_is_forced_and_then_goes_on(
    connect: Open, settings: Callable[..., Any]
) -> None:
    backend = connect()
    grid = backend._partitions.grid
    append(backend, [grid.start(90), grid.start(91)])
    with pytest.raises(Busy, match=r"is open in another process or store; close it there; or use --force"):
        setup(settings(create=False), Wanted(), force=False, dry_run=False)
    done = setup(settings(create=False), Wanted(), force=True, dry_run=False)
    assert done.summary.startswith("2 points are in a hypertable now")
    assert append(backend, [grid.start(90), grid.start(90) + 1]) == Appended(1, 1)
    assert backend._partitions.grid.chunks
    assert times_of(backend) == [grid.start(90), grid.start(90) + 1, grid.start(91)]
    with backend.write() as session:
        assert session.shed(grid.start(91)) == 2
    assert times_of(backend) == [grid.start(91)]


@pytest.mark.container
def test_what_is_written_while_a_store_is_set_up_is_there_afterwards(
    connect: Open, settings: Callable[..., Any]
) -> None:
    backend = connect(pool_size=6, lock_timeout=30.0)
    begun = threading.Barrier(3)
    rounds, size = 40, 250

    def write(series: int) -> int:
        stored = 0
        for number in range(rounds):
            if number == 5:
                begun.wait(30)
            first = 28 * DAY * 700 + number * DAY
            count = size if number % 2 else 5
            stored += append(backend, [first + at for at in range(count)], series).stored
        return stored

    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(write, series) for series in (1, 2)]
        begun.wait(30)
        done = setup(settings(create=False), Wanted(), force=True, dry_run=False)
        stored = [writer.result(60) for writer in writers]
    assert done.summary.endswith("points are in a hypertable now, with chunks of 7 days")
    assert stored == [rounds // 2 * (size + 5)] * 2
    assert [len(times_of(backend, series)) for series in (1, 2)] == stored


@pytest.mark.container
def test_a_snapshot_that_is_open_is_not_taken_its_points(
    connect: Open, settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("iotstore_postgres._hypertable._PATIENCE", "100ms")
    backend = connect()
    append(backend, [5])
    reader = backend.snapshot()
    with pytest.raises(Busy, match="a transaction or a snapshot holds its points"):
        setup(settings(create=False), Wanted(), force=True, dry_run=False)
    assert reader.count() == 1
    reader.close()
    assert times_of(backend) == [5]


@pytest.fixture
def hyper(connect: Open, settings: Callable[..., Any]) -> PostgresBackend:
    """An open store that was set up."""
    connect().close()
    setup(settings(create=False), Wanted(), force=False, dry_run=False)
    return connect(lock_timeout=5.0, pool_timeout=5.0, pool_size=4)


@pytest.mark.container
def test_two_transactions_that_need_the_same_new_chunk_do_not_wait_for_each_other(hyper: PostgresBackend) -> None:
    one, two = hyper.write(), hyper.write()
    try:
        for number in range(3):
            time = 7 * DAY * (3000 + number)
            assert one.append(FLOAT, [1], [time], [1.0], KEEP) == Appended(1, 0)
            assert two.append(FLOAT, [2], [time + 1], [1.0], KEEP) == Appended(1, 0)
        two.rollback()
        one.commit()
    finally:
        one.rollback()
        two.rollback()
    assert len(times_of(hyper)) == 3
    assert times_of(hyper, 2) == []


@pytest.mark.container
@pytest.mark.parametrize("count", [20, 2_000])
def test_every_time_has_a_place_and_the_ends_of_time_are_never_shed(hyper: PostgresBackend, count: int) -> None:
    times = [-(2**63), -1, *range(count), 2**63 - 1]
    assert append(hyper, times) == Appended(count + 3, 0)
    assert append(hyper, times) == Appended(0, count + 3)
    assert times_of(hyper) == times
    with hyper.write() as session:
        assert session.shed(2**63 - 1) == count + 2
    assert times_of(hyper) == [2**63 - 1]
    assert append(hyper, times) == Appended(count + 2, 1)


@pytest.mark.container
def test_chunks_go_whole_and_not_while_a_snapshot_may_look_at_them(hyper: PostgresBackend) -> None:
    for series in (1, 2):
        append(hyper, [7 * DAY * number + series for number in range(100, 103)], series)
    append(hyper, [7 * DAY * 100 + 9], 3)
    reader = hyper.snapshot()
    with hyper.write() as session:
        assert session.shed(7 * DAY * 102 + 3) == 0
        session.append(FLOAT, [1], [7 * DAY * 102 + 5], [0.0], KEEP)  # the transaction goes on
    assert reader.count() == 7
    reader.close()
    with hyper.write() as session:
        assert session.shed(7 * DAY * 102 + 3) == 5
        assert session.shed(7 * DAY * 102 + 3) == 0
    assert times_of(hyper) == [7 * DAY * 102 + 1, 7 * DAY * 102 + 5]
    with hyper.read() as session:
        latest = session.latest([(1, FLOAT), (2, FLOAT), (3, FLOAT)])
    assert latest == [(7 * DAY * 102 + 5, 0.0), (7 * DAY * 102 + 2, 0.0), None]


@pytest.mark.container
def test_a_question_about_a_short_time_reads_few_chunks_by_their_index(
    filled: str, settings: Callable[..., Any], ask: Ask, schema: str
) -> None:
    """Among 100,000 points more."""
    begin = int((NOW - timedelta(days=250)).timestamp()) * 1_000_000
    ask(
        f"INSERT INTO {schema}.iotstore_points (series, time, number)"
        f" SELECT s, {begin} + 2000000000 * t::int8, t FROM generate_series(1000001, 1000010) s,"
        " generate_series(1, 10000) t"
    )
    setup(settings(create=False), Wanted(), force=False, dry_run=False)
    with iotstore.open(filled, create=False) as store:
        start = NOW - timedelta(days=100)
        ranged = store.explain(lambda seen: seen.telemetry.range("a", "level", start, start + timedelta(days=2)))
        latest = store.explain(lambda seen: seen.telemetry.latest("a", "level"))
    plan = "\n".join(line for one in ranged for line in one.plan)
    assert 1 <= len(set(re.findall(r"_hyper_\d+_\d+_chunk", plan))) <= 2
    assert "Index Scan" in plan
    assert "Seq Scan on _hyper" not in plan
    assert "_hyper" not in "\n".join(line for one in latest for line in one.plan)


@pytest.mark.container
def test_a_table_that_is_neither_partitioned_nor_a_hypertable_is_damage(connect: Open, ask: Ask, schema: str) -> None:
    backend = connect()
    ask(f"DROP TABLE {schema}.iotstore_points; CREATE TABLE {schema}.iotstore_points (series int8, time int8)")
    session = backend.write()
    with pytest.raises(Corrupt, match="neither partitioned nor a hypertable"):
        session.append(FLOAT, [1], [0], [1.0], KEEP)
    session.rollback()


@pytest.mark.container
def test_a_store_with_a_database_of_its_own_is_backed_up_and_comes_back_as_a_hypertable(
    url: str, admin: psycopg.Connection[Any], settings_of: Callable[..., Any], tmp_path: Path
) -> None:
    database = f"hyper_{uuid.uuid4().hex[:8]}"
    home = f"{url.rpartition('/')[0]}/{database}"
    admin.execute(f"CREATE DATABASE {database}".encode())
    kept: str | None = None
    try:
        with psycopg.connect(home, autocommit=True) as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        with iotstore.open(home, clock=ManualClock(NOW)) as store:
            fill(store, 50)
        setup(settings_of(home, create=False), Wanted(), force=False, dry_run=False)
        with iotstore.open(home, create=False) as store:
            made = store.backups.create(tmp_path)
            store.telemetry.write([Point("a", "level", NOW + timedelta(days=1), 1.0)])
            assert store.telemetry.count() == 403
        kept = iotstore.restore(made.path, home, replace=True).kept
        with iotstore.open(home, create=False) as store:
            assert store.telemetry.count() == 402
            assert store.telemetry.write([Point("a", "level", NOW + timedelta(days=30), 1.0)]).stored == 1
            backend = store._engine.backend
            assert isinstance(backend, PostgresBackend)
            assert backend._partitions.grid.chunks
        with psycopg.connect(home, autocommit=True) as own:
            own.execute("CREATE SCHEMA other; CREATE TABLE other.t (a int)")
        with iotstore.open(home, create=False) as store, pytest.raises(BackupError, match="and other is in it"):
            store.backups.create(tmp_path)
    finally:
        for name in filter(None, (database, kept)):
            admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)".encode())


@pytest.mark.container
def test_the_command_sets_up_and_says_what_the_edition_lacks(
    filled: str, capsys: pytest.CaptureFixture[str], ask: Ask
) -> None:
    lacking = ask("SELECT current_setting('timescaledb.license')") == [("apache",)]
    assert main(["timescale", "setup", "-u", filled, "--dry-run"]) == 0
    assert "create_hypertable('iotstore_points', public.by_range('time', 604800000000)" in capsys.readouterr().out
    command = ["-u", filled, "timescale", "setup", "--chunk", "14d", "--compress-after", "30d", "--retain", "1y"]
    command += ["--materialize", "1h"]
    assert main(command) == lacking
    first, *others = capsys.readouterr().out.splitlines()
    assert first == "2402 points are in a hypertable now, with chunks of 14 days"
    not_done = [line.partition(" and ") for line in others if line.startswith("not done: ")]
    assert [asked for asked, _, _ in not_done] == [
        f"not done: {option} needs TimescaleDB's Timescale edition,"
        for option in ("--compress-after", "--retain", "--materialize")
        if lacking
    ]
    assert [why.partition("; ")[2] for _, _, why in not_done] == [
        "the points stay as they are",
        "use `iotstore retention --apply`, which keeps the latest values right too",
        "aggregates are computed from the points, whatever consistency they ask for",
    ][: len(not_done)]
    assert main(command[:4]) == 0
    assert capsys.readouterr().out == "nothing to do: the points are in a hypertable with chunks of 14 days\n"
    assert main([*command[:4], "--retain", "never"]) == 0
    assert capsys.readouterr().out.startswith("nothing to do") is lacking


@pytest.mark.container
def test_a_database_without_the_extension_is_told_how_to_get_it(
    url: str, admin: psycopg.Connection[Any], settings_of: Callable[..., Any]
) -> None:
    database = f"plain_{uuid.uuid4().hex[:8]}"
    home = f"{url.rpartition('/')[0]}/{database}"
    admin.execute(f"CREATE DATABASE {database} TEMPLATE template0".encode())
    try:
        iotstore.open(home).close()
        with pytest.raises(NotAllowed, match=r"has no extension timescaledb; nothing was changed.*CREATE EXTENSION"):
            setup(settings_of(home, create=False), Wanted(), force=False, dry_run=True)
    finally:
        admin.execute(f"DROP DATABASE {database} WITH (FORCE)".encode())


def test_a_server_without_timescaledb_says_so_and_nothing_is_changed(capsys: pytest.CaptureFixture[str]) -> None:
    base, name = server_url("embedded"), f"test_{uuid.uuid4().hex[:12]}"
    place = f"{base}{'&' if '?' in base else '?'}schema={name}"
    try:
        iotstore.open(place).close()
        assert main(["timescale", "setup", "-u", place]) == 1
        assert "this server has no TimescaleDB; nothing was changed" in capsys.readouterr().err
    finally:
        with closing(psycopg.connect(base, autocommit=True)) as own:
            own.execute(f"DROP SCHEMA IF EXISTS {name} CASCADE".encode())


def test_only_a_postgresql_store_can_be_set_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["timescale", "setup", "-u", f"sqlite:///{tmp_path / 'home.db'}"]) == 1
    assert "is no PostgreSQL store" in capsys.readouterr().err
    assert main(["timescale", "setup", "--chunk", "soon"]) == 2
    assert "'soon' is no duration" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("wanted", "problem"),
    [
        (Wanted(chunk=timedelta(seconds=1)), "a chunk can't hold 0:00:01; give it from one minute to ten years"),
        (Wanted(retain=timedelta()), "retain: 0:00:00 is no age; give it as 30d or 1y, or never"),
        (Wanted(compress_after=timedelta(days=-1)), "compress after: -1 day, 0:00:00 is no age"),
        (Wanted(materialize=(timedelta(seconds=90.5),)), "buckets of 0:01:30.500000 can't be materialized; give whole"),
        (Wanted(materialize=(timedelta(seconds=1),)), "from one minute to 366 days"),
    ],
)
def test_a_duration_that_makes_no_sense_is_refused(
    settings_of: Callable[..., Any], wanted: Wanted, problem: str
) -> None:
    settings = settings_of("postgresql://nobody@localhost/none")
    with pytest.raises(ConfigurationError, match=problem):
        setup(settings, wanted, force=False, dry_run=True)
