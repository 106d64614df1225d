"""Native backups: one file in the engine's own format and a manifest beside it; and the scratch stores that prove."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final, NamedTuple, Protocol, Self, cast

from iotstore._catalogue.catalogue import Catalogue, Progress, difference, silent
from iotstore._catalogue.files import manifest_of, translated
from iotstore._catalogue.loading import Source, load
from iotstore._catalogue.manifest import Manifest, NativeFile, Summary, unseal
from iotstore._engine.guard import bare, guarded_reads, guarded_writes
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, NativeBackup, Settings
from iotstore._waist.sessions import ReadSession
from iotstore.errors import BackupError, EngineError, StoreError

_CHUNK: Final = 1 << 20


class Describe(Protocol):
    """Makes the manifest of a native backup."""

    def __call__(self, collections: tuple[Summary, ...], *, file: NativeFile) -> Manifest:
        """The manifest for these summaries and this file."""
        ...


def native_power(backend: type[Backend]) -> type[NativeBackup] | None:
    """The class with the power behind native backups, or None."""
    # issubclass() can't ask for a protocol that has an attribute beside its methods.
    return cast("type[NativeBackup]", backend) if hasattr(backend, "install") else None


def _powerful(backend: Backend) -> NativeBackup:
    if not isinstance(backend, NativeBackup):
        raise EngineError(f"backend {backend.name} has no power to make native backups")
    return backend


@contextmanager
def standing_still(backend: Backend) -> Generator[ReadSession, None, None]:
    """A session that sees one state: a snapshot, or behind a shut gate any session."""
    # Who makes native backups gives the session for it even where a snapshot holds up writers, and so does not count.
    snapshots = backend.capabilities.has(Capability.SNAPSHOTS) or backend.capabilities.has(Capability.NATIVE_BACKUP)
    with backend.snapshot() if snapshots else backend.read() as session:
        yield guarded_reads(backend, session)


def write(
    target: Path,
    catalogue: Catalogue,
    session: ReadSession,
    describe: Describe,
    progress: Progress = silent,
) -> Manifest:
    """Copy what *session* sees to the new file *target*; the manifest tells what was in the store itself."""
    power = _powerful(catalogue.backend)
    summaries = catalogue.summaries(session, progress)
    power.copy_out(target, bare(session), lambda done, total: progress(done, total, "copying"))
    with translated(f"reading {target.name}"):
        target.chmod(0o600)
        return describe(summaries, file=native_file(target))


def native_file(path: Path) -> NativeFile:
    """Size and digest of a file."""
    running, size = hashlib.blake2b(digest_size=32), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            running.update(chunk)
            size += len(chunk)
    return NativeFile(size, running.hexdigest())


def read_manifest(path: Path) -> Manifest:
    """The manifest of a native backup, proven by its seal."""
    beside = manifest_of(path)
    try:
        manifest = unseal(beside.read_bytes(), path.name)
    except OSError as error:
        raise BackupError(f"{path.name} has no manifest that can be read: {error.strerror}") from error
    if manifest.native is None:
        raise BackupError(f"{beside.name} is not the manifest of a native backup")
    return manifest


def check_bytes(path: Path, manifest: Manifest) -> None:
    """BackupError unless the file is, byte for byte, the one that the manifest was written for."""
    try:
        found = native_file(path)
    except OSError as error:
        raise BackupError(f"{path} can't be read: {error.strerror}") from error
    if found != manifest.native:
        raise BackupError(
            f"{path.name} can't be used: its bytes are not those that were written", hint="use another backup"
        )


@contextmanager
def proven_copy(
    path: Path, manifest: Manifest, power: type[NativeBackup], settings: Settings, progress: Progress = silent
) -> Generator[NativeBackup, None, None]:
    """The file as an open store, checked, and compared by every collection; BackupError unless all is as it was."""
    with _blaming(path):
        copy = power.open_copy(path, settings, lambda done, total: progress(done, total, "restoring"))
    with closing(copy):
        _compare(path, manifest, copy, progress)
        yield _powerful(copy)


def _compare(path: Path, manifest: Manifest, copy: Backend, progress: Progress) -> None:
    with _blaming(path):
        # An engine that can't prove its own storage leaves the proof to the digests.
        checks = copy.verify() if copy.capabilities.has(Capability.INTEGRITY_CHECK) else []
        failed = [f"{check.name}: {check.detail}" for check in checks if check.status == "failed"]
        with standing_still(copy) as session:
            found = Catalogue.of(copy, session).summaries(session, progress, "proving")
    problem = "; ".join(failed) or difference(manifest.collections, found)
    if problem:
        raise BackupError(f"{path.name} is not what was backed up: {problem}", hint="use another backup")


@contextmanager
def _blaming(path: Path) -> Generator[None, None, None]:
    """What goes wrong in the block goes wrong because of the file, unless the error says something else."""
    try:
        yield
    except StoreError as error:
        # A server that is away, or a disk that is full, says nothing about the backup.
        if error.retryable or isinstance(error, BackupError):
            raise
        raise BackupError(f"{path.name} can't be used: {error}", hint="use another backup") from error


class Near(NamedTuple):
    """A backend class and a place of it: where scratch stores may be made, and what is restored to."""

    backend: type[Backend]
    settings: Settings

    @classmethod
    def nowhere(cls, backend: type[Backend]) -> Self:
        """A backend that needs no place, all options at their defaults."""
        options = {name: option.default for name, option in backend.options().items()}
        return cls(backend, Settings(backend.name, None, None, (), "", f"{backend.name}://", options))


@contextmanager
def loaded(
    source: Source, near: Near, folder: Path, progress: Progress = silent
) -> Generator[NativeBackup, None, None]:
    """A new scratch store, near a place or in *folder*, with a source loaded into it and proven."""
    power = native_power(near.backend)
    if power is None:
        raise EngineError(f"backend {near.backend.name} has no power to make scratch stores")
    with closing(power.open_scratch(folder, near.settings)) as store:
        with store.write() as session:
            load(guarded_writes(store, session), store, source, progress)
        yield _powerful(store)
