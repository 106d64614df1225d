"""Proving backups again, restoring them, and copying a store into another one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path

from iotstore._catalogue import files, native, portable
from iotstore._catalogue.backup import Backup, backup_of
from iotstore._catalogue.catalogue import Catalogue, Digester, Progress, silent
from iotstore._catalogue.files import Attempt
from iotstore._catalogue.lines import Block
from iotstore._catalogue.loading import load, next_numbers
from iotstore._catalogue.manifest import KindEntry, Summary
from iotstore._catalogue.portable import PortableFile
from iotstore._engine.engine import Engine
from iotstore._engine.guard import guarded_writes
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, NativeBackup, ReadSession, Settings
from iotstore.errors import BackupError, NotAllowed


def verify(
    path: str | Path,
    near: type[Backend] | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
    progress: Progress | None = None,
) -> Backup:
    """Prove a backup by restoring it to a scratch place. *near* is the backend of the store at hand, if any."""
    path, tell = Path(path).absolute(), progress or silent
    if _is_portable(path):
        source = PortableFile(path)
        source.prove(tell)
        # A backup on a medium that takes no writes is proven in the system's place for such files.
        place = path.parent if os.access(path.parent, os.W_OK) else Path(tempfile.gettempdir())
        with Attempt(place, clock() if clock else datetime.now(UTC)) as scratch:
            native.restore_to_scratch(source, scratch_backend(near), scratch.folder, tell)
        return backup_of(path, source.manifest)
    manifest = native.read_manifest(path)
    native.check_bytes(path, manifest)
    backend = near if near is not None and near.name == manifest.backend else _by_name(manifest.backend)
    power = native.native_power(backend)
    if power is None:
        raise BackupError(f"{path.name} is a native backup of {manifest.backend}, which can't open it")
    native.prove(path, manifest, power, tell)
    return backup_of(path, manifest)


def restore(
    path: str | Path,
    backend: type[Backend],
    settings: Settings,
    *,
    replace: bool = False,
    progress: Progress | None = None,
) -> Backup:
    """Put a backup in the place that *settings* name, once it is proven; until then, and on any error, nothing there is
    touched. What is there already is refused, or with *replace* kept beside it."""
    path, tell = Path(path).absolute(), progress or silent
    power = native.native_power(backend)
    if power is not None and not replace and Path(settings.path).exists():
        raise NotAllowed(
            f"{settings.display} exists already",
            hint="restore to another place, or with replace=True: the old one is kept",
        )
    if _is_portable(path):
        source = PortableFile(path)
        source.prove(tell)
        kept = _restore_portable(source, backend, settings, replace=replace, tell=tell)
        return replaced(backup_of(path, source.manifest), kept=kept)
    origin = native.read_manifest(path).backend
    if power is None or origin != backend.name:
        raise BackupError(
            f"{path.name} is a native backup of {origin} and can't become a {backend.name} store",
            hint="restore it to its own engine and copy that, or take a portable backup",
        )
    backend.declared().require(Capability.NATIVE_RESTORE)
    found = verify(path, backend, progress=tell)
    return replaced(found, kept=_install(power, path, settings, replace=replace))


def _restore_portable(
    source: PortableFile, backend: type[Backend], settings: Settings, *, replace: bool, tell: Progress
) -> Path | None:
    power = native.native_power(backend)
    if power is None or not backend.declared().has(Capability.NATIVE_RESTORE):
        with closing(backend.connect(settings)) as store, store.write() as session:
            load(guarded_writes(store, session), store, source, tell)
        return None
    with Attempt(Path(settings.path).absolute().parent, datetime.now(UTC)) as scratch:
        made = native.restore_to_scratch(source, backend, scratch.folder, tell)
        return _install(power, made, settings, replace=replace)


def _install(power: type[NativeBackup], file: Path, settings: Settings, *, replace: bool) -> Path | None:
    install: Callable[..., Path | None] = power.install
    return install(file, settings, replace=replace)


def copy(source: Engine, target: Engine, progress: Progress | None = None) -> dict[str, int]:
    """Copy every collection into an empty store, whatever its backend, proven by digests before it is committed.

    Returns how many records and points each collection has. Observers of the target are not told of the records.
    """
    for engine in (source, target):
        if engine.in_transaction:
            raise NotAllowed("stores are not copied inside a transaction", hint="commit it first")
    with source.gate.shut(), native.standing_still(source.backend) as session:
        origin = _StoreSource(source.backend, session)
        with target.writing() as transaction:
            load(transaction.session, target.backend, origin, progress or silent)
            # Numbers that the target reserved before are below those that have arrived.
            transaction.on_commit(lambda: _forget_numbers(target, origin.counters))
    return {summary.name: summary.count for summary in origin.collections}


def _forget_numbers(target: Engine, counters: Iterable[str]) -> None:
    for counter in counters:
        target.blocks.take_all(counter)


class _StoreSource:
    """A store as a source to load from. A collection's digest is known once it has been streamed."""

    def __init__(self, backend: Backend, session: ReadSession) -> None:
        self._catalogue = Catalogue.of(backend, session)
        self._session = session
        self._summaries = {name: Summary(name, count, "") for name, count in self._catalogue.counts(session).items()}
        self.kinds: Sequence[KindEntry] = tuple(self._catalogue.kinds.values())
        self.counters: Mapping[str, int] = next_numbers(session, self._catalogue)

    @property
    def collections(self) -> Sequence[Summary]:
        return tuple(self._summaries.values())

    def blocks(self, name: str) -> Iterator[Block]:
        digester = Digester(name)
        yield from self._catalogue.digested(self._session, name, digester)
        self._summaries[name] = digester.summary()


def _by_name(scheme: str) -> type[Backend]:
    from iotstore._registry import backend_class  # noqa: PLC0415 - brings pluggy, which `import iotstore` must not

    return backend_class(scheme)


def scratch_backend(near: type[Backend] | None) -> type[Backend]:
    """The backend of scratch stores: the store's own where it keeps files, so that the proof is the restore to come."""
    return near if near is not None and native.native_power(near) is not None else _by_name("sqlite")


def _is_portable(path: Path) -> bool:
    return path.suffix == portable.SUFFIX or not files.manifest_of(path).exists()
