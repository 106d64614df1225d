"""Transactions that fail on purpose."""

from __future__ import annotations

from collections.abc import Callable

from iotstore import Store


class Abort(Exception):
    """Thrown to leave a transaction."""


def aborted(store: Store, work: Callable[[], object]) -> None:
    """Do *work* in a transaction and roll it back by an error, which has to come out of it."""
    try:
        with store.transaction():
            work()
            raise Abort("on purpose")  # noqa: TRY301 - the way out that is promised
    except Abort:
        return
    raise AssertionError("the transaction swallowed the error that ended it")
