"""Relations between records: those that records say by themselves, and those that somebody wrote."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import pytest

from iotstore import (
    Alert,
    BatchRejected,
    Connection,
    Device,
    Group,
    InvalidValue,
    Kind,
    Location,
    Node,
    NotFound,
    OnDelete,
    Owner,
    Real,
    Relates,
    Relation,
    Relationship,
    Text,
    ThreatPattern,
    Tracked,
    UnknownReference,
)
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later

_HARD = ("cam", "CAM", "\U0001f600", "\uffff", "a'; --", "%_", "e\u0301", "1")


def _found(stage: Stage, kind: str, key: str | int, **options: Any) -> list[tuple[object, str, object]]:
    """The relations of a record, as key, type and key."""
    node = Node(kind, key)
    return [(one.source.key, one.type, one.target.key) for one in stage.store.relationships.of(node, **options)]


def _estate(stage: Stage) -> int:
    """Ann's camera in the hall of the house, in a group, with an alert, whose id it gives."""
    store = stage.store
    store.owners.add(Owner(key="ann"))
    store.locations.add(Location(key="house"))
    store.locations.add(Location(key="hall", parent="house"))
    store.devices.add(Device(key="cam", owner="ann", location="hall"))
    store.groups.add(Group(key="cams"))
    store.groups.add_device("cams", "cam")
    return store.alerts.raise_(Alert(kind="test", title="t", device="cam", time=NOON)).id


@clause("REL-001", profile="relationships")
def records_say_relations(stage: Stage) -> None:
    """Who owns a device, where it is, its groups and alerts, and what a location lies in MUST be relations by
    themselves, in order, and be others as soon as the record is changed."""
    alert = _estate(stage)
    store = stage.store
    expected = [
        ("cam", "GENERATED", alert),
        ("cam", "LOCATED_IN", "hall"),
        ("cam", "MEMBER_OF", "cams"),
        ("ann", "OWNS", "cam"),
    ]
    assert _found(stage, "device", "cam") == expected
    assert _found(stage, "device", "cam", direction="in") == expected[-1:]
    assert _found(stage, "location", "hall") == [("cam", "LOCATED_IN", "hall"), ("hall", "LOCATED_IN", "house")]
    assert _found(stage, "alert", alert) == expected[:1]
    store.owners.add(Owner(key="bob"))
    store.devices.update("cam", owner="bob", location=None)
    store.groups.remove_device("cams", "cam")
    assert _found(stage, "device", "cam") == [("cam", "GENERATED", alert), ("bob", "OWNS", "cam")]
    assert _found(stage, "owner", "ann") == []


@clause("REL-002", profile="relationships")
def relations_need_both_records(stage: Stage) -> None:
    """A relation MUST be gone as soon as one of its records is, although the other one may still name it, and
    everything that led over it with it."""
    alert = _estate(stage)
    store = stage.store
    ends: list[tuple[str, str | int]] = [("alert", alert), ("owner", "ann"), ("device_group", "cams")]
    assert [len(_found(stage, kind, key)) for kind, key in ends] == [1, 1, 1]
    assert store.relationships.shortest_path(("owner", "ann"), ("alert", alert)) is not None
    store.devices.delete("cam")
    assert store.alerts.get(alert).device == "cam"
    assert [_found(stage, kind, key) for kind, key in ends] == [[], [], []]
    assert _found(stage, "location", "hall") == [("hall", "LOCATED_IN", "house")]
    assert store.relationships.neighbours(("owner", "ann"), hops=5) == []
    assert store.relationships.shortest_path(("owner", "ann"), ("alert", alert)) is None
    assert store.relationships.components() == []
    with pytest.raises(NotFound, match="cam"):
        store.relationships.of(("device", "cam"))


@clause("REL-003", profile="relationships")
def written_relations_come_back(stage: Stage) -> None:
    """A relation that is written MUST come back with its weight to the bit and its properties, for every key;
    written again it has the new ones, and taken back it is gone."""
    ask = stage.store.relationships
    stage.store.devices.add_many([Device(key=key) for key in _HARD])
    expected: list[Relationship] = []
    for n, key in enumerate(_HARD):
        weight = (None, 0.0, 0.1, 5e-324, 1.7e308, 1.0, 2.5, 1e-9)[n]
        properties = {"n": n, "of": [key, None, 1.0, True]} if n % 2 else None
        written = ask.relate(
            ("device", _HARD[-1 - n]), "SIMILAR_TO", ("device", key), weight=weight, properties=properties
        )
        found = ask.relation(("device", _HARD[-1 - n]), "SIMILAR_TO", ("device", key))
        assert found == written
        assert (repr(written.weight), repr(written.properties)) == (repr(weight), repr(properties))
        expected.append(Relationship(Node("device", _HARD[-1 - n]), "SIMILAR_TO", Node("device", key), weight))
    everything = ask.subgraph([("device", key) for key in _HARD], hops=0)
    assert list(everything.relations) == sorted(expected, key=lambda one: one[:3])
    changed = ask.relate(("device", "1"), "SIMILAR_TO", ("device", "cam"), weight=9.0)
    assert (changed.weight, changed.properties) == (9.0, None)
    ask.unrelate(("device", "1"), "SIMILAR_TO", ("device", "cam"))
    assert ask.relation(("device", "1"), "SIMILAR_TO", ("device", "cam")) is None
    assert _found(stage, "device", "1") == [("cam", "SIMILAR_TO", "1")]
    with pytest.raises(NotFound, match=r"."):
        ask.unrelate(("device", "1"), "SIMILAR_TO", ("device", "cam"))


@clause("REL-004", profile="relationships")
def wrong_relations_are_refused(stage: Stage) -> None:
    """A relation to a record that does not exist MUST raise UnknownReference, and one of a wrong type or weight, or
    that comes from records by itself, be refused by name; nothing of it is stored."""
    _estate(stage)
    ask, cam, hall, ghost = stage.store.relationships, ("device", "cam"), ("location", "hall"), ("device", "ghost")
    for source, target, named in ((ghost, cam, "source"), (cam, ghost, "target")):
        with pytest.raises(UnknownReference, match="ghost") as missing:
            ask.relate(source, "FEEDS", target)
        assert missing.value.field == named
    refused: list[tuple[Callable[[], object], str]] = [
        (lambda: ask.relate(("owner", "ann"), "OWNS", cam), "type"),
        (lambda: ask.relate(cam, "LOCATED_IN", hall), "type"),
        (lambda: ask.relate(cam, "MEMBER_OF", ("device_group", "cams")), "type"),
        (lambda: ask.relate(cam, "feeds", hall), "type"),
        (lambda: ask.relate(cam, "F" * 61, hall), "type"),
        (lambda: ask.relate(cam, "FEEDS", hall, weight=-0.5), "weight"),
        (lambda: ask.relate(cam, "FEEDS", hall, weight=float("nan")), "weight"),
        (lambda: ask.relate(cam, "FEEDS", hall, weight=float("inf")), "weight"),
        (lambda: ask.relate(cam, "FEEDS", hall, properties={1: 2}), "properties"),
        (lambda: ask.relate(cam, "FEEDS", ("setting", "x")), "target"),
    ]
    for write, named in refused:
        with pytest.raises(InvalidValue, match=r".") as caught:
            write()
        assert caught.value.field == named
    assert _found(stage, "device", "cam", types="FEEDS") == []
    assert stage.store.records("relation").count() == 0


@clause("REL-005", profile="relationships")
def batches_of_relations_have_receipts(stage: Stage) -> None:
    """A batch of relations MUST be told exactly: stored, repeated (the last one wins) and rejected rows with index
    and field; with one bad row nothing is stored unless bad rows are to be left out, and repeated under its
    idempotency key it changes nothing."""
    stage.devices("a", "b")
    ask = stage.store.relationships

    def row(source: str, target: str, weight: float | None = None, type_: str = "FEEDS") -> Relation:
        return Relation(
            source_kind="device", source=source, type=type_, target_kind="device", target=target, weight=weight
        )

    batch = [row("a", "b", 1.0), row("a", "ghost"), row("a", "b", 2.0), row("b", "a", -1.0), row("b", "a", type_="x")]
    with pytest.raises(BatchRejected, match=r"."):
        ask.relate_many(batch)
    assert stage.store.records("relation").count() == 0
    receipt = ask.relate_many(batch, on_invalid="reject", idempotency_key="k")
    assert (receipt.stored, receipt.duplicates, receipt.replaced) == (1, 1, 0)
    rejected = [(1, "target"), (3, "weight"), (4, "type")]
    assert sorted((bad.index, bad.field) for bad in receipt.rejected) == rejected
    assert [one.weight for one in ask.of(("device", "a"))] == [2.0]
    assert ask.relate_many([row("a", "b", 3.0)]).replaced == 1
    assert ask.relate_many(batch, on_invalid="reject", idempotency_key="k").replayed
    assert [one.weight for one in ask.of(("device", "a"))] == [3.0]


@clause("REL-006", profile="relationships")
def deleting_takes_relations_along(stage: Stage) -> None:
    """Deleting a record MUST delete the relations written to and from it, and no other; a record added again under
    its key has none."""
    alert = _estate(stage)
    store, ask, cam = stage.store, stage.store.relationships, ("device", "cam")
    store.patterns.add(ThreatPattern(key="scan"))
    store.devices.add(Device(key="Cam"))
    ask.relate(cam, "WATCHES", ("location", "house"))
    ask.relate(("device", "Cam"), "WATCHES", cam)
    ask.relate(("device", "Cam"), "WATCHES", ("location", "hall"))
    store.patterns.match(alert, "scan", weight=0.5)
    assert [len(_found(stage, "device", key)) for key in ("cam", "Cam")] == [6, 2]
    store.devices.delete("cam")
    assert store.records("relation").count() == 2
    store.devices.add(Device(key="cam"))
    assert _found(stage, "device", "cam") == [("cam", "GENERATED", alert)]
    assert _found(stage, "device", "Cam") == [("Cam", "WATCHES", "hall")]
    store.records("alert").delete(alert)
    store.locations.delete("hall")
    assert store.records("relation").count() == 0
    assert _found(stage, "threat_pattern", "scan") == []


@clause("REL-007", profile="relationships")
def flows_connect_devices(stage: Stage) -> None:
    """A flow to an address MUST connect its device to the one that has that address when the flow is stored, once
    however many flows there are, and stay so when the address goes to another device."""
    store = stage.store
    store.devices.add_many(
        [
            Device(key="cam", ip="10.0.0.1", last_seen=NOON),
            Device(key="old", ip="10.0.0.2", last_seen=ago(days=1)),
            Device(key="nas", ip="10.0.0.2", last_seen=NOON),
            Device(key="tv", ip="2001:db8::1", last_seen=NOON),
        ]
    )

    def flow(to: str | None, minute: int = 0) -> Connection:
        return Connection(device="cam", time=later(minutes=minute), destination=to)

    store.connections.add_many([flow("10.0.0.2"), flow("10.0.0.2", 1), flow("8.8.8.8"), flow("10.0.0.1"), flow(None)])
    store.connections.add(flow("2001:0DB8:0:0::1"))
    connected = [("cam", "CONNECTED_TO", "nas"), ("cam", "CONNECTED_TO", "tv")]
    assert _found(stage, "device", "cam") == connected
    store.devices.update("nas", ip="10.0.0.9")
    store.devices.update("old", ip=None)
    store.devices.update("tv", ip="10.0.0.2")
    store.connections.add(flow("10.0.0.2", 2))
    assert _found(stage, "device", "cam") == connected
    assert [tuple(one) for one in store.relationships.components()] == [
        tuple(Node("device", key) for key in ("cam", "nas", "tv")),
        (Node("device", "old"),),
    ]
    store.devices.delete("nas")
    assert _found(stage, "device", "cam") == connected[1:]


@clause("REL-008", profile="relationships")
def relations_belong_to_transactions(stage: Stage) -> None:
    """Relations MUST be written, changed and deleted with the transaction they are in: seen inside it at once, and
    gone with all else when it fails."""
    stage.devices("a", "b")
    store, ask, a, b = stage.store, stage.store.relationships, ("device", "a"), ("device", "b")
    ask.relate(a, "FEEDS", b, weight=1.0)

    def fails() -> None:
        with store.transaction():
            store.devices.add(Device(key="c"))
            ask.relate(a, "FEEDS", ("device", "c"))
            ask.relate(a, "FEEDS", b, weight=2.0)
            assert [(one.target.key, one.weight) for one in ask.of(a)] == [("b", 2.0), ("c", None)]
            store.devices.delete("b")
            assert [one.node.key for one in ask.neighbours(a)] == ["c"]
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert [(one.target.key, one.weight) for one in ask.of(a)] == [("b", 1.0)]
    with store.transaction():
        ask.unrelate(a, "FEEDS", b)
        ask.relate(b, "FEEDS", a)
    assert _found(stage, "device", "a") == [("b", "FEEDS", "a")]


class _Pump(Tracked, frozen=True, kw_only=True):
    """A record of an application, which says itself what it feeds and how far that is away."""

    key: Annotated[str, Text(40, min=1)]
    feeds: Annotated[str | None, Text(40, min=1)] = None
    metres: Annotated[float | None, Real(min=0.0)] = None
    watched: Annotated[str | None, Text(120, min=1)] = None


_PUMPS = Kind(
    _Pump,
    "suite_pump",
    "key",
    references={"feeds": ("suite_pump", OnDelete.CLEAR), "watched": ("device", OnDelete.CLEAR)},
    indexes=[["feeds"], ["watched"]],
    relates=[Relates("FEEDS", target="feeds", weight="metres"), Relates("WATCHES", source="watched")],
)


@clause("REL-009", profile="relationships")
def kinds_of_applications_relate(stage: Stage) -> None:
    """What an application's own kind declares MUST be relations like those of the built-in kinds, with the weight
    that a field has, and nobody may write them by hand."""
    store = stage.open(stage.new_place(), kinds=[_PUMPS])
    store.devices.add(Device(key="cam"))
    pumps, ask = store.records(_PUMPS), store.relationships
    pumps.add(_Pump(key="c"))
    pumps.add(_Pump(key="b", feeds="c", metres=2.5))
    pumps.add(_Pump(key="a", feeds="b", watched="cam"))
    found = ask.shortest_path(("device", "cam"), ("suite_pump", "c"), direction="out", weighted=True)
    assert found is not None
    assert [(one.type, one.weight) for one in found.relations] == [("WATCHES", None), ("FEEDS", None), ("FEEDS", 2.5)]
    assert found.weight == 4.5
    with pytest.raises(InvalidValue, match="FEEDS"):
        ask.relate(("suite_pump", "a"), "FEEDS", ("suite_pump", "c"))
    pumps.update("b", feeds=None)
    assert ask.of(("suite_pump", "c")) == []
    store.devices.delete("cam")
    assert [one.type for one in ask.of(("suite_pump", "a"))] == ["FEEDS"]


@clause("REL-010", profile="relationships")
def the_blast_radius_stops_at_blocked_devices(stage: Stage) -> None:
    """The blast radius MUST be the devices that can be got at from one over devices that are active and not
    blocked, the nearest first, and the owners, locations and groups of all of these."""
    store = stage.store
    store.owners.add_many([Owner(key=key) for key in ("ann", "bob", "eve")])
    store.locations.add_many([Location(key="hall"), Location(key="attic")])
    store.groups.add(Group(key="g"))
    keys = [
        ("cam", "ann", "hall"),
        ("nas", "bob", None),
        ("tv", None, "hall"),
        ("far", None, None),
        ("gone", "eve", "attic"),
    ]
    store.devices.add_many([Device(key=key, owner=owner, location=location) for key, owner, location in keys])
    store.groups.add_device("g", "tv")
    ways = [("nas", "cam"), ("nas", "tv"), ("tv", "far"), ("cam", "gone"), ("gone", "far")]
    for source, target in ways:
        store.relationships.relate(("device", source), "CONNECTED_TO", ("device", target))
    store.devices.update("gone", blocked=True)
    ask = store.relationships.blast_radius
    found = ask("cam", hops=3)
    assert [(near.node.key, near.hops) for near in found.devices] == [("nas", 1), ("tv", 2), ("far", 3)]
    assert (found.device, found.owners, found.locations, found.groups) == ("cam", ("ann", "bob"), ("hall",), ("g",))
    assert [near.node.key for near in ask("cam", hops=1).devices] == ["nas"]
    assert ask("cam", direction="out").devices == ()
    store.devices.update("nas", active=False)
    assert ask("cam").devices == ()
    assert [near.node.key for near in ask("gone", hops=1).devices] == ["cam", "far"]


@clause("REL-011", profile="relationships")
def locations_hold_what_lies_inside_them(stage: Stage) -> None:
    """The devices at a location MUST be those in it and, unless only itself is asked about, in every location
    inside it, however deep, by key."""
    store, deep = stage.store, 25
    store.locations.add(Location(key="l0"))
    for n in range(1, deep):
        store.locations.add(Location(key=f"l{n}", parent=f"l{n - 1}"))
    store.locations.add(Location(key="elsewhere"))
    store.devices.add_many([Device(key=f"d{n:02}", location=f"l{n}") for n in range(deep)])
    store.devices.add(Device(key="other", location="elsewhere"))
    for n in (0, 20, deep - 1):
        assert [node.key for node in store.relationships.devices_at(f"l{n}")] == [f"d{m:02}" for m in range(n, deep)]
    assert [node.key for node in store.relationships.devices_at("l3", nested=False)] == ["d03"]
    with pytest.raises(NotFound, match="nowhere"):
        store.relationships.devices_at("nowhere")


@clause("REL-012", profile="relationships")
def alerts_are_counted_by_pattern(stage: Stage) -> None:
    """Alerts by pattern MUST count the alerts of a half-open range that resemble each threat pattern and the
    devices they are about, the most alerts first, then by pattern, patterns without any left out."""
    stage.devices("a", "b")
    store = stage.store
    for key in ("scan", "worm", "none", "bot"):
        store.patterns.add(ThreatPattern(key=key))
    rows = [("a", 0, ["scan"]), ("a", 1, ["scan", "worm"]), ("b", 2, ["scan"]), (None, 3, ["bot"]), ("b", 60, ["worm"])]
    for device, minute, patterns in rows:
        alert = store.alerts.raise_(Alert(kind="test", title="t", device=device, time=later(minutes=minute)))
        for pattern in patterns:
            store.patterns.match(alert.id, pattern)
    ask = store.relationships.alerts_by_pattern
    assert [tuple(one) for one in ask()] == [("scan", 3, 2), ("worm", 2, 2), ("bot", 1, 0)]
    assert [tuple(one) for one in ask(NOON, later(hours=1))] == [("scan", 3, 2), ("bot", 1, 0), ("worm", 1, 1)]
    assert [tuple(one) for one in ask(later(minutes=2), later(minutes=3))] == [("scan", 1, 1)]
    assert ask(later(days=1)) == []
