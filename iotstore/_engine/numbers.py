"""Generated ids from reserved blocks, and first versions of records."""

from __future__ import annotations

import threading
from typing import Final

from iotstore._clock import Clock, to_micros
from iotstore._waist.sessions import WriteSession

BLOCK: Final = 64


class Blocks:
    """What is left of the blocks that this store reserved and committed, one range per counter."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._left: dict[str, range] = {}
        self._highest: dict[str, int] = {}

    def take_all(self, counter: str) -> range:
        """The rest of the block; nobody else gets it."""
        with self._lock:
            return self._left.pop(counter, range(0))

    def give_back(self, counter: str, rest: range) -> None:
        """Keep the rest of a committed block, unless a higher id was given meanwhile: ids grow within a store."""
        with self._lock:
            if rest.start > self._highest.get(counter, 0):
                self._left[counter] = rest

    def highest(self, counter: str) -> int:
        """The highest id that was ever given, whatever became of its record."""
        return self._highest.get(counter, 0)

    def given(self, counter: str, highest: int) -> None:
        """Note the highest id that was given."""
        with self._lock:
            if highest > self._highest.get(counter, 0):
                self._highest[counter] = highest
                left = self._left.get(counter)
                if left is not None and left.start < highest:
                    del self._left[counter]


class Numbers:
    """The blocks that one transaction works with. Those it reserved die with it: the counter went back too."""

    __slots__ = ("_blocks", "_parts", "_rest", "_session")

    def __init__(self, blocks: Blocks, session: WriteSession) -> None:
        self._blocks = blocks
        self._session = session
        self._rest: dict[str, range] = {}
        self._parts: list[dict[str, range]] = []

    def take(self, counter: str, count: int) -> range:
        """*count* consecutive numbers."""
        rest = self._rest.pop(counter, None)
        if rest is None:
            rest = self._blocks.take_all(counter)
        if len(rest) < count:
            size = max(count, BLOCK)
            first = self._session.reserve(counter, size)
            seen = self._blocks.highest(counter)
            if first <= seen:
                # Their transaction or savepoint was undone, and the counter with it; but a caller has seen them.
                self._session.reserve(counter, seen - first)
                first = self._session.reserve(counter, size)
            # Consecutive numbers or none of the rest: a gap costs nothing, a lower id after a higher one a promise.
            rest = range(rest.start if rest and rest.stop == first else first, first + size)
        taken, self._rest[counter] = rest[:count], rest[count:]
        if count:
            self._blocks.given(counter, taken[-1])
        return taken

    def begin_part(self) -> None:
        """A savepoint starts."""
        self._parts.append(dict(self._rest))

    def keep_part(self) -> None:
        """The innermost part is kept."""
        self._parts.pop()

    def undo_part(self) -> None:
        """The innermost part is undone, and with it what it reserved."""
        self._parts.pop()
        # What was left before it may have been used up by ids that are undone now. So nothing is carried over.
        self._rest.clear()

    def committed(self) -> None:
        """Keep what is left for the next transaction."""
        for counter, rest in self._rest.items():
            if rest:
                self._blocks.give_back(counter, rest)


class Versions:
    """First versions: the time in microseconds, or one more than the highest one seen if the clock is not beyond it.

    A key that is deleted and inserted again so gets a version above all it ever had, and nobody's ``expected``
    matches by accident.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._last = 0

    def saw(self, version: int) -> None:
        """Note a version that a change reached, so that the next first one is above it."""
        if version > self._last:
            with self._lock:
                self._last = max(self._last, version)

    def next(self) -> int:
        """The next first version."""
        with self._lock:
            self._last = max(to_micros(self._clock.now()), self._last + 1)
            return self._last
