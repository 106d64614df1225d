"""The portable format: one zip file with a part per collection, the manifest last, and a seal over every byte."""

from __future__ import annotations

import hashlib
import os
import re
import zipfile
import zlib
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any, BinaryIO, Final

from iotstore._catalogue.catalogue import Catalogue, Digester, Progress, Tally, difference, layout_for, silent
from iotstore._catalogue.lines import Block, RecordLines, whole_lines
from iotstore._catalogue.manifest import KindEntry, Manifest, Summary, seal, unseal
from iotstore._catalogue.points import POINTS, parse
from iotstore._kinds.system import KINDS
from iotstore._values import parse_json
from iotstore._waist.sessions import ReadSession
from iotstore.errors import BackupError

SUFFIX: Final = ".iotstore"
_MANIFEST: Final = "manifest.json"
# The archive's comment stands at the end of the file: the digest in it covers everything before it.
_COMMENT: Final = b"iotstore portable backup, blake2b-256 of all bytes before this digest: "
_DIGEST_BYTES: Final = 64
_CHUNK: Final = 1 << 20
_LEVEL: Final = 1  # lines of numbers shrink nearly as much as at higher levels, five times as fast


def write(
    target: Path,
    catalogue: Catalogue,
    session: ReadSession,
    describe: Callable[[tuple[Summary, ...]], Manifest],
    progress: Progress = silent,
) -> Manifest:
    """Write what *session* sees to the new file *target*. *describe* makes the manifest of the summaries."""
    tally = Tally(progress, sum(catalogue.counts(session).values()))
    with os.fdopen(os.open(target, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b") as file:
        summaries: list[Summary] = []
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
            for name in catalogue.names:
                digester, step = Digester(name), tally.step(f"writing {name}")
                with archive.open(f"{name}.jsonl", "w", force_zip64=True) as part:
                    for block in catalogue.digested(session, name, digester):
                        part.write(block.data)
                        step(block.rows)
                summaries.append(digester.summary())
            manifest = describe(tuple(summaries))
            archive.writestr(_MANIFEST, seal(manifest))
            archive.comment = _COMMENT + b"0" * _DIGEST_BYTES
        _seal_file(file)
    return manifest


def _seal_file(file: BinaryIO) -> None:
    file.flush()
    size = file.seek(0, os.SEEK_END)
    found = _digest_before(file, size - _DIGEST_BYTES)
    file.seek(size - _DIGEST_BYTES)
    file.write(found.encode())
    file.flush()
    os.fsync(file.fileno())


def _digest_before(file: BinaryIO, end: int) -> str:
    running = hashlib.blake2b(digest_size=32)
    file.seek(0)
    while end > 0:
        chunk = file.read(min(_CHUNK, end))
        if not chunk:
            break
        running.update(chunk)
        end -= len(chunk)
    return running.hexdigest()


class PortableFile:
    """A portable backup whose bytes are whole: its manifest, and its parts as a source to load from.

    Without *whole* only its end and its manifest are looked at.
    """

    def __init__(self, path: Path, *, whole: bool = True) -> None:
        self.path = path
        with self._open() as file:
            self._check_seal(file, whole=whole)
        with self._archive() as archive:
            names = archive.namelist()
            if _MANIFEST not in names:
                raise self._damaged("it has no manifest")
            self.manifest = unseal(archive.read(_MANIFEST), path.name)
        expected = [*(f"{summary.name}.jsonl" for summary in self.manifest.collections), _MANIFEST]
        if names != expected:
            odd = sorted(set(names) ^ set(expected)) or ["the order of its parts"]
            raise self._damaged(f"its parts are not those of its manifest: {', '.join(odd)}")

    @property
    def kinds(self) -> Sequence[KindEntry]:
        """The descriptions of its kinds."""
        return self.manifest.kinds

    @property
    def counters(self) -> Mapping[str, int]:
        """The next number of every counter."""
        return self.manifest.counters

    @property
    def collections(self) -> Sequence[Summary]:
        """What each collection holds."""
        return self.manifest.collections

    def blocks(self, name: str) -> Iterator[Block]:
        """The canonical lines of one collection."""
        with self._archive() as archive:
            member = f"{name}.jsonl"
            if member not in archive.NameToInfo:
                return
            with archive.open(member) as part:
                for lines in whole_lines(iter(lambda: part.read(_CHUNK), b""), f"the part {member}"):
                    rows = sum(len(line.times) for line in parse(lines)) if name == POINTS else lines.count(b"\n")
                    yield Block(lines, rows)

    def prove(self, progress: Progress = silent) -> None:
        """Read every part; BackupError unless each line fits its kind and every count and digest is right."""
        lines = {entry.name: RecordLines(layout_for(entry), {}) for entry in self.kinds if entry.name != KINDS.name}
        lines[KINDS.name] = RecordLines(KINDS.layout, {})
        tally = Tally(progress, self.manifest.rows)
        found: list[Summary] = []
        described: list[tuple[Any, ...]] = []
        for summary in self.collections:
            digester, step = Digester(summary.name), tally.step(f"checking {summary.name}")
            if summary.name != POINTS and summary.name not in lines:
                raise self._damaged(f"nothing describes its part {summary.name}")
            for block in self.blocks(summary.name):
                if summary.name != POINTS:
                    values = lines[summary.name].check(block.data)
                    described += values if summary.name == KINDS.name else []
                digester.add(block)
                step(block.rows)
            found.append(digester.summary())
        problem = difference(self.collections, found)
        if problem:
            raise self._damaged(problem)
        entries = [KindEntry(name, version, parse_json(text)) for text, name, version in described]
        if sorted(entries, key=attrgetter("name")) != sorted(self.kinds, key=attrgetter("name")):
            raise self._damaged("its manifest describes other kinds than its part stored_kind")

    def _check_seal(self, file: BinaryIO, *, whole: bool) -> None:
        size = file.seek(0, os.SEEK_END)
        length = len(_COMMENT) + _DIGEST_BYTES
        file.seek(max(size - length, 0))
        comment = file.read(length)
        if not comment.startswith(_COMMENT) or not re.fullmatch(rb"[0-9a-f]{64}", comment[-_DIGEST_BYTES:]):
            raise self._damaged("it is cut off, or no portable backup at all")
        if whole and _digest_before(file, size - _DIGEST_BYTES) != comment[-_DIGEST_BYTES:].decode():
            raise self._damaged("its bytes are not those that were written")

    def _damaged(self, what: str) -> BackupError:
        return BackupError(f"{self.path.name} can't be used: {what}", hint="use another backup")

    def _open(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise BackupError(f"{self.path} can't be read: {error.strerror}") from error

    @contextmanager
    def _archive(self) -> Generator[zipfile.ZipFile, None, None]:
        # With its seal unbroken a file fails here only if it was never a good archive, or the disk fails.
        try:
            with self._open() as file, zipfile.ZipFile(file) as archive:
                yield archive
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError) as error:
            raise self._damaged(f"it can't be unpacked: {error}") from error
