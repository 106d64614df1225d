"""That a projection hangs on a store: written in the store itself, so that no process can forget it."""

from __future__ import annotations

import secrets

from iotstore._engine.engine import Engine
from iotstore._engine.references import keys_filter
from iotstore._kinds.projecting import ATTACHMENTS, GRAPH, LETTERS, OUTBOX, Attachment
from iotstore._projection.outbox import Outbox
from iotstore._projection.terms import Fenced, columns, compare, equals, value
from iotstore._waist.filters import ALWAYS, And, Filter, In, Op
from iotstore._waist.queries import OnConflict
from iotstore._waist.sessions import WriteSession
from iotstore.errors import NotAllowed


class Attaching:
    """The attachment of one primary: made, read, moved on with every batch, and taken away."""

    def __init__(self, engine: Engine, outbox: Outbox) -> None:
        self._engine = engine
        self._outbox = outbox

    def attach(self, place: str) -> Attachment:
        """The attachment of this store; it is made if there is none. From now on every open store writes the outbox:
        this one at once, others as soon as they look again."""
        found = self.read()
        if found is None:
            engine = self._engine
            made = Attachment(name=GRAPH, identity=secrets.token_hex(16), since=engine.clock.now(), place=place)
            with engine.writing() as transaction:
                # Of two who attach in one moment the first wins, and both read what it wrote.
                rows = [engine.codec(ATTACHMENTS).encode(made, 0, 0)]
                transaction.session.insert_many(ATTACHMENTS.layout, rows, OnConflict.KEEP)
            found = self.read()
        if found is None:
            raise NotAllowed("the projection was detached in this moment", hint="open the store again")
        self._outbox.attached(yes=True)
        return found

    def read(self) -> Attachment | None:
        """The attachment as it is stored; None when no projection is attached."""
        codec = self._engine.codec(ATTACHMENTS)
        with self._engine.reading() as session:
            row = session.get(ATTACHMENTS.layout, codec.key(GRAPH))
        return None if row is None else codec.decode(row)

    def detach(self) -> None:
        """No projection any more: the outbox and the dead letters are emptied, and nothing more is written there."""
        with self._engine.writing() as transaction:
            transaction.session.delete(ATTACHMENTS.layout, self._own())
            transaction.session.delete(OUTBOX.layout, ALWAYS)
            transaction.session.delete(LETTERS.layout, ALWAYS)
        self._outbox.attached(yes=False)

    def take_over(self, epoch: int) -> Attachment:
        """Let only the projector of this epoch take rows out. Fenced when a later one has said so already."""
        with self._engine.writing() as transaction:
            where = And((self._own(), compare(self._engine, ATTACHMENTS, "epoch", Op.LE, epoch)))
            changes = columns(self._engine, ATTACHMENTS, epoch=epoch)
            touched = transaction.session.update(ATTACHMENTS.layout, where, changes)
        found = self.read()
        if not touched or found is None or found.epoch != epoch:
            raise Fenced("another projector took over, or the projection was detached")
        return found

    def advance(self, session: WriteSession, epoch: int, before: str, nonce: str, batch: int) -> None:
        """In a transaction: note that the batch with this nonce follows the one with the nonce *before*."""
        parts = (
            self._own(),
            equals(self._engine, ATTACHMENTS, "epoch", epoch),
            equals(self._engine, ATTACHMENTS, "nonce", before),
        )
        changes = columns(self._engine, ATTACHMENTS, nonce=nonce, batch=batch)
        if not session.update(ATTACHMENTS.layout, And(parts), changes):
            raise Fenced("another projector took over, or the store was restored or detached")

    def note(self, epoch: int, before: str, nonce: str) -> None:
        """Note the nonce that a build begins with, and again when it ends."""
        with self._engine.writing() as transaction:
            where = And((self._own(), equals(self._engine, ATTACHMENTS, "epoch", epoch)))
            found = In("nonce", tuple(value(self._engine, ATTACHMENTS, "nonce", one) for one in {before, nonce}))
            changes = columns(self._engine, ATTACHMENTS, nonce=nonce)
            if not transaction.session.update(ATTACHMENTS.layout, And((where, found)), changes):
                raise Fenced("another projector took over, or the store was restored or detached")

    def hold(self, session: WriteSession, epoch: int) -> None:
        """In a transaction: nobody else may take over before it ends. Fenced when somebody did already."""
        where = And((self._own(), equals(self._engine, ATTACHMENTS, "epoch", epoch)))
        if not session.update(ATTACHMENTS.layout, where, columns(self._engine, ATTACHMENTS, epoch=epoch)):
            raise Fenced("another projector took over, or the projection was detached")

    def _own(self) -> Filter:
        return keys_filter(ATTACHMENTS, [self._engine.codec(ATTACHMENTS).key(GRAPH)])
