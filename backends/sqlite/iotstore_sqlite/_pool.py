"""Reading connections: opened on demand, kept for the next one, and never held too long by a snapshot."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable

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
