"""Locks of a distributed store: on the coordinator, which every writer goes through.

A small kind has a copy on every machine, and what keeps the copies alike is that changes of one record happen in one
order everywhere. Citus would lock the whole table for that, on a worker, and every table that it points to. Here a
transaction that changes records of a small kind holds the kind, and who points to a record holds that record; both
on the coordinator, where a deadlock is found in a second and the option lock_timeout is kept.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final
from zlib import crc32

from iotstore.backend import Key
from iotstore_postgres._citus import MARKER
from iotstore_postgres._conversions import Int8Array

#: One writer at a time: held until the transaction ends. The parameter is schema and table.
OWN: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 2))::text"
#: For those who point to records, and for who is about to delete them. In the order of the numbers, which all keep.
HOLD: Final = "SELECT pg_advisory_xact_lock_shared(hashtextextended($1, 3) # b)::text FROM unnest($2::bigint[]) AS b"
RELEASED: Final = HOLD.replace("_shared", "")
# So few that no number of records fills the server's table of locks. Two that share a number wait for each other.
_NUMBERS: Final = 256
#: Writers of points hold their series: Citus goes to several machines at once, so two writers could wait for each other
#: on two of them. The parameters are the schema and the numbers, in order.
HOLD_SERIES: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 4) # b)::text FROM unnest($2::bigint[]) AS b"
EVERY_SERIES: Final = Int8Array(range(_NUMBERS))

#: A snapshot holds the partitions, and who drops some has them alone. Not by a lock of the table itself, which asks the
#: workers, and so would begin the snapshot there too soon.
HOLD_PARTITIONS: Final = "LOCK TABLE iotstore_partitions IN ACCESS SHARE MODE"
DROP_PARTITIONS: Final = "LOCK TABLE iotstore_partitions IN ACCESS EXCLUSIVE MODE"
#: A commit on several machines happens on one after the other. Who commits holds this until all have done it, ...
COMMITTING: Final = f"LOCK TABLE {MARKER} IN SHARE MODE"
#: ... and who takes a snapshot sees to it, for as long as it takes to begin on each machine, that nobody is in between.
#: Locks of a savepoint that is undone are given back; what the transaction sees stays.
SEEING: Final = (
    # One connection for each machine: a second one would see another state.
    "SET LOCAL citus.max_adaptive_executor_pool_size = 1",
    "SAVEPOINT gate",
    f"LOCK TABLE {MARKER} IN ROW EXCLUSIVE MODE",
    "SELECT 1 FROM iotstore_latest LIMIT 1",  # asks every shard
    "ROLLBACK TO gate",
    "RELEASE gate",
)


def numbers(keys: Iterable[Key]) -> Int8Array:
    """The numbers of the locks of these records, each once and in order."""
    return Int8Array(sorted({crc32(repr(tuple(key)).encode()) % _NUMBERS for key in keys}))


def numbers_of_series(series: Iterable[int]) -> Int8Array:
    """The numbers of the locks of these series, each once and in order."""
    return Int8Array(sorted({one % _NUMBERS for one in series}))
