"""Breaking a store from outside: methods of its classes are exchanged while a clause runs, and put back after it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any, Final, Protocol, TypeAlias

import iotstore
from iotstore import Collection, Store
from iotstore_conformance.harness import Harness
from iotstore_conformance.stage import Stage

#: A method that is exchanged: its target and its name. ``OPENING`` stands for the opening of stores.
Place: TypeAlias = tuple[str, str]
OPENING: Final[Place] = ("", "open")
#: A wrong method: it gets the object and the right method (bound), then the arguments of the call.
Wrong: TypeAlias = Callable[..., Any]
_DOMAINS: Final = (
    "devices", "groups", "locations", "owners", "connections", "alerts", "telemetry", "settings", "backups", "admin",
    "relationships", "patterns",
)  # fmt: skip


class Foreign(Exception):
    """Stands for an error of a driver that should never have left its backend."""


class Applies(Protocol):
    """What has a method ``apply`` that breaks a store: a mutant."""

    @property
    def apply(self) -> Callable[[Breaking], None]:
        """The function that breaks."""
        ...


class Breaking:
    """What a mutant gets: the healthy *harness*, and ``wrong``, by which it hands in its wrong methods."""

    def __init__(self, harness: Harness) -> None:
        self.harness = harness
        self._opening: list[Wrong] = []
        self._undo: list[Callable[[], None]] = []
        self._wrongs: list[tuple[str, str, Wrong]] = []
        self._places: list[str] = []

    def wrong(self, target: str, *methods: str) -> Callable[[Wrong], Wrong]:
        """Exchange *methods* of *target* for the decorated function ``(self, right, *arguments)``.

        Targets are ``session`` (of every sort), ``writer`` (sessions that write), ``backend``, ``store``,
        ``collection`` (the records of any kind), ``projection``, a domain such as ``devices``, and ``iotstore``
        (``copy`` and ``restore``, which have no self). ``right.__name__`` tells methods apart.
        """

        def take(wrong: Wrong) -> Wrong:
            self._wrongs += [(target, method, wrong) for method in methods]
            return wrong

        return take

    def opening(self, wrong: Wrong) -> Wrong:
        """Open every store of the harness by the decorated function ``(right, url, **options)``."""
        self._opening.append(wrong)
        return wrong

    def exchanged(self) -> frozenset[Place]:
        """Everything that is wrong."""
        found = {(target, method) for target, method, _ in self._wrongs}
        return frozenset(found | {OPENING} if self._opening else found)

    def new_url(self) -> str:
        """The URL of another place that nobody used; it is dropped when the block ends."""
        self._places.append(self.harness.fresh())
        return self.harness.url(self._places[-1])

    def harness_of(self, mutant: Applies) -> Harness:
        """Break what the mutant breaks, and give the harness that opens the broken stores."""
        mutant.apply(self)
        classes = _classes(self.harness)
        # All right methods are looked up before the first is exchanged: one class may inherit from another.
        found = [
            (cls, method, getattr(cls, method), wrong)
            for target, method, wrong in self._wrongs
            for cls in classes[target]
            if hasattr(cls, method)
        ]
        exchanged: dict[tuple[int, str], Any] = {}
        for cls, method, right, wrong in found:
            place = (id(cls), method)
            exchanged[place] = self._exchange(cls, method, exchanged.get(place, right), wrong)
        opens: Any = self.harness.open
        for wrong in self._opening:
            opens = _opener(opens, wrong)
        return replace(self.harness, open=opens)

    def _exchange(self, victim: Any, method: str, right: Any, wrong: Wrong) -> Any:
        # A module has no bound methods: its functions are wrong without a self.
        exchanged = _function(right, wrong) if isinstance(victim, ModuleType) else _method(method, right, wrong)
        had, before = method in vars(victim), vars(victim).get(method)

        def undo() -> None:
            if had:
                setattr(victim, method, before)
            else:
                delattr(victim, method)

        setattr(victim, method, exchanged)
        self._undo.append(undo)
        return exchanged

    def mend(self) -> None:
        """Put everything back."""
        while self._undo:
            self._undo.pop()()
        while self._places and self.harness.drop is not None:
            self.harness.drop(self._places.pop())


def _method(name: str, right: Any, wrong: Wrong) -> Callable[..., Any]:
    def method(self: Any, *args: Any, **options: Any) -> Any:
        def bound(*inner: Any, **inner_options: Any) -> Any:
            return right(self, *inner, **inner_options)

        bound.__name__ = name
        return wrong(self, bound, *args, **options)

    return method


def _function(right: Any, wrong: Wrong) -> Callable[..., Any]:
    def function(*args: Any, **options: Any) -> Any:
        return wrong(right, *args, **options)

    return function


def _opener(right: Any, wrong: Wrong) -> Callable[..., Store]:
    def opens(url: str, **options: object) -> Store:
        store: Store = wrong(right, url, **options)
        return store

    return opens


@lru_cache
def _classes(harness: Harness) -> dict[str, list[Any]]:
    """The classes behind each target, found at a healthy store."""
    with Stage(harness) as stage:
        return _classes_of(stage.store)


def _classes_of(store: Store) -> dict[str, list[Any]]:
    backend = store.backend
    sessions: dict[str, Any] = {}
    for sort in ("read", "snapshot", "write"):
        if sort == "snapshot" and not store.capabilities.has(iotstore.Capability.SNAPSHOTS):
            continue
        with getattr(backend, sort)() as session:
            sessions[sort] = type(session)
    found: dict[str, list[Any]] = {
        "session": list(dict.fromkeys(sessions.values())),
        "writer": [sessions["write"]],
        "backend": [type(backend)],
        "store": [Store],
        "collection": [Collection],
        "iotstore": [iotstore],
        "projection": [iotstore.Projection],
    }
    found.update({name: [type(getattr(store, name))] for name in _DOMAINS})
    return found


@contextmanager
def broken(harness: Harness, mutant: Applies) -> Generator[Harness]:
    """The harness broken in the mutant's way, until the block ends."""
    breaking = Breaking(harness)
    try:
        yield breaking.harness_of(mutant)
    finally:
        breaking.mend()


def exchanged_by(harness: Harness, mutant: Applies) -> frozenset[Place]:
    """The methods that a mutant exchanges. Who calls none of them can't tell it from the healthy backend."""
    breaking = Breaking(harness)
    mutant.apply(breaking)
    return breaking.exchanged()


class Watch:
    """A mutant that is none: it does what is right, and notes which of the *places* were called."""

    def __init__(self, places: frozenset[Place]) -> None:
        self._places = places
        self.called: set[Place] = {OPENING}

    def apply(self, breaking: Breaking) -> None:
        """Exchange every method for itself."""
        for place in self._places - {OPENING}:
            breaking.wrong(*place)(self._noting(place))

    def _noting(self, place: Place) -> Wrong:
        def noting(*given: Any, **options: Any) -> Any:
            self.called.add(place)
            # Functions of a module come without a self.
            right, arguments = (given[0], given[1:]) if place[0] == "iotstore" else (given[1], given[2:])
            return right(*arguments, **options)

        return noting
