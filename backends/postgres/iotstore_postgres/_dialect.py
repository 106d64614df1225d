"""How PostgreSQL holds the column types, and what its SQL has of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql as sql
from sqlalchemy.dialects.postgresql.base import PGDialect
from sqlalchemy.engine.interfaces import BindTyping

from iotstore.backend import Column, Function, Holding, Layout, Type, Value
from iotstore_postgres._conversions import ARRAYS
from iotstore_postgres._options import quoted
from iotstore_sql import Dialect, Parameters
from iotstore_sql.dialect import Expression
from iotstore_sql.tables import short_name

#: Text is compared by code point, whatever the database was made with.
CODE_POINTS: Final = "C"

_TYPES: Final[Mapping[Type, sa.types.TypeEngine[Any]]] = {
    Type.INT: sa.BigInteger(),
    Type.REAL: sa.Double(),
    Type.BOOL: sa.Boolean(),
    Type.TEXT: sa.Text(collation=CODE_POINTS),
    Type.BYTES: sa.LargeBinary(),
    Type.TIME: sa.BigInteger(),
    Type.TEXTSET: sql.ARRAY(sa.Text()),
}
#: A text set is an array, which the driver takes and gives as a list.
HOLDS: Final[Mapping[Type, Holding]] = {Type.TEXTSET: Holding(list, tuple)}

# Columns that every table has of its own.
_SYSTEM_COLUMNS: Final = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
#: Tables of this backend, and of the system, which is searched first whatever the search path says.
_TAKEN: Final = ("iotstore_", "pg_")
#: Ends a name that could not be taken as it is. No name of a layout or column has it.
MARK: Final = "$"


class _Compiler(PGDialect):
    """SQLAlchemy's compiler for texts with ``$1`` and no casts: the driver says of which type each value is."""

    bind_typing = BindTyping.NONE


class PostgresDialect(Dialect):
    """PostgreSQL's part of the toolkit."""

    def __init__(self) -> None:
        self.compiler = _Compiler(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]  # SQLAlchemy's

    def table_name(self, name: str) -> str:
        return name + MARK if name.startswith(_TAKEN) else name

    def layout_name(self, table: str) -> str:
        """The layout whose table this is."""
        return table.removesuffix(MARK)

    def column_name(self, name: str) -> str:
        return name + MARK if name in _SYSTEM_COLUMNS else short_name(name, MARK)

    def column_type(self, column: Column) -> sa.types.TypeEngine[Any]:
        return _TYPES[column.type]

    def insert(self, table: sa.Table) -> Any:
        return sql.insert(table)

    def table_options(self, layout: Layout) -> Mapping[str, Any]:
        if layout.parts is None:
            return {}
        return {"postgresql_partition_by": f"RANGE ({quoted(self.column_name(layout.parts))})"}

    def hold_textset(self, value: tuple[str, ...]) -> Value:
        return list(value)

    def literal(self, value: Value, of: Type) -> str:
        if of is Type.TEXTSET:
            members = ", ".join(super(PostgresDialect, self).literal(tag, Type.TEXT) for tag in value)
            return f"ARRAY[{members}]::text[]"
        if of is Type.REAL:  # as text: a number with digits after the point would be a numeric first
            return f"'{float(value)!r}'::float8"
        return super().literal(value, of)

    def literal_bytes(self, value: bytes) -> str:
        return f"'\\x{value.hex()}'::bytea"

    def sorts_nulls(self, layout: Layout, name: str) -> bool:
        # An index knows where NULL would stand in it even where there is none, and only serves an order that says the
        # same. The index of the key is as PostgreSQL makes it; every other column may become nullable one day.
        return name not in layout.key

    def hold(self, select: sa.Select[Any]) -> sa.Select[Any]:
        # Against deletion only: updates of other columns go on.
        return select.with_for_update(read=True, key_share=True)

    def in_array(self, column: Expression, of: Type, parameters: Parameters) -> Expression:
        return column == sa.any_(parameters.take(sql.ARRAY(_TYPES[of]), ARRAYS[of]))

    def in_keys(self, columns: Sequence[Expression], types: Sequence[Type], parameters: Parameters) -> Expression:
        arrays = [parameters.take(sql.ARRAY(_TYPES[of])) for of in types]
        if len(columns) == 1:
            return columns[0] == sa.any_(arrays[0])
        keys = sa.func.unnest(*arrays).table_valued(*(f"k{index}" for index in range(len(types)))).render_derived()
        return sa.tuple_(*columns).in_(sa.select(*keys.c))

    def key_arrays(self, keys: Sequence[tuple[Value, ...]], types: Sequence[Type]) -> list[Value]:
        return [ARRAYS[of](column) for of, column in zip(types, zip(*keys, strict=True), strict=True)]

    def contains(self, column: Expression, text: sa.BindParameter[Any]) -> Expression:
        return sa.func.strpos(column, text)

    def has_tag(self, column: Expression, parameters: Parameters) -> Expression:
        return parameters.take(sa.Text()) == sa.any_(column)

    def has_not_tag(self, column: Expression, parameters: Parameters) -> Expression:
        return parameters.take(sa.Text()) != sa.all_(column)

    def measure(self, function: Function, column: Expression | None, of: Type | None) -> Expression:
        if column is None:
            return super().measure(function, column, of)
        if of is Type.BOOL:
            match function:
                case Function.MIN:
                    return sa.func.bool_and(column)
                case Function.MAX:
                    return sa.func.bool_or(column)
                case Function.SUM | Function.SUM_HIGH | Function.SUM_LOW:
                    column = sa.cast(sa.cast(column, sa.Integer()), sa.BigInteger())
                case _:
                    pass
        if of is Type.BYTES and function in {Function.MIN, Function.MAX}:
            # Bytes have a smallest and a largest one since PostgreSQL 18; their hexadecimal digits order alike.
            digits = sa.collate(sa.func.encode(column, sa.literal_column("'hex'")), CODE_POINTS)
            return sa.func.decode(super().measure(function, digits, Type.TEXT), sa.literal_column("'hex'"))
        return super().measure(function, column, of)
