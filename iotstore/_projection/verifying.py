"""Verify: primary and projection compared by digests, what differs named, changes under way told from drift; repair."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final, Literal, NamedTuple, TypeAlias, TypeVar

from iotstore._catalogue.lines import RecordLines
from iotstore._projection.comparing import Compared, RecordComparison
from iotstore._projection.edging import EdgeComparison, Star, drawn_at
from iotstore._projection.keys import Name, grouped
from iotstore._projection.queue import Queue
from iotstore._projection.records import Records
from iotstore._projection.target import Target
from iotstore._projection.writing import Writing
from iotstore._waist.graph import Edge
from iotstore._waist.layout import Row

#: Suspects that are looked at again at once, and how often, while batches arrive.
_AT_ONCE: Final = 200
_TRIES: Final = 20
#: Differences that a comparison names; it counts all.
NAMED: Final = 1000

T = TypeVar("T")
What: TypeAlias = Literal["missing", "extra", "different", "edges"]


class Difference(NamedTuple):
    """A record, by kind and key as JSON text, that is ``missing`` in the projection, ``extra``, ``different``, or whose
    ``edges`` are; with the dead letter's error where the projection has refused it."""

    kind: str
    key: str
    what: What
    letter: str | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """What ``verify`` found. *differences* are the first of *count*; *moving* records changed too often to be told.

    *repaired* says how many were put into the outbox again.
    """

    kinds: tuple[Compared, ...]
    differences: tuple[Difference, ...]
    count: int
    moving: int
    repaired: int

    def __bool__(self) -> bool:
        return self.count == 0


class Verifying:
    """Compares everything, or some records again."""

    def __init__(self, records: Records, queue: Queue, target: Target) -> None:
        self._records = records
        self._queue = queue
        self._target = target
        self._writing = Writing(target)
        self._lines = {
            name: (
                RecordLines(kind.layout, records.engine.backend.holds),
                RecordLines(target.kinds[name].layout, target.engine.backend.holds),
            )
            for name, kind in records.kinds.items()
        }
        self._stars = EdgeComparison(records, target, self._writing)
        self._found: list[Difference] = []
        self._count = self._moving = self._repaired = 0

    def run(self, *, repair: bool) -> Comparison:
        """Read both stores once, in ranges; look again at what is not the same, and with *repair* put it in again."""
        compared: list[Compared] = []
        for kind in self._records.kinds:
            look = RecordComparison(self._records, self._target, kind)
            for names in _pieces(chain.from_iterable(look.suspects())):
                self._settle(names, self._rows_differ, repair=repair)
            compared.append(look.result())
        if self._target.graph:
            edges = EdgeComparison(self._records, self._target, self._writing)
            for several in _pieces(edges.suspects()):
                self._edges(several, repair=repair)
            compared.append(edges.result())
        return Comparison(tuple(compared), tuple(self._found), self._count, self._moving, self._repaired)

    def _settle(
        self, names: Sequence[Name], look: Callable[[Sequence[Name]], dict[Name, What]], *, repair: bool
    ) -> None:
        """Look again until no batch came in between. What then still differs, and does not wait, has drifted: the
        projection was read before the primary, and the outbox last."""
        differing: dict[Name, What] = dict.fromkeys(names, "different")
        for _ in range(_TRIES):
            before = self._target.checkpoint()
            differing = look(list(differing))
            waiting = self._queue.pending(list(differing))
            differing = {name: what for name, what in differing.items() if name not in waiting}
            after = self._target.checkpoint()
            if not differing or (before is not None and after is not None and before.nonce == after.nonce):
                self._note(differing, repair=repair)
                return
        self._moving += len(differing)

    def _rows_differ(self, names: Sequence[Name]) -> dict[Name, What]:
        there = self._read(names, projection=True)
        here = self._read(names, projection=False)
        found: dict[Name, What] = {}
        for name in names:
            one, other = here.get(name), there.get(name)
            if one != other:
                found[name] = "missing" if other is None else "extra" if one is None else "different"
        return found

    def _read(self, names: Sequence[Name], *, projection: bool) -> dict[Name, bytes]:
        side = self._target if projection else self._records
        found: dict[Name, bytes] = {}
        with side.engine.reading() as session:
            for kind, texts in grouped(names).items():
                lines, layout = self._lines[kind][projection], side.kinds[kind].layout
                keys = [side.keys[kind].held(text) for text in texts]
                rows: list[Row | None] = session.get_many(layout, keys)
                found.update(
                    (Name(kind, text), lines.dump([row]))
                    for text, row in zip(texts, rows, strict=True)
                    if row is not None
                )
        return found

    def _edges(self, several: Sequence[tuple[Name, Star, Star]], *, repair: bool) -> None:
        """Edges again: those that the records hold by now, against those that are drawn by now."""
        drawn = {name: there for name, _, there in several}

        def look(names: Sequence[Name]) -> dict[Name, What]:
            asked = [edge for name in names for edge in (*drawn[name], *self._wanted(name))]
            with self._target.engine.reading() as session:
                there = drawn_at(self._target, session, asked)
            differing: dict[Name, What] = {}
            for name in names:
                wanted = self._wanted(name)  # once more, for the projection is to be read first
                wrong = [edge for edge in wanted if edge not in there]
                wrong += [edge for edge in drawn[name] if edge in there and edge not in wanted]
                if wrong and not self._queue.pending(self._ends(wrong)):
                    differing[name] = "edges"
            return differing

        self._settle(list(drawn), look, repair=repair)

    def _wanted(self, name: Name) -> Star:
        """The edges that a record of the primary holds now; none for one that is gone, or never was one."""
        kind = self._records.kinds.get(name.kind)
        if kind is None:
            return ()
        with self._records.engine.consistent() as session:
            row = session.get(kind.layout, self._records.keys[name.kind].held(name.key))
            return () if row is None else self._stars.stars(session, kind, [row])[0]

    def _ends(self, edges: Sequence[Edge]) -> list[Name]:
        keys = self._target.keys
        ends = {node for edge in edges for node in (edge.source, edge.target)}
        return [keys[kind].name((key,)) for kind, key in ends if kind in keys]

    def _note(self, differing: dict[Name, What], *, repair: bool) -> None:
        if not differing:
            return
        letters = {Name(one.kind, one.key): one.error for one in self._queue.letters()}
        self._count += len(differing)
        room = NAMED - len(self._found)
        told = sorted(differing.items())[: max(0, room)]
        self._found += [Difference(*name, what, letters.get(name)) for name, what in told]
        if repair:
            # What was refused stays refused until somebody replays it.
            again = [name for name in differing if name not in letters]
            self._queue.again(again, "repair")
            self._repaired += len(again)


def _pieces(several: Iterable[T]) -> Iterator[list[T]]:
    every = iter(several)
    while piece := list(islice(every, _AT_ONCE)):
        yield piece
