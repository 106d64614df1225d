"""Citus: one coordinator and several workers. What of a store lies where, and how an open store finds out.

A store that ``iotstore citus setup`` has distributed holds a table that says so, on the coordinator like all that is
private to this package but points and latest values. A store that was not set up is a plain one, extension or not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import psycopg

from iotstore.backend import BackendUnavailable, Capability, NotAllowed, NotSupported, Supported
from iotstore_postgres._options import quoted

#: The table that says that a store is distributed, and over how many shards.
MARKER: Final = "iotstore_citus"
#: The kind whose records are distributed, by the column that comes second. All other kinds are small, and are on every
#: machine: an alert may belong to no device, and nothing can be distributed by what may be missing.
FLOWS: Final = ("connection", "device")
#: The shards of a table where nothing else is said; as many as Citus itself makes.
SHARDS: Final = 32
#: The least Citus. Older ones keep no metadata on the workers by themselves, and neither LOCK nor TRUNCATE their way.
MINIMUM: Final = (12, 0)

_EXTENSION: Final = "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'citus'"
_OFFERED: Final = "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'citus'"
_NODES: Final = (
    "SELECT (SELECT groupid FROM pg_catalog.pg_dist_local_group), count(*) FILTER (WHERE groupid = 0),"
    " count(*) FILTER (WHERE groupid > 0 AND isactive AND noderole = 'primary' AND shouldhaveshards)"
    " FROM pg_catalog.pg_dist_node"
)
#: What each session of a distributed store sets while it connects.
SESSION: Final[Mapping[str, str]] = {
    # One connection for each machine: what points to each other can be changed in one transaction.
    "citus.multi_shard_modify_mode": "sequential",
    # Else a change locks the table, and all that it points to, on the first worker, where no lock_timeout holds.
    # What keeps copies alike, and two writers from waiting for each other, are locks of this package, on the
    # coordinator (_citus_locks.py).
    "citus.all_modifications_commutative": "on",
    # SET LOCAL lock_timeout reaches the workers.
    "citus.propagate_set_commands": "local",
}

_NATIVE: Final = NotSupported(
    "the store is distributed over the workers of a Citus cluster, and a dump of the coordinator holds no row of them",
    "take a portable backup, which holds everything",
)
#: What a distributed store lacks.
LACKS: Final[Mapping[Capability, Supported | NotSupported]] = {
    Capability.NATIVE_BACKUP: _NATIVE,
    Capability.NATIVE_RESTORE: _NATIVE,
}


class Cluster(NamedTuple):
    """What was found."""

    #: of the extension
    version: str
    #: machines that hold shards
    workers: int
    #: of each distributed table
    shards: int

    @property
    def engine(self) -> str:
        """What keeps the store."""
        return f"Citus {self.version} with {self.workers} workers"

    @property
    def described(self) -> str:
        """For people."""
        return f"Citus {self.version}, {self.workers} workers, points and flows in {self.shards} shards each"


def found(connection: psycopg.Connection[Any], schema: str) -> Cluster | None:
    """The cluster over which the store in *schema* is distributed; None where it is a plain one."""
    table = f"{quoted(schema)}.{MARKER}"
    if connection.execute("SELECT to_regclass($1)", (table,)).fetchone() in {None, (None,)}:
        return None
    row = connection.execute(f"SELECT shards FROM {table}".encode()).fetchone()  # noqa: S608 - quoted
    version = _told(connection, _EXTENSION)
    if version is None or row is None:
        raise BackendUnavailable(
            f"the store in schema {schema!r} is distributed over a Citus cluster, and this database has no Citus",
            hint="connect to the coordinator of its cluster",
        )
    return Cluster(version, _nodes(connection)[2], int(row[0]))


def check_unchanged(connection: psycopg.Connection[Any], schema: str, known: Cluster | None) -> None:
    """Refuse a connection to a store that was distributed, or put back, since it was opened."""
    if (found(connection, schema) is None) != (known is None):
        raise NotAllowed(
            "the store was distributed over a Citus cluster, or restored, since it was opened", hint="open it again"
        )


def require(connection: psycopg.Connection[Any]) -> str:
    """The version of a Citus that a store can be distributed by; NotAllowed, naming the remedy, where there is none."""
    version: str | None = _told(connection, _EXTENSION)
    if version is None:
        if _told(connection, _OFFERED) is None:
            raise NotAllowed(
                "this server has no Citus; nothing was changed",
                hint="install it on the machines of a cluster, or go on without it: the answers are the same",
            )
        raise NotAllowed(
            f"the database {connection.info.dbname} has no extension citus; nothing was changed",
            hint="let a superuser run in it, and in the same database of every worker: CREATE EXTENSION citus",
        )
    if tuple(int(part) for part in re.findall(r"\d+", version)[:2]) < MINIMUM:
        raise NotAllowed(f"Citus {version} is too old; nothing was changed", hint="update it to 12.0 or newer")
    group, coordinators, workers = _nodes(connection)
    if group != 0:
        raise NotAllowed("this is a worker of the cluster; nothing was changed", hint="connect to its coordinator")
    if not coordinators:
        raise NotAllowed(
            "the coordinator is not among the nodes of its cluster; nothing was changed",
            hint="run on it: SELECT citus_set_coordinator_host('its name', 5432)",
        )
    if not workers:
        raise NotAllowed(
            "the cluster has no worker that takes shards; nothing was changed",
            hint="run on the coordinator: SELECT citus_add_node('name of a worker', 5432)",
        )
    return version


def _told(connection: psycopg.Connection[Any], text: str) -> Any:
    row = connection.execute(text.encode()).fetchone()
    return None if row is None else row[0]


def _nodes(connection: psycopg.Connection[Any]) -> tuple[int, int, int]:
    group, coordinators, workers = connection.execute(_NODES.encode()).fetchone() or (0, 0, 0)
    return int(group), int(coordinators), int(workers)
