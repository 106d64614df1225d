"""Reading connections: opened on demand, kept for the next one, and never held too long by a snapshot."""

from __future__ import annotations

import sqlite3
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import Final, Protocol

from iotstore.backend import StoreError
from iotstore_sqlite._errors import busy_error, closed_error, translated


class Link:
    """One reading connection with the cursor that its sessions share, one after the other."""

    __slots__ = ("connection", "execute")

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.execute: Callable[..., sqlite3.Cursor] = connection.cursor().execute


class Readers:
    """A pool that hands out the connection used last: its page cache is the warmest."""

    def __init__(self, connect: Callable[[], sqlite3.Connection], most: int, timeout: float) -> None:
        self._connect = connect
        self._most = most
        self._timeout = timeout
        self._idle: deque[Link] = deque()  # its pop and append are atomic: no lock while nobody waits
        self._state = threading.Condition()
        self._open = 0
        # Every connection, lent ones too: a session that is collected as garbage must not take its connection along.
        self._links: set[Link] = set()
        self._waiting = 0
        self.closed = False
        #: the error of those who come after the end
        self.refusal: Callable[[], StoreError] = closed_error

    @property
    def open(self) -> int:
        """How many connections exist."""
        return self._open

    @property
    def lent(self) -> int:
        """How many of them a session has."""
        return self._open - len(self._idle)

    def borrow(self) -> Link:
        """A connection; give it back."""
        try:
            return self._idle.pop()
        except IndexError:
            return self._borrow_slowly()

    def _borrow_slowly(self) -> Link:
        deadline = time.monotonic() + self._timeout
        with self._state:
            self._waiting += 1
            try:
                while True:
                    if self.closed:
                        raise self.refusal()
                    if self._idle:
                        try:
                            return self._idle.pop()
                        except IndexError:  # somebody without the lock was faster
                            continue
                    if self._open < self._most:
                        self._open += 1
                        break
                    remaining = deadline - time.monotonic()
                    if remaining <= 0 or not self._state.wait(remaining):
                        raise busy_error(f"a reader (all {self._most} are in use)", self._timeout)
            finally:
                self._waiting -= 1
        try:
            link = Link(self._connect())
            self._links.add(link)
        except BaseException as error:
            with self._state:
                self._open -= 1
                self._state.notify()
            if isinstance(error, sqlite3.Error):
                raise translated(error) from error
            raise
        return link

    def give(self, link: Link) -> None:
        """Take a connection back, ready for the next one."""
        self._idle.append(link)
        if self._waiting:
            with self._state:
                self._state.notify()
        if self.closed:
            self._drain()

    def discard(self, link: Link) -> None:
        """Close a connection that can't be trusted any more."""
        link.connection.close()
        with self._state:
            self._links.discard(link)
            self._open -= 1
            self._state.notify()

    def close(self) -> None:
        """Close the idle connections now and the lent ones when they come back."""
        with self._state:
            self.closed = True
            self._state.notify_all()
        self._drain()

    def _drain(self) -> None:
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return
            self.discard(link)

    def abandon(self, refusal: Callable[[], StoreError]) -> list[Link]:
        """In a forked child: forget the connections without closing them, and hand them over to be kept alive."""
        self.closed = True
        self.refusal = refusal
        self._state = threading.Condition()
        links = list(self._links)
        self._idle.clear()
        return links


class Expiring(Protocol):
    """What the watch needs of a snapshot."""

    deadline: float

    def expire(self) -> bool:
        """End the snapshot from another thread; False if it is to be asked again."""
        ...


class Watch:
    """Ends snapshots that grew too old.

    Also those that nobody calls any more: an idle reader keeps the log from being truncated as surely as a busy one.
    The thread exists while there are snapshots.
    """

    _LEAST_PERIOD: Final = 0.02
    _LONGEST_PERIOD: Final = 5.0

    def __init__(self, age: float) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.age = age
        # Reentrant: a forgotten snapshot may be collected, and so removed, while its own thread is in here.
        self._mutex = threading.RLock()
        # Weak: a snapshot that nobody holds any more ends at once, not when it is old.
        self._sessions: dict[int, weakref.ref[Expiring]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    def add(self, session: Expiring) -> None:
        """Watch over a snapshot."""
        with self._mutex:
            self._sessions[id(session)] = weakref.ref(session)
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name="iotstore-sqlite-snapshots", daemon=True)
                self._thread.start()

    def remove(self, session: Expiring) -> None:
        """The snapshot has ended. After this nobody touches its connection from here."""
        with self._mutex:
            self._sessions.pop(id(session), None)

    def reap(self) -> None:
        """End the snapshots that are too old."""
        now = self.clock()
        with self._mutex:
            for key, known in list(self._sessions.items()):
                session = known()
                if session is None or (session.deadline <= now and session.expire()):
                    self._sessions.pop(key, None)

    def _run(self) -> None:
        period = min(max(self.age / 10, self._LEAST_PERIOD), self._LONGEST_PERIOD)
        idle = 0
        while not self._stop.wait(period):
            self.reap()
            with self._mutex:
                idle = 0 if self._sessions else idle + 1
                if idle > 3:
                    self._thread = None
                    return

    def close(self) -> None:
        """Stop the thread."""
        self._stop.set()
        with self._mutex:
            thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def abandon(self) -> None:
        """In a forked child the thread does not exist."""
        self._mutex = threading.RLock()
        self._sessions = {}
        self._thread = None
