"""Snapshots with an age: a watch that ends those that grew too old."""

from __future__ import annotations

import threading
import time
import weakref
from collections.abc import Callable
from typing import Final, Protocol


class Expiring(Protocol):
    """What the watch needs of a snapshot."""

    deadline: float

    def expire(self) -> bool:
        """End the snapshot from another thread; False if it is to be asked again."""
        ...


class Watch:
    """Ends snapshots that grew too old.

    Also those that nobody calls any more: an idle reader keeps the log from being truncated, or old versions of rows
    from being removed, as surely as a busy one. The thread exists while there are snapshots.
    """

    _LEAST_PERIOD: Final = 0.02
    _LONGEST_PERIOD: Final = 5.0

    def __init__(self, age: float, name: str) -> None:
        self.clock: Callable[[], float] = time.monotonic
        self.age = age
        self._name = name
        # Reentrant: a forgotten snapshot may be collected, and so removed, while its own thread is in here.
        self._mutex = threading.RLock()
        # Weak: a snapshot that nobody holds any more ends at once, not when it is old.
        self._sessions: dict[int, weakref.ref[Expiring]] = {}
        self._thread: threading.Thread | None = None
        self._stop = threading.Event()

    @property
    def watched(self) -> int:
        """How many snapshots are open."""
        return len(self._sessions)

    def add(self, session: Expiring) -> None:
        """Watch over a snapshot."""
        with self._mutex:
            self._sessions[id(session)] = weakref.ref(session)
            if self._thread is None:
                self._stop.clear()
                self._thread = threading.Thread(target=self._run, name=self._name, daemon=True)
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
