"""The outbox as a queue: what can be seen is applied, and what was applied is taken out. There is no cursor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

from iotstore._engine.engine import Engine
from iotstore._engine.references import keys_filter
from iotstore._kinds.projecting import LETTERS, OUTBOX, DeadLetter
from iotstore._projection.attaching import Attaching
from iotstore._projection.keys import Name, grouped
from iotstore._projection.outbox import Outbox
from iotstore._projection.terms import compare, equals, value
from iotstore._waist.filters import And, In, Op
from iotstore._waist.queries import Aggregate, Function, Measure, Order, Select
from iotstore._waist.sessions import WriteSession

# Characters of keys in one batch: its checkpoint names them all, in a field of a million.
_KEY_CHARACTERS: Final = 300_000
_ORDER: Final = (Order("stamp"), Order("writer"))
_COUNT: Final = Aggregate((), (Measure(Function.COUNT),))
_CHUNK: Final = 200
# What was not caused by a change: the projection may hold anything there.
_FULLY: Final = ("repair", "replay")
_ERROR_CHARACTERS: Final = 4000


class Waiting(NamedTuple):
    """One record that changed, and the outbox rows that say so, as (stamp, writer). *fully* asks for the edges that
    other records hold at it, too."""

    name: Name
    rows: tuple[tuple[int, int], ...]
    fully: bool


class Lag(NamedTuple):
    """How far a projection is behind: changes that wait, and the age of the oldest in seconds."""

    records: int
    seconds: float


class Step(NamedTuple):
    """What a batch leaves in the primary: its epoch, the nonce before it, its own, and its number."""

    epoch: int
    before: str
    nonce: str
    batch: int


class Queue:
    """The outbox and the dead letters of one primary."""

    def __init__(self, engine: Engine, outbox: Outbox, attaching: Attaching) -> None:
        self._engine = engine
        self._outbox = outbox
        self._attaching = attaching

    def waiting(self, limit: int) -> list[Waiting]:
        """The records that the oldest visible rows name, at most *limit* rows. Whatever order rows become visible in,
        none is passed by: only what was applied is taken out."""
        decode = self._engine.codec(OUTBOX).decode
        with self._engine.reading() as session:
            rows = [decode(row) for row in session.select(OUTBOX.layout, Select(order=_ORDER, limit=limit))]
        found: dict[Name, list[tuple[int, int]]] = {}
        fully: set[Name] = set()
        characters = 0
        for row in rows:
            characters += len(row.key)
            if found and characters > _KEY_CHARACTERS:
                break
            name = Name(row.kind, row.key)
            found.setdefault(name, []).append((row.stamp, row.writer))
            if row.action in _FULLY:
                fully.add(name)
        return [Waiting(name, tuple(said), name in fully) for name, said in found.items()]

    def pending(self, names: Sequence[Name]) -> set[Name]:
        """Which of these records wait in the outbox."""
        found: set[Name] = set()
        decode = self._engine.codec(OUTBOX).decode
        with self._engine.reading() as session:
            for kind, texts in grouped(names).items():
                keys = In("key", tuple(value(self._engine, OUTBOX, "key", text) for text in texts))
                where = And((equals(self._engine, OUTBOX, "kind", kind), keys))
                found |= {Name(kind, decode(row).key) for row in session.select(OUTBOX.layout, Select(where))}
        return found

    def waits_for(self, writer: int, after: int, until: int) -> bool:
        """Whether rows of this writer with stamps above *after* and up to *until* still wait."""
        above = compare(self._engine, OUTBOX, "stamp", Op.GT, after)
        below = compare(self._engine, OUTBOX, "stamp", Op.LE, until)
        own = equals(self._engine, OUTBOX, "writer", writer)
        with self._engine.reading() as session:
            return bool(session.select(OUTBOX.layout, Select(And((above, below, own)), limit=1)))

    def lag(self) -> Lag:
        """How much waits, and since when."""
        with self._engine.reading() as session:
            ((count,),) = session.aggregate(OUTBOX.layout, _COUNT)
            first = session.select(OUTBOX.layout, Select(order=_ORDER, limit=1))
        if not first:
            return Lag(0, 0.0)
        age = self._engine.clock.now() - self._engine.codec(OUTBOX).decode(first[0]).time
        return Lag(int(count), max(0.0, age.total_seconds()))

    def take_out(
        self, rows: Sequence[tuple[int, int]], step: Step, redraw: Sequence[Name], mended: Sequence[Name]
    ) -> None:
        """Take applied rows out and note their batch, all or nothing. *redraw* are records whose edges have to be
        drawn once more; *mended* were applied, so they are no dead letters any more."""
        with self._engine.writing() as transaction:
            self._attaching.advance(transaction.session, step.epoch, step.before, step.nonce, step.batch)
            self._delete(transaction.session, rows)
            self._outbox.write(transaction, ((name, 0, "redraw") for name in redraw))
            self._mend(transaction.session, mended)

    def again(self, names: Sequence[Name], why: str) -> None:
        """Put records in that nobody changed; *why* is the action of their rows."""
        if names:
            with self._engine.writing() as transaction:
                self._outbox.write(transaction, ((name, 0, why) for name in names))

    def bury(self, rows: Sequence[tuple[int, int]], epoch: int, name: Name, error: Exception) -> None:
        """Take out the rows of a record that the projection refuses, and keep the error as a dead letter."""
        codec = self._engine.codec(LETTERS)
        with self._engine.writing() as transaction:
            session = transaction.session
            self._attaching.hold(session, epoch)
            before = session.get(LETTERS.layout, codec.key((name.kind, name.digest)))
            letter = DeadLetter(
                kind=name.kind,
                digest=name.digest,
                key=name.key,
                error=f"{type(error).__name__}: {error}"[:_ERROR_CHARACTERS].replace("\0", "?"),
                time=self._engine.clock.now(),
                attempts=1 if before is None else codec.decode(before).attempts + 1,
            )
            session.upsert(LETTERS.layout, [codec.encode(letter, 0, 0)])
            self._delete(session, rows)

    def letters(self, limit: int | None = None) -> list[DeadLetter]:
        """The dead letters, oldest first."""
        order = (Order("time"), Order("kind"), Order("digest"))
        with self._engine.reading() as session:
            rows = session.select(LETTERS.layout, Select(order=order, limit=limit))
        return [self._engine.codec(LETTERS).decode(row) for row in rows]

    def count_letters(self) -> int:
        """How many dead letters there are."""
        with self._engine.reading() as session:
            ((count,),) = session.aggregate(LETTERS.layout, _COUNT)
        return int(count)

    def _mend(self, session: WriteSession, names: Sequence[Name]) -> None:
        if names and session.select(LETTERS.layout, Select(limit=1)):
            key = self._engine.codec(LETTERS).key
            held = [key((name.kind, name.digest)) for name in names]
            for at in range(0, len(held), _CHUNK):
                session.delete(LETTERS.layout, keys_filter(LETTERS, held[at : at + _CHUNK]))

    def _delete(self, session: WriteSession, rows: Sequence[tuple[int, int]]) -> None:
        by_writer: dict[int, list[int]] = {}
        for stamp, writer in rows:
            by_writer.setdefault(writer, []).append(stamp)
        for writer, stamps in by_writer.items():
            held = tuple(value(self._engine, OUTBOX, "stamp", stamp) for stamp in stamps)
            session.delete(OUTBOX.layout, And((In("stamp", held), equals(self._engine, OUTBOX, "writer", writer))))
