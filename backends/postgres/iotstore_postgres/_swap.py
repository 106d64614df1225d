"""The end of a restore: a schema takes the name of another one, in one transaction, and the old one is kept."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

import psycopg

from iotstore.backend import Busy, NotAllowed, Settings
from iotstore_postgres._errors import translating
from iotstore_postgres._options import checked_schema, quoted
from iotstore_postgres._scratch import Connection, ask, connect_to, told

_LONGEST: Final = 63
# Anything at all that lies in a schema, tables or not: what depends on it.
_HELD: Final = (
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_namespace'::regclass"
    " AND d.refobjid = n.oid) FROM pg_catalog.pg_namespace n WHERE n.nspname = $1"
)
_EXTENSION: Final = (
    "SELECT e.extname FROM pg_catalog.pg_extension e JOIN pg_catalog.pg_namespace n ON n.oid = e.extnamespace"
    " WHERE n.nspname = $1 ORDER BY 1 LIMIT 1"
)
# The seed tells these locks from those of who changes a schema.
_ALONE: Final = "SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || $1::text, 1))"
# A server notices a moment later that a store was closed.
_PATIENCE: Final = "SET LOCAL lock_timeout = '3s'"


def presence(schema: str) -> str:
    """What every connection of an open store tells the server, so that no restore takes the schema from under it: what
    such a store has in memory, of series and numbers, would be of the old one."""
    name = schema.replace("'", "''")
    return f"SELECT pg_advisory_lock_shared(hashtextextended('iotstore ' || '{name}', 1))"


def schema_of(settings: Settings) -> str:
    """The schema that *settings* name."""
    return checked_schema(str(settings.options["schema"]))


def check_free(settings: Settings) -> None:
    """NotAllowed if there is anything in the schema that *settings* name."""
    with connect_to(settings) as admin, translating():
        if is_held(admin, settings):
            raise taken(settings)


def check_alone(admin: Connection, settings: Settings) -> None:
    """Busy if a store is open in the schema: asked before hours of work, and again when it is done."""
    with translating(), admin.transaction():
        _need_alone(admin, settings)


def swap(admin: Connection, made: str, settings: Settings, *, replace: bool) -> str | None:
    """Give the schema *made* the name in *settings*; returns the new name of the one that had it.

    Whoever looks sees the old one or the new one. An error, or the end of this process, leaves the old one.
    """
    schema, kept = schema_of(settings), None
    with translating(), admin.transaction():
        _need_alone(admin, settings)
        held = is_held(admin, settings)
        if held and not replace:
            raise taken(settings)
        extension = told(admin, _EXTENSION, schema)
        if extension:
            raise NotAllowed(
                f"schema {schema} holds the extension {extension}, which others may use there",
                hint="restore into another schema: the option schema",
            )
        if held:
            kept = kept_name(schema)
            rename(admin, schema, kept)
        elif held is not None:
            ask(admin, f"DROP SCHEMA {quoted(schema)}")
        rename(admin, made, schema)
    return kept


def _need_alone(admin: Connection, settings: Settings) -> None:
    ask(admin, _PATIENCE)
    try:
        ask(admin, _ALONE, schema_of(settings))
    except psycopg.errors.LockNotAvailable as error:
        raise Busy(
            f"{settings.display} is open in another process or store", hint="close it there, then restore"
        ) from error


def is_held(admin: Connection, settings: Settings) -> bool | None:
    """Whether there is anything in the schema that *settings* name; None if there is no such schema."""
    held: bool | None = told(admin, _HELD, schema_of(settings))
    return held


def taken(settings: Settings) -> NotAllowed:
    """The refusal to put anything where something is."""
    return NotAllowed(
        f"{settings.display} exists already: its schema {schema_of(settings)} is not empty",
        hint="restore to another place, or with replace=True: the old one is kept",
    )


def kept_name(name: str) -> str:
    """A name for what had *name* before a restore."""
    end = f"_before_restore_{datetime.now(UTC):%Y%m%d_%H%M%S_%f}"
    # Names are cut by bytes, and in the midst of no character.
    return name.encode()[: _LONGEST - len(end)].decode("utf-8", "ignore") + end


def rename(admin: Connection, old: str, new: str) -> None:
    """Give a schema another name."""
    ask(admin, f"ALTER SCHEMA {quoted(old)} RENAME TO {quoted(new)}")
