"""What a store says about itself and its server, what opening it refuses, and how it is put in order."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from iotstore.backend import (
    BackendUnavailable,
    Busy,
    Capability,
    Check,
    ConfigurationError,
    Layout,
    NewerSchema,
    NotAllowed,
    NotAStore,
    OnConflict,
    PointType,
    ReadOnly,
    Settings,
    Unreachable,
)
from iotstore_postgres import store as module
from iotstore_postgres.store import PostgresBackend

Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]
Make = Callable[..., tuple[Any, ...]]


def _check(checks: list[Check], name: str) -> Check:
    (found,) = [check for check in checks if check.name == name]
    return found


# ---------------------------------------------------------------------- opening


def test_a_schema_is_made_when_there_is_none_and_left_alone_when_that_is_not_wanted(
    settings: Callable[..., Settings], ask: Ask, schema: str
) -> None:
    with pytest.raises(Unreachable, match="there is no store in schema"):
        PostgresBackend.connect(settings(create=False))
    assert ask("SELECT to_regnamespace(%s)", schema) == [(None,)]
    PostgresBackend.connect(settings()).close()
    PostgresBackend.connect(settings(create=False)).close()


def test_a_schema_with_tables_of_others_is_no_store_and_is_not_touched(
    settings: Callable[..., Settings], ask: Ask, schema: str
) -> None:
    ask(f'CREATE SCHEMA "{schema}"')
    ask(f'CREATE TABLE "{schema}".customers (id int)')
    with pytest.raises(NotAStore, match=r"none of ours.*schema of its own"):
        PostgresBackend.connect(settings())
    assert ask("SELECT relname FROM pg_class WHERE relnamespace = to_regnamespace(%s)", schema) == [("customers",)]


def test_a_store_of_a_newer_format_is_refused(settings: Callable[..., Settings], ask: Ask, schema: str) -> None:
    PostgresBackend.connect(settings()).close()
    ask(f'UPDATE "{schema}".iotstore_format SET number = number + 1')
    with pytest.raises(NewerSchema, match="newer version"):
        PostgresBackend.connect(settings())


def test_an_old_server_is_refused_before_anything_is_asked() -> None:
    link: Any = SimpleNamespace(connection=SimpleNamespace(info=SimpleNamespace(server_version=140_009)))
    with pytest.raises(BackendUnavailable, match=r"PostgreSQL 14\.9 is too old.*15 or newer"):
        module._checked_server(link, SimpleNamespace(read_only=False))  # type: ignore[arg-type]  # what it looks at


@contextmanager
def _database(ask: Ask, options: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex[:12]}"
    ask(f"CREATE DATABASE {name} {options}")
    try:
        yield name
    finally:
        ask(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_database_that_has_no_room_for_all_text_is_refused(settings: Callable[..., Settings], ask: Ask) -> None:
    with (
        _database(ask, "ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0") as name,
        pytest.raises(ConfigurationError, match=r"encoding LATIN1.*ENCODING 'UTF8'"),
    ):
        PostgresBackend.connect(settings()._replace(path=f"/{name}"))


@pytest.fixture
def role(ask: Ask) -> Iterator[str]:
    """A user who may do nothing but log in."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    ask(f"CREATE ROLE {name} LOGIN PASSWORD '{name}'")
    yield name
    ask(f"DROP OWNED BY {name}")
    ask(f"DROP ROLE {name}")


def test_a_user_without_rights_is_told_so(settings: Callable[..., Settings], role: str) -> None:
    with pytest.raises(ReadOnly, match=r"may not do this.*GRANT"):
        PostgresBackend.connect(settings()._replace(user=role, password=role))


def test_a_user_whose_sessions_are_read_only_can_read(
    settings: Callable[..., Settings], role: str, ask: Ask, schema: str, connect: Open
) -> None:
    connect()
    ask(f"ALTER ROLE {role} SET default_transaction_read_only = on")
    ask(f'GRANT USAGE ON SCHEMA "{schema}" TO {role}')
    ask(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {role}')
    as_role = settings()._replace(user=role, password=role)
    with pytest.raises(ReadOnly, match=r"takes no writes.*open with read_only"):
        PostgresBackend.connect(as_role)
    reading = PostgresBackend.connect(as_role._replace(options={**as_role.options, "read_only": True}, create=False))
    with reading.read() as session:
        assert session.layouts() == frozenset()
    reading.close()


def test_a_store_opened_to_read_refuses_writes_and_maintenance(connect: Open) -> None:
    connect()
    backend = connect(read_only=True)
    assert backend.describe()["access"] == "read-only"
    with pytest.raises(NotAllowed, match=r"opened read-only.*without read_only"):
        backend.write()
    with pytest.raises(NotAllowed, match="opened read-only"):
        backend.optimise(compact=False)
    with backend.read() as session, pytest.raises(ReadOnly, match="takes no writes"):
        session.rows("CREATE TABLE t (id int)", ())
    backend.close()
    with pytest.raises(NotAllowed, match="the store is closed"):
        backend.write()


def test_several_stores_share_a_database_each_in_its_schema(
    connect: Open, settings: Callable[..., Settings], schema: str, ask: Ask
) -> None:
    connect()
    other = PostgresBackend.connect(settings(schema=f"{schema} Zwei"))
    try:
        with other.write() as session:
            session.reserve("n", 1)
        with connect().read() as first, other.read() as second:
            assert (first.counters(), second.counters()) == ({}, {"n": 2})
    finally:
        other.close()
        ask(f'DROP SCHEMA "{schema} Zwei" CASCADE')


def test_every_capability_is_claimed_but_that_of_a_graph_store() -> None:
    declared = PostgresBackend.declared()
    assert [item for item in Capability if not declared.has(item)] == [Capability.GRAPH]


# ---------------------------------------------------------------------- describe and health


def test_what_is_open_is_described_for_people(backend: PostgresBackend, schema: str) -> None:
    found = backend.describe()
    assert found["engine"].startswith("PostgreSQL ")
    assert (found["schema"], found["role"], found["access"]) == (schema, "primary", "read and write")
    assert found["connections"] == "1 of 8 open, 0 in use"
    assert "***" in found["place"]


def test_health_looks_at_server_tables_and_pool(backend: PostgresBackend) -> None:
    checks = backend.health()
    names = [check.name for check in checks]
    assert len(names) == len(set(names))
    assert {
        "server", "replication", "connections", "disk", "clock", "transaction ids", "crash safety",
        "long transactions", "idle in transaction", "dead rows", "indexes", "pool", "leaks",
    } == set(names)  # fmt: skip
    assert not [check for check in checks if check.status == "failed"]
    assert all(check.detail for check in checks)


def test_metrics_count_what_the_pool_does(backend: PostgresBackend) -> None:
    before = backend.metrics()
    with backend.snapshot():
        inside = backend.metrics()
    assert (inside["pool_lent"], inside["snapshots_open"]) == (before["pool_lent"] + 1, 1.0)
    assert backend.metrics()["pool_lent"] == before["pool_lent"]
    totals = {name for name in before if name.endswith("_total")}
    assert totals == {f"pool_{name}_total" for name in ("connected", "waits", "timeouts", "lost", "retried")}


def test_health_asks_few_questions(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    kind = type(backend.read())
    plain = kind.rows

    def counted(self: Any, text: str, parameters: Any) -> Any:
        asked.append(text)
        return plain(self, text, parameters)

    monkeypatch.setattr(kind, "rows", counted)
    backend.health()
    assert len(asked) <= 5


def test_calls_that_waited_in_vain_are_a_warning_with_advice(connect: Open) -> None:
    backend = connect(pool_size=1, pool_timeout=0.01)
    with backend.write(), pytest.raises(Busy, match="all 1 are in use"):
        backend.read()
    pool = _check(backend.health(), "pool")
    assert pool.status == "warning"
    assert "1 in vain" in pool.detail
    assert "pool_size" in pool.detail


def test_a_transaction_that_lasts_is_named(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    from iotstore_postgres import _admin

    monkeypatch.setattr(_admin, "_LONG_TRANSACTION", 0.0)
    monkeypatch.setattr(_admin, "_IDLE_TRANSACTION", 0.0)
    with psycopg.connect(url, application_name="the-culprit") as other:
        other.execute("SELECT 1")
        checks = backend.health()
    for name in ("long transactions", "idle in transaction"):
        assert _check(checks, name).status == "warning"
        assert "the-culprit, pid " in _check(checks, name).detail


def test_a_clock_that_is_off_is_a_warning(backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch) -> None:
    from iotstore_postgres import _admin

    real = _admin.time.time
    monkeypatch.setattr(_admin.time, "time", lambda: real() - 90)
    found = _check(backend.health(), "clock")
    assert found.status == "warning"
    assert "+90." in found.detail or "+89." in found.detail


def test_an_index_that_is_not_valid_is_a_failure(backend: PostgresBackend, ask: Ask, schema: str) -> None:
    ask(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = (SELECT oid FROM pg_class"
        " WHERE relname = 'ix_devices_name_key' AND relnamespace = to_regnamespace(%s))",
        schema,
    )
    found = _check(backend.health(), "indexes")
    assert found.status == "failed"
    assert "ix_devices_name_key" in found.detail


def test_many_dead_rows_are_a_warning(
    backend: PostgresBackend, devices: Layout, row: Make, ask: Ask, schema: str
) -> None:
    ask(f'ALTER TABLE "{schema}".devices SET (autovacuum_enabled = off)')
    with backend.write() as session:
        session.insert_many(devices, [row(f"d{n}") for n in range(10_001)], OnConflict.ERROR)
    ask(f'DELETE FROM "{schema}".devices')
    ask("SELECT pg_stat_force_next_flush()")
    while _check(backend.health(), "dead rows").status == "ok":
        ask("SELECT pg_sleep(0.02)")
    found = _check(backend.health(), "dead rows")
    assert found.detail.startswith("10001 beside ")
    assert "most in devices" in found.detail


# ---------------------------------------------------------------------- verify


def test_a_sound_store_is_verified(backend: PostgresBackend, devices: Layout, row: Make) -> None:
    with backend.write() as session:
        session.insert(devices, row("a"))
    checks = backend.verify()
    assert [check.name for check in checks] == ["tables", "indexes", "references", "latest"]
    assert {_check(checks, name).status for name in ("tables", "references", "latest")} == {"ok"}


def test_indexes_are_compared_with_their_tables_where_the_server_can(
    backend: PostgresBackend, devices: Layout, row: Make, ask: Ask
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row(f"d{n}", name=f"n{n}") for n in range(10)], OnConflict.ERROR)
    ask("DROP EXTENSION IF EXISTS amcheck")
    assert _check(backend.verify(), "indexes").status == "warning"
    ask("CREATE EXTENSION amcheck SCHEMA pg_catalog")
    try:
        found = _check(backend.verify(), "indexes")
        assert found.status == "ok"
        assert "agree with their tables" in found.detail
    finally:
        ask("DROP EXTENSION amcheck")


def test_references_to_nothing_are_found(backend: PostgresBackend, admin: psycopg.Connection[Any], schema: str) -> None:
    with admin.transaction():
        admin.execute("SET LOCAL session_replication_role = replica")  # no rule is checked
        admin.execute(f"INSERT INTO \"{schema}\".flows (id, device, at) VALUES (1, 'ghost', 0), (2, NULL, 0)".encode())
    found = _check(backend.verify(), "references")
    assert found.status == "failed"
    assert found.detail == "1 of flows point to no devices"


@pytest.mark.parametrize(
    "wrong",
    [
        "UPDATE {0}.iotstore_latest SET time = 1 WHERE series = 2",
        "UPDATE {0}.iotstore_latest SET number = 7 WHERE series = 2",
        "DELETE FROM {0}.iotstore_latest WHERE series = 2",
        "INSERT INTO {0}.iotstore_latest (series, time, whole) VALUES (3, 0, 0)",
    ],
)
def test_a_latest_value_that_is_not_the_newest_point_is_found(
    backend: PostgresBackend, ask: Ask, schema: str, wrong: str
) -> None:
    with backend.write() as session:
        session.append(PointType.FLOAT, [1, 1, 2, 2], [1, 2, 1, 2], [0.0, 1.0, 2.0, 3.0], OnConflict.ERROR)
    assert _check(backend.verify(), "latest").detail == "the latest values of 2 series are their newest points"
    ask(wrong.format(f'"{schema}"'))
    found = _check(backend.verify(), "latest")
    assert (found.status, found.detail) == ("failed", "of 1 series the latest value is not their newest point")


def test_a_user_who_may_not_use_amcheck_is_told_and_the_rest_is_verified(
    settings: Callable[..., Settings], role: str, ask: Ask, schema: str, connect: Open
) -> None:
    connect()
    ask(f'GRANT USAGE ON SCHEMA "{schema}" TO {role}')
    ask(f'GRANT SELECT ON ALL TABLES IN SCHEMA "{schema}" TO {role}')
    ask("CREATE EXTENSION IF NOT EXISTS amcheck SCHEMA pg_catalog")
    try:
        backend = PostgresBackend.connect(settings()._replace(user=role, password=role))
        assert _check(backend.verify(), "indexes").status == "warning"
        assert _check(backend.verify(), "tables").status == "ok"
        backend.close()
    finally:
        ask("DROP EXTENSION amcheck")


# ---------------------------------------------------------------------- places and optimise


def test_places_tell_rows_and_bytes_of_each_layout_and_of_the_points(
    backend: PostgresBackend, devices: Layout, flows: Layout, row: Make
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row(f"d{n}") for n in range(7)], OnConflict.ERROR)
        session.append(PointType.FLOAT, [1] * 5, list(range(5)), [1.0] * 5, OnConflict.KEEP)
    found = backend.places([devices, flows])
    assert [(place.name, place.rows) for place in found] == [("devices", 7), ("flows", 0), ("points", 5)]
    assert all(place.bytes and place.bytes > 0 for place in found)


def test_compacting_gives_back_the_room_of_deleted_rows(
    backend: PostgresBackend, devices: Layout, row: Make, ask: Ask, schema: str
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row(f"d{n}", name="x" * 200) for n in range(2_000)], OnConflict.ERROR)
    ask(f'DELETE FROM "{schema}".devices WHERE key > %s', "d1")
    before = backend.places([devices])[0]
    done = backend.optimise(compact=True)
    after = backend.places([devices])[0]
    assert before.rows == after.rows == 2
    assert (after.bytes or 0) < (before.bytes or 0) / 5
    assert int(done["compact"].partition(" ")[0]) > 0
    assert done["statistics"].startswith("refreshed for ")


def test_optimising_refreshes_statistics_of_every_table(backend: PostgresBackend, ask: Ask, schema: str) -> None:
    done = backend.optimise(compact=False)
    assert list(done) == ["statistics"]
    never = ask("SELECT relname FROM pg_stat_user_tables WHERE schemaname = %s AND last_analyze IS NULL", schema)
    assert never == []


def test_compacting_waits_for_others_only_as_long_as_a_lock_may_take(
    connect: Open, backend: PostgresBackend, devices: Layout, row: Make
) -> None:
    impatient = connect(lock_timeout=0.1)
    with backend.write() as session:
        session.insert(devices, row("a"))
        with pytest.raises(Busy, match="lock_timeout"):
            impatient.optimise(compact=True)
    assert impatient.optimise(compact=True)["statistics"]
