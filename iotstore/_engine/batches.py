"""Batches of records: encode, find duplicates, check references, store, and say exactly what happened."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, TypeAlias, TypeVar

from iotstore._engine import references
from iotstore._engine.engine import Engine
from iotstore._engine.receipts import OnInvalid, Receipt, settle
from iotstore._engine.transaction import Transaction
from iotstore._kinds.kind import Kind, Record
from iotstore._waist.layout import Key, Row
from iotstore._waist.queries import OnConflict
from iotstore.errors import Conflict, InvalidValue, Rejected, UnknownReference

R = TypeVar("R", bound=Record)
KeepOrError: TypeAlias = Literal["error", "keep"]


class Encoded:
    """The good rows of a batch with their indexes in it, and the rejected ones."""

    __slots__ = ("indexes", "rejected", "rows", "total")

    def __init__(self, total: int) -> None:
        self.rows: list[Row] = []
        self.indexes: list[int] = []
        self.rejected: list[Rejected] = []
        self.total = total

    def drop(self, positions: Iterable[tuple[int, str, str]]) -> None:
        """Move rows, by position, to the rejected ones."""
        bad = {position: (field, reason) for position, field, reason in reversed(list(positions))}
        if not bad:
            return
        self.rejected += [Rejected(self.indexes[at], *bad[at]) for at in bad]
        self.rows = [row for at, row in enumerate(self.rows) if at not in bad]
        self.indexes = [index for at, index in enumerate(self.indexes) if at not in bad]


def encode(engine: Engine, transaction: Transaction, kind: Kind[R], records: Sequence[R]) -> Encoded:
    """Check and encode every record; number those of a kind with generated ids."""
    codec = engine.codec(kind)
    one = codec.encode
    batch = Encoded(len(records))
    rows, indexes = batch.rows, batch.indexes
    numbers = iter(transaction.next_ids(kind, len(records)) if kind.generated else ())
    version = 0
    for index, record in enumerate(records):
        if kind.tracked:
            version = transaction.next_version()
        try:
            rows.append(one(record, version, next(numbers, 0)))
        except InvalidValue as error:
            batch.rejected.append(Rejected(index, error.field, error.reason))
        else:
            indexes.append(index)
    return batch


def check_references(engine: Engine, transaction: Transaction, kind: Kind[Any], batch: Encoded) -> None:
    """Reject rows that point to records that do not exist."""
    again = bool(kind.references)
    while again:
        before = len(batch.rows)
        batch.drop(
            (at, field, f"there is no {engine.kind(kind.references[field][0]).noun} {value!r}")
            for at, field, value in references.missing(engine, transaction, kind, batch.rows)
        )
        # A row that is dropped may be what others of the batch point to.
        again = len(batch.rows) < before and any(target == kind.name for target, _ in kind.references.values())


def add(
    engine: Engine,
    transaction: Transaction,
    kind: Kind[R],
    records: Sequence[R],
    *,
    on_invalid: OnInvalid,
    on_conflict: KeepOrError,
    ids: bool,
    added: Callable[[Transaction, Sequence[Row]], None] | None = None,
) -> Receipt:
    """Insert records. A key that is there, or comes twice in the batch, is a duplicate (the first wins) or an error."""
    batch = encode(engine, transaction, kind, records)
    check_references(engine, transaction, kind, batch)
    rejected = settle(batch.rejected, batch.total, on_invalid)
    conflict = OnConflict(on_conflict)
    rows, repeats = (batch.rows, 0) if kind.generated in kind.keys else _first_of_each(kind, batch.rows, conflict)
    stored, kept_out = 0, set[int]()
    size = engine.backend.limits.insert_rows
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        try:
            left_out = transaction.session.insert_many(kind.layout, chunk, conflict)
        except Conflict as error:
            raise _first_conflict(transaction, kind, chunk) from error
        kept_out.update(start + at for at in left_out)
        stored += len(chunk) - len(left_out)
    if kind.tracked:
        _note_inserts(transaction, kind, rows, kept_out)
    if added is not None:
        added(transaction, [row for place, row in enumerate(rows) if place not in kept_out] if kept_out else rows)
    numbers: tuple[int, ...] | None = None
    if ids and kind.generated:
        at = kind.layout.position[kind.generated]
        numbers = tuple(row[at] for place, row in enumerate(rows) if place not in kept_out)
    return Receipt(stored, repeats + len(kept_out), rejected, ids=numbers)


def put(
    engine: Engine, transaction: Transaction, kind: Kind[R], records: Sequence[R], on_invalid: OnInvalid
) -> Receipt:
    """Upsert records by the kind's merge rules. Of a key that is twice in the batch the last record wins."""
    batch = encode(engine, transaction, kind, records)
    check_references(engine, transaction, kind, batch)
    rejected = settle(batch.rejected, batch.total, on_invalid)
    last = {kind.layout.key_of(row): row for row in batch.rows}
    # Sorted, so that two writers with overlapping batches take their locks in one order and never deadlock.
    rows = [last[key] for key in sorted(last)]
    size, inserted = engine.backend.limits.insert_rows, 0
    for start in range(0, len(rows), size):
        for row, is_new in transaction.session.upsert(kind.layout, rows[start : start + size]):
            inserted += is_new
            if kind.tracked:
                transaction.changed(kind, kind.layout.key_of(row), row[-1], "insert" if is_new else "update")
    return Receipt(len(rows), len(batch.rows) - len(rows), rejected, replaced=len(rows) - inserted)


def _first_of_each(kind: Kind[Any], rows: list[Row], conflict: OnConflict) -> tuple[list[Row], int]:
    first: dict[Row, Row] = {}
    for row in rows:
        first.setdefault(kind.layout.key_of(row), row)
    if len(first) < len(rows) and conflict is OnConflict.ERROR:
        raise Conflict(
            f"{len(rows) - len(first)} rows of the batch repeat the key of another {kind.noun}",
            hint='leave them out, or pass on_conflict="keep"',
        )
    return [first[key] for key in sorted(first)] if kind.generated is None else list(first.values()), len(rows) - len(
        first
    )


def _note_inserts(transaction: Transaction, kind: Kind[Any], rows: Sequence[Row], kept_out: set[int]) -> None:
    for place, row in enumerate(rows):
        if place not in kept_out:
            transaction.changed(kind, kind.layout.key_of(row), row[-1], "insert")


def key_exists(kind: Kind[Any], key: Key) -> Conflict:
    """The error for a new record whose key is there already."""
    shown = key[0] if len(key) == 1 else key
    return Conflict(
        f"a {kind.noun} with key {shown!r} exists already",
        hint='change it with update() or put(), or leave such rows of a batch out with on_conflict="keep"',
    )


def _first_conflict(transaction: Transaction, kind: Kind[Any], rows: Sequence[Row]) -> Conflict:
    keys = [kind.layout.key_of(row) for row in rows]
    found = transaction.session.get_many(kind.layout, keys)
    there = [key for key, row in zip(keys, found, strict=True) if row is not None]
    # A rival may have taken its record back meanwhile; then the first key stands for the batch.
    return key_exists(kind, (there or keys)[0])


def refuse_reference(engine: Engine, kind: Kind[Any], field: str, value: object) -> UnknownReference:
    """The error for a single record that points to nothing."""
    noun = engine.kind(kind.references[field][0]).noun
    return UnknownReference(f"there is no {noun} {value!r}", field=field, hint=f"add the {noun} first")
