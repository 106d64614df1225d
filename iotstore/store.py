"""Store: the object that an application holds, and ``open()``, which makes one from a URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar, cast, overload

import pluggy  # noqa: TID253 - this module is loaded by open() only

from iotstore import _config, _opening, _registry
from iotstore._catalogue import restoring
from iotstore._catalogue.backup import Backup
from iotstore._catalogue.catalogue import Progress, silent
from iotstore._clock import Clock, SystemClock
from iotstore._domains.admin import Admin
from iotstore._domains.alerts import Alerts
from iotstore._domains.backups import Backups
from iotstore._domains.connections import Connections
from iotstore._domains.devices import Devices
from iotstore._domains.estate import Groups, Locations, Owners
from iotstore._domains.home import HomePage, home_page
from iotstore._domains.patterns import Patterns
from iotstore._domains.relationships import Relationships
from iotstore._domains.settings import Settings
from iotstore._domains.telemetry import Telemetry
from iotstore._engine.changes import Change
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine, guarded
from iotstore._engine.powers import explaining
from iotstore._engine.transaction import Transaction
from iotstore._kinds.builtin import BUILTIN
from iotstore._kinds.kind import Kind, Record
from iotstore._projection.outbox import Outbox
from iotstore._projection.projection import Projection
from iotstore._projection.reading import Composed
from iotstore._projection.target import place_of
from iotstore._waist.capabilities import Capabilities, Capability, Durability, Limits
from iotstore._waist.contract import Backend, Explained
from iotstore.errors import ConfigurationError, NotAllowed

R = TypeVar("R", bound=Record)
CommitCallback = Callable[[tuple[Change, ...]], object]


class _StoreHooks:
    """The plugins and callbacks of one store."""

    def __init__(self, manager: pluggy.PluginManager) -> None:
        self._manager = manager
        self.callbacks: list[CommitCallback] = []
        #: Writes down what a projection has to hear of; None until the store's kinds are known.
        self.outbox: Outbox | None = None

    def before_commit(self, transaction: Transaction, changes: tuple[Change, ...]) -> None:
        """Tell the plugins, inside the transaction."""
        hook = self._manager.hook.iotstore_before_commit
        if hook.get_hookimpls():  # calling nobody costs more than asking
            hook(transaction=transaction, changes=changes)
        if self.outbox is not None:
            self.outbox.before_commit(transaction)  # after the plugins: they may have written, too

    def after_commit(self, changes: tuple[Change, ...]) -> None:
        """Tell the plugins and callbacks; what they raise is logged."""
        hook = self._manager.hook.iotstore_after_commit
        if hook.get_hookimpls():
            guarded(lambda: hook(changes=changes), "iotstore_after_commit")
        for callback in tuple(self.callbacks):
            guarded(lambda call=callback: call(changes), "an observer of commits")  # type: ignore[misc]  # bound early


class Store:
    """An open store. Use it from any number of threads, and close it, best by ``with``.

    Its domains are attributes; ``records(kind)`` reaches the records of any kind, an application's own included.
    """

    def __init__(self, engine: Engine, url: str, hooks: _StoreHooks, projection: Projection | None = None) -> None:
        self._engine = engine
        self._hooks = hooks
        self._projection = projection
        #: The URL it was opened with, without secrets.
        self.url = url

    @cached_property
    def devices(self) -> Devices:
        """Devices and sensors."""
        return Devices(self._engine)

    @cached_property
    def groups(self) -> Groups:
        """Named sets of devices."""
        return Groups(self._engine)

    @cached_property
    def locations(self) -> Locations:
        """Places, nested in each other."""
        return Locations(self._engine)

    @cached_property
    def owners(self) -> Owners:
        """Who devices belong to."""
        return Owners(self._engine)

    @cached_property
    def connections(self) -> Connections:
        """Network flows."""
        return Connections(self._engine)

    @cached_property
    def alerts(self) -> Alerts:
        """Alerts and their life."""
        return Alerts(self._engine)

    @cached_property
    def telemetry(self) -> Telemetry:
        """Metrics, series and points."""
        return Telemetry(self._engine)

    @cached_property
    def patterns(self) -> Patterns:
        """Threat patterns, and which alerts resemble them."""
        return Patterns(self._engine)

    @cached_property
    def relationships(self) -> Relationships:
        """The graph of all records: neighbours, paths, and what matters in it."""
        projection = self._projection
        return Relationships(self._engine, None if projection is None else Composed(self._engine, projection))

    @cached_property
    def settings(self) -> Settings:
        """Named settings of the application."""
        return Settings(self._engine)

    @cached_property
    def backups(self) -> Backups:
        """Backups: take, prove, list, rotate."""
        return Backups(self._engine)

    @cached_property
    def admin(self) -> Admin:
        """Health, statistics, retention, optimisation."""
        return Admin(self._engine, self._projection)

    @property
    def projection(self) -> Projection:
        """The second store of a composed one: how far it is, and what keeps it right."""
        if self._projection is None:
            raise NotAllowed(
                "this store has no projection",
                hint='open it with relationships="neo4j://...", or write that into iotstore.toml',
            )
        return self._projection

    @property
    def backend(self) -> Backend:
        """The backend itself, for tools; applications don't need it."""
        return self._engine.backend

    @property
    def capabilities(self) -> Capabilities:
        """What this store can do, with a reason for what it can't."""
        return self._engine.backend.capabilities

    @property
    def limits(self) -> Limits:
        """The backend's limits, as numbers."""
        return self._engine.backend.limits

    @property
    def durability(self) -> Durability:
        """What an acknowledged write survives."""
        return self._engine.backend.durability

    @property
    def clock(self) -> Clock:
        """Where the store takes the time from."""
        return self._engine.clock

    @property
    def kinds(self) -> Mapping[str, Kind[Any]]:
        """The kinds of this store by name."""
        return self._engine.kinds

    def home(self, **options: Any) -> HomePage:
        """Everything that a monitoring page shows, from one consistent snapshot."""
        return home_page(self._engine, **options)

    @overload
    def records(self, kind: Kind[R]) -> Collection[R]: ...
    @overload
    def records(self, kind: str) -> Collection[Any]: ...
    def records(self, kind: Kind[Any] | str) -> Collection[Any]:
        """The records of a kind, by the kind or its name."""
        known = self._engine.kind(kind if isinstance(kind, str) else kind.name)
        if isinstance(kind, Kind) and known is not kind:
            raise ConfigurationError(f"this store was opened with another kind called {kind.name!r}")
        return Collection(self._engine, known)

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Everything in the block becomes visible together, or not at all. One inside another is a savepoint."""
        return self._engine.transaction()

    @contextmanager
    def snapshot(self) -> Generator[Store]:
        """A store that sees one committed state, up to the backend's declared age; it takes no writes."""
        self._engine.backend.capabilities.require(Capability.SNAPSHOTS)
        if self._engine.in_transaction:
            raise NotAllowed("a snapshot can't be taken inside a transaction", hint="take it before the transaction")
        guard = self._engine.guard
        with self._engine.backend.snapshot() as inner:
            session = inner if guard is None else guard.reads(inner, frozen=True)
            yield Store(self._engine.bound(session), self.url, self._hooks, self._projection)

    def explain(self, question: Callable[[Store], object]) -> list[Explained]:
        """Every statement that a question sends to the engine, with the engine's plan: ``store.explain(lambda s:
        s.telemetry.latest("cam-1"))``. The question is asked for real, and may only read."""
        told: list[Explained] = []
        guard = self._engine.guard
        with explaining(self._engine.backend, told.append) as inner:
            session = inner if guard is None else guard.reads(inner)
            answer = question(Store(self._engine.bound(session), self.url, self._hooks))
            if isinstance(answer, Iterator):  # a stream sends its statement when its first record is asked for
                next(cast("Iterator[object]", answer), None)
        return [one._replace(times=times) for one, times in Counter(told).items()]

    def on_commit(self, callback: CommitCallback) -> Callable[[], None]:
        """Call *callback* with the changes of every committed transaction; returns a function that ends it."""
        self._hooks.callbacks.append(callback)
        return lambda: self._hooks.callbacks.remove(callback)

    def copy_to(self, target: Store, *, progress: Progress = silent) -> dict[str, int]:
        """See ``iotstore.copy``."""
        return restoring.copy(self._engine, target._engine, progress)

    def close(self) -> None:
        """Give back every connection and file. Allowed twice; any later call raises NotAllowed."""
        if self._projection is not None:
            self._projection.close()
        self._engine.backend.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Store {self.url}>"


def open_store(
    url: str | None = None,
    *,
    kinds: Sequence[Kind[Any] | str] = (),
    plugins: Iterable[object] = (),
    clock: Clock | None = None,
    create: bool = True,
    strict_metrics: bool = False,
    migrate: bool = True,
    config: Path | str | None = None,
    relationships: str | None = None,
    projector: bool | None = None,
    **options: Any,
) -> Store:
    """Open a store.

    *url* may come from ``IOTSTORE_URL`` or ``iotstore.toml`` (*config* names another file). *kinds* are an
    application's own, or names that installed plugins offer; together with the built-in ones they are the store's
    schema, and nothing else is. *plugins* are objects with hooks. Without *create* a missing store is an error. With
    *strict_metrics* an unknown metric is refused instead of created. Without *migrate* a store that needs a migration
    is refused. *relationships* is the URL of a second database that becomes a projection of the graph; it is attached
    for good, and fed by a thread of this process unless *projector* is false. Any other option is the backend's.
    """
    options |= {"relationships": relationships, "projector": projector}
    arguments = {name: value for name, value in options.items() if value is not None}
    configuration = _config.read_configuration(url, arguments, Path(config) if config is not None else None)
    manager = _registry.plugin_manager()
    for plugin in plugins:
        manager.register(plugin)
    declared = _opening.collect_kinds([*BUILTIN, *_opening.named_kinds(manager, [*configuration.kinds, *kinds])])
    backend_class = _registry.backend_class(configuration.url.scheme)
    settled = _config.settle_options(configuration, backend_class.options())
    settings = _config.settings_for(configuration.url, settled, create=create)
    backend = backend_class.connect(settings)
    try:
        _opening.check_limits(declared.values(), backend.limits)
        hooks = _StoreHooks(manager)
        engine = Engine(
            backend, declared, clock or SystemClock(), hooks, strict_metrics=strict_metrics, settings=settings
        )
        hooks.outbox = Outbox(engine)
        _opening.bring_up_to_date(engine, migrate=migrate)
        if migrate:
            backend.declare([kind.layout for kind in declared.values()])
        projection = _attach(engine, hooks, configuration)
    except BaseException:
        backend.close()
        raise
    return Store(engine, configuration.url.display, hooks, projection)


def _attach(engine: Engine, hooks: _StoreHooks, configuration: _config.Configuration) -> Projection | None:
    """The projection that the configuration names. The database behind it is not asked for yet: it may be away."""
    if configuration.relationships is None or hooks.outbox is None:
        return None
    where = place_of(configuration.relationships[0])
    if where.settings.display == configuration.url.display:
        raise ConfigurationError(
            f"{configuration.url.display} can't be a projection of itself", hint="name another, empty database"
        )
    projection = Projection(engine, hooks.outbox, where)
    hooks.callbacks.append(lambda _: projection.wake())
    if configuration.projector[0]:
        projection.start()
    return projection


def copy_store(source: str | Store, target: str | Store, *, progress: Progress = silent) -> dict[str, int]:
    """Copy every record and point of *source* into the empty *target*, on any backend, proven by digests.

    Both may be URLs or open stores. Kinds whose code is not loaded are copied too. Returns the rows of each collection.
    """
    with ExitStack() as stack:
        from_store = _opened(stack, source, migrate=False) if isinstance(source, str) else source
        to_store = _opened(stack, target) if isinstance(target, str) else target
        return from_store.copy_to(to_store, progress=progress)


def _opened(stack: ExitStack, url: str, **options: Any) -> Store:
    """A store as it is: what is configured about a projection is about the configured store."""
    return stack.enter_context(open_store(url, relationships="", **options))


def restore_store(
    path: str | Path, url: str | None = None, *, replace: bool = False, progress: Progress = silent, **options: Any
) -> Backup:
    """Restore a backup to the place that *url* (or the configuration) names, once it is proven.

    Until then, and on any error, nothing there is touched. A store that is there already is refused, or with *replace*
    kept beside it. A native backup restores into its own engine, a portable one into any.
    """
    configuration = _config.read_configuration(url, options)
    backend_class = _registry.backend_class(configuration.url.scheme)
    settled = _config.settle_options(configuration, backend_class.options())
    settings = _config.settings_for(configuration.url, settled, create=True)
    return restoring.restore(path, backend_class, settings, replace=replace, progress=progress)
