"""A backend that keeps edges as such answers like the records that hold them."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iotstore
import iotstore.backend
from iotstore import (
    Alert,
    Contact,
    Device,
    EngineError,
    Group,
    Kind,
    LimitExceeded,
    Location,
    OnDelete,
    Owner,
    Relates,
    Relation,
    Text,
    Tracked,
    Unsupported,
)
from iotstore._domains.relationships import Relationships
from iotstore._engine.guard import Guard
from iotstore._engine.powers import graph_reader, graph_writer
from iotstore._graph.bounds import Bounds, Budget
from iotstore._graph.edges import PowerEdges
from iotstore._graph.holding import held_edges, holders
from iotstore._graph.records import RecordEdges
from iotstore._waist.graph import Edge, GraphReader, Held, NodeId
from iotstore._waist.queries import Select


class Kept(GraphReader):
    """Edges as an engine would keep them: a list, filled from what the records hold."""

    def __init__(self, engine: Any) -> None:
        self.held: list[Held] = []
        with engine.reading() as session:
            there = {
                (kind.name, row[kind.layout.key_positions[0]])
                for kind in engine.graph.nodes.values()
                for row in session.select(kind.layout, Select())
            }
            for kind in holders(engine):
                of = held_edges(engine, kind)
                found = [one for row in session.select(kind.layout, Select()) for one in of(row)]
                self.held += [one for one in found if one.edge.source in there and one.edge.target in there]

    def expand(
        self, nodes: Sequence[NodeId], types: Sequence[str] | None, *, outgoing: bool, incoming: bool, limit: int
    ) -> list[Edge]:
        found = [
            edge
            for _, edge in self.held
            if (types is None or edge.type in types)
            and ((outgoing and edge.source in nodes) or (incoming and edge.target in nodes))
        ]
        return found[: limit + 1]

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
        far = dict.fromkeys(nodes, 0)
        for hop in range(1, hops + 1):
            last = [node for node, at in far.items() if at == hop - 1]
            for edge in self.expand(last, types, outgoing=outgoing, incoming=incoming, limit=10**6):
                if outgoing and edge.source in last:
                    far.setdefault(edge.target, hop)
                if incoming and edge.target in last:
                    far.setdefault(edge.source, hop)
        return [(node, at) for node, at in far.items() if at][: limit + 1]

    def edges(self, types: Sequence[str] | None, rows: int) -> Iterator[list[Held]]:
        found = sorted(one for one in self.held if types is None or one.edge.type in types)
        yield from (found[at : at + rows] for at in range(0, len(found), rows))


class FromPower:
    """Edges from what is kept beside the records."""

    def __init__(self, engine: Any) -> None:
        self._engine = engine

    @contextmanager
    def opened(self, consistency: object) -> Iterator[PowerEdges]:  # noqa: ARG002 - there is one answer
        with self._engine.consistent() as session:
            twin = self._engine.bound(session)
            yield PowerEdges(twin, Kept(twin))


class Pipe(Tracked, frozen=True, kw_only=True):
    """A kind of an application, between devices."""

    number: int
    start: Annotated[str | None, Text(120, min=1)] = None
    end: Annotated[str | None, Text(120, min=1)] = None
    length: Annotated[int | None, iotstore.Int(min=0)] = None


PIPES = Kind(
    Pipe,
    "pipe",
    "number",
    references={"start": ("device", OnDelete.KEEP), "end": ("device", OnDelete.CLEAR)},
    indexes=[["start"], ["end"]],
    relates=[Relates("FLOWS_TO", source="start", target="end", weight="length"), Relates("DRAINS", target="end")],
)
DEVICES = [f"d{number}" for number in range(6)]
TYPES = ["OWNS", "LOCATED_IN", "GENERATED", "MEMBER_OF", "CONNECTED_TO", "FLOWS_TO", "DRAINS", "LIKES"]


@st.composite
def filled(draw: Any) -> iotstore.Store:
    """A store with some of everything, and some devices deleted again."""
    store = iotstore.open("sqlite://:memory:", kinds=[PIPES])
    try:
        fill(store, draw)
    except BaseException:  # hypothesis gives up an example in the midst of drawing it
        store.close()
        raise
    return store


def fill(store: iotstore.Store, draw: Any) -> None:
    """Put in what is drawn."""
    device = st.sampled_from(DEVICES)
    owners, places = ["ann", "bob"], ["house", "hall", "room"]
    store.owners.add_many([Owner(key=key) for key in owners])
    for above, place in zip([None, *places], places, strict=False):
        store.locations.put(Location(key=place, parent=above if draw(st.booleans()) else None))
    store.groups.put(Group(key="g"))
    for key in DEVICES:
        owner, place = draw(st.sampled_from([None, *owners])), draw(st.sampled_from([None, *places]))
        store.devices.put(Device(key=key, owner=owner, location=place, active=draw(st.booleans())))
    for key in draw(st.lists(device, max_size=4)):
        store.groups.add_device("g", key)
    for key in draw(st.lists(device, max_size=4)):
        store.alerts.raise_(Alert(kind="k", title="t", device=key))
    pairs = st.lists(st.tuples(device, device), max_size=8)
    store.records("contact").add_many([Contact(device=a, peer=b) for a, b in set(draw(pairs)) if a != b])
    for number, (a, b) in enumerate(draw(pairs), start=-3):
        store.records("pipe").add(Pipe(number=number, start=a, end=b, length=draw(st.none() | st.integers(0, 3))))
    for a, b in draw(pairs):
        kinds = draw(
            st.sampled_from([("device", a, "device", b), ("device", a, "pipe", "-3"), ("pipe", "-2", "device", b)])
        )
        store.records("relation").put(
            Relation(source_kind=kinds[0], source=kinds[1], type="LIKES", target_kind=kinds[2], target=kinds[3])
        )
    for key in set(draw(st.lists(device, max_size=2))):
        store.devices.delete(key)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filled(), st.data())
def test_every_question_is_answered_alike_from_records_and_from_kept_edges(store, data):
    with store:
        engine = store._engine
        records, power = Relationships(engine), Relationships(engine, FromPower(engine))
        types = data.draw(st.none() | st.lists(st.sampled_from(TYPES), min_size=1, max_size=3))
        direction = data.draw(st.sampled_from(["out", "in", "both"]))
        said = {"types": types, "direction": direction}
        left = [device.key for device in store.devices.list()]
        start, end = ("device", left[0]), ("device", left[-1])
        questions = [
            lambda graph: graph.of(start, **said),
            lambda graph: graph.of(("location", "house"), **said),
            lambda graph: graph.neighbours(start, hops=3, **said),
            lambda graph: graph.neighbours(("owner", "ann"), hops=2, **said),
            lambda graph: graph.subgraph([start, end], hops=1, **said),
            lambda graph: graph.paths(start, end, length=3, limit=100_000, **said),
            lambda graph: graph.shortest_path(start, end, **said),
            lambda graph: graph.shortest_path(start, end, weighted=True, **said),
            lambda graph: graph.cycles(types=types, length=4, limit=100_000),
            lambda graph: graph.components(types=types),
            lambda graph: graph.blast_radius(left[0], **said),
            lambda graph: graph.devices_at("house"),
            lambda graph: graph.centrality("pagerank", types=types),
            lambda graph: graph.communities(types=types),
        ]
        for ask in questions:
            assert ask(power) == ask(records)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(filled(), st.data())
def test_an_expansion_finds_each_edge_of_the_whole_once(store, data):
    with store:
        engine = store._engine
        with engine.consistent() as session:
            edges = RecordEdges(engine.bound(session))
            every = sorted((edge[:3], str(edge[3])) for chunk in edges.stream(None) for edge in chunk)
            assert every == sorted((one.edge[:3], str(one.edge[3])) for one in Kept(engine.bound(session)).held)
            left = [("device", device.key) for device in store.devices.list()]
            nodes = data.draw(st.lists(st.sampled_from(left), unique=True))
            for direction in ("out", "in", "both"):
                budget = Budget(Bounds())
                found = edges.expand(nodes, None, direction, budget)
                assert sorted((edge[:3], str(edge[3])) for edge in found) == [
                    one
                    for one in every
                    if (direction != "in" and one[0][0] in nodes) or (direction != "out" and one[0][2] in nodes)
                ]
                assert budget.edges == budget.bounds.edges - len(found)


def test_limits_hold_alike_whoever_answers(house):
    engine = house._engine
    for graph in (Relationships(engine), Relationships(engine, FromPower(engine))):
        with pytest.raises(LimitExceeded, match="more than 2 nodes"):
            graph.neighbours(("device", "cam"), hops=2, limit=2)
        with pytest.raises(LimitExceeded, match="look at more than 2 edges"):
            graph.within(edges=2).of(("device", "cam"))
        assert len(graph.within(edges=3).of(("device", "cam"))) == 3


def test_a_backend_without_the_power_refuses_it_with_its_reason(house):
    backend = house.backend
    with (
        backend.read() as reading,
        pytest.raises(Unsupported, match="sqlite does not support graph: graph questions are"),
    ):
        graph_reader(backend, reading)
    with backend.write() as writing, pytest.raises(Unsupported, match="which needs no such capability"):
        graph_writer(backend, writing)


def test_a_claim_without_the_power_is_an_error_of_the_backend(house, monkeypatch):
    backend = house.backend
    claims = {capability: iotstore.backend.Supported() for capability in iotstore.Capability}
    monkeypatch.setattr(backend, "capabilities", iotstore.backend.Capabilities("sqlite", claims))
    guard = Guard(backend, frozenset())
    with backend.read() as reading:
        for session in (reading, guard.reads(reading)):
            with pytest.raises(EngineError, match="claims graph, but its sessions can't read edges"):
                graph_reader(backend, session)
    with backend.write() as writing:
        for session in (writing, guard.writes(writing)):
            with pytest.raises(EngineError, match="claims graph, but its sessions can't write edges"):
                graph_writer(backend, session)


def test_a_bound_on_edges_holds_where_an_engine_is_asked_for_nodes() -> None:
    with iotstore.open("sqlite://:memory:") as store:
        store.devices.add_many([Device(key=key) for key in DEVICES])
        for leaf in DEVICES[1:]:
            store.relationships.relate(("device", DEVICES[0]), "LIKES", ("device", leaf))
        kept = Relationships(store._engine, FromPower(store._engine))

        assert len(kept.within(edges=5).neighbours(("device", DEVICES[0]))) == 5
        with pytest.raises(LimitExceeded, match="more than 4 edges"):
            kept.within(edges=4).neighbours(("device", DEVICES[0]))
