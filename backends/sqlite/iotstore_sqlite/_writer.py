"""The one writing connection: whose turn it is, how long others are waited for, and the size of the log."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Final, Protocol, TypeVar

from iotstore.backend import StoreError, UnknownReference
from iotstore_sqlite._connection import Tuning, open_writer
from iotstore_sqlite._errors import DRIVER_ERRORS, busy_error, closed_error, translated
from iotstore_sqlite._turns import Bell, FairLock

# Between two tries for the write lock of another process, in seconds: with jitter, so that two do not try in step.
_RETRY: Final = (0.0002, 0.001)
# So long a process may write without a look whether another one waits; then it pauses longer than any retry takes.
_BURST: Final = 0.004
_PAUSE: Final = (0.0015, 0.003)
# How often the size of the log is looked at: by commits and by rows.
_LOOK_COMMITS: Final = 256
_LOOK_CHANGES: Final = 5_000


Result = TypeVar("Result")


class Rollable(Protocol):
    """A session that can be rolled back."""

    def rollback(self) -> None:
        """Leave no trace."""


class Writer:
    """The writing connection and its turns."""

    def __init__(self, path: Path, tuning: Tuning, *, random: Random, before_truncate: Callable[[], None]) -> None:
        self.path = path
        self.tuning = tuning
        self.random = random
        self.sleep: Callable[[float], None] = time.sleep
        self.closed = False
        #: the error of those who come after the end
        self.refusal: Callable[[], StoreError] = closed_error
        self.journal = ""
        #: the thread whose turn it is, and its session
        self.owner: int | None = None
        self.session: Callable[[], Rollable | None] | None = None
        self._lock = FairLock()
        self._log = path.with_name(path.name + "-wal")
        self._before_truncate = before_truncate
        self._bell = Bell(path.parent)
        self._looked = 0.0
        self._commits = 0
        self._changes = 0
        self._connection: sqlite3.Connection | None = None
        self._open()

    def _open(self) -> sqlite3.Connection:
        self._connection, self.journal = open_writer(self.path, self.tuning)
        #: the cursor's method that all sessions share, one after the other
        self.execute: Callable[..., sqlite3.Cursor] = self._connection.cursor().execute
        return self._connection

    def begin(self) -> sqlite3.Connection:
        """Wait for the turn and begin a transaction. ``end`` must follow."""
        if not self._lock.acquire(self.tuning.busy_timeout):
            raise busy_error("the writer", self.tuning.busy_timeout)
        try:
            connection = self._usable()
            self._retrying("BEGIN IMMEDIATE")
        except DRIVER_ERRORS as error:
            self.end()
            raise translated(error) from error
        except BaseException:
            self.end()
            raise
        self.owner = threading.get_ident()
        return connection

    def _usable(self) -> sqlite3.Connection:
        if self.closed:
            raise self.refusal()
        return self._connection or self._open()

    def _retrying(self, text: str) -> None:
        try:
            self.execute(text)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
        else:
            return
        deadline = time.monotonic() + self.tuning.busy_timeout
        try:
            while not self._tried(text, deadline):
                self._bell.ring()
                self.sleep(self.random.uniform(*_RETRY))
        finally:
            self._bell.stop()

    def _tried(self, text: str, deadline: float) -> bool:
        try:
            self.execute(text)
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_BUSY:
                raise
            if time.monotonic() >= deadline:
                raise busy_error("the write lock of the database file", self.tuning.busy_timeout) from error
            return False
        return True

    def commit(self) -> None:
        """Commit and give the turn away. When it raises, the transaction is rolled back."""
        connection = self._connection
        if connection is None:
            self.end()
            raise self.refusal()
        try:
            # In rollback mode a commit waits for readers; in WAL mode it meets nobody.
            self._retrying("COMMIT")
            self._tend(connection)
            waited_for = self._is_waited_for()
        except DRIVER_ERRORS as error:
            raise self._commit_error(connection, error) from error
        finally:
            self.end()
        if waited_for:
            self.sleep(self.random.uniform(*_PAUSE))
            self._looked = time.monotonic()

    def _is_waited_for(self) -> bool:
        """Whether another process waits, asked after a burst of commits. During the turn: the bell is one thread's."""
        now = time.monotonic()
        if now - self._looked <= _BURST:
            return False
        self._looked = now
        return self._bell.rings()

    def _commit_error(self, connection: sqlite3.Connection, error: sqlite3.Error | UnicodeDecodeError) -> StoreError:
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
            for table, _, target, number in connection.execute("PRAGMA foreign_key_check"):
                columns = {row[0]: row[3] for row in connection.execute(f'PRAGMA foreign_key_list("{table}")')}
                return UnknownReference(
                    f"a record of {table} points to a record of {target} that does not exist",
                    field=columns.get(number, table),
                    hint="store the other record first, or delete those that point to it first",
                )
        return translated(error)

    def alone(self, work: Callable[[sqlite3.Connection], Result]) -> Result:
        """Do something during a turn that can't be part of a transaction."""
        connection = self.begin()
        try:
            connection.execute("ROLLBACK")
            return work(connection)
        finally:
            self.end()

    def end(self) -> None:
        """Give the turn away, with nothing left open, whatever happened before."""
        self.owner = self.session = None
        connection = self._connection
        try:
            if connection is not None and connection.in_transaction:
                connection.execute("ROLLBACK")
        except sqlite3.Error:
            # SQLite could not even roll back (the disk is gone): closing does, and the next turn opens another one.
            self._drop()
        finally:
            if self.closed:
                self._drop()
            self._lock.release()

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._bell.close()

    def _tend(self, connection: sqlite3.Connection) -> None:
        """Truncate a log that grew beyond its limit, if no reader needs it."""
        self._commits += 1
        changes = connection.total_changes
        if self._commits < _LOOK_COMMITS and changes - self._changes < _LOOK_CHANGES:
            return
        self._commits, self._changes = 0, changes
        if self.log_size() > self.tuning.log_limit_mb * 2**20:
            self._before_truncate()
            try:
                # Answers "busy" in its row while a reader is in the way; then a later commit tries again.
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError:
                return  # the commit has succeeded; tidying up must not make it look failed

    def log_size(self) -> int:
        """Bytes of the write-ahead log."""
        try:
            return os.stat(self._log).st_size  # noqa: PTH116 - runs after commits
        except OSError:
            return 0

    def close(self, wait: float) -> None:
        """No further turns. Closes the connection now, or lets the session whose turn it is do it at its end."""
        self.closed = True
        session = self.session() if self.session is not None and self.owner == threading.get_ident() else None
        if session is not None:  # closed in the midst of one's own transaction: waiting for it would be for ever
            session.rollback()
        if self._lock.acquire(wait):
            self._drop()
            self._lock.release()

    def abandon(self, refusal: Callable[[], StoreError]) -> sqlite3.Connection | None:
        """In a forked child: forget the connection without closing it, and hand it over to be kept alive."""
        self.closed = True
        self.refusal = refusal
        self._lock = FairLock()
        connection, self._connection = self._connection, None
        return connection
