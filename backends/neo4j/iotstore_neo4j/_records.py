"""Records in a transaction that is alone: what would fail is looked up before a statement is sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from iotstore.backend import (
    Conflict,
    Filter,
    Key,
    Layout,
    OnConflict,
    Overflow,
    Row,
    Select,
    Touched,
    Upserted,
    Value,
    WriteSession,
)
from iotstore_neo4j._cypher import key_text, match_text
from iotstore_neo4j._graph import GraphWrites
from iotstore_neo4j._merging import merge_term, merged_row
from iotstore_neo4j._names import quoted
from iotstore_neo4j._schema import not_unique
from iotstore_neo4j._sessions import Session

_HIGHEST: Final = 2**63 - 1
#: What one statement is given: more of it is no faster, and takes the server's memory.
_CHUNK: Final = 10_000
#: From so many rows on, keys are looked up by the statement that inserts: the rows are sent once.
_BULK: Final = 100


class RecordWrites(GraphWrites, Session, WriteSession):
    """Writing records and counters."""

    def change(self, layout: Layout, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement that changes nodes of a layout."""
        raise NotImplementedError

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
        merged = [text for text in (merge_term(layout, name) for name in layout.position) if text is not None]
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


def _chunks(rows: Sequence[Sequence[Value]]) -> Iterator[list[list[Value]]]:
    for start in range(0, len(rows), _CHUNK):
        yield [list(row) for row in rows[start : start + _CHUNK]]


def _values_text(layout: Layout) -> str:
    return ", ".join(f"{quoted(name)}: r[{place}]" for name, place in layout.position.items())


def _touched_text(layout: Layout, node: str) -> str:
    version = "0" if layout.version is None else f"{node}.{quoted(layout.version)}"
    return ", ".join([*(f"{node}.{quoted(name)}" for name in layout.key), version])


def _changed_row(layout: Layout, row: Row, changes: Mapping[str, Value]) -> Row:
    return tuple(changes.get(column.name, held) for column, held in zip(layout.columns, row, strict=True))
