"""Keyset paging: the position after a row as a filter, and as a cursor that an application can keep."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Final, Generic, TypeVar
from zlib import crc32

import msgspec

from iotstore._kinds.codec import Codec
from iotstore._query.lower import all_of, any_of
from iotstore._values import MAX_INT, MIN_INT
from iotstore._waist.filters import ALWAYS, NEVER, Compare, Filter, IsNull, NotNull, Op
from iotstore._waist.layout import Row, Type, Value
from iotstore._waist.queries import Order
from iotstore.errors import InvalidValue

R = TypeVar("R")
MAX_PAGE: Final = 10_000


class Page(Generic[R]):
    """*items*, and *next*: the cursor of the page that follows, or None at the end.

    A cursor is a position, not a count: records inserted or deleted meanwhile make no other record appear twice or
    get lost. It holds no more than the last record's sort values and works on any backend.
    """

    __slots__ = ("items", "next")

    def __init__(self, items: list[R], next: str | None) -> None:  # noqa: A002 - the page's word for it
        self.items = items
        self.next = next

    def __repr__(self) -> str:
        return f"Page({len(self.items)} items, {'more' if self.next else 'the last'})"


def check_limit(limit: int) -> int:
    """A page size from 1 to 10,000."""
    if type(limit) is not int or not 1 <= limit <= MAX_PAGE:  # a bool is no number here
        raise InvalidValue(f"{limit!r} is no page size; allowed are 1 to {MAX_PAGE}", field="limit")
    return limit


def after(codec: Codec[Any], order: Sequence[Order], position: Sequence[Value]) -> Filter:
    """The filter for rows that come after *position* in *order*; NULL is smaller than every value."""
    layout = codec.kind.layout
    branches: list[Filter] = []
    equal: list[Filter] = []
    for item, value in zip(order, position, strict=True):
        nullable = layout.column(item.column).nullable
        branches.append(all_of([*equal, _beyond(item, value, nullable=nullable)]))
        equal.append(IsNull(item.column) if value is None else Compare(item.column, Op.EQ, value))
    nullable = layout.column(order[0].column).nullable
    # Redundant in logic, but the leading range is what lets an engine start in the middle of its index.
    return all_of([_leading(order[0], position[0], nullable=nullable), any_of(branches)])


def _beyond(item: Order, value: Value, *, nullable: bool) -> Filter:
    if value is None:
        return NEVER if item.descending else NotNull(item.column)
    if not item.descending:
        return Compare(item.column, Op.GT, value)
    return any_of([Compare(item.column, Op.LT, value), IsNull(item.column) if nullable else NEVER])


def _leading(item: Order, value: Value, *, nullable: bool) -> Filter:
    if value is None:
        return IsNull(item.column) if item.descending else ALWAYS
    if not item.descending:
        return Compare(item.column, Op.GE, value)
    return any_of([Compare(item.column, Op.LE, value), IsNull(item.column) if nullable else NEVER])


def position_of(codec: Codec[Any], order: Sequence[Order], row: Row) -> list[Value]:
    """The sort values of a row, as the backend holds them."""
    position = codec.kind.layout.position
    return [row[position[item.column]] for item in order]


def _order_text(order: Sequence[Order]) -> str:
    return ",".join(("-" if item.descending else "") + item.column for item in order)


def cursor_of(codec: Codec[Any], order: Sequence[Order], row: Row) -> str:
    """The cursor that continues after *row*. In layout terms, so it means the same on every backend."""
    plain = [
        codec.free_of(codec.kind.layout.column(item.column).type, value)
        for item, value in zip(order, position_of(codec, order, row), strict=True)
    ]
    text = msgspec.json.encode([codec.kind.name, _order_text(order), *plain])
    return base64.urlsafe_b64encode(text + _check(text)).decode().rstrip("=")


def _check(text: bytes) -> bytes:
    # Against copying mistakes, not against forgery: a forged position shows nothing that its page may not show.
    return crc32(text).to_bytes(4, "big")


def read_cursor(codec: Codec[Any], order: Sequence[Order], cursor: str) -> list[Value]:
    """The position that a cursor stands for; one of another query, or a damaged one, is refused."""
    try:
        packed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        text = packed[:-4]
        if _check(text) != packed[-4:]:
            raise _damaged()
        kind, said, *plain = msgspec.json.decode(text, type=list[Any])
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        raise _damaged() from error
    if (kind, said) != (codec.kind.name, _order_text(order)) or len(plain) != len(order):
        raise InvalidValue("is the cursor of another query", field="after", hint="use it with the same kind and order")
    return [_held(codec, item, value) for item, value in zip(order, plain, strict=True)]


def _damaged() -> InvalidValue:
    return InvalidValue("is not a cursor of this library", field="after", hint="pass Page.next unchanged")


_CURSOR_TYPES: Final[Mapping[Type, type]] = {
    Type.INT: int,
    Type.TIME: int,
    Type.REAL: float,
    Type.BOOL: bool,
    Type.TEXT: str,
    Type.BYTES: bytes,
}


def _held(codec: Codec[Any], item: Order, said: Any) -> Value:
    column = codec.kind.layout.column(item.column)
    if said is None and column.nullable:
        return None
    try:
        plain: object = msgspec.convert(said, _CURSOR_TYPES[column.type], strict=True)
    except msgspec.ValidationError as error:
        raise _damaged() from error
    if isinstance(plain, int) and not MIN_INT <= plain <= MAX_INT:
        raise _damaged()
    return codec.hold(column.type, plain)
