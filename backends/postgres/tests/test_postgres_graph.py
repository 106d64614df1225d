"""Questions about the graph get the same answers from PostgreSQL as from SQLite, and their lookups use indexes."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

import iotstore
from iotstore import Alert, Connection, Contact, Device, Group, Location, Owner, Store, ThreatPattern

NOON = datetime(2025, 6, 16, 12, tzinfo=UTC)
SIZE = 300


def fill(store: Store) -> None:
    """Devices of some owners in nested locations that talk to each other, some of whose alerts look like patterns."""
    chance = random.Random(11)
    store.owners.add_many([Owner(key=f"o{number}") for number in range(5)])
    store.locations.add_many(
        [Location(key=f"l{number:02}", parent=f"l{number // 2:02}" if number else None) for number in range(20)]
    )
    store.groups.add_many([Group(key=f"g{number}") for number in range(4)])
    keys = [f"d{number:03}" for number in range(SIZE)]
    store.devices.add_many(
        [
            Device(
                key=key,
                ip=f"10.0.{number // 250}.{number % 250}",
                owner=f"o{chance.randrange(5)}",
                location=f"l{chance.randrange(20):02}",
                active=chance.random() < 0.9,
            )
            for number, key in enumerate(keys)
        ]
    )
    for key in keys[::10]:
        store.groups.add_device(f"g{chance.randrange(4)}", key)
    pairs = {(chance.choice(keys), chance.choice(keys)) for _ in range(3 * SIZE)}
    store.records("contact").add_many([Contact(device=a, peer=b) for a, b in sorted(pairs) if a != b])
    store.connections.add_many([Connection(device="d000", time=NOON, destination="10.0.0.7")])
    store.patterns.add_many([ThreatPattern(key=key) for key in ("mirai", "torii")])
    for key in keys[::20]:
        alert = store.alerts.raise_(Alert(kind="scan", title="Port scan", device=key, time=NOON))
        store.patterns.match(alert.id, chance.choice(["mirai", "torii"]), weight=chance.random())
    for a, b in sorted(pairs)[::5]:
        store.relationships.relate(("device", a), "FEEDS", ("device", b), weight=chance.randrange(8) / 4)
    for key in keys[5::50]:
        store.devices.delete(key)


@pytest.fixture
def stores(url: str, schema: str) -> Iterator[tuple[Store, Store]]:
    """The same on PostgreSQL and on SQLite."""
    with iotstore.open(url, schema=schema) as one, iotstore.open("sqlite://:memory:") as other:
        for store in (one, other):
            fill(store)
        yield one, other


def test_every_question_has_the_same_answer_as_on_sqlite(stores: tuple[Store, Store]) -> None:
    def answers(store: Store) -> dict[str, Any]:
        graph = store.relationships
        first, last = ("device", "d000"), ("device", "d299")
        return {
            "of": graph.of(first),
            "neighbours": graph.neighbours(first, hops=3),
            "outgoing": graph.neighbours(("owner", "o1"), hops=2, direction="out", types=["OWNS", "GENERATED"]),
            "subgraph": graph.subgraph([first, last], hops=1),
            "paths": graph.paths(first, last, length=4, types=["CONNECTED_TO", "FEEDS"]),
            "shortest": graph.shortest_path(("threat_pattern", "mirai"), ("device_group", "g0")),
            "weighted": graph.shortest_path(first, last, types=["CONNECTED_TO", "FEEDS"], weighted=True),
            "cycles": graph.cycles(types="FEEDS", length=5, limit=10_000),
            "components": graph.components(types="FEEDS"),
            "blast": graph.blast_radius("d000", hops=2),
            "devices": graph.devices_at("l01"),
            "alerts": graph.alerts_by_pattern(NOON),
            "communities": graph.communities(types="FEEDS"),
            "degree": graph.centrality("degree"),
            "betweenness": graph.centrality("betweenness", types="FEEDS"),
            "pagerank": graph.centrality("pagerank"),
        }

    one, other = (answers(store) for store in stores)
    for name, answer in one.items():
        assert answer == other[name], name
        assert answer, name


def test_the_edges_at_some_nodes_are_found_through_indexes(stores: tuple[Store, Store]) -> None:
    store, _ = stores
    store.admin.optimise()
    found = store.explain(lambda one: one.relationships.neighbours(("device", "d000")))

    contacts = ["\n".join(one.plan) for one in found if '"contact"' in one.statement]
    assert len(contacts) == 2
    for plan in contacts:
        assert "Index" in plan
        assert "Seq Scan on contact" not in plan
