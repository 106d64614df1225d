"""One projector at a time: a lease in the checkpoint, for politeness, and an epoch in every batch, for safety."""

from __future__ import annotations

import os
import secrets
import socket
from datetime import timedelta
from typing import Any, Final

from iotstore._clock import EPOCH
from iotstore._engine.references import keys_filter
from iotstore._kinds.projecting import CHECKPOINTS, GRAPH, Checkpoint
from iotstore._projection.target import Target
from iotstore._projection.terms import Fenced, columns, equals
from iotstore._waist.filters import And
from iotstore._waist.queries import OnConflict
from iotstore._waist.sessions import WriteSession
from iotstore.errors import Busy

#: How long a projector that died keeps the others waiting.
LEASE: Final = timedelta(seconds=10)


class Lease:
    """The right of one projector to write to the projection. A clock that is wrong costs politeness, never safety."""

    def __init__(self, target: Target, length: timedelta = LEASE) -> None:
        self._target = target
        self._length = length
        #: Who holds it, for people.
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        #: The epoch of the term that this projector is in; 0 outside.
        self.epoch = 0
        self._written = EPOCH

    def take(self, least: int) -> Checkpoint:
        """Begin a term, with an epoch above *least* and above any before it. Busy while another projector has it."""
        engine = self._target.engine
        codec = engine.codec(CHECKPOINTS)
        self._refuse_taken(self._target.checkpoint())  # who waits only reads, again and again
        with engine.writing() as transaction:
            session = transaction.session
            empty = codec.encode(Checkpoint(name=GRAPH), 0, 0)
            session.insert_many(CHECKPOINTS.layout, [empty], OnConflict.KEEP)
        with engine.writing() as transaction:
            found = self._target.checkpoint(transaction.session)
            if found is None:
                raise Fenced("the projection was cleared in this moment")
            self._refuse_taken(found)
            now = engine.clock.now()
            epoch = max(found.epoch, least) + 1
            # Of two who saw the same epoch one finds no row any more.
            where = And((self._own(), equals(engine, CHECKPOINTS, "epoch", found.epoch)))
            changes = columns(engine, CHECKPOINTS, epoch=epoch, holder=self.holder, until=now + self._length)
            if not transaction.session.update(CHECKPOINTS.layout, where, changes):
                raise Busy("another projector took the lease in this moment")
        self.epoch, self._written = epoch, now
        taken = self._target.checkpoint()
        if taken is None or taken.epoch != epoch:
            raise Fenced("another projector took over")
        return taken

    def _refuse_taken(self, found: Checkpoint | None) -> None:
        now = self._target.engine.clock.now()
        if found and found.holder not in ("", self.holder) and found.until is not None and found.until > now:
            left = (found.until - now).total_seconds()
            raise Busy(
                f"another projector ({found.holder}) is at work",
                hint=f"its lease ends in {left:.0f} s unless renewed",
            )

    def write(self, session: WriteSession, last: str | None, /, **changes: object) -> None:
        """First in a transaction of the projection: change the checkpoint, and with it hold everybody else off.

        Fenced when another term has begun, or the *last* batch is not the one with this nonce (None: whichever).
        """
        engine = self._target.engine
        parts = [self._own(), equals(engine, CHECKPOINTS, "epoch", self.epoch)]
        if last is not None:
            parts.append(equals(engine, CHECKPOINTS, "nonce", last))
        self._written = engine.clock.now()
        until = self._written + self._length
        told: dict[str, Any] = {"holder": self.holder, "until": until, **changes}
        if not session.update(CHECKPOINTS.layout, And(tuple(parts)), columns(engine, CHECKPOINTS, **told)):
            raise Fenced("another projector took over, or the projection was cleared")

    def renew(self) -> None:
        """Keep the lease; Fenced when it is lost."""
        with self._target.engine.writing() as transaction:
            self.write(transaction.session, None)

    def keep(self) -> None:
        """Keep the lease while there is nothing to do: renewed when half of it has passed."""
        if self._target.engine.clock.now() - self._written >= self._length / 2:
            self.renew()

    def give_up(self) -> None:
        """Let another projector begin at once."""
        epoch, self.epoch = self.epoch, 0
        if epoch:
            engine = self._target.engine
            with engine.writing() as transaction:
                where = And((self._own(), equals(engine, CHECKPOINTS, "epoch", epoch)))
                transaction.session.update(
                    CHECKPOINTS.layout, where, columns(engine, CHECKPOINTS, until=None, holder="")
                )

    def remove(self) -> None:
        """Remove the checkpoint, and with it the lease."""
        engine = self._target.engine
        with engine.writing() as transaction:
            self.write(transaction.session, None)
            transaction.session.delete(CHECKPOINTS.layout, self._own())
        self.epoch = 0

    def _own(self) -> Any:
        return keys_filter(CHECKPOINTS, [self._target.engine.codec(CHECKPOINTS).key(GRAPH)])
