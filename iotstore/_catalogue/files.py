"""The folder that backups lie in: private files, names that never collide, attempts that a crash can't confuse."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Self

from iotstore.errors import BackupError, ReadOnly, StorageFull

MANIFEST_SUFFIX: Final = ".manifest.json"
_OURS: Final = re.compile(r"iotstore-(\d{8}T\d{12}Z)-[0-9a-f]{8}\Z", re.ASCII)
_PARTIAL: Final = re.compile(r"\.(iotstore-\d{8}T\d{12}Z-[0-9a-f]{8})\.partial\Z", re.ASCII)
_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_FORBIDDEN: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})


@contextmanager
def translated(what: str) -> Generator[None, None, None]:
    """Errors of the file system in the block become errors of the library that say *what* failed."""
    try:
        yield
    except OSError as error:
        reason = f"{what} failed: {error.strerror or error}"
        if error.errno in _FULL:
            raise StorageFull(reason, hint="nothing was changed; make room and try again") from error
        if error.errno in _FORBIDDEN:
            raise ReadOnly(reason, hint="choose a folder that this user may write to") from error
        raise BackupError(reason) from error


def make_folder(folder: Path) -> None:
    """Make a folder that only its owner can enter, parents too. One that exists stays as it is."""
    missing = [level for level in (folder, *folder.parents) if not level.exists()]
    for level in reversed(missing):
        level.mkdir(mode=0o700, exist_ok=True)


def new_name(now: datetime) -> str:
    """A name for a backup: sorts by time, and differs even within one microsecond."""
    return f"iotstore-{now.astimezone(UTC):%Y%m%dT%H%M%S%fZ}-{secrets.token_hex(4)}"


def is_ours(name: str) -> bool:
    """Whether a file of this name (without its suffix) was named here; others are never removed."""
    return _OURS.match(name) is not None


def manifest_of(path: Path) -> Path:
    """Where the manifest of a native backup lies."""
    return path.with_name(path.stem + MANIFEST_SUFFIX)


def sync(path: Path) -> None:
    """Bring a file or folder to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class Attempt:
    """A private folder in which one backup is made, until it is published under its name.

    Making the folder claims the name among all processes. It is locked while its maker lives: what a crash leaves
    behind is unlocked, and ``sweep`` removes it.
    """

    def __init__(self, folder: Path, now: datetime) -> None:
        self._parent = folder
        self._now = now

    def __enter__(self) -> Self:
        with translated(f"making a backup in {self._parent}"):
            make_folder(self._parent)
            while not self._claim():
                pass
        return self

    def _claim(self) -> bool:
        self.name = new_name(self._now)
        self.folder = self._parent / f".{self.name}.partial"
        try:
            self.folder.mkdir(mode=0o700)
            self._lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY)
        except (FileExistsError, FileNotFoundError):
            return False
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        # A sweep that came between making and locking it has removed it.
        if self.folder.exists() and not any(self._parent.glob(f"{self.name}.*")):
            return True
        os.close(self._lock)
        shutil.rmtree(self.folder, ignore_errors=True)
        return False

    def __exit__(self, *error: object) -> None:
        # Removed before it is unlocked: nobody else can be at it.
        shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)

    def publish(self, made: Path, suffix: str, manifest: bytes | None) -> Path:
        """Give a proven file its name, with its manifest beside it if it has one. Returns where it is."""
        final = self._parent / (self.name + suffix)
        with translated(f"publishing {final.name}"):
            made.chmod(0o600)
            sync(made)
            if manifest is not None:
                # First the manifest: a backup is there once its file is, and then it is complete.
                written = self.folder / "manifest"
                with os.fdopen(os.open(written, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                    file.write(manifest)
                sync(written)
                written.rename(manifest_of(final))
            try:
                made.rename(final)
            except OSError:
                manifest_of(final).unlink(missing_ok=True)
                raise
            sync(self._parent)
        return final


@contextmanager
def _dead(folder: Path) -> Generator[bool, None, None]:
    """Whether nobody is making a backup in *folder*; while the block runs, nobody begins to."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError:
        yield True
        return
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def sweep(folder: Path) -> list[Path]:
    """Remove what crashed attempts left behind; returns it. Attempts that are being made are left alone."""
    removed: list[Path] = []
    for entry in sorted(folder.iterdir()):
        if _PARTIAL.match(entry.name) and entry.is_dir() and not entry.is_symlink():
            with _dead(entry) as dead:
                if dead:
                    shutil.rmtree(entry, ignore_errors=True)
                    removed.append(entry)
        elif entry.name.endswith(MANIFEST_SUFFIX) and is_ours(entry.name.removesuffix(MANIFEST_SUFFIX)):
            name = entry.name.removesuffix(MANIFEST_SUFFIX)
            with _dead(folder / f".{name}.partial") as dead:
                # Asked in this order: whoever publishes holds the lock until the file is there.
                if dead and list(folder.glob(f"{name}.*")) == [entry]:
                    entry.unlink(missing_ok=True)
                    removed.append(entry)
    return removed
