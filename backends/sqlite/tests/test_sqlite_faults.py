"""Faults: every code of the driver has its error, and a failed call leaves nothing behind."""

from __future__ import annotations

import sqlite3
import threading

import pytest

from iotstore.backend import (
    Busy,
    Conflict,
    Corrupt,
    EngineError,
    InvalidValue,
    Layout,
    NotAllowed,
    NotAStore,
    OnConflict,
    Overflow,
    PointType,
    ReadOnly,
    Select,
    StorageFull,
    StoreError,
    UnknownReference,
    Unreachable,
)
from iotstore_sqlite._errors import _PRIMARY, translated
from iotstore_sqlite._turns import FairLock
from iotstore_sqlite.store import SqliteBackend

FLOAT = PointType.FLOAT

# What is no failure but an answer, a part of a bit mask, or another kind of constant.
NO_ERRORS = {"SQLITE_OK", "SQLITE_ROW", "SQLITE_DONE", "SQLITE_NOTICE", "SQLITE_WARNING"}
WORDS = (
    "SQLITE_ERROR", "SQLITE_INTERNAL", "SQLITE_PERM", "SQLITE_ABORT", "SQLITE_BUSY", "SQLITE_LOCKED", "SQLITE_NOMEM",
    "SQLITE_READONLY", "SQLITE_INTERRUPT", "SQLITE_IOERR", "SQLITE_CORRUPT", "SQLITE_NOTFOUND", "SQLITE_FULL",
    "SQLITE_CANTOPEN", "SQLITE_PROTOCOL", "SQLITE_EMPTY", "SQLITE_SCHEMA", "SQLITE_TOOBIG", "SQLITE_CONSTRAINT",
    "SQLITE_MISMATCH", "SQLITE_MISUSE", "SQLITE_NOLFS", "SQLITE_AUTH", "SQLITE_FORMAT", "SQLITE_RANGE", "SQLITE_NOTADB",
)  # fmt: skip


def driver_error(code: int, text: str = "what happened") -> sqlite3.Error:
    error = sqlite3.DatabaseError(text)
    error.sqlite_errorcode = code
    return error


def codes() -> dict[str, int]:
    """The driver's error codes, primary and extended: names that begin with that of a primary code."""
    return {
        name: getattr(sqlite3, name)
        for name in dir(sqlite3)
        if name not in NO_ERRORS and any(name == word or name.startswith(f"{word}_") for word in WORDS)
    }


def test_every_primary_code_of_the_driver_has_its_own_line() -> None:
    assert {getattr(sqlite3, word) for word in WORDS} == set(_PRIMARY)
    assert len(codes()) > 80


@pytest.mark.parametrize("name", sorted(codes()))
def test_every_code_becomes_an_error_of_the_core(name: str) -> None:
    error = translated(driver_error(codes()[name]))
    assert isinstance(error, StoreError)
    assert type(error) is not StoreError
    assert str(error)


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_BUSY, Busy),
        (sqlite3.SQLITE_BUSY_SNAPSHOT, Busy),
        (sqlite3.SQLITE_LOCKED_SHAREDCACHE, Busy),
        (sqlite3.SQLITE_FULL, StorageFull),
        (sqlite3.SQLITE_READONLY_DIRECTORY, ReadOnly),
        (sqlite3.SQLITE_READONLY_DBMOVED, Unreachable),
        (sqlite3.SQLITE_CANTOPEN_ISDIR, Unreachable),
        (sqlite3.SQLITE_CORRUPT_INDEX, Corrupt),
        (sqlite3.SQLITE_NOTADB, NotAStore),
        (sqlite3.SQLITE_IOERR_WRITE, EngineError),
        (sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, Conflict),
        (sqlite3.SQLITE_CONSTRAINT_ROWID, Conflict),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, InvalidValue),
        (sqlite3.SQLITE_CONSTRAINT_CHECK, InvalidValue),
        (sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY, UnknownReference),
        (sqlite3.SQLITE_TOOBIG, InvalidValue),
    ],
)
def test_codes_that_an_application_acts_upon_are_told_apart(code: int, expected: type[StoreError]) -> None:
    assert type(translated(driver_error(code))) is expected


def test_an_overflow_and_a_closed_connection_are_recognised_without_a_code_of_their_own() -> None:
    assert isinstance(translated(driver_error(sqlite3.SQLITE_ERROR, "integer overflow")), Overflow)
    assert isinstance(translated(sqlite3.ProgrammingError("Cannot operate on a closed database.")), NotAllowed)
    assert isinstance(translated(sqlite3.ProgrammingError("anything else")), EngineError)


def limit_size(backend: SqliteBackend, pages: int) -> None:
    assert backend._writer is not None
    assert backend._writer._connection is not None
    backend._writer._connection.execute(f"PRAGMA max_page_count = {pages}")


def test_a_full_disk_is_storage_full_and_the_store_works_again_when_there_is_room(
    backend: SqliteBackend, flows: Layout
) -> None:
    limit_size(backend, 1)  # SQLite takes the present size instead
    session = backend.write()
    session.insert(flows, (1, None, 0, None))
    with pytest.raises(StorageFull, match=r"no room is left for the database.*free space") as caught:
        session.append(FLOAT, [1] * 20_000, range(20_000), [0.5] * 20_000, OnConflict.ERROR)
    assert caught.value.retryable
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    session.rollback()
    with backend.read() as reading:
        assert reading.count() == 0
        assert reading.select(flows, Select()) == []
    limit_size(backend, 1_000_000)
    with backend.write() as session:
        assert session.append(FLOAT, [1] * 20_000, range(20_000), [0.5] * 20_000, OnConflict.ERROR).stored == 20_000


def test_after_the_engine_rolled_back_by_itself_nothing_more_is_written(backend: SqliteBackend, flows: Layout) -> None:
    session = backend.write()
    session.insert(flows, (1, None, 0, None))
    assert backend._writer is not None
    assert backend._writer._connection is not None
    backend._writer._connection.execute("ROLLBACK")  # as SQLite does after some errors of the disk
    with pytest.raises(InvalidValue, match="at: may not be None"):
        session.insert(flows, (2, None, None, None))
    for late in (lambda: session.insert(flows, (3, None, 0, None)), lambda: session.get(flows, (1,)), session.commit):
        with pytest.raises(EngineError, match=r"the engine rolled this transaction back.*begin another one"):
            late()
    with backend.write() as again:
        assert again.select(flows, Select()) == []


def test_a_commit_of_a_transaction_that_is_gone_is_an_error(backend: SqliteBackend, flows: Layout) -> None:
    session = backend.write()
    session.insert(flows, (1, None, 0, None))
    assert backend._writer is not None
    assert backend._writer._connection is not None
    backend._writer._connection.execute("ROLLBACK")
    with pytest.raises(EngineError, match="no transaction is active"):
        session.commit()
    with backend.write() as again:
        assert again.select(flows, Select()) == []


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_an_exception_in_a_transaction_undoes_it_and_frees_the_lock(
    backend: SqliteBackend, flows: Layout, error: type[BaseException]
) -> None:
    def fail() -> None:
        with backend.write() as session:
            session.insert(flows, (1, None, 0, None))
            session.savepoint()
            raise error("stop")

    for _ in range(3):
        with pytest.raises(error, match="stop"):
            fail()
    with backend.write() as session:
        assert session.select(flows, Select()) == []
    assert backend._readers.lent == 0


def test_a_failing_call_on_a_reader_costs_the_pool_nothing(backend: SqliteBackend) -> None:
    for _ in range(20):
        with pytest.raises(EngineError, match="no such table"), backend.read() as reading:
            reading.rows("SELECT * FROM missing", ())
        with pytest.raises(EngineError, match="no such table"), backend.snapshot() as snapshot:
            snapshot.rows("SELECT * FROM missing", ())
    assert (backend._readers.open <= 2, backend._readers.lent) == (True, 0)


def test_a_connection_that_died_is_replaced(backend: SqliteBackend, flows: Layout) -> None:
    assert backend._writer is not None
    session = backend.write()
    assert backend._writer._connection is not None
    backend._writer._connection.close()
    with pytest.raises(NotAllowed, match="closed"):
        session.insert(flows, (1, None, 0, None))
    session.rollback()
    with backend.write() as again:
        again.insert(flows, (1, None, 0, None))
    with backend.read() as reading:
        assert reading.get(flows, (1,)) == (1, None, 0, None)


def test_a_reader_that_can_not_be_opened_frees_its_place(
    backend: SqliteBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> sqlite3.Connection:
        raise driver_error(sqlite3.SQLITE_CANTOPEN)

    with backend.read():
        monkeypatch.setattr(backend._readers, "_connect", refuse)
        for _ in range(20):
            with pytest.raises(Unreachable, match="can't be opened"):
                backend.read()
        monkeypatch.undo()
        with backend.read() as reading:
            assert reading.count() == 0


class Interrupted:
    """A gate at which Ctrl-C arrives, before or after the lock was handed over."""

    def __init__(self, lock: FairLock, *, handed_over: bool) -> None:
        self._lock = lock
        self._handed_over = handed_over
        self._first = True

    def acquire(self, timeout: float = -1) -> bool:  # noqa: ARG002 - the signature of a lock
        if self._first:  # the lock closes the gate that it has just made
            self._first = False
            return True
        if self._handed_over:
            self._lock.release()
        raise KeyboardInterrupt("stop")

    def release(self) -> None:
        """Opened by whoever hands the lock over."""


@pytest.mark.parametrize("handed_over", [False, True])
def test_an_interrupt_while_waiting_for_the_lock_loses_nothing(
    monkeypatch: pytest.MonkeyPatch, handed_over: bool
) -> None:
    lock = FairLock()
    assert lock.acquire(0)
    monkeypatch.setattr(threading, "Lock", lambda: Interrupted(lock, handed_over=handed_over))
    with pytest.raises(KeyboardInterrupt, match="stop"):
        lock.acquire(10)
    if not handed_over:
        lock.release()
    assert lock.acquire(0)
