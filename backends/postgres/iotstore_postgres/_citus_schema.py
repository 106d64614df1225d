"""Schema operations on a distributed store: a new kind gets a copy on every machine, like all small ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from iotstore.backend import Layout, Reference
from iotstore_postgres._citus import FLOWS
from iotstore_postgres._options import quoted
from iotstore_postgres._schema import PostgresSchemaChanges


class CitusSchemaChanges(PostgresSchemaChanges):
    """Changes one distributed schema: Citus carries each statement to the workers, in the same transaction."""

    def create_layout(self, layout: Layout) -> None:
        super().create_layout(replace(layout, references=_possible(layout.references), parts=None))
        table = quoted(self.dialect.table_name(layout.name)).replace("'", "''")
        self.run(f"SELECT create_reference_table('{table}')")

    def set_references(self, layout: str, references: Sequence[Reference]) -> None:
        super().set_references(layout, _possible(references))

    def _key(self, layout: str) -> list[str]:
        columns = super()._key(layout)
        flows, by = FLOWS
        return [column for column in columns if column != by] if layout == flows else columns


def _possible(references: Sequence[Reference]) -> tuple[Reference, ...]:
    # What is on one machine can't be watched from all of them. The core does, as it does where an engine has no
    # references at all.
    return tuple(reference for reference in references if reference.target != FLOWS[0])
