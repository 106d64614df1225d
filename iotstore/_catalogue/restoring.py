"""Proving backups again, restoring them, and copying a store into another one."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace as replaced
from datetime import UTC, datetime
from pathlib import Path

from iotstore._catalogue import files, native, portable
from iotstore._catalogue.backup import Backup, backup_of
from iotstore._catalogue.catalogue import Catalogue, Digester, Progress, silent
from iotstore._catalogue.files import Attempt
from iotstore._catalogue.lines import Block
from iotstore._catalogue.loading import load, next_numbers
from iotstore._catalogue.manifest import KindEntry, Manifest, Summary
from iotstore._catalogue.native import Near
from iotstore._catalogue.portable import PortableFile
from iotstore._engine.engine import Engine
from iotstore._engine.guard import guarded_writes
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, NativeBackup, Settings
from iotstore._waist.sessions import ReadSession
from iotstore.errors import BackupError, NotAllowed


def verify(
    path: str | Path,
    near: Near | None = None,
    *,
    clock: Callable[[], datetime] | None = None,
    progress: Progress | None = None,
) -> Backup:
    """Prove a backup by restoring it to a scratch place. *near* is the backend and place of the store at hand, if any:
    a native backup of a server is restored near it."""
    path, tell = Path(path).absolute(), progress or silent
    if _is_portable(path):
        source = PortableFile(path)
        source.prove(tell)
        # A backup on a medium that takes no writes is proven in the system's place for such files.
        place = path.parent if os.access(path.parent, os.W_OK) else Path(tempfile.gettempdir())
        with (
            Attempt(place, clock() if clock else datetime.now(UTC)) as scratch,
            native.loaded(source, scratch_near(near), scratch.folder, tell),
        ):
            return backup_of(path, source.manifest)
    manifest = native.read_manifest(path)
    with _proven(path, manifest, near, tell):
        return backup_of(path, manifest)


@contextmanager
def _proven(path: Path, manifest: Manifest, near: Near | None, tell: Progress) -> Generator[NativeBackup, None, None]:
    native.check_bytes(path, manifest)
    origin = manifest.backend
    if near is None or near.backend.name != origin:
        near = Near.nowhere(_by_name(origin))
        power = native.native_power(near.backend)
        if power is not None and not power.keeps_files:
            raise BackupError(
                f"{path.name} is a native backup of {origin} and is proven in a scratch place of such a server",
                hint=f"verify it with a store there at hand: --url {origin}://...",
            )
    power = native.native_power(near.backend)
    if power is None:
        raise BackupError(f"{path.name} is a native backup of {origin}, which can't open it")
    with native.proven_copy(path, manifest, power, near.settings, tell) as copy:
        yield copy


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
    power, portable_one = native.native_power(backend), _is_portable(path)
    # A server takes a portable backup into an empty store that is there: loading it looks for itself.
    if power is not None and not replace and (power.keeps_files or not portable_one):
        power.check_free(settings)
    if portable_one:
        source = PortableFile(path)
        source.prove(tell)
        kept = _restore_portable(source, Near(backend, settings), replace=replace, tell=tell)
        return replaced(backup_of(path, source.manifest), kept=kept)
    manifest = native.read_manifest(path)
    if power is None or manifest.backend != backend.name:
        raise BackupError(
            f"{path.name} is a native backup of {manifest.backend} and can't become a {backend.name} store",
            hint="restore it to its own engine and copy that, or take a portable backup",
        )
    backend.declared().require(Capability.NATIVE_RESTORE)
    with _proven(path, manifest, Near(backend, settings), tell) as copy:
        return replaced(backup_of(path, manifest), kept=_install(copy, settings, replace=replace, tell=tell))


def _restore_portable(source: PortableFile, near: Near, *, replace: bool, tell: Progress) -> str | None:
    backend, settings = near
    power = native.native_power(backend)
    swaps = power is not None and (power.keeps_files or replace)
    if power is None or not swaps or not backend.declared().has(Capability.NATIVE_RESTORE):
        with closing(backend.connect(settings)) as store, store.write() as session:
            load(guarded_writes(store, session), store, source, tell)
        return None
    place = Path(settings.path).absolute().parent if power.keeps_files else Path(tempfile.gettempdir())
    with (
        Attempt(place, datetime.now(UTC)) as scratch,
        native.loaded(source, near, scratch.folder, tell) as made,
    ):
        return _install(made, settings, replace=replace, tell=tell)


def _install(made: NativeBackup, settings: Settings, *, replace: bool, tell: Progress) -> str | None:
    return made.install(settings, lambda done, total: tell(done, total, "installing"), replace=replace)


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


def scratch_near(near: Near | None) -> Near:
    """Where portable backups are proven: near the store at hand if it is a file, so that the proof is the restore to
    come. Not near a server: its disks and its log have other work, and its role may make no scratch stores."""
    power = None if near is None else native.native_power(near.backend)
    if near is not None and power is not None and power.keeps_files:
        return near
    return Near.nowhere(_by_name("sqlite"))


def _is_portable(path: Path) -> bool:
    return path.suffix == portable.SUFFIX or not files.manifest_of(path).exists()
