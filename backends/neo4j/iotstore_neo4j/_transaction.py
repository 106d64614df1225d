"""The transaction that writes: one at a time in a store, whichever process it is in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import neo4j

from iotstore.backend import (
    Busy,
    Capabilities,
    Capability,
    EngineError,
    Layout,
    Operation,
    Row,
)
from iotstore_neo4j._connections import Losses, be_patient, died_at_rest
from iotstore_neo4j._cypher import spoken
from iotstore_neo4j._errors import DRIVER_ERRORS, LOST, ended_error
from iotstore_neo4j._gate import alone, turn
from iotstore_neo4j._names import Names
from iotstore_neo4j._records import RecordWrites
from iotstore_neo4j._registry import Belief, Believed
from iotstore_neo4j._schema import Changes, index_of_edges, read_node, settle_later
from iotstore_neo4j._sessions import changed_error, no_place_error
from iotstore_neo4j._turns import Turn
from iotstore_neo4j._wire import Wire


class Neo4jWrite(RecordWrites):
    """One transaction. While it lasts nobody else writes, so what it reads is still true when it writes.

    Neo4j ends a transaction at the first error and has no savepoints: what can be refused is looked up before a
    statement is sent that would fail.
    """

    def __init__(
        self,
        wire: Wire,
        names: Names,
        belief: Belief,
        texts: dict[Layout, tuple[str, str]],
        *,
        place: Turn,
        capabilities: Capabilities,
    ) -> None:
        self.names = names
        self._wire = wire
        self._belief = belief
        self._texts = texts
        self._capabilities = capabilities
        self._session: neo4j.Session | None = None
        self._transaction: neo4j.Transaction | None = None
        self._mine: Believed | None = None
        self._settles = False
        self._believed_before: Believed | None = None
        self._learned: Believed | None = None
        self._changed = False
        self._place: Turn | None = None
        # Threads of this process wait here, in their order, and not each with a connection at the server.
        place.take(wire.tuning.lock_timeout)
        self._place = place
        try:
            self._begin()
        except BaseException:
            self._leave()
            raise

    # ------------------------------------------------------------------ statements

    def _begin(self) -> None:
        """Begin, and wait for the turn; on another connection where one had died while it rested."""
        schema, losses = 0, Losses(self._wire.tuning)
        while True:
            try:
                self._session = session = self._wire.session()
                self._transaction = session.begin_transaction(timeout=self._wire.tuning.transaction_timeout)
                be_patient(session, self._wire.tuning.lock_timeout)
                ((schema,),) = self._rows(turn(self.names), {})
                be_patient(session, self._wire.tuning.read_timeout)
            except DRIVER_ERRORS as error:
                self._drop()
                if isinstance(error, LOST) and not died_at_rest(error):
                    patience = self._wire.tuning.lock_timeout
                    raise Busy(
                        f"another process wrote for {patience:g} seconds, or the server is silent",
                        hint="retry, keep transactions short, or raise the option lock_timeout",
                    ) from error
                if self._wire.closed or not losses.again(error):
                    raise self._wire.told(error) from error
            except ValueError as error:
                raise EngineError("the store's node is gone", hint="somebody deleted the store") from error
            else:
                break
        now = self._belief.now
        # What was believed holds as long as no layout was changed since; else each is compared when it is used.
        self._mine = now if now is not None and now.schema == schema else None

    def _rows(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        transaction = self._transaction
        if transaction is None:
            raise ended_error()
        found = transaction.run(spoken(text), dict(values))
        return [tuple(row) for row in found.values()]

    def ask_store(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        try:
            return self._rows(text, values)
        except DRIVER_ERRORS as error:
            raise self._wire.told(error) from error

    def ask(self, layout: Layout, text: str, values: Mapping[str, Any]) -> list[Row]:
        believed = self._belief.now
        if (
            self._mine is None
            or believed is None
            or believed.marks.get(layout.name) != self._mine.marks.get(layout.name)
        ):
            self._check_layout(layout)
        return self.ask_store(text, values)

    def _check_layout(self, layout: Layout) -> None:
        mine = self.believed()
        known = self._belief.now or self._belief.learn(mine, fully=True)
        if layout.name not in mine.marks:
            raise no_place_error(layout)
        if mine.marks[layout.name] != known.marks.get(layout.name):
            raise changed_error(layout)

    def believed(self) -> Believed:
        if self._mine is None:
            self._mine = read_node(self.ask_store, self.names)
        return self._mine

    def drawn_types(self) -> tuple[str, ...]:
        return self.believed().types

    def believe(self, believed: Believed) -> None:
        self._mine = self._learned = believed

    def make_type(self, name: str) -> None:
        # Nothing of this type was touched here yet, so this waits for nobody of this transaction.
        _, text = index_of_edges(name)
        self._wire.change(text, {})
        self._wire.change("CALL db.awaitIndexes(300)", {})

    def change(self, layout: Layout, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement that changes nodes of a layout."""
        self._changed = True
        return self.ask(layout, text, values)

    # ------------------------------------------------------------------ schema

    def layouts(self) -> frozenset[str]:
        return frozenset(self.believed().entries)

    def apply(self, operations: Sequence[Operation]) -> None:
        """Apply them in order. Nobody else writes, so nobody else changes the schema."""
        self._mine = None
        # The core plans a migration after this, from what is stored now.
        self._mine = self._belief.learn(self.believed(), fully=True)
        if operations:
            self._changed = self._settles = True
            self._believed_before = self._believed_before or self._mine
            self._mine = Changes(self.ask_store, self.names, self._mine).apply(operations)
            self._belief.learn(self._mine, fully=True)

    # ------------------------------------------------------------------ the end

    def savepoint(self) -> None:
        self._capabilities.require(Capability.SAVEPOINTS)

    def release(self) -> None:
        self._capabilities.require(Capability.SAVEPOINTS)

    def undo(self) -> None:
        self._capabilities.require(Capability.SAVEPOINTS)

    def commit(self) -> None:
        transaction = self._transaction
        if transaction is None:
            raise ended_error()
        try:
            if self._changed:
                self._rows(alone(self.names), {})
            transaction.commit()
        except BaseException as error:
            self._forget_belief()
            if isinstance(error, DRIVER_ERRORS):
                raise self._wire.told(error) from error
            raise
        finally:
            settled, before = self._mine if self._settles else None, self._believed_before
            self._believed_before = None
            self._leave()
        if self._learned is not None:
            self._belief.learn(self._learned, fully=False)
        if settled is not None:
            settle_later(self._wire, self.names, settled, before)

    def rollback(self) -> None:
        if self._place is not None:
            self._forget_belief()
            self._leave()

    def close(self) -> None:
        self.rollback()

    def _forget_belief(self) -> None:
        """What this transaction did to the layouts did not happen."""
        if self._believed_before is not None:
            self._belief.learn(self._believed_before, fully=True)
            self._believed_before = None

    def _leave(self) -> None:
        place, self._place = self._place, None
        try:
            self._drop()
        finally:
            if place is not None:
                place.give()

    def _drop(self) -> None:
        """End what is open, whatever state it is in: closing rolls back."""
        transaction, self._transaction = self._transaction, None
        session, self._session = self._session, None
        with suppress(*DRIVER_ERRORS):
            if transaction is not None:
                transaction.close()
        with suppress(*DRIVER_ERRORS):
            if session is not None:
                session.close()

    def __del__(self) -> None:
        # A transaction that nobody ended must not keep its lock.
        if getattr(self, "_place", None) is not None:
            self.rollback()
