"""Mutants of the network: trouble that is hidden, misnamed, waited out, half forgotten or never got over."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, Final

from iotstore import Busy, EngineError, Store, Unreachable
from iotstore.backend import WriteSession
from iotstore_conformance.hostile import Manner, behave
from iotstore_conformance.mutants.breaking import Breaking, Foreign
from iotstore_conformance.mutants.registry import mutant

_TROUBLE: Final = (Unreachable, Busy, EngineError)
_LISTS: Final = ("select", "get_many", "aggregate", "stream")
_ENDS: Final = ("commit", "rollback", "close", "savepoint", "release", "undo")
_LONG: Final = 300.0
_SOON: Final = 0.03


def _opened_with(breaking: Breaking, make: Callable[[Store], Manner]) -> None:
    """Every store that is opened behaves in a manner of its own."""

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store = right(url, **options)
        behave(store.backend, make(store))
        return store


class _Resigned(Manner):
    def __init__(self, _: Store) -> None:
        self._gone = False

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        if self._gone and name not in ("close", "rollback"):
            raise Unreachable("the connection was lost", hint="open the store again")
        try:
            return super().call(inner, name, args, options)
        except _TROUBLE:
            self._gone = True
            raise


@mutant(
    "a-lost-connection-stays-lost",
    kills=("SRV-001", "SRV-002", "SRV-003", "SRV-004", "SRV-010"),
    sentence="A store whose connection broke once never works again.",
)
def _stays_lost(breaking: Breaking) -> None:
    _opened_with(breaking, _Resigned)


class _Calm(Manner):
    def __init__(self, _: Store) -> None:
        self._lists = _LISTS

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return super().call(inner, name, args, options)
        except _TROUBLE:
            if name not in self._lists:
                raise
            return iter(()) if name == "stream" else []


@mutant(
    "a-broken-answer-is-an-empty-one",
    kills=("SRV-002", "SRV-003", "SRV-004", "SRV-005"),
    sentence="What could not be read is taken for nothing.",
)
def _empty(breaking: Breaking) -> None:
    _opened_with(breaking, _Calm)


class _Frank(Manner):
    def __init__(self, _: Store) -> None:
        self._raises = Foreign

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return super().call(inner, name, args, options)
        except _TROUBLE as error:
            raise self._raises("server closed the connection unexpectedly") from error


@mutant(
    "the-drivers-word-for-it",
    kills=("SRV-002", "SRV-003", "SRV-010"),
    sentence="A broken connection is told as the driver told it.",
)
def _drivers_word(breaking: Breaking) -> None:
    _opened_with(breaking, _Frank)


@mutant(
    "a-silent-server-is-waited-for",
    kills=("SRV-005", "SRV-006"),
    sentence="A server that says nothing is waited for as long as it takes, whatever the timeouts say.",
)
def _waits(breaking: Breaking) -> None:
    class Patient(Manner):
        def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            return _patiently(lambda: super(Patient, self).call(inner, name, args, options))

    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        store = _patiently(lambda: right(url, **options))
        behave(store.backend, Patient())
        return store


def _patiently(work: Callable[[], Any]) -> Any:
    """What *work* gives; where it gave up only after a while, it doesn't give up at all."""
    began = time.monotonic()
    try:
        return work()
    except _TROUBLE:
        if time.monotonic() - began > _SOON:
            threading.Event().wait(_LONG)
        raise


@mutant(
    "slow-answers-are-given-up",
    kills=("SRV-007",),
    sentence="An answer that takes a moment is given up, though the timeouts allow it.",
)
def _hasty(breaking: Breaking) -> None:
    class Hasty(Manner):
        def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
            began = time.monotonic()
            result = super().call(inner, name, args, options)
            if time.monotonic() - began > _SOON:
                raise Busy("the answer took too long", hint="retry")
            return result

    _opened_with(breaking, lambda _: Hasty())


class _Stubborn(Manner):
    """Goes on in a new session where one has broken, and takes its end for done."""

    def __init__(self, store: Store) -> None:
        self._write = store.backend.write

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        try:
            return super().call(inner, name, args, options)
        except _TROUBLE:
            if not isinstance(inner, WriteSession):
                raise
            if name in _ENDS:
                return None
            with self._write() as again:
                return getattr(again, name)(*args, **options)


@mutant(
    "transactions-go-on-over-another-connection",
    kills=("SRV-008",),
    sentence="A transaction that lost its connection goes on over a new one, with its second half.",
)
def _goes_on(breaking: Breaking) -> None:
    _opened_with(breaking, _Stubborn)


@mutant(
    "batches-are-sent-in-two-transactions",
    kills=("SRV-009",),
    sentence="A batch is stored in two transactions, of which the second may never come.",
)
def _in_two(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(self: Any, right: Any, records: Any, **options: Any) -> Any:
        key = options.get("idempotency_key")
        if key is None or self.kind.name != "suite_cell":
            return right(records, **options)
        half = len(records) // 2
        right(records[:half], **{**options, "idempotency_key": f"{key} begins"})
        return right(records[half:], **options)


@mutant(
    "every-trouble-costs-a-connection",
    kills=("SRV-011",),
    sentence="After each broken connection another store is opened, and kept.",
)
def _costs(breaking: Breaking) -> None:
    kept: list[Store] = []

    @breaking.opening
    def _open(right: Any, url: str, **asked: Any) -> Any:
        class Hoarding(Manner):
            def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
                try:
                    return super().call(inner, name, args, options)
                except _TROUBLE:
                    kept.append(right(url, **asked))
                    raise

        store = right(url, **asked)
        behave(store.backend, Hoarding())
        return store
