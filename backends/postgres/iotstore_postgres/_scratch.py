"""Scratch places on a server: databases and schemas that are used by their maker alone, and gone with it.

Each has a name of its own, and its maker holds the advisory lock of that name for as long as it lives. What a crash
leaves behind has the name and no lock: whoever makes the next scratch place removes it.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, ClassVar, Final

import psycopg

from iotstore.backend import BackupError, Settings
from iotstore_postgres._errors import DRIVER_ERRORS, translated, translating, unconnected
from iotstore_postgres._options import Tuning, connection_parameters, quoted

_PREFIX: Final = "iotstore_scratch_"
_PREPARE: Final = (
    # They wait while the server's programs work, for as long as that takes. The quoting must not hang on settings.
    "SET statement_timeout = 0; SET idle_session_timeout = 0; SET default_transaction_read_only = off;"
    " SET search_path = ''; SET standard_conforming_strings = on"
)
_DATABASE: Final = "SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()"
_TRY: Final = "SELECT pg_try_advisory_lock(hashtextextended($1, 0))"
_RELEASE: Final = "SELECT pg_advisory_unlock(hashtextextended($1, 0))"

Connection = psycopg.Connection[Any]
Run = Callable[[str], list[tuple[Any, ...]]]


def connect_to(settings: Settings, database: str | None = None) -> Connection:
    """A connection of its own for maintenance: outside of any transaction, and without a limit to its statements."""
    parameters: dict[str, Any] = {**connection_parameters(settings, Tuning.of(settings))}
    if database is not None:
        parameters["dbname"] = database
    try:
        connection = psycopg.connect(**parameters, autocommit=True, cursor_factory=psycopg.RawCursor)
    except DRIVER_ERRORS as error:
        raise unconnected(error) from error
    try:
        connection.execute(_PREPARE)
    except DRIVER_ERRORS as error:
        connection.close()
        raise translated(error) from error
    return connection


def ask(connection: Connection, text: str, *parameters: object) -> list[tuple[Any, ...]]:
    """Run a statement; the rows that it answers, if it does."""
    cursor = connection.execute(text.encode(), parameters)
    return cursor.fetchall() if cursor.description else []


def told(connection: Connection, text: str, *parameters: object) -> Any:
    """The first value of the first row; None if there is none."""
    rows = ask(connection, text, *parameters)
    return rows[0][0] if rows else None


def runner(connection: Connection, statements: list[str], *, dry_run: bool) -> Run:
    """A function that takes a statement down and runs it; in a dry run it only does the first."""

    def run(text: str) -> list[tuple[Any, ...]]:
        statements.append(text)
        return [] if dry_run else ask(connection, text)

    return run


class Scratch:
    """A scratch place and the connection that keeps it, to the database that *settings* name."""

    #: Says what there is of the kind, by the beginning of the name.
    _FIND: ClassVar[str]
    _REMOVE: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        #: What a store in it is opened with.
        self.settings = settings
        self.admin = connect_to(settings)
        try:
            with translating():
                prefix = self._prefix()
                self._sweep(prefix)
                self.name = f"{prefix}{secrets.token_hex(8)}"
                told(self.admin, _TRY, self.name)
        except BaseException:
            self.admin.close()
            raise

    def _prefix(self) -> str:
        # Locks are known inside one database only: of scratch databases only this one's can be told to be dead.
        return f"{_PREFIX}{told(self.admin, _DATABASE)}_"

    def _sweep(self, prefix: str) -> None:
        for (name,) in ask(self.admin, self._FIND, prefix):
            if told(self.admin, _TRY, name):
                try:
                    self._remove(name)
                finally:
                    told(self.admin, _RELEASE, name)

    def _remove(self, name: str) -> None:
        ask(self.admin, self._REMOVE.format(quoted(name)))

    def drop(self) -> None:
        """Remove it with all that is in it. Allowed twice. What can't be removed now is left to the next sweep."""
        if not self.admin.closed:
            with suppress(*DRIVER_ERRORS):
                self._remove(self.name)
            self.admin.close()


class ScratchDatabase(Scratch):
    """An empty database beside the one that *settings* name."""

    _FIND = (
        "SELECT datname FROM pg_catalog.pg_database"
        " WHERE starts_with(datname, $1) AND pg_catalog.pg_has_role(datdba, 'USAGE')"
    )
    _REMOVE = "DROP DATABASE IF EXISTS {} WITH (FORCE)"

    def __init__(self, settings: Settings, folder: Path) -> None:
        #: Where what is carried out of it may lie for a while.
        self.folder = folder
        #: Whether what is in it has to have its database for itself.
        self.exclusive = False
        super().__init__(settings)
        try:
            self._create()
        except BaseException:
            self.drop()
            raise
        self.settings = settings._replace(
            path=f"/{self.name}", options={**settings.options, "read_only": False}, create=False
        )

    def _create(self) -> None:
        name = quoted(self.name)
        try:
            ask(self.admin, f"CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C'")
            # Everybody may connect to a new database.
            ask(self.admin, f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        except psycopg.errors.InsufficientPrivilege as error:
            user = self.admin.info.user
            raise BackupError(
                f"role {user} may not make databases, and a native backup is proven in a scratch database",
                hint=f"let a superuser run: ALTER ROLE {quoted(user)} CREATEDB; or take a portable backup",
            ) from error
        except DRIVER_ERRORS as error:
            raise translated(error) from error


class ScratchSchema(Scratch):
    """The name of a schema that does not exist yet, in the database that *settings* name."""

    _FIND = (
        "SELECT nspname FROM pg_catalog.pg_namespace"
        " WHERE starts_with(nspname, $1) AND pg_catalog.pg_has_role(nspowner, 'USAGE')"
    )
    _REMOVE = "DROP SCHEMA IF EXISTS {} CASCADE"

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        options = {**settings.options, "schema": self.name, "read_only": False}
        self.settings = settings._replace(options=options, create=True)
