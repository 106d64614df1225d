"""Mutants of transactions, threads and handles: halves that stay, locks that stay, states that move."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import Any

from iotstore import Busy, InvalidValue
from iotstore.backend import Layout
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant
from iotstore_conformance.mutants.shapes import owners


@mutant(
    "rollback-commits",
    kills=("TXN-001", "TXN-002", "TXN-005", "TXN-007", "TXN-010", "TXN-011", "FLT-002", "FLT-015", "CNC-103"),
    sentence="A transaction that fails is committed as far as it came.",
)
def _committed(breaking: Breaking) -> None:
    ended: list[object] = []

    @breaking.wrong("writer", "commit", "rollback")
    def _end(self: Any, right: Any) -> None:
        if right.__name__ == "rollback" and not any(session is self for session in ended):
            self.commit()
            return
        ended.append(self)
        right()


@mutant(
    "transactions-do-not-see-themselves",
    kills=("TXN-003",),
    sentence="A selection inside a transaction sees the state before it.",
)
def _blind(breaking: Breaking) -> None:
    inside = threading.local()
    sessions: list[tuple[object, Any]] = []

    @breaking.wrong("store", "transaction")
    def _transaction(_self: Any, right: Any) -> Any:
        @contextmanager
        def block() -> Any:
            with right() as transaction:
                inside.deep = True
                try:
                    yield transaction
                finally:
                    inside.deep = False

        return block()

    @breaking.wrong("backend", "write")
    def _write(self: Any, right: Any) -> Any:
        session = right()
        sessions.append((session, self))
        return session

    @breaking.wrong("session", "select")
    def _select(self: Any, right: Any, layout: Layout, query: Any) -> Any:
        backend = next((backend for session, backend in sessions if session is self), None)
        if backend is None or not getattr(inside, "deep", False):
            return right(layout, query)
        with backend.read() as outside:
            return outside.select(layout, query)


@mutant(
    "a-refused-call-spoils-the-transaction",
    kills=("TXN-004",),
    sentence="After a call that was refused its transaction is rolled back at its end, and nobody is told.",
)
def _spoilt(breaking: Breaking) -> None:
    spoilt = threading.local()

    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        try:
            return right(record)
        except InvalidValue:
            spoilt.now = True
            raise

    @breaking.wrong("store", "transaction")
    def _transaction(_self: Any, right: Any) -> Any:
        spoilt.now = False
        return right()

    @breaking.wrong("writer", "commit")
    def _commit(self: Any, right: Any) -> None:
        if getattr(spoilt, "now", False):
            self.rollback()
        else:
            right()


@mutant(
    "a-failure-leaves-its-lock",
    kills=("TXN-005", "TXN-010", "FLT-001", "FLT-002"),
    sentence="After a transaction that failed no other thread can write.",
)
def _locked(breaking: Breaking) -> None:
    holders: list[int] = []
    ended: list[object] = []

    @breaking.wrong("writer", "commit", "rollback")
    def _end(self: Any, right: Any) -> None:
        if right.__name__ == "rollback" and not any(session is self for session in ended):
            holders.append(threading.get_ident())
        ended.append(self)
        right()

    @breaking.wrong("backend", "write")
    def _write(_self: Any, right: Any) -> Any:
        if holders and threading.get_ident() not in holders:
            raise Busy("another thread holds the store")
        return right()


@mutant(
    "savepoints-keep-everything",
    kills=("TXN-006", "TXN-008", "MOD-001"),
    sentence="A nested transaction that fails keeps its changes.",
)
def _kept(breaking: Breaking) -> None:
    @breaking.wrong("writer", "undo")
    def _undo(self: Any, _right: Any) -> None:
        self.release()


@mutant(
    "readers-see-the-unfinished",
    kills=("TXN-010", "CNC-008"),
    sentence="What a transaction has added or changed is seen by other threads before it ends.",
)
def _dirty(breaking: Breaking) -> None:
    unfinished: dict[tuple[str, object], Any] = {}

    @breaking.wrong("collection", "add", "update")
    def _changed(self: Any, right: Any, *args: Any, **changes: Any) -> Any:
        stored = right(*args, **changes)
        if hasattr(stored, "key"):
            unfinished[self.kind.name, stored.key] = stored
        return stored

    @breaking.wrong("collection", "get", "find")
    def _read(self: Any, right: Any, key: Any) -> Any:
        found = unfinished.get((self.kind.name, key))
        return right(key) if found is None else found

    @breaking.wrong("writer", "commit", "rollback")
    def _end(_self: Any, right: Any) -> None:
        right()
        unfinished.clear()


@mutant(
    "snapshots-move",
    kills=("TXN-020", "TXN-022"),
    sentence="A snapshot shows the present state.",
)
def _moving(breaking: Breaking) -> None:
    @breaking.wrong("backend", "snapshot")
    def _snapshot(self: Any, _right: Any) -> Any:
        return self.read()


@mutant("snapshots-take-writes", kills=("TXN-021",), sentence="Devices can be added through a snapshot.")
def _written(breaking: Breaking) -> None:
    @breaking.wrong("store", "snapshot")
    def _snapshot(self: Any, right: Any) -> Any:
        @contextmanager
        def block() -> Any:
            with right() as frozen:
                frozen.__dict__["devices"] = self.devices
                yield frozen

        return block()


@mutant("observers-hear-twice", kills=("TXN-030", "TXN-031"), sentence="Observers are told of every commit twice.")
def _twice(breaking: Breaking) -> None:
    @breaking.wrong("store", "on_commit")
    def _on_commit(_self: Any, right: Any, callback: Any) -> Any:
        right(callback)
        return right(callback)


@mutant(
    "updates-are-lost",
    kills=("CNC-001", "CNC-101", "CNC-102", "REC-011"),
    sentence="Of two changes that expect the same version both succeed, and one is lost.",
)
def _lost(breaking: Breaking) -> None:
    @breaking.wrong("collection", "get")
    def _get(_self: Any, right: Any, key: object) -> Any:
        found = right(key)
        time.sleep(0.001)  # the race between reading and writing is lost every time
        return found

    @breaking.wrong("collection", "update")
    def _update(_self: Any, right: Any, key: object, *, expected: Any = None, **changes: Any) -> Any:
        return right(key, expected=None if "number" in changes else expected, **changes)


@mutant(
    "batches-are-stored-in-halves",
    kills=("CNC-007", "RCP-009"),
    sentence="A batch is committed in two halves.",
)
def _halves(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, records: Any, **options: Any) -> Any:
        batch = list(records)
        if options or len(batch) < 2:
            return right(batch, **options)
        right(batch[: len(batch) // 2])
        time.sleep(0.001)  # long enough for a reader to look
        return right(batch[len(batch) // 2 :])


@mutant(
    "writers-do-not-wait",
    kills=("FLT-018", "CNC-010"),
    sentence="A thread that wants to write while another one does is sent away at once.",
)
def _sent_away(breaking: Breaking) -> None:
    writing: dict[int, object] = {}

    @breaking.wrong("backend", "write")
    def _write(_self: Any, right: Any) -> Any:
        if any(thread != threading.get_ident() for thread in writing):
            raise Busy("somebody else writes")
        writing[threading.get_ident()] = None
        try:
            return right()
        except BaseException:
            writing.pop(threading.get_ident(), None)
            raise

    @breaking.wrong("writer", "commit", "rollback")
    def _end(_self: Any, right: Any) -> None:
        time.sleep(0.001)  # as a slow disk would have it
        right()
        writing.pop(threading.get_ident(), None)


@mutant(
    "readers-wait-for-writers",
    kills=("CNC-008", "TXN-010"),
    sentence="A reader is sent away while another thread holds a transaction open.",
)
def _waiting(breaking: Breaking) -> None:
    writing: dict[int, object] = {}

    @breaking.wrong("backend", "write", "read")
    def _begin(_self: Any, right: Any) -> Any:
        if right.__name__ == "write":
            session = right()
            writing[threading.get_ident()] = session
            return session
        if any(thread != threading.get_ident() for thread in writing):
            raise Busy("a writer holds the store")
        return right()

    @breaking.wrong("writer", "commit", "rollback")
    def _end(_self: Any, right: Any) -> None:
        right()
        writing.pop(threading.get_ident(), None)


@mutant(
    "second-handles-are-blind",
    kills=("CNC-009",),
    sentence="A handle answers from a cache that only its own commits empty.",
)
def _cached(breaking: Breaking) -> None:
    owner = owners(breaking)
    caches: dict[int, dict[object, Any]] = {}

    @breaking.wrong("session", "get")
    def _get(self: Any, right: Any, layout: Layout, key: Any) -> Any:
        if hasattr(self, "commit"):
            return right(layout, key)
        cache = caches.setdefault(owner(self), {})
        if (layout.name, key) not in cache:
            cache[layout.name, key] = right(layout, key)
        return cache[layout.name, key]

    @breaking.wrong("writer", "commit")
    def _commit(self: Any, right: Any) -> None:
        caches.pop(owner(self), None)
        right()


@mutant("stores-share-a-cache", kills=("CNC-011",), sentence="What was added to one store is found in another one.")
def _shared(breaking: Breaking) -> None:
    shared: dict[object, Any] = {}

    @breaking.wrong("collection", "add", "find")
    def _added(self: Any, right: Any, what: Any) -> Any:
        found = right(what)
        if right.__name__ == "add" and hasattr(found, "key"):
            shared[self.kind.name, found.key] = found
        return shared.get((self.kind.name, what)) if found is None else found


@mutant(
    "references-are-not-held",
    kills=("CNC-013",),
    sentence="A reference to a record that was deleted a moment ago is taken.",
)
def _unheld(breaking: Breaking) -> None:
    gone: dict[tuple[str, object], Any] = {}

    @breaking.wrong("writer", "delete")
    def _delete(_self: Any, right: Any, layout: Layout, where: Any) -> Any:
        touched = right(layout, where)
        gone.update({(layout.name, one.key): (None,) * len(layout.columns) for one in touched})
        return touched

    @breaking.wrong("session", "get_many")
    def _get_many(_self: Any, right: Any, layout: Layout, keys: Any, *, hold: bool = False) -> Any:
        if hold:
            time.sleep(0.002)  # the deletion comes first
        rows = right(layout, keys, hold=hold)
        if not hold:
            return rows
        return [gone.get((layout.name, key)) if row is None else row for key, row in zip(keys, rows, strict=True)]
