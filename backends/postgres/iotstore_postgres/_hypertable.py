"""Turning a store's points into a hypertable of TimescaleDB, in one transaction."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from typing import Final, NamedTuple

import psycopg

from iotstore.backend import Busy, ConfigurationError, EngineError, NotAllowed, Settings
from iotstore_postgres import _chunks, _policies, _schema, _summaries, _swap
from iotstore_postgres._edition import OWNER, Server, Wanted, left_out, numbers, set_policies, written
from iotstore_postgres._errors import translating
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import ALL, COLUMNS, HOLD
from iotstore_postgres._scratch import Connection, Run, ask, connect_to, runner, told

__all__ = ["CHUNK", "Done", "Wanted", "setup"]

#: How much time a chunk holds where nothing else is said.
CHUNK: Final = timedelta(days=7)
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=3650)
#: The least TimescaleDB: it has ``by_range``.
_MINIMUM: Final = (2, 13)
_MICROSECOND: Final = timedelta(microseconds=1)
_PATIENCE: Final = "30s"
#: The table while it is emptied.
_OLD: Final = "iotstore_points_plain"
#: Of the table whose place is taken: what others than its owner may do with it.
_GRANTS: Final = (
    "SELECT format('GRANT %s ON iotstore_points TO %s%s', a.privilege_type,"
    " CASE a.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_catalog.pg_get_userbyid(a.grantee)) END,"
    " CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
    " FROM pg_catalog.pg_class AS c CROSS JOIN LATERAL aclexplode(c.relacl) AS a"
    " WHERE c.oid = 'iotstore_points'::regclass AND a.grantee <> c.relowner ORDER BY 1"
)
_COUNTS: Final = f"SELECT (SELECT count(*) FROM {_OLD}), (SELECT count(*) FROM {ALL})"  # noqa: S608 - constants
_NOW: Final = (
    "CREATE OR REPLACE FUNCTION iotstore_now() RETURNS bigint LANGUAGE sql STABLE"
    " AS 'SELECT (extract(epoch FROM pg_catalog.now()) * 1000000)::bigint'"
)


class Done(NamedTuple):
    """What was done, or in a dry run would be: every statement, a sentence, more about policies, and what was asked for
    in vain."""

    statements: tuple[str, ...]
    summary: str
    policies: tuple[str, ...]
    left_out: tuple[str, ...]


def setup(settings: Settings, wanted: Wanted, *, force: bool, dry_run: bool) -> Done:
    """Make the points of a store a hypertable; where they are one, give it the interval and policies that are wanted.

    Nothing is changed by a dry run, nor by an error. Without *force* a store that is open elsewhere is Busy.
    """
    _policies.checked("compress after", wanted.compress_after)
    _policies.checked("retain", wanted.retain)
    _summaries.checked(wanted.materialize)
    if wanted.chunk is not None and not _SHORTEST <= wanted.chunk <= _LONGEST:
        raise ConfigurationError(f"a chunk can't hold {wanted.chunk}", hint="give it from one minute to ten years")
    schema = _swap.schema_of(settings)
    with closing(connect_to(settings)) as connection:
        _schema.prepare(connection, schema, create=False)
        with translating():
            ask(connection, f"SET search_path = {quoted(schema)}")
            server = _found(connection)
            statements: list[str] = []
            run = runner(connection, statements, dry_run=dry_run)
            with connection.transaction():
                plain = _chunks.interval(connection) is None
                if plain:
                    _hold(run, settings, schema, force=force)
                summary = _change(connection, server, wanted.chunk, run)
                told_more, afterwards = set_policies(connection, server, wanted, run, plain=plain)
            if not statements:
                summary = f"nothing to do: {summary}"
            else:
                statements[:] = [f"SET search_path = {quoted(schema)}", "BEGIN", *statements, "COMMIT"]
                for text in [*([f"ANALYZE {ALL}"] if plain else []), *afterwards]:
                    run(text)
    return Done(tuple(statements), summary, tuple(told_more), tuple(left_out(server, wanted)))


def _found(connection: Connection) -> Server:
    found = told(connection, "SELECT extversion FROM pg_catalog.pg_extension WHERE extname = 'timescaledb'")
    if found is None:
        offered = told(
            connection, "SELECT default_version FROM pg_catalog.pg_available_extensions WHERE name = 'timescaledb'"
        )
        if offered is None:
            raise NotAllowed(
                "this server has no TimescaleDB; nothing was changed",
                hint="install it on the server's machine, or go on without it: the answers are the same",
            )
        raise NotAllowed(
            f"the database {connection.info.dbname} has no extension timescaledb; nothing was changed",
            hint="let a superuser run in it: CREATE EXTENSION timescaledb WITH SCHEMA public",
        )
    if numbers(found) < _MINIMUM:
        raise NotAllowed(f"TimescaleDB {found} is too old; nothing was changed", hint="update it to 2.13 or newer")
    return Server(
        told(connection, _chunks.FUNCTIONS),
        told(connection, "SELECT pg_catalog.current_setting('timescaledb.license')"),
        found,
    )


def _hold(run: Run, settings: Settings, schema: str, *, force: bool) -> None:
    """From here on nobody else changes the schema, makes a partition, or looks at a point."""
    name = "'" + schema.replace("'", "''") + "'"
    try:
        run("SET LOCAL lock_timeout = '3s'")  # a server notices a moment later that a store was closed
        if not force:
            run(f"SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || {name}, 1))")
    except psycopg.errors.LockNotAvailable as error:
        raise Busy(
            f"{settings.display} is open in another process or store",
            hint="close it there; or use --force, then its users wait meanwhile",
        ) from error
    try:
        run(f"SET LOCAL lock_timeout = '{_PATIENCE}'")
        run(f"SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || {name}, 0))")
        run(HOLD)
        run(f"LOCK TABLE {ALL} IN ACCESS EXCLUSIVE MODE")
        run("SET LOCAL lock_timeout = 0")
    except psycopg.errors.LockNotAvailable as error:
        raise Busy(
            f"{settings.display} is in use: a transaction or a snapshot holds its points",
            hint="try again when it has ended; nothing was changed",
        ) from error


def _change(connection: Connection, server: Server, chunk: timedelta | None, run: Run) -> str:
    """Run what is necessary, and say in a sentence what that was."""
    width = (chunk or CHUNK) // _MICROSECOND
    interval = _chunks.interval(connection)
    if interval is not None:
        if chunk is None or interval == width:
            return f"the points are in a hypertable with chunks of {written(interval)}"
        run(f"SELECT {server.functions}.set_chunk_time_interval('{ALL}', {width})")
        return f"new chunks hold {written(width)}, instead of {written(interval)}; those that are there stay"
    owner, grants = told(connection, OWNER), [row[0] for row in ask(connection, _GRANTS)]
    run(f"ALTER TABLE {ALL} RENAME TO {_OLD}")
    run(f"ALTER INDEX {ALL}_pkey RENAME TO {_OLD}_pkey")
    run(f"CREATE TABLE {ALL} ({COLUMNS}, PRIMARY KEY (series, time))")
    run(_NOW)
    run(
        f"SELECT {server.functions}.create_hypertable('{ALL}', {server.functions}.by_range('time', {width}),"
        " create_default_indexes => false)"
    )
    run(f"SELECT {server.functions}.set_integer_now_func('{ALL}', 'iotstore_now')")
    for text in (f"ALTER TABLE {ALL} OWNER TO {owner}", f"ALTER FUNCTION iotstore_now() OWNER TO {owner}", *grants):
        run(text)
    run(f"INSERT INTO {ALL} SELECT * FROM {_OLD}")  # noqa: S608 - constants
    count = 0
    for before, count in run(_COUNTS):  # none in a dry run
        if before != count:
            raise EngineError(f"of {before} points {count} are in the hypertable; nothing was changed")
    run(f"DROP TABLE {_OLD}")
    return f"{count} points are in a hypertable now, with chunks of {written(width)}"
