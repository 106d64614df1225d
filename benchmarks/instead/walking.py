"""Neighbours and shortest paths: the library, a recursive query by hand on the same engine, and nx."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import ExitStack
from itertools import pairwise
from random import Random
from typing import ClassVar, Final, TypeAlias

import networkx as nx
from sidebyside import workload

import iotstore
from instead.turns import Found, ask, check_answers
from instead.with_driver import WithDriver, WithPsycopg, WithSqlite3
from iotstore import ManualClock, Relation

Edges: TypeAlias = Sequence[tuple[str, str]]

NEEDS: Final = frozenset({"networkx"})
TALKS: Final = "CONNECTED_TO"
_FAR: Final = 12  # no way is longer
_DEGREE: Final = 3  # relations that begin at a device
#: What is asked, in the words of the page.
TITLES: Final = {
    "neighbours": "Devices within two relations of one",
    "path": "Shortest way from one device to another",
}


def edges(devices: int) -> list[tuple[str, str]]:
    """Who talks to whom: each device with the next one and with some by chance, each pair once."""
    random, keys = Random(workload.SEED), workload.device_keys(devices)
    found = {(key, other) for key, other in zip(keys, [*keys[1:], keys[0]], strict=True)}
    for key in keys:
        found.update((key, random.choice(keys)) for _ in range(_DEGREE - 1))
    return sorted({pair for pair in found if pair[0] != pair[1] and (pair[1], pair[0]) not in found})


class Walker(ABC):
    """One way to keep relations between devices and to walk along them, in both directions."""

    name: ClassVar[str]

    @abstractmethod
    def fill(self, devices: int, pairs: Edges) -> None:
        """Keep devices, and which ones are related."""

    @abstractmethod
    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """How far each device within so many relations is, the nearest first, then by key; without the one itself."""

    @abstractmethod
    def path(self, start: str, end: str) -> list[str]:
        """The devices of a shortest way."""

    @abstractmethod
    def close(self) -> None:
        """Give back connections and files."""


class WithRelations(Walker):
    """``store.relationships``."""

    name: ClassVar[str] = "iotstore"

    def __init__(self, url: str, at: ManualClock | None = None) -> None:
        self.store = iotstore.open(url, clock=at) if at is not None else iotstore.open(url)

    def fill(self, devices: int, pairs: Edges) -> None:
        """Devices, and relations between them."""
        self.store.devices.put_many(workload.devices(devices))
        self.store.relationships.relate_many(
            Relation(source_kind="device", source=one, type=TALKS, target_kind="device", target=other)
            for one, other in pairs
        )

    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """One call."""
        found = self.store.relationships.neighbours(("device", key), hops=hops, types=TALKS)
        return [(one.hops, str(one.node.key)) for one in found]

    def path(self, start: str, end: str) -> list[str]:
        """One call."""
        found = self.store.relationships.shortest_path(("device", start), ("device", end), types=TALKS)
        return [] if found is None else [str(node.key) for node in found.nodes]

    def close(self) -> None:
        """Close the store."""
        self.store.close()


_TABLE: Final = (
    "CREATE TABLE links (source TEXT REFERENCES devices, target TEXT REFERENCES devices, PRIMARY KEY (source, target))"
)
_WALK: Final = (
    "WITH RECURSIVE reached (node, hops) AS (SELECT CAST(? AS TEXT), 0 UNION"
    " SELECT l.target, r.hops + 1 FROM reached r JOIN links l ON l.source = r.node WHERE r.hops < ?)"
    " SELECT min(hops) AS far, node FROM reached GROUP BY node ORDER BY far, node"
)
_NEXT: Final = "SELECT target FROM links WHERE source = ?"


class WithQuery(Walker):
    """A table that holds each pair both ways, and a recursive query."""

    name: ClassVar[str] = "recursive query by hand"

    def __init__(self, driver: WithDriver) -> None:
        self._driver = driver

    def fill(self, devices: int, pairs: Edges) -> None:
        """Rows."""
        self._driver.fill(workload.devices(devices), [], [])
        self._driver.rows(_TABLE)
        for one, other in pairs:
            self._driver.rows("INSERT INTO links VALUES (?, ?), (?, ?)", one, other, other, one)
        self._driver.rows("ANALYZE")

    def pairs(self) -> Edges:
        """Every pair, read from the table."""
        return [
            (one, other) for one, other in self._driver.rows("SELECT source, target FROM links WHERE source < target")
        ]

    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """What the recursion meets, by its least distance."""
        return [(far, node) for far, node in self._driver.rows(_WALK, key, hops) if node != key]

    def path(self, start: str, end: str) -> list[str]:
        """Distances from the start, deeper and deeper until the end is met; then back, one device nearer each time."""
        for hops in range(1, _FAR):
            far = {node: distance for distance, node in self._driver.rows(_WALK, start, hops)}
            if end in far:
                break
        else:
            return []
        way = [end]
        while way[-1] != start:
            near = far[way[-1]] - 1
            way.append(min(node for (node,) in self._driver.rows(_NEXT, way[-1]) if far.get(node) == near))
        return way[::-1]

    def close(self) -> None:
        """Close the connection."""
        self._driver.close()


class WithNetworkx(Walker):
    """A graph that is loaded from the table for each question, as what is in the database now has to be answered."""

    name: ClassVar[str] = "networkx, loaded each time"

    def __init__(self, table: WithQuery) -> None:
        self._table = table

    def fill(self, devices: int, pairs: Edges) -> None:
        """The table is there."""

    def graph(self) -> nx.Graph[str]:
        """All relations."""
        return nx.Graph(self._table.pairs())

    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """What a search with a cutoff meets."""
        found = nx.single_source_shortest_path_length(self.graph(), key, cutoff=hops)
        return sorted((far, node) for node, far in found.items() if node != key)

    def path(self, start: str, end: str) -> list[str]:
        """Its search from both ends."""
        return list(nx.shortest_path(self.graph(), start, end))

    def close(self) -> None:
        """The table is closed by its owner."""


class WithKeptNetworkx(WithNetworkx):
    """A graph that was loaded once and is kept in memory; what is written later it does not see."""

    name: ClassVar[str] = "networkx, kept in memory"

    def fill(self, devices: int, pairs: Edges) -> None:
        """Load it."""
        super().fill(devices, pairs)
        self._kept = super().graph()

    def graph(self) -> nx.Graph[str]:
        """As it was."""
        return self._kept


def walkers(name: str, library: str, by_hand: str) -> list[Walker]:
    """Everybody who walks on an engine; the library is the first."""
    driver = WithSqlite3(by_hand) if name == "sqlite" else WithPsycopg(by_hand)
    table = WithQuery(driver)
    return [WithRelations(library), table, WithNetworkx(table), WithKeptNetworkx(table)]


def way_length(one: Walker, start: str, end: str, related: Edges) -> int:
    """How long somebody's shortest way is, which must be one; of equal ways any will do."""
    known = {*related, *((target, source) for source, target in related)}
    way = one.path(start, end)
    if any(step not in known for step in pairwise(way)) or (way[0], way[-1]) != (start, end):
        raise RuntimeError(f"path: {one.name} says {way}, which is no way from {start} to {end}")
    return len(way)


def compare(everybody: Sequence[Walker], devices: int, turns: int, seconds: float) -> dict[str, Found]:
    """Seconds of each turn, by question and by walker."""
    start, end = workload.device_keys(devices)[0], workload.device_keys(devices)[devices // 2]
    related = edges(devices)
    found: dict[str, Found] = {}
    with ExitStack() as stack:
        for one in everybody:
            stack.callback(one.close)
            one.fill(devices, related)
        check_answers(everybody, "neighbours", lambda one: one.neighbours(start, 2))
        found["neighbours"] = ask(everybody, lambda one: one.neighbours(start, 2), turns, seconds)
        check_answers(everybody, "path", lambda one: way_length(one, start, end, related))
        found["path"] = ask(everybody, lambda one: one.path(start, end), turns, seconds)
    return found
