"""Making a projection from nothing, chunk by chunk, each in a transaction with the place where the next one begins.

First everything goes, then all records come, then the edges, for an edge needs both its nodes. Changes wait in the
outbox meanwhile and come after it; questions are answered by the primary.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from iotstore._catalogue.lines import after
from iotstore._kinds.kind import Kind, Record
from iotstore._kinds.projecting import Attachment, Checkpoint
from iotstore._projection.keys import Name
from iotstore._projection.outbox import BELIEF_SECONDS
from iotstore._projection.sides import Sides
from iotstore._projection.terms import Fenced, broken, is_trouble
from iotstore._waist.filters import ALWAYS
from iotstore._waist.layout import Row
from iotstore._waist.queries import Order, Select
from iotstore.errors import StoreError

log: Final = logging.getLogger("iotstore")
_ROWS: Final = 500
_PHASES: Final = ("clear", "records", "edges")
#: Stores that were open when the projection was attached have heard of it by then; what they wrote meanwhile is found
#: by one comparison of everything.
SETTLING: Final = timedelta(seconds=2 * BELIEF_SECONDS)


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the build is: its phase, the kind, and the key after which the next chunk begins."""

    phase: str
    kind: str
    key: str | None = None

    def as_json(self) -> list[str | None]:
        return [self.phase, self.kind, self.key]


class Building:
    """A build under way, or none."""

    def __init__(self, sides: Sides) -> None:
        self._records = sides.records
        self._queue = sides.queue
        self._attaching = sides.attaching
        self._target = sides.target
        self._lease = sides.lease
        self._writing = sides.writing
        self._place: _Place | None = None
        self.nonce = ""

    @property
    def unfinished(self) -> bool:
        """Whether the next step belongs to a build."""
        return self._place is not None

    @property
    def clearing(self) -> bool:
        """Whether there is still something to remove."""
        return self._place is not None and self._place.phase == "clear"

    def forget(self) -> None:
        """Leave it as it is; ``resume`` goes on."""
        self._place = None

    def start(self, attachment: Attachment) -> None:
        """Begin one. The projection says first that it is being built, then the primary what it begins with."""
        self._place = _Place("clear", next(iter(self._target.kinds)))
        self.nonce = secrets.token_hex(8)
        settled = attachment.since + SETTLING
        with self._target.engine.writing() as transaction:
            self._lease.write(
                transaction.session,
                None,
                identity=attachment.identity,
                shape=self._target.shape,
                state="building",
                position=self._place.as_json(),
                nonce=self.nonce,
                previous=attachment.nonce,
                touched=None,
                settle=settled if settled > self._target.engine.clock.now() else None,
            )
        self._attaching.note(self._lease.epoch, attachment.nonce, self.nonce)
        self._target.adopt()

    def resume(self, attachment: Attachment, checkpoint: Checkpoint) -> None:
        """Go on with one that somebody began."""
        phase, kind, key = checkpoint.position
        self._place = _Place(phase, kind, key)
        self.nonce = checkpoint.nonce
        self._attaching.note(self._lease.epoch, attachment.nonce, self.nonce)
        if phase == "clear":
            self._target.adopt()

    def step(self) -> int:
        """One chunk; how many records it brought over."""
        place = self._place
        if place is None:
            return 0
        if place.phase != "clear":
            return self._fill(place)
        self._clear(place)
        return 0

    def _clear(self, place: _Place) -> None:
        """Remove one chunk. Kinds that have nothing are passed by, at once."""
        onward: _Place | None = place
        with self._target.engine.writing() as transaction:
            rows: list[Row] = []
            while onward is not None and onward.phase == "clear" and not rows:
                place = onward
                rows = transaction.session.select(self._target.kinds[place.kind].layout, Select(limit=_ROWS))
                onward = place if rows else self._following(place)
            self._lease.write(transaction.session, self.nonce, **_position(onward))
            twin = self._target.kinds[place.kind]
            self._writing.remove(transaction.session, twin.name, [twin.layout.key_of(row) for row in rows])
        self._place = onward

    def _fill(self, place: _Place) -> int:
        """Bring one chunk over; what small kinds have comes together."""
        names: list[Name] = []
        records: dict[Name, Record] = {}
        onward: _Place | None = place
        while onward is not None and onward.phase == place.phase and len(names) < _ROWS:
            some, theirs = self._chunk(self._records.kinds[onward.kind], onward.key)
            names += some
            records |= theirs
            # Only an empty answer ends a kind: writers go on meanwhile, and one more short read costs little.
            onward = _Place(onward.phase, onward.kind, some[-1].key) if some else self._following(onward)
        if onward is None:
            # Noted once more, so that a primary that was restored meanwhile is not taken for this one.
            self._attaching.note(self._lease.epoch, self.nonce, self.nonce)
        self._put(place.phase, names, records, onward)
        self._place = onward
        return len(names) if place.phase == "records" else 0

    def _chunk(self, kind: Kind[Any], key: str | None) -> tuple[list[Name], dict[Name, Record]]:
        keys, decode = self._records.keys[kind.name], self._records.engine.codec(kind).decode
        where = ALWAYS if key is None else after(kind.keys, keys.held(key))
        order = tuple(Order(column) for column in kind.keys)
        with self._records.engine.reading() as session:
            rows = session.select(kind.layout, Select(where, order, _ROWS))
        found = [(keys.name(kind.layout.key_of(row)), decode(row)) for row in rows]
        return [name for name, _ in found], dict(found)

    def _put(self, phase: str, names: Sequence[Name], records: dict[Name, Record], onward: _Place | None) -> None:
        try:
            with self._target.engine.writing() as transaction:
                self._lease.write(transaction.session, self.nonce, **_position(onward))
                if phase == "records":
                    self._writing.put(transaction.session, names, records)
                else:
                    self._writing.draw(transaction.session, records)
        except Fenced:
            raise
        except Exception as error:
            if is_trouble(error) or not names:
                raise
            self._isolate(phase, names, records, onward, error)

    def _isolate(
        self, phase: str, names: Sequence[Name], records: dict[Name, Record], onward: _Place | None, error: Exception
    ) -> None:
        if len(names) > 1:
            half = len(names) // 2
            for part, then in ((names[:half], self._place), (names[half:], onward)):
                self._put(phase, part, {name: records[name] for name in part}, then)
            return
        if not isinstance(error, StoreError):
            raise broken(error, names[0]) from error
        self._put(phase, (), {}, onward)  # it answers, so this is about the record
        log.error("the projection refuses %s %s: %s", names[0].kind, names[0].key, error)
        self._queue.bury((), self._lease.epoch, names[0], error)

    def _following(self, place: _Place) -> _Place | None:
        kinds = list(self._target.kinds)
        at = kinds.index(place.kind) + 1
        if at < len(kinds):
            return _Place(place.phase, kinds[at])
        phases = _PHASES if self._target.graph else _PHASES[:2]
        at = phases.index(place.phase) + 1
        return _Place(phases[at], kinds[0]) if at < len(phases) else None


def _position(place: _Place | None) -> dict[str, object]:
    if place is None:
        return {"state": "live", "position": None}
    return {"position": place.as_json()}
