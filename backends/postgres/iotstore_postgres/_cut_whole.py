"""From partitions back to one table: for a cluster, which cuts what it distributes by shards."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

from iotstore_postgres._options import quoted

_THERE: Final = "SELECT to_regclass('iotstore_cuts') IS NOT NULL"
_CUT: Final = (
    "SELECT k.name, k.by, c.conname::text,"
    " ARRAY(SELECT a.attname::text FROM unnest(c.conkey) WITH ORDINALITY AS u(n, at)"
    " JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.conrelid AND a.attnum = u.n ORDER BY u.at)"
    " FROM iotstore_cuts AS k JOIN pg_catalog.pg_constraint AS c"
    " ON c.contype = 'p' AND c.conrelid = to_regclass(quote_ident(k.name)) ORDER BY k.name"
)
_INDEXES: Final = (
    "SELECT replace(pg_catalog.pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') FROM pg_catalog.pg_index"
    " WHERE indrelid = to_regclass($1) AND NOT indisprimary ORDER BY 1"
)
_CONSTRAINTS: Final = (
    "SELECT quote_ident(conname), pg_catalog.pg_get_constraintdef(oid) FROM pg_catalog.pg_constraint"
    " WHERE contype = 'f' AND conrelid = to_regclass($1) ORDER BY 1"
)
_GRANTS: Final = (
    "SELECT format('GRANT %s ON %s TO %s%s', a.privilege_type, $1::text,"
    " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
    " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
    " FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a"
    " WHERE c.oid = to_regclass($1) AND a.grantee <> c.relowner ORDER BY 1"
)
_OLD: Final = "iotstore_in_parts"


def make_whole(ask: Callable[..., Sequence[tuple[Any, ...]]], run: Callable[[str], object]) -> dict[str, str]:
    """Run what makes one table of each that is cut; by which column each was.

    *ask* only looks, *run* changes: where it does not either, what would be run is known all the same. Called inside a
    transaction.
    """
    if not ask(_THERE)[0][0]:
        return {}
    found = ask(_CUT)
    for name, by, key, columns in found:
        table = quoted(name)
        indexes, constraints, grants = ask(_INDEXES, table), ask(_CONSTRAINTS, table), ask(_GRANTS, table)
        run(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
        run(f"ALTER TABLE {table} RENAME TO {_OLD}")
        run(f"CREATE TABLE {table} (LIKE {_OLD} INCLUDING DEFAULTS)")
        run(f"INSERT INTO {table} SELECT * FROM {_OLD}")  # noqa: S608 - quoted
        run(f"DROP TABLE {_OLD}")
        of = ", ".join(quoted(column) for column in columns if column != by)
        run(f"ALTER TABLE {table} ADD CONSTRAINT {quoted(key)} PRIMARY KEY ({of})")
        for constraint, text in constraints:
            run(f"ALTER TABLE {table} ADD CONSTRAINT {constraint} {text}")
        for (text,) in (*indexes, *grants):
            run(text)
    run("DROP TABLE iotstore_cuts, iotstore_ranges")
    return {str(name): str(by) for name, by, _, _ in found}
