"""Which capabilities a clause really uses: seen at the places where the core would refuse them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from weakref import WeakSet

from iotstore.backend import Backend, Capabilities, Capability, Settings
from iotstore_conformance.harness import Harness
from iotstore_conformance.hostile import declaring, lacking
from iotstore_conformance.registry import Clause
from iotstore_conformance.runner import run_clause


class Watched(Capabilities):
    """Supports what the right declaration does, makes the core check everything, and notes what was asked for."""

    def __init__(self, right: Capabilities, seen: set[Capability]) -> None:
        super().__init__(right.backend, {capability: right[capability] for capability in Capability})
        self._seen = seen

    @property
    def lacking(self) -> frozenset[Capability]:
        """Everything, so that every use is looked at."""
        return frozenset(Capability)

    def require(self, capability: Capability) -> None:
        """Note the use, then do as the right declaration does."""
        self._seen.add(capability)
        super().require(capability)


@contextmanager
def observed(kind: type[Backend]) -> Iterator[set[Capability]]:
    """What is used of stores of this backend that are opened inside the block."""
    seen: set[Capability] = set()
    with declaring(kind, lambda right: Watched(right, seen)), _handles(kind, seen):
        yield seen


@contextmanager
def _handles(kind: type[Backend], seen: set[Capability]) -> Iterator[None]:
    """Note when a place is opened that is open already."""
    connect = vars(kind)["connect"]
    places: dict[str, WeakSet[Backend]] = {}

    def noting(cls: type[Backend], settings: Settings) -> Backend:
        backend: Backend = connect.__get__(None, cls)(settings)
        here = places.setdefault(settings.display, WeakSet())
        if here:
            seen.add(Capability.MANY_HANDLES)
        here.add(backend)
        close = backend.close

        def closing() -> None:
            here.discard(backend)
            close()

        setattr(backend, "close", closing)  # noqa: B010 - a method of this one backend is exchanged
        return backend

    setattr(kind, "connect", classmethod(noting))  # noqa: B010 - as above, of the class
    try:
        yield
    finally:
        setattr(kind, "connect", connect)  # noqa: B010 - as above


def needed(clause: Clause, harness: Harness, kind: type[Backend]) -> frozenset[Capability]:
    """The capabilities without which the clause can't hold: of those that it uses, each that it fails without.

    What is promised of all calls (``PROMISES``), and what happens in other processes, is not seen.
    """
    with observed(kind) as seen:
        run_clause(clause, harness)
    return frozenset(capability for capability in seen if fails_without(capability, clause, harness, kind))


def fails_without(capability: Capability, clause: Clause, harness: Harness, kind: type[Backend]) -> bool:
    """Whether the clause, told nothing of what it needs, fails on a backend that lacks this capability alone."""
    if capability is Capability.MANY_HANDLES:  # whoever opens a place twice can't do without
        return True
    try:
        with lacking(kind, [capability]):
            run_clause(replace(clause, needs=()), harness)
    except Exception:  # noqa: BLE001 - a clause may find what is missing in any way
        return True
    return False
