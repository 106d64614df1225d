"""Distributing a store over the workers of a Citus cluster, in one transaction."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final, NamedTuple

import psycopg

from iotstore.backend import Busy, ConfigurationError, EngineError, NotAllowed, Settings
from iotstore_postgres import _chunks, _citus, _schema, _swap
from iotstore_postgres._cut_whole import make_whole
from iotstore_postgres._errors import translating
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import ALL, HOLD
from iotstore_postgres._scratch import Connection, Run, ask, connect_to, runner, told

_MOST_SHARDS: Final = 1_024
_PATIENCE: Final = "30s"
# The tables of kinds, and the tables of kinds that each of them points to.
_KINDS: Final = (
    "SELECT c.relname::text, ARRAY(SELECT DISTINCT f.relname::text FROM pg_catalog.pg_constraint k"
    " JOIN pg_catalog.pg_class f ON f.oid = k.confrelid WHERE k.conrelid = c.oid AND k.contype = 'f')"
    " FROM pg_catalog.pg_class c WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p')"
    " AND NOT c.relispartition AND (NOT starts_with(c.relname, 'iotstore_') OR c.relname LIKE '%$') ORDER BY 1"
)
_KEY: Final = (
    "SELECT k.conname::text, ARRAY(SELECT a.attname::text FROM unnest(k.conkey) WITH ORDINALITY AS u(number, place)"
    " JOIN pg_catalog.pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.number ORDER BY u.place)"
    " FROM pg_catalog.pg_constraint k WHERE k.contype = 'p' AND k.conrelid = to_regclass($1)"
)
# Nothing can point to a record on another machine but the core, which checks it as it checks everything.
_POINTING: Final = (
    "SELECT conrelid::regclass::text, quote_ident(conname) FROM pg_catalog.pg_constraint"
    " WHERE contype = 'f' AND confrelid = to_regclass($1) ORDER BY 1, 2"
)
# Those who have the store open hold this lock, and so does whoever is about to ask for it.
_OTHERS: Final = (
    "SELECT count(pg_terminate_backend(l.pid)) FROM pg_catalog.pg_locks AS l,"
    " CAST(hashtextextended('iotstore ' || {0}, 1) AS bigint) AS key"
    " WHERE l.locktype = 'advisory' AND l.objsubid = 1 AND l.pid <> pg_backend_pid()"
    " AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())"
    " AND l.classid = CAST(key >> 32 & 4294967295 AS oid) AND l.objid = CAST(key & 4294967295 AS oid)"
)


class Wanted(NamedTuple):
    """What was asked for; None where nothing was said."""

    shards: int | None = None


class Done(NamedTuple):
    """What was done, or in a dry run would be: every statement, and a sentence."""

    statements: tuple[str, ...]
    summary: str


def setup(settings: Settings, wanted: Wanted, *, force: bool, dry_run: bool) -> Done:
    """Distribute points and flows of a store over the workers, and give every machine a copy of all else.

    Nothing is changed by a dry run, nor by an error. Without *force* a store that is open elsewhere is Busy.
    """
    if wanted.shards is not None and not 1 <= wanted.shards <= _MOST_SHARDS:
        raise ConfigurationError(f"{wanted.shards} shards are not possible", hint=f"give from 1 to {_MOST_SHARDS}")
    schema = _swap.schema_of(settings)
    with closing(connect_to(settings)) as connection:
        _schema.prepare(connection, schema, create=False)
        with translating():
            ask(connection, f"SET search_path = {quoted(schema)}")
            _citus.require(connection)
            cluster = _citus.found(connection, schema)
            if cluster is not None:
                return Done((), _unchanged(cluster, wanted))
            if _chunks.interval(connection) is not None:
                raise NotAllowed(
                    "the points of this store are in a hypertable of TimescaleDB, which Citus can't distribute",
                    hint="copy the store to a plain one with `iotstore copy`, and set that up",
                )
            statements: list[str] = []
            run = runner(connection, statements, dry_run=dry_run)
            with connection.transaction():
                _hold(run, settings, schema, force=force)
                summary = _distribute(connection, wanted.shards or _citus.SHARDS, run)
            statements[:] = [f"SET search_path = {quoted(schema)}", "BEGIN", *statements, "COMMIT"]
    return Done(tuple(statements), summary)


def _unchanged(cluster: _citus.Cluster, wanted: Wanted) -> str:
    if wanted.shards not in {None, cluster.shards}:
        raise NotAllowed(
            f"the store has {cluster.shards} shards already; nothing was changed",
            hint="alter_distributed_table('iotstore_points', shard_count => ...) of Citus makes it another number",
        )
    return f"nothing to do: points and flows are in {cluster.shards} shards on {cluster.workers} workers"


def _hold(run: Run, settings: Settings, schema: str, *, force: bool) -> None:
    """From here on nobody else opens the store, changes its schema, or makes a partition.

    Whoever has it open would go on with the statements of a plain store. So nobody has: with *force* their connections
    are ended, and their next one is told to open the store again.
    """
    name = "'" + schema.replace("'", "''") + "'"
    if force:
        run(_OTHERS.format(name))
    try:
        run("SET LOCAL lock_timeout = '3s'")  # a server notices a moment later that a store was closed
        run(f"SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || {name}, 1))")
        run(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        run(f"SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || {name}, 0))")
        run(HOLD)
        run("SET LOCAL lock_timeout = 0")
    except psycopg.errors.LockNotAvailable as error:
        raise Busy(
            f"{settings.display} is open in another process or store",
            hint="close it there; or use --force, then its users lose their connections and have to open it again",
        ) from error


def _distribute(connection: Connection, shards: int, run: Run) -> str:
    """Run what is necessary, and say in a sentence what that was."""
    was_cut = make_whole(lambda text, *values: ask(connection, text, *values), run)
    kinds = {str(name): frozenset(targets) for name, targets in ask(connection, _KINDS)}
    flows, by = _citus.FLOWS
    tables = [ALL, "iotstore_latest", *sorted(kinds)]
    before = {table: _count(connection, table) for table in tables}
    run(
        "SET LOCAL citus.multi_shard_modify_mode = 'sequential'"
    )  # tables that point to each other can't go in parallel
    for table, name in ask(connection, _POINTING, quoted(flows)):
        run(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
    ordered = in_order({name: targets - {flows} for name, targets in kinds.items() if name != flows})
    for table in ordered:
        run(f"SELECT create_reference_table({_literal(table)})")
    run(f"SELECT create_distributed_table('{ALL}', 'series', shard_count => {shards}, colocate_with => 'none')")
    run(f"SELECT create_distributed_table('iotstore_latest', 'series', colocate_with => '{ALL}')")
    if flows in kinds:
        ((name, columns),) = ask(connection, _KEY, quoted(flows))
        key = ", ".join(quoted(column) for column in (*(one for one in columns if one != was_cut.get(flows)), by))
        run(f"ALTER TABLE {quoted(flows)} DROP CONSTRAINT {quoted(name)}")
        run(f"ALTER TABLE {quoted(flows)} ADD CONSTRAINT {quoted(name)} PRIMARY KEY ({key})")
        run(
            f"SELECT create_distributed_table({_literal(flows)}, '{by}', shard_count => {shards},"
            " colocate_with => 'none')"
        )
    # What was distributed still lies on the coordinator, where nobody sees it.
    for table in tables:
        if before[table]:
            run(f"SELECT truncate_local_data_after_distributing_table({_literal(table)})")
    run(f"CREATE TABLE {_citus.MARKER} (shards int8 NOT NULL)")
    run(f"INSERT INTO {_citus.MARKER} VALUES ({shards})")  # noqa: S608 - a number
    for table in tables:
        _compare(table, before[table], run(f"SELECT count(*) FROM {quoted(table)}"))  # noqa: S608 - quoted
    rows = f"{before[ALL]} points and {before.get(flows, 0)} flows are"
    return f"{rows} in {shards} shards now, and {len(ordered)} small kinds on every machine"


def in_order(pointing: Mapping[str, frozenset[str]]) -> list[str]:
    """The tables such that each comes after those it points to; what points to each other comes by name."""
    ordered: list[str] = []
    while len(ordered) < len(pointing):
        rest = [name for name in sorted(pointing) if name not in ordered]
        free = [name for name in rest if pointing[name].isdisjoint(set(rest) - {name})]
        ordered += free or rest[:1]
    return ordered


def _compare(table: str, before: int, after: list[tuple[Any, ...]]) -> None:
    for (count,) in after:  # none in a dry run
        if count != before:
            raise EngineError(f"of {before} rows of {table} {count} are on the cluster; nothing was changed")


def _count(connection: Connection, table: str) -> int:
    return int(told(connection, f"SELECT count(*) FROM {quoted(table)}"))  # noqa: S608 - quoted


def _literal(table: str) -> str:
    return "'" + quoted(table).replace("'", "''") + "'"
