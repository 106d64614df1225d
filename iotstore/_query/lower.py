"""Lowering: from filter expressions and orders over fields to the waist's leaves over columns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any, Final

from iotstore import _values as values
from iotstore._kinds import fields as f
from iotstore._kinds.codec import Codec
from iotstore._kinds.fields import Field
from iotstore._query.expressions import (
    AllOf,
    Among,
    AnyOf,
    Compared,
    Holds,
    InNetwork,
    Missing,
    Not,
    Tagged,
    Where,
)
from iotstore._waist.filters import (
    ALWAYS,
    NEVER,
    And,
    Compare,
    Contains,
    Filter,
    HasTag,
    In,
    IsNull,
    NotIn,
    NotNull,
    Op,
    Or,
)
from iotstore._waist.layout import Type, Value
from iotstore._waist.queries import Order
from iotstore.errors import InvalidValue

_INVERSE: Final = {Op.EQ: Op.NE, Op.NE: Op.EQ, Op.LT: Op.GE, Op.LE: Op.GT, Op.GT: Op.LE, Op.GE: Op.LT}
_HIGHEST: Final = "\U0010ffff"


def all_of(parts: Iterable[Filter]) -> Filter:
    """And, without parts that are always true."""
    kept = tuple(part for part in parts if part != ALWAYS)
    if NEVER in kept:
        return NEVER
    return kept[0] if len(kept) == 1 else And(kept)


def any_of(parts: Iterable[Filter]) -> Filter:
    """Or, without parts that are never true."""
    kept = tuple(part for part in parts if part != NEVER)
    if ALWAYS in kept:
        return ALWAYS
    return kept[0] if len(kept) == 1 else Or(kept)


def known_field(codec: Codec[Any], name: str) -> Field:
    """The field of this name, or InvalidValue with the nearest name."""
    found = codec.kind.fields.get(name)
    if found is None:
        near = get_close_matches(name, codec.kind.fields, n=1)
        raise InvalidValue(
            f"{codec.kind.noun} has no field {name!r}",
            hint=f"did you mean {near[0]!r}?" if near else f"it has {', '.join(codec.kind.fields)}",
        )
    return found


def comparable(codec: Codec[Any], name: str) -> Field:
    """A field that can be compared and ordered; JSON and sets can't."""
    found = known_field(codec, name)
    if isinstance(found.declared, f.Json | f.Tags):
        raise InvalidValue(
            f"a {type(found.declared).__name__} field can't be compared or ordered",
            field=name,
            hint="test it with is_null(), is_set() or has_tag()",
        )
    return found


def lower(codec: Codec[Any], where: Where | None) -> Filter:
    """The waist's filter for an expression; None holds always."""
    return ALWAYS if where is None else _lower(codec, where, positive=True)


def _lower(codec: Codec[Any], where: Where, *, positive: bool) -> Filter:
    match where:
        case AllOf(parts) | AnyOf(parts):
            lowered = [_lower(codec, part, positive=positive) for part in parts]
            return all_of(lowered) if isinstance(where, AllOf) is positive else any_of(lowered)
        case Not(part):
            return _lower(codec, part, positive=not positive)
        case Missing(name):
            column = known_field(codec, name).name
            return IsNull(column) if positive else NotNull(column)
        case Compared(name, test, value):
            return _compared(codec, comparable(codec, name), Op(test), value, positive=positive)
        case Among(name, several):
            return _among(codec, comparable(codec, name), several, positive=positive)
        case Holds():
            return _holds(codec, where, positive=positive)
        case Tagged(name, tag):
            item = known_field(codec, name)
            if not isinstance(item.declared, f.Tags):
                raise InvalidValue("is not a set of texts", field=name, hint="has_tag() asks sets only")
            tag = codec.hold(Type.TEXT, values.check_text(tag, name))
            return HasTag(name, tag) if positive else any_of((HasTag(name, tag, negated=True), IsNull(name)))
        case InNetwork(name, network):
            return _in_network(known_field(codec, name), network, positive=positive)
        case _:
            raise InvalidValue(f"expected a filter, got {type(where).__name__}", hint='make one with field("name")')


def _or_null(item: Field, leaf: Filter, *, also_null: bool) -> Filter:
    return any_of((leaf, IsNull(item.order))) if also_null and item.nullable else leaf


def _compared(codec: Codec[Any], item: Field, op: Op, value: object, *, positive: bool) -> Filter:
    if value is None:
        raise InvalidValue("can't be compared with None", field=item.name, hint="use is_null() or is_set()")
    held = codec.filter_value(item, value)
    return _or_null(item, Compare(item.order, op if positive else _INVERSE[op], held), also_null=not positive)


def _among(codec: Codec[Any], item: Field, several: tuple[object, ...], *, positive: bool) -> Filter:
    held = tuple(dict.fromkeys(codec.filter_value(item, value) for value in several if value is not None))
    null = None in several
    if positive:
        return any_of((In(item.order, held) if held else NEVER, IsNull(item.order) if null else NEVER))
    leaf = NotIn(item.order, held) if held else NotNull(item.order)
    return _or_null(item, leaf, also_null=not null)


def _holds(codec: Codec[Any], where: Holds, *, positive: bool) -> Filter:
    item = known_field(codec, where.field)
    if not isinstance(item.declared, f.Text | f.Address | f.Mac):
        raise InvalidValue("is not text", field=item.name)
    text = values.check_text(where.text, item.name)
    column = item.name
    if item.fold is not None and not where.case:
        column, text = item.fold, values.fold(text)
    elif where.case is False:
        raise InvalidValue(
            "is not declared for case-insensitive search", field=item.name, hint="declare Text(search=True)"
        )
    # A backend may hold texts in a form of its own, in which parts and order are those of the texts.
    held = codec.hold(Type.TEXT, text)
    if not where.prefix:
        leaf: Filter = Contains(column, held, negated=not positive)
    elif not text:
        leaf = NotNull(column) if positive else NEVER
    else:
        leaf = _prefix(column, held, codec.hold(Type.TEXT, _successor(text)), positive=positive)
    return _or_null(item, leaf, also_null=not positive)


def _prefix(column: str, text: Value, after: Value, *, positive: bool) -> Filter:
    if positive:
        below: Filter = Compare(column, Op.LT, after) if after is not None else ALWAYS
        return all_of((Compare(column, Op.GE, text), below))
    above: Filter = Compare(column, Op.GE, after) if after is not None else NEVER
    return any_of((Compare(column, Op.LT, text), above))


def _successor(text: str) -> str | None:
    """The least text greater than every text that begins with *text*; None when there is none."""
    text = text.rstrip(_HIGHEST)
    if not text:
        return None
    code = ord(text[-1]) + 1
    return text[:-1] + chr(0xE000 if code == 0xD800 else code)  # surrogates are no text


def _in_network(item: Field, network: object, *, positive: bool) -> Filter:
    if not isinstance(item.declared, f.Address):
        raise InvalidValue("is not an address", field=item.name)
    first, last = values.network_range(network, item.name)
    if positive:
        return And((Compare(item.order, Op.GE, first), Compare(item.order, Op.LE, last)))
    outside = Or((Compare(item.order, Op.LT, first), Compare(item.order, Op.GT, last)))
    return _or_null(item, outside, also_null=True)


def order_of(codec: Codec[Any], order: Sequence[str]) -> tuple[Order, ...]:
    """The waist's order for names like ``"-time"``; always total: the key ends it, in the last name's direction."""
    if isinstance(order, str):
        order = (order,)
    found = [Order(comparable(codec, name.removeprefix("-")).order, name.startswith("-")) for name in order]
    named = {item.column for item in found}
    if len(named) != len(found):
        raise InvalidValue(f"order names a field twice: {', '.join(order)}")
    # The last direction carries on, so that an index over the named field serves the whole order.
    descending = found[-1].descending if found else False
    key = [codec.kind.fields[name].order for name in codec.kind.keys]
    return (*found, *(Order(column, descending) for column in key if column not in named))
