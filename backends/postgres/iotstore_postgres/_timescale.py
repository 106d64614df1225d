"""Native backups of stores with hypertables: their chunks and TimescaleDB's own tables lie outside of the schema.

So the archive is of the whole database, which has to be the store's alone, and a restore exchanges databases, where it
exchanges schemas for all other stores. TimescaleDB wants to be told before and after, and its tables in their order:
such an archive is not restored in parallel.
"""

from __future__ import annotations

from contextlib import closing, suppress
from typing import Final

import psycopg

from iotstore.backend import BackupError, Busy, NotAllowed, Settings
from iotstore_postgres import _policies, _swap
from iotstore_postgres._errors import DRIVER_ERRORS, translating
from iotstore_postgres._options import quoted
from iotstore_postgres._scratch import Connection, ScratchDatabase, ask, connect_to, told

#: The schemas that hold tables or the like. Schemas and relations that belong to an extension are nobody's.
FILLED: Final = (
    "SELECT DISTINCT n.nspname::text"
    " FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"
    " WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema' AND NOT EXISTS ("
    "SELECT FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'"
    " AND (d.classid = 'pg_catalog.pg_namespace'::regclass AND d.objid = n.oid"
    " OR d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid))"
)
_INSTALLED: Final = "SELECT EXISTS (SELECT FROM pg_catalog.pg_extension WHERE extname = 'timescaledb')"
_OFFERED: Final = "SELECT EXISTS (SELECT FROM pg_catalog.pg_available_extensions WHERE name = 'timescaledb')"
_HYPERTABLES: Final = (
    "SELECT EXISTS (SELECT FROM timescaledb_information.hypertables WHERE hypertable_schema = $1::text)"
)
_STOP: Final = "SELECT _timescaledb_functions.stop_background_workers()"
_START: Final = "SELECT _timescaledb_functions.start_background_workers()"
_OWN_DATABASE: Final = "give the store a database of its own, or use a portable backup"
# Databases that every server has, to stand in while others are renamed.
_ELSEWHERE: Final = ("postgres", "template1")


def has_hypertables(connection: Connection, schema: str) -> bool:
    """Whether a schema has any. BackupError if it has, and shares its database."""
    if not (told(connection, _INSTALLED) and told(connection, _HYPERTABLES, schema)):
        return False
    others = _others(connection, schema)
    if others:
        raise BackupError(
            f"schema {schema} has hypertables, which are backed up with the whole database, and {others[0]} is in it",
            hint=_OWN_DATABASE,
        )
    return True


def _others(connection: Connection, schema: str) -> list[str]:
    return sorted(name for (name,) in ask(connection, FILLED) if name != schema)


def before_restore(scratch: ScratchDatabase) -> None:
    """Prepare a scratch database for an archive with hypertables."""
    with closing(connect_to(scratch.settings)) as connection, translating():
        if not told(connection, _OFFERED):
            raise BackupError(
                "the backup holds hypertables, and this server has no TimescaleDB", hint="restore it to one that has"
            )
        ask(connection, "CREATE EXTENSION IF NOT EXISTS timescaledb WITH SCHEMA public")
        told(connection, "SELECT public.timescaledb_pre_restore()")


def after_restore(scratch: ScratchDatabase) -> None:
    """Make the hypertables work, and their jobs not: nothing is to be compressed or dropped before it is proven."""
    with closing(connect_to(scratch.settings)) as connection, translating(), connection.transaction():
        # The workers that the first call starts wait for the end of the transaction, so they do nothing.
        told(connection, "SELECT public.timescaledb_post_restore()")
        told(connection, _STOP)


def install(scratch: ScratchDatabase, settings: Settings, *, replace: bool) -> str | None:
    """Give a scratch database the name of the one that *settings* name; returns the new name of that."""
    target = scratch.admin.info.dbname
    with translating():
        held = _swap.is_held(scratch.admin, settings)
        if held and not replace:
            raise _swap.taken(settings)
        others = _others(scratch.admin, _swap.schema_of(settings))
        if others:
            raise NotAllowed(
                f"the backup holds hypertables and replaces the whole database, and {others[0]} is in it",
                hint=_OWN_DATABASE,
            )
    elsewhere = next(name for name in _ELSEWHERE if name != target)
    kept = _swap.kept_name(target)
    with closing(connect_to(settings, elsewhere)) as admin:
        try:
            _leave(scratch.admin)
            _exchange(admin, target, kept, scratch.name)
        except BaseException:
            with suppress(*DRIVER_ERRORS):
                ask(admin, f"DROP DATABASE IF EXISTS {quoted(scratch.name)} WITH (FORCE)")
            _wake(settings)
            raise
        if not held:
            with suppress(*DRIVER_ERRORS):  # it is empty, and only in the way
                ask(admin, f"DROP DATABASE {quoted(kept)} WITH (FORCE)")
    if held:
        _rest(settings, kept)
    _wake(settings)
    return kept if held else None


def _leave(connection: Connection) -> None:
    """End everything of ours in a database, so that it can be renamed."""
    with connection, translating():
        if told(connection, _INSTALLED):
            told(connection, _STOP)


def _wake(settings: Settings) -> None:
    with closing(connect_to(settings)) as connection, translating():
        if told(connection, _INSTALLED):
            told(connection, _START)


def _rest(settings: Settings, kept: str) -> None:
    """What is kept, is kept as it is: its policies drop nothing any more."""
    with closing(connect_to(settings, kept)) as connection, translating():
        if told(connection, _INSTALLED):
            _policies.rest(connection, _swap.schema_of(settings))


def _exchange(admin: Connection, target: str, kept: str, made: str) -> None:
    with translating():
        try:
            with admin.transaction():
                ask(admin, f"ALTER DATABASE {quoted(target)} RENAME TO {quoted(kept)}")
                ask(admin, f"ALTER DATABASE {quoted(made)} RENAME TO {quoted(target)}")
        except psycopg.errors.ObjectInUse as error:
            raise Busy(
                f"the database {target} is in use", hint="close what is connected to it, then restore"
            ) from error
