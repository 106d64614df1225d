"""The outbox: what a transaction changed of the graph is written down in it, last before commit."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterable
from typing import Final

from iotstore._engine.engine import Engine
from iotstore._engine.transaction import Transaction
from iotstore._kinds.projecting import ATTACHMENTS, GRAPH, OUTBOX, Outgoing
from iotstore._projection.keys import Keys, Name, graph_kinds, keys_by_kind
from iotstore._waist.layout import Row
from iotstore._waist.queries import OnConflict

#: How long a store believes what it read: whether a projection is attached. Who attaches one counts on it.
BELIEF_SECONDS: Final = 30.0


class Outbox:
    """Writes the outbox of one open store. Where no projection is attached it costs a look at the clock."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kinds = graph_kinds(engine)
        self._keys: dict[str, Keys] | None = None
        self._attached = False
        self._believed_until = float("-inf")
        #: Names the rows that this store writes.
        self.writer = secrets.randbits(63)
        self._lock = threading.Lock()
        self._newest = 0

    @property
    def newest(self) -> int:
        """The highest stamp that this store gave; 0 when it gave none."""
        return self._newest

    @property
    def keys(self) -> dict[str, Keys]:
        """Keys of the graph's kinds as the primary holds them."""
        if self._keys is None:
            self._keys = keys_by_kind(self._engine, self._kinds)
        return self._keys

    def attached(self, *, yes: bool) -> None:
        """What somebody in this process has just made true."""
        self._attached = yes
        self._believed_until = self._engine.clock.monotonic() + BELIEF_SECONDS

    def before_commit(self, transaction: Transaction) -> None:
        """Write a row for every record of the graph that this transaction changed, if a projection is attached."""
        if self._engine.clock.monotonic() >= self._believed_until:
            if not any(change.kind in self._kinds for change in transaction.changes):
                return
            found = transaction.session.get(ATTACHMENTS.layout, self._engine.codec(ATTACHMENTS).key(GRAPH))
            self.attached(yes=found is not None)
        if not self._attached:
            return
        last = {(one.kind, one.key): one for one in transaction.changes if one.kind in self._kinds}
        if last:
            keys = self.keys
            told = [(keys[one.kind].name(one.key), one.version, one.action) for one in last.values()]
            self.write(transaction, told)

    def write(self, transaction: Transaction, told: Iterable[tuple[Name, int, str]]) -> None:
        """Write rows: what changed, its version, and what happened to it."""
        encode, now = self._engine.codec(OUTBOX).encode, self._engine.clock.now()
        rows: list[Row] = []
        stamp = 0
        for name, version, action in told:
            stamp = transaction.next_version()
            row = Outgoing(
                stamp=stamp,
                writer=self.writer,
                kind=name.kind,
                key=name.key,
                version=version,
                action=action,  # type: ignore[arg-type]  # the codec checks the choice
                time=now,
            )
            rows.append(encode(row, 0, 0))
        size = self._engine.backend.limits.insert_rows
        for at in range(0, len(rows), size):
            transaction.session.insert_many(OUTBOX.layout, rows[at : at + size], OnConflict.ERROR)
        with self._lock:
            self._newest = max(self._newest, stamp)
