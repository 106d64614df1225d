"""What is decided about a Citus cluster without one: every statement of the set-up, who is refused, what is asked."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

import iotstore
from iotstore import Device, Store
from iotstore.backend import (
    BackendUnavailable,
    Capability,
    Column,
    ConfigurationError,
    Layout,
    NotAllowed,
    NotSupported,
    OnConflict,
    Type,
)
from iotstore.cli import main
from iotstore_postgres import _citus
from iotstore_postgres._citus_locks import numbers
from iotstore_postgres._citus_sessions import CitusStatements
from iotstore_postgres._citus_setup import Wanted, in_order, setup
from iotstore_postgres._dialect import PostgresDialect
from iotstore_postgres.store import PostgresBackend

Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    """A plain store, open."""
    with iotstore.open(place) as opened:
        opened.devices.add(Device(key="a"))
        yield opened


@pytest.fixture
def planned(
    store: Store, settings: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[str, ...]]:
    """The statements of a dry run against a server that is taken for a coordinator."""
    store.close()
    monkeypatch.setattr(_citus, "require", lambda _: "14.0-1")
    return lambda *, force=False, **wanted: (
        setup(settings(create=False), Wanted(**wanted), force=force, dry_run=True).statements
    )


def test_a_dry_run_names_every_statement_in_an_order_that_works(
    planned: Callable[..., tuple[str, ...]], schema: str
) -> None:
    statements = planned(shards=8)
    assert statements[:2] == (f'SET search_path = "{schema}"', "BEGIN")
    assert statements[-1] == "COMMIT"
    small = [text for text in statements if "create_reference_table" in text]
    for target, pointing in (("device", "series"), ("metric", "series"), ("device", "membership"), ("owner", "device")):
        assert small.index(f"""SELECT create_reference_table('"{target}"')""") < small.index(
            f"""SELECT create_reference_table('"{pointing}"')"""
        )
    assert not any('"connection"' in text for text in small)
    apart = [text for text in statements if "create_distributed_table" in text or "PRIMARY KEY" in text]
    assert apart == [
        # First one table is made of its partitions.
        'ALTER TABLE "connection" ADD CONSTRAINT "connection_pkey" PRIMARY KEY ("id")',
        "SELECT create_distributed_table('iotstore_points', 'series', shard_count => 8, colocate_with => 'none')",
        "SELECT create_distributed_table('iotstore_latest', 'series', colocate_with => 'iotstore_points')",
        'ALTER TABLE "connection" ADD CONSTRAINT "connection_pkey" PRIMARY KEY ("id", "device")',
        """SELECT create_distributed_table('"connection"', 'device', shard_count => 8, colocate_with => 'none')""",
    ]
    assert "INSERT INTO iotstore_citus VALUES (8)" in statements
    assert """SELECT truncate_local_data_after_distributing_table('"device"')""" in statements
    counted = [text for text in statements if text.startswith("SELECT count(*) FROM")]
    assert len(counted) == len(small) + 3


def test_a_dry_run_changes_nothing(planned: Callable[..., tuple[str, ...]], ask: Ask, schema: str) -> None:
    look = (
        f"SELECT relname, relkind FROM pg_class WHERE relnamespace = '{schema}'::regnamespace ORDER BY 1",
        f"SELECT conname FROM pg_constraint WHERE connamespace = '{schema}'::regnamespace ORDER BY 1",
        f"SELECT count(*) FROM {schema}.device",
    )
    before = [ask(text) for text in look]
    assert planned()
    assert [ask(text) for text in look] == before


def test_others_are_cut_off_only_by_force(planned: Callable[..., tuple[str, ...]]) -> None:
    assert not any("pg_terminate_backend" in text for text in planned())
    assert "pg_terminate_backend" in next(text for text in planned(force=True) if text not in planned())


def test_as_many_shards_as_citus_makes_are_made_where_nothing_is_said(planned: Callable[..., tuple[str, ...]]) -> None:
    assert sum("shard_count => 32" in text for text in planned()) == 2


@pytest.mark.parametrize("shards", [0, -1, 1_025])
def test_a_number_of_shards_that_makes_no_sense_is_refused(settings_of: Callable[..., Any], shards: int) -> None:
    settings = settings_of("postgresql://nobody@localhost/none")
    with pytest.raises(ConfigurationError, match=rf"{shards} shards are not possible; give from 1 to 1024"):
        setup(settings, Wanted(shards=shards), force=False, dry_run=True)


def test_tables_come_after_those_that_they_point_to() -> None:
    nothing: frozenset[str] = frozenset()
    pointing = {
        "a": frozenset({"c"}),
        "b": nothing,
        "c": frozenset({"b", "c"}),
        "x": frozenset({"y"}),
        "y": frozenset({"x"}),
    }
    assert in_order(pointing) == ["b", "c", "a", "x", "y"]
    assert in_order({}) == []


def test_a_server_without_citus_says_so_and_nothing_is_changed(
    store: Store, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store.close()
    assert main(["citus", "setup", "-u", place]) == 1
    assert "this server has no Citus; nothing was changed" in capsys.readouterr().err
    with iotstore.open(place, create=False) as again:
        assert again.devices.count() == 1
        assert again.admin.describe()["cluster"] == "none"


def test_only_a_postgresql_store_can_be_set_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["citus", "setup", "-u", f"sqlite:///{tmp_path / 'home.db'}"]) == 1
    assert "is no PostgreSQL store" in capsys.readouterr().err
    assert main(["citus", "setup", "--shards", "many"]) == 2
    assert "invalid int value: 'many'" in capsys.readouterr().err


def test_a_distributed_store_is_not_opened_where_there_is_no_citus(
    store: Store, place: str, schema: str, ask: Ask
) -> None:
    ask(f"CREATE TABLE {schema}.{_citus.MARKER} (shards int8); INSERT INTO {schema}.{_citus.MARKER} VALUES (4)")
    store.close()
    with pytest.raises(BackendUnavailable, match=r"distributed over a Citus cluster, and this database has no Citus"):
        iotstore.open(place, create=False)


def test_a_store_that_was_distributed_since_it_was_opened_is_to_be_opened_again(
    connect: Callable[..., PostgresBackend],
    admin: psycopg.Connection[Any],
    schema: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = connect()
    monkeypatch.setattr(_citus, "found", lambda *_: _citus.Cluster("14.0-1", 2, 4))
    with backend.read() as held:
        assert held.layouts() == frozenset()
        with pytest.raises(NotAllowed, match=r"distributed over a Citus cluster.*open it again"):
            backend.read()
    known = _citus.Cluster("14.0-1", 2, 4)
    _citus.check_unchanged(admin, schema, known._replace(workers=3))  # a worker more is no other store


def test_two_records_have_the_same_lock_only_by_their_keys_and_locks_come_in_order() -> None:
    several = numbers([(f"device {index}",) for index in range(2_000)])
    assert list(several) == sorted(set(several))
    assert set(several) <= set(range(256))
    assert len(several) > 250
    assert numbers([("a", 1)]) == numbers([["a", 1], ("a", 1)])  # type: ignore[list-item]  # keys of other makers
    assert numbers([("a", 1)]) != numbers([("a", 2)])


@pytest.fixture
def statements() -> CitusStatements:
    return CitusStatements(PostgresDialect())


@pytest.fixture
def connection() -> Layout:
    """Flows, as far as matters here."""
    columns = (Column("device", Type.TEXT), Column("id", Type.INT), Column("port", Type.INT, nullable=True))
    return Layout("connection", columns, ("id",))


def test_a_conflict_of_flows_is_one_of_id_and_device(statements: CitusStatements, connection: Layout) -> None:
    assert 'ON CONFLICT ("id", "device") DO NOTHING' in statements.insert_one(connection)
    assert statements.insert_rows(connection).endswith(
        'ON CONFLICT ("id", "device") DO NOTHING RETURNING "connection"."id"'
    )
    assert "device" not in statements.get[connection].partition(" WHERE ")[2]


def test_how_many_rows_were_stored_is_counted_by_the_rows_that_come_back(
    statements: CitusStatements, devices: Layout
) -> None:
    for conflict in (OnConflict.ERROR, OnConflict.KEEP, None):
        assert ' ON CONFLICT ("key") DO NOTHING RETURNING ' in statements.insert_rows(devices, conflict)


def test_records_are_locked_by_their_kind_and_never_by_rows(statements: CitusStatements, devices: Layout) -> None:
    assert "FOR " not in statements.lock_keys(devices)


def test_a_distributed_store_has_no_native_backup_and_says_why() -> None:
    changed = PostgresBackend.declared().but(_citus.LACKS)
    for capability in (Capability.NATIVE_BACKUP, Capability.NATIVE_RESTORE):
        said = changed[capability]
        assert isinstance(said, NotSupported)
        assert "a dump of the coordinator holds no row of them" in said.reason
    assert changed.has(Capability.SNAPSHOTS)


class FakeConnection:
    """Answers questions about a cluster, by a word in each."""

    class info:  # noqa: N801 - as the driver calls it
        dbname = "home"

    def __init__(self, **answers: object) -> None:
        self.answers = answers

    def execute(self, text: bytes) -> Any:
        (answer,) = [found for word, found in self.answers.items() if word.encode() in text]
        return closing_cursor(answer)


def closing_cursor(answer: object) -> Any:
    class Cursor:
        def fetchone(self) -> object:
            return answer

    return Cursor()


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        ({"extversion": None, "default_version": None}, "this server has no Citus; nothing was changed"),
        ({"extversion": None, "default_version": ("14.0-1",)}, "home has no extension citus.*CREATE EXTENSION citus"),
        ({"extversion": ("11.3-1",)}, "Citus 11.3-1 is too old.*update it to 12.0 or newer"),
        ({"extversion": ("14.0-1",), "pg_dist_node": (2, 1, 2)}, "this is a worker.*connect to its coordinator"),
        (
            {"extversion": ("14.0-1",), "pg_dist_node": (0, 0, 2)},
            "coordinator is not among.*citus_set_coordinator_host",
        ),
        ({"extversion": ("14.0-1",), "pg_dist_node": (0, 1, 0)}, "no worker that takes shards.*citus_add_node"),
    ],
)
def test_what_a_cluster_lacks_is_named_with_its_remedy(answers: dict[str, object], said: str) -> None:
    with pytest.raises(NotAllowed, match=said):
        _citus.require(FakeConnection(**answers))  # type: ignore[arg-type]  # as far as it is asked


def test_a_cluster_with_a_coordinator_and_a_worker_will_do() -> None:
    connection = FakeConnection(extversion=("14.0-1",), pg_dist_node=(0, 1, 1))
    assert _citus.require(connection) == "14.0-1"  # type: ignore[arg-type]  # as far as it is asked
