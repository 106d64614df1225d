"""A store as a script of Cypher statements, a line each: for Neo4j's own shell, and to be taken in again.

What a line creates is a list that is JSON and Cypher at once. Taking a script in, nothing of its text is run: labels,
names and values are read out of its lines, checked, and sent as parameters. The store's own node comes last, so what
was taken in halfway is no store. The last line has a digest of all before it, and a store that was taken in is written
out again to nowhere, and has to give the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final, NamedTuple

from iotstore.backend import BackupError, Corrupt, Held, InvalidValue, NotAllowed
from iotstore_neo4j._graph import NOBODY, GraphReads, held_name
from iotstore_neo4j._names import Names, edge_type, quoted
from iotstore_neo4j._registry import Believed, Entry
from iotstore_neo4j._schema import Run, constrain, is_there, settle, wanted
from iotstore_neo4j._wire import Wire

_FORMAT: Final = 1
_ROWS: Final = 1_000
_HEAD: Final = re.compile(r"// iotstore script, format (\d+), prefix (\w+)\n")
_NODES: Final = re.compile(r"UNWIND (\[.*\]) AS r CREATE \(:`([\w.]+)` \{(.*)\}\);\n")
_COLUMN: Final = re.compile(r"`([\w:]+)`: r\[\d+\]")
_EDGES: Final = re.compile(
    r"UNWIND (\[.*\]) AS e MATCH \(a:`(\w+)` \{`\w+`: e\[0\]\}\) MATCH \(b:`(\w+)` \{`\w+`: e\[1\]\}\)"
    r" CREATE \(a\)-\[:`(\w+)` \{holder: e\[2\], weight: e\[3\]\}\]->\(b\);\n"
)
_END: Final = re.compile(r"// end: (\d+) nodes, (\d+) edges, sha256 ([0-9a-f]{64})\n")
# Cypher has no sign in an exponent; a double's text has one when it is large.
_PLUS: Final = re.compile(r"(?<=\de)\+")


class Written(NamedTuple):
    """What a script holds: how many nodes and edges, and the digest of its lines."""

    nodes: int
    edges: int
    digest: str


def script_lines(session: GraphReads, names: Names, shown: Names) -> Iterator[str]:
    """The lines of a script, each with its end. *shown* are the labels that it is written with."""
    digest, nodes, edges = hashlib.sha256(), 0, 0
    for line, made, drawn in _body(session, names, shown):
        digest.update(line.encode())
        nodes, edges = nodes + made, edges + drawn
        yield line
    yield f"// end: {nodes} nodes, {edges} edges, sha256 {digest.hexdigest()}\n"


def _body(session: GraphReads, names: Names, shown: Names) -> Iterator[tuple[str, int, int]]:
    believed, run = session.believed(), session.ask_store
    yield f"// iotstore script, format {_FORMAT}, prefix {shown.prefix}\n", 0, 0
    for text in wanted(shown, believed).values():
        yield f"{text};\n", 0, 0
    for layout, entry in sorted(believed.entries.items()):
        yield from _nodes_of(run, names, shown, layout, entry)
    for chunk in session.edges(None, _ROWS):
        for (of, source, target), group in groupby(chunk, key=_shape):
            held = list(group)
            a, b = (quoted(believed.entries[name].key[0][0]) for name in (source, target))
            yield (
                (
                    f"UNWIND {_json([_edge_row(shown, one) for one in held])} AS e"
                    f" MATCH (a:{shown.label(source)} {{{a}: e[0]}}) MATCH (b:{shown.label(target)} {{{b}: e[1]}})"
                    f" CREATE (a)-[:{edge_type(of)} {{holder: e[2], weight: e[3]}}]->(b);\n"
                ),
                0,
                len(held),
            )
    counters = run(f"MATCH (n:{names.counter}) RETURN n.name, n.next ORDER BY n.name", {})
    if counters:
        yield _create(shown.counter, ["name", "next"], counters), 0, 0
    yield _create(shown.store, ["id", "turn"], [[1, 0]]), 0, 0
    ((node,),) = run(f"MATCH (n:{names.store} {{id: 0}}) RETURN properties(n)", {})
    yield _create(shown.store, sorted(node), [[node[name] for name in sorted(node)]]), 0, 0


def _nodes_of(run: Run, names: Names, shown: Names, layout: str, entry: Entry) -> Iterator[tuple[str, int, int]]:
    """The nodes of a layout in the order of their keys, page by page."""
    columns = sorted(entry.lengths)
    returned = ", ".join(f"n.{quoted(name)}" for name in columns)
    key = [f"n.{quoted(name)}" for name, _ in entry.key]
    places = [columns.index(name) for name, _ in entry.key]
    after: list[Any] | None = None
    while True:
        where = "" if after is None else f" WHERE {_beyond(key)}"
        text = f"MATCH (n:{names.label(layout)}){where} RETURN {returned} ORDER BY {', '.join(key)} LIMIT {_ROWS}"
        rows = run(text, {} if after is None else {"after": after})
        if rows:
            yield _create(shown.label(layout), columns, rows), len(rows), 0
        if len(rows) < _ROWS:
            return
        after = [rows[-1][place] for place in places]


def _beyond(key: Sequence[str]) -> str:
    """What comes after $after; the first comparison lets an index begin there."""
    choices = [
        " AND ".join([*(f"{key[at]} = $after[{at}]" for at in range(place)), f"{key[place]} > $after[{place}]"])
        for place in range(len(key))
    ]
    return f"{key[0]} >= $after[0] AND ({' OR '.join(f'({choice})' for choice in choices)})"


def _create(label: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    values = ", ".join(f"`{name}`: r[{place}]" for place, name in enumerate(columns))
    return f"UNWIND {_json([list(row) for row in rows])} AS r CREATE (:{label} {{{values}}});\n"


def _json(rows: list[list[Any]]) -> str:
    text = json.dumps(rows, ensure_ascii=True, separators=(", ", ": "), allow_nan=False)
    return text if "+" not in text else _without_signs(text)


def _without_signs(text: str) -> str:
    # Between quotes nothing is a number.
    return "".join(
        part if part.startswith('"') else _PLUS.sub("", part) for part in re.split(r'("(?:\\.|[^"\\])*")', text)
    )


def _shape(held: Held) -> tuple[str, str, str]:
    return held.edge.type, held.edge.source[0], held.edge.target[0]


def _edge_row(shown: Names, held: Held) -> list[Any]:
    holder = None if held.holder == NOBODY else held_name(shown, held.holder)
    return [held.edge.source[1], held.edge.target[1], holder, held.edge.weight]


# Taking in --------------------------------------------------------------------------------------------------------


def check_script(lines: Iterable[str]) -> tuple[str, Written]:
    """The prefix that a script was written with and what it holds; Corrupt when it is not whole."""
    digest, head, last = hashlib.sha256(), "", ""
    for line in lines:
        head = head or line
        digest.update(last.encode())
        last = line
    begins = _HEAD.fullmatch(head)
    if begins is None:
        raise Corrupt("the file is no script of a store", hint="use another backup")
    said = written_of(last)
    if int(begins[1]) > _FORMAT:
        raise InvalidValue(
            f"the script has format {begins[1]}, and this version knows {_FORMAT}", hint="update iotstore"
        )
    if digest.hexdigest() != said.digest:
        raise Corrupt("the script was changed since it was written", hint="use another backup")
    return begins[2], said


def take_in(wire: Wire, names: Names, prefix: str, lines: Iterable[str]) -> None:
    """Make the store that a checked script describes, where there is none."""
    if is_there(wire, names):
        raise NotAllowed(
            f"there is a store with the prefix {names.prefix!r}", hint="clear it, or choose another prefix"
        )
    constrain(wire, names)
    believed: Believed | None = None
    # Where the keys' constraints are is known from the last line only: they are made from the first ones.
    for line in lines:
        if found := _NODES.fullmatch(line):
            label = found[2]
            columns = _COLUMN.findall(found[3])
            nodes = [dict(zip(columns, row, strict=True)) for row in json.loads(found[1])]
            if label == f"{prefix}_.store" and nodes[0]["id"] == 0:
                believed = Believed.of(nodes[0])
            _create_nodes(wire, names, prefix, label, nodes)
        elif found := _EDGES.fullmatch(line):
            _create_edges(wire, names, prefix, found, line)
        elif line.startswith("CREATE CONSTRAINT "):
            _make_constraint(wire, names, prefix, line)
    if believed is None:
        raise Corrupt("the script lacks the store's own node", hint="use another backup")
    settle(wire, names, believed)


_CONSTRAINT: Final = re.compile(
    r"CREATE CONSTRAINT `[\w.]+` IF NOT EXISTS FOR \(n:`(\w+)`\) REQUIRE \((.*)\) IS UNIQUE;\n"
)


def _make_constraint(wire: Wire, names: Names, prefix: str, line: str) -> None:
    found = _CONSTRAINT.fullmatch(line)
    if found is None:
        raise Corrupt("the script has a constraint that no store makes", hint="use another backup")
    layout = _layout(prefix, found[1])
    key = [(name, "text") for name in re.findall(r"n\.`(\w+)`", found[2])]
    settle(wire, names, Believed(0, {}, {layout: Entry(tuple(key), (), {})}, ()))


def _layout(prefix: str, label: str) -> str:
    layout = label.removeprefix(f"{prefix}_")
    if layout == label:
        raise Corrupt(
            f"the script has nodes labelled {label!r}, which are none of its store", hint="use another backup"
        )
    return layout


def _create_nodes(wire: Wire, names: Names, prefix: str, label: str, nodes: Sequence[dict[str, Any]]) -> None:
    layout = _layout(prefix, label)
    target = {".store": names.store, ".counter": names.counter}.get(layout) or names.label(layout)
    # Maps: their names are in no text, and the store's own node has some with a colon.
    wire.change(f"UNWIND $nodes AS r CREATE (n:{target}) SET n = r", {"nodes": nodes})


def _create_edges(wire: Wire, names: Names, prefix: str, found: re.Match[str], line: str) -> None:
    rows, source, target, of = json.loads(found[1]), _layout(prefix, found[2]), _layout(prefix, found[3]), found[4]
    start = f"{prefix}_"
    for row in rows:
        if row[2] is not None and row[2].startswith(start):
            row[2] = names.start + row[2].removeprefix(start)
    keys = re.findall(r"\{`(\w+)`: e\[[01]\]\}", line)[-2:]
    wire.change(
        f"UNWIND $rows AS e MATCH (a:{names.label(source)} {{{quoted(keys[0])}: e[0]}})"
        f" MATCH (b:{names.label(target)} {{{quoted(keys[1])}: e[1]}})"
        f" CREATE (a)-[:{edge_type(of)} {{holder: e[2], weight: e[3]}}]->(b)",
        {"rows": rows},
    )


def compare(said: Written, found: Written) -> None:
    """Raise BackupError unless a store that was taken in, written out again, is what the script said."""
    if found != said:
        raise BackupError(
            "what was taken in differs from the script", hint="clear it and try again; nobody may write to it meanwhile"
        )


def written_of(line: str) -> Written:
    """What the last line of a script says."""
    found = _END.fullmatch(line)
    if found is None:
        raise Corrupt("the end of the script is missing", hint="use another backup")
    return Written(int(found[1]), int(found[2]), found[3])
