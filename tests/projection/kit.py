"""What the tests of projections are made with: random work, stores that are cut off, a graph that is kept in SQLite.

Loaded by the conftest and, in another process, by the nursery; so it imports no pytest.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable, Iterable, Iterator
from itertools import groupby
from typing import Any

import iotstore
from iotstore import Device, Group, Location, Owner, Store
from iotstore._graph.holding import edges_of, holders
from iotstore._kinds.kind import Kind, Record
from iotstore._kinds.relations import Contact, Relation
from iotstore._waist.capabilities import Capability, Supported
from iotstore._waist.filters import And, Compare, Op, Or
from iotstore._waist.graph import Edge, GraphReader, GraphWriter, Held
from iotstore._waist.queries import OnConflict, Order, Select
from iotstore._waist.schema import CreateLayout
from iotstore.errors import StoreError, Unreachable

# Cutting ---------------------------------------------------------------------------------------------------------


class Cuts:
    """Counts the calls that reach a backend's sessions, and does something at one of them."""

    def __init__(self, at: int = -1, when: str = "before", action: Callable[[], None] | None = None) -> None:
        self.at = at
        self.when = when
        self.calls = 0
        self.names: list[str] = []
        self._action = action or self._unreachable

    def _unreachable(self) -> None:
        raise Unreachable("the line was cut")

    def call(self, name: str, function: Callable[..., Any], args: Any, kwargs: Any) -> Any:
        """Run one call of a session, unless it is the one to cut."""
        self.calls += 1
        self.names.append(name)
        mine = self.calls == self.at
        if mine and self.when == "before":
            self._action()
        answer = function(*args, **kwargs)
        if mine and self.when == "after":
            self._action()
        return answer


def kill_self() -> None:
    """What no handler sees."""
    os.kill(os.getpid(), signal.SIGKILL)


_CUT = {
    *("get", "get_many", "select", "aggregate", "insert", "insert_many", "upsert", "update", "delete", "apply"),
    *("reserve", "commit", "rollback", "draw", "expand", "layouts", "stream", "edges", "savepoint", "release", "undo"),
}


class CutSession:
    """A session whose calls are counted; to isinstance it is what it stands for."""

    def __init__(self, inner: Any, cuts: Cuts) -> None:
        self._inner = inner
        self._cuts = cuts

    @property
    def __class__(self) -> type:
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._inner, name)
        if name not in _CUT or (name == "rollback"):
            return found
        return lambda *args, **kwargs: self._cuts.call(name, found, args, kwargs)

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)


def survive(store: Store, bring_up: Callable[..., int], tasks: Iterable[dict[str, Any]], *, steps: int = 0) -> int:
    """After *steps* of work each task in a child that is killed, as the task says; every time the graphs end equal.
    Returns how many children were killed, for one that has nothing to do ends by itself."""
    killed = 0
    for number, task in enumerate(tasks):
        play(store, seed=number, steps=steps)
        killed += bring_up(**task) == -signal.SIGKILL
        store.projection.sync()
        assert_equal(store)
    return killed


class CutBackend:
    """A backend whose sessions are cut."""

    def __init__(self, inner: Any, cuts: Cuts) -> None:
        self._inner = inner
        self.cuts = cuts

    @property
    def __class__(self) -> type:
        return type(self._inner)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def read(self) -> Any:
        return CutSession(self._inner.read(), self.cuts)

    def snapshot(self) -> Any:
        return CutSession(self._inner.snapshot(), self.cuts)

    def write(self) -> Any:
        return CutSession(self._inner.write(), self.cuts)


def cut_primary(store: Store, cuts: Cuts) -> None:
    """Cut the primary's sessions from now on."""
    store._engine.backend = CutBackend(store._engine.backend, cuts)


def cut_target(store: Store, cuts: Cuts) -> None:
    """Cut the projection's sessions from now on."""
    target = store.projection.target
    connect = target._connect
    if target._engine is not None:
        target._engine.backend = CutBackend(target._engine.backend, cuts)
    else:
        target._connect = lambda: CutBackend(connect(), cuts)


# A graph kept in SQLite ------------------------------------------------------------------------------------------


class Drawn(Record, frozen=True, kw_only=True):
    """An edge as such, with who holds it."""

    holder_kind: str
    holder: str
    source_kind: str
    source: str
    type: str
    target_kind: str
    target: str
    weight: float | None = None


DRAWN = Kind(Drawn, "drawn", ("holder_kind", "holder", "source_kind", "source", "type", "target_kind", "target"))


def _text(value: Any) -> str:
    return f"i{value}" if isinstance(value, int) else f"s{value}"


def _value(text: str) -> Any:
    return int(text[1:]) if text[0] == "i" else text[1:]


@GraphWriter.register
class GraphSession:
    """A session of SQLite that keeps edges beside the records, as the Graph power wants them."""

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __enter__(self) -> Any:
        self._inner.__enter__()
        return self

    def __exit__(self, *error: object) -> Any:
        return self._inner.__exit__(*error)

    def expand(self, nodes: Any, types: Any, *, outgoing: bool, incoming: bool, limit: int) -> list[Edge]:
        found = {}
        for side, wanted in (("source", outgoing), ("target", incoming)):
            for kind, key in nodes if wanted else ():
                where = And((Compare(f"{side}_kind", Op.EQ, kind), Compare(side, Op.EQ, _text(key))))
                found.update({row[:7]: row for row in self._inner.select(DRAWN.layout, Select(where))})
        edges = [_edge(row) for row in found.values()]
        return [edge for edge in edges if types is None or edge.type in types][: limit + 1]

    def reach(self, nodes: Any, types: Any, *, outgoing: bool, incoming: bool, hops: int, limit: int) -> Any:
        seen, level, found = set(nodes), list(nodes), []
        for hop in range(1, hops + 1):
            edges = self.expand(level, types, outgoing=outgoing, incoming=incoming, limit=limit)
            ends = {end for edge in edges for end in (edge.source, edge.target)} - seen
            seen |= ends
            level = list(ends)
            found += [(end, hop) for end in ends]
        return found[: limit + 1]

    def edges(self, types: Any, rows: int) -> Iterator[list[Held]]:
        assert rows
        every = self._inner.select(DRAWN.layout, Select())
        held = [Held((row[0], tuple(map(_value, row[1].split("\x1f"))) if row[1] else ()), _edge(row)) for row in every]
        held.sort(key=lambda one: (one.holder, one.edge[:3]))
        for at in range(0, len(held), 3):  # holders are cut in two, so that nobody counts on it
            yield [one for one in held[at : at + 3] if types is None or one.edge.type in types]

    def draw(self, holders: Any, edges: Any) -> None:
        for kind, key in holders:
            self._drop(And((Compare("holder_kind", Op.EQ, kind), Compare("holder", Op.EQ, _holder(key)))))
        rows = [
            (kind, _holder(key), start[0], _text(start[1]), type_, end[0], _text(end[1]), weight)
            for (kind, key), (start, type_, end, weight) in edges
            if self._node(start) and self._node(end)
        ]
        if rows:
            self._inner.insert_many(DRAWN.layout, rows, OnConflict.ERROR)

    def delete(self, layout: Any, where: Any) -> Any:
        touched = self._inner.delete(layout, where)
        for one in touched:
            parts = [And((Compare("holder_kind", Op.EQ, layout.name), Compare("holder", Op.EQ, _holder(one.key))))]
            if len(one.key) == 1:
                at = _text(one.key[0])
                parts += [
                    And((Compare(f"{side}_kind", Op.EQ, layout.name), Compare(side, Op.EQ, at)))
                    for side in ("source", "target")
                ]
            self._drop(Or(tuple(parts)))
        return touched

    def _drop(self, where: Any) -> None:
        self._inner.delete(DRAWN.layout, where)

    def _node(self, node: Any) -> bool:
        return self._inner.get(LAYOUTS[node[0]], (node[1],)) is not None


LAYOUTS: dict[str, Any] = {}


def _holder(key: Iterable[Any]) -> str:
    return "\x1f".join(_text(part) for part in key)


def _edge(row: Any) -> Edge:
    return Edge((row[2], _value(row[3])), row[4], (row[5], _value(row[6])), row[7])


class GraphBackend(CutBackend):
    """SQLite that claims the Graph power."""

    def __init__(self, inner: Any) -> None:
        super().__init__(inner, Cuts())
        self.capabilities = inner.capabilities.but({Capability.GRAPH: Supported()})
        with inner.write() as session:
            if "drawn" not in session.layouts():
                session.apply([CreateLayout(DRAWN.layout)])

    def read(self) -> Any:
        return GraphSession(self._inner.read())

    def snapshot(self) -> Any:
        return GraphSession(self._inner.snapshot())

    def write(self) -> Any:
        return GraphSession(self._inner.write())


def with_graph(store: Store) -> None:
    """Let the projection, which nobody has opened yet, keep edges as such."""
    target = store.projection.target
    connect = target._connect
    LAYOUTS.update({name: kind.layout for name, kind in target.kinds.items()})
    target._connect = lambda: GraphBackend(connect())


# Work ------------------------------------------------------------------------------------------------------------


def play(store: Store, seed: int, steps: int, keys: int = 12) -> None:
    """Random work on the graph: puts, updates and deletions, alone and in transactions, some of which are undone."""
    chance = random.Random(seed)
    for _ in range(steps):
        undone = chance.random() < 0.1
        try:
            with store.transaction():
                for _ in range(chance.choice((1, 1, 1, 2, 5))):
                    one_change(store, chance, keys)
                if undone:
                    _undo()
        except _Undone:
            continue
        except StoreError as error:
            if error.retryable:
                raise


class _Undone(Exception):
    pass


def _undo() -> None:
    raise _Undone


def one_change(store: Store, chance: random.Random, keys: int) -> None:
    """One change, of whatever; what is refused is part of the game."""
    key = f"k{chance.randrange(keys)}"
    other = f"k{chance.randrange(keys)}"
    maybe = other if chance.random() < 0.7 else None

    def there(kind: str, key: str | None) -> str | None:
        return key if key is not None and store.records(kind).find(key) is not None else None

    match chance.randrange(12):
        case 0:
            store.owners.put(Owner(key=key, name=f"n{chance.random()}"))
        case 1:
            store.locations.put(Location(key=key, parent=there("location", maybe)))
        case 2:
            store.groups.put(Group(key=key))
        case 3 | 4 | 5:
            owner, place = there("owner", maybe), there("location", maybe)
            store.devices.put(Device(key=key, owner=owner, location=place, name=f"d{chance.randrange(99)}"))
        case 6 | 7:
            kind = chance.choice(("device", "device", "owner", "location", "device_group"))
            if there(kind, key):
                try:
                    with store.transaction():
                        store.records(kind).delete(key)
                except iotstore.StillReferenced:
                    pass
        case 8 if there("device", key) and there("device_group", other):
            store.records("membership").put(iotstore.Membership(device=key, group=other))
        case 9 if there("device", key) and there("device", other):
            store.records("contact").put(Contact(device=key, peer=other))
        case 10:
            store.alerts.raise_(iotstore.Alert(device=key, kind="k", title="t"))
        case 11:
            store.records("relation").put(
                Relation(
                    source_kind="device", source=key, type="NEAR", target_kind="location", target=other, weight=2.5
                )
            )
        case _:
            if there("device", key):
                store.records("device").update(key, name=f"u{chance.randrange(99)}", location=there("location", maybe))


# Looking ---------------------------------------------------------------------------------------------------------


def contents(store: Store, *, projection: bool) -> dict[str, list[Record]]:
    """Every record of the graph's kinds, by kind, read without the code that compares."""
    target = store.projection.target
    engine = target.engine if projection else store._engine
    found = {}
    for name in target.kinds:
        kind = engine.kinds[name]
        with engine.reading() as session:
            rows = session.select(kind.layout, Select(order=tuple(Order(key) for key in kind.keys)))
        found[name] = [engine.codec(kind).decode(row) for row in rows]
    return found


def expected_edges(store: Store) -> list[tuple[Any, ...]]:
    """Every edge that the primary's records hold, with its holder, whose nodes exist."""
    engine = store._engine
    here = contents(store, projection=False)
    nodes = {(name, getattr(one, engine.kinds[name].keys[0])) for name in engine.graph.nodes for one in here[name]}
    found = []
    for kind in holders(engine):
        codec, read = engine.codec(kind), edges_of(engine, kind)
        for one in here[kind.name]:
            row = codec.encode(one, getattr(one, "version", 0), 0) if kind.generated is None else None
            edges = read(row) if row is not None else _of_generated(engine, kind, one)
            key = tuple(getattr(one, name) for name in kind.keys)
            found += [(kind.name, key, *edge) for edge in edges if edge.source in nodes and edge.target in nodes]
    return sorted(found, key=repr)


def _of_generated(engine: Any, kind: Any, record: Any) -> list[Edge]:
    with engine.reading() as session:
        row = session.get(kind.layout, tuple(getattr(record, name) for name in kind.keys))
    return edges_of(engine, kind)(row)


def drawn_edges(store: Store) -> list[tuple[Any, ...]]:
    """Every edge that the projection keeps as such, with its holder."""
    engine = store.projection.target.engine
    with engine.reading() as session:
        assert isinstance(session, GraphReader)
        held = [one for chunk in session.edges(None, 100) for one in chunk]
    groups = [holder for holder, _ in groupby(held, key=lambda one: one.holder)]
    assert groups == sorted(groups)
    return sorted(((*one.holder, *one.edge) for one in held), key=repr)


def assert_equal(store: Store) -> None:
    """The projection holds what the primary holds: records by records, edge by edge."""
    assert contents(store, projection=True) == contents(store, projection=False)
    if store.projection.target.graph:
        assert drawn_edges(store) == expected_edges(store)


def open_composed(primary: str, target: str, **options: Any) -> Store:
    """A composed store that feeds its projection only when it is told to."""
    return iotstore.open(primary, relationships=target, **{"projector": False, **options})
