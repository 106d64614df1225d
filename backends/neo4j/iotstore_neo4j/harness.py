"""How the contract suite opens stores of this backend: a prefix for each on the server that the suite offers.

A new store makes some seventy indexes, which takes seconds. So a prefix whose store was dropped is used again, by
whoever asks that server next: the next store in it finds them. What a store is has to be found out by the backend all
the same.
"""

from __future__ import annotations

import shutil
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final
from urllib.parse import parse_qsl, unquote, urlsplit
from weakref import WeakValueDictionary

import neo4j

import iotstore
from iotstore import Device, Store
from iotstore_conformance import Harness
from iotstore_conformance.harness import find_harness
from iotstore_conformance.servers import NEO4J_VARIABLE
from iotstore_conformance.servers import neo4j as server
from iotstore_neo4j._cypher import spoken
from iotstore_neo4j._options import DATABASE

# The label is none of a prefix's: no store takes it for its own.
_TAKE: Final = (
    "MATCH (p:IotstoreSuite) WHERE p.free WITH p LIMIT 1 SET p.lock = 0 WITH p WHERE p.free SET p.free = false"
    " RETURN p.name"
)
_MAKE: Final = "CREATE (p:IotstoreSuite {name: $name, free: false})"
_GIVE: Final = "MATCH (p:IotstoreSuite {name: $name}) SET p.free = true"


@contextmanager
def _asking(url: str) -> Iterator[neo4j.Session]:
    parts = urlsplit(url)
    target = f"{parts.scheme}://{parts.hostname}:{parts.port or 7687}"
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    with (
        neo4j.GraphDatabase.driver(target, auth=auth, notifications_min_severity="OFF") as driver,
        driver.session(database=parts.path.strip("/") or DATABASE) as session,
    ):
        yield session


def _fresh() -> str:
    with _asking(server().url) as session:
        for taken in session.run(_TAKE).value():
            return str(taken)
        name = f"suite{uuid.uuid4().hex[:12]}"
        session.run(_MAKE, name=name).consume()
    return name


def _url(place: str) -> str:
    url = server().url
    return f"{url}{'&' if '?' in url else '?'}prefix={place}"


def _drop(place: str) -> None:
    # Migrations that delete take a backup first, which lies in the working directory.
    taken = Path("backups", f"{DATABASE}.{place}")
    shutil.rmtree(taken, ignore_errors=True)
    with suppress(OSError):
        taken.parent.rmdir()
    with _asking(server().url) as session:
        labels = session.run(
            "CALL db.labels() YIELD label WHERE label STARTS WITH $start RETURN label", start=f"{place}_"
        ).value()
        for label in labels:
            quoted = label.replace("`", "``")
            session.run(
                spoken(f"MATCH (n:`{quoted}`) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS")
            ).consume()
        session.run(_GIVE, name=place).consume()


def _foreign(url: str) -> Callable[[], object]:
    """A node of another application under a label that a store uses too."""
    place = dict(parse_qsl(urlsplit(url).query))["prefix"]

    def read() -> object:
        with _asking(url) as session:
            return session.run(
                "MATCH (n) WHERE any(l IN labels(n) WHERE l STARTS WITH $start)"
                " RETURN labels(n), properties(n) ORDER BY elementId(n)",
                start=f"{place}_",
            ).values()

    with _asking(url) as session:
        session.run(spoken(f"CREATE (:`{place}_device` {{theirs: 'kept'}})")).consume()
    return read


def _address(_: str) -> tuple[str, int]:
    parts = urlsplit(server().url)
    return parts.hostname or "localhost", parts.port or 7687


class _Enough(Exception):
    """Raised to take a transaction back."""


def _start(place: str) -> None:
    """Start the server, and return when it answers the store of the place as quickly as it did before.

    A new Java machine compiles what it runs: the first statement of each shape takes it seconds where it is busy, which
    to an impatient store is a server that says nothing.
    """
    server().start()
    with iotstore.open(_url(place), create=False) as store, suppress(_Enough), store.transaction():
        store.devices.add(Device(key="first"))
        store.devices.list()
        raise _Enough


harness = Harness(
    "neo4j",
    fresh=_fresh,
    url=_url,
    drop=_drop,
    address=_address,
    kill=lambda _: server().kill(),
    start=_start,
    server=NEO4J_VARIABLE,
    foreign=_foreign,
)


# Composed stores --------------------------------------------------------------------------------------------------

#: Between the URL of the primary and that of its projection: no URL has one.
BETWEEN: Final = "|"
_one_at_a_time: Final = threading.Lock()


class Awaited:
    """Where questions about the graph are answered: by the projection, once everything that was committed is in it."""

    #: Of each place the handle that feeds its projection: its lease ends when another one begins, and by no clock.
    _feeding: ClassVar[WeakValueDictionary[str, Awaited]] = WeakValueDictionary()

    def __init__(self, store: Store, place: str) -> None:
        self._store = store
        self._place = place
        self._engine = store._engine  # noqa: SLF001 - whether a question is asked inside a transaction
        self._inner = store.relationships._source  # noqa: SLF001 - it stands in this one's place from now on

    @contextmanager
    def opened(self, consistency: Any) -> Iterator[Any]:
        """The edges of one source. Nobody but the primary sees what a transaction has changed."""
        if consistency != "primary" and not self._engine.in_transaction:
            with _one_at_a_time:
                self._catch_up()
        with self._inner.opened(consistency) as edges:
            yield edges

    def _catch_up(self) -> None:
        projection = self._store.projection
        found = projection.status()
        if found.state == "live" and not found.waiting:
            return
        before = self._feeding.get(self._place)
        if before is not None and before is not self:
            before._store.projection.stop()  # noqa: SLF001 - one of its own
        self._feeding[self._place] = self
        if found.state == "rebuild":  # the store was opened with other kinds
            projection.rebuild()
        else:
            projection.sync()
        if projection.status().state != "live":
            raise RuntimeError(f"the projection is {projection.status()}: the primary would answer in its place")


def _composed(name: str) -> Harness:
    """The harness of the backend *name* with Neo4j beside it, which answers whatever is asked about the graph."""

    @cache
    def primary() -> Harness:
        return find_harness(name)

    def place_of(both: str) -> tuple[str, str]:
        one, _, other = both.partition(BETWEEN)
        return one, other

    def make() -> str:
        return f"{primary().fresh()}{BETWEEN}{_fresh()}"

    def pair(place: str) -> str:
        one, other = place_of(place)
        return f"{primary().url(one)}{BETWEEN}{_url(other)}"

    def drop(place: str) -> None:
        one, other = place_of(place)
        _drop(other)
        if (theirs := primary().drop) is not None:
            theirs(one)

    def opened(url: str, **options: Any) -> Store:
        one, other = place_of(url)
        if "relationships" in options:  # a clause that composes by itself: of the second place only the graph counts
            given = place_of(str(options.pop("relationships")))[1]
            return primary().open(one, relationships=given, **options)
        store = primary().open(one, relationships=other or None, projector=False, **options)
        if other:
            store.relationships._source = Awaited(store, url)  # noqa: SLF001 - see there
        return store

    return Harness(f"{name}+neo4j", fresh=make, url=pair, drop=drop, open=opened, server=NEO4J_VARIABLE)


over_sqlite: Final = _composed("sqlite")
over_postgresql: Final = _composed("postgresql")
