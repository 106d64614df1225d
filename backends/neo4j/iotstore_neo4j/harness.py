"""How the contract suite opens stores of this backend: a prefix for each on the server that the suite offers.

A new store makes some seventy indexes, which takes seconds. So a prefix whose store was dropped is used again, by
whoever asks that server next: the next store in it finds them. What a store is has to be found out by the backend all
the same.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote, urlsplit

import neo4j

from iotstore_conformance import Harness
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


harness = Harness(
    "neo4j",
    fresh=_fresh,
    url=_url,
    drop=_drop,
    address=_address,
    kill=lambda _: server().kill(),
    start=lambda _: server().start(),
    server=NEO4J_VARIABLE,
    foreign=_foreign,
)
