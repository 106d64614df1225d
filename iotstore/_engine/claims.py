"""Idempotency keys: claimed first in the batch's own transaction, with a digest of the payload."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Final

import msgspec

from iotstore import _values as values
from iotstore._engine.engine import Engine
from iotstore._engine.receipts import Receipt
from iotstore._engine.repeating import repeating
from iotstore._engine.transaction import Transaction
from iotstore._kinds.system import CLAIMS, Claim
from iotstore._waist.filters import Compare, Op
from iotstore._waist.queries import OnConflict
from iotstore.errors import EngineError, IdempotencyConflict

# What can't be encoded will be rejected as a row; its text tells payloads apart well enough.
_encoder: Final = msgspec.json.Encoder(order="sorted", enc_hook=repr)


def payload_digest(what: str, payload: object) -> str:
    """A digest of a batch as it was handed in, for its idempotency key."""
    try:
        encoded = _encoder.encode([what, payload])
    except (
        UnicodeEncodeError,
        OverflowError,
    ):  # such a row will be rejected, and the batch may be repeated all the same
        encoded = repr([what, payload]).encode(errors="backslashreplace")
    return hashlib.blake2b(encoded, digest_size=16).hexdigest()


def run(engine: Engine, key: str | None, digest: Callable[[], str], work: Callable[[Transaction], Receipt]) -> Receipt:
    """Do *work* in a transaction; under a *key* that was used before return the first receipt instead."""
    if key is None:
        return repeating(engine, lambda: _unclaimed(engine, work))
    claim = Claim(key=values.check_text(key, "idempotency_key"), time=engine.clock.now(), digest=digest())
    return repeating(engine, lambda: _claimed(engine, claim, work))


def _unclaimed(engine: Engine, work: Callable[[Transaction], Receipt]) -> Receipt:
    with engine.writing() as transaction:
        return work(transaction)


def _claimed(engine: Engine, claim: Claim, work: Callable[[Transaction], Receipt]) -> Receipt:
    codec = engine.codec(CLAIMS)
    row = codec.encode(claim, 0, 0)
    with engine.writing() as transaction:
        session = transaction.session
        if session.insert_many(CLAIMS.layout, [row], OnConflict.KEEP):
            return _replay(engine, transaction, claim)
        receipt = work(transaction)
        where = Compare("key", Op.EQ, codec.hold(CLAIMS.layout.column("key").type, claim.key))
        session.update(CLAIMS.layout, where, codec.columns_of("receipt", receipt.as_json()))
        return receipt


def _replay(engine: Engine, transaction: Transaction, claim: Claim) -> Receipt:
    codec = engine.codec(CLAIMS)
    stored = transaction.session.get(CLAIMS.layout, (claim.key,))
    if stored is None:
        raise EngineError(f"the idempotency key {claim.key!r} was refused, but is not there")
    earlier = codec.decode(stored)
    if earlier.digest != claim.digest:
        raise IdempotencyConflict(
            f"the idempotency key {claim.key!r} was used for another payload at {earlier.time.isoformat()}",
            hint="use a new key for a new payload",
        )
    return Receipt.from_json(earlier.receipt)
