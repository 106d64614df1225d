"""The file: how it is made, who may read it, what is refused without a trace, and native backups."""

from __future__ import annotations

import os
import shutil
import sqlite3
import stat
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotstore.backend import (
    BackupError,
    Busy,
    Capability,
    ConfigurationError,
    Corrupt,
    CreateLayout,
    Durability,
    Layout,
    NewerSchema,
    NotAllowed,
    NotAStore,
    OnConflict,
    PointType,
    ReadOnly,
    Settings,
    StoreError,
    Unreachable,
)
from iotstore_sqlite import _connection, _files
from iotstore_sqlite.store import SqliteBackend

Make = Callable[..., Settings]
FLOAT = PointType.FLOAT


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@contextmanager
def untouched(folder: Path) -> Iterator[None]:
    before = content(folder)
    yield
    assert content(folder) == before


@pytest.fixture
def made(settings: Make, tmp_path: Path, flows: Layout) -> Path:
    """A closed store with a thousand points and a layout."""
    backend = SqliteBackend.connect(settings())
    with backend.write() as session:
        session.apply([CreateLayout(flows)])
        session.append(FLOAT, [1] * 1_000, range(1_000), [0.5] * 1_000, OnConflict.ERROR)
    backend.close()
    return tmp_path / "home.db"


def test_files_are_the_owners_alone_and_so_are_folders_made_for_them(settings: Make, tmp_path: Path) -> None:
    backend = SqliteBackend.connect(settings("a/b/home.db"))
    with backend.write() as session:
        session.reserve("x", 1)
    files = {path.name: mode(path) for path in (tmp_path / "a" / "b").iterdir()}
    assert set(files) == {"home.db", "home.db-wal", "home.db-shm"}
    assert set(files.values()) == {0o600}
    assert (mode(tmp_path / "a"), mode(tmp_path / "a" / "b")) == (0o700, 0o700)
    backend.close()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["home.db"]


def test_a_file_names_its_application_and_format_before_anything_is_written(settings: Make, tmp_path: Path) -> None:
    backend = SqliteBackend.connect(settings())
    header = (tmp_path / "home.db").read_bytes()[:100]
    assert header[68:72] == b"iots"
    assert int.from_bytes(header[60:64], "big") == _files.FORMAT
    backend.close()


def test_a_relative_path_stays_the_file_it_was_when_the_process_changes_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    backend = SqliteBackend.connect(Settings("sqlite", None, None, (), "home db?#%.db", "sqlite:///home.db", {}))
    monkeypatch.chdir("/")
    with backend.write() as session:
        session.reserve("x", 1)
    backend.close()
    assert [path.name for path in tmp_path.iterdir()] == ["home db?#%.db"]


def test_a_missing_store_is_not_made_where_that_is_forbidden(settings: Make, tmp_path: Path) -> None:
    for forbidding in (settings("x/home.db", create=False), settings("x/home.db", read_only=True)):
        with pytest.raises(Unreachable, match="there is no store at"):
            SqliteBackend.connect(forbidding)
    assert list(tmp_path.iterdir()) == []


def corrupt_magic(path: Path) -> None:
    path.write_bytes(b"X" + path.read_bytes()[1:])


def patch(path: Path, offset: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def foreign(path: Path) -> None:
    path.unlink()
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE theirs (x)")
    connection.close()


def orphaned_log(path: Path) -> None:
    path.rename(path.with_name("home.db-wal"))


REFUSALS = {
    "text": (lambda path: path.write_text("hello"), NotAStore, "is not an SQLite database"),
    "no magic": (corrupt_magic, NotAStore, "is not an SQLite database"),
    "another application": (foreign, NotAStore, "of another application"),
    "empty": (lambda path: os.truncate(path, 0), Corrupt, "is empty.*iotstore backup list.*remove the file"),
    "cut short": (cut, Corrupt, "is cut short.*iotstore backup restore"),
    "damaged schema": (lambda path: patch(path, 100, b"\xff" * 300), Corrupt, "can't be read.*iotstore backup"),
    "newer format": (
        lambda path: patch(path, 60, b"\0\0\0\x63"),
        NewerSchema,
        "has storage format 99.*upgrade iotstore",
    ),
    "no format": (lambda path: patch(path, 60, b"\0\0\0\0"), Corrupt, "names no storage format"),
    "log without file": (orphaned_log, Corrupt, "is missing, but its log home.db-wal is there"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_what_is_no_whole_store_of_ours_is_refused_and_not_touched(
    made: Path, settings: Make, tmp_path: Path, name: str
) -> None:
    damage, error, text = REFUSALS[name]
    damage(made)
    for options in ({}, {"read_only": True}):
        with untouched(tmp_path), pytest.raises(error, match=text):
            SqliteBackend.connect(settings(**options))


def test_a_folder_and_a_pipe_are_no_stores(settings: Make, tmp_path: Path) -> None:
    (tmp_path / "folder.db").mkdir()
    os.mkfifo(tmp_path / "pipe.db")
    for name in ("folder.db", "pipe.db"):
        with pytest.raises(NotAStore, match="is not a file"):
            SqliteBackend.connect(settings(name))


def test_a_file_where_a_folder_should_be_is_told(settings: Make, made: Path) -> None:
    with pytest.raises(StoreError, match=r"home\.db"):
        SqliteBackend.connect(settings("home.db/inner.db"))
    assert made.exists()


@contextmanager
def somebody_else() -> Iterator[None]:
    """Permissions do not bind root, so root becomes nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.parametrize("what", ["folder", "file", "new"])
def test_a_folder_or_file_without_permission_to_write_is_read_only(what: str) -> None:
    folder = Path(tempfile.mkdtemp())  # not the test's own folder: that one is closed to others
    try:
        path = folder / "home.db"
        settings = Settings("sqlite", None, None, (), str(path), "sqlite:///home.db", {})
        if what != "new":
            SqliteBackend.connect(settings).close()
            path.chmod(0o444 if what == "file" else 0o666)
        folder.chmod(0o777 if what == "file" else 0o555)
        with somebody_else(), untouched(folder), pytest.raises(ReadOnly, match=r"takes no writes|can't be written"):
            SqliteBackend.connect(settings)
    finally:
        folder.chmod(0o700)
        shutil.rmtree(folder)


def test_damage_deeper_in_the_file_is_corrupt_when_it_is_met_and_verify_finds_it(made: Path, settings: Make) -> None:
    size = made.stat().st_size
    for page in range(2, size // 4096):
        patch(made, page * 4096, b"\xfe" * 4096)
    backend = SqliteBackend.connect(settings())
    try:
        with backend.read() as session, pytest.raises(Corrupt, match=r"is damaged.*iotstore backup restore"):
            list(session.scan(1, FLOAT, None, None))
        assert backend.verify()[0].status == "failed"
    finally:
        backend.close()


@pytest.mark.usefixtures("made")
def test_a_read_only_store_reads_and_refuses_to_write(settings: Make) -> None:
    backend = SqliteBackend.connect(settings(read_only=True))
    with backend.read() as session:
        assert session.count() == 1_000
        with pytest.raises(ReadOnly, match="takes no writes"):
            session.rows("DELETE FROM iotstore_points", ())
    with pytest.raises(NotAllowed, match="was opened read-only"):
        backend.write()
    backend.close()
    with pytest.raises(NotAllowed, match="the store is closed"):
        backend.write()


def test_a_reader_can_not_write_in_any_store(backend: SqliteBackend) -> None:
    with backend.read() as session, pytest.raises(ReadOnly, match="takes no writes"):
        session.rows("DELETE FROM iotstore_points", ())


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"durability": "some"}, "durability: 'some' is not known"),
        ({"readers": 0}, "readers: 0 is not a number of 1 or more"),
        ({"busy_timeout": -1.0}, "busy_timeout"),
        ({"cache_mb": True}, "cache_mb"),
    ],
)
def test_options_outside_their_range_are_refused(
    settings: Make, tmp_path: Path, options: dict[str, object], text: str
) -> None:
    with pytest.raises(ConfigurationError, match=text):
        SqliteBackend.connect(settings(**options))
    assert list(tmp_path.iterdir()) == []


def test_a_url_without_a_file_is_refused(settings: Make) -> None:
    with pytest.raises(ConfigurationError, match="names no file"):
        SqliteBackend.connect(settings()._replace(path=""))
    with pytest.raises(ConfigurationError, match="read_only makes no sense"):
        SqliteBackend.connect(settings(":memory:", read_only=True))


@pytest.mark.parametrize(("durability", "level"), [("full", 2), ("normal", 1)])
def test_durability_is_what_the_writer_syncs(settings: Make, durability: str, level: int) -> None:
    backend = SqliteBackend.connect(settings(durability=durability))
    assert backend.durability is Durability(durability)
    with backend.write() as session:
        assert session.rows("PRAGMA synchronous", ()) == [(level,)]
        assert session.rows("PRAGMA foreign_keys", ()) == [(1,)]
    with backend.read() as session:
        assert session.rows("PRAGMA foreign_keys", ()) == [(1,)]
    backend.close()


def test_two_stores_in_memory_are_two_and_leave_nothing(settings: Make) -> None:
    one, two = SqliteBackend.connect(settings(":memory:")), SqliteBackend.connect(settings(":memory:"))
    folder = one._path.parent
    assert mode(folder) == 0o700
    with one.write() as session:
        session.append(FLOAT, [1], [1], [1.0], OnConflict.ERROR)
        with one.read() as reading:  # the same isolation as a file: readers see what is committed, and do not wait
            assert reading.count() == 0
    with one.read() as mine, two.read() as other:
        assert (mine.count(), other.count()) == (1, 0)
    assert one.durability is Durability.NONE
    assert not one.capabilities.has(Capability.PERSISTENCE)
    one.close()
    two.close()
    assert not folder.exists()


def test_without_shared_memory_the_store_falls_back_and_says_so(
    settings: Make, monkeypatch: pytest.MonkeyPatch, flows: Layout
) -> None:
    connect = sqlite3.connect

    def without_log(database: str, **options: object) -> sqlite3.Connection:
        # SQLite's VFS for file systems whose locks can't be trusted has no shared memory, like a network share.
        return connect(f"{database}&vfs=unix-dotfile", **options)  # type: ignore[call-overload, no-any-return]

    monkeypatch.setattr(_connection.sqlite3, "connect", without_log)
    backend = SqliteBackend.connect(settings(busy_timeout=0.1))
    try:
        assert not backend.capabilities.has(Capability.CONCURRENT_READS)
        assert not backend.capabilities.has(Capability.SNAPSHOTS)
        journal = backend.health()[0]
        assert (journal.name, journal.status) == ("journal", "warning")
        assert "local disk" in journal.detail
        with backend.write() as session:
            session.apply([CreateLayout(flows)])
        with backend.read() as reading:
            assert reading.layouts() == {"flows"}
        with backend.snapshot() as snapshot:
            assert snapshot.count() == 0
            with pytest.raises(Busy, match=r"was not free within 0\.1 seconds"):
                backend.write()  # a reader is in the way: here they do wait for each other
        with backend.write() as session:
            assert session.append(FLOAT, [1], [1], [1.0], OnConflict.ERROR).stored == 1
    finally:
        backend.close()


def test_health_tells_open_permissions_and_a_large_log(made: Path, settings: Make) -> None:
    backend = SqliteBackend.connect(settings())
    assert {check.name: check.status for check in backend.health()} == {
        "journal": "ok", "log": "ok", "disk": "ok", "permissions": "ok", "free pages": "ok", "foreign keys": "ok",
    }  # fmt: skip
    made.chmod(0o644)
    found = {check.name: check for check in backend.health()}
    assert found["permissions"].status == "warning"
    assert "chmod 600" in found["permissions"].detail
    backend.close()


def test_compacting_gives_the_space_of_deleted_points_back(made: Path, settings: Make, flows: Layout) -> None:
    backend = SqliteBackend.connect(settings())
    with backend.write() as session:
        session.append(FLOAT, [2] * 50_000, range(50_000), [0.5] * 50_000, OnConflict.ERROR)
        places = {place.name: place for place in backend.places([flows])}
    places = {place.name: place for place in backend.places([flows])}
    assert (places["points"].rows, places["flows"].rows) == (51_000, 0)
    with backend.write() as session:
        session.erase([2], None, None)
    backend.optimise(compact=False)
    before = made.stat().st_size
    done = backend.optimise(compact=True)
    assert "bytes given back" in done["compact"]
    assert made.stat().st_size < before / 10
    assert [check.status for check in backend.verify()] == ["ok", "ok"]
    backend.close()


def nothing(_done: int, _total: int) -> None:
    """A progress that nobody watches."""


@pytest.mark.usefixtures("made")
def test_a_backup_taken_while_ten_threads_write_is_the_snapshot_in_one_plain_file(
    settings: Make, tmp_path: Path
) -> None:
    backend = SqliteBackend.connect(settings())
    with backend.write() as session:
        session.append(FLOAT, [2] * 200_000, range(200_000), [0.5] * 200_000, OnConflict.ERROR)
    stop = threading.Event()
    failures: list[BaseException] = []

    def writing(number: int) -> None:
        time = 0
        try:
            while not stop.is_set():
                with backend.write() as session:
                    session.append(FLOAT, [number] * 100, range(time, time + 100), [1.0] * 100, OnConflict.ERROR)
                time += 100
        except BaseException as error:  # noqa: BLE001 - told by the test
            failures.append(error)

    threads = [threading.Thread(target=writing, args=(number,)) for number in range(10, 20)]
    target = tmp_path / "copy.sqlite"
    steps: list[tuple[int, int]] = []
    with backend.snapshot() as snapshot:
        expected = snapshot.count()
        for thread in threads:
            thread.start()
        backend.copy_out(target, snapshot, lambda done, total: steps.append((done, total)))
        assert snapshot.count() == expected
    stop.set()
    for thread in threads:
        thread.join()
    assert failures == []
    assert [done for done, _ in steps] == sorted({done for done, _ in steps}), "the copy started over"
    assert len({total for _, total in steps}) == 1
    assert steps[-1][0] == steps[-1][1]
    assert mode(target) == 0o600
    backend.close()
    with untouched(tmp_path):
        copy = open_copy(target)
        with copy.read() as session:
            assert session.count() == expected
        assert [check.status for check in copy.verify()] == ["ok", "ok"]
        with pytest.raises(NotAllowed, match="read-only"):
            copy.write()
        copy.close()


@pytest.mark.usefixtures("made")
def test_a_backup_needs_a_snapshot_and_a_free_name_and_leaves_nothing_when_it_fails(
    settings: Make, tmp_path: Path
) -> None:
    backend = SqliteBackend.connect(settings())
    target = tmp_path / "copy.sqlite"

    def interrupted(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with backend.read() as session, pytest.raises(NotAllowed, match="taken from a snapshot"):
        backend.copy_out(target, session, nothing)
    with backend.snapshot() as snapshot:
        with pytest.raises(KeyboardInterrupt):
            backend.copy_out(target, snapshot, interrupted)
        assert not target.exists()
        backend.copy_out(target, snapshot, nothing)
        with pytest.raises(BackupError, match="exists already"):
            backend.copy_out(target, snapshot, nothing)
        with pytest.raises(StoreError, match="can't be reached"):
            backend.copy_out(tmp_path / "no" / "copy.sqlite", snapshot, nothing)
        assert snapshot.count() == 1_000
    backend.close()


def open_copy(source: Path) -> SqliteBackend:
    nowhere = Settings("sqlite", None, None, (), "", "sqlite://", {})
    return SqliteBackend.open_copy(source, nowhere, nothing)


def install(source: Path, settings: Settings, *, replace: bool) -> Path | None:
    """Install what a backup file holds."""
    copy = open_copy(source)
    try:
        kept = copy.install(settings, nothing, replace=replace)
    finally:
        copy.close()
    return None if kept is None else Path(kept)


@pytest.fixture
def copy(made: Path, settings: Make) -> Path:
    target = made.with_name("copy.sqlite")
    backend = SqliteBackend.connect(settings())
    with backend.snapshot() as snapshot:
        backend.copy_out(target, snapshot, nothing)
    backend.close()
    return target


def test_installing_refuses_an_existing_store_and_leaves_it(copy: Path, settings: Make, tmp_path: Path) -> None:
    with untouched(tmp_path), pytest.raises(NotAllowed, match=r"there is a store at .* already"):
        install(copy, settings(), replace=False)
    assert install(copy, settings("new/home.db"), replace=False) is None
    assert mode(tmp_path / "new" / "home.db") == 0o600
    backend = SqliteBackend.connect(settings("new/home.db"))
    with backend.read() as session:
        assert session.count() == 1_000
    backend.close()


@pytest.mark.parametrize("damage", [None, cut, foreign])
def test_replacing_keeps_the_old_store_beside_the_new_one(
    copy: Path, made: Path, settings: Make, damage: Callable[[Path], None] | None
) -> None:
    backend = SqliteBackend.connect(settings())
    with backend.write() as session:
        session.erase([1], None, None)
    backend.close()
    if damage is not None:
        damage(made)
    old = made.read_bytes()
    kept = install(copy, settings(), replace=True)
    assert kept is not None
    assert kept.name.startswith("home.db.before-restore-")
    assert damage is None or kept.read_bytes() == old
    backend = SqliteBackend.connect(settings())
    with backend.read() as session:
        assert session.count() == 1_000
    backend.close()
    if damage is None:
        before = open_copy(kept)
        with before.read() as session:
            assert session.count() == 0
        before.close()


def test_replacing_a_store_in_use_is_busy_and_changes_nothing(copy: Path, settings: Make, tmp_path: Path) -> None:
    backend = SqliteBackend.connect(settings())
    with pytest.raises(Busy, match="is open in another process or store; close it there"):
        install(copy, settings(), replace=True)
    assert not list(tmp_path.glob("*before-restore*"))
    with backend.write() as session:
        assert session.count() == 1_000
    backend.close()


def test_a_damaged_backup_is_never_installed(copy: Path, settings: Make, tmp_path: Path) -> None:
    cut(copy)
    with untouched(tmp_path), pytest.raises(Corrupt, match="is cut short"):
        install(copy, settings(), replace=True)
    copy.unlink()
    with untouched(tmp_path), pytest.raises(BackupError, match="there is no backup at"):
        install(copy, settings(), replace=True)


def test_the_log_of_a_lost_store_is_kept_and_never_played_into_another(
    copy: Path, made: Path, settings: Make, tmp_path: Path
) -> None:
    made.unlink()
    (tmp_path / "home.db-wal").write_bytes(b"log of a lost file")
    with untouched(tmp_path), pytest.raises(Corrupt, match="is missing, but its log"):
        install(copy, settings(), replace=False)
    install(copy, settings(), replace=True)
    (kept,) = tmp_path.glob("*before-restore*-wal")
    assert kept.read_bytes() == b"log of a lost file"
    backend = SqliteBackend.connect(settings())
    with backend.read() as session:
        assert session.count() == 1_000
    backend.close()


def test_two_that_create_the_same_store_at_once_get_the_same_one(settings: Make, tmp_path: Path) -> None:
    opened: list[SqliteBackend] = []
    gate = threading.Barrier(4)

    def opening() -> None:
        gate.wait()
        opened.append(SqliteBackend.connect(settings()))

    threads = [threading.Thread(target=opening) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    first = []
    for backend in opened:
        with backend.write() as session:
            first.append(session.reserve("x", 1))
    assert first == [1, 2, 3, 4]
    for backend in opened:
        backend.close()
    assert [path.name for path in tmp_path.iterdir()] == ["home.db"]
