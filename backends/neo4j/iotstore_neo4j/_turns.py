"""Turns: a fair lock for the threads of this process that want to write to one store."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final
from weakref import WeakValueDictionary

from iotstore.backend import Busy


class Turn:
    """Whose turn it is, handed to whoever waits longest. Handles on one store share one."""

    def __init__(self) -> None:
        self._mutex = threading.RLock()  # a forgotten session may be collected, and end, while it is held
        self._waiting: deque[threading.Lock] = deque()
        self._held = False

    def take(self, seconds: float) -> None:
        """Wait for the turn; Busy after *seconds*."""
        gate = threading.Lock()
        gate.acquire()
        with self._mutex:
            if not self._held:
                self._held = True
                return
            self._waiting.append(gate)
        try:
            served = gate.acquire(timeout=seconds)
        except BaseException:  # an interrupt: what was handed over meanwhile is for the next one
            if not self._left(gate):
                self.give()
            raise
        if not served and self._left(gate):
            raise Busy(
                f"another transaction wrote for {seconds:g} seconds",
                hint="retry, keep transactions short, or raise the option lock_timeout",
            )

    def _left(self, gate: threading.Lock) -> bool:
        """Leave the queue; False for one that was served at the last moment."""
        with self._mutex:
            try:
                self._waiting.remove(gate)
            except ValueError:
                return False
            return True

    def give(self) -> None:
        """The turn is over."""
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._held = False


_turns: Final[WeakValueDictionary[object, Turn]] = WeakValueDictionary()
_mutex: Final = threading.Lock()


def turn_of(place: object) -> Turn:
    """The turn of the store at *place*."""
    with _mutex:
        found = _turns.get(place)
        if found is None:
            found = _turns[place] = Turn()
        return found
