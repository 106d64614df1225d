"""Backups of a store: taken while writers write, proven before they count, listed, verified and rotated."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from iotstore import _values as values
from iotstore._catalogue import files, native, portable
from iotstore._catalogue.backup import Backup, Format, backup_of, look_through, surplus
from iotstore._catalogue.catalogue import Catalogue, Progress, silent
from iotstore._catalogue.files import Attempt
from iotstore._catalogue.loading import next_numbers
from iotstore._catalogue.manifest import Manifest, NativeFile, Summary, seal
from iotstore._catalogue.native import Near
from iotstore._catalogue.portable import PortableFile
from iotstore._catalogue.restoring import scratch_near, verify
from iotstore._engine.engine import Engine
from iotstore._waist.capabilities import Capability
from iotstore.errors import ConfigurationError, InvalidValue, NotAllowed, Unsupported

_MAX_LABEL: Final = 500
# In a class with a method called list, the type needs another name.
Found: TypeAlias = list[Backup]
Paths: TypeAlias = list[Path]


class Backups:
    """The backups of one store."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(
        self,
        directory: str | Path | None = None,
        *,
        format: Format = "native",  # noqa: A002 - the word that users know
        label: str | None = None,
        progress: Progress | None = None,
    ) -> Backup:
        """Take a backup of what is committed now, while writers go on, and prove it by restoring it to a scratch place.

        ``native`` is a file of the same engine, quick to restore; ``portable`` restores into every backend.
        Raises BackupError, and leaves nothing, when what was restored is not what was in the store.
        """
        folder, tell = self._folder(directory), progress or silent
        _check(format, label)
        if self._engine.in_transaction:
            raise NotAllowed("a backup inside a transaction would not hold what it changed", hint="commit it first")
        if format == "native":
            self._engine.backend.capabilities.require(Capability.NATIVE_BACKUP)
        now = self._engine.clock.now()
        with Attempt(folder, now) as attempt:
            if format == "native":
                path, manifest = self._native(attempt, now, label, tell)
            else:
                path, manifest = self._portable(attempt, now, label, tell)
        return backup_of(path, manifest)

    def list(self, directory: str | Path | None = None) -> Found:
        """The backups in the folder, newest first, each with what it holds and whether it is proven. Quick: it reads
        manifests, and of the files only their sizes and ends."""
        folder = self._folder(directory)
        return sorted(look_through(folder), key=lambda one: (one.created, one.path.name), reverse=True)

    def verify(self, path: str | Path, *, progress: Progress | None = None) -> Backup:
        """Prove a backup again, now: its bytes, and counts and digests of what it restores to. BackupError if not."""
        return verify(path, self._near(), clock=self._engine.clock.now, progress=progress)

    def rotate(self, directory: str | Path | None = None, *, keep: int = 7) -> Paths:
        """Remove all but the newest *keep* backups, and what crashed attempts left; returns what was removed.

        Only backups that are whole, byte for byte, count as kept, and only proven ones are removed. Files that were not
        named by ``create``, renamed backups too, are left alone.
        """
        if values.check_int(keep, "keep") < 1:
            raise InvalidValue(f"{keep} backups can't be kept; the least is 1", field="keep")
        folder = self._folder(directory)
        candidates = [one for one in self.list(folder) if one.proven and files.is_ours(one.path.stem)]
        beyond = surplus(candidates, keep) if len(candidates) > keep else []
        with files.translated(f"rotating the backups in {folder}"):
            for path in beyond:
                # The file first: what is left by a crash between the two is a manifest alone, which is swept.
                path.unlink(missing_ok=True)
                files.manifest_of(path).unlink(missing_ok=True)
            return [*beyond, *(files.sweep(folder) if folder.is_dir() else [])]

    def default_directory(self) -> Path | None:
        """Where backups lie unless a call names a folder: for ``home.db`` the folder ``backups/home.db`` beside it, so
        that stores in one folder never rotate each other's; for a store on a server the folder ``backups/NAME`` in the
        working directory, NAME being what the server calls the store; None for a store that ends with its process."""
        described = self._engine.backend.describe()
        if "file" in described:
            file = Path(described["file"])
            return file.parent / "backups" / file.name
        return Path("backups", re.sub(r"[^\w.-]", "_", described["name"])) if "name" in described else None

    def _near(self) -> Near:
        backend, settings = type(self._engine.backend), self._engine.settings
        return Near.nowhere(backend) if settings is None else Near(backend, settings)

    def _folder(self, directory: str | Path | None) -> Path:
        chosen = self.default_directory() if directory is None else directory
        if chosen is None:
            raise ConfigurationError(
                "this store ends with its process, and has no place for backups", hint="name a directory for them"
            )
        return Path(chosen).absolute()

    def _native(self, attempt: Attempt, now: datetime, label: str | None, tell: Progress) -> tuple[Path, Manifest]:
        engine = self._engine
        power = native.native_power(type(engine.backend))
        if power is None:
            raise Unsupported(
                "native backup", engine.backend.name, "it lacks the power", remedy='use format="portable"'
            )
        made = attempt.folder / "made"
        with engine.gate.shut(), native.standing_still(engine.backend) as session:
            catalogue = Catalogue.of(engine.backend, session)
            describe = partial(_manifest, engine, catalogue, label, {}, now=now)
            manifest = native.write(made, catalogue, session, describe, tell)
        with native.proven_copy(made, manifest, power, self._near().settings, tell):
            pass
        return attempt.publish(made, power.native_suffix, seal(manifest)), manifest

    def _portable(self, attempt: Attempt, now: datetime, label: str | None, tell: Progress) -> tuple[Path, Manifest]:
        engine = self._engine
        made = attempt.folder / "made"
        with engine.gate.shut(), native.standing_still(engine.backend) as session:
            catalogue = Catalogue.of(engine.backend, session)
            counters = next_numbers(session, catalogue)
            describe = partial(_manifest, engine, catalogue, label, counters, now=now)
            with files.translated(f"writing a backup in {attempt.folder.parent}"):
                manifest = portable.write(made, catalogue, session, describe, tell)
        with native.loaded(PortableFile(made), scratch_near(self._near()), attempt.folder, tell):
            pass
        return attempt.publish(made, portable.SUFFIX, None), manifest


def _check(format_: str, label: str | None) -> None:
    if format_ not in ("native", "portable"):
        raise InvalidValue(f'{format_!r} is neither "native" nor "portable"', field="format")
    if label is not None and len(values.check_text(label, "label")) > _MAX_LABEL:
        raise InvalidValue(f"has more than {_MAX_LABEL} characters", field="label")


def _manifest(
    engine: Engine,
    catalogue: Catalogue,
    label: str | None,
    counters: dict[str, int],
    collections: tuple[Summary, ...],
    *,
    now: datetime,
    file: NativeFile | None = None,
) -> Manifest:
    from importlib.metadata import version  # noqa: PLC0415 - costs start-up time that only a backup should pay

    return Manifest(
        library=version("iotstore"),
        created=now.astimezone(UTC).isoformat(timespec="microseconds"),
        label=label,
        backend=engine.backend.name,
        kinds=tuple(catalogue.kinds.values()),
        counters=counters,
        collections=collections,
        native=file,
    )
