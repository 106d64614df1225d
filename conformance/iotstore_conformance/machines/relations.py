"""Relations between records, with transactions and savepoints, against the model."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from iotstore import Device, GraphPath, Group, Node, Owner, Receipt
from iotstore_conformance.machines.nesting import NestingMachine
from iotstore_conformance.machines.running import outcome
from iotstore_conformance.model_estate import Ends, EstateModel, as_relation, is_allowed
from iotstore_conformance.model_graph import Direction, Way
from iotstore_conformance.stage import Stage

# Few keys, so that relations meet; engines that compare in UTF-16 or fold case order them wrongly.
_DEVICES: Final = ("a", "A", "\uffff", "\U0001f600")
_OTHERS: Final = ("a", "b")
_TYPES: Final = ("FEEDS", "WATCHES", "OWNS", "MEMBER_OF")
_MANY: Final = 100_000

_devices = st.sampled_from(_DEVICES)
_owners = st.none() | st.sampled_from(_OTHERS)
_nodes = st.sampled_from([
    *(Node("device", key) for key in _DEVICES),
    *(Node("device", key) for key in _DEVICES),  # twice as often as the others
    *(Node(kind, key) for kind in ("owner", "device_group") for key in _OTHERS),
])  # fmt: skip
_written = st.sampled_from(["FEEDS", "FEEDS", "FEEDS", "WATCHES", "WATCHES", "OWNS", "feeds"])
_ends: st.SearchStrategy[Ends] = st.tuples(_nodes, _written, _nodes)
# Weights whose sums are exact in any order, and one that is refused.
_weights = st.none() | st.sampled_from([0.0, 0.25, 1.0, 3.0, 0.5, -1.0])
_properties = st.sampled_from([None, {"n": 1}, {"n": 1.0}, [True, None, "\U0001f600"]])
_types = st.none() | st.lists(st.sampled_from(_TYPES), min_size=1, max_size=3, unique=True)
_directions: st.SearchStrategy[Direction] = st.sampled_from(["out", "in", "both"])


class RelationMachine(NestingMachine):
    """One store, one model, the same calls; after every step they hold the same graph."""

    def __init__(self, stage: Stage) -> None:
        self.model = EstateModel()
        super().__init__(stage.open(stage.new_place()), (self.model,))
        self.ask = self.store.relationships
        # The record that was related last: it is asked about after every step.
        self.touched = Node("device", "a")
        # Whether the last step did nothing but ask.
        self.asked = False
        self._begin_with()

    def _begin_with(self) -> None:
        """Records and relations that are there from the first step on, a loop and a way back among them."""
        for key in _DEVICES[:3]:
            self.store.devices.add(Device(key=key))
            self.model.add_device(key, None)
        for kind in ("owner", "device_group"):
            self._add(kind, "a")
            self.model.add(kind, "a")
        a, b, c = (Node("device", key) for key in _DEVICES[:3])
        first: list[tuple[Ends, float | None]] = [
            ((a, "FEEDS", b), 0.25),
            ((b, "FEEDS", a), None),
            ((a, "WATCHES", a), 1.0),
            ((c, "FEEDS", Node("owner", "a")), 3.0),
            ((b, "WATCHES", c), 0.5),
        ]
        self.ask.relate_many([as_relation(ends, weight, None) for ends, weight in first])
        self.model.relate_many([(ends, weight, None) for ends, weight in first], on_invalid="raise")

    def same(self, work: Callable[[], Any], expected: Callable[[], Any], *, answer: bool = False) -> None:
        """Do both and demand the same error, and with *answer* the same answer."""
        found, wanted = self.told(work), outcome(expected)
        assert found[0] is wanted[0], (found, wanted)
        if answer:
            assert found[1] == wanted[1]

    @rule(kind=st.sampled_from(["owner", "device_group"]), key=st.sampled_from(_OTHERS))
    def add_other(self, kind: str, key: str) -> None:
        """Add an owner or a group."""
        self.same(lambda: self._add(kind, key), lambda: self.model.add(kind, key))

    def _add(self, kind: str, key: str) -> None:
        if kind == "owner":
            self.store.owners.add(Owner(key=key))
        else:
            self.store.groups.add(Group(key=key))

    @rule(key=_devices, owner=_owners)
    def add_device(self, key: str, owner: str | None) -> None:
        """Add a device, maybe somebody's."""
        if self.model.has(Node("device", key)):
            owner = None  # a known key and an unknown owner: which error comes first is open
        self.same(
            lambda: self.store.devices.add(Device(key=key, owner=owner)), lambda: self.model.add_device(key, owner)
        )

    @rule(key=_devices, owner=_owners)
    def give(self, key: str, owner: str | None) -> None:
        """Change whose a device is."""
        if not self.model.has(Node("device", key)):
            owner = None  # as above
        self.same(lambda: self.store.devices.update(key, owner=owner), lambda: self.model.give(key, owner))

    @rule(group=st.sampled_from(_OTHERS), device=_devices, stays=st.booleans())
    def belong(self, group: str, device: str, stays: bool) -> None:
        """Put a device into a group, or take it out."""
        if stays:
            self.same(
                lambda: self.store.groups.add_device(group, device), lambda: self.model.join(group, device), answer=True
            )
        else:
            self.same(lambda: self.store.groups.remove_device(group, device), lambda: self.model.leave(group, device))

    @rule(node=_nodes)
    def delete(self, node: Node) -> None:
        """Delete a record, and with it what is written of it."""
        self.same(lambda: self.store.records(node.kind).delete(node.key), lambda: self.model.delete(node))

    @rule(ends=_ends, weight=_weights, properties=_properties, back=st.booleans())
    def relate(self, ends: Ends, weight: float | None, properties: Any, back: bool) -> None:
        """Write a relation, new or known, or one that leads back from where the last one led."""
        if back and self.model.written:
            *_, (source, type_, target) = self.model.written
            ends = (target, type_, source)
        self.touched = ends[0]
        if self.model.dangles(ends) and not is_allowed(ends, weight):
            return  # which error comes first is open
        self.same(
            lambda: self.ask.relate(*ends, weight=weight, properties=properties),
            lambda: self.model.relate(ends, weight, properties),
        )

    @rule(
        rows=st.lists(st.tuples(_ends, _weights, _properties), max_size=6),
        on_invalid=st.sampled_from(["raise", "reject"]),
    )
    def relate_many(self, rows: list[tuple[Ends, float | None, Any]], on_invalid: Any) -> None:
        """Write a batch."""
        self.same(
            lambda: _counts(self.ask.relate_many([as_relation(*row) for row in rows], on_invalid=on_invalid)),
            lambda: _counts(self.model.relate_many(rows, on_invalid=on_invalid)),
            answer=True,
        )

    @rule(ends=_ends, number=st.integers(0, 30))
    def unrelate(self, ends: Ends, number: int) -> None:
        """Take a relation back: mostly one that is there."""
        if number % 5 and self.model.written:
            ends = sorted(self.model.written)[number % len(self.model.written)]
        self.same(lambda: self.ask.unrelate(*ends), lambda: self.model.unrelate(ends))

    @rule(start=_nodes, hops=st.integers(1, 3), types=_types, direction=_directions)
    def look_around(self, start: Node, hops: int, types: list[str] | None, direction: Direction) -> None:
        """Ask for neighbours, relations and the graph around a record."""
        self.asked = True
        asked: dict[str, Any] = {"types": types, "direction": direction}

        def wanted() -> Any:
            graph = self.model.around(start)
            graph = graph if types is None else graph.of(types)
            nodes, between = graph.around([start], direction, hops)
            return graph.neighbours(start, direction, hops), graph.at(start, direction), nodes, between

        def found() -> Any:
            near = self.ask.neighbours(start, hops=hops, **asked)
            part = self.ask.subgraph([start], hops=hops, **asked)
            return [tuple(one) for one in near], self.ask.of(start, **asked), list(part.nodes), list(part.relations)

        self.same(found, wanted, answer=True)

    @rule(start=_nodes, end=_nodes, types=_types, direction=_directions, length=st.integers(1, 3))
    def find_ways(self, start: Node, end: Node, types: list[str] | None, direction: Direction, length: int) -> None:
        """Ask for all ways, the shortest and the lightest from one record to another."""
        self.asked = True
        asked: dict[str, Any] = {"types": types, "direction": direction}

        def wanted() -> Any:
            graph = self.model.around(start, end)
            graph = graph if types is None else graph.of(types)
            ways = graph.paths(start, end, direction, length)
            shortest = [graph.shortest(start, end, direction, weighted=weighted) for weighted in (False, True)]
            return ways, shortest

        def found() -> Any:
            ways = self.ask.paths(start, end, length=length, limit=_MANY, **asked)
            shortest = [self.ask.shortest_path(start, end, weighted=weighted, **asked) for weighted in (False, True)]
            return [_plain(way) for way in ways], [_plain(way) for way in shortest]

        self.same(found, wanted, answer=True)

    @rule(types=st.lists(st.sampled_from(_TYPES[:2]), min_size=1, max_size=2, unique=True), length=st.integers(1, 3))
    def gather(self, types: list[str], length: int) -> None:
        """Ask for cycles, and which devices hang together."""
        self.asked = True
        cycles = self.ask.cycles(length=length, types=types, limit=_MANY)
        assert [_plain(way) for way in cycles] == self.model.graph().of(types).cycles(length)
        components = [list(nodes) for nodes in self.ask.components(types=types)]
        assert components == self.model.between_devices(types).components()

    @invariant()
    def holds_the_same(self) -> None:
        """After a change the whole graph is that of the model, and what was written has its weight and properties."""
        if self.asked:
            self.asked = False
            return
        graph = self.model.graph()
        if graph.nodes:
            nodes, relations = graph.around(graph.nodes, "both", 0)
            found = self.ask.subgraph(graph.nodes, hops=0)
            assert (list(found.nodes), list(found.relations)) == (nodes, relations)
        self.same(
            lambda: self.ask.of(self.touched), lambda: self.model.around(self.touched).at(self.touched), answer=True
        )
        written = {
            (Node(one.source_kind, one.source), one.type, Node(one.target_kind, one.target)): (
                one.weight,
                one.properties,
            )
            for one in self.store.records("relation").list()
        }
        assert written == self.model.written
        # Equal is not enough: 1, 1.0 and true are three values.
        assert {ends: repr(said) for ends, said in written.items()} == {
            ends: repr(said) for ends, said in self.model.written.items()
        }


def _plain(found: GraphPath | None) -> Way | None:
    return None if found is None else (found.nodes, found.relations)


def _counts(receipt: Receipt) -> tuple[int, int, int, list[int]]:
    return receipt.stored, receipt.duplicates, receipt.replaced, sorted(row.index for row in receipt.rejected)
