"""Native backups: what an archive holds, where it is proven, and that a restore leaves the old store or the new one."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import psycopg
import pytest

import iotstore
from iotstore import Device, Drop, Kind, Point, Record, Store, Text
from iotstore._clock import SystemClock
from iotstore.backend import BackupError, Busy, Column, CreateLayout, Layout, NotAllowed, Select, Settings, Type
from iotstore_conformance.servers import server_url
from iotstore_postgres import _swap, _tools
from iotstore_postgres._options import quoted
from iotstore_postgres.store import PostgresBackend

pytestmark = pytest.mark.once

Make = Callable[..., Settings]
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]
Place = Callable[[str], str]
THINGS = Layout("things", (Column("key", Type.TEXT), Column("note", Type.TEXT, nullable=True)), ("key",))


class _Meter(Record, frozen=True, kw_only=True):
    serial: Annotated[str, Text(40, min=1)]
    room: Annotated[str | None, Text(80)] = None


class _ShortMeter(Record, frozen=True, kw_only=True):
    serial: Annotated[str, Text(40, min=1)]


def nothing(_done: int, _total: int) -> None:
    """Progress that nobody looks at."""


@pytest.fixture
def prefix(admin: psycopg.Connection[Any]) -> Iterator[str]:
    """What the names of a test's schemas begin with; all of those are dropped when it ends."""
    name = f"bak'\"{uuid.uuid4().hex[:8]}_"
    yield name
    for (schema,) in admin.execute(
        "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)", [name]
    ).fetchall():
        admin.execute(f"DROP SCHEMA {quoted(schema)} CASCADE".encode())


@pytest.fixture
def place(url: str, prefix: str) -> Place:
    """The URL of a store in a schema of the test's own."""
    return lambda name: f"{url}{'&' if '?' in url else '?'}schema={prefix}{name}"


def fill(store: Store, *keys: str) -> None:
    """Some devices with points."""
    for key in keys:
        store.devices.put(Device(key=key, notes="Straße \U0001f600"))
        store.telemetry.write([Point(key, "level", SystemClock().now(), 1.5)])


def keys(url: str) -> list[str]:
    """The devices of the store at a URL, each of which has its point."""
    with iotstore.open(url, create=False) as store:
        found = [device.key for device in store.devices.list()]
        assert all(store.telemetry.latest(key)["level"].value == 1.5 for key in found)
        return found


@pytest.fixture
def backup(place: Place, tmp_path: Path) -> Path:
    """A native backup of a store with the devices a and b, which was changed afterwards and is closed."""
    with iotstore.open(place("home")) as store:
        fill(store, "a", "b")
        made = store.backups.create(tmp_path / "backups")
        fill(store, "c")
    return made.path


@pytest.fixture
def scratch(ask: Ask) -> Callable[[], list[str]]:
    """The scratch databases and schemas that are there."""
    return lambda: [
        name
        for (name,) in ask(
            "SELECT datname::text FROM pg_database WHERE datname LIKE 'iotstore_scratch_%%'"
            " UNION ALL SELECT nspname::text FROM pg_namespace WHERE nspname LIKE 'iotstore_scratch_%%'"
        )
    ]


# ---------------------------------------------------------------------- the archive


def test_an_archive_holds_what_its_snapshot_sees_and_is_for_its_owner_only(
    connect: Open, settings: Make, tmp_path: Path
) -> None:
    backend = connect()
    with backend.write() as session:
        session.apply([CreateLayout(THINGS)])
        session.insert(THINGS, ("before", "tab\t back\\slash \U0001f600"))
    target = tmp_path / "copy.dump"
    steps: list[tuple[int, int]] = []
    with backend.snapshot() as snapshot:
        with backend.write() as session:
            session.insert(THINGS, ("after", None))

        def look(done: int, total: int) -> None:
            assert not snapshot.expire(), "a copy was ended for its age"
            steps.append((done, total))

        backend.copy_out(target, snapshot, look)
        assert [row[0] for row in snapshot.select(THINGS, Select())] == ["before"]
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert [done for done, _ in steps] == sorted(done for done, _ in steps)
    assert steps[-1][0] == steps[-1][1]
    assert target.read_bytes().startswith(b"PGDMP")
    told: list[tuple[int, int]] = []
    copy = PostgresBackend.open_copy(target, settings(), lambda done, total: told.append((done, total)))
    with copy.read() as session:
        assert session.select(THINGS, Select()) == [("before", "tab\t back\\slash \U0001f600")]
    copy.close()
    assert [done for done, _ in told] == sorted(done for done, _ in told)
    assert told[-1][0] == told[-1][1] > 5


def test_an_archive_needs_a_snapshot_and_a_free_name_and_leaves_nothing_when_it_fails(
    connect: Open, tmp_path: Path
) -> None:
    backend = connect()
    target = tmp_path / "copy.dump"

    def interrupted(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with backend.read() as session, pytest.raises(NotAllowed, match="taken from a snapshot"):
        backend.copy_out(target, session, nothing)
    with backend.snapshot() as snapshot:
        with pytest.raises(KeyboardInterrupt):
            backend.copy_out(target, snapshot, interrupted)
        assert list(tmp_path.iterdir()) == []
        with pytest.raises(BackupError, match="can't be written: No such file"):
            backend.copy_out(tmp_path / "no" / "copy.dump", snapshot, nothing)
        backend.copy_out(target, snapshot, nothing)
        with pytest.raises(BackupError, match="exists already; choose another name; nothing was overwritten"):
            backend.copy_out(target, snapshot, nothing)
    backend.close()
    with pytest.raises(NotAllowed, match="closed"):
        backend.copy_out(target, snapshot, nothing)


def test_without_the_programs_a_native_backup_is_refused_and_a_portable_one_is_made_and_restored(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_tools, "tools", lambda _: [])
    with iotstore.open(place("home")) as store:
        fill(store, "a")
        with pytest.raises(BackupError, match=r"pg_dump, which a server of version .* needs, was not found"):
            store.backups.create(tmp_path)
        assert list(tmp_path.iterdir()) == []
        made = store.backups.create(tmp_path, format="portable")
        assert store.backups.verify(made.path).proven
    iotstore.restore(made.path, place("other"))
    assert keys(place("other")) == ["a"]
    with iotstore.open(place("home")) as store:
        fill(store, "b")
    kept = iotstore.restore(made.path, place("home"), replace=True).kept
    assert keys(place("home")) == ["a"]
    assert kept is not None


# ---------------------------------------------------------------------- scratch places


def test_a_scratch_place_is_gone_when_it_is_closed_or_could_not_be_filled(
    settings: Make, backup: Path, scratch: Callable[[], list[str]], tmp_path: Path
) -> None:
    before = backup.read_bytes()
    copy = PostgresBackend.open_copy(backup, settings(), nothing)
    assert len(scratch()) == 1
    copy.close()
    copy.close()
    PostgresBackend.open_scratch(tmp_path, settings()).close()
    (tmp_path / "none.dump").write_bytes(before[: len(before) // 2])
    for broken in (tmp_path / "none.dump", tmp_path / "missing.dump"):
        with pytest.raises(BackupError, match=r"."):
            PostgresBackend.open_copy(broken, settings(), nothing)
    with pytest.raises(KeyboardInterrupt):
        PostgresBackend.open_copy(backup, settings(), _interrupt)
    assert scratch() == []
    assert backup.read_bytes() == before


def _interrupt(_done: int, _total: int) -> None:
    raise KeyboardInterrupt


def test_what_a_crash_left_is_removed_by_the_next_one_and_what_is_in_use_is_left_alone(
    settings: Make, backup: Path, scratch: Callable[[], list[str]], ask: Ask, tmp_path: Path
) -> None:
    ((oid,),) = ask("SELECT oid FROM pg_database WHERE datname = current_database()")
    left = [f"iotstore_scratch_{oid}_0123", f"iotstore_scratch_{oid}_4567"]
    ask(f"CREATE DATABASE {left[0]}")
    ask(f"CREATE SCHEMA {left[1]}; CREATE TABLE {left[1]}.t (a int)")
    other = f"iotstore_scratch_{oid + 1}_0123"  # of a store in another database, which alone can tell
    ask(f"CREATE DATABASE {other}")
    try:
        first = PostgresBackend.open_copy(backup, settings(), nothing)
        second = PostgresBackend.open_copy(backup, settings(), nothing)
        third = PostgresBackend.open_scratch(tmp_path, settings())
        assert len(scratch()) == 4
        assert not set(left) & set(scratch())
        for copy in (first, second, third):
            copy.close()
        assert scratch() == [other]
    finally:
        ask(f"DROP DATABASE {other}")


def test_a_role_that_may_not_make_databases_is_told_what_to_do_and_has_portable_backups(
    url: str, admin: psycopg.Connection[Any], prefix: str, tmp_path: Path
) -> None:
    role = f"modest_{uuid.uuid4().hex[:8]}"
    database = admin.info.dbname
    admin.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'pw'".encode())
    admin.execute(f"GRANT CREATE ON DATABASE {quoted(database)} TO {role}".encode())
    try:
        head, _, rest = url.partition("://")
        place = f"{head}://{role}:pw@{rest.rpartition('@')[2]}{'&' if '?' in url else '?'}schema={prefix}modest"
        with iotstore.open(place) as store:
            fill(store, "a")
            message = f"role {role} may not make databases, .* scratch database; let a superuser run: ALTER ROLE"
            with pytest.raises(BackupError, match=message):
                store.backups.create(tmp_path)
            assert list(tmp_path.iterdir()) == []
            made = store.backups.create(tmp_path, format="portable")
        iotstore.restore(made.path, place, replace=True)
        assert keys(place) == ["a"]
        admin.execute(f"ALTER ROLE {role} CREATEDB".encode())
        with iotstore.open(place) as store:
            made = store.backups.create(tmp_path)
        iotstore.restore(made.path, place, replace=True)
        assert keys(place) == ["a"]
    finally:
        admin.execute(f"DROP OWNED BY {role} CASCADE".encode())
        admin.execute(f"DROP ROLE {role}".encode())


# ---------------------------------------------------------------------- restoring


def test_a_backup_restores_under_another_name_and_in_place_of_the_store_which_is_kept(
    place: Place, prefix: str, backup: Path
) -> None:
    told: dict[str, list[tuple[int, int]]] = {}
    restored = iotstore.restore(
        backup,
        place("other"),
        progress=lambda done, total, what: told.setdefault(what.split()[0], []).append((done, total)),
    )
    assert restored.kept is None
    assert list(told) == ["restoring", "proving", "installing"]
    assert all(steps[-1][0] == steps[-1][1] for steps in told.values())
    assert keys(place("other")) == ["a", "b"]
    kept = iotstore.restore(backup, place("home"), replace=True).kept
    assert keys(place("home")) == ["a", "b"]
    assert kept is not None
    assert kept.startswith(f"{prefix}home_before_restore_")
    assert keys(place(kept.removeprefix(prefix))) == ["a", "b", "c"]
    with iotstore.open(place("home")) as store:
        fill(store, "d")  # it takes writes


def test_what_is_there_is_not_replaced_unasked_and_an_empty_schema_is_taken(
    place: Place, prefix: str, backup: Path, ask: Ask
) -> None:
    ask(f"CREATE SCHEMA {quoted(prefix + 'empty')}")
    ask(f"CREATE SCHEMA {quoted(prefix + 'foreign')}; CREATE TABLE {quoted(prefix + 'foreign')}.t (a int)")
    for name in ("home", "foreign"):
        with pytest.raises(NotAllowed, match=r"exists already: its schema .* is not empty; .* replace=True"):
            iotstore.restore(backup, place(name))
    assert iotstore.restore(backup, place("empty")).kept is None
    assert keys(place("empty")) == ["a", "b"]
    assert keys(place("home")) == ["a", "b", "c"]


def test_what_came_meanwhile_is_not_replaced_unasked(place: Place, backup: Path, settings: Make, prefix: str) -> None:
    copy = PostgresBackend.open_copy(backup, settings(schema=f"{prefix}late"), nothing)
    with iotstore.open(place("late")) as late:
        fill(late, "late")
    with pytest.raises(NotAllowed, match="exists already"):
        copy.install(settings(schema=f"{prefix}late"), nothing, replace=False)
    copy.close()
    assert keys(place("late")) == ["late"]


def test_a_store_that_is_open_anywhere_is_not_replaced(place: Place, backup: Path) -> None:
    with iotstore.open(place("home")) as store:
        with pytest.raises(Busy, match="is open in another process or store; close it there, then restore"):
            iotstore.restore(backup, place("home"), replace=True)
        fill(store, "d")
    assert keys(place("home")) == ["a", "b", "c", "d"]


def test_a_schema_that_an_extension_lives_in_is_not_moved_away(
    place: Place, prefix: str, backup: Path, ask: Ask
) -> None:
    ask(f"CREATE EXTENSION pg_trgm SCHEMA {quoted(prefix + 'home')}")
    try:
        with pytest.raises(NotAllowed, match="holds the extension pg_trgm, which others may use there; restore into"):
            iotstore.restore(backup, place("home"), replace=True)
        assert keys(place("home")) == ["a", "b", "c"]
    finally:
        ask("DROP EXTENSION pg_trgm")


def test_an_error_in_the_midst_of_the_exchange_leaves_the_old_store(
    place: Place, prefix: str, backup: Path, monkeypatch: pytest.MonkeyPatch, scratch: Callable[[], list[str]]
) -> None:
    right = _swap.rename

    def rename(admin: Any, old: str, new: str) -> None:
        if new == f"{prefix}home" and old.startswith("iotstore_scratch"):
            old = "gone"
        right(admin, old, new)

    monkeypatch.setattr(_swap, "rename", rename)
    with pytest.raises(iotstore.StoreError, match="does not exist"):
        iotstore.restore(backup, place("home"), replace=True)
    assert keys(place("home")) == ["a", "b", "c"]
    assert scratch() == []


KILLED = """
import os, signal, sys
import iotstore
from iotstore_postgres import _backup
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
setattr(_backup, sys.argv[3], die)
iotstore.restore(sys.argv[1], sys.argv[2], replace=True)
"""


@pytest.mark.parametrize("when", ["_name_schema", "_carry", "_put"])
def test_a_restore_that_is_killed_leaves_the_old_store_and_the_next_one_removes_what_is_left(
    place: Place, backup: Path, when: str, scratch: Callable[[], list[str]]
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(backup), place("home"), when], timeout=120, check=False, env=dict(os.environ)
    )
    assert done.returncode == -signal.SIGKILL
    assert scratch() != []
    assert keys(place("home")) == ["a", "b", "c"]
    iotstore.restore(backup, place("home"), replace=True)
    assert keys(place("home")) == ["a", "b"]
    assert scratch() == []


def test_only_a_scratch_store_is_installed(connect: Open, settings: Make) -> None:
    with pytest.raises(NotAllowed, match="only a scratch store can be installed"):
        connect().install(settings(schema="elsewhere"), nothing, replace=True)


def test_a_native_backup_is_proven_only_near_a_server(backup: Path, tmp_path: Path, place: Place) -> None:
    with iotstore.open(f"sqlite:///{tmp_path / 'home.db'}") as store:
        with pytest.raises(BackupError, match=r"a native backup of postgresql .*--url postgresql://"):
            store.backups.verify(backup)
        with pytest.raises(BackupError, match="can't become a sqlite store"):
            iotstore.restore(backup, f"sqlite:///{tmp_path / 'new.db'}")
        lite = store.backups.create()
    with iotstore.open(place("home")) as store:
        assert store.backups.verify(backup).counts["device"] == 2
        assert store.backups.verify(lite.path).proven


@pytest.mark.full
def test_hypertables_are_backed_up_and_restored_with_their_database(tmp_path: Path) -> None:
    """Their chunks lie outside of the schema; the jobs of the restored database are stopped until it is installed."""
    url = server_url("timescale")
    database = f"hyper_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {database}".encode())
        base = url.rpartition("/")[0]
        with iotstore.open(f"{base}/{database}") as store:
            fill(store, "a")
            with psycopg.connect(f"{base}/{database}", autocommit=True) as own:
                own.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
                own.execute("CREATE TABLE iotstore.hyper (time int8 PRIMARY KEY)")
                own.execute("SELECT create_hypertable('iotstore.hyper', by_range('time', 1000))")
                own.execute("INSERT INTO iotstore.hyper SELECT * FROM generate_series(1, 5000)")
            made = store.backups.create(tmp_path)
            fill(store, "b")
        kept = iotstore.restore(made.path, f"{base}/{database}", replace=True).kept
        assert kept is not None
        assert keys(f"{base}/{database}") == ["a"]
        assert keys(f"{base}/{kept}") == ["a", "b"]
        with psycopg.connect(f"{base}/{database}", autocommit=True) as own:
            own.execute("INSERT INTO iotstore.hyper VALUES (9999)")
            found = own.execute("SELECT num_chunks FROM timescaledb_information.hypertables").fetchall()
            assert found == [(7,)]
            own.execute("CREATE SCHEMA other; CREATE TABLE other.t (a int)")
        with iotstore.open(f"{base}/{database}") as store, pytest.raises(BackupError, match="and other is in it; give"):
            store.backups.create(tmp_path)
        for name in (database, kept):
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_without_a_folder_backups_lie_in_the_working_directory_under_the_name_of_the_store(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with iotstore.open(place("home")) as store:
        fill(store, "a")
        folder = store.backups.default_directory()
        assert folder is not None
        assert folder.parent == Path("backups")
        assert folder.name.endswith("_home")
        assert '"' not in folder.name
        assert store.backups.create().path.parent == tmp_path / folder


def test_a_migration_that_deletes_takes_a_backup_first_on_a_server_too(
    place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with iotstore.open(place("home"), kinds=[Kind(_Meter, "meter", "serial")]) as store:
        store.records("meter").put(_Meter(serial="m-1", room="Cellar"))
    shorter = Kind(_ShortMeter, "meter", "serial", version=2, steps=[Drop(2, "room")])
    with iotstore.open(place("home"), kinds=[shorter]) as store:
        (made,) = store.backups.list()
        assert made.proven
        assert made.label == "before-migration-meter"
        assert store.records("meter").get("m-1") == _ShortMeter(serial="m-1")
