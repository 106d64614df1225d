"""Many new records by COPY: an INSERT that can be asked what was there already takes half as long again."""

from __future__ import annotations

from functools import lru_cache
from typing import Final, NamedTuple

from iotstore.backend import Layout, Type
from iotstore_postgres._options import quoted
from iotstore_postgres._statements import PostgresStatements

#: Fewer rows are sent as arrays: a COPY takes round trips more.
COPIED: Final = 200

# Sets of texts are left out: the driver packs them one by one, slower than all of them as an array.
_TYPES: Final[dict[Type, str]] = {
    Type.INT: "int8",
    Type.TIME: "int8",
    Type.REAL: "float8",
    Type.BOOL: "bool",
    Type.TEXT: "text",
    Type.BYTES: "bytea",
}


class Copying(NamedTuple):
    """How rows of a layout are copied into its table: the statement, and the types of the columns."""

    statement: str
    types: tuple[str, ...]


@lru_cache(maxsize=256)
def copying(layout: Layout, statements: PostgresStatements) -> Copying | None:
    """How its rows are copied; None where that could fail for another reason than that a key is there."""
    if any(index.unique for index in layout.indexes) or any(column.type not in _TYPES for column in layout.columns):
        return None
    table = statements.table(layout)
    names = ", ".join(quoted(table.c[column.name].name) for column in layout.columns)
    return Copying(
        f"COPY {quoted(table.name)} ({names}) FROM STDIN (FORMAT BINARY)",
        tuple(_TYPES[column.type] for column in layout.columns),
    )
