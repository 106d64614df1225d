"""Edges as relationships of their own types, with ``holder`` (which record it is an edge of) and ``weight``.

A relationship that somebody drew by hand between nodes of the store has no holder of ours. It counts as an edge all the
same, held by nobody: ``("", ())``.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

from iotstore.backend import Edge, GraphReader, GraphWriter, Held, Key, NodeId, Row, Type, Value
from iotstore_neo4j._names import Names, edge_type, quoted
from iotstore_neo4j._registry import Believed, Entry

#: The holder of what nobody holds.
NOBODY: Final[tuple[str, Key]] = ("", ())
#: Between the parts of a holder's name: no text has one, and nothing is sorted before it.
_BETWEEN: Final = "\0"
_CHUNK: Final = 10_000
_OFFSET: Final = 2**63


def held_name(names: Names, holder: tuple[str, Key]) -> str:
    """The name of a holder as one text; texts of two are ordered as (layout, key) are."""
    layout, key = holder
    return _BETWEEN.join([names.bare(layout), *map(_part, key)])


def _part(value: Value) -> str:
    # Sixteen digits of a number that is never negative: ordered as the numbers are.
    return f"{value + _OFFSET:016x}" if isinstance(value, int) else str(value)


def holder_of(names: Names, entries: Mapping[str, Entry], text: str) -> tuple[str, Key] | None:
    """The holder of this name, None where it is none of this store."""
    label, *parts = text.split(_BETWEEN)
    layout = label.removeprefix(names.start)
    entry = entries.get(layout)
    if layout == label or entry is None or len(parts) != len(entry.key):
        return None
    return layout, tuple(_value(of, part) for (_, of), part in zip(entry.key, parts, strict=True))


def _value(of: str, part: str) -> Value:
    return int(part, 16) - _OFFSET if of in (Type.INT, Type.TIME) else part


class GraphReads(GraphReader):
    """Reading edges, for both kinds of session."""

    names: Names

    def ask_store(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement about several layouts."""
        raise NotImplementedError

    def believed(self) -> Believed:
        """What this session believes of the layouts."""
        raise NotImplementedError

    def drawn_types(self) -> tuple[str, ...]:
        """The types of edges that were ever drawn here, by whomever."""
        raise NotImplementedError

    # ------------------------------------------------------------------ one level

    def expand(
        self, nodes: Sequence[NodeId], types: Sequence[str] | None, *, outgoing: bool, incoming: bool, limit: int
    ) -> list[Edge]:
        found: dict[str, Edge] = {}
        for layout, keys in _by_layout(nodes):
            for text in self._expansions(layout, types, outgoing=outgoing, incoming=incoming):
                values = {"keys": keys, "keyed": self._keyed(), "start": self.names.start}
                for identity, *edge in self.ask_store(f"{text} LIMIT {limit + 1:d}", values):
                    found[identity] = _edge(edge, self.names)
                if len(found) > limit:
                    return list(found.values())[: limit + 1]
        return list(found.values())

    def _expansions(self, layout: str, types: Sequence[str] | None, *, outgoing: bool, incoming: bool) -> Iterator[str]:
        named = self._types_text(types)
        column = quoted(self.believed().entries[layout].key[0][0])
        at = f"UNWIND $keys AS k MATCH (n:{self.names.label(layout)} {{{column}: k}})"
        if outgoing:
            yield f"{at} MATCH (n)-[r{named}]->(m) WITH r, n AS a, m AS b {_RESULT}"
        if incoming:
            yield f"{at} MATCH (m)-[r{named}]->(n) WITH r, m AS a, n AS b {_RESULT}"

    def _types_text(self, types: Sequence[str] | None) -> str:
        return "" if types is None else ":" + "|".join(edge_type(name) for name in types)

    def _keyed(self) -> dict[str, str]:
        """The property that is the key, by label, of what can be a node."""
        entries = self.believed().entries
        return {self.names.bare(name): entries[name].key[0][0] for name in self._nodes()}

    # ------------------------------------------------------------------ many levels

    def reach(
        self,
        nodes: Sequence[NodeId],
        types: Sequence[str] | None,
        *,
        outgoing: bool,
        incoming: bool,
        hops: int,
        limit: int,
    ) -> list[tuple[NodeId, int]]:
        if len(set(nodes)) == 1:
            return self._reach_from(nodes[0], types, outgoing=outgoing, incoming=incoming, hops=hops, limit=limit)
        # From several nodes each search of the engine's would go its own way through the same ones: level by level.
        seen, frontier, found = set(nodes), list(dict.fromkeys(nodes)), list[tuple[NodeId, int]]()
        for level in range(1, hops + 1):
            following: dict[NodeId, None] = {}
            for node in self._next(frontier, types, outgoing=outgoing, incoming=incoming):
                if node not in seen:
                    following[node] = None
            seen.update(following)
            found += [(node, level) for node in following]
            frontier = list(following)
            if not frontier or len(found) > limit:
                break
        return found[: limit + 1]

    def _next(
        self, nodes: Sequence[NodeId], types: Sequence[str] | None, *, outgoing: bool, incoming: bool
    ) -> Iterator[NodeId]:
        arrows = f"{'' if outgoing else '<'}-[{self._types_text(types)}]-{'' if incoming else '>'}"
        for layout, keys in _by_layout(nodes):
            column = quoted(self.believed().entries[layout].key[0][0])
            text = (
                f"UNWIND $keys AS k MATCH (n:{self.names.label(layout)} {{{column}: k}}) MATCH (n){arrows}(b)"
                f" WITH DISTINCT b, {_OWN.format('b')} AS lb WHERE lb IS NOT NULL RETURN lb, b[$keyed[lb]]"
            )
            values = {"keys": keys, "keyed": self._keyed(), "start": self.names.start}
            yield from (_node(label, key, self.names) for label, key in self.ask_store(text, values))

    def _reach_from(
        self, node: NodeId, types: Sequence[str] | None, *, outgoing: bool, incoming: bool, hops: int, limit: int
    ) -> list[tuple[NodeId, int]]:
        layout, key = node
        column = quoted(self.believed().entries[layout].key[0][0])
        arrows = f"{'' if outgoing else '<'}-[{self._types_text(types)}*1..{hops:d}]-{'' if incoming else '>'}"
        # Asked so, for nodes and the least length only, Neo4j goes breadth first and into no node twice.
        text = (
            f"MATCH (a:{self.names.label(layout)} {{{column}: $key}}) MATCH p = (a){arrows}(b) WHERE a <> b"
            f" WITH b, min(length(p)) AS hops WITH hops, b, {_OWN.format('b')} AS lb WHERE lb IS NOT NULL"
            f" RETURN lb, b[$keyed[lb]], hops LIMIT {limit + 1:d}"
        )
        rows = self.ask_store(text, {"key": key, "keyed": self._keyed(), "start": self.names.start})
        return [(_node(label, found, self.names), level) for label, found, level in rows]

    # ------------------------------------------------------------------ all of them

    def edges(self, types: Sequence[str] | None, rows: int) -> Iterator[list[Held]]:
        wanted = sorted(self.drawn_types() if types is None else set(types))
        streams = [self._of_nobody(types, rows), *(self._of_type(name, rows) for name in wanted)]
        chunk: list[Held] = []
        for _, group in groupby(heapq.merge(*streams, key=_holder), key=_holder):
            chunk += sorted(group, key=_order)
            if len(chunk) >= rows:
                yield chunk
                chunk = []
        if chunk:
            yield chunk

    def _of_type(self, name: str, rows: int) -> Iterator[Held]:
        """The edges of one type that records hold, in the order of these, page by page."""
        text = (
            f"MATCH (a)-[r:{edge_type(name)}]->(b) WHERE r.holder >= $after AND r.holder < $end"
            f" WITH a, r, b ORDER BY r.holder LIMIT $size {_RESULT}, r.holder"
        )
        after, size = self.names.start, max(rows, 2)
        entries = self.believed().entries
        while True:
            values = {"after": after, "end": f"{self.names.prefix}`", "size": size, "keyed": self._keyed()}
            found = self.ask_store(text, {**values, "start": self.names.start})
            whole = len(found) < size
            # The last holder may go on beyond the page: it is read again from its beginning.
            page = found if whole else [row for row in found if row[-1] != found[-1][-1]]
            for _, *edge, held in page:
                holder = holder_of(self.names, entries, held)
                if holder is not None:
                    yield Held(holder, _edge(edge, self.names))
            if whole:
                return
            after = found[-1][-1]
            size = size if page else size * 2

    def _of_nobody(self, types: Sequence[str] | None, rows: int) -> Iterator[Held]:  # noqa: ARG002 - few, or somebody was at work
        found = self._nobodys(self._types_text(types))
        if found:
            for _, *edge in self.ask_store(f"{found} {_RESULT}", {"keyed": self._keyed(), "start": self.names.start}):
                yield Held(NOBODY, _edge(edge, self.names))

    def _nobodys(self, named: str) -> str:
        """The pattern of what no record of this store holds; empty while there can be no node."""
        labels = "|".join(map(self.names.label, self._nodes()))
        if not labels:
            return ""
        foreign = "(r.holder IS NULL OR NOT r.holder STARTS WITH $start)"
        return f"MATCH (a:{labels})-[r{named}]->(b:{labels}) WHERE {foreign}"

    def _nodes(self) -> list[str]:
        """The layouts whose records can be nodes."""
        return [name for name, entry in self.believed().entries.items() if len(entry.key) == 1]


# What a statement gives of an edge r from a to b, and of a node b: labels and keys of this store only.
_OWN: Final = "head([l IN labels({0}) WHERE l STARTS WITH $start])"
_RESULT: Final = (
    f"WITH r, a, b, {_OWN.format('a')} AS la, {_OWN.format('b')} AS lb WHERE la IS NOT NULL AND lb IS NOT NULL"
    " RETURN DISTINCT elementId(r), la, a[$keyed[la]], type(r), lb, b[$keyed[lb]], r.weight"
)


def _by_layout(nodes: Sequence[NodeId]) -> Iterator[tuple[str, list[Value]]]:
    ordered = sorted(dict.fromkeys(nodes), key=lambda node: node[0])
    for layout, group in groupby(ordered, key=lambda node: node[0]):
        keys = [key for _, key in group]
        for start in range(0, len(keys), _CHUNK):
            yield layout, keys[start : start + _CHUNK]


def _node(label: str, key: Value, names: Names) -> NodeId:
    return label.removeprefix(names.start), key


def _edge(found: Sequence[Any], names: Names) -> Edge:
    source, source_key, of, target, target_key, weight = found
    return Edge(
        _node(source, source_key, names),
        of,
        _node(target, target_key, names),
        None if weight is None else float(weight),
    )


def _holder(held: Held) -> tuple[str, Key]:
    return held.holder


def _order(held: Held) -> tuple[NodeId, str, NodeId]:
    return held.edge.source, held.edge.type, held.edge.target


class GraphWrites(GraphReads, GraphWriter):
    """Writing edges, for the transaction that is alone."""

    _changed: bool

    def make_type(self, name: str) -> None:
        """Make the index by which the edges of a type are found by their holder, in a transaction of its own."""
        raise NotImplementedError

    def draw(self, holders: Sequence[tuple[str, Key]], edges: Sequence[Held]) -> None:
        self._changed = True
        for name in sorted({held.edge.type for held in edges} - set(self.believed().types)):
            self._learn_type(name)
        if NOBODY in holders:
            self._erase_nobodys()
        self.erase_held([holder for holder in holders if holder != NOBODY])
        for shape, group in _by_shape(edges):
            self._draw(shape, list(group))

    def _learn_type(self, name: str) -> None:
        """Note a type that was never drawn here, and have the index of its holders."""
        edge_type(name)
        self.make_type(name)
        # With the number of the schema: other handles look again what they believe.
        text = (
            f"MATCH (s:{self.names.store} {{id: 0}}) SET s.types = coalesce(s.types, []) + $name,"
            " s.schema = s.schema + 1 RETURN s.types, s.schema"
        )
        ((types, schema),) = self.ask_store(text, {"name": name})
        self.believe(self.believed()._replace(types=tuple(types), schema=schema))

    def believe(self, believed: Believed) -> None:
        """From now on this session believes this, and if it commits so does the whole handle."""
        raise NotImplementedError

    def _draw(self, shape: tuple[str, str, str], edges: Sequence[Held]) -> None:
        of, source, target = shape
        entries = self.believed().entries
        if source not in entries or target not in entries:
            return  # no node of it can exist
        a, b = quoted(entries[source].key[0][0]), quoted(entries[target].key[0][0])
        text = (
            f"UNWIND $edges AS e MATCH (a:{self.names.label(source)} {{{a}: e[0]}})"
            f" MATCH (b:{self.names.label(target)} {{{b}: e[1]}})"
            f" CREATE (a)-[:{edge_type(of)} {{holder: e[2], weight: e[3]}}]->(b)"
        )
        drawn = {(held_name(self.names, held.holder), held.edge.source[1], held.edge.target[1]): held for held in edges}
        rows = [
            [a_key, b_key, name, held.edge.weight] for (name, a_key, b_key), held in sorted(drawn.items(), key=_first)
        ]
        for start in range(0, len(rows), _CHUNK):
            self.ask_store(text, {"edges": rows[start : start + _CHUNK]})

    def erase_held(self, holders: Sequence[tuple[str, Key]]) -> None:
        """Delete the edges that these records hold."""
        if not holders or not self.believed().types:
            return
        texts = [held_name(self.names, holder) for holder in holders]
        for name in self.believed().types:
            text = f"UNWIND $held AS h MATCH ()-[r:{edge_type(name)} {{holder: h}}]->() DELETE r"
            for start in range(0, len(texts), _CHUNK):
                self.ask_store(text, {"held": texts[start : start + _CHUNK]})

    def _erase_nobodys(self) -> None:
        found = self._nobodys("")
        if found:
            self.ask_store(f"{found} DELETE r", {"start": self.names.start})


def _by_shape(edges: Iterable[Held]) -> Iterator[tuple[tuple[str, str, str], Iterator[Held]]]:
    def shape(held: Held) -> tuple[str, str, str]:
        return held.edge.type, held.edge.source[0], held.edge.target[0]

    return groupby(sorted(edges, key=shape), key=shape)


def _first(item: tuple[tuple[str, Value, Value], Held]) -> tuple[str, str, str]:
    name, source, target = item[0]
    return name, _part(source), _part(target)
