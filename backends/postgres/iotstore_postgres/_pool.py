"""Connections: opened on demand, kept for the next session, tried only after a rest, and never lent for nothing.

A pool of its own, because psycopg's costs 5 microseconds for each checkout where a read costs 40, connects in threads
(so that a wrong password is a timeout), and hands out the connection that rested longest, which is the one that is
most likely dead and has the fewest statements prepared.
"""

from __future__ import annotations

import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple

import psycopg

from iotstore.backend import StoreError, Value
from iotstore_postgres._connection import SilentServer, Wire
from iotstore_postgres._errors import DRIVER_ERRORS, busy_error, closed_error, translated, unconnected
from iotstore_postgres._frames import frames, told_where
from iotstore_sql.watch import Watch

__all__ = ["Execute", "Link", "Pool", "PoolStatistics", "Watch"]

Execute = Callable[[str, Sequence[Value]], psycopg.RawCursor[Any]]


class Link:
    """A borrowed connection with the cursor that its sessions share, one after the other."""

    __slots__ = ("_patience", "_pgconn", "connection", "execute", "given", "lent", "thread", "where")

    def __init__(self, connection: Wire) -> None:
        self.connection = connection
        self._pgconn = connection.pgconn
        self._patience = connection.patience
        cursor: Any = connection.cursor(binary=True)
        #: runs a text with $1, $2, ... and answers with the cursor, whose rows come in binary
        self.execute: Execute = cursor.execute
        #: when it was given back, and when it was lent (0.0: it is not)
        self.given = self.lent = time.monotonic()
        self.thread = threading.get_ident()
        #: where a transaction or snapshot was begun: code and position of each frame
        self.where: list[tuple[Any, int]] | None = None

    @property
    def lost(self) -> bool:
        """Whether the server is gone from its other end."""
        return self.connection.closed

    def may_repeat(self, error: Exception) -> bool:
        """Whether a read that failed so can be asked again on another connection: this one was dead already.

        Not one that waited its time for a server that says nothing: it would wait twice.
        """
        return self.lost and not isinstance(error, SilentServer)

    @property
    def clean(self) -> bool:
        """Whether it is open, outside of any transaction, and nothing is under way on it."""
        return not self._pgconn.transaction_status

    def take_time(self) -> None:
        """Let the statements of the transaction that has begun take as long as they take."""
        self.execute("SET LOCAL statement_timeout = 0", ())
        self.connection.patience = None

    def hurry(self) -> None:
        """Back to the usual patience."""
        self.connection.patience = self._patience

    def tidy(self) -> bool:
        """Roll back what is open; False if the connection can't be used again."""
        if self.connection.closed:
            return False
        if self._pgconn.transaction_status in (2, 3):  # in a transaction, in a failed one
            try:
                self.execute("ROLLBACK", ())
            except DRIVER_ERRORS:
                return False
            except StoreError:  # it was ended from another thread
                return False
        return self.clean  # a call was cut off in the midst of its answer: not to be trusted


class _Waiter:
    """A call that waits for a connection, or for the permission to make one."""

    __slots__ = ("link", "may_open", "served")

    def __init__(self) -> None:
        self.link: Link | None = None
        self.may_open = False
        #: held until it is served; a plain lock, because a session that is collected as garbage may serve anywhere
        self.served = threading.Lock()
        self.served.acquire()


class PoolStatistics(NamedTuple):
    """What a pool has done so far, and has now."""

    size: int
    open: int
    lent: int
    waiting: int
    connected: int  # connections made in all
    waits: int  # calls that found none free
    timeouts: int  # of those, the ones that got none
    lost: int  # connections that the server ended
    retried: int  # reads and beginnings that were repeated on another connection

    def metrics(self) -> dict[str, float]:
        """The same as numbers for a monitoring system; what only grows says so by its name."""
        total = ("connected", "waits", "timeouts", "lost", "retried")
        return {f"pool_{name}{'_total' * (name in total)}": float(found) for name, found in self._asdict().items()}


class Pool:
    """Hands out the connection that was used last: it is the one most surely alive."""

    def __init__(
        self,
        connect: Callable[[], Wire],
        *,
        size: int,
        timeout: float,
        idle_check: float = 30.0,
        check_patience: float = 10.0,
    ) -> None:
        self._connect = connect
        self._size = size
        self._timeout = timeout
        self._idle_check = idle_check
        self._check_patience = check_patience
        self._idle: deque[Link] = deque()  # its pop and append are atomic: no lock while nobody waits
        self._state = threading.RLock()
        # Who gives a connection back serves the first of them: the next call of a busy thread must not be faster.
        self._queue: deque[_Waiter] = deque()
        # Every connection, lent ones too: a session that is collected as garbage must not take its connection along.
        self._links: set[Link] = set()
        self._open = 0
        self._doubt = 0.0  # connections given back before this are tried first: another one was found dead
        self._connected = self._waits = self._timeouts = self._lost = self._retried = 0
        self.closed = self._abandoned = False
        #: the error of those who come after the end
        self.refusal: Callable[[], StoreError] = closed_error

    def borrow(self) -> Link:
        """A connection; give it back. Costs no round trip unless the connection rested for long."""
        try:
            link = self._idle.pop()
        except IndexError:
            link = self._waited_for()
        now = time.monotonic()
        if now - link.given > self._idle_check or link.given <= self._doubt:
            return self._tried(link)
        link.lent = now
        link.thread = threading.get_ident()
        return link

    def _tried(self, link: Link) -> Link:
        """The connection if it answers, else another one."""
        connection = link.connection
        connection.patience = self._check_patience
        try:
            link.execute("SELECT 1", ())
        except DRIVER_ERRORS as error:
            self._forget(link)
            if isinstance(error, SilentServer):
                self._drain()  # the others rest on the same silent server: trying each would take that long again
            return self.borrow()  # ends: each turn has one connection less
        except BaseException:
            self.discard(link)
            raise
        link.hurry()
        link.given = link.lent = time.monotonic()
        link.thread = threading.get_ident()
        return link

    def _waited_for(self) -> Link:
        deadline = time.monotonic() + self._timeout
        waiter = _Waiter()
        with self._state:
            if self.closed:
                raise self.refusal()
            self._queue.append(waiter)
            self._serve()
            self._waits += waiter in self._queue
        try:
            in_time = waiter.served.acquire(timeout=max(0.0, deadline - time.monotonic()))
        except BaseException:
            self._leave(waiter)
            raise
        if not in_time and self._left(waiter):
            self._timeouts += 1
            raise busy_error(f"a connection (all {self._size} are in use)", self._timeout)
        if waiter.may_open:
            return self._opened()
        if waiter.link is None:
            raise self.refusal()
        return waiter.link

    def _serve(self) -> None:
        """Give those who wait, in their order, what there is: called by whoever holds the state."""
        while self._queue and (self._idle or self._open < self._size):
            try:
                link = self._idle.pop()
            except IndexError:  # somebody without the lock was faster
                if self._open >= self._size:
                    continue
                link = None
                self._open += 1
            if self._queue:  # else a session that was collected as garbage just now has served the last one
                waiter = self._queue.popleft()
                waiter.link, waiter.may_open = link, link is None
                waiter.served.release()
            elif link is None:
                self._open -= 1
            else:
                self._idle.append(link)

    def _left(self, waiter: _Waiter) -> bool:
        """Take it out of the queue; False if it was served at the last moment."""
        with self._state:
            try:
                self._queue.remove(waiter)
            except ValueError:
                return False
            return True

    def _leave(self, waiter: _Waiter) -> None:
        """For a call that was interrupted: what it was served is for the next one."""
        if not self._left(waiter):
            if waiter.link is not None:
                self.give(waiter.link)
            elif waiter.may_open:
                self._closed_one()

    def _closed_one(self) -> None:
        with self._state:
            self._open -= 1
            self._serve()

    def _opened(self) -> Link:
        try:
            link = Link(self._connect())
        except BaseException as error:
            self._closed_one()
            if isinstance(error, DRIVER_ERRORS):
                raise unconnected(error) from error
            raise
        self._connected += 1
        with self._state:
            self._links.add(link)
            closed = self.closed
        if closed:
            self.discard(link)
            raise self.refusal()
        return link

    def begin(self, text: str) -> Link:
        """A connection on which *text* has begun a transaction; where one is dead, another one is tried."""
        link = self.borrow()
        try:
            try:
                link.execute(text, ())
            except DRIVER_ERRORS as error:
                if not link.may_repeat(error):
                    raise
                link = self.renewed(link)
                link.execute(text, ())
        except BaseException as error:
            self.give(link)
            if isinstance(error, DRIVER_ERRORS):
                raise translated(error) from error
            raise
        link.where = frames(sys._getframe(1))  # noqa: SLF001 - documented, and the only cheap way to see the caller
        return link

    def renewed(self, link: Link) -> Link:
        """Another connection for one that is lost: for a read outside of transactions, which is safe to repeat once."""
        self._retried += 1
        self._forget(link)
        return self.borrow()

    def give(self, link: Link) -> None:
        """Take a connection back: what is open on it is rolled back, and what is broken is closed."""
        if link.where is not None:  # there was a transaction
            link.where = None
            link.hurry()
        if not link.clean and not link.tidy():
            if link.lost:
                self._forget(link)
            else:
                self.discard(link)
            return
        link.given = time.monotonic()
        link.lent = 0.0
        self._idle.append(link)
        if self._queue:
            with self._state:
                self._serve()
        if self.closed:
            self._drain()

    def _forget(self, link: Link) -> None:
        """Close a dead connection. Where one died, the others that rest may have died too."""
        self._lost += 1
        self._doubt = time.monotonic()
        self.discard(link)

    def discard(self, link: Link) -> None:
        """Close a connection that can't be trusted any more."""
        if self._abandoned:  # closing would end the session of the parent
            return
        with suppress(*DRIVER_ERRORS):
            link.connection.close()
        with self._state:
            if link in self._links:
                self._links.discard(link)
                self._closed_one()

    def statistics(self) -> PoolStatistics:
        """Numbers for health and describe."""
        lent = sum(1 for link in self.links() if link.lent)
        now = self._size, self._open, lent, len(self._queue)
        return PoolStatistics(*now, self._connected, self._waits, self._timeouts, self._lost, self._retried)

    def overdue(self, seconds: float) -> list[tuple[float, str]]:
        """Connections lent for longer than *seconds*, longest first: for how long, and where they are used."""
        now = time.monotonic()
        found = [(now - link.lent, link) for link in self.links() if link.lent and now - link.lent > seconds]
        return [(age, told_where(link.where, link.thread)) for age, link in sorted(found, key=lambda pair: -pair[0])]

    def links(self) -> list[Link]:
        """Every connection that is open."""
        with self._state:
            return list(self._links)

    @contextmanager
    def unhurried(self) -> Iterator[Link]:
        """A connection without a statement timeout, for maintenance that takes as long as it takes."""
        link = self.borrow()
        link.connection.patience = None
        try:
            link.execute("SET statement_timeout = 0", ())
            yield link
            link.execute("RESET statement_timeout", ())  # to what the session began with
            link.hurry()
        except BaseException as error:
            self.discard(link)  # what it is set to is not known
            if isinstance(error, DRIVER_ERRORS):
                raise translated(error) from error
            raise
        self.give(link)

    def close(self) -> None:
        """Close the idle connections now; the next call on a lent one is refused, and its transaction is gone."""
        with self._state:
            self.closed = True
            while self._queue:
                self._queue.popleft().served.release()  # with nothing: it is refused
        self._drain()
        for link in self.links():
            self._end(link)

    def _end(self, link: Link) -> None:
        connection = link.connection
        connection.refusal = self.refusal
        # The lock is held while a call waits for the server: then its session closes the connection when it lets go.
        if connection.lock.acquire(blocking=False):
            try:
                self.discard(link)
            finally:
                connection.lock.release()

    def _drain(self) -> None:
        while True:
            try:
                link = self._idle.pop()
            except IndexError:
                return
            self.discard(link)

    def abandon(self, refusal: Callable[[], StoreError]) -> list[Link]:
        """In a forked child: forget the connections without closing them, and hand them over to be kept alive."""
        self.closed = self._abandoned = True
        self.refusal = refusal
        self._state = threading.RLock()
        self._queue.clear()
        links = list(self._links)
        self._links.clear()
        self._idle.clear()
        for link in links:
            link.connection.refusal = refusal
            link.connection.lock = threading.Lock()  # whoever held it does not exist here
        return links
