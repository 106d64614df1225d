"""The transaction that writes: one at a time in a store, whichever process it is in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import neo4j

from iotstore.backend import (
    Busy,
    Capabilities,
    Capability,
    Conflict,
    EngineError,
    Filter,
    Key,
    Layout,
    Merge,
    OnConflict,
    Operation,
    Overflow,
    Row,
    Select,
    Touched,
    Upserted,
    Value,
    WriteSession,
)
from iotstore_neo4j._cypher import key_text, match_text, spoken
from iotstore_neo4j._errors import DRIVER_ERRORS, ended_error
from iotstore_neo4j._gate import alone, turn
from iotstore_neo4j._graph import GraphWrites
from iotstore_neo4j._names import Names, quoted
from iotstore_neo4j._registry import Belief, Believed
from iotstore_neo4j._schema import Changes, index_of_edges, not_unique, read_node, settle_later
from iotstore_neo4j._sessions import Session, changed_error, no_place_error
from iotstore_neo4j._turns import Turn
from iotstore_neo4j._wire import Wire, be_patient

_HIGHEST: Final = 2**63 - 1
#: What one statement is given: more of it is no faster, and takes the server's memory.
_CHUNK: Final = 10_000
#: From so many rows on, keys are looked up by the statement that inserts: the rows are sent once.
_BULK: Final = 100


class Neo4jWrite(GraphWrites, Session, WriteSession):
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
        schema = 0
        for left in reversed(range(self._wire.tuning.pool_size + 1)):
            try:
                self._session = session = self._wire.session()
                self._transaction = session.begin_transaction(timeout=self._wire.tuning.transaction_timeout)
                be_patient(session, self._wire.tuning.lock_timeout)
                ((schema,),) = self._rows(turn(self.names), {})
                be_patient(session, self._wire.tuning.read_timeout)
            except DRIVER_ERRORS as error:
                self._drop()
                if isinstance(error.__cause__, TimeoutError):
                    patience = self._wire.tuning.lock_timeout
                    raise Busy(
                        f"another process wrote for {patience:g} seconds, or the server is silent",
                        hint="retry, keep transactions short, or raise the option lock_timeout",
                    ) from error
                if not left or not self._wire.died_at_rest(error) or self._wire.closed:
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

    # ------------------------------------------------------------------ records

    def insert(self, layout: Layout, row: Row) -> None:
        self.insert_many(layout, [row], OnConflict.ERROR)

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        if len(rows) >= _BULK and not any(index.unique for index in layout.indexes):
            # What was stored beside a conflict is gone with the transaction, which nobody commits after an error.
            there = self._insert_missing(layout, rows)
            return self._told_conflicts(layout, rows, there, conflict)
        there = self._there(layout, [layout.key_of(row) for row in rows])
        positions = self._told_conflicts(layout, rows, there, conflict)
        new = [row for row in rows if layout.key_of(row) not in there] if there else list(rows)
        self._check_unique(layout, new)
        for chunk in _chunks(new):
            self.change(layout, self._create_text(layout), {"rows": chunk})
        return positions

    @staticmethod
    def _told_conflicts(layout: Layout, rows: Sequence[Row], there: set[Key], conflict: OnConflict) -> list[int]:
        positions = [place for place, row in enumerate(rows) if layout.key_of(row) in there] if there else []
        if positions and conflict is OnConflict.ERROR:
            raise Conflict(f"{len(positions)} records of {layout.name} with these keys exist already")
        return positions

    def _insert_missing(self, layout: Layout, rows: Sequence[Row]) -> set[Key]:
        """Insert the rows whose keys no record has, in one statement a chunk; returns the keys that one has."""
        label = self.names.label(layout.name)
        key = ", ".join(f"{quoted(name)}: r[{layout.position[name]}]" for name in layout.key)
        columns = ", ".join(f"r[{place}]" for place in layout.key_positions)
        text = (
            f"UNWIND $rows AS r OPTIONAL MATCH (o:{label} {{{key}}})"
            f" FOREACH (_ IN CASE WHEN o IS NULL THEN [1] ELSE [] END | CREATE (:{label} {{{_values_text(layout)}}}))"
            f" WITH r, o WHERE o IS NOT NULL RETURN {columns}"
        )
        return {found for chunk in _chunks(rows) for found in self.change(layout, text, {"rows": chunk})}

    def _there(self, layout: Layout, keys: Sequence[Key]) -> set[Key]:
        """Those of the keys that records have."""
        columns = ", ".join(f"n.{quoted(name)}" for name in layout.key)
        text = f"UNWIND $keys AS k MATCH (n:{self.names.label(layout.name)} {key_text(layout, 'k')}) RETURN {columns}"
        return {row for chunk in _chunks(keys) for row in self.ask(layout, text, {"keys": chunk})}

    def _create_text(self, layout: Layout) -> str:
        return f"UNWIND $rows AS r CREATE (n:{self.names.label(layout.name)} {{{_values_text(layout)}}})"

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        """In the order of the keys: of two writers who bypass the store's lock one waits, never both."""
        if not rows:
            return []
        ordered = sorted(rows, key=layout.key_of)
        if any(index.unique for index in layout.indexes):
            old = self.get_many(layout, [layout.key_of(row) for row in ordered])
            merged = [
                row if held is None else merged_row(layout, held, row) for row, held in zip(ordered, old, strict=True)
            ]
            self._check_unique(layout, merged)
        text = self._merge_text(layout)
        stored: dict[Key, Upserted] = {}
        for chunk in _chunks(ordered):
            for fresh, *values in self.change(layout, text, {"rows": chunk}):
                row = tuple(values)
                stored[layout.key_of(row)] = Upserted(row, fresh)
        return [stored[layout.key_of(row)] for row in rows]

    def _merge_text(self, layout: Layout) -> str:
        label = self.names.label(layout.name)
        key = ", ".join(f"{quoted(name)}: r[{layout.position[name]}]" for name in layout.key)
        plain = [f"n.{quoted(name)} = r[{place}]" for name, place in layout.position.items() if name not in layout.key]
        merged = [text for text in (_merge_term(layout, name) for name in layout.position) if text is not None]
        text = f"UNWIND $rows AS r OPTIONAL MATCH (o:{label} {{{key}}}) WITH r, o IS NULL AS fresh"
        text += f" MERGE (n:{label} {{{key}}})"
        if plain:
            text += f" ON CREATE SET {', '.join(plain)}"
        if merged:
            text += f" ON MATCH SET {', '.join(merged)}"
        columns = ", ".join(f"n.{quoted(name)}" for name in layout.position)
        return f"{text} RETURN fresh, {columns}"

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        if any(name in changes for index in layout.indexes if index.unique for name in index.columns):
            matching = self.select(layout, Select(where))
            self._check_unique(layout, [_changed_row(layout, row, changes) for row in matching])
        values: dict[str, Any] = {}
        text = match_text(self.names, layout, where, values)
        sets = [f"n.{quoted(name)} = $v{place}" for place, name in enumerate(changes)]
        values.update({f"v{place}": value for place, value in enumerate(changes.values())})
        if layout.version is not None:
            sets.append(f"n.{quoted(layout.version)} = n.{quoted(layout.version)} + 1")
        if sets:
            text += f" SET {', '.join(sets)}"
        return self._touched(self.change(layout, f"{text} RETURN {_touched_text(layout, 'n')}", values))

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        values: dict[str, Any] = {}
        text = match_text(self.names, layout, where, values)
        columns = [f"n.{quoted(name)} AS k{place}" for place, name in enumerate(layout.key)]
        version = "0" if layout.version is None else f"n.{quoted(layout.version)}"
        text += f" WITH n, {', '.join(columns)}, {version} AS version DETACH DELETE n"
        text += f" RETURN {', '.join(f'k{place}' for place in range(len(layout.key)))}, version"
        touched = self._touched(self.change(layout, text, values))
        self.erase_held([(layout.name, one.key) for one in touched])
        return touched

    @staticmethod
    def _touched(rows: Sequence[Row]) -> list[Touched]:
        return [Touched(row[:-1], row[-1]) for row in rows]

    def _check_unique(self, layout: Layout, rows: Sequence[Row]) -> None:
        """Refuse rows of which one would have a unique value of another, among themselves or in the store."""
        for columns in [index.columns for index in layout.indexes if index.unique]:
            places = [layout.position[name] for name in columns]
            given = [(tuple(row[place] for place in places), layout.key_of(row)) for row in rows]
            given = [(value, key) for value, key in given if None not in value]
            if not given:
                continue
            pattern = ", ".join(f"{quoted(name)}: v[{place}]" for place, name in enumerate(columns))
            keys = ", ".join(f"n.{quoted(name)}" for name in layout.key)
            text = f"UNWIND $values AS v MATCH (n:{self.names.label(layout.name)} {{{pattern}}}) RETURN {keys}"
            written = {layout.key_of(row) for row in rows}
            found = {
                key
                for chunk in _chunks([value for value, _ in given])
                for key in self.ask(layout, text, {"values": chunk})
            }
            # Who has the value now and is written too has another one afterwards, or the same as one of these.
            if len({value for value, _ in given}) < len(given) or not found <= written:
                raise not_unique(columns)

    def reserve(self, counter: str, count: int) -> int:
        text = (
            f"MERGE (n:{self.names.counter} {{name: $name}}) ON CREATE SET n.next = 1"
            " WITH n, n.next AS first WHERE first <= $most SET n.next = first + $count RETURN first"
        )
        self._changed = True
        found = self.ask_store(text, {"name": counter, "count": count, "most": _HIGHEST - count})
        if not found:
            raise Overflow(f"counter {counter} has no {count} numbers left")
        first: int = found[0][0]
        return first

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


def _chunks(rows: Sequence[Sequence[Value]]) -> Iterator[list[list[Value]]]:
    for start in range(0, len(rows), _CHUNK):
        yield [list(row) for row in rows[start : start + _CHUNK]]


def _values_text(layout: Layout) -> str:
    return ", ".join(f"{quoted(name)}: r[{place}]" for name, place in layout.position.items())


def _touched_text(layout: Layout, node: str) -> str:
    version = "0" if layout.version is None else f"{node}.{quoted(layout.version)}"
    return ", ".join([*(f"{node}.{quoted(name)}" for name in layout.key), version])


def _merge_term(layout: Layout, name: str) -> str | None:
    """What an upsert does with a column of a record that exists; None where it does nothing."""
    column, held, new = layout.column(name), f"n.{quoted(name)}", f"r[{layout.position[name]}]"
    if name in layout.key:
        return None
    if name == layout.version:
        return f"{held} = {held} + 1"
    match column.merge:
        case Merge.REPLACE:
            return f"{held} = {new}"
        case Merge.KEEP:
            return None
        case Merge.COALESCE:
            return f"{held} = coalesce({new}, {held})"
        case Merge.MIN:
            return f"{held} = CASE WHEN {held} IS NULL OR {new} < {held} THEN {new} ELSE {held} END"
        case Merge.MAX:
            return f"{held} = CASE WHEN {held} IS NULL OR {new} > {held} THEN {new} ELSE {held} END"


def _changed_row(layout: Layout, row: Row, changes: Mapping[str, Value]) -> Row:
    return tuple(changes.get(column.name, held) for column, held in zip(layout.columns, row, strict=True))


def merged_row(layout: Layout, held: Row, new: Row) -> Row:
    """What an upsert will make of a row, as far as unique rules are concerned."""
    return tuple(
        old if name in layout.key else _merged(layout.column(name).merge, old, one)
        for name, old, one in zip(layout.position, held, new, strict=True)
    )


def _merged(rule: Merge, held: Value, new: Value) -> Value:
    match rule:
        case Merge.REPLACE:
            return new
        case Merge.KEEP:
            return held
        case _ if held is None or new is None:
            return held if new is None else new
        case Merge.COALESCE:
            return new
        case Merge.MIN:
            return min(held, new)
        case Merge.MAX:
            return max(held, new)
