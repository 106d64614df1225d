"""Where a store begins, and schema operations: by ALTER, in the transaction of the session."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import sql

from iotstore.backend import (
    Column,
    EngineError,
    Index,
    NewerSchema,
    NotAStore,
    Operation,
    Reference,
    Unreachable,
)
from iotstore_postgres._errors import DRIVER_ERRORS, translated
from iotstore_postgres._partitions import POINTS_SCHEMA
from iotstore_sql.schema import Run, SchemaChanges
from iotstore_sql.tables import named

#: Of the tables that are private to this backend.
FORMAT: Final = 1
_PRIVATE_TABLES: Final = (
    "CREATE TABLE iotstore_format (number int8 NOT NULL)",
    'CREATE TABLE iotstore_counters (name text COLLATE "C" PRIMARY KEY, next int8 NOT NULL)',
    *POINTS_SCHEMA,
    f"INSERT INTO iotstore_format VALUES ({FORMAT})",  # noqa: S608 - a constant
)
#: Relations of the schema that somebody made: what belongs to an extension counts as nobody's.
_LOOK: Final = (
    "SELECT n.oid,"
    " (SELECT count(*) FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND NOT EXISTS (SELECT 1"
    " FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_catalog.pg_class'::regclass AND d.objid = c.oid"
    " AND d.deptype = 'e')),"
    " (SELECT c.oid FROM pg_catalog.pg_class c WHERE c.relnamespace = n.oid AND c.relname = 'iotstore_format')"
    " FROM (SELECT 1) one LEFT JOIN pg_catalog.pg_namespace n ON n.nspname = $1"
)
_OURS: Final = "relnamespace = (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = current_schema())"
_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || $1, 0))"
_HOLD: Final = "SELECT pg_advisory_xact_lock(hashtextextended('iotstore ' || current_schema(), 0))::text"


def hold_schema(run: Any) -> None:
    """Nobody else changes the schema before this transaction ends."""
    run(_HOLD, ())


def prepare(connection: psycopg.Connection[Any], schema: str, *, create: bool) -> None:
    """Make sure that *schema* holds a store, an empty one if there was nothing and *create* says so.

    A schema with somebody else's tables, or with a store of a newer format, is refused and not touched. Several
    processes may do this at once.
    """
    try:
        if _look(connection, schema):
            return
        if not create:
            raise Unreachable(f"there is no store in schema {schema!r}", hint="check the URL and the option schema")
        with connection.transaction():
            connection.execute(_LOCK, (schema,))
            if not _look(connection, schema):  # nobody was faster
                connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
                for text in _PRIVATE_TABLES:
                    connection.execute(text.encode())
    except DRIVER_ERRORS as error:
        raise translated(error) from error


def _look(connection: psycopg.Connection[Any], schema: str) -> bool:
    """Whether a store is there; False where one can be made."""
    cursor = connection.execute(_LOOK, (schema,))
    exists, relations, ours = cursor.fetchone() or (None, 0, None)
    if ours is None:
        if relations:
            raise NotAStore(
                f"schema {schema!r} holds {relations} tables or other things that are none of ours",
                hint="choose a schema of its own for the store: option schema",
            )
        return False
    if exists is None:
        return False
    text = sql.SQL("SELECT number FROM {}").format(sql.Identifier(schema, "iotstore_format"))
    try:
        found = connection.execute(text).fetchall()
    except psycopg.errors.UndefinedColumn as error:
        raise NotAStore(f"schema {schema!r} is no store of ours", hint="check the option schema") from error
    if len(found) != 1:
        raise NotAStore(f"schema {schema!r} says {len(found)} times of which format it is", hint="restore a backup")
    if found[0][0] > FORMAT:
        raise NewerSchema(
            f"the store in schema {schema!r} has format {found[0][0]}, and this version knows {FORMAT}",
            hint="run the newer version of iotstore; nothing was changed",
        )
    return True


def _literal(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


class PostgresSchemaChanges(SchemaChanges):
    """Changes one schema, as part of a transaction like any other change."""

    def __init__(self, dialect: Any, run: Run) -> None:
        super().__init__(dialect, run)

    def apply(self, operations: Sequence[Operation]) -> None:
        # A table can't be altered while references of changed rows wait to be checked. They are checked now.
        self.run("SET CONSTRAINTS ALL IMMEDIATE")
        self.run("SET CONSTRAINTS ALL DEFERRED")
        super().apply(operations)

    def index_names(self) -> set[str]:
        # Tables and indexes share one space of names.
        return {row[0] for row in self.run(f"SELECT relname FROM pg_catalog.pg_class WHERE {_OURS}")}  # noqa: S608 - constants

    def find_index(self, layout: str, index: Index) -> str:
        wanted = self._columns(index, self._key(layout))
        for name, unique, columns in self._indexes(layout, primary=False):
            if list(columns) == wanted and unique is index.unique:
                return str(name)
        raise EngineError(f"{layout} has no index over {', '.join(index.columns)}")

    def index_terms(self, layout: str, index: Index) -> list[Any]:
        # The key is as PostgreSQL makes it, and NULL stands nowhere in it; anything else may become nullable.
        key = self._key(layout)
        quote = self.dialect.compiler.identifier_preparer.quote
        return [
            named(name) if name in key else sa.text(f"{quote(named(name))} NULLS FIRST")
            for name in self._columns(index, key)
        ]

    def _columns(self, index: Index, key: Sequence[str]) -> list[str]:
        columns = [self.dialect.column_name(name) for name in index.columns]
        if index.unique:
            return columns
        # Every order ends with the key. With it the index serves all of it, however many rows share a value.
        return columns + [name for name in key if name not in columns]

    def _key(self, layout: str) -> list[str]:
        ((_, _, columns),) = self._indexes(layout, primary=True)
        return list(columns)

    def alter_column(self, layout: str, column: Column) -> None:
        # Lengths are the core's; the engine only knows nullability.
        self.alembic.alter_column(self.table(layout), self.column(column.name), nullable=column.nullable)

    def set_references(self, layout: str, references: Sequence[Reference]) -> None:
        table = self.dialect.table_name(layout)
        found = self.run(
            "SELECT conname FROM pg_catalog.pg_constraint JOIN pg_catalog.pg_class ON pg_class.oid = conrelid"  # noqa: S608 - quoted
            f" WHERE contype = 'f' AND relname = {_literal(table)} AND {_OURS}"
        )
        for (name,) in found:
            self.alembic.drop_constraint(named(name), self.table(layout), type_="foreignkey")
        for reference in references:
            self.add_reference(layout, reference)

    def _indexes(self, layout: str, *, primary: bool) -> Sequence[tuple[Any, ...]]:
        """Name, uniqueness and columns of the indexes of a layout's table."""
        return self.run(
            "SELECT i.relname, x.indisunique, ARRAY(SELECT a.attname::text"  # noqa: S608 - quoted
            " FROM unnest(x.indkey) WITH ORDINALITY AS k (number, place)"
            " JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum = k.number ORDER BY k.place)"
            " FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid"
            f" WHERE x.indisprimary = {str(primary).lower()} AND x.indrelid = (SELECT oid FROM pg_catalog.pg_class"
            f" WHERE relname = {_literal(self.dialect.table_name(layout))} AND {_OURS}) ORDER BY i.relname"
        )
