"""What an upsert does with a record that exists, by the merge rule of each column: in Cypher, and in Python."""

from __future__ import annotations

from iotstore.backend import Layout, Merge, Row, Value
from iotstore_neo4j._names import quoted


def merge_term(layout: Layout, name: str) -> str | None:
    """What an upsert does with a column of a record that exists; None where it does nothing."""
    column, held, new = layout.column(name), f"n.{quoted(name)}", f"r[{layout.position[name]}]"
    if name in layout.key:
        return None
    if name == layout.version:
        return f"{held} = {held} + 1"
    match column.merge:
        case Merge.REPLACE:
            return f"{held} = {new}"
        case Merge.KEEP:
            return None
        case Merge.COALESCE:
            return f"{held} = coalesce({new}, {held})"
        case Merge.MIN:
            return f"{held} = CASE WHEN {held} IS NULL OR {new} < {held} THEN {new} ELSE {held} END"
        case Merge.MAX:
            return f"{held} = CASE WHEN {held} IS NULL OR {new} > {held} THEN {new} ELSE {held} END"


def merged_row(layout: Layout, held: Row, new: Row) -> Row:
    """What an upsert will make of a row, as far as unique rules are concerned."""
    return tuple(
        old if name in layout.key else _merged(layout.column(name).merge, old, one)
        for name, old, one in zip(layout.position, held, new, strict=True)
    )


def _merged(rule: Merge, held: Value, new: Value) -> Value:
    match rule:
        case Merge.REPLACE:
            return new
        case Merge.KEEP:
            return held
        case _ if held is None or new is None:
            return held if new is None else new
        case Merge.COALESCE:
            return new
        case Merge.MIN:
            return min(held, new)
        case Merge.MAX:
            return max(held, new)
