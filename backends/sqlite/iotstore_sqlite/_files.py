"""The database file: whether it is ours, whole and writable, before anything opens it; and how it comes into being."""

from __future__ import annotations

import errno
import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from iotstore.backend import (
    Corrupt,
    EngineError,
    NewerSchema,
    NotAStore,
    ReadOnly,
    StorageFull,
    StoreError,
    Unreachable,
)
from iotstore_sqlite._connection import open_file
from iotstore_sqlite._errors import DRIVER_ERRORS, RESTORE_HINT, translated
from iotstore_sqlite._points import CREATE_POINTS

#: "iots" in ASCII, in the header of every file of ours.
APPLICATION_ID: Final = 0x696F7473
#: How points and counters lie in the file. Raised when they change; older code refuses the file then.
FORMAT: Final = 1

_MAGIC: Final = b"SQLite format 3\0"
_CREATE_COUNTERS: Final = (
    "CREATE TABLE iotstore_counters (name TEXT NOT NULL PRIMARY KEY, next INTEGER NOT NULL) STRICT, WITHOUT ROWID"
)
_PRIVATE_MODE: Final = 0o600
_FOLDER_MODE: Final = 0o700


@contextmanager
def translating_files(path: Path) -> Iterator[None]:
    """Turn the system's errors about *path* into the core's."""
    try:
        yield
    except OSError as error:
        raise file_error(path, error) from error


def file_error(path: Path, error: OSError) -> StoreError:
    """The core's error for one of the system's."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT | errno.EFBIG:
            return StorageFull(f"no room is left for {path} ({reason})", hint="free space on the disk, then retry")
        case errno.EROFS | errno.EACCES | errno.EPERM:
            return ReadOnly(
                f"{path} can't be written ({reason})", hint="check the permissions of the file and its folder"
            )
        case errno.ENOENT | errno.ENOTDIR | errno.ELOOP | errno.ENAMETOOLONG | errno.EISDIR:
            return Unreachable(f"{path} can't be reached ({reason})", hint="check the path in the URL")
        case _:
            return EngineError(f"the system failed on {path} ({reason})")


def beside(path: Path, suffix: str) -> Path:
    """A file that SQLite keeps beside the database: ``-wal``, ``-shm`` or ``-journal``."""
    return path.with_name(path.name + suffix)


def _pending(path: Path) -> bool:
    """Whether a log or journal beside the file holds a part of it."""
    return any(side.exists() and side.stat().st_size > 0 for side in (beside(path, "-wal"), beside(path, "-journal")))


def check_file(path: Path) -> bool:
    """Whether a store is there; raises if what is there is not a whole store of ours. Opens nothing for writing."""
    try:
        about = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _check_missing(path)
    except OSError as error:
        raise file_error(path, error) from error
    if not stat.S_ISREG(about.st_mode):
        raise NotAStore(f"{path} is not a file", hint="name a file in the URL")
    if about.st_size == 0:
        raise Corrupt(
            f"{path} is empty: what was in it is gone, or it was made by something else",
            hint=f"{RESTORE_HINT}, or remove the file to start a new store",
        )
    try:
        with path.open("rb") as file:
            header = file.read(100)
    except OSError as error:
        raise file_error(path, error) from error
    _check_header(path, header)
    if not _pending(path):
        # With a log beside it the file alone may rightly be incomplete; then SQLite's own recovery decides.
        _check_whole(path, header, about.st_size)
    return True


def _check_missing(path: Path) -> bool:
    for suffix in ("-wal", "-journal"):
        if beside(path, suffix).exists():
            raise Corrupt(
                f"{path} is missing, but its log {path.name}{suffix} is there",
                hint=f"put the file back beside its log; else {RESTORE_HINT}, or remove the log to start a new store",
            )
    return False


def _check_header(path: Path, header: bytes) -> None:
    if len(header) < 100 or not header.startswith(_MAGIC):
        raise NotAStore(f"{path} is not an SQLite database", hint="check the path in the URL; the file was not touched")
    if int.from_bytes(header[68:72], "big") != APPLICATION_ID:
        raise NotAStore(
            f"{path} is an SQLite database of another application", hint="check the path in the URL; it was not touched"
        )
    check_format(path, int.from_bytes(header[60:64], "big"))


def check_format(path: Path, found: int) -> None:
    """Raise unless this code knows the physical format."""
    if found > FORMAT:
        raise NewerSchema(
            f"{path} has storage format {found}, this version of iotstore knows {FORMAT}", hint="upgrade iotstore"
        )
    if found < 1:
        raise Corrupt(f"{path} names no storage format", hint=RESTORE_HINT)


def _check_whole(path: Path, header: bytes, size: int) -> None:
    page = int.from_bytes(header[16:18], "big")
    page = 65_536 if page == 1 else page
    pages = int.from_bytes(header[28:32], "big")
    counted = header[24:28] == header[92:96]  # else an old SQLite wrote last, and the page count is stale
    if page < 512 or page & (page - 1) or (counted and size < page * pages):
        raise Corrupt(f"{path} is cut short: {size} bytes of {page * pages}", hint=RESTORE_HINT)
    try:
        # Immutable: no lock, no log, no shared memory: looking leaves no trace.
        with closing(open_file(path, "ro", immutable=True)) as connection:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    except DRIVER_ERRORS as error:
        raise Corrupt(f"{path} can't be read ({error})", hint=RESTORE_HINT) from error
    missing = {"iotstore_points", "iotstore_counters"} - tables
    if missing:
        raise Corrupt(f"{path} lacks the table {min(missing)}", hint=RESTORE_HINT)


def check_writable(path: Path) -> None:
    """Raise ReadOnly unless the file can be written and its folder can hold the log."""
    if not os.access(path, os.W_OK, effective_ids=True):
        raise ReadOnly(f"{path} takes no writes", hint="change its permissions, or open it with read_only=true")
    if not os.access(path.parent, os.W_OK | os.X_OK, effective_ids=True):
        raise ReadOnly(
            f"the folder {path.parent} takes no writes, and the log of {path.name} must lie in it",
            hint="change its permissions, or open the store with read_only=true",
        )


def on_read_only_mount(path: Path) -> bool:
    """Whether the file system itself takes no writes, so that nobody can be writing."""
    return bool(os.statvfs(path).f_flag & os.ST_RDONLY)


def make_folders(folder: Path) -> None:
    """Make the missing folders of a path, for their owner only."""
    missing: list[Path] = []
    while not folder.exists():
        missing.append(folder)
        folder = folder.parent
    for made in reversed(missing):
        made.mkdir(mode=_FOLDER_MODE, exist_ok=True)


def new_file(path: Path) -> None:
    """Make an empty file for its owner only; it must not exist."""
    os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, _PRIVATE_MODE))


def temporary_beside(path: Path) -> Path:
    """A name in the same folder that nobody has."""
    return path.with_name(f".{path.name}.{secrets.token_hex(6)}.new")


def remove_all(path: Path) -> None:
    """Remove a file and what SQLite keeps beside it, if there."""
    for suffix in ("", "-journal", "-wal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)


def sync_file(path: Path) -> None:
    """Make a file's content, or a folder's names, survive loss of power."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def place_new(made: Path, path: Path) -> bool:
    """Give the file *made* the name *path* unless that exists; whether it did. *made* is gone afterwards."""
    try:
        os.link(made, path)  # fails if the name exists: of two processes exactly one wins
    except FileExistsError:
        made.unlink()
        return False
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            raise
        # A file system without links (FAT on an SD card).
        if path.exists():
            made.unlink()
            return False
        made.rename(path)
    else:
        made.unlink()
    sync_file(path.parent)
    return True


def create_file(path: Path) -> None:
    """Make an empty store. It gets its name when it is whole, so that a crash leaves a whole store or none."""
    with translating_files(path):
        make_folders(path.parent)
        made = temporary_beside(path)
        new_file(made)
        try:
            _fill_new(made)
            place_new(made, path)  # if another process was faster, its store is as good
        finally:
            remove_all(made)


def _fill_new(path: Path) -> None:
    try:
        with closing(open_file(path, "rw")) as connection:
            # Measured: larger pages made ingest slower and points no smaller.
            connection.execute("PRAGMA page_size = 4096")
            connection.execute("BEGIN IMMEDIATE")
            connection.execute(CREATE_POINTS)
            connection.execute(_CREATE_COUNTERS)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {FORMAT}")
            connection.execute("COMMIT")
    except DRIVER_ERRORS as error:
        raise translated(error) from error
