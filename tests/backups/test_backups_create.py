"""Taking backups: while writers write, private, never under one name, and proven before they count."""

import contextlib
import fcntl
import os
import resource
import stat
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Connection, ManualClock, Point
from iotstore._catalogue import native, portable
from iotstore._engine.powers import series_writer
from iotstore._waist.contract import Check
from iotstore._waist.queries import OnConflict, PointType
from iotstore.errors import BackupError, ConfigurationError, Corrupt, InvalidValue, NotAllowed, ReadOnly, StorageFull

FORMATS = ["native", "portable"]
Digests = Callable[[iotstore.Store], Any]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_backup_holds_what_the_store_holds_and_says_so(store: iotstore.Store, digests: Digests, format_: Any) -> None:
    made = store.backups.create(format=format_, label="before the holidays")

    assert made.counts == {summary.name: summary.count for summary in digests(store)}
    assert made.counts["points"] == 9000 + 4096 + 100
    assert made.counts["probe"] == 2
    assert (made.format, made.label, made.backend, made.proven) == (format_, "before the holidays", "sqlite", True)
    assert made.created == store.clock.now()
    assert store.backups.list() == [made]
    assert store.backups.verify(made.path) == made


@pytest.mark.parametrize("format_", FORMATS)
def test_backups_lie_beside_the_store_unless_a_folder_is_named(
    store: iotstore.Store, tmp_path: Path, format_: Any
) -> None:
    assert store.backups.create(format=format_).path.parent == store.backups.default_directory()
    assert store.backups.create(tmp_path / "a" / "b", format=format_).path.parent == tmp_path / "a" / "b"


@pytest.mark.parametrize("format_", FORMATS)
def test_backups_are_for_their_owner_only_whatever_the_umask(
    store: iotstore.Store, tmp_path: Path, format_: Any
) -> None:
    before = os.umask(0)
    try:
        made = store.backups.create(tmp_path / "deep" / "er", format=format_)
    finally:
        os.umask(before)

    files = sorted(made.path.parent.iterdir())
    assert len(files) == (2 if format_ == "native" else 1)
    assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
    assert {stat.S_IMODE(folder.stat().st_mode) for folder in (tmp_path / "deep", tmp_path / "deep" / "er")} == {0o700}


@pytest.mark.parametrize("format_", FORMATS)
def test_backups_of_the_same_microsecond_are_all_there(store: iotstore.Store, format_: Any) -> None:
    """The clock of the test stands still."""
    made = [store.backups.create(format=format_) for _ in range(3)]

    assert len({backup.path for backup in made}) == 3
    assert {backup.created for backup in made} == {store.clock.now()}
    assert [backup.proven for backup in store.backups.list()] == [True] * 3


def test_two_backups_at_once_are_two_good_backups(store: iotstore.Store) -> None:
    barrier, made = threading.Barrier(2), []

    def take(format_: Any) -> None:
        barrier.wait()
        made.append(store.backups.create(format=format_))

    threads = [threading.Thread(target=take, args=(format_,)) for format_ in FORMATS]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [store.backups.verify(backup.path).counts for backup in made] == [made[0].counts] * 2


@pytest.mark.parametrize("format_", FORMATS)
def test_a_backup_during_ten_threads_of_writes_holds_whole_transactions(
    store: iotstore.Store, url: str, format_: Any
) -> None:
    """Each thread writes a flow and a point in one transaction: a backup holds both of them or neither."""
    stop, errors = threading.Event(), []
    base = store.connections.count()

    def work(number: int) -> None:
        count = 0
        try:
            while not stop.is_set():
                when = store.clock.now() + timedelta(seconds=number, microseconds=count)
                with store.transaction():
                    store.connections.add(Connection(device=f"cam-{number % 5}", time=when))
                    store.telemetry.write([Point(f"cam-{number % 5}", f"load-{number}", when, 1.0)])
                count += 1
        except Exception as error:  # noqa: BLE001 - reported by the test
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    try:
        made = [store.backups.create(format=format_) for _ in range(3)]
    finally:
        stop.set()
        for thread in threads:
            thread.join()

    assert errors == []
    points = 9000 + 4096 + 100
    assert [backup.counts["connection"] - base for backup in made] == [b.counts["points"] - points for b in made]
    assert made[0].counts["points"] < made[-1].counts["points"] <= store.telemetry.count()
    assert iotstore.restore(made[1].path, url).counts == made[1].counts


def test_a_store_in_memory_is_backed_up_into_a_named_folder(
    clock: ManualClock, fill_store: Callable[..., None], tmp_path: Path, digests: Digests, url: str
) -> None:
    with iotstore.open("sqlite://:memory:", clock=clock) as store:
        fill_store(store, points=4100)
        with pytest.raises(ConfigurationError, match="name a directory"):
            store.backups.create()
        made = store.backups.create(tmp_path / "b")
        expected = digests(store)

    iotstore.restore(made.path, url)
    with iotstore.open(url) as restored:
        assert digests(restored) == expected


def test_a_backup_inside_a_transaction_is_refused(store: iotstore.Store) -> None:
    with store.transaction(), pytest.raises(NotAllowed, match=r"inside a transaction.*commit it first"):
        store.backups.create()


def test_wrong_words_are_refused_before_anything_is_written(store: iotstore.Store, tmp_path: Path) -> None:
    with pytest.raises(InvalidValue, match="'tar' is neither"):
        store.backups.create(format="tar")  # type: ignore[arg-type]
    with pytest.raises(InvalidValue, match="label: has more than"):
        store.backups.create(label="x" * 501)
    assert not (tmp_path / "backups").exists()


@pytest.mark.parametrize("format_", FORMATS)
def test_progress_only_grows_within_each_piece_of_work_and_reaches_its_end(store: iotstore.Store, format_: Any) -> None:
    told: dict[str, list[tuple[int, int]]] = {}

    store.backups.create(
        format=format_, progress=lambda done, total, what: told.setdefault(what.split()[0], []).append((done, total))
    )

    assert set(told) >= {"proving", "copying" if format_ == "native" else "writing"}
    for steps in told.values():
        assert all(0 <= done <= total for done, total in steps)
        assert [done for done, _ in steps] == sorted(done for done, _ in steps)
        assert steps[-1][0] == steps[-1][1]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_progress_that_raises_ends_the_backup_and_leaves_nothing(store: iotstore.Store, format_: Any) -> None:
    def stop(done: int, _total: int, what: str) -> None:
        if what.startswith("proving") and done:
            raise KeyboardInterrupt("stopped")

    with pytest.raises(KeyboardInterrupt, match="stopped"):
        store.backups.create(format=format_, progress=stop)

    folder = store.backups.default_directory()
    assert folder is not None
    assert list(folder.iterdir()) == []


def _flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    at = data.index("état 7".encode())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_copy_that_differs_from_the_store_never_becomes_a_backup(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ "Verified" once meant that the file was not empty."""
    whole = native.native_file

    def damaged(path: Path) -> Any:
        _flip(path)
        return whole(path)

    monkeypatch.setattr(native, "native_file", damaged)

    with pytest.raises(BackupError, match=r"is not what was backed up: the 13196 rows of points are not the same"):
        store.backups.create()
    assert store.backups.list() == []


def test_a_copy_that_the_engine_itself_finds_damaged_never_becomes_a_backup(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An index can be damaged although every row reads well."""
    monkeypatch.setattr(
        type(store.backend), "verify", lambda _: [Check("integrity", "failed", "row 3 missing from index")]
    )

    with pytest.raises(BackupError, match="is not what was backed up: integrity: row 3 missing from index"):
        store.backups.create()
    assert store.backups.list() == []


def test_a_portable_file_that_was_written_wrongly_never_becomes_a_backup(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal_file = portable._seal_file

    def damaged(file: Any) -> None:
        seal_file(file)
        file.seek(1000)
        file.write(b"\0\1\2\3")
        file.flush()

    monkeypatch.setattr(portable, "_seal_file", damaged)

    with pytest.raises(BackupError, match="its bytes are not those that were written"):
        store.backups.create(format="portable")
    assert store.backups.list() == []


@pytest.mark.parametrize("format_", FORMATS)
def test_a_store_with_points_of_no_series_is_damaged_and_gives_no_backup(store: iotstore.Store, format_: Any) -> None:
    with store.backend.write() as session:
        series_writer(store.backend, session).append(PointType.FLOAT, [999, 999], [1, 2], [0.5, 1.5], OnConflict.ERROR)

    with pytest.raises(Corrupt, match="2 points belong to no series; run `iotstore verify`"):
        store.backups.create(format=format_)
    assert store.backups.list() == []


FULL_DISK = """
import resource, sys
import iotstore
from iotstore.errors import Failed
store = iotstore.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, 150_000))
try:
    store.backups.create(sys.argv[2], format=sys.argv[3])
except Failed as error:
    print(type(error).__name__)
print(store.connections.count())
"""


@pytest.mark.parametrize(("format_", "error"), [("native", "EngineError"), ("portable", "StorageFull")])
def test_a_full_disk_is_its_own_error_leaves_nothing_and_keeps_the_store_usable(
    store: iotstore.Store, tmp_path: Path, format_: str, error: str
) -> None:
    """A limit on the size of files stands for the full disk. SQLite takes that one for a fault of the disk."""
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] == resource.RLIM_INFINITY
    store.close()
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, f"sqlite:///{tmp_path / 'home.db'}", str(tmp_path / "b"), format_],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert (done.stdout.splitlines(), done.returncode) == ([error, "700"], 0), done.stderr
    assert list((tmp_path / "b").iterdir()) == []


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


def test_a_folder_that_takes_no_writes_is_its_own_error(store: iotstore.Store) -> None:
    folder = Path(tempfile.mkdtemp())  # not the test's own folder: that one is closed to others
    folder.chmod(0o555)
    try:
        with somebody_else(), pytest.raises(ReadOnly, match="choose a folder"):
            store.backups.create(folder)
    finally:
        folder.chmod(0o700)
        folder.rmdir()


def test_a_folder_that_is_a_file_is_an_error(store: iotstore.Store, tmp_path: Path) -> None:
    (tmp_path / "b").write_text("mine")

    with pytest.raises(BackupError, match=r"making a backup in .*b failed"):
        store.backups.create(tmp_path / "b")


@pytest.mark.parametrize(("number", "kind"), [(28, StorageFull), (122, StorageFull), (30, ReadOnly), (5, BackupError)])
def test_errors_of_the_file_system_are_translated(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch, number: int, kind: type[Exception]
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(portable, "_seal_file", fail)

    with pytest.raises(kind, match=f"failed: {os.strerror(number)}"):
        store.backups.create(format="portable")
    assert store.backups.list() == []


KILLED = """
import os, sys
import iotstore
def die(done, total, what):
    if what.startswith(sys.argv[3]) and done:
        os.kill(os.getpid(), 9)
iotstore.open(sys.argv[1]).backups.create(format=sys.argv[2], progress=die)
"""


@pytest.mark.parametrize(("format_", "when"), [("native", "copying"), ("native", "proving"), ("portable", "writing")])
def test_a_killed_attempt_is_no_backup_and_the_next_rotation_removes_it(
    store: iotstore.Store, tmp_path: Path, format_: Any, when: str
) -> None:
    made = store.backups.create(format=format_)
    subprocess.run(
        [sys.executable, "-c", KILLED, f"sqlite:///{tmp_path / 'home.db'}", format_, when], timeout=60, check=False
    )
    (left,) = made.path.parent.glob(".*.partial")

    assert store.backups.list() == [made]
    assert store.backups.rotate(keep=3) == [left]
    assert [path for path in made.path.parent.iterdir() if path.name.startswith(".")] == []
    assert store.backups.list() == [made]


def test_a_rotation_leaves_an_attempt_alone_that_is_being_made(store: iotstore.Store) -> None:
    rotated: list[Path] = []

    def rotate(*_: object) -> None:
        rotated.extend(store.backups.rotate(keep=1))

    store.backups.create(progress=rotate)

    assert rotated == []
    assert len(store.backups.list()) == 1


def test_an_attempt_survives_a_sweep_between_making_its_folder_and_locking_it(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    swept: list[list[Path]] = []
    flock = fcntl.flock

    def sweeping(handle: int, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            with contextlib.suppress(FileNotFoundError):
                swept.append([])
                swept.append(store.backups.rotate())
        flock(handle, how)

    monkeypatch.setattr(fcntl, "flock", sweeping)
    made = store.backups.create()

    assert len(swept[1]) == 1
    assert store.backups.list() == [made]


def test_names_sort_by_time(store: iotstore.Store, clock: ManualClock) -> None:
    made = []
    for _ in range(3):
        made.append(store.backups.create())
        clock.advance(timedelta(microseconds=1))

    assert [backup.path for backup in store.backups.list()] == sorted((b.path for b in made), reverse=True)
    assert made[0].created == datetime.fromisoformat("2026-03-01T12:00:00+00:00")
