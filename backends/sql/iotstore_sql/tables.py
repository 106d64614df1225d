"""Tables made from layouts, and the names of their indexes and references."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import quoted_name

from iotstore.backend import Column, Index, Layout, OnDelete, Reference
from iotstore_sql.dialect import Dialect

_LONGEST_NAME = 60  # bytes; PostgreSQL cuts names at 63


def named(name: str) -> quoted_name:
    """A name that is always quoted: every engine has words of its own that SQLAlchemy does not know as reserved."""
    return quoted_name(name, quote=True)


class References(sa.schema.Constraint):
    """A reference to the primary key of another table, checked when the transaction commits.

    Deferred, because the core performs declared delete actions and loads backups in an order of its own; without an
    ON DELETE action of the engine, because the core performs them. The target's column is not named: it is its key.
    """

    def __init__(self, column: str, target: str, name: str) -> None:
        """The names are those of the engine."""
        super().__init__(name=named(name))
        self.column = named(column)
        self.target = named(target)


@compiles(References)
def _compile_references(element: References, compiler: Any, **_: Any) -> str:
    quote = compiler.preparer.quote
    return (
        f"CONSTRAINT {quote(element.name)} FOREIGN KEY ({quote(element.column)}) REFERENCES {quote(element.target)}"
        " DEFERRABLE INITIALLY DEFERRED"
    )


def short_name(name: str, mark: str = "_") -> str:
    """The name if every engine takes one so long, else its beginning, *mark* and a digest of all of it."""
    whole = name.encode()
    if len(whole) <= _LONGEST_NAME:
        return name
    beginning = whole[: _LONGEST_NAME - 9].decode(errors="ignore")  # no half character
    return beginning + mark + hashlib.sha256(whole).hexdigest()[:8]


def index_name(layout: str, index: Index) -> str:
    """The name that an index is made under. Renames leave it, so an index is found by its columns, never by name."""
    return short_name("_".join(["ux" if index.unique else "ix", layout, *index.columns]))


def reference_name(layout: str, column: str) -> str:
    """The name that a reference's constraint is made under."""
    return short_name(f"fk_{layout}_{column}")


def enforced(references: Iterable[Reference]) -> list[Reference]:
    """The references that an engine can watch over: evidence that outlives what it is about is none of them."""
    return [reference for reference in references if reference.on_delete is not OnDelete.KEEP]


def sql_column(column: Column, dialect: Dialect, *, with_default: bool = False) -> sa.Column[Any]:
    """One column; with its default when it is added to rows that exist."""
    default = column.default if with_default else None
    return sa.Column(
        named(dialect.column_name(column.name)),
        dialect.column_type(column),
        key=column.name,
        nullable=column.nullable,
        autoincrement=False,  # the core assigns ids
        server_default=None if default is None else sa.literal_column(dialect.literal(default, column.type)),
    )


def sql_parts(layout: Layout, dialect: Dialect) -> list[sa.schema.SchemaItem]:
    """The columns of a layout's table and its primary key, whose order is the layout's and not the columns'."""
    return [
        *(sql_column(column, dialect) for column in layout.columns),
        sa.PrimaryKeyConstraint(*layout.key),
    ]


def sql_table(layout: Layout, dialect: Dialect) -> sa.Table:
    """The table of a layout, to write statements with."""
    return sa.Table(named(dialect.table_name(layout.name)), sa.MetaData(), *sql_parts(layout, dialect))
