"""Mutants of batches: receipts that don't add up, torn and cut batches, idempotency keys that prove nothing."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Any

from iotstore import BatchRejected, Conflict, IdempotencyConflict, InvalidValue, Receipt, StoreError
from iotstore.backend import ALWAYS, Filter, Layout, OnConflict
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant


@mutant(
    "duplicates-count-as-stored",
    kills=("RCP-001", "CNC-003"),
    sentence="A receipt counts a record that was there already as stored.",
)
def _counted(breaking: Breaking) -> None:
    @breaking.wrong("writer", "insert_many")
    def _insert_many(_self: Any, right: Any, layout: Layout, rows: Any, conflict: OnConflict) -> Any:
        refused = right(layout, rows, conflict)
        return [] if layout.name.startswith("suite") else refused


@mutant(
    "the-last-wins-under-keep",
    kills=("RCP-002",),
    sentence="Of a key that repeats inside a batch that keeps, the last one is stored.",
)
def _last(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        return right(batch[::-1] if options.get("on_conflict") == "keep" else batch, **options)


@mutant(
    "the-first-wins-under-put", kills=("RCP-003",), sentence="Of a key that repeats in a batch of puts the first wins."
)
def _first(breaking: Breaking) -> None:
    @breaking.wrong("collection", "put_many")
    def _put_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        return right(list(records)[::-1], **options)


@mutant(
    "batches-are-torn",
    kills=("RCP-004", "RCP-009", "TXN-032"),
    sentence="A batch that is refused leaves its first record behind.",
)
def _torn(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        try:
            return right(batch, **options)
        except (Conflict, BatchRejected):
            with suppress(StoreError):
                self.add(batch[0])
            raise


@mutant(
    "rejected-rows-are-not-told",
    kills=("RCP-005", "RCP-001", "CON-001"),
    sentence="A receipt says nothing of rows that were rejected.",
)
def _untold(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        return replace(right(records, **options), rejected=())


@mutant("the-first-bad-row-ends-it", kills=("RCP-006",), sentence="Of several bad rows only the first is reported.")
def _one_bad_row(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        try:
            return right(batch, **options)
        except BatchRejected as error:
            raise BatchRejected(error.rejected[:1], len(batch)) from error


@mutant(
    "puts-skip-bad-rows", kills=("RCP-007",), sentence="A batch of puts leaves bad rows out without being asked to."
)
def _skipped(breaking: Breaking) -> None:
    @breaking.wrong("collection", "put_many")
    def _put_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        return right(records, **{**options, "on_invalid": "reject"})


@mutant("empty-batches-are-refused", kills=("RCP-008",), sentence="An empty batch is an error.")
def _empty(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        if not batch:
            raise InvalidValue("a batch without rows")
        return right(batch, **options)


@mutant(
    "batches-end-at-ten-thousand",
    kills=("CON-004", "RCP-009"),
    sentence="Of a call with more than 10,000 rows the rest is dropped, and the receipt says it is stored.",
)
def _cut(breaking: Breaking) -> None:
    places: dict[str, int] = {}

    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        places.clear()
        return right(records, **options)

    @breaking.wrong("writer", "insert_many")
    def _insert_many(_self: Any, right: Any, layout: Layout, rows: Any, conflict: OnConflict) -> Any:
        room = max(0, 10_000 - places.get(layout.name, 0))
        places[layout.name] = places.get(layout.name, 0) + len(rows)
        return right(layout, rows[:room], conflict) if rows[:room] else []


@mutant("ids-come-in-any-order", kills=("RCP-010",), sentence="A receipt lists the ids of a batch backwards.")
def _backwards(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        receipt = right(records, **options)
        return receipt if receipt.ids is None else replace(receipt, ids=receipt.ids[::-1])


@mutant(
    "idempotency-keys-are-ignored",
    kills=("RCP-020", "RCP-021", "RCP-024", "RCP-025", "CNC-012"),
    sentence="An idempotency key of records does nothing.",
)
def _ignored(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        return right(records, **{**options, "idempotency_key": None})


@mutant(
    "idempotency-keys-fit-any-payload",
    kills=("RCP-021",),
    sentence="An idempotency key that was used for another payload answers as if that had been stored.",
)
def _any_payload(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        try:
            return right(batch, **options)
        except IdempotencyConflict:
            return Receipt(len(batch), replayed=True)


@mutant(
    "keys-are-claimed-before-the-batch",
    kills=("RCP-022", "RCP-023", "FLT-010"),
    sentence="An idempotency key stays claimed when its batch failed or was rolled back.",
)
def _claimed(breaking: Breaking) -> None:
    claimed: dict[object, Any] = {}

    def _sent(_self: Any, right: Any, rows: Any, **options: Any) -> Any:
        key = options.get("idempotency_key")
        if key is None:
            return right(rows, **options)
        if key in claimed:
            return claimed[key]
        claimed[key] = Receipt(0, replayed=True)
        return right(rows, **options)

    breaking.wrong("collection", "add_many")(_sent)
    breaking.wrong("telemetry", "write")(_sent)


@mutant(
    "keys-go-with-their-rows", kills=("RCP-024",), sentence="Deleting records makes every idempotency key free again."
)
def _gone(breaking: Breaking) -> None:
    claims: list[Layout] = []

    @breaking.wrong("writer", "insert_many")
    def _insert_many(_self: Any, right: Any, layout: Layout, rows: Any, conflict: OnConflict) -> Any:
        if layout.name == "claim":
            claims.append(layout)
        return right(layout, rows, conflict)

    @breaking.wrong("writer", "delete")
    def _delete(_self: Any, right: Any, layout: Layout, where: Filter) -> Any:
        for claim in claims:
            right(claim, ALWAYS)
        return right(layout, where)
