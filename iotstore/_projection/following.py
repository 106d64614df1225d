"""Follower: a projector that goes on and on, in a thread of the process or as a command, and waits out all trouble."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from typing import Final

from iotstore._projection.terms import Broken, Fenced
from iotstore.errors import Busy, Diverged, StoreError

log: Final = logging.getLogger("iotstore")
#: Seconds between two looks while nothing is told: what other processes write is found so.
POLL: Final = 1.0
_FIRST: Final = 0.2
_LONGEST: Final = 30.0


class Follower:
    """Calls *step* again and again; *rest* when that said None, for nothing to do."""

    def __init__(
        self, step: Callable[[], int | None], rest: Callable[[], None], *, chance: random.Random | None = None
    ) -> None:
        self._step = step
        self._rest = rest
        self._chance = chance or random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._wake = threading.Event()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        self._failures = 0
        self._told: str | None = None
        #: What keeps it from working, in words; None while it works.
        self.trouble: str | None = None
        #: Whether that is an error of the program's own, which time does not heal.
        self.broken = False

    def turn(self) -> float:
        """One step; returns the seconds to wait before the next one."""
        try:
            if self._step() is not None:
                self._well()
                return 0.0
            self._rest()
        except Fenced as error:
            return self._wait(str(error), POLL)
        except (Diverged, Broken) as error:
            return self._trouble(error, _LONGEST)
        except Busy as error:
            # Another one is at work, or a writer: that is as it should be.
            return self._wait(str(error), self._backoff(POLL))
        except Exception as error:  # noqa: BLE001 - whatever it is, the next turn may do better
            return self._trouble(error, self._backoff(_LONGEST))
        self._well()
        return POLL

    def _well(self) -> None:
        if self._told is not None:
            log.info("the projection goes on")
        self._failures, self._told, self.trouble, self.broken = 0, None, None, False

    def _wait(self, why: str, seconds: float) -> float:
        self.trouble, self.broken = why, False
        return seconds

    def _backoff(self, longest: float) -> float:
        """Twice as long each time, up to *longest*, and a part of it by chance: many wait for one server."""
        self._failures += 1
        seconds = min(longest, _FIRST * 2.0 ** min(self._failures - 1, 16))
        return seconds * self._chance.uniform(0.5, 1.0)

    def _trouble(self, error: Exception, seconds: float) -> float:
        """Say it once, not each time."""
        self.broken = isinstance(error, Broken) or not isinstance(error, StoreError)
        self.trouble = str(error) if isinstance(error, StoreError) else f"{type(error).__name__}: {error}"
        if self._told != type(error).__name__:
            self._told = type(error).__name__
            level = logging.ERROR if self.broken else logging.WARNING
            log.log(level, "the projection waits: %s", self.trouble, exc_info=self.broken)
        return seconds

    def run(self) -> None:
        """Go on until ``stop``."""
        while not self._stopped.is_set():
            seconds = self.turn()
            if seconds and not self._stopped.is_set():
                # In trouble only time helps; else whoever writes wakes it.
                (self._stopped if self.trouble else self._wake).wait(seconds)
            self._wake.clear()

    def start(self) -> None:
        """Run in a thread."""
        if self._thread is None:
            self._stopped.clear()
            self._thread = threading.Thread(target=self.run, name="iotstore projector", daemon=True)
            self._thread.start()

    def wake(self) -> None:
        """Something was written."""
        self._wake.set()

    def end(self) -> None:
        """Let it end after the step that it is at."""
        self._stopped.set()
        self._wake.set()

    def stop(self) -> None:
        """End; returns when the thread has ended."""
        self.end()
        thread, self._thread = self._thread, None
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    @property
    def running(self) -> bool:
        """Whether its thread runs."""
        return self._thread is not None and self._thread.is_alive()
