"""The second store: found by its URL when it is first needed, with the graph's kinds and a checkpoint in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

from iotstore import _config, _registry
from iotstore._clock import Clock
from iotstore._config import Configuration
from iotstore._engine import migrations
from iotstore._engine.changes import Change
from iotstore._engine.describe import describe
from iotstore._engine.engine import Engine
from iotstore._engine.references import keys_filter
from iotstore._engine.transaction import Transaction
from iotstore._kinds.kind import Kind
from iotstore._kinds.projecting import CHECKPOINTS, GRAPH, Checkpoint
from iotstore._kinds.system import KINDS
from iotstore._projection.keys import Keys, keys_by_kind
from iotstore._projection.twins import shape, twins
from iotstore._urls import parse_url
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend, Settings
from iotstore._waist.schema import DropLayout
from iotstore._waist.sessions import ReadSession
from iotstore.errors import ConfigurationError, NotAllowed


class _Silent:
    """Nobody is told of what happens in a projection."""

    def before_commit(self, transaction: Transaction, changes: tuple[Change, ...]) -> None:
        """Nothing."""

    def after_commit(self, changes: tuple[Change, ...]) -> None:
        """Nothing."""


class Place(NamedTuple):
    """Where a projection is: the backend, and what it is opened with."""

    backend: type[Backend]
    settings: Settings

    def connect(self) -> Backend:
        """Open the database."""
        return self.backend.connect(self.settings)


def place_of(url: str) -> Place:
    """The place that a URL names. Settings stand in the URL itself."""
    parsed = parse_url(url)
    backend = _registry.backend_class(parsed.scheme)
    said: dict[str, tuple[object, str]] = {name: (one, "relationships") for name, one in parsed.options.items()}
    settled = _config.settle_options(Configuration(parsed, "relationships", said, ()), backend.options())
    return Place(backend, _config.settings_for(parsed, settled, create=True))


class Target:
    """The projection's own store. Its kinds are twins of the primary's."""

    def __init__(self, where: Place, kinds: Mapping[str, Kind[Any]], clock: Clock) -> None:
        #: Where it is.
        self.where = where
        self._connect = where.connect
        #: Its URL without secrets.
        self.place = where.settings.display
        self.kinds = twins(kinds)
        #: What the kinds of this process make of the graph.
        self.shape = shape(self.kinds)
        self._clock = clock
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._keys: dict[str, Keys] = {}
        self._closed = False

    @property
    def engine(self) -> Engine:
        """The engine over it; opened at first use, and again when that failed."""
        found = self._engine
        if found is not None:
            return found
        with self._lock:
            if self._closed:
                raise NotAllowed("the store is closed")
            if self._engine is None:
                self._engine = self._open()
            return self._engine

    def _open(self) -> Engine:
        backend = self._connect()
        try:
            engine = Engine(backend, {**self.kinds, CHECKPOINTS.name: CHECKPOINTS}, self._clock, _Silent())
            self._keys = keys_by_kind(engine, self.kinds)
            with engine.reading() as session:
                stored = migrations.read_stored(engine, session)
            self._check_ours(stored)
            if not stored:
                self._make(engine, again=False)
        except BaseException:
            backend.close()
            raise
        return engine

    def _check_ours(self, stored: Mapping[str, object]) -> None:
        if stored and CHECKPOINTS.name not in stored:
            raise ConfigurationError(
                f"{self.place} keeps a store of its own and can't become a projection",
                hint="name an empty database under relationships",
            )

    def _make(self, engine: Engine, *, again: bool) -> None:
        with engine.writing() as transaction:
            transaction.session.apply(())
            stored = migrations.read_stored(engine, transaction.session)
            for name in self._other(stored) if again else ():
                transaction.session.apply([DropLayout(name)])
                transaction.session.delete(KINDS.layout, keys_filter(KINDS, [engine.codec(KINDS).key(name)]))
                del stored[name]
            migrations.apply(engine, transaction, migrations.plan(engine, stored))

    def _other(self, stored: Mapping[str, Mapping[str, Any]]) -> set[str]:
        """Kinds of the graph that are kept there otherwise than this process would."""
        mine = {name: describe(kind) for name, kind in self.kinds.items()}
        return {name for name, said in stored.items() if name != CHECKPOINTS.name and mine.get(name) != dict(said)}

    def adopt(self) -> None:
        """Bring it to this process's kinds; what is kept there in another shape is thrown away. For a rebuild only."""
        engine = self.engine
        with engine.reading() as session:
            stored = migrations.read_stored(engine, session)
        if self._other(stored) or set(self.kinds) - set(stored):
            self._make(engine, again=True)

    @property
    def keys(self) -> dict[str, Keys]:
        """Keys of the graph's kinds as this store holds them."""
        self.engine  # noqa: B018 - opens it
        return self._keys

    @property
    def graph(self) -> bool:
        """Whether it keeps edges as such."""
        return self.engine.backend.capabilities.has(Capability.GRAPH)

    def checkpoint(self, session: ReadSession | None = None) -> Checkpoint | None:
        """How far it is; None for one that nothing was written to."""
        engine = self.engine
        codec = engine.codec(CHECKPOINTS)
        if session is not None:
            row = session.get(CHECKPOINTS.layout, codec.key(GRAPH))
        else:
            with engine.reading() as own:
                row = own.get(CHECKPOINTS.layout, codec.key(GRAPH))
        return None if row is None else codec.decode(row)

    def close(self) -> None:
        """Give its connections back."""
        with self._lock:
            self._closed = True
            engine, self._engine = self._engine, None
        if engine is not None:
            engine.backend.close()
