"""Bulk writes to Neo4j: `python benchmarks/bulk_nodes.py [--rows N] [--pairs N]`.

Batches of new nodes go through a session of the backend, and by hand through the driver: the same UNWIND, which looks
each key up and creates what is missing, of such rows in a transaction, with the same constraint. The sides take turns;
what counts is the median of the ratios. The library takes its turn to write and locks readers out of its commit beside
it, and tells which keys were there. The exit code is 1 when it has less than 0.9 of the speed by hand. The server is
that of IOTSTORE_TEST_NEO4J.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from time import perf_counter
from urllib.parse import unquote, urlsplit

import neo4j

from iotstore.backend import Column, CreateLayout, Layout, OnConflict, Settings, Type
from iotstore_neo4j import harness as places
from iotstore_neo4j._cypher import spoken
from iotstore_neo4j.store import Neo4jBackend

BAR = 0.9
FLOW = Layout(
    "flow",
    (
        Column("id", Type.INT),
        Column("time", Type.TIME),
        Column("device", Type.TEXT, max_length=60),
        Column("address", Type.TEXT, nullable=True, max_length=60),
        Column("port", Type.INT, nullable=True),
        Column("sent", Type.INT),
        Column("score", Type.REAL, nullable=True),
        Column("processed", Type.BOOL),
    ),
    ("id",),
)
TEXT = (
    "UNWIND $rows AS r OPTIONAL MATCH (o:`{prefix}_flow` {{id: r[0]}})"
    " FOREACH (_ IN CASE WHEN o IS NULL THEN [1] ELSE [] END | CREATE (:`{prefix}_flow` {{id: r[0], time: r[1],"
    " device: r[2], address: r[3], port: r[4], sent: r[5], score: r[6], processed: r[7]}}))"
    " WITH r, o WHERE o IS NOT NULL RETURN r[0]"
)
Rows = list[tuple[object, ...]]


def main(arguments: Sequence[str]) -> int:
    """Measure, print, and say by the exit code whether the bar holds."""
    parser = argparse.ArgumentParser(
        prog="python benchmarks/bulk_nodes.py", description=(__doc__ or "").partition("\n")[2]
    )
    parser.add_argument("--rows", type=int, default=10_000, help="nodes in a batch, each in a transaction (10000)")
    parser.add_argument("--pairs", type=int, default=7, help="how many turns each side has (7)")
    asked = parser.parse_args(arguments)
    place = places.harness.fresh()
    try:
        ratios, speed = measure(place, asked.rows, asked.pairs)
    finally:
        if places.harness.drop is not None:
            places.harness.drop(place)
    low, middle, high = statistics.quantiles(ratios, n=4)
    held = middle >= BAR
    print(f"{middle:.2f} of the speed by hand ({low:.2f} to {high:.2f}), {speed:,.0f} nodes a second: bar {BAR}")
    print("the bar holds" if held else "the bar is missed")
    return 0 if held else 1


def measure(place: str, rows: int, pairs: int) -> tuple[list[float], float]:
    """The ratios of the speeds of each pair, and the library's own."""
    parts = urlsplit(places.harness.url(place))
    login = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    host, port = parts.hostname or "localhost", parts.port or 7687
    user, password = login or (None, None)
    settings = Settings(parts.scheme, user, password, ((host, port),), "", "", {"prefix": place})
    with (
        closing(Neo4jBackend.connect(settings)) as backend,
        neo4j.GraphDatabase.driver(f"{parts.scheme}://{host}:{port}", auth=login) as driver,
    ):
        with backend.write() as session:
            session.apply([CreateLayout(FLOW)])

        def library(batch: Rows) -> None:
            with backend.write() as session:
                session.insert_many(FLOW, batch, OnConflict.ERROR)

        def by_hand(batch: Rows) -> None:
            with driver.session(database="neo4j") as session, session.begin_transaction() as transaction:
                transaction.run(spoken(TEXT.format(prefix=place)), rows=[list(row) for row in batch]).consume()
                transaction.commit()

        times = [
            (_timed(library, batch(rows, 2 * n)), _timed(by_hand, batch(rows, 2 * n + 1))) for n in range(pairs + 2)
        ]
    # The first two warm both sides up: the server compiles what it runs often.
    measured = times[2:]
    return [hand / own for own, hand in measured], rows / statistics.median(own for own, _ in measured)


def batch(rows: int, number: int) -> Rows:
    """New rows of one batch."""
    ids = range(number * rows, (number + 1) * rows)
    return [
        (n, n * 1_000_000, f"device-{n % 50}", f"10.0.{n % 250}.7", n % 65_536, n * 3, n / 7, n % 2 == 0) for n in ids
    ]


def _timed(work: Callable[[Rows], None], rows: Rows) -> float:
    start = perf_counter()
    work(rows)
    return perf_counter() - start


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
