"""Collection: every operation on the records of one kind, the same for built-in kinds and an application's own."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Generic, TypeVar

from iotstore._engine import batches, claims, references
from iotstore._engine.aggregates import Question, run_aggregate
from iotstore._engine.batches import KeepOrError, key_exists, refuse_reference
from iotstore._engine.engine import Engine
from iotstore._engine.receipts import OnInvalid, Receipt, check_on_invalid
from iotstore._engine.repeating import repeated
from iotstore._engine.transaction import Transaction
from iotstore._kinds.kind import VERSION, Kind, Record
from iotstore._query import paging
from iotstore._query.expressions import Where
from iotstore._query.grouping import Group, MeasureOf
from iotstore._query.lower import all_of, known_field, lower, order_of
from iotstore._query.paging import Page
from iotstore._waist.filters import Compare, Filter, Op
from iotstore._waist.layout import Key, Row
from iotstore._waist.queries import Aggregate, Function, Measure, Select
from iotstore.errors import Conflict, InvalidValue, NotFound, VersionConflict

R = TypeVar("R", bound=Record)


class Collection(Generic[R]):
    """The records of one kind in one store. A *key* is the key field's value, or a tuple for a composed key."""

    def __init__(self, engine: Engine, kind: Kind[R]) -> None:
        self._engine = engine
        self._codec = engine.codec(kind)
        #: The kind of the records.
        self.kind = kind

    @repeated
    def add(self, record: R) -> R:
        """Store a new record, returned as stored. Conflict if its key exists, UnknownReference if it points nowhere."""
        kind = self.kind
        row = self._encode(record)
        with self._engine.writing() as transaction:
            row = self._numbered(transaction, row)
            self._check_references(transaction, [row])
            try:
                transaction.session.insert(kind.layout, row)
            except Conflict as error:
                raise key_exists(kind, kind.layout.key_of(row)) from error
            if kind.tracked:
                transaction.changed(kind, kind.layout.key_of(row), row[-1], "insert")
            self._added(transaction, [row])
        return self._codec.decode(row)

    @repeated
    def put(self, record: R) -> R:
        """Store a record, or merge it into the one with its key by the kind's rules. Returns what is stored now."""
        kind = self.kind
        self._refuse_put()
        row = self._encode(record)
        with self._engine.writing() as transaction:
            row = self._numbered(transaction, row)
            if kind.references:
                self._check_references(transaction, [row])
            ((stored, inserted),) = transaction.session.upsert(kind.layout, [row])
            if kind.tracked:
                transaction.changed(kind, kind.layout.key_of(stored), stored[-1], "insert" if inserted else "update")
        return self._codec.decode(stored)

    def add_many(
        self,
        records: Iterable[R],
        *,
        on_invalid: OnInvalid = "raise",
        on_conflict: KeepOrError = "error",
        idempotency_key: str | None = None,
        ids: bool = False,
    ) -> Receipt:
        """Store new records in one transaction. The receipt counts stored, duplicate and rejected rows.

        *on_conflict* says whether a key that exists is an error or a duplicate to leave out; with *ids* the receipt
        names the generated ids. Under an *idempotency_key* a repeated call stores nothing and returns the first
        receipt.
        """
        check_on_invalid(on_invalid)
        if on_conflict not in ("error", "keep"):
            raise InvalidValue(f'{on_conflict!r} is neither "error" nor "keep"', field="on_conflict")
        batch = list(records)
        return claims.run(
            self._engine,
            idempotency_key,
            lambda: claims.payload_digest(f"add {self.kind.name}", batch),
            lambda transaction: batches.add(
                self._engine,
                transaction,
                self.kind,
                batch,
                on_invalid=on_invalid,
                on_conflict=on_conflict,
                ids=ids,
                added=self._added,
            ),
        )

    def put_many(
        self, records: Iterable[R], *, on_invalid: OnInvalid = "raise", idempotency_key: str | None = None
    ) -> Receipt:
        """Put records in one transaction; of a key that comes twice the last one wins and the others are duplicates."""
        check_on_invalid(on_invalid)
        self._refuse_put()
        batch = list(records)
        return claims.run(
            self._engine,
            idempotency_key,
            lambda: claims.payload_digest(f"put {self.kind.name}", batch),
            lambda transaction: batches.put(self._engine, transaction, self.kind, batch, on_invalid),
        )

    def get(self, key: object) -> R:
        """The record with this key; NotFound if there is none."""
        with self._engine.reading() as session:
            row = session.get(self.kind.layout, self._codec.key(key))
        if row is None:
            raise NotFound(self.kind.noun, key)
        return self._codec.decode(row)

    def find(self, key: object) -> R | None:
        """The record with this key, or None."""
        held = self._codec.key(key)
        with self._engine.reading() as session:
            row = session.get(self.kind.layout, held)
        return None if row is None else self._codec.decode(row)

    def get_many(self, keys: Iterable[object]) -> builtins.list[R | None]:
        """The records with these keys, in their order, None where there is none."""
        held = [self._codec.key(key) for key in keys]
        if not held:
            return []
        with self._engine.reading() as session:
            rows = session.get_many(self.kind.layout, held)
        return [None if row is None else self._codec.decode(row) for row in rows]

    @repeated
    def update(self, key: object, /, *, expected: int | None = None, **changes: object) -> R:
        """Set fields of one record and return it. NotFound for an unknown key; with *expected* VersionConflict when
        the record has another version by now."""
        held = self._codec.key(key)
        columns = self._columns(changes)
        with self._engine.writing() as transaction:
            self._check_changed_references(transaction, columns)
            where = self._guard(held, expected)
            touched = transaction.session.update(self.kind.layout, where, columns)
            row = transaction.session.get(self.kind.layout, held)
            if not touched or row is None:
                raise self._why_untouched(key, row, expected)
            if self.kind.tracked:
                transaction.changed(self.kind, held, touched[0].version, "update")
        return self._codec.decode(row)

    @repeated
    def update_where(self, where: Where, /, **changes: object) -> int:
        """Set fields of every matching record; returns how many there were."""
        lowered = lower(self._codec, where)
        columns = self._columns(changes)
        with self._engine.writing() as transaction:
            self._check_changed_references(transaction, columns)
            touched = transaction.session.update(self.kind.layout, lowered, columns)
            if self.kind.tracked:
                for one in touched:
                    transaction.changed(self.kind, one.key, one.version, "update")
        return len(touched)

    @repeated
    def delete(self, key: object, *, expected: int | None = None) -> None:
        """Delete one record. NotFound for an unknown key, StillReferenced if others point to it and may not be left."""
        held = self._codec.key(key)
        with self._engine.writing() as transaction:
            if not references.delete(self._engine, transaction, self.kind, self._guard(held, expected)):
                raise self._why_untouched(key, transaction.session.get(self.kind.layout, held), expected)

    @repeated
    def delete_where(self, where: Where) -> int:
        """Delete every matching record; returns how many there were."""
        lowered = lower(self._codec, where)
        with self._engine.writing() as transaction:
            return len(references.delete(self._engine, transaction, self.kind, lowered))

    def page(
        self, where: Where | None = None, *, order: Sequence[str] = (), limit: int = 100, after: str | None = None
    ) -> Page[R]:
        """A page of matching records in *order* (``"-time"`` descends); *after* is the ``next`` of the page before."""
        size = paging.check_limit(limit)
        rows, total = self._rows_after(where, order, size + 1, after)
        more = paging.cursor_of(self._codec, total, rows[size - 1]) if len(rows) > size else None
        return Page([self._codec.decode(row) for row in rows[:size]], more)

    def list(
        self, where: Where | None = None, *, order: Sequence[str] = (), limit: int | None = None
    ) -> builtins.list[R]:
        """Every matching record, or the first *limit*, in *order*."""
        if limit is not None and (isinstance(limit, bool) or limit < 0):
            raise InvalidValue(f"{limit!r} is no number of records", field="limit")
        query = Select(lower(self._codec, where), order_of(self._codec, order), limit)
        with self._engine.reading() as session:
            rows = session.select(self.kind.layout, query)
        decode = self._codec.decode
        return [decode(row) for row in rows]

    def first(self, where: Where | None = None, *, order: Sequence[str] = ()) -> R | None:
        """The first matching record in *order*, or None."""
        found = self.list(where, order=order, limit=1)
        return found[0] if found else None

    def stream(self, where: Where | None = None, *, order: Sequence[str] = (), rows: int = 1000) -> Iterator[R]:
        """Every matching record in *order*, from one committed state where the backend can, in bounded memory."""
        query = Select(lower(self._codec, where), order_of(self._codec, order))
        return self._stream(query, paging.check_limit(rows))

    def _stream(self, query: Select, rows: int) -> Iterator[R]:
        decode = self._codec.decode
        with self._engine.consistent() as session:
            for chunk in session.stream(self.kind.layout, query, rows):
                for row in chunk:
                    yield decode(row)

    def count(self, where: Where | None = None) -> int:
        """How many records match."""
        query = Aggregate((), (Measure(Function.COUNT),), lower(self._codec, where))
        with self._engine.reading() as session:
            ((count,),) = session.aggregate(self.kind.layout, query)
        return int(count)

    def aggregate(
        self,
        measures: Mapping[str, MeasureOf],
        *,
        by: Sequence[str | Group] = (),
        where: Where | None = None,
        order: Sequence[str] = (),
        limit: int | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        exact: bool = False,
    ) -> builtins.list[dict[str, Any]]:
        """Groups of the matching records, each a dict of the *by* names and the *measures* by their names.

        *by* holds field names, ``every("time", "day", zone=...)`` and ``part("time", "hour", zone=...)``; *start* and
        *end* bound the time field those name. *order* names results (``"-total"``), by default the groups in order.
        Sums and means of doubles agree between backends to 1e-12 of the sum of absolute values; with *exact*, to the
        bit.
        """
        lowered = lower(self._codec, where)
        question = Question(measures, by, lowered, order, limit, start, end, exact)
        return run_aggregate(self._engine, self._codec, question)

    def _added(self, transaction: Transaction, rows: Sequence[Row]) -> None:
        """Called with new rows in the transaction that stores them, for what follows from them."""

    def _encode(self, record: R) -> Row:
        """The row of a record, checked before anything is locked for it."""
        return self._codec.encode(record, 0, 0)

    def _numbered(self, transaction: Transaction, row: Row) -> Row:
        """The row with its id and version, taken inside the transaction: one waited for may have raised the version."""
        if self.kind.generated is not None:
            at = self.kind.layout.position[self.kind.generated]
            row = (*row[:at], transaction.next_ids(self.kind, 1)[0], *row[at + 1 :])
        return (*row[:-1], transaction.next_version()) if self.kind.tracked else row

    def _rows_after(
        self, where: Where | None, order: Sequence[str], limit: int, cursor: str | None
    ) -> tuple[builtins.list[Row], tuple[Any, ...]]:
        total = order_of(self._codec, order)
        condition: Filter = lower(self._codec, where)
        if cursor is not None:
            position = paging.read_cursor(self._codec, total, cursor)
            condition = all_of([condition, paging.after(self._codec, total, position)])
        with self._engine.reading() as session:
            return session.select(self.kind.layout, Select(condition, total, limit)), total

    def _columns(self, changes: Mapping[str, object]) -> dict[str, Any]:
        columns: dict[str, Any] = {}
        for name, value in changes.items():
            known_field(self._codec, name)
            if name in self.kind.keys or name in (VERSION, self.kind.generated):
                raise InvalidValue("can't be changed", field=name, hint="it says which record this is")
            columns.update(self._codec.columns_of(name, value))
        if not columns:
            raise InvalidValue("an update names no field")
        return columns

    def _guard(self, held: Key, expected: int | None) -> Filter:
        where = references.keys_filter(self.kind, [held])
        if expected is None:
            return where
        if not self.kind.tracked:
            raise InvalidValue(f"a {self.kind.noun} has no version", field="expected")
        return all_of([where, Compare(VERSION, Op.EQ, expected)])

    def _why_untouched(self, key: object, row: Row | None, expected: int | None) -> NotFound | VersionConflict:
        if row is None or expected is None:
            return NotFound(self.kind.noun, key)
        return VersionConflict(self.kind.noun, key, expected, row[-1])

    def _check_references(self, transaction: Transaction, rows: builtins.list[Row]) -> None:
        for _, field, value in references.missing(self._engine, transaction, self.kind, rows):
            raise refuse_reference(self._engine, self.kind, field, value)

    def _check_changed_references(self, transaction: Transaction, columns: Mapping[str, Any]) -> None:
        for field, (target, _) in self.kind.references.items():
            value = columns.get(field)
            if value is not None:
                layout = self._engine.kind(target).layout
                if transaction.session.get_many(layout, [(value,)], hold=True)[0] is None:
                    raise refuse_reference(self._engine, self.kind, field, value)

    def _refuse_put(self) -> None:
        if self.kind.generated in self.kind.keys:
            raise InvalidValue(f"a {self.kind.noun} has a generated key and can't be put", hint="use add() or update()")
