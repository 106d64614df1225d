"""Backup: what is told of one, and what a folder of them holds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal, TypeAlias

from iotstore._catalogue import files, native, portable
from iotstore._catalogue.manifest import Manifest
from iotstore._catalogue.portable import PortableFile
from iotstore.errors import BackupError

Format: TypeAlias = Literal["native", "portable"]


@dataclass(frozen=True, slots=True)
class Backup:
    """One backup: where it is and what it holds.

    *proven* says that it was restored and compared when it was made and looks whole now; else *problem* says what is
    wrong with it. ``verify`` proves it again.
    """

    path: Path
    format: Format
    created: datetime
    label: str | None
    backend: str
    size: int
    counts: Mapping[str, int]
    proven: bool
    problem: str | None = None
    #: After a restore that replaced a store: where that one is kept. A path, or the name that the server has for it.
    kept: str | None = None

    @property
    def rows(self) -> int:
        """Records and points together."""
        return sum(self.counts.values())


def backup_of(path: Path, manifest: Manifest) -> Backup:
    """The backup that a proven manifest tells of."""
    return Backup(
        path=path,
        format="portable" if manifest.native is None else "native",
        created=datetime.fromisoformat(manifest.created),
        label=manifest.label,
        backend=manifest.backend,
        size=path.stat().st_size,
        counts={summary.name: summary.count for summary in manifest.collections},
        proven=True,
    )


def look_through(folder: Path) -> Iterator[Backup]:
    """The backups in a folder, by their manifests, in no particular order."""
    if not folder.is_dir():
        return
    with files.translated(f"reading {folder}"):
        for path in sorted(folder.iterdir()):
            if path.name.startswith(".") or path.name.endswith(files.MANIFEST_SUFFIX) or not path.is_file():
                continue
            ours = path.suffix == portable.SUFFIX or files.manifest_of(path).exists() or files.is_ours(path.stem)
            if ours:
                yield _look_at(path)


def _look_at(path: Path) -> Backup:
    format_: Format = "portable" if path.suffix == portable.SUFFIX else "native"
    stat = path.stat()
    try:
        manifest = PortableFile(path, whole=False).manifest if format_ == "portable" else native.read_manifest(path)
    except BackupError as error:
        when = datetime.fromtimestamp(stat.st_mtime, UTC)
        return Backup(path, format_, when, None, "?", stat.st_size, {}, proven=False, problem=str(error))
    found = backup_of(path, manifest)
    if manifest.native is not None and manifest.native.size != found.size:
        problem = f"{path.name} has {found.size} bytes, not {manifest.native.size}"
        return replace(found, proven=False, problem=problem)
    return found


def surplus(newest_first: Sequence[Backup], keep: int) -> list[Path]:
    """What lies beyond the newest *keep* that are whole. Every byte of those is read before anything is removed."""
    kept = 0
    for index, one in enumerate(newest_first):
        try:
            if one.format == "portable":
                PortableFile(one.path)
            else:
                native.check_bytes(one.path, native.read_manifest(one.path))
        except BackupError:
            continue  # it counts as none, and is left for somebody to look at
        kept += 1
        if kept == keep:
            return [older.path for older in newest_first[index + 1 :]]
    return []
