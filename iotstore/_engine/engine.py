"""Engine: the one place that knows which session a thread is in."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Final, TypeVar

from iotstore._clock import Clock
from iotstore._engine.gate import Gate
from iotstore._engine.guard import Guard
from iotstore._engine.numbers import Blocks, Versions
from iotstore._engine.transaction import Hooks, Transaction
from iotstore._kinds.codec import Codec
from iotstore._kinds.graphed import Graphed
from iotstore._kinds.kind import Kind, Record
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, Settings
from iotstore._waist.sessions import ReadSession
from iotstore.errors import InvalidValue, NotAllowed

R = TypeVar("R", bound=Record)
log: Final = logging.getLogger("iotstore")


class _Thread(threading.local):
    transaction: Transaction | None = None


class _Borrowed:
    """A session that somebody else will end."""

    __slots__ = ("_session",)

    def __init__(self, session: ReadSession) -> None:
        self._session = session

    def __enter__(self) -> ReadSession:
        return self._session

    def __exit__(self, *error: object) -> None:
        return None


class Engine:
    """Routes calls to sessions. One per store; a snapshot store has its own, bound to one read session."""

    def __init__(
        self,
        backend: Backend,
        kinds: Mapping[str, Kind[Any]],
        clock: Clock,
        hooks: Hooks,
        *,
        strict_metrics: bool = False,
        settings: Settings | None = None,
        graph: Graphed | None = None,
    ) -> None:
        self.backend = backend
        #: What the backend was opened with; backups are proven near that place.
        self.settings = settings
        self.kinds = dict(kinds)
        #: What the kinds make of the graph.
        self.graph = graph or Graphed(self.kinds)
        self.clock = clock
        self.hooks = hooks
        self.strict_metrics = strict_metrics
        self.blocks = Blocks()
        self.versions = Versions(clock)
        #: Shut while a backup without snapshots is taken; always open elsewhere.
        has = backend.capabilities.has
        whole = has(Capability.POINT_SNAPSHOTS) or not has(Capability.SERIES)
        self.gate = Gate(needed=not (has(Capability.SNAPSHOTS) and whole))
        #: Refuses what the backend lacks; None, and so for nothing, where it lacks nothing that a call could use.
        self.guard = Guard.of(backend)
        self.savepoints = has(Capability.SAVEPOINTS)
        self._snapshots = has(Capability.SNAPSHOTS)
        #: The transaction that the calling thread is in.
        self.thread = _Thread()
        #: The session of a snapshot store.
        self.bound_to: ReadSession | None = None
        self._codecs: dict[str, Codec[Any]] = {}

    def bound(self, session: ReadSession) -> Engine:
        """An engine that reads from *session* only and writes nothing."""
        twin = Engine(
            self.backend,
            self.kinds,
            self.clock,
            self.hooks,
            strict_metrics=self.strict_metrics,
            settings=self.settings,
            graph=self.graph,
        )
        twin._codecs = self._codecs
        twin.bound_to = session
        return twin

    def codec(self, kind: Kind[R]) -> Codec[R]:
        """The codec of a kind for this backend."""
        found = self._codecs.get(kind.name)
        if found is None:
            found = self._codecs[kind.name] = Codec(kind, self.backend.holds)
        return found

    def kind(self, name: str) -> Kind[Any]:
        """The kind of this name, or InvalidValue."""
        found = self.kinds.get(name)
        if found is None:
            raise InvalidValue(
                f"this store has no kind {name!r}",
                hint=f"open it with kinds=[...]; it has {', '.join(sorted(self.kinds))}",
            )
        return found

    def reading(self) -> ReadSession | _Borrowed:
        """A session for one statement: the thread's transaction, the bound snapshot, or one of the backend."""
        transaction = self.thread.transaction
        if transaction is not None:
            return _Borrowed(transaction.session)
        if self.bound_to is not None:
            return _Borrowed(self.bound_to)
        return self.backend.read() if self.guard is None else self.guard.reads(self.backend.read())

    def consistent(self) -> ReadSession | _Borrowed:
        """A session for several statements that see one state, where the backend claims SNAPSHOTS."""
        if self._snapshots and self.thread.transaction is None and self.bound_to is None:
            session = self.backend.snapshot()
            return session if self.guard is None else self.guard.reads(session)
        return self.reading()

    def writing(self) -> _Writing:
        """The thread's transaction as a part of its own (a failed call leaves nothing), or one for this call."""
        return _Writing(self, strict=False)

    def transaction(self) -> _Writing:
        """The same for an application: nested needs SAVEPOINTS."""
        return _Writing(self, strict=True)

    @property
    def in_transaction(self) -> bool:
        """Whether the calling thread is in a transaction."""
        return self.thread.transaction is not None


class _Writing:
    """A transaction, or a part of the one that the thread is in already."""

    __slots__ = ("_engine", "_joined", "_own", "_strict", "_transaction")

    def __init__(self, engine: Engine, *, strict: bool) -> None:
        self._engine = engine
        self._strict = strict

    def __enter__(self) -> Transaction:
        engine = self._engine
        transaction = engine.thread.transaction
        self._own = transaction is None
        self._joined = False
        if transaction is None:
            if engine.bound_to is not None:
                raise NotAllowed("a snapshot takes no writes", hint="write through the store it was made from")
            if self._strict and engine.guard is not None:
                engine.guard.check((Capability.TRANSACTIONS,))
            engine.gate.enter()
            try:
                session = engine.backend.write()
                if engine.guard is not None:
                    session = engine.guard.writes(session, shared=self._strict)
                transaction = Transaction(session, engine.hooks, engine.blocks, engine.versions)
            except BaseException:
                engine.gate.leave()
                raise
            engine.thread.transaction = transaction
        elif engine.savepoints:
            transaction.begin_part()
        elif self._strict:
            engine.backend.capabilities.require(Capability.SAVEPOINTS)
        else:
            self._joined = True
        self._transaction = transaction
        return transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        transaction = self._transaction
        if self._own:
            self._end(transaction, failed=kind is not None)
        elif self._joined:
            if error is not None:
                transaction.doom(error)
        elif kind is None:
            transaction.keep_part()
        else:
            transaction.undo_part()

    def _end(self, transaction: Transaction, *, failed: bool) -> None:
        engine = self._engine
        try:
            if failed:
                transaction.rollback()
                return
            try:
                transaction.commit()
            except BaseException:
                transaction.rollback()
                raise
        finally:
            engine.thread.transaction = None
            engine.gate.leave()
        if transaction.changes:
            engine.hooks.after_commit(tuple(transaction.changes))


def guarded(callback: Callable[[], object], what: str) -> None:
    """Call an observer; what it raises is logged, for the write it is told of is committed already."""
    try:
        callback()
    except Exception:
        log.exception("%s raised; the change it was told of is committed", what)
