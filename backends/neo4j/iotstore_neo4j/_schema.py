"""Where a store begins, schema operations, and the indexes and constraints that belong to them.

Neo4j takes no index or constraint in a transaction that changes data. So an operation changes the store's node and the
data in its transaction, and what the engine has to make or drop for it is done when that is committed. None of it is
needed for a right answer, only for a quick one: writers are alone and look up what has to be unique. What could not be
done is done by the next opening.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from iotstore.backend import (
    AddColumn,
    AlterColumn,
    CreateIndex,
    CreateLayout,
    DropColumn,
    DropIndex,
    DropLayout,
    EngineError,
    InvalidValue,
    NewerSchema,
    NotAStore,
    Operation,
    RenameColumn,
    RenameLayout,
    Row,
    StoreError,
    Unreachable,
)
from iotstore_neo4j._cypher import spoken
from iotstore_neo4j._gate import MARK, share
from iotstore_neo4j._names import Names, edge_type, quoted
from iotstore_neo4j._registry import FORMAT, Believed, Entry
from iotstore_neo4j._texts import HOLDS
from iotstore_neo4j._wire import Wire

Run = Callable[[str, Mapping[str, Any]], list[Row]]
_EDGES: Final = "iotstore_edges_"
log: Final = logging.getLogger("iotstore")


# Opening ----------------------------------------------------------------------------------------------------------


def prepare(wire: Wire, names: Names, *, create: bool) -> None:
    """Make sure that a store is there, an empty one if there was nothing and *create* says so.

    Nodes of somebody else under its labels, or a store of a newer format, are refused and not touched.
    """
    if is_there(wire, names):
        return
    if not create:
        raise Unreachable(
            f"there is no store with the prefix {names.prefix!r}", hint="check the URL and the option prefix"
        )
    constrain(wire, names)
    wire.change(
        f"MERGE (t:{names.store} {{id: 1}}) ON CREATE SET t.turn = 0"
        f" MERGE (s:{names.store} {{id: 0}}) ON CREATE SET s.format = $format, s.schema = 0",
        {"format": FORMAT},
    )


def constrain(wire: Wire, names: Names) -> None:
    """Make what the store's own nodes need."""
    # The locks of a store need the constraint: without it MERGE makes a node for each of two who meet.
    name = f"`{names.start}.store.key`"
    wire.change(f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (s:{names.store}) REQUIRE s.id IS UNIQUE", {})
    name = f"`{names.start}.counter.key`"
    wire.change(f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (c:{names.counter}) REQUIRE c.name IS UNIQUE", {})


def is_there(wire: Wire, names: Names) -> bool:
    """Whether a store is there; False where one can be made, an error where nodes of somebody else are."""
    found = wire.ask(f"MATCH (s:{names.store}) WHERE s.id = 0 RETURN s.format", {})
    if not found:
        rows = wire.ask(
            "CALL db.labels() YIELD label WHERE label STARTS WITH $start RETURN label", {"start": names.start}
        )
        there = labels_in_use(wire, [label for (label,) in rows])
        if there:
            raise NotAStore(
                f"the database has nodes labelled {', '.join(there)}, and no store of ours with the prefix"
                f" {names.prefix!r}",
                hint="choose a prefix of its own for the store: option prefix",
            )
        return False
    if len(found) != 1 or not isinstance(found[0][0], int):
        raise NotAStore(
            f"the nodes with the prefix {names.prefix!r} are no store of ours", hint="check the option prefix"
        )
    if found[0][0] > FORMAT:
        raise NewerSchema(
            f"the store with the prefix {names.prefix!r} has format {found[0][0]}, and this version knows {FORMAT}",
            hint="run the newer version of iotstore; nothing was changed",
        )
    return True


def labels_in_use(wire: Wire, labels: Sequence[str]) -> list[str]:
    """Those of the labels that a node has: the server lists one for a while after the last."""
    if not labels:
        return []
    quoted_all = "`|`".join(label.replace("\\", "\\u005c").replace("`", "``") for label in labels)
    rows = wire.ask(f"MATCH (n:`{quoted_all}`) UNWIND labels(n) AS label RETURN DISTINCT label", {})
    return sorted({label for (label,) in rows} & set(labels))


def read_node(run: Run, names: Names) -> Believed:
    """What the store's node says to a transaction that is alone."""
    found = run(f"MATCH (n:{names.store} {{id: 0}}) RETURN properties(n)", {})
    if not found:
        raise EngineError("the store's node is gone", hint="somebody deleted the store; restore a backup")
    return Believed.of(found[0][0])


def stored_node(wire: Wire, names: Names) -> Believed:
    """What the store's node says to a reader."""
    return read_node(lambda text, values: wire.ask_shared(share(names), text, values)[1], names)


# Indexes and constraints ------------------------------------------------------------------------------------------


def wanted(names: Names, believed: Believed) -> dict[str, str]:
    """What the engine has to have for these layouts: statements by the names of what they make."""
    made: dict[str, str] = {}
    for layout, entry in sorted(believed.entries.items()):
        made.update(_of_layout(names, layout, entry))
    made.update(index_of_edges(name) for name in sorted(believed.types))
    return made


def index_of_edges(of: str) -> tuple[str, str]:
    """The index that finds the edges of a type by their holders, and how it is made. Stores of a database share it."""
    name = f"`{_EDGES}{of}`"
    return name, f"CREATE INDEX {name} IF NOT EXISTS FOR ()-[r:{edge_type(of)}]-() ON (r.holder)"


def _of_layout(names: Names, layout: str, entry: Entry) -> Iterator[tuple[str, str]]:
    label = names.label(layout)
    key = [name for name, _ in entry.key]
    name = names.index(layout, key, key=True)
    columns = ", ".join(f"n.{quoted(column)}" for column in key)
    yield name, f"CREATE CONSTRAINT {name} IF NOT EXISTS FOR (n:{label}) REQUIRE ({columns}) IS UNIQUE"
    for indexed, _ in entry.indexes:
        # An index over several columns has the nodes that have them all, and answers only who names them all: what
        # names the first is answered by one of its own where the others may be missing.
        for few in dict.fromkeys((indexed, indexed[:1])):
            if entry.indexed(few):
                name = names.index(layout, few)
                columns = ", ".join(f"n.{quoted(column)}" for column in few)
                yield name, f"CREATE INDEX {name} IF NOT EXISTS FOR (n:{label}) ON ({columns})"


def found_names(wire: Wire, names: Names) -> dict[str, bool]:
    """The indexes of this store that the engine has, quoted as here, and whether each is a constraint's."""
    rows = wire.ask(
        "SHOW INDEXES YIELD name, owningConstraint WHERE name STARTS WITH $start OR name STARTS WITH $edges"
        " RETURN name, owningConstraint IS NOT NULL",
        {"start": names.start, "edges": _EDGES},
    )
    return {f"`{name}`": constraint for name, constraint in rows}


def settle(wire: Wire, names: Names, believed: Believed, before: Believed | None = None) -> list[str]:
    """Make what the layouts need and is not there, and drop what they needed *before*; returns what was done."""
    want, there = wanted(names, believed), found_names(wire, names)
    # Types of edges may be other stores' too: their indexes stay.
    gone = [name for name in (wanted(names, before) if before else ()) if name in there and name not in want]
    todo = [f"DROP {'CONSTRAINT' if there[name] else 'INDEX'} {name} IF EXISTS" for name in gone]
    todo += [text for name, text in want.items() if name not in there]
    if todo:
        with wire.translating(), wire.session() as session, session.begin_transaction() as transaction:
            for text in todo:
                transaction.run(spoken(text)).consume()
            transaction.commit()
        wire.change("CALL db.awaitIndexes(300)", {})
    return todo


def settle_later(wire: Wire, names: Names, believed: Believed, before: Believed | None) -> None:
    """The same after a commit, which a failure of this must not make look like one of its own."""
    try:
        settle(wire, names, believed, before)
    except StoreError as error:
        log.warning("indexes were not changed after a migration, the next opening does it: %s", error)


# Operations -------------------------------------------------------------------------------------------------------


class Changes:
    """Carries schema operations out in a transaction that is alone."""

    def __init__(self, run: Run, names: Names, believed: Believed) -> None:
        self._run = run
        self._names = names
        self._schema = believed.schema
        self._marks = dict(believed.marks)
        self._entries = dict(believed.entries)
        self._types = believed.types

    def apply(self, operations: Sequence[Operation]) -> Believed:
        """Apply them in order; returns what is to be believed from then on."""
        for operation in operations:
            self._schema += 1
            self._one(operation)
        self._write()
        return Believed(self._schema, self._marks, self._entries, self._types)

    def _one(self, operation: Operation) -> None:
        match operation:
            case CreateLayout(layout):
                self._entries[layout.name] = Entry.of(layout)
                self._marks[layout.name] = self._schema
            case DropLayout(name):
                self._run(f"MATCH (n:{self._names.label(name)}) DETACH DELETE n", {})
                self._forget(name)
            case RenameLayout(old, new):
                before, after = self._names.label(old), self._names.label(new)
                self._run(f"MATCH (n:{before}) REMOVE n:{before} SET n:{after}", {})
                self._entries[new] = self._entries[old]
                self._marks[new] = self._schema
                self._forget(old)
            case AddColumn(name, column):
                self._entries[name] = self._entries[name].with_column(column)
                if column.default is not None:
                    encode = HOLDS[column.type].encode if column.type in HOLDS else None
                    default = encode(column.default) if encode else column.default
                    self._set(name, f"n.{quoted(column.name)} = $default", {"default": default})
            case DropColumn(name, gone):
                self._run(f"MATCH (n:{self._names.label(name)}) REMOVE n.{quoted(gone)}", {})
                self._entries[name] = self._entries[name].without_column(gone)
                self._marks[name] = self._schema
            case RenameColumn(name, old, new):
                before, after = quoted(old), quoted(new)
                self._run(f"MATCH (n:{self._names.label(name)}) SET n.{after} = n.{before} REMOVE n.{before}", {})
                self._entries[name] = self._entries[name].renamed(old, new)
                self._marks[name] = self._schema
            case AlterColumn(name, column):
                self._entries[name] = self._entries[name].with_column(column)
            case CreateIndex(name, index):
                if index.unique:
                    self._check_unique(name, index.columns)
                self._entries[name] = self._entries[name].with_index(index)
            case DropIndex(name, index):
                self._entries[name] = self._entries[name].without_index(index)
            case _:
                pass  # references are the core's

    def _set(self, layout: str, what: str, values: Mapping[str, Any]) -> None:
        self._run(f"MATCH (n:{self._names.label(layout)}) SET {what}", values)

    def _forget(self, layout: str) -> None:
        del self._entries[layout], self._marks[layout]
        text = f"MATCH (s:{self._names.store} {{id: 0}}) REMOVE s.`{MARK}{layout}`, s.`k:{layout}`"
        self._run(text, {})

    def _check_unique(self, layout: str, columns: Sequence[str]) -> None:
        named = [f"n.{quoted(column)}" for column in columns]
        text = f"MATCH (n:{self._names.label(layout)}) WHERE {' AND '.join(f'{name} IS NOT NULL' for name in named)}"
        text += f" WITH {', '.join(f'{name} AS c{place}' for place, name in enumerate(named))}, count(*) AS times"
        if self._run(f"{text} WHERE times > 1 RETURN true LIMIT 1", {}):
            raise not_unique(columns)

    def _write(self) -> None:
        properties: dict[str, Any] = {"schema": self._schema}
        for name, mark in self._marks.items():
            properties[f"{MARK}{name}"] = mark
            properties[f"k:{name}"] = self._entries[name].written()
        self._run(f"MATCH (s:{self._names.store} {{id: 0}}) SET s += $properties", {"properties": properties})


def not_unique(columns: Sequence[str]) -> InvalidValue:
    """Another record has the value of a unique rule."""
    return InvalidValue("another record has this value already", field=", ".join(columns), hint="it must be unique")
