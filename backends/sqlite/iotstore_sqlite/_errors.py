"""The border: every error of the driver becomes one of the core's, by result code, chained by whoever raises it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from iotstore.backend import (
    Busy,
    Conflict,
    Corrupt,
    EngineError,
    InvalidValue,
    NotAllowed,
    NotAStore,
    Overflow,
    ReadOnly,
    StorageFull,
    StoreError,
    UnknownReference,
    Unreachable,
)

RESTORE_HINT: Final = (
    "stop using the file, list the backups with `iotstore backup list` and put the last good one in its place with"
    " `iotstore backup restore`"
)


def closed_error() -> NotAllowed:
    """The store was closed."""
    return NotAllowed("the store is closed", hint="open it again")


def ended_error() -> NotAllowed:
    """The session is over."""
    return NotAllowed("this session has ended", hint="begin another one")


def busy_error(what: str, seconds: float) -> Busy:
    """Somebody held *what* for longer than the declared time."""
    return Busy(
        f"{what} was not free within {seconds:g} seconds",
        hint="retry, keep transactions short, or raise the option busy_timeout",
    )


def _told(make: Callable[..., StoreError], text: str, hint: str | None) -> Callable[[str], StoreError]:
    return lambda detail: make(f"{text} ({detail})", hint=hint)


_busy = _told(Busy, "another connection holds the database", "retry, or raise the option busy_timeout")
_corrupt = _told(Corrupt, "the database file is damaged", RESTORE_HINT)
_foreign = _told(NotAStore, "the file is not an SQLite database", "check the path in the URL")
_refused = _told(InvalidValue, "the engine refused a value", "the core should have: please report it")
_engine = _told(EngineError, "SQLite failed", None)
_disk = _told(EngineError, "reading or writing the disk failed", "look at the disk's health and the system's log")
_conflict = _told(Conflict, "a record with this key exists already", None)
_unreachable = _told(Unreachable, "the database file can't be opened", "check that the path exists and is permitted")

# Every primary result code that SQLite 3.37 and later can raise; a test walks the driver's list.
_PRIMARY: Final[Mapping[int, Callable[[str], StoreError]]] = {
    sqlite3.SQLITE_ERROR: _engine,
    sqlite3.SQLITE_INTERNAL: _engine,
    sqlite3.SQLITE_PERM: _unreachable,
    sqlite3.SQLITE_ABORT: _engine,
    sqlite3.SQLITE_BUSY: _busy,
    sqlite3.SQLITE_LOCKED: _busy,
    sqlite3.SQLITE_NOMEM: _told(EngineError, "SQLite ran out of memory", "lower the option cache_mb"),
    sqlite3.SQLITE_READONLY: _told(
        ReadOnly, "the database takes no writes", "check the permissions of file and folder"
    ),
    sqlite3.SQLITE_INTERRUPT: _told(Busy, "the statement was stopped", "retry with a new session"),
    sqlite3.SQLITE_IOERR: _disk,
    sqlite3.SQLITE_CORRUPT: _corrupt,
    sqlite3.SQLITE_NOTFOUND: _engine,
    sqlite3.SQLITE_FULL: _told(StorageFull, "no room is left for the database", "free space on the disk, then retry"),
    sqlite3.SQLITE_CANTOPEN: _unreachable,
    sqlite3.SQLITE_PROTOCOL: _busy,
    sqlite3.SQLITE_EMPTY: _engine,
    sqlite3.SQLITE_SCHEMA: _told(Busy, "another process changed the schema meanwhile", "retry"),
    sqlite3.SQLITE_TOOBIG: _told(InvalidValue, "a value is too long for SQLite", "store it in parts"),
    sqlite3.SQLITE_CONSTRAINT: _refused,
    sqlite3.SQLITE_MISMATCH: _refused,
    sqlite3.SQLITE_MISUSE: _engine,
    sqlite3.SQLITE_NOLFS: _told(StorageFull, "the file system can't hold a file this large", "move the database"),
    sqlite3.SQLITE_AUTH: _unreachable,
    sqlite3.SQLITE_FORMAT: _foreign,
    sqlite3.SQLITE_RANGE: _engine,
    sqlite3.SQLITE_NOTADB: _foreign,
}

_EXTENDED: Final[Mapping[int, Callable[[str], StoreError]]] = {
    sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY: _conflict,
    sqlite3.SQLITE_CONSTRAINT_ROWID: _conflict,
    sqlite3.SQLITE_CONSTRAINT_UNIQUE: lambda detail: InvalidValue(
        f"another record has this value already ({detail})", field=_column(detail), hint="it must be unique"
    ),
    sqlite3.SQLITE_CONSTRAINT_NOTNULL: lambda detail: InvalidValue("may not be None", field=_column(detail)),
    sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY: lambda detail: UnknownReference(
        f"a record points to one that does not exist ({detail})", field="reference"
    ),
    sqlite3.SQLITE_READONLY_DBMOVED: _told(
        Unreachable, "the database file was moved or deleted while it was open", "put it back, or open its new path"
    ),
    getattr(sqlite3, "SQLITE_IOERR_CORRUPTFS", 8458): _corrupt,  # the driver names it only where SQLite was new enough
}


def _column(detail: str) -> str | None:
    """The column of ``UNIQUE constraint failed: devices.mac``, and the columns when there are several."""
    _, found, columns = detail.partition(": ")
    return ", ".join(name.rpartition(".")[2] for name in columns.split(", ")) if found else None


#: What the driver raises. SQLite quotes a damaged schema in its message, and the driver fails to decode that.
DRIVER_ERRORS: Final = (sqlite3.Error, UnicodeDecodeError)


def translated(error: sqlite3.Error | UnicodeDecodeError, layout: str | None = None) -> StoreError:
    """The core's error for one of the driver's. Raise it ``from`` the driver's."""
    if isinstance(error, UnicodeDecodeError):
        return _corrupt("it holds text that is none")
    detail = str(error)
    code = getattr(error, "sqlite_errorcode", None)
    if code is None:  # raised by the driver itself, not by SQLite
        return closed_error() if "closed" in detail else _engine(detail)
    if code == sqlite3.SQLITE_ERROR and "integer overflow" in detail:
        return Overflow("a sum of integers does not fit 64 bits")
    if layout is not None and code in {sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID}:
        return Conflict(f"a record of {layout} with this key exists already")
    make = _EXTENDED.get(code) or _PRIMARY.get(code & 0xFF, _engine)
    return make(detail)


@contextmanager
def translating() -> Iterator[None]:
    """Translate the driver's errors of a block: for paths that are not hot."""
    try:
        yield
    except DRIVER_ERRORS as error:
        raise translated(error) from error
