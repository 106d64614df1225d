"""Cypher for what the core asks: filters, selections, positions in an order, aggregates. Every value is a parameter."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from iotstore.backend import (
    Aggregate,
    And,
    Bucketed,
    Buckets,
    Compare,
    Contains,
    Filter,
    Function,
    HasTag,
    In,
    IsNull,
    Layout,
    Measure,
    NotIn,
    NotNull,
    Op,
    Or,
    Order,
    Piece,
    Row,
    Select,
    Type,
    Value,
)
from iotstore_neo4j._names import Names, quoted

#: The language is named: what a database takes for its default differs between servers.
LANGUAGE: Final = "CYPHER 5 "
Parameters = dict[str, Any]


def spoken(text: str) -> Any:
    """A statement as the driver takes it: it asks for texts that stand in the source, and these are made of such."""
    return LANGUAGE + text


def bound(values: Parameters, value: Value) -> str:
    """A parameter with this value."""
    name = f"p{len(values)}"
    values[name] = value
    return f"${name}"


def where_text(where: Filter, values: Parameters) -> str:
    """The condition of a filter on the node ``n``. Nothing negates what may be null but leaves that are false then."""
    match where:
        case And(parts):
            return "(" + " AND ".join([where_text(part, values) for part in parts] or ["true"]) + ")"
        case Or(parts):
            return "(" + " OR ".join([where_text(part, values) for part in parts] or ["false"]) + ")"
    column = f"n.{quoted(where.column)}"
    match where:
        case Compare(_, op, value):
            return f"{column} {op} {bound(values, value)}"
        case In(_, several):
            return f"{column} IN {bound(values, list(several))}"
        case NotIn(_, several):
            return f"({column} IS NOT NULL AND NOT {column} IN {bound(values, list(several))})"
        case IsNull():
            return f"{column} IS NULL"
        case NotNull():
            return f"{column} IS NOT NULL"
        case Contains(_, text, negated):
            return f"({'NOT ' if negated else ''}{column} CONTAINS {bound(values, text)})"
        case HasTag(_, tag, negated):
            return f"({'NOT ' if negated else ''}{bound(values, tag)} IN {column})"


def columns_text(layout: Layout) -> str:
    """The values of a row, in the order of its columns."""
    return ", ".join(f"n.{quoted(name)} AS c{place}" for name, place in layout.position.items())


def order_text(layout: Layout, order: Sequence[Order]) -> str:
    """ORDER BY with NULL smallest, where Neo4j would put it last. Only what may be null loses its index by that."""
    terms: list[str] = []
    for name, descending in order:
        direction = " DESC" if descending else ""
        column = f"n.{quoted(name)}"
        if layout.column(name).nullable:
            terms.append(f"{column} IS NOT NULL{direction}")
        terms.append(column + direction)
    return " ORDER BY " + ", ".join(terms) if terms else ""


def match_text(names: Names, layout: Layout, where: Filter, values: Parameters) -> str:
    """MATCH of the nodes that pass a filter."""
    conditions = [where_text(where, values), *_said_too(layout, where)]
    return f"MATCH (n:{names.label(layout.name)}) WHERE {' AND '.join(conditions)}"


def _said_too(layout: Layout, where: Filter) -> list[str]:
    """What is true of every node and lets Neo4j use an index over several columns of which a filter names the first:
    it takes one only where something is said of each."""
    named = {part.column for part in _always(where) if isinstance(part, Compare | In)}
    found: dict[str, None] = {}
    for columns in (layout.key, *(index.columns for index in layout.indexes)):
        others = [name for name in columns if name not in named]
        if columns[0] in named and not any(layout.column(name).nullable for name in others):
            found.update(dict.fromkeys(others))
    return [f"n.{quoted(name)} IS NOT NULL" for name in found]


def _always(where: Filter) -> Iterator[Filter]:
    """The parts of a filter that hold for whatever passes it."""
    if isinstance(where, And):
        for part in where.all_of:
            yield from _always(part)
    else:
        yield where


def select_text(names: Names, layout: Layout, query: Select) -> tuple[str, Parameters]:
    """The statement of a selection and its parameters."""
    values: Parameters = {}
    text = match_text(names, layout, query.where, values)
    text += f" WITH n{order_text(layout, query.order)}" if query.order or query.limit is not None else ""
    if query.limit is not None:
        text += f" LIMIT {query.limit:d}"
    # Said twice: the order of a WITH is kept in fact, and promised only for what is ordered last.
    return f"{text} RETURN {columns_text(layout)}{order_text(layout, query.order)}", values


def key_text(layout: Layout, source: str) -> str:
    """The properties of a node's key, taken from the list *source*."""
    return "{" + ", ".join(f"{quoted(name)}: {source}[{place}]" for place, name in enumerate(layout.key)) + "}"


def get_text(names: Names, layout: Layout, *, many: bool) -> str:
    """The statement that finds the nodes of the keys $keys (of $key where it is one)."""
    if many:
        found = f"UNWIND $keys AS k MATCH (n:{names.label(layout.name)} {key_text(layout, 'k')})"
    else:
        found = f"MATCH (n:{names.label(layout.name)} {key_text(layout, '$key')})"
    return f"{found} RETURN {columns_text(layout)}"


def total_order(layout: Layout, order: Sequence[Order]) -> tuple[Order, ...]:
    """The order, ended by the key columns that it lacks."""
    named = {item.column for item in order}
    return (*order, *(Order(name) for name in layout.key if name not in named))


def after(order: Sequence[Order], layout: Layout, row: Row) -> Filter:
    """What comes after *row* in a total order."""
    if any(layout.column(name).nullable for name, _ in order):
        return _choices_after(order, layout, row)
    # Not as a choice of ranges: Neo4j would read all of them to sort what it found. So it begins in the middle of an
    # index, goes along it, and passes over the few rows that come before this one.
    values = [(name, descending, row[layout.position[name]]) for name, descending in order]
    parts: list[Filter] = []
    for place, (column, descending, value) in enumerate(values):
        last = place == len(values) - 1
        op = (Op.LT if last else Op.LE) if descending else (Op.GT if last else Op.GE)
        apart: list[Filter] = [Compare(name, Op.NE, other) for name, _, other in values[:place]]
        parts.append(Or((*apart, Compare(column, op, value))) if apart else Compare(column, op, value))
    return And(tuple(parts))


def _choices_after(order: Sequence[Order], layout: Layout, row: Row) -> Filter:
    choices: list[Filter] = []
    equal: list[Filter] = []
    for column, descending in order:
        value = row[layout.position[column]]
        if value is None:
            if not descending:
                choices.append(And((*equal, NotNull(column))))
            equal.append(IsNull(column))
            continue
        beyond: Filter = Compare(column, Op.LT if descending else Op.GT, value)
        if descending and layout.column(column).nullable:
            beyond = Or((beyond, IsNull(column)))
        choices.append(And((*equal, beyond)))
        equal.append(Compare(column, Op.EQ, value))
    return Or(tuple(choices))


# Aggregates -------------------------------------------------------------------------------------------------------


def aggregate_text(names: Names, layout: Layout, query: Aggregate) -> tuple[str, Parameters]:
    """The statement of an aggregate and its parameters."""
    values: Parameters = {}
    text = match_text(names, layout, query.where, values)
    results: list[str] = []
    for group in query.groups:
        if isinstance(group, Bucketed):
            time = f"n.{quoted(group.column)}"
            start, end = bound(values, group.buckets.start), bound(values, group.buckets.end)
            text += f" AND {time} >= {start} AND {time} < {end}"
            results.append(_bucket(time, group.buckets))
        else:
            results.append(f"n.{quoted(group)}")
    results += [_measure(layout, measure) for measure in query.measures]
    text += " RETURN " + ", ".join(f"{result} AS c{place}" for place, result in enumerate(results))
    text += _places_in_order(query.order)
    return (text if query.limit is None else f"{text} LIMIT {query.limit:d}"), values


def _places_in_order(order: Iterable[tuple[int, bool]]) -> str:
    terms: list[str] = []
    for place, descending in order:
        direction = " DESC" if descending else ""
        terms += [f"c{place} IS NOT NULL{direction}", f"c{place}{direction}"]
    return " ORDER BY " + ", ".join(terms) if terms else ""


def _bucket(time: str, buckets: Buckets) -> str:
    number = _piece(time, buckets.pieces, 0, len(buckets.pieces))
    if buckets.modulo is None:
        return number
    return f"((({number}) % {buckets.modulo:d} + {buckets.modulo:d}) % {buckets.modulo:d})"


def _piece(time: str, pieces: Sequence[Piece], low: int, high: int) -> str:
    # A binary tree: thousands of pieces cost a dozen comparisons for each node.
    if high - low == 1:
        start, width, first = pieces[low]
        return f"(({time} - ({start:d})) / {width:d} + ({first:d}))"
    middle = (low + high) // 2
    below, above = _piece(time, pieces, low, middle), _piece(time, pieces, middle, high)
    return f"CASE WHEN {time} < ({pieces[middle].start:d}) THEN {below} ELSE {above} END"


def _measure(layout: Layout, measure: Measure) -> str:
    if measure.column is None:
        return "count(*)"
    column = f"n.{quoted(measure.column)}"
    if layout.column(measure.column).type is Type.BOOL and measure.function is Function.SUM:
        column = f"CASE {column} WHEN true THEN 1 WHEN false THEN 0 END"
    match measure.function:
        case Function.COUNT:
            return f"count({column})"
        case Function.COUNT_DISTINCT:
            return f"count(DISTINCT {column})"
        case Function.SUM_HIGH:
            # A quotient is cut towards zero; the floor is asked for, and no step of this leaves 64 bits.
            column = f"CASE WHEN {column} < 0 THEN ({column} + 1) / 4294967296 - 1 ELSE {column} / 4294967296 END"
        case Function.SUM_LOW:
            column = f"({column} % 4294967296 + 4294967296) % 4294967296"
        case Function.MIN | Function.MAX:
            return f"{measure.function}({column})"
        case Function.SUM:
            pass
    # The sum of nothing is 0 here, and missing in the contract.
    return f"CASE count({column}) WHEN 0 THEN null ELSE sum({column}) END"
