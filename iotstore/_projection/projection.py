"""Projection: the second store of a composed one as an application sees it: how far it is, and what keeps it right."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from os import PathLike
from pathlib import Path
from typing import Final

from iotstore._clock import SystemClock
from iotstore._engine.engine import Engine
from iotstore._kinds.projecting import DeadLetter
from iotstore._projection import scripting
from iotstore._projection.attaching import Attaching
from iotstore._projection.following import Follower
from iotstore._projection.keys import Name
from iotstore._projection.linking import judge
from iotstore._projection.outbox import Outbox
from iotstore._projection.projector import Projector
from iotstore._projection.queue import Queue
from iotstore._projection.records import Records
from iotstore._projection.sides import Sides
from iotstore._projection.status import ProjectionStatus, health_of, metrics_of, status_of
from iotstore._projection.target import Place, Target
from iotstore._projection.terms import Fenced
from iotstore._projection.verifying import Comparison, Verifying
from iotstore._waist.contract import Check, Script
from iotstore.errors import Diverged, Lagging, NotAllowed, StoreError

#: How long ``read-your-writes`` waits.
WAIT_SECONDS: Final = 5.0
_NOTICED: Final = 0.05
_FENCED: Final = 3
# Threads really wait, whatever time the store believes it is.
_REAL: Final = SystemClock()


class Projection:
    """The second store of a composed one, fed from the primary's outbox."""

    def __init__(self, engine: Engine, outbox: Outbox, where: Place) -> None:
        self._engine = engine
        self._outbox = outbox
        self._attaching = Attaching(engine, outbox)
        self._records = Records(engine)
        self._queue = Queue(engine, outbox, self._attaching)
        #: The second store itself.
        self.target = Target(where, self._records.kinds, engine.clock)
        self._sides = Sides(self._records, self._queue, self._attaching, self.target)
        self._projector = Projector(self._sides)
        self._follower = Follower(self._step, self._rest)
        self._lock = threading.Lock()
        self._moved = threading.Condition()
        self._seen = 0
        self._attaching.attach(self.target.place)

    # Work ------------------------------------------------------------------------------------------------------------

    def sync(self) -> int:
        """Apply everything that waits; returns how many records that were. Busy while another projector is at work."""
        done = 0
        fenced = 0
        while True:
            try:
                step = self._step()
                if step is None and not self._settle():
                    return done
            except Fenced:
                # Another one was at work since; the next step takes the lease again, or says who has it.
                fenced += 1
                if fenced > _FENCED:
                    raise
                continue
            done += step or 0

    def start(self) -> None:
        """Let a thread of this process be the projector, whenever no other one is at work."""
        self._follower.start()

    def stop(self) -> None:
        """End that thread, and let another projector begin at once."""
        self._follower.stop()
        with self._lock:
            with suppress(StoreError):  # else it ends by itself
                self._projector.lease.give_up()
            self._projector.forget()

    def follow(self) -> None:
        """Be the projector until ``end`` is called by another thread or a signal's handler."""
        self._follower.run()

    def end(self) -> None:
        """Let ``follow`` return soon."""
        self._follower.end()

    @property
    def running(self) -> bool:
        """Whether a thread of this process feeds it."""
        return self._follower.running

    def wake(self) -> None:
        """Something was committed that it may want to know of."""
        self._follower.wake()

    def _step(self) -> int | None:
        if self._engine.in_transaction:
            raise NotAllowed("a projection isn't fed inside a transaction", hint="call it after the transaction")
        with self._lock:
            done = self._projector.step()
        if done is not None:
            with self._moved:
                self._moved.notify_all()
        return done

    def _rest(self) -> None:
        with self._lock:
            self._projector.rest()
        self._settle()

    def _settle(self) -> bool:
        """Once after it was attached: what stores wrote that had not heard of it is found and put into the outbox.
        Whether there was such a thing."""
        checkpoint = self.target.checkpoint()
        if checkpoint is None or checkpoint.settle is None or checkpoint.settle > self._engine.clock.now():
            return False
        found = self.verify(repair=True)
        with self._lock:
            self._projector.settled()
        return found.repaired > 0

    def rebuild(self) -> int:
        """Throw the projection's content away and make it anew from the primary, which goes on serving meanwhile;
        returns how many records that were."""
        if self._engine.in_transaction:
            raise NotAllowed("a projection isn't rebuilt inside a transaction", hint="call it after the transaction")
        with self._lock:
            self._projector.rebuild()
        return self.sync()

    def clear(self) -> None:
        """Remove everything from the projection and detach it: no outbox is written any more. The primary stays as it
        is; the next opening with ``relationships=`` attaches and builds it again."""
        with self._lock:
            self._projector.clear()
        self._attaching.detach()

    def write_script(self, path: str | PathLike[str]) -> Script:
        """Write what the projection holds to a new file, as a script in its engine's own language."""
        return scripting.write(self.target, Path(path))

    def take_script(self, path: str | PathLike[str]) -> Script:
        """Make the projection from such a script, in an empty place. Changes since then come over by ``sync`` if the
        script is of the last batch; else the status says ``rebuild``."""
        return scripting.take(self.target, Path(path))

    def detach(self) -> None:
        """Write no outbox any more, and leave the projection as it is."""
        self._attaching.detach()

    def replay(self) -> int:
        """Put every dead letter into the outbox once more; returns how many."""
        letters = self._queue.letters()
        self._queue.again([Name(one.kind, one.key) for one in letters], "replay")
        self._follower.wake()
        return len(letters)

    # Looking ---------------------------------------------------------------------------------------------------------

    def status(self) -> ProjectionStatus:
        """How it is, without changing anything. It never raises because the projection is away."""
        return status_of(self._sides, self._follower.trouble)

    def metrics(self) -> dict[str, float]:
        """Numbers for a monitoring system, by name."""
        return metrics_of(self.status())

    def health(self) -> list[Check]:
        """Lines for the store's health. A projection in trouble is a warning: the primary answers."""
        return health_of(self.status(), broken=self._follower.broken)

    def dead_letters(self, limit: int | None = None) -> list[DeadLetter]:
        """The records that the projection refused, oldest first, each with the error."""
        return self._queue.letters(limit)

    def verify(self, *, repair: bool = False) -> Comparison:
        """Compare both stores, by digests of ranges of keys, while they go on; name what differs and does not wait in
        the outbox. With *repair* that is put into the outbox, and applied by the next ``sync``."""
        found = self.status()
        if found.state != "live":
            raise Diverged(
                f"the projection is {found.state}" + (f": {found.reason}" if found.reason else ""),
                hint="run: iotstore graph sync, or iotstore graph rebuild",
            )
        compared = Verifying(self._records, self._queue, self.target).run(repair=repair)
        if compared.repaired:
            self._follower.wake()
        return compared

    # Reading ---------------------------------------------------------------------------------------------------------

    def wait(self, seconds: float = WAIT_SECONDS) -> None:
        """Return when everything that this store object has committed is in the projection; Lagging when it takes
        longer than *seconds*."""
        until = self._outbox.newest
        if until <= self._seen:
            return
        self._follower.wake()
        end = _REAL.monotonic() + seconds
        while self._queue.waits_for(self._outbox.writer, self._seen, until):
            left = end - _REAL.monotonic()
            if left <= 0:
                raise Lagging(
                    f"the projection has not caught up within {seconds:g} s",
                    hint='ask again, or with consistency="primary"; see: iotstore graph status',
                )
            with self._moved:
                # Another process's projector tells nobody, so it is looked after now and then.
                self._moved.wait(min(left, _NOTICED))
        self._seen = max(self._seen, until)

    def usable(self) -> bool:
        """Whether it may answer: it is live, and belongs to the primary as it is."""
        for _ in range(3):
            attachment = self._attaching.read()
            if attachment is None:
                return False
            try:
                checkpoint = self.target.checkpoint()
            except StoreError:
                return False
            if judge(attachment, checkpoint, self.target.shape).state in ("linked", "replay"):
                return True
            if checkpoint is None or checkpoint.state != "live":
                return False
        return False

    def close(self) -> None:
        """End the thread, and give the connections back."""
        self.stop()
        self.target.close()

    @contextmanager
    def running_here(self) -> Generator[Projection]:
        """Feed it from a thread for the length of the block."""
        self.start()
        try:
            yield self
        finally:
            self.stop()
