"""What an application asks of the graph of a store, and the answers it gets."""

import random
import sys
from datetime import UTC, datetime, timedelta

import pytest

from iotstore import (
    Alert,
    ConfigurationError,
    Connection,
    Contact,
    Device,
    InvalidValue,
    Kind,
    LimitExceeded,
    Location,
    Node,
    NotFound,
    Owner,
    ThreatPattern,
    Tracked,
    field,
)

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)
CAM, HUB, LAMP, TV = (("device", key) for key in ("cam", "hub", "lamp", "tv"))


def talk(store, *pairs):
    """Flows from one device to the address of another."""
    addresses = {device.key: device.ip for device in store.devices.list()}
    store.connections.add_many([Connection(device=a, time=NOW, destination=addresses[b]) for a, b in pairs])


def test_the_relations_of_a_record_come_by_themselves_in_order(house):
    found = house.relationships.of(CAM)

    assert [(one.source, one.type, one.target) for one in found] == [
        (Node("device", "cam"), "GENERATED", Node("alert", 1)),
        (Node("device", "cam"), "LOCATED_IN", Node("location", "hall")),
        (Node("owner", "ann"), "OWNS", Node("device", "cam")),
    ]
    assert [one.target for one in house.relationships.of(TV, types="MEMBER_OF")] == [Node("device_group", "screens")]


def test_neighbours_know_how_far_they_are_and_the_nearest_come_first(house):
    found = house.relationships.neighbours(CAM, hops=2)

    assert [(one.hops, *one.node) for one in found] == [
        (1, "alert", 1),
        (1, "location", "hall"),
        (1, "owner", "ann"),
        (2, "device", "hub"),
        (2, "device", "lamp"),
        (2, "location", "house"),
    ]


@pytest.mark.parametrize(
    ("direction", "expected"),
    [("out", ["alert", "location"]), ("in", ["owner"]), ("both", ["alert", "location", "owner"])],
)
def test_relations_are_followed_in_the_direction_that_is_asked_for(house, direction, expected):
    assert [one.node.kind for one in house.relationships.neighbours(CAM, direction=direction)] == expected


def test_types_of_relations_can_be_named(house):
    assert [one.node for one in house.relationships.neighbours(CAM, types=["OWNS", "LOCATED_IN"])] == [
        Node("location", "hall"),
        Node("owner", "ann"),
    ]
    assert house.relationships.neighbours(CAM, types="FEEDS") == []


def test_the_shortest_path_leads_over_any_kind_of_record_and_is_the_least_of_equals(house):
    house.patterns.match(1, "mirai", weight=0.5)
    found = house.relationships.shortest_path(("device_group", "screens"), ("threat_pattern", "mirai"))

    assert found is not None
    assert [str(node.key) for node in found.nodes] == [
        "screens", "tv", "kitchen", "lamp", "ann", "cam", "1", "mirai",
    ]  # fmt: skip
    assert found.length == 7
    assert found.weight == 6.5
    assert house.relationships.shortest_path(CAM, CAM).nodes == (Node("device", "cam"),)
    assert house.relationships.shortest_path(CAM, HUB, types="FEEDS") is None
    assert house.relationships.shortest_path(("device_group", "screens"), ("threat_pattern", "mirai"), hops=6) is None


def test_a_longer_way_can_weigh_less(house):
    relate = house.relationships.relate
    relate(CAM, "CONNECTED_TO", TV, weight=9.0)
    relate(CAM, "CONNECTED_TO", HUB, weight=1.0)
    relate(HUB, "CONNECTED_TO", TV, weight=2.5)

    direct = house.relationships.shortest_path(CAM, TV, types="CONNECTED_TO")
    light = house.relationships.shortest_path(CAM, TV, types="CONNECTED_TO", weighted=True)
    assert direct.nodes == (Node(*CAM), Node(*TV))
    assert light.nodes == (Node(*CAM), Node(*HUB), Node(*TV))
    assert light.weight == 3.5


def test_all_paths_come_the_shortest_first(house):
    found = house.relationships.paths(CAM, LAMP, length=5)

    assert [[str(node.key) for node in one.nodes] for one in found] == [
        ["cam", "ann", "lamp"],
        ["cam", "hall", "hub", "ann", "lamp"],  # a device comes before a location
        ["cam", "hall", "house", "kitchen", "lamp"],
    ]


def test_a_subgraph_has_the_relations_between_its_records(house):
    talk(house, ("cam", "hub"))
    found = house.relationships.subgraph([CAM, HUB, ("owner", "ann")], hops=0)

    assert found.nodes == (Node(*CAM), Node(*HUB), Node("owner", "ann"))
    assert [(one.source.key, one.type, one.target.key) for one in found.relations] == [
        ("cam", "CONNECTED_TO", "hub"),
        ("ann", "OWNS", "cam"),
        ("ann", "OWNS", "hub"),
    ]
    assert Node("device", "lamp") in house.relationships.subgraph([CAM], hops=2).nodes


def test_cycles_go_along_the_relations_and_begin_at_their_least_record(house):
    talk(house, ("hub", "tv"), ("tv", "cam"), ("cam", "hub"), ("cam", "tv"), ("lamp", "cam"))

    found = house.relationships.cycles(types="CONNECTED_TO")
    assert [[node.key for node in one.nodes] for one in found] == [["cam", "tv", "cam"], ["cam", "hub", "tv", "cam"]]
    assert len(house.relationships.cycles(types="CONNECTED_TO", length=2)) == 1


def test_components_are_of_active_devices_and_the_largest_comes_first(house):
    talk(house, ("lamp", "tv"), ("tv", "hub"))
    assert house.relationships.components() == [
        (Node(*HUB), Node(*LAMP), Node(*TV)),
        (Node(*CAM),),
    ]

    house.devices.activate("tv", active=False)
    assert house.relationships.components() == [(Node(*CAM),), (Node(*HUB),), (Node(*LAMP),)]


def test_the_blast_radius_stops_at_devices_that_are_blocked_or_inactive(house):
    talk(house, ("cam", "hub"), ("hub", "lamp"), ("tv", "lamp"))

    found = house.relationships.blast_radius("cam")
    assert [(one.node.key, one.hops) for one in found.devices] == [("hub", 1), ("lamp", 2), ("tv", 3)]
    assert (found.owners, found.locations, found.groups) == (("ann",), ("hall", "kitchen"), ("screens",))
    assert [one.node.key for one in house.relationships.blast_radius("cam", hops=1).devices] == ["hub"]

    house.devices.block("hub")
    found = house.relationships.blast_radius("cam")
    assert (found.devices, found.locations, found.groups) == ((), ("hall",), ())
    # What is asked about has fallen, whatever it was before.
    assert [one.node.key for one in house.relationships.blast_radius("hub").devices] == ["cam", "lamp", "tv"]


def test_devices_of_a_location_are_those_of_the_locations_inside_it_too(house):
    house.locations.put(Location(key="drawer", parent="kitchen"))
    house.devices.put(Device(key="torch", location="drawer"))

    assert [node.key for node in house.relationships.devices_at("house")] == ["cam", "hub", "lamp", "torch", "tv"]
    assert [node.key for node in house.relationships.devices_at("kitchen", nested=False)] == ["lamp", "tv"]
    with pytest.raises(InvalidValue, match="is no location"):
        house.relationships.devices_at(Node("device", "cam"))


def test_alerts_are_counted_by_the_pattern_they_resemble_in_a_window(house, clock):
    house.patterns.put(ThreatPattern(key="idle"))
    house.patterns.put(ThreatPattern(key="torii", name="Torii"))
    clock.advance(timedelta(days=1))
    for key in ("cam", "tv", "tv"):
        alert = house.alerts.raise_(Alert(kind="scan", title="Port scan", device=key))
        house.patterns.match(alert.id, "torii", weight=0.9, properties={"ports": [23]})
        house.patterns.match(alert.id, "mirai")
    house.patterns.match(1, "mirai")

    assert house.relationships.alerts_by_pattern() == [("mirai", 4, 2), ("torii", 3, 2)]
    assert house.relationships.alerts_by_pattern(NOW, NOW + timedelta(hours=1)) == [("mirai", 1, 1)]
    assert house.relationships.alerts_by_pattern(NOW + timedelta(hours=1)) == [("mirai", 3, 2), ("torii", 3, 2)]
    assert house.patterns.list(field("name").contains("tor"))[0].key == "torii"


def test_communities_and_centrality_are_the_same_every_time(house):
    talk(house, ("cam", "hub"), ("hub", "cam"), ("lamp", "tv"), ("tv", "lamp"), ("hub", "tv"))

    assert house.relationships.communities() == [(Node(*CAM), Node(*HUB)), (Node(*LAMP), Node(*TV))]
    degrees = house.relationships.centrality(types="CONNECTED_TO")
    assert [(one.node.key, one.score) for one in degrees] == [
        ("hub", pytest.approx(2 / 3)),
        ("tv", pytest.approx(2 / 3)),
        ("cam", pytest.approx(1 / 3)),
        ("lamp", pytest.approx(1 / 3)),
    ]
    between = house.relationships.centrality("betweenness", types="CONNECTED_TO", limit=2)
    assert [(one.node.key, one.score) for one in between] == [
        ("hub", pytest.approx(2 / 3)),
        ("tv", pytest.approx(2 / 3)),
    ]
    ranks = house.relationships.centrality("pagerank", types="CONNECTED_TO")
    assert sum(one.score for one in ranks) == pytest.approx(1.0)
    assert house.relationships.centrality("pagerank", types="CONNECTED_TO") == ranks


def test_a_relation_is_there_as_long_as_both_its_records_are(house):
    assert house.relationships.neighbours(("alert", 1)) == [(Node("device", "cam"), 1)]

    house.devices.delete("cam")  # the alert stays: it is evidence
    assert house.alerts.get(1).device == "cam"
    assert house.relationships.neighbours(("alert", 1)) == []
    assert Node("device", "cam") not in [one.node for one in house.relationships.centrality()]


def test_a_question_inside_a_transaction_sees_what_it_has_written(house):
    with house.transaction():
        house.devices.put(Device(key="bell", owner="ann"))
        assert ("device", "bell") in [one.node for one in house.relationships.neighbours(("owner", "ann"))]


def test_a_snapshot_answers_from_its_state(house):
    with house.snapshot() as frozen:
        house.devices.put(Device(key="bell", owner="ann"))
        assert len(frozen.relationships.neighbours(("owner", "ann"))) == 3
    assert len(house.relationships.neighbours(("owner", "ann"))) == 4


@pytest.mark.parametrize(
    ("ask", "error", "match"),
    [
        (lambda graph: graph.of(("device", "nobody")), NotFound, "no device with key 'nobody'"),
        (lambda graph: graph.of("cam"), InvalidValue, "'cam' is no node; name one by kind and key"),
        (
            lambda graph: graph.of(("setting", "x")),
            InvalidValue,
            "'setting' is no kind of nodes; there are alert, device",
        ),
        (lambda graph: graph.of(("alert", "one")), InvalidValue, "id: expected an int"),
        (lambda graph: graph.neighbours(CAM, hops=0), InvalidValue, "hops: 0 is no number from 1 to 10000"),
        (lambda graph: graph.neighbours(CAM, limit=True), InvalidValue, "limit: True is no number of answers"),
        (lambda graph: graph.neighbours(CAM, types="owns"), InvalidValue, "'owns' is no type of relations"),
        (lambda graph: graph.neighbours(CAM, types=[]), InvalidValue, "names no type; leave it out"),
        (lambda graph: graph.neighbours(CAM, direction="up"), InvalidValue, "'up' is none of out, in, both"),
        (lambda graph: graph.neighbours(CAM, consistency="soon"), InvalidValue, "'soon' is none of"),
        (lambda graph: graph.neighbours(CAM, hops=3, limit=2), LimitExceeded, "the answer has more than 2 nodes"),
        (lambda graph: graph.of(CAM, limit=2), LimitExceeded, "the answer has more than 2 relations"),
        (lambda graph: graph.within(edges=2).neighbours(CAM, hops=3), LimitExceeded, r"within\(edges=\.\.\.\)"),
        (lambda graph: graph.within(nodes=2).components(), LimitExceeded, "look at more than 2 nodes"),
        (lambda graph: graph.within(steps=0), InvalidValue, "0 is no number of steps"),
        (lambda graph: graph.blast_radius(("owner", "ann")), InvalidValue, "is no device"),
        (lambda graph: graph.blast_radius("nobody"), NotFound, "no device with key 'nobody'"),
        (lambda graph: graph.centrality("fame"), InvalidValue, "'fame' is none of degree, betweenness, pagerank"),
    ],
)
def test_a_question_that_makes_no_sense_is_refused_with_what_to_do(house, ask, error, match):
    with pytest.raises(error, match=match):
        ask(house.relationships)


def test_without_the_library_analytics_say_what_to_install(house, monkeypatch):
    monkeypatch.setitem(sys.modules, "networkx", None)

    with pytest.raises(
        ConfigurationError, match=r"needs networkx, which can't be imported; run: pip install 'iotstore\[graph\]'"
    ):
        house.relationships.communities()


@pytest.mark.parametrize("consistency", [None, "projected", "read-your-writes", "primary"])
def test_without_a_projection_every_answer_is_that_of_the_primary(house, consistency):
    assert len(house.relationships.of(CAM, consistency=consistency)) == 3


def test_a_large_random_graph_is_answered_within_its_bounds(open_store):
    """10,000 devices and 50,000 contacts: a path and a neighbourhood look at their own surroundings only."""
    store, chance = open_store(), random.Random(7)
    store.devices.add_many([Device(key=f"d{number:04}") for number in range(10_000)])
    pairs = {(chance.randrange(10_000), chance.randrange(10_000)) for _ in range(50_000)}
    store.records("contact").add_many([Contact(device=f"d{a:04}", peer=f"d{b:04}") for a, b in sorted(pairs) if a != b])

    near = store.relationships.within(edges=20_000)
    path = near.shortest_path(("device", "d0001"), ("device", "d9999"))
    assert path is not None
    assert 3 <= path.length <= 8
    assert 100 < len(near.neighbours(("device", "d0001"), hops=3)) < 5_000
    with pytest.raises(LimitExceeded, match="more than 20000 edges"):
        near.components()
    assert len(store.relationships.components()[0]) > 9_900


class Pump(Tracked, frozen=True, kw_only=True):
    """A kind of an application."""

    number: int


def test_a_kind_of_an_application_with_numbers_as_keys_is_a_node_like_any_other(open_store):
    store = open_store(kinds=[Kind(Pump, "pump", "number", relates=())])
    store.owners.put(Owner(key="ann"))
    for number in (9, 10, -3):
        store.records("pump").add(Pump(number=number))
        store.relationships.relate(("owner", "ann"), "USES", ("pump", number))

    assert [one.node.key for one in store.relationships.neighbours(("owner", "ann"))] == [-3, 9, 10]
    store.records("pump").delete(9)
    assert [one.node.key for one in store.relationships.neighbours(("owner", "ann"))] == [-3, 10]
    assert store.records("relation").count() == 2
