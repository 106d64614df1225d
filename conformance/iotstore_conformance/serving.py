"""Stores behind a proxy that breaks what their server answers: what a call says then, how soon, and after it."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from iotstore import Busy, EngineError, Store, StoreError, Unreachable
from iotstore_conformance.applicable import not_run
from iotstore_conformance.kinds import KINDS, SAMPLES, Sample
from iotstore_conformance.leaks import open_files
from iotstore_conformance.proxy import Proxy
from iotstore_conformance.stage import Stage

T = TypeVar("T")
#: What a call may say when its connection breaks: not there, not in time, or whatever the driver has no word for.
TROUBLE: Final = (Unreachable, Busy, EngineError)
#: So long a store of the suite waits for its server, where its options say how long that is: seconds.
_TIMEOUT: Final = 2
#: So long any call may take in all: several tries, each with its own end.
_BOUND: Final = 15.0
_HOST: Final = "127.0.0.1"


class Behind:
    """One place behind a proxy: *url* leads through it, *options* make a store impatient."""

    def __init__(self, stage: Stage, proxy: Proxy) -> None:
        self.stage = stage
        self.proxy = proxy
        self.url = stage.harness.through(stage.url(), _HOST, proxy.port)
        self.options = impatience(stage.store)
        self._stores: list[Store] = []

    def open(self, url: str | None = None) -> Store:
        """The store, which is there, through the proxy or at another *url*; closed when the block ends."""
        options: dict[str, Any] = {"kinds": list(KINDS), "clock": self.stage.clock, "create": False, **self.options}
        store = self.stage.harness.open(url or self.url, **options)
        self._stores.append(store)
        return store

    def outcome(self, work: Callable[[], T]) -> T | StoreError:
        """What *work* gave, or the error of trouble that it raised. Another error, or no end in time, is a failure."""
        found: list[T | BaseException] = []

        def run() -> None:
            try:
                found.append(work())
            except BaseException as error:  # noqa: BLE001 - told to the caller below
                found.append(error)

        thread = threading.Thread(target=run, name="call", daemon=True)
        thread.start()
        thread.join(_BOUND)
        if not found:
            self.proxy.heal()
            self.proxy.cut_all()
            thread.join(_BOUND / 4)
            raise AssertionError(f"a call didn't end within {_BOUND:g} seconds of a server that doesn't answer")
        (result,) = found
        if isinstance(result, TROUBLE):
            return result
        if isinstance(result, BaseException):
            told = f"trouble was told as {type(result).__name__}: {result}"
            raise AssertionError(told) from result  # noqa: TRY004 - the clause doesn't hold
        return result

    def trouble(self, work: Callable[[], object]) -> StoreError:
        """The error of trouble that *work* raised; an answer is a failure."""
        result = self.outcome(work)
        assert isinstance(result, StoreError), f"an answer that couldn't arrive was made up: {result!r:.200}"
        return result

    def recovered(self, work: Callable[[], T]) -> T:
        """What *work* gives now that nothing is broken any more, in bounded time."""
        result = self.outcome(work)
        assert not isinstance(result, StoreError), f"trouble is over, and the next call still raised {result!r}"
        return result

    def close(self) -> None:
        """Close what was opened. Allowed twice."""
        self.proxy.heal()
        while self._stores:
            self._stores.pop().close()


def impatience(store: Store) -> dict[str, int]:
    """The options of a backend by which it waits a short time only: every number whose name ends in ``timeout``."""
    known = type(store.backend).options().items()
    return {name: _TIMEOUT for name, one in known if name.endswith("timeout") and one.value_type in (int, float)}


@contextmanager
def behind_proxy(stage: Stage) -> Iterator[tuple[Behind, Store]]:
    """A store of the stage's place behind a proxy, and the way to open more. No connection of theirs may be left."""
    if stage.harness.address is None:
        not_run("the harness doesn't say where the server listens (address=)")
    host, port = stage.harness.address(stage.place)
    with Proxy(port, host=host, lifetime=240.0) as proxy:
        behind = Behind(stage, proxy)
        try:
            store = behind.open()
            store.devices.count()
            assert proxy.connections, "the store doesn't use the address in its URL: nothing went through the proxy"
            yield behind, store
        finally:
            behind.close()
        gc.collect()  # what only waits for the collector is no leak
        left = settled(lambda: proxy.live, 0)
        assert not left, f"{left} connections are still open after every store was closed"


def settled(count: Callable[[], int], most: int) -> int:
    """What *count* gives once it is *most* or less, or at last: connections end a little after their stores."""
    until, pause = time.monotonic() + 5.0, threading.Event()
    while (found := count()) > most and time.monotonic() < until:
        pause.wait(0.01)
    return found


def sockets() -> int:
    """How many sockets this process has open; 0 where the system doesn't tell."""
    return sum(number for target, number in open_files().items() if target.startswith("socket:"))


def fill(store: Store, records: int) -> None:
    """Put records whose list is longer than anything that a network hands on in one piece."""
    store.records(SAMPLES).add_many([Sample(key=f"k{n:03}", text="x" * 200, number=n) for n in range(records)])
