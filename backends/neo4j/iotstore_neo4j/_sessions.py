"""Sessions: reads, each of one committed state, and what they share with the transaction that writes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from iotstore.backend import (
    Aggregate,
    And,
    EngineError,
    Function,
    Key,
    Layout,
    NewerSchema,
    Overflow,
    ReadSession,
    Row,
    Select,
    Type,
)
from iotstore_neo4j._cypher import after, aggregate_text, get_text, select_text, total_order
from iotstore_neo4j._errors import ended_error
from iotstore_neo4j._gate import share
from iotstore_neo4j._graph import GraphReads
from iotstore_neo4j._names import Names
from iotstore_neo4j._registry import Belief, Believed
from iotstore_neo4j._schema import stored_node
from iotstore_neo4j._wire import Wire


class Session(ReadSession):
    """What both sessions do, each with its own way to ask."""

    names: Names
    _wire: Wire
    _belief: Belief
    _texts: dict[Layout, tuple[str, str]]

    def ask(self, layout: Layout, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement about a layout."""
        raise NotImplementedError

    def ask_store(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement about the store's own nodes, or several layouts."""
        raise NotImplementedError

    def believed(self) -> Believed:
        """What this session believes of the layouts."""
        raise NotImplementedError

    def get(self, layout: Layout, key: Key) -> Row | None:
        texts = self._texts.get(layout) or self._made(layout)
        rows = self.ask(layout, texts[0], {"key": list(key)})
        return rows[0] if rows else None

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:  # noqa: ARG002 - who writes is alone: nobody else deletes
        if not keys:
            return []
        if len(keys) == 1:
            return [self.get(layout, keys[0])]
        texts = self._texts.get(layout) or self._made(layout)
        found = self.ask(layout, texts[1], {"keys": [list(key) for key in dict.fromkeys(map(tuple, keys))]})
        by_key = {layout.key_of(row): row for row in found}
        return [by_key.get(tuple(key)) for key in keys]

    def _made(self, layout: Layout) -> tuple[str, str]:
        made = get_text(self.names, layout, many=False), get_text(self.names, layout, many=True)
        self._texts[layout] = made
        return made

    def select(self, layout: Layout, query: Select) -> list[Row]:
        return self.ask(layout, *select_text(self.names, layout, query))

    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        # Page by page: an answer that is half read would hold its share of the lock for as long as its reader likes.
        order = total_order(layout, query.order)
        where, left = query.where, query.limit
        while left is None or left > 0:
            size = rows if left is None else min(rows, left)
            page = self.select(layout, Select(where, order, size))
            if page:
                yield page
            if len(page) < size:
                return
            where = And((query.where, after(order, layout, page[-1])))
            left = None if left is None else left - size

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        rows = self.ask(layout, *aggregate_text(self.names, layout, query))
        for place, measure in enumerate(query.measures, len(query.groups)):
            whole = measure.column is not None and layout.column(measure.column).type is not Type.REAL
            # A sum of integers that leaves 64 bits goes on as a double, without a word.
            if whole and measure.function is Function.SUM and any(isinstance(row[place], float) for row in rows):
                raise Overflow(f"the sum of {measure.column} is beyond 64 bits")
        return rows

    def counters(self) -> Mapping[str, int]:
        rows = self.ask_store(f"MATCH (n:{self.names.counter}) RETURN n.name, n.next", {})
        return dict(rows)


def changed_error(layout: Layout) -> NewerSchema:
    """Another handle has changed a layout such that this one's statements mean something else now."""
    return NewerSchema(
        f"the fields of {layout.name} were changed by somebody who opened the store since",
        hint="open it again with the kinds as they are declared now; nothing was changed",
    )


def no_place_error(layout: Layout) -> EngineError:
    """The store has no such layout, or no longer."""
    return EngineError(f"the store has no place for {layout.name}", hint="open it again with this kind")


class Neo4jRead(GraphReads, Session):
    """Reads in transactions of their own: each call sees one committed state, the latest."""

    def __init__(self, wire: Wire, names: Names, belief: Belief, texts: dict[Layout, tuple[str, str]]) -> None:
        self.names = names
        self._wire = wire
        self._belief = belief
        self._texts = texts
        self._ended = False

    def ask(self, layout: Layout, text: str, values: Mapping[str, Any]) -> list[Row]:
        self._check()
        believed = self.believed()
        (mark,), rows = self._wire.ask_shared(share(self.names, layout.name), text, values)
        if mark is None:
            raise no_place_error(layout)
        if mark != believed.marks.get(layout.name):
            raise changed_error(layout)
        return rows

    def ask_store(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        self._check()
        return self._wire.ask_shared(share(self.names), text, values)[1]

    def believed(self) -> Believed:
        return self._belief.now or self._belief.learn(stored_node(self._wire, self.names), fully=True)

    def drawn_types(self) -> tuple[str, ...]:
        return stored_node(self._wire, self.names).types

    def _check(self) -> None:
        if self._ended:
            raise ended_error()

    def layouts(self) -> frozenset[str]:
        self._check()
        found = stored_node(self._wire, self.names)
        return frozenset(self._belief.learn(found, fully=self._belief.now is None).entries)

    def close(self) -> None:
        self._ended = True
