"""The backend: one SQLite file with one writer and many readers."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
import threading
import weakref
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from random import Random
from typing import ClassVar, Final

from iotstore.backend import (
    Backend,
    BackendUnavailable,
    Capabilities,
    Capability,
    Check,
    ConfigurationError,
    Explained,
    Layout,
    Limits,
    NotAllowed,
    NotSupported,
    Option,
    Place,
    ReadSession,
    Settings,
    Supported,
    Unreachable,
)
from iotstore_sql import Statements, forks
from iotstore_sql.watch import Watch
from iotstore_sqlite import _admin, _backup
from iotstore_sqlite._connection import MINIMUM, OPTIONS, Tuning, open_reader
from iotstore_sqlite._dialect import HOLDS, SqliteDialect
from iotstore_sqlite._errors import closed_error, translating
from iotstore_sqlite._explaining import SqliteExplaining
from iotstore_sqlite._files import (
    check_file,
    check_format,
    check_writable,
    create_file,
    file_error,
    on_read_only_mount,
)
from iotstore_sqlite._pool import Readers
from iotstore_sqlite._sessions import SqliteRead, SqliteSnapshot
from iotstore_sqlite._transaction import SqliteWrite
from iotstore_sqlite._writer import Writer

_MEMORY: Final = ":memory:"
_SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a private folder is made in it
_CLOSE_SECONDS: Final = 5.0

_CAPABILITIES: Final = Capabilities(
    "sqlite",
    {
        **{capability: Supported() for capability in Capability},
        Capability.GRAPH: NotSupported(
            "graph questions are answered from the records", "ask store.relationships, which needs no such capability"
        ),
    },
)
_IN_MEMORY: Final = {
    Capability.PERSISTENCE: NotSupported(
        "a store in memory ends with its process", "open a file: sqlite:///home.db, or take a backup before closing"
    ),
    Capability.MANY_PROCESSES: NotSupported("a store in memory belongs to its process", "open a file"),
}
_NO_LOG: Final = NotSupported(
    "this file system does not support SQLite's write-ahead log", "put the database file on a local disk"
)
_WITHOUT_LOG: Final = {Capability.CONCURRENT_READS: _NO_LOG, Capability.SNAPSHOTS: _NO_LOG}


class SqliteBackend(Backend):
    """One open SQLite database file, or a private one in memory."""

    name: ClassVar[str] = "sqlite"
    holds = HOLDS
    native_suffix: ClassVar[str] = ".sqlite"
    keeps_files: ClassVar[bool] = True

    def __init__(
        self, path: Path, tuning: Tuning, shown: str, *, memory: bool = False, immutable: bool = False
    ) -> None:
        self._path = path
        self._tuning = tuning
        self._shown = shown
        self._immutable = immutable
        self._closing = threading.Lock()
        self._closed = False
        self._remove: Callable[[], object] | None = (
            weakref.finalize(self, _remove_folder, path.parent, os.getpid()) if memory else None
        )
        self.durability = tuning.durability
        self._watch = Watch(tuning.snapshot_seconds, "iotstore-sqlite-snapshots")
        self._readers = Readers(self._connect_reader, tuning.readers, tuning.busy_timeout)
        self._writer: Writer | None = None
        try:
            with translating():
                if not tuning.read_only:
                    # Jitter between processes: seeded by the system, it decides nothing that is stored.
                    random = Random()  # noqa: S311 - no secret is made with it
                    self._writer = Writer(path, tuning, random=random, before_truncate=self._watch.reap)
                self._journal = "wal" if self._writer is None else self._writer.journal
                self._statements = Statements(SqliteDialect(self._look()))
        except BaseException:
            self.close()
            raise
        self.capabilities = _CAPABILITIES.but(_IN_MEMORY) if memory else _CAPABILITIES
        if self._journal != "wal":
            self.capabilities = self.capabilities.but(_WITHOUT_LOG)
        self.limits = Limits(
            max_text_bytes=16 * 2**20,
            max_key_bytes=1_024,
            insert_rows=10_000,
            append_points=50_000,
            snapshot_seconds=tuning.snapshot_seconds,
        )
        forks.opened(self)

    def _connect_reader(self) -> sqlite3.Connection:
        return open_reader(self._path, self._tuning, immutable=self._immutable)

    def _look(self) -> int:
        """Look at the file through a connection: only now its log is read too. Returns SQLite's limit of parameters."""
        link = self._readers.borrow()
        try:
            (found,) = link.execute("PRAGMA user_version").fetchone()
            check_format(self._path, found)
            link.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            return link.connection.getlimit(sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER)
        finally:
            self._readers.give(link)

    @classmethod
    def connect(cls, settings: Settings) -> SqliteBackend:
        """Open the file, or make it. What is there and is no whole store of ours is refused and not touched."""
        if sqlite3.sqlite_version_info < MINIMUM:
            raise BackendUnavailable(
                f"SQLite {sqlite3.sqlite_version} is too old", hint="use a Python with SQLite 3.37 or newer"
            )
        if settings.path == _MEMORY:
            return cls._connect_memory(settings)
        if not settings.path or settings.hosts:
            raise ConfigurationError(
                f"{settings.display} names no file", hint="write sqlite:///home.db or sqlite:////var/lib/home.db"
            )
        tuning = Tuning.of(settings)
        path = Path(settings.path).absolute()
        immutable = False
        if not check_file(path):
            if tuning.read_only or not settings.create:
                raise Unreachable(f"there is no store at {path}", hint="check the path in the URL")
            create_file(path)
        if tuning.read_only:
            immutable = on_read_only_mount(path)
        else:
            check_writable(path)
        return cls(path, tuning, settings.display, immutable=immutable)

    @classmethod
    def _connect_memory(cls, settings: Settings) -> SqliteBackend:
        # A plain in-memory database is one connection's, and a shared one makes readers and writers wait for each
        # other. A file with its log in shared memory gives threads the same isolation as a file on disk.
        tuning = Tuning.of(settings, memory=True)
        if tuning.read_only:
            raise ConfigurationError("a store in memory begins empty, so read_only makes no sense")
        shared = str(_SHARED_MEMORY) if os.access(_SHARED_MEMORY, os.W_OK | os.X_OK) else None
        folder = Path(tempfile.mkdtemp(prefix="iotstore-", dir=shared))  # 0700 by itself
        try:
            create_file(folder / "memory.db")
            return cls(folder / "memory.db", tuning, settings.display, memory=True)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise

    @classmethod
    def declared(cls) -> Capabilities:
        """What a store in a file on a local disk can do."""
        return _CAPABILITIES

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Every option with its default and a sentence."""
        return OPTIONS

    def read(self) -> SqliteRead:
        """A session over a pooled connection."""
        return SqliteRead(self._readers, self._statements)

    def explaining(self, told: Callable[[Explained], object]) -> SqliteExplaining:
        """A session that tells of each statement with SQLite's query plan."""
        return SqliteExplaining(self._readers, self._statements, told)

    def snapshot(self) -> SqliteSnapshot:
        """A session inside a read transaction that has begun."""
        return SqliteSnapshot(self._readers, self._statements, self._watch)

    def write(self) -> SqliteWrite:
        """A transaction that holds the write lock already."""
        return SqliteWrite(self._writing(), self._statements)

    def _writing(self) -> Writer:
        if self._writer is None:
            if self._readers.closed:
                raise self._readers.refusal()
            raise NotAllowed("the store was opened read-only", hint="open it without read_only to write")
        return self._writer

    def close(self) -> None:
        """Give back everything. What other threads have in hand is closed when they let go of it."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            forks.closed(self)
            self._watch.close()
            self._readers.close()
            if self._writer is not None:
                # Last: the last connection to close copies the log into the file and removes it.
                self._writer.close(min(self._tuning.busy_timeout, _CLOSE_SECONDS))
            if self._remove is not None:
                self._remove()

    def abandon(self, refusal: forks.Refusal) -> object:
        """In a forked child: SQLite's connections do not survive a fork, so neither does the store."""
        self._closed = True
        self._watch.abandon()
        return self._readers.abandon(refusal), None if self._writer is None else self._writer.abandon(refusal)

    def describe(self) -> Mapping[str, str]:
        """What is open, and how."""
        return {
            "engine": f"SQLite {sqlite3.sqlite_version}",
            "place": self._shown,
            **({} if self._remove else {"file": str(self._path.absolute())}),
            "journal": self._journal,
            "durability": self.durability.value,
            "access": "read-only" if self._writer is None else "read and write",
            "readers": f"{self._readers.open} of {self._tuning.readers} open, {self._readers.lent} in use",
            "busy_timeout": f"{self._tuning.busy_timeout:g} s",
            "snapshot_seconds": f"{self._tuning.snapshot_seconds:g} s",
        }

    def health(self) -> list[Check]:
        """Journal, log, disk, permissions, free pages, references."""
        with self.read() as session:
            try:
                return _admin.health(self._path, session, self._tuning, self._journal, self._shown)
            except OSError as error:
                raise file_error(self._path, error) from error

    def metrics(self) -> Mapping[str, float]:
        """Reading connections, and snapshots that are open."""
        counted = {"readers_size": self._tuning.readers, "readers_open": self._readers.open}
        counted |= {"readers_lent": self._readers.lent, "snapshots_open": self._watch.watched}
        return {name: float(found) for name, found in counted.items()}

    def verify(self) -> list[Check]:
        """SQLite's integrity check, and every reference."""
        with self.read() as session:
            return _admin.verify(session)

    def places(self, layouts: Sequence[Layout]) -> list[Place]:
        """Rows and bytes of each layout, then of the points."""
        with self.snapshot() as session:
            return _admin.places(session, layouts)

    def optimise(self, *, compact: bool) -> Mapping[str, str]:
        """Refresh statistics and copy the log into the file; with *compact* rewrite the file without holes."""
        return _admin.optimise(self._writing(), self._path, compact=compact)

    def copy_out(self, target: Path, session: ReadSession, progress: Callable[[int, int], None]) -> None:
        """Copy the state that *session* sees to the new file *target*: one plain file for its owner only."""
        if self._closed:
            raise closed_error()
        _backup.copy_out(target, session, progress)

    @classmethod
    def open_copy(cls, source: Path, settings: Settings, progress: Callable[[int, int], None]) -> SqliteBackend:  # noqa: ARG003 - the file itself is opened, wherever the store is
        """Open a backup read-only. No lock, log or shared memory is made beside it."""
        path = source.absolute()
        _backup.check_copy(path)
        return cls(path, Tuning.of(_at(path, {"read_only": True})), f"sqlite:///{path}", immutable=True)

    @classmethod
    def open_scratch(cls, folder: Path, settings: Settings) -> SqliteBackend:  # noqa: ARG003 - as above
        """Open a new store in a file in *folder*."""
        return cls.connect(_at(folder / "scratch", {}))

    @classmethod
    def check_free(cls, settings: Settings) -> None:
        """Raise NotAllowed when the file exists."""
        if Path(settings.path).exists():
            raise NotAllowed(
                f"{settings.display} exists already",
                hint="restore to another place, or with replace=True: the old one is kept",
            )

    def install(self, settings: Settings, progress: Callable[[int, int], None], *, replace: bool) -> str | None:
        """Put this store in the place that *settings* name; returns where an older one was kept."""
        if settings.path == _MEMORY:
            raise NotAllowed("a store in memory can't be restored as a file", hint="restore a portable backup into it")
        source = self._path
        if self._writer is not None:
            source = self._path.with_name("plain")
            with self.snapshot() as session:
                self.copy_out(source, session, progress)
        self.close()
        kept = _backup.install(source, Path(settings.path).absolute(), replace=replace)
        return None if kept is None else str(kept)


def _at(path: Path, options: Mapping[str, bool]) -> Settings:
    return Settings("sqlite", None, None, (), str(path), f"sqlite:///{path}", options)


def _remove_folder(folder: Path, pid: int) -> None:
    if os.getpid() == pid:  # not at the end of a forked child
        shutil.rmtree(folder, ignore_errors=True)
