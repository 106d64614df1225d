"""Points in a hypertable of TimescaleDB: its chunks are there before their points, and go whole.

A chunk that is made by an appending transaction holds back every other transaction that needs a new one until that
transaction is over. So chunks are made like partitions: on a connection of their own, and committed at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from iotstore_postgres._conversions import Int8Array

#: Between the years 1 and 10000 chunks are made ahead of their points.
FIRST: Final = -62_135_596_800_000_000
LAST: Final = 253_402_300_800_000_000
#: The schema that TimescaleDB's functions are in, quoted; no row where the database has no TimescaleDB.
FUNCTIONS: Final = (
    "SELECT quote_ident(n.nspname) FROM pg_catalog.pg_extension AS e"
    " JOIN pg_catalog.pg_namespace AS n ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"
)
#: A row where the points are in partitions of PostgreSQL's own.
PLAIN: Final = "SELECT 1 FROM pg_catalog.pg_class WHERE oid = 'iotstore_points'::regclass AND relkind = 'p'"
_OURS: Final = "hypertable_schema = current_schema() AND hypertable_name = 'iotstore_points'"
_INTERVAL: Final = f"SELECT integer_interval FROM timescaledb_information.dimensions WHERE {_OURS}"  # noqa: S608 - a constant
# The chunk at the end of time holds its last moment too.
_END: Final = 2**63 - 1
#: The chunks that end by a time, and when each does. The one at the end of time never ends.
BEFORE: Final = (
    "SELECT format('%I.%I', chunk_schema, chunk_name), range_end_integer FROM timescaledb_information.chunks"  # noqa: S608 - constants
    f" WHERE {_OURS} AND range_end_integer <= $1 AND range_end_integer < {_END} ORDER BY range_end_integer"
)
_UNCOVERED: Final = (
    "SELECT t.time FROM unnest($1::bigint[]) AS t(time) WHERE NOT EXISTS (SELECT FROM timescaledb_information.chunks"  # noqa: S608 - constants
    f" WHERE {_OURS} AND range_start_integer <= t.time AND (t.time < range_end_integer OR range_end_integer = {_END}))"
)
# No series has this number. Nobody ever sees the point, and its chunk stays.
_NO_SERIES: Final = -(2**62)
_TOUCH: Final = f"INSERT INTO iotstore_points (series, time) SELECT {_NO_SERIES}, unnest($1::bigint[])"
_LEAVE: Final = f"DELETE FROM iotstore_points WHERE series = {_NO_SERIES} AND time = ANY($1::bigint[])"  # noqa: S608 - a constant


def interval(connection: psycopg.Connection[Any]) -> int | None:
    """The width of a new chunk; None if the points are in no hypertable."""
    if connection.execute(FUNCTIONS.encode()).fetchone() is None:
        return None
    found = connection.execute(_INTERVAL.encode()).fetchone()
    return None if found is None else int(found[0])


def make(connection: psycopg.Connection[Any], times: Sequence[int]) -> None:
    """See to it that each of these times has its chunk when this transaction is committed."""
    found = connection.execute(_UNCOVERED.encode(), (Int8Array(times),)).fetchall()
    if found:
        missing = Int8Array(row[0] for row in found)
        connection.execute(_TOUCH.encode(), (missing,))
        connection.execute(_LEAVE.encode(), (missing,))


def drop_text(functions: str) -> str:
    """The statement that drops every chunk that ends by a time; *functions* is the schema of TimescaleDB's."""
    return f"SELECT {functions}.drop_chunks('iotstore_points'::regclass, older_than => $1::bigint)"
