"""A store-wide write gate for backends without snapshots: a backup shuts it, writers wait or get Busy."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

from iotstore.errors import Busy

WAIT_SECONDS: Final = 30.0


class Gate:
    """Open for any number of writers, or shut by one who needs the store to stand still. Free where not needed."""

    def __init__(self, *, needed: bool, wait: float = WAIT_SECONDS) -> None:
        self._needed = needed
        self._wait = wait
        self._changed = threading.Condition()
        self._writers = 0
        self._shut = False

    def enter(self) -> None:
        """A writer comes in; Busy when the gate stays shut for longer than the declared time."""
        if not self._needed:
            return
        with self._changed:
            if not self._changed.wait_for(lambda: not self._shut, self._wait):
                raise Busy("a backup holds the store", hint=f"it was waited for {self._wait:g} s; try again")
            self._writers += 1

    def leave(self) -> None:
        """A writer is done."""
        if not self._needed:
            return
        with self._changed:
            self._writers -= 1
            self._changed.notify_all()

    @contextmanager
    def shut(self) -> Generator[None]:
        """Wait until no writer is inside, and keep new ones out."""
        if not self._needed:
            yield
            return
        with self._changed:
            if not self._changed.wait_for(lambda: not self._shut, self._wait):
                raise Busy("another backup holds the store", hint=f"it was waited for {self._wait:g} s; try again")
            self._shut = True
        try:
            with self._changed:
                if not self._changed.wait_for(lambda: self._writers == 0, self._wait):
                    raise Busy("a transaction holds the store", hint=f"it was waited for {self._wait:g} s; try again")
            yield
        finally:
            with self._changed:
                self._shut = False
                self._changed.notify_all()
