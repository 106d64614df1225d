"""What people ask a distributed store about itself, where the coordinator's own numbers would mislead."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from iotstore.backend import Check, Layout, Place
from iotstore_postgres._admin import Asks
from iotstore_postgres._citus import Cluster
from iotstore_postgres._dialect import PostgresDialect
from iotstore_postgres._options import quoted

_WORKERS: Final = (
    "SELECT count(*) FILTER (WHERE isactive), count(*) FROM pg_catalog.pg_dist_node"
    " WHERE groupid > 0 AND noderole = 'primary'"
)
# A table that has partitions takes nothing itself.
_SIZE: Final = (
    "SELECT coalesce(sum(pg_catalog.citus_total_relation_size(part, false)), 0)::int8"
    " FROM (SELECT to_regclass($1) AS part"
    " UNION ALL SELECT inhrelid::regclass FROM pg_catalog.pg_inherits WHERE inhparent = to_regclass($1)) AS parts"
)


def health(session: Asks, cluster: Cluster) -> Check:
    """How many machines are there."""
    ((active, all_of_them),) = session.rows(_WORKERS, ())
    finding = f"Citus {cluster.version}, {active} of {all_of_them} workers are active"
    if active == all_of_them:
        return Check("cluster", "ok", finding)
    return Check("cluster", "warning", f"{finding}; activate the others, or remove them from the cluster")


def verified(checks: Sequence[Check]) -> list[Check]:
    """The findings; the coordinator holds no entry of the indexes of what is on the workers."""
    told = Check("indexes", "warning", "not compared with their tables: those are on the workers")
    return [told if check.name == "indexes" else check for check in checks]


def places(session: Asks, found: Sequence[Place], layouts: Sequence[Layout], dialect: PostgresDialect) -> list[Place]:
    """The same places with their bytes on all machines."""
    tables = [*(dialect.table_name(layout.name) for layout in layouts), "iotstore_points"]
    sizes = [session.rows(_SIZE, (quoted(table),))[0][0] for table in tables]
    return [place._replace(bytes=size) for place, size in zip(found, sizes, strict=True)]
