"""Relations that are written by hand: checked against the records they join, and against what comes by itself."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from iotstore._engine import batches, claims
from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._engine.receipts import OnInvalid, Receipt, check_on_invalid, settle
from iotstore._engine.transaction import Transaction
from iotstore._graph import naming
from iotstore._graph.holding import written_key
from iotstore._graph.naming import NodeLike
from iotstore._kinds.relating import SELF
from iotstore._kinds.relations import RELATIONS, Relation
from iotstore._waist.graph import NodeId
from iotstore.errors import InvalidValue, Rejected, UnknownReference


class WrittenRelations:
    """What is written by hand between records."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._relations = Collection(engine, RELATIONS)

    def relate(
        self,
        source: NodeLike,
        type: str,  # noqa: A002 - the field's name
        target: NodeLike,
        *,
        weight: float | None = None,
        properties: Any = None,
    ) -> Relation:
        """Write a relation, or give one that is there another *weight* and other *properties*.

        UnknownReference if one of the records does not exist. What comes from records by itself, such as who owns a
        device, is InvalidValue: the record is what to change.
        """
        record = self._named(source, type, target)
        record = msgspec.structs.replace(record, weight=weight, properties=properties)
        with self._engine.writing() as transaction:
            for _, field, reason in _problems(self._engine, transaction, [record]):
                raise UnknownReference(reason, field=field, hint="add it first")
            return self._relations.put(record)

    def relate_many(
        self, relations: Iterable[Relation], *, on_invalid: OnInvalid = "raise", idempotency_key: str | None = None
    ) -> Receipt:
        """Write many relations in one transaction. One that comes twice is a duplicate: the last one wins."""
        check_on_invalid(on_invalid)
        batch = list(relations)
        return claims.run(
            self._engine,
            idempotency_key,
            lambda: claims.payload_digest("relate", batch),
            lambda transaction: self._write(transaction, batch, on_invalid),
        )

    def relation(self, source: NodeLike, type: str, target: NodeLike) -> Relation | None:  # noqa: A002 - as above
        """A relation that was written by hand, with its properties; None if it was not."""
        return self._relations.find(_key(self._named(source, type, target)))

    def unrelate(self, source: NodeLike, type: str, target: NodeLike) -> None:  # noqa: A002 - as above
        """Delete a relation that was written by hand; NotFound if it was not."""
        self._relations.delete(_key(self._named(source, type, target)))

    def _named(self, source: NodeLike, type_: str, target: NodeLike) -> Relation:
        begins = naming.known_node(self._engine, source, "source")
        ends = naming.known_node(self._engine, target, "target")
        record = Relation(
            source_kind=begins[0], source=str(begins[1]), type=type_, target_kind=ends[0], target=str(ends[1])
        )
        _check_type(self._engine, record)
        return record

    def _write(self, transaction: Transaction, batch: Sequence[Relation], on_invalid: OnInvalid) -> Receipt:
        good, rejected = dict[int, Relation](), list[Rejected]()
        for index, record in enumerate(batch):
            try:
                self._engine.codec(RELATIONS).encode(record, 0, 0)
                _check_type(self._engine, record)
                good[index] = record
            except InvalidValue as error:
                rejected.append(Rejected(index, error.field, error.reason))
        places = list(good)
        for at, field, reason in _problems(self._engine, transaction, list(good.values())):
            if good.pop(places[at], None) is not None:
                rejected.append(Rejected(places[at], field, reason))
        settled = settle(rejected, len(batch), on_invalid)
        receipt = batches.put(self._engine, transaction, RELATIONS, list(good.values()), "raise")
        return replace(receipt, rejected=settled)


def _key(record: Relation) -> tuple[str, ...]:
    return record.source_kind, record.source, record.type, record.target_kind, record.target


def _check_type(engine: Engine, record: Relation) -> None:
    """Refuse what is no type, and a relation that comes from records by itself."""
    naming.check_type(record.type, "type")
    if (record.type, record.source_kind, record.target_kind) not in engine.graph.derived:
        return
    bond = next(
        one
        for one in engine.graph.bonds
        if (one.type, one.source, one.target) == (record.type, record.source_kind, record.target_kind)
    )
    field = bond.start if bond.end == SELF else bond.end
    raise InvalidValue(
        f"that a {record.source_kind} {record.type} a {record.target_kind} comes from records of {bond.kind.noun}",
        field="type",
        hint=f"set {field!r} of the {bond.kind.noun} instead",
    )


def _problems(engine: Engine, transaction: Transaction, records: Sequence[Relation]) -> list[tuple[int, str, str]]:
    """Index, field and reason of each end that does not exist. What exists is held."""
    ends: list[tuple[int, str, str, str, NodeId | None]] = []
    for index, one in enumerate(records):
        for name, kind, key in (("source", one.source_kind, one.source), ("target", one.target_kind, one.target)):
            ends.append((index, name, kind, key, written_key(engine, kind, key)))
    there: set[NodeId] = set()
    for node_kind in engine.graph.nodes.values():
        keys = sorted({node[1] for *_, node in ends if node is not None and node[0] == node_kind.name})
        rows = transaction.session.get_many(node_kind.layout, [(key,) for key in keys], hold=True) if keys else []
        there.update((node_kind.name, key) for key, row in zip(keys, rows, strict=True) if row is not None)
    nouns = {node_kind.name: node_kind.noun for node_kind in engine.graph.nodes.values()}
    return [
        (index, name, f"there is no {nouns.get(kind, kind)} {key!r}")
        for index, name, kind, key, node in ends
        if node is None or node not in there
    ]
