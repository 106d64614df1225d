"""Legal but hostile backends: any backend with its sessions wrapped, doing what the contract allows and nobody expects.

``hostile(harness, Shuffled())`` gives a harness whose stores must pass the suite like the healthy ones.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from typing import Any, Final

from iotstore import Store
from iotstore.backend import (
    Backend,
    Capabilities,
    Capability,
    Columns,
    NotSupported,
    ReadSession,
    SeriesReader,
    SeriesWriter,
    Settings,
    WriteSession,
)
from iotstore_conformance.harness import Harness
from iotstore_conformance.stage import Stage

_SESSIONS: Final = ("read", "snapshot", "write")
_opening: Final = threading.RLock()


class Manner:
    """How sessions behave. The right one: every call is handed on. Subclasses change a few."""

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Do the call *name* on the wrapped session."""
        own = getattr(self, name, None)
        if own is not None:
            return own(inner, *args, **options)
        return getattr(inner, name)(*args, **options)


class Shuffled(Manner):
    """Gives in another order whatever has no promised one, and stores the rows of a batch in another order."""

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - seeded on purpose
        self._lock = threading.Lock()

    def _mixed(self, items: Sequence[Any]) -> list[Any]:
        with self._lock:
            return self._random.sample(list(items), len(items))

    def update(self, inner: Any, *args: Any) -> Any:
        """What was touched, in no order."""
        return self._mixed(inner.update(*args))

    def delete(self, inner: Any, *args: Any) -> Any:
        """What was touched, in no order."""
        return self._mixed(inner.delete(*args))

    def select(self, inner: Any, layout: Any, query: Any) -> Any:
        """Rows without an order, in no order."""
        rows = inner.select(layout, query)
        return rows if query.order else self._mixed(rows)

    def stream(self, inner: Any, layout: Any, query: Any, rows: int) -> Iterator[Any]:
        """Rows without an order, mixed within each list."""
        for chunk in inner.stream(layout, query, rows):
            yield chunk if query.order else self._mixed(chunk)

    def aggregate(self, inner: Any, layout: Any, query: Any) -> Any:
        """Groups without an order, in no order."""
        rows = inner.aggregate(layout, query)
        return rows if query.order else self._mixed(rows)

    def counters(self, inner: Any) -> Any:
        """Counters, in no order."""
        return dict(self._mixed(list(inner.counters().items())))

    def get_many(self, inner: Any, layout: Any, keys: Any, *, hold: bool = False) -> Any:
        """Keys are looked up in another order; the answer is aligned as promised."""
        order = self._mixed(range(len(keys)))
        found = inner.get_many(layout, [keys[at] for at in order], hold=hold)
        return [row for _, row in sorted(zip(order, found, strict=True), key=lambda pair: pair[0])]

    def insert_many(self, inner: Any, layout: Any, rows: Any, conflict: Any) -> Any:
        """Rows are inserted in another order; positions are those of the batch."""
        order = self._mixed(range(len(rows)))
        left = inner.insert_many(layout, [rows[at] for at in order], conflict)
        return sorted(order[at] for at in left)

    def upsert(self, inner: Any, layout: Any, rows: Any) -> Any:
        """Rows are merged in another order; the answer is aligned as promised."""
        order = self._mixed(range(len(rows)))
        done = inner.upsert(layout, [rows[at] for at in order])
        return [one for _, one in sorted(zip(order, done, strict=True), key=lambda pair: pair[0])]


class Laggy(Manner):
    """Takes its time for every call, as a server far away does."""

    def __init__(self, seconds: float = 0.001) -> None:
        self._seconds = seconds
        self._never = threading.Event()

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Wait, then do it."""
        self._never.wait(self._seconds)
        return super().call(inner, name, args, options)


class Chatty(Manner):
    """Gives many small pieces where the size of pieces is only about what was asked for."""

    def __init__(self, most: int = 3) -> None:
        self._most = most

    def stream(self, inner: Any, layout: Any, query: Any, rows: int) -> Iterator[Any]:
        """Lists of a few rows."""
        for chunk in inner.stream(layout, query, rows):
            yield from (chunk[at : at + self._most] for at in range(0, len(chunk), self._most))

    def scan(self, inner: Any, *args: Any, **options: Any) -> Iterator[Columns]:
        """Columns of a few points."""
        for times, values in inner.scan(*args, **options):
            for at in range(0, len(times), self._most):
                yield Columns(times[at : at + self._most], values[at : at + self._most])


class Minimal(Manner):
    """Claims nothing that a backend may leave out, and keeps to it."""

    lacks: Final = (
        Capability.SAVEPOINTS,
        Capability.SNAPSHOTS,
        Capability.SERIES,
        Capability.GRAPH,
        Capability.NATIVE_BACKUP,
        Capability.COMPACTION,
        Capability.CONCURRENT_READS,
        Capability.MANY_PROCESSES,
        Capability.INTEGRITY_CHECK,
        Capability.OPTIMISATION,
        Capability.EXPLAIN,
    )

    def savepoint(self, _: Any) -> None:
        """Never called: it isn't claimed."""
        raise AssertionError("the core used savepoints that are not claimed")

    def append(self, _: Any, *args: object) -> None:
        """Never called: it isn't claimed."""
        raise AssertionError(f"the core appended points to a backend without series: {len(args)} columns")


#: Every manner, by name.
MANNERS: Final[dict[str, Callable[[], Manner]]] = {
    "shuffled": Shuffled,
    "laggy": Laggy,
    "chatty": Chatty,
    "minimal": Minimal,
}


class _Wrapped:
    """A session in a manner. What isn't part of the contract is the inner session's own."""

    inner: Any
    manner: Manner

    def __init__(self, inner: Any, manner: Manner) -> None:
        self.inner = inner
        self.manner = manner

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)


def _handed_on(name: str) -> Callable[..., Any]:
    def method(self: _Wrapped, *args: Any, **options: Any) -> Any:
        return self.manner.call(self.inner, name, args, options)

    return method


def _session_class(*contract: type[Any]) -> Callable[[Any, Manner], Any]:
    names = {name for one in contract for name in one.__abstractmethods__}
    made: Callable[[Any, Manner], Any] = type(
        "Hostile", (_Wrapped, *contract), {name: _handed_on(name) for name in names}
    )
    return made


_READS: Final = _session_class(ReadSession)
_WRITES: Final = _session_class(WriteSession)
_SERIES_READS: Final = _session_class(ReadSession, SeriesReader)
_SERIES_WRITES: Final = _session_class(WriteSession, SeriesWriter)


def wrapped(session: ReadSession, manner: Manner) -> ReadSession:
    """The session in a manner."""
    if isinstance(session, WriteSession):
        make = _SERIES_WRITES if isinstance(session, SeriesWriter) else _WRITES
    else:
        make = _SERIES_READS if isinstance(session, SeriesReader) else _READS
    found: ReadSession = make(session, manner)
    return found


def behave(backend: Backend, manner: Manner) -> None:
    """Make all later sessions of one open backend behave in a manner; other open stores are left alone."""
    for name in _SESSIONS:
        setattr(backend, name, _opener(getattr(backend, name), manner))
    copy_out = getattr(backend, "copy_out", None)
    if copy_out is not None:  # it wants a session of its own make

        def copy(target: Any, session: Any, progress: Any) -> None:
            copy_out(target, getattr(session, "inner", session), progress)

        setattr(backend, "copy_out", copy)  # noqa: B010 - not part of the contract's own class


def _opener(right: Callable[[], ReadSession], manner: Manner) -> Callable[[], ReadSession]:
    return lambda: wrapped(right(), manner)


def hostile(harness: Harness, manner: Manner) -> Harness:
    """The harness with every store of it behaving in a manner. It must pass the suite like the healthy one."""
    lacks = manner.lacks if isinstance(manner, Minimal) else ()
    with Stage(harness) as stage:
        kind = type(stage.store.backend)

    def opens(url: str, **options: object) -> Store:
        with lacking(kind, lacks):
            store = harness.open(url, **options)
        behave(store.backend, manner)
        return store

    return replace(harness, open=opens)


def lacking(kind: type[Backend], lacks: Sequence[Capability]) -> AbstractContextManager[None]:
    """Inside the block the class, and backends connected there, declare these capabilities unsupported."""
    said = NotSupported("this backend is minimal on purpose", "do without it")
    return declaring(kind, lambda right: right.but(dict.fromkeys(lacks, said))) if lacks else nullcontext()


@contextmanager
def declaring(kind: type[Backend], change: Callable[[Capabilities], Capabilities]) -> Iterator[None]:
    """Inside the block the class, and backends connected there, declare what *change* makes of their capabilities."""
    connected, declared = kind.connect, kind.declared
    own = {name: vars(kind).get(name) for name in ("connect", "declared")}

    def connect(_: type[Backend], settings: Settings) -> Backend:
        backend = connected(settings)
        backend.capabilities = change(backend.capabilities)
        return backend

    with _opening:
        setattr(kind, "connect", classmethod(connect))  # noqa: B010 - a method is exchanged
        setattr(kind, "declared", classmethod(lambda _: change(declared())))  # noqa: B010 - as above
        try:
            yield
        finally:
            for name, method in own.items():
                if method is None:
                    delattr(kind, name)
                else:
                    setattr(kind, name, method)
