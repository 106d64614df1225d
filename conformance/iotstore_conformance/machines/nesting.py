"""What machines share: transactions and savepoints of a store, entered and left with those of its models."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from iotstore import NotAllowed, Store
from iotstore.backend import Capability
from iotstore_conformance.machines.running import outcome, undo

T = TypeVar("T")


class Nests(Protocol):
    """A model with transactions inside transactions."""

    def begin(self) -> None:
        """Start one."""
        ...

    def commit(self) -> None:
        """Keep what was done since the innermost start."""
        ...

    def rollback(self) -> None:
        """Undo what was done since the innermost start."""
        ...


class NestingMachine(RuleBasedStateMachine):
    """A store and its models: transactions begin and end in all of them, up to *deepest* inside each other."""

    deepest = 2

    def __init__(self, store: Store, models: Sequence[Nests]) -> None:
        super().__init__()
        self.store = store
        self.models = models
        self.open: list[AbstractContextManager[Any]] = []
        # Whether a call failed in the open transaction of a store that can't undo parts of one.
        self.doomed = False

    def told(self, work: Callable[[], T]) -> tuple[type[Exception], None] | tuple[None, T]:
        """What the store makes of *work*: the class of its error, or what it answers."""
        found = outcome(work)
        if found[0] is not None and self.open and not self.store.capabilities.has(Capability.SAVEPOINTS):
            self.doomed = True
        return found

    @precondition(lambda self: self.can_nest())
    @rule()
    def begin(self) -> None:
        """Start a transaction, or a savepoint inside one."""
        block = self.store.transaction()
        block.__enter__()
        self.open.append(block)
        for model in self.models:
            model.begin()

    def can_nest(self) -> bool:
        """Whether another transaction may start here."""
        needed = Capability.SAVEPOINTS if self.open else Capability.TRANSACTIONS
        return len(self.open) < self.deepest and self.store.capabilities.has(needed)

    @precondition(lambda self: self.open)
    @rule(keep=st.booleans())
    def end(self, keep: bool) -> None:
        """End the innermost transaction, one way or the other."""
        block = self.open.pop()
        doomed, self.doomed = self.doomed, False
        if keep:
            refused = outcome(lambda: block.__exit__(None, None, None))[0]
            assert refused is None or (doomed and refused is NotAllowed), refused
            if refused is None:
                for model in self.models:
                    model.commit()
                return
        else:
            undo(block)
        for model in self.models:
            model.rollback()

    def teardown(self) -> None:
        """Leave every open transaction and close the store."""
        while self.open:
            undo(self.open.pop())
        self.store.close()
