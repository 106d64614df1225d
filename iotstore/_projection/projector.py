"""Projector: takes what waits in the outbox, batch by batch, into the projection. Any step may be its last."""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from iotstore._kinds.projecting import Attachment
from iotstore._projection.building import Building
from iotstore._projection.keys import Name
from iotstore._projection.linking import judge
from iotstore._projection.queue import Step, Waiting
from iotstore._projection.sides import Sides
from iotstore._projection.terms import Fenced, broken, is_trouble
from iotstore.errors import Diverged, NotAllowed, StoreError

log: Final = logging.getLogger("iotstore")
#: Outbox rows in one batch.
BATCH: Final = 500
_POINTING: Final = 1000


@dataclass(slots=True)
class _Term:
    """What a projector knows while it holds the lease: the nonce of the last batch in the projection and the one noted
    in the primary (equal between two batches), the number of batches, and of records applied in all."""

    nonce: str
    noted: str
    number: int
    applied: int


class Projector:
    """The one that writes to the projection, while it holds the lease. Used by one thread at a time."""

    def __init__(self, sides: Sides, batch: int = BATCH) -> None:
        self._records = sides.records
        self._queue = sides.queue
        self._attaching = sides.attaching
        self._target = sides.target
        self._writing = sides.writing
        self._building = Building(sides)
        self._batch = batch
        #: Who writes.
        self.lease = sides.lease
        self._term: _Term | None = None

    def step(self) -> int | None:
        """Do the next piece of work; how many records it was about, None when there was nothing to do.

        Whatever goes wrong, the next call begins a new term and finds out by itself where both stores are.
        """
        try:
            term = self._term or self._begin()
            if self._building.unfinished:
                done = self._building.step()
                term.nonce = term.noted = self._building.nonce
                return done
            waiting = self._queue.waiting(self._batch)
            if waiting:
                self._apply(term, waiting)
            return len(waiting) or None
        except BaseException as error:
            self.forget()
            if isinstance(error, StoreError) or not isinstance(error, Exception):
                raise
            raise broken(error) from error

    def forget(self) -> None:
        """End the term, in memory only."""
        self._term = None
        self._building.forget()

    def rest(self) -> None:
        """Keep the lease while nothing waits."""
        if self._term is not None:
            try:
                self.lease.keep()
            except BaseException:
                self.forget()
                raise

    def rebuild(self) -> None:
        """Begin from nothing, whatever both stores say. The next steps do it."""
        self.forget()
        try:
            attachment = self._take()
            self._building.start(attachment)
            self._open(attachment)
        except BaseException:
            self.forget()
            raise

    def clear(self) -> None:
        """Remove everything from the projection, its checkpoint last. Never the graph of another store."""
        attachment, checkpoint = self._attaching.read(), self._target.checkpoint()
        if attachment and checkpoint and checkpoint.identity not in ("", attachment.identity):
            raise Diverged(
                f"the projection at {self._target.place} holds the graph of another store and was not touched",
                hint="to write no outbox any more: iotstore graph clear --keep",
            )
        self.rebuild()
        while self._building.clearing:
            self._building.step()
        self.lease.remove()
        self.forget()

    def settled(self) -> None:
        """Note that what stores wrote before they heard of the projection was brought over."""
        term = self._term
        if term is not None:
            self.forget()  # unless it goes well
            with self._target.engine.writing() as transaction:
                self.lease.write(transaction.session, term.nonce, settle=None)
            self._term = term

    def _take(self) -> Attachment:
        """The lease, then the primary's word that nobody of an earlier term takes anything out."""
        attachment = self._attaching.read()
        if attachment is None:
            raise NotAllowed("no projection is attached", hint="open the store with relationships=...")
        self.lease.take(attachment.epoch)
        return self._attaching.take_over(self.lease.epoch)

    def _begin(self) -> _Term:
        attachment = self._take()
        checkpoint = self._target.checkpoint()
        if checkpoint is None:
            raise Fenced("the projection was cleared in this moment")
        link = judge(attachment, checkpoint, self._target.shape)
        match link.state:
            case "rebuild":
                self.lease.give_up()
                raise Diverged(
                    f"the projection at {self._target.place} can't go on: {link.reason}",
                    hint="make it anew: iotstore graph rebuild",
                )
            case "build":
                self._building.start(attachment)
            case "resume":
                self._building.resume(attachment, checkpoint)
            case "replay":
                self._queue.again([Name(kind, key) for kind, key in checkpoint.touched or ()], "replay")
            case "linked":
                pass
        return self._open(attachment)

    def _open(self, attachment: Attachment) -> _Term:
        checkpoint = self._target.checkpoint()
        if checkpoint is None:
            raise Fenced("the projection was cleared in this moment")
        self._term = _Term(checkpoint.nonce, attachment.nonce, checkpoint.batch, checkpoint.applied)
        return self._term

    def _apply(self, term: _Term, waiting: Sequence[Waiting]) -> None:
        """One batch, or, when a record of it is refused, its halves, until the record is found. An error that is none
        of a store's is nobody's refusal: its record is found in the same way, and stays where it is."""
        try:
            new = self._write(term, waiting)
        except Fenced:
            raise
        except Exception as error:
            if is_trouble(error):
                raise
            self._isolate(term, waiting, error)
            return
        redraw = self._redraw(waiting, new)
        rows = [row for one in waiting for row in one.rows]
        step = Step(self.lease.epoch, term.noted, term.nonce, term.number)
        self._queue.take_out(rows, step, redraw, [one.name for one in waiting])
        term.noted = term.nonce

    def _isolate(self, term: _Term, waiting: Sequence[Waiting], error: Exception) -> None:
        if len(waiting) > 1:
            half = len(waiting) // 2
            self._apply(term, waiting[:half])
            self._apply(term, waiting[half:])
            return
        self.lease.renew()  # it answers, so this is about the record
        (one,) = waiting
        if not isinstance(error, StoreError):
            raise broken(error, one.name) from error
        log.error("the projection refuses %s %s: %s", one.name.kind, one.name.key, error)
        self._queue.bury(one.rows, self.lease.epoch, one.name, error)

    def _write(self, term: _Term, waiting: Sequence[Waiting]) -> list[Name]:
        """The batch's transaction in the projection; returns nodes that have to get the edges of others, too.

        The records are read after the rows that name them, so what is written is never older than the change; and
        nobody else writes, so it never gets older again.
        """
        names = [one.name for one in waiting]
        records = self._records.now(names)
        nonce = secrets.token_hex(8)
        with self._target.engine.writing() as transaction:
            self.lease.write(
                transaction.session,
                term.nonce,
                nonce=nonce,
                previous=term.noted,
                batch=term.number + 1,
                touched=[list(name) for name in names],
                applied=term.applied + len(names),
                time=self._target.engine.clock.now(),
            )
            new = self._writing.put(transaction.session, names, records)
            self._writing.draw(transaction.session, records, [name for name in names if name not in records])
        term.nonce, term.number, term.applied = nonce, term.number + 1, term.applied + len(names)
        return list(dict.fromkeys([*new, *(one.name for one in waiting if one.fully and one.name in records)]))

    def _redraw(self, waiting: Sequence[Waiting], nodes: Sequence[Name]) -> list[Name]:
        """Records that hold edges at nodes that were not there when those were drawn."""
        if not nodes or not self._target.graph:
            return []
        drawn = {one.name for one in waiting}
        found: dict[Name, None] = {}
        for names in self._records.pointing(nodes, _POINTING):
            found.update(dict.fromkeys(name for name in names if name not in drawn))
        return list(found)
