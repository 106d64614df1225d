"""Native backups: one plain SQLite file, copied from a snapshot while writers write, and put in place atomically."""

from __future__ import annotations

import errno
import os
import shutil
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from iotstore.backend import BackupError, Busy, NotAllowed, ReadSession, StoreError
from iotstore_sqlite._admin import settle
from iotstore_sqlite._connection import open_file
from iotstore_sqlite._errors import DRIVER_ERRORS, translated
from iotstore_sqlite._files import (
    beside,
    check_file,
    make_folders,
    new_file,
    place_new,
    remove_all,
    sync_file,
    temporary_beside,
    translating_files,
)
from iotstore_sqlite._sessions import SqliteSnapshot

_PAGES_PER_STEP: Final = 1_024


def copy_out(target: Path, session: ReadSession, progress: Callable[[int, int], None]) -> None:
    """Copy what *session* sees to the new file *target*."""
    if not isinstance(session, SqliteSnapshot):
        raise NotAllowed("a copy is taken from a snapshot of an SQLite store")
    with translating_files(target):
        try:
            new_file(target)
        except FileExistsError as error:
            raise BackupError(
                f"{target} exists already", hint="choose another name; nothing was overwritten"
            ) from error
        began = time.monotonic()
        session.pinned = True  # a copy takes as long as it takes: ending it half-way would leave no backup at all
        try:
            _copy(target, session, progress)
        except BaseException:
            remove_all(target)
            raise
        finally:
            session.deadline += time.monotonic() - began
            session.pinned = False
        sync_file(target.parent)


def _copy(target: Path, session: SqliteSnapshot, progress: Callable[[int, int], None]) -> None:
    source, held = session.source()
    try:
        with held:
            copy = open_file(target, "rw")
            try:
                copy.execute("PRAGMA synchronous = OFF")  # the finished file is synced once, below
                # The source is inside its read transaction, so a commit between two steps does not start it over.
                source.backup(
                    copy,
                    pages=_PAGES_PER_STEP,
                    progress=lambda _, remaining, total: progress(total - remaining, total),
                )
                # The copied header says WAL; a backup is one plain file that can be read without a log beside it.
                copy.execute("PRAGMA journal_mode = DELETE").fetchall()
            finally:
                copy.close()
    except DRIVER_ERRORS as error:
        raise translated(error) from error
    sync_file(target)


def check_copy(source: Path) -> None:
    """Raise unless *source* is a whole store in one plain file."""
    if not check_file(source):
        raise BackupError(f"there is no backup at {source}", hint="list them with `iotstore backup list`")
    if any(beside(source, suffix).exists() for suffix in ("-wal", "-journal")):
        raise BackupError(f"{source} has a log beside it: it is a store in use, no backup", hint="take a backup of it")


def install(source: Path, path: Path, *, replace: bool) -> Path | None:
    """Give *path* the content of *source*; returns where an older store was kept."""
    check_copy(source)
    with translating_files(path):
        make_folders(path.parent)
        made = temporary_beside(path)
        new_file(made)
        try:
            shutil.copyfile(source, made)
            sync_file(made)
            if not path.exists():
                _refuse_orphaned_log(path, replace=replace)
            kept = _keep_old(path) if replace and path.exists() else None
            if kept is not None:
                _remove_logs(path)
                made.replace(path)
                sync_file(path.parent)
            elif not place_new(made, path):
                raise NotAllowed(
                    f"there is a store at {path} already", hint="restore to another place, or ask to replace it"
                )
        finally:
            remove_all(made)
    return kept


def _refuse_orphaned_log(path: Path, *, replace: bool) -> None:
    # SQLite would play the log of the lost file into the new one.
    if not replace:
        check_file(path)
    else:
        _keep_logs(path, _kept_name(path))
        _remove_logs(path)


def _kept_name(path: Path) -> Path:
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%fZ")
    return path.with_name(f"{path.name}.before-restore-{stamp}")


def _keep_old(path: Path) -> Path:
    """Give the old file a second name. A damaged one is kept as it is, its log with it."""
    kept = _kept_name(path)
    try:
        check_file(path)
        settle(path)
    except StoreError:
        _keep_logs(path, kept)
    except DRIVER_ERRORS as error:
        reason = translated(error)
        if isinstance(reason, Busy):
            raise Busy(f"{path} is open in another process or store", hint="close it there, then restore") from error
        _keep_logs(path, kept)
    _same_or_copy(path, kept)
    return kept


def _keep_logs(path: Path, kept: Path) -> None:
    for suffix in ("-wal", "-journal"):
        if beside(path, suffix).exists():
            _same_or_copy(beside(path, suffix), beside(kept, suffix))


def _remove_logs(path: Path) -> None:
    # After they are kept and before the new file has the name: a log must never lie beside a file it is not of.
    for suffix in ("-wal", "-journal", "-shm"):
        beside(path, suffix).unlink(missing_ok=True)


def _same_or_copy(old: Path, new: Path) -> None:
    try:
        os.link(old, new)
    except OSError as error:
        if error.errno not in {errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK}:
            raise
        new_file(new)
        shutil.copyfile(old, new)
        sync_file(new)
