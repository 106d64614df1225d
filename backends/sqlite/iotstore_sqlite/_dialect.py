"""How SQLite holds the column types, and what its SQL has of its own."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite as sql

from iotstore.backend import Column, Holding, Layout, Type, Value
from iotstore_sql import Dialect, Parameters
from iotstore_sql.dialect import Expression

#: Wider text than this makes rows too long to lie in the tree of their key (a quarter of a page at most).
_WIDE = 1_024

_TYPES: Mapping[Type, sa.types.TypeEngine[Any]] = {
    Type.INT: sa.Integer(),
    Type.REAL: sa.REAL(),
    Type.BOOL: sa.Integer(),
    Type.TEXT: sa.Text(),  # compared as BINARY: UTF-8 bytes, which is code point order
    Type.BYTES: sa.BLOB(),
    Type.TIME: sa.Integer(),
    Type.TEXTSET: sa.Text(),
}

# JSON text would round some reals and can't carry bytes, so both travel in hexadecimal. Connections know the functions.
REAL_FUNCTION = "iotstore_real"
BYTES_FUNCTION = "iotstore_bytes"
_FUNCTIONS: Mapping[Type, str] = {Type.REAL: REAL_FUNCTION, Type.BYTES: BYTES_FUNCTION}


def hold_textset(tags: tuple[str, ...]) -> str:
    r"""A text set as one text: every member between newlines, ``\nheat\nkitchen\n``; sorted, so equal sets are equal.

    A newline and a backslash inside a member are escaped, so that a search for ``\nmember\n`` is exact.
    """
    joined = "\n".join(tags)
    if "\\" in joined or joined.count("\n") >= len(tags):
        joined = "\n".join(_escape(tag) for tag in tags)
    return f"\n{joined}\n"


def free_textset(held: str) -> tuple[str, ...]:
    """The members of a held text set."""
    members = held[1:-1].split("\n")
    return tuple(map(_unescape, members)) if "\\" in held else tuple(members)


def _escape(tag: str) -> str:
    return tag.replace("\\", "\\\\").replace("\n", "\\n")


def _unescape(member: str) -> str:
    return "\\".join(part.replace("\\n", "\n") for part in member.split("\\\\"))


def _search_form(tag: str) -> str:
    return f"\n{_escape(tag)}\n"


#: Booleans are 0 and 1; the driver binds True and False as such.
HOLDS: Mapping[Type, Holding] = {
    Type.BOOL: Holding(None, bool),
    Type.TEXTSET: Holding(hold_textset, free_textset),
}


def _json_array(values: Sequence[Value]) -> str:
    return json.dumps(values, ensure_ascii=False, separators=(",", ":"))


def _plain(values: Sequence[Value]) -> str:
    return _json_array(list(values))


def _hex(value: float | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else float(value).hex()


def _hexed(values: Sequence[Value]) -> str:
    return _json_array([_hex(value) for value in values])


class SqliteDialect(Dialect):
    """SQLite's part of the toolkit."""

    def __init__(self, max_parameters: int) -> None:
        self.max_parameters = max_parameters
        self.compiler = sql.dialect(paramstyle="qmark")

    def column_type(self, column: Column) -> sa.types.TypeEngine[Any]:
        return _TYPES[column.type]

    def table_options(self, layout: Layout) -> Mapping[str, Any]:
        # A short row lies in the tree of its key: one search instead of two. A single integer is the row's number
        # already, and a long row would spread the tree.
        number = len(layout.key) == 1 and layout.column(layout.key[0]).type in {Type.INT, Type.TIME}
        wide = any(
            column.type in {Type.TEXT, Type.BYTES, Type.TEXTSET} and (column.max_length or _WIDE) >= _WIDE
            for column in layout.columns
        )
        return {"sqlite_strict": True, "sqlite_with_rowid": number or wide}

    def insert(self, table: sa.Table) -> Any:
        return sql.insert(table)

    def hold_textset(self, value: tuple[str, ...]) -> Value:
        return hold_textset(value)

    def literal_bool(self, value: bool) -> str:
        return str(int(value))

    def order(self, expression: Expression, *, descending: bool, nullable: bool) -> Expression:  # noqa: ARG002
        # NULL is SQLite's smallest value of its own accord, in indexes too.
        return expression.desc() if descending else expression.asc()

    def in_array(self, column: Expression, of: Type, parameters: Parameters) -> Expression:
        convert: Callable[[Any], Value] = _hexed if of in _FUNCTIONS else _plain
        each = sa.func.json_each(parameters.take(sa.Text(), convert)).table_valued("value")
        return column.in_(sa.select(self._freed(each.c.value, of)))

    def in_keys(self, columns: Sequence[Expression], types: Sequence[Type], parameters: Parameters) -> Expression:
        each = sa.func.json_each(parameters.take(sa.Text())).table_valued("value")
        if len(columns) == 1:
            return columns[0].in_(sa.select(self._freed(each.c.value, types[0])))
        parts = [
            self._freed(sa.func.json_extract(each.c.value, sa.literal_column(f"'$[{index}]'")), of)
            for index, of in enumerate(types)
        ]
        return sa.tuple_(*columns).in_(sa.select(*parts))

    def key_arrays(self, keys: Sequence[tuple[Value, ...]], types: Sequence[Type]) -> list[Value]:
        hexed = [index for index, of in enumerate(types) if of in _FUNCTIONS]
        if len(types) == 1:
            return [(_hexed if hexed else _plain)([key[0] for key in keys])]
        if not hexed:
            return [_json_array(keys)]
        plain = [list(key) for key in keys]
        for parts in plain:
            for index in hexed:
                parts[index] = _hex(parts[index])
        return [_json_array(plain)]

    def contains(self, column: Expression, text: sa.BindParameter[Any]) -> Expression:
        return sa.func.instr(column, text)

    def has_tag(self, column: Expression, parameters: Parameters) -> Expression:
        return sa.func.instr(column, parameters.take(sa.Text(), _search_form)) > sa.literal_column("0")

    def has_not_tag(self, column: Expression, parameters: Parameters) -> Expression:
        return sa.func.instr(column, parameters.take(sa.Text(), _search_form)) == sa.literal_column("0")

    @staticmethod
    def _freed(value: Expression, of: Type) -> Expression:
        function = _FUNCTIONS.get(of)
        return value if function is None else getattr(sa.func, function)(value)
