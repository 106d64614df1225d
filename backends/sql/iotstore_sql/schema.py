"""Schema operations, rendered by Alembic and executed by the backend's own cursor in its own transaction.

Imports Alembic, so it is imported by the session that applies an operation and by nobody else: opening a store whose
schema is as declared does not pay for it.
"""

from __future__ import annotations

import io
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import sqlalchemy as sa
from alembic.operations import Operations
from alembic.runtime.migration import MigrationContext
from sqlalchemy.sql import quoted_name

from iotstore.backend import (
    AddColumn,
    AlterColumn,
    Column,
    CreateIndex,
    CreateLayout,
    DropColumn,
    DropIndex,
    DropLayout,
    Index,
    Layout,
    Operation,
    Reference,
    RenameColumn,
    RenameLayout,
    Row,
    SetReferences,
)
from iotstore_sql.dialect import Dialect
from iotstore_sql.tables import References, enforced, index_name, named, reference_name, sql_column, sql_parts

Run = Callable[[str], Sequence[Row]]


class _Executor(io.StringIO):
    """Alembic's offline mode writes one statement at a time; here each is executed instead of printed."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self._run = run

    def write(self, text: str) -> int:
        statement = text.strip().removesuffix(";").strip()
        if statement:
            self._run(statement)
        return len(text)


class SchemaChanges(ABC):
    """Applies the core's schema operations to one database. What an engine can't do by ALTER, its backend overrides."""

    def __init__(self, dialect: Dialect, run: Run) -> None:
        self.dialect = dialect
        self.run = run
        context = MigrationContext.configure(
            dialect=dialect.compiler, opts={"as_sql": True, "output_buffer": _Executor(run)}
        )
        self.alembic = Operations(context)

    @abstractmethod
    def index_names(self) -> set[str]:
        """The names of all indexes of the schema."""

    @abstractmethod
    def find_index(self, layout: str, index: Index) -> str:
        """The name of the layout's index over these columns. Names stay when a layout or a column is renamed."""

    @abstractmethod
    def set_references(self, layout: str, references: Sequence[Reference]) -> None:
        """Replace the constraints behind the layout's references."""

    def apply(self, operations: Sequence[Operation]) -> None:
        """Apply the operations in order."""
        for operation in operations:
            match operation:
                case CreateLayout(layout):
                    self.create_layout(layout)
                case DropLayout(name):
                    self.alembic.drop_table(self.table(name))
                case RenameLayout(old, new):
                    self.alembic.rename_table(self.table(old), self.table(new))
                case AddColumn(layout, column):
                    self.alembic.add_column(self.table(layout), sql_column(column, self.dialect, with_default=True))
                case DropColumn(layout, column):
                    self.drop_column(layout, column)
                case RenameColumn(layout, old, new):
                    self.alembic.alter_column(self.table(layout), self.column(old), new_column_name=self.column(new))
                case AlterColumn(layout, column):
                    self.alter_column(layout, column)
                case CreateIndex(layout, index):
                    self.create_index(layout, index)
                case DropIndex(layout, index):
                    self.alembic.drop_index(named(self.find_index(layout, index)), table_name=self.table(layout))
                case SetReferences(layout, references):
                    self.set_references(layout.name, enforced(references))

    def table(self, layout: str) -> quoted_name:
        """The name of a layout's table, quoted."""
        return named(self.dialect.table_name(layout))

    def column(self, name: str) -> quoted_name:
        """The name of a column, quoted."""
        return named(self.dialect.column_name(name))

    def create_layout(self, layout: Layout) -> None:
        """Make the table with its references, then its indexes."""
        constraints = [self._constraint(layout.name, reference) for reference in enforced(layout.references)]
        parts: list[Any] = [*sql_parts(layout, self.dialect), *constraints]
        self.alembic.create_table(self.table(layout.name), *parts, **self.dialect.table_options(layout))
        for index in layout.indexes:
            self.create_index(layout.name, index)

    def create_index(self, layout: str, index: Index) -> None:
        """Make an index under a free name."""
        name, taken, number = index_name(layout, index), self.index_names(), 1
        while name in taken:  # left behind under an old name by a renamed layout or column
            number += 1
            name = f"{index_name(layout, index)}_{number}"
        self.alembic.create_index(named(name), self.table(layout), self.index_terms(layout, index), unique=index.unique)

    def index_terms(self, layout: str, index: Index) -> list[Any]:  # noqa: ARG002 - for engines that must ask
        """What an index of the layout is over. NULL has to sort smallest in it."""
        return list(map(self.column, index.columns))

    def drop_column(self, layout: str, column: str) -> None:
        """Remove a column."""
        self.alembic.drop_column(self.table(layout), self.column(column))

    def alter_column(self, layout: str, column: Column) -> None:
        """Change a column's nullability and type."""
        of = self.dialect.column_type(column)
        self.alembic.alter_column(self.table(layout), self.column(column.name), nullable=column.nullable, type_=of)

    def add_reference(self, layout: str, reference: Reference) -> None:
        """Add the constraint behind a reference, on engines that can."""
        constraint = self._constraint(layout, reference)
        sa.Table(self.table(layout), sa.MetaData()).append_constraint(constraint)
        self.run(str(sa.schema.AddConstraint(constraint).compile(dialect=self.dialect.compiler)))

    def _constraint(self, layout: str, reference: Reference) -> References:
        column, target = self.column(reference.column), self.table(reference.target)
        return References(column, target, reference_name(layout, reference.column))
