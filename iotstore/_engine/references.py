"""References between records: checked before a write, and the declared action performed on a deletion.

The core decides; an engine's own constraints are the backstop.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from iotstore._engine.engine import Engine
from iotstore._engine.transaction import Transaction
from iotstore._kinds.kind import Kind
from iotstore._kinds.relations import RELATIONS
from iotstore._query.lower import all_of, any_of
from iotstore._waist.filters import Compare, Filter, In, Op
from iotstore._waist.layout import Key, OnDelete, Row, Type, Value
from iotstore._waist.queries import Select, Touched
from iotstore.errors import StillReferenced


class _Pointing(NamedTuple):
    """A field that points to the kind whose records are deleted, named *noun*."""

    kind: Kind[Any]
    field: str
    action: OnDelete
    noun: str


def missing(
    engine: Engine, transaction: Transaction, kind: Kind[Any], rows: Sequence[Row]
) -> Iterator[tuple[int, str, Value]]:
    """Index, field and value of every reference in *rows* to a record that does not exist. What exists is held."""
    for field, (target_name, _) in kind.references.items():
        at = kind.layout.position[field]
        wanted = {row[at] for row in rows}
        wanted.discard(None)
        if not wanted:
            continue
        target = engine.kind(target_name)
        if target is kind:
            # Rows of one batch may point to each other.
            own = kind.layout.key_positions[0]
            wanted -= {row[own] for row in rows}
        keys: list[Key] = [(value,) for value in sorted(wanted)]
        found = transaction.session.get_many(target.layout, keys, hold=True) if keys else []
        absent = {key[0] for key, row in zip(keys, found, strict=True) if row is None}
        if absent:
            yield from ((index, field, row[at]) for index, row in enumerate(rows) if row[at] in absent)


def keys_filter(kind: Kind[Any], keys: Sequence[Key]) -> Filter:
    """The filter for exactly these records."""
    columns = kind.keys
    if len(columns) == 1:
        if len(keys) == 1:
            return Compare(columns[0], Op.EQ, keys[0][0])
        return In(columns[0], tuple(key[0] for key in keys))
    return any_of(all_of(Compare(c, Op.EQ, v) for c, v in zip(columns, key, strict=True)) for key in keys)


def delete(engine: Engine, transaction: Transaction, kind: Kind[Any], where: Filter) -> list[Touched]:
    """Delete the matching records, then do what the references to them ask for.

    In this order: a writer who was waited for may have added a record that points to one of these, and nobody can
    point to one that is deleted. When a reference refuses, the caller's part of the transaction takes all of it back.
    What follows is told before the deletion that asked for it: whoever repeats the changes never has a dangling one.
    """
    touched = transaction.session.delete(kind.layout, where)
    if touched:
        for pointing in _pointing_to(engine.kinds.values(), kind):
            _act(engine, transaction, pointing, tuple(one.key[0] for one in touched))
        if kind.name in engine.graph.nodes and RELATIONS.name in engine.kinds:
            _drop_relations(engine, transaction, kind, [one.key[0] for one in touched])
    if kind.tracked:
        for one in touched:
            transaction.changed(kind, one.key, one.version, "delete")
    return touched


def pointed_to(engine: Engine, kind: Kind[Any]) -> bool:
    """Whether the deletion of a record of this kind can ask for more than itself."""
    related = kind.name in engine.graph.nodes and RELATIONS.name in engine.kinds
    return related or any(True for _ in _pointing_to(engine.kinds.values(), kind))


def _drop_relations(engine: Engine, transaction: Transaction, kind: Kind[Any], keys: Sequence[Value]) -> None:
    """Delete the relations that name these records of *kind*, which are gone."""
    codec, session = engine.codec(RELATIONS), transaction.session
    of = kind.layout.column(kind.keys[0]).type
    texts = tuple(codec.hold(Type.TEXT, str(engine.codec(kind).free_of(of, key))) for key in keys)
    for end in ("source", "target"):
        at = Compare(f"{end}_kind", Op.EQ, codec.hold(Type.TEXT, kind.name))
        for row in session.select(RELATIONS.layout, Select(all_of([at, In(end, texts)]))):
            delete(engine, transaction, RELATIONS, keys_filter(RELATIONS, [RELATIONS.layout.key_of(row)]))


def _pointing_to(kinds: Iterable[Kind[Any]], target: Kind[Any]) -> Iterator[_Pointing]:
    for kind in kinds:
        for field, (name, action) in kind.references.items():
            if name == target.name and action is not OnDelete.KEEP:
                yield _Pointing(kind, field, action, target.noun)


def _act(engine: Engine, transaction: Transaction, pointing: _Pointing, values: tuple[Value, ...]) -> None:
    session, kind = transaction.session, pointing.kind
    where = In(pointing.field, values)
    match pointing.action:
        case OnDelete.CLEAR:
            for one in session.update(kind.layout, where, {pointing.field: None}):
                if kind.tracked:
                    transaction.changed(kind, one.key, one.version, "update")
        case OnDelete.CASCADE:
            delete(engine, transaction, kind, where)
        case _:
            # What goes in the same call is gone already, and asks for nothing any more.
            if session.select(kind.layout, Select(where, limit=1)):
                raise StillReferenced(
                    f"records of {kind.noun} point to this {pointing.noun} by {pointing.field}",
                    hint="delete or change them first",
                )
