"""Turns: a fair lock between threads, and a bell by which waiting processes make themselves known."""

from __future__ import annotations

import fcntl
import os
import threading
from collections import deque
from pathlib import Path


class FairLock:
    """A lock that is handed to whoever waits longest: a thread in a tight loop can't take it again at once."""

    __slots__ = ("_held", "_mutex", "_waiting")

    def __init__(self) -> None:
        self._mutex = threading.Lock()
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def acquire(self, timeout: float) -> bool:
        """Whether the lock was got within *timeout* seconds."""
        if self._take(None):
            return True
        # Made outside: making it may collect a forgotten session, whose end needs the mutex.
        gate = threading.Lock()
        gate.acquire()
        if self._take(gate):
            return True
        try:
            if gate.acquire(timeout=timeout):
                return True
        except BaseException:  # an interrupt: leave the queue, and give on what was handed over meanwhile
            if not self._leave(gate):
                self.release()
            raise
        return not self._leave(gate)

    def _take(self, gate: threading.Lock | None) -> bool:
        with self._mutex:
            if not self._held:
                self._held = True
                return True
            if gate is not None:
                self._waiting.append(gate)
            return False

    def _leave(self, gate: threading.Lock) -> bool:
        with self._mutex:
            if gate not in self._waiting:  # it was handed over in the last moment
                return False
            self._waiting.remove(gate)
            return True

    def release(self) -> None:
        """Hand the lock to the next in the queue."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


class Bell:
    """Tells the process that writes whether another one waits.

    SQLite's lock has no queue: a process that writes without a pause leaves gaps of microseconds, and one that waits
    hits them by luck. So it holds a shared lock on the store's folder while it waits, and whoever wrote for some
    milliseconds looks whether anybody does. The folder, because closing any handle of the database file would drop
    SQLite's own locks on it. Where folders can't be locked, luck has to do.
    """

    __slots__ = ("_folder", "_handle", "_rung")

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._handle: int | None = None
        self._rung = False

    def ring(self) -> None:
        """Make known that this process waits."""
        if not self._rung:
            self._rung = self._flock(fcntl.LOCK_SH | fcntl.LOCK_NB) is True

    def stop(self) -> None:
        """The wait is over."""
        if self._rung:
            self._rung = False
            self._flock(fcntl.LOCK_UN)

    def rings(self) -> bool:
        """Whether another process waits."""
        if self._flock(fcntl.LOCK_EX | fcntl.LOCK_NB) is not False:
            self._flock(fcntl.LOCK_UN)
            return False
        return True

    def _flock(self, operation: int) -> bool | None:
        try:
            if self._handle is None:
                self._handle = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._handle, operation)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True

    def close(self) -> None:
        """Give the folder's handle back."""
        handle, self._handle = self._handle, None
        if handle is not None:
            os.close(handle)
