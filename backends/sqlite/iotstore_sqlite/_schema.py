"""Schema operations on SQLite: by ALTER where SQLite has one, else by editing the table's declaration in place."""

from __future__ import annotations

from collections.abc import Sequence

from iotstore.backend import Column, EngineError, Index, Reference
from iotstore_sql.schema import SchemaChanges
from iotstore_sql.tables import reference_name


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


class SqliteSchemaChanges(SchemaChanges):
    """Changes one schema, and never rebuilds a table.

    A rebuild drops the old table, and with references on (inside a transaction they can't be turned off) SQLite counts
    each row that points to it as violated. What ALTER can't do here, nullability and references, changes no byte of
    the rows, and for exactly that SQLite documents editing the declaration.
    """

    def index_names(self) -> set[str]:
        return {row[0] for row in self.run("SELECT name FROM sqlite_schema WHERE type = 'index'")}

    def find_index(self, layout: str, index: Index) -> str:
        for _, name, unique, origin, _ in self.run(f"PRAGMA index_list({_quoted(layout)})"):
            columns = tuple(row[2] for row in self.run(f"PRAGMA index_info({_quoted(name)})"))
            if origin == "c" and columns == index.columns and bool(unique) is index.unique:
                return str(name)
        raise EngineError(f"{layout} has no index over {', '.join(index.columns)}")

    def drop_column(self, layout: str, column: str) -> None:
        references = self._references(layout)
        if any(name == column for name, _ in references):  # else SQLite refuses to drop it
            self._declare(layout, references=[pair for pair in references if pair[0] != column])
        super().drop_column(layout, column)

    def alter_column(self, layout: str, column: Column) -> None:
        # Lengths are the core's; the engine only knows nullability.
        missing = f"SELECT 1 FROM {_quoted(layout)} WHERE {_quoted(column.name)} IS NULL LIMIT 1"  # noqa: S608 - quoted
        if not column.nullable and self.run(missing):
            raise EngineError(f"{layout}.{column.name} holds None and can't be made required")
        self._declare(layout, nullable={column.name: column.nullable})

    def set_references(self, layout: str, references: Sequence[Reference]) -> None:
        self._declare(layout, references=[(reference.column, reference.target) for reference in references])

    def _references(self, table: str) -> list[tuple[str, str]]:
        return [(row[3], row[2]) for row in self.run(f"PRAGMA foreign_key_list({_quoted(table)})")]

    def _declare(
        self,
        table: str,
        *,
        nullable: dict[str, bool] | None = None,
        references: list[tuple[str, str]] | None = None,
    ) -> None:
        """Give a table the declaration it would have been made with. Part of the transaction, like any other change."""
        text = self._declaration(table, nullable or {}, self._references(table) if references is None else references)
        (version,) = self.run("PRAGMA schema_version")[0]
        self.run("PRAGMA writable_schema = ON")
        try:
            literal = "'" + text.replace("'", "''") + "'"
            name = table.replace("'", "''")
            where = f"type = 'table' AND name = '{name}'"
            self.run(f"UPDATE sqlite_schema SET sql = {literal} WHERE {where}")  # noqa: S608 - quoted above
            # Every connection, this one too, reads the schema again when this number has changed.
            self.run(f"PRAGMA schema_version = {version + 1}")
        finally:
            self.run("PRAGMA writable_schema = OFF")
        # A declaration that can't be parsed fails here and now.
        self.run(f"SELECT 1 FROM {_quoted(table)} LIMIT 0")  # noqa: S608 - quoted

    def _declaration(self, table: str, nullable: dict[str, bool], references: list[tuple[str, str]]) -> str:
        # From what is there, not from a layout: columns that were added lie behind the others, and must stay there.
        lines: list[str] = []
        keys: list[tuple[int, str]] = []
        for _, name, of, required, default, key in self.run(f"PRAGMA table_info({_quoted(table)})"):
            needed = bool(required) if name not in nullable else not nullable[name]
            lines.append(
                f"{_quoted(name)} {of}"
                + (f" DEFAULT {default}" if default is not None else "")
                + (" NOT NULL" if needed or key else "")
            )
            if key:
                keys.append((key, name))
        lines.append(f"PRIMARY KEY ({', '.join(_quoted(name) for _, name in sorted(keys))})")
        for column, target in references:
            name = _quoted(reference_name(table, column))
            rule = f"FOREIGN KEY ({_quoted(column)}) REFERENCES {_quoted(target)} DEFERRABLE INITIALLY DEFERRED"
            lines.append(f"CONSTRAINT {name} {rule}")
        return f"CREATE TABLE {_quoted(table)} (\n\t" + ",\n\t".join(lines) + f"\n) {self._options(table)}"

    def _options(self, table: str) -> str:
        for row in self.run("PRAGMA table_list"):
            if row[1] == table and row[0] == "main":
                return "STRICT, WITHOUT ROWID" if row[4] else "STRICT"
        raise EngineError(f"there is no table {table}")
