"""Connections: how each kind of them is opened, and every PRAGMA with its reason."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final, NamedTuple, Self
from urllib.parse import quote

from iotstore.backend import ConfigurationError, Durability, Option, Settings
from iotstore_sqlite._dialect import BYTES_FUNCTION, REAL_FUNCTION

#: The least SQLite: STRICT tables came with it, RETURNING and DROP COLUMN a little before.
MINIMUM: Final = (3, 37, 0)

OPTIONS: Final = {
    "durability": Option(
        str, "normal",
        "full: an acknowledged write survives loss of power; normal: it survives the death of the process, and loss of"
        " power may undo the last ones, without damage", choices=("full", "normal"),
    ),
    "busy_timeout": Option(float, 30.0, "Seconds that a call waits for the writer or a reader before it raises Busy."),
    "readers": Option(int, 8, "How many reading connections are open at most."),
    "snapshot_seconds": Option(float, 300.0, "Age at which a snapshot is ended, so that the log can be truncated."),
    "cache_mb": Option(int, 16, "Page cache of the writer in MiB; a reader has a quarter of it."),
    "mmap_mb": Option(int, 0, "MiB of the file that are mapped into memory; a failing disk then kills the process."),
    "checkpoint_pages": Option(int, 1000, "Pages in the log after which it is copied into the file."),
    "log_limit_mb": Option(int, 64, "Size at which the log is truncated as soon as no reader needs it."),
    "read_only": Option(bool, False, "Refuse every write; the file must exist."),
}  # fmt: skip


class Tuning(NamedTuple):
    """The options of one open store, checked."""

    durability: Durability
    busy_timeout: float
    readers: int
    snapshot_seconds: float
    cache_mb: int
    mmap_mb: int
    checkpoint_pages: int
    log_limit_mb: int
    read_only: bool

    @classmethod
    def of(cls, settings: Settings, *, memory: bool = False) -> Self:
        """The options in *settings*, with the defaults of those that are not given."""
        given = {name: settings.options.get(name, option.default) for name, option in OPTIONS.items()}
        try:
            durability = Durability.NONE if memory else Durability(str(given["durability"]))
        except ValueError as error:
            raise ConfigurationError(
                f"option durability: {given['durability']!r} is not known", hint="use full or normal"
            ) from error
        numbers: dict[str, float] = {}
        least = {"busy_timeout": 0, "readers": 1, "snapshot_seconds": 0, "cache_mb": 1, "mmap_mb": 0,
                 "checkpoint_pages": 1, "log_limit_mb": 1}  # fmt: skip
        for name, lowest in least.items():
            value = given[name]
            if isinstance(value, bool) or not isinstance(value, int | float) or value < lowest:
                raise ConfigurationError(f"option {name}: {value!r} is not a number of {lowest} or more")
            numbers[name] = value
        return cls(
            durability,
            float(numbers["busy_timeout"]),
            int(numbers["readers"]),
            float(numbers["snapshot_seconds"]),
            int(numbers["cache_mb"]),
            int(numbers["mmap_mb"]),
            int(numbers["checkpoint_pages"]),
            int(numbers["log_limit_mb"]),
            given["read_only"] is True,
        )


def open_file(path: Path, mode: str, *, timeout: float = 0.0, immutable: bool = False) -> sqlite3.Connection:
    """A bare connection. *mode* is ``ro`` or ``rw``: never ``rwc``, no connection creates a file by accident."""
    uri = f"file:{quote(str(path))}?mode={mode}" + ("&immutable=1" if immutable else "")
    connection = sqlite3.connect(
        uri,
        uri=True,
        timeout=timeout,
        isolation_level=None,  # transactions begin and end where this package says so
        check_same_thread=False,  # pool and locks see to it that one thread uses a connection at a time
        cached_statements=512,
    )
    connection.create_function(REAL_FUNCTION, 1, float.fromhex, deterministic=True)
    connection.create_function(BYTES_FUNCTION, 1, bytes.fromhex, deterministic=True)
    return connection


def _prepare(connection: sqlite3.Connection, tuning: Tuning, cache_mb: float) -> None:
    # Off by default in SQLite, and per connection: references are watched over on each of them.
    connection.execute("PRAGMA foreign_keys = ON")
    # Negative: KiB instead of pages. The default of 2 MB is less than one batch of telemetry touches.
    connection.execute(f"PRAGMA cache_size = -{max(int(cache_mb * 1024), 512)}")
    # Sorting and RETURNING must not need a writable folder, and must not wear an SD card.
    connection.execute("PRAGMA temp_store = MEMORY")
    # Functions in a schema that somebody else wrote into the file must not run with our rights.
    connection.execute("PRAGMA trusted_schema = OFF")
    if tuning.mmap_mb:
        connection.execute(f"PRAGMA mmap_size = {tuning.mmap_mb * 2**20}")


def open_reader(path: Path, tuning: Tuning, *, immutable: bool = False) -> sqlite3.Connection:
    """A connection of the readers' pool. It can't write, whatever it is told to."""
    # A reader waits inside SQLite: it can meet a lock only while a log is recovered, or in rollback mode.
    mode = "ro" if tuning.read_only or immutable else "rw"
    connection = open_file(path, mode, timeout=tuning.busy_timeout, immutable=immutable)
    try:
        _prepare(connection, tuning, tuning.cache_mb / 4)
        connection.execute("PRAGMA query_only = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def open_writer(path: Path, tuning: Tuning) -> tuple[sqlite3.Connection, str]:
    """The writing connection, and the journal mode that it got."""
    connection = open_file(path, "rw", timeout=min(tuning.busy_timeout, 5.0))
    try:
        # Readers and the writer do not wait for each other. Kept in the file. On a network file system, where
        # processes can't share memory, SQLite answers with the mode it stays in instead of raising.
        (journal,) = connection.execute("PRAGMA journal_mode = WAL").fetchone()
        _prepare(connection, tuning, tuning.cache_mb)
        # FULL syncs the log at each commit; NORMAL syncs it before it is copied into the file, so loss of power may
        # undo the last commits but never tears the file; OFF leaves it to the system: for stores that die with us.
        synchronous = {Durability.FULL: "FULL", Durability.NORMAL: "NORMAL", Durability.NONE: "OFF"}
        connection.execute(f"PRAGMA synchronous = {synchronous[tuning.durability]}")
        # After so many pages a commit copies what no reader needs any more from the log into the file.
        connection.execute(f"PRAGMA wal_autocheckpoint = {tuning.checkpoint_pages}")
        # A log that grew under a long reader gives its room back when it starts over.
        connection.execute(f"PRAGMA journal_size_limit = {tuning.log_limit_mb * 2**20}")
        # Waiting for the write lock is done by our own retry with jitter: SQLite's backs off so far that a busy
        # process starves the other one.
        connection.execute("PRAGMA busy_timeout = 0")
    except BaseException:
        connection.close()
        raise
    return connection, str(journal)
