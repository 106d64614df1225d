"""Catalogue: the one list of every collection of a store, with count, ordered stream and digest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import msgspec

from iotstore import _values as values
from iotstore._catalogue.lines import Block, RecordLines, freed
from iotstore._catalogue.manifest import KindEntry, Summary
from iotstore._catalogue.points import POINTS, PointLines
from iotstore._engine.describe import layout_of
from iotstore._engine.powers import series_reader
from iotstore._kinds.system import KINDS
from iotstore._kinds.telemetry import SERIES
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend
from iotstore._waist.layout import Layout
from iotstore._waist.queries import Aggregate, Function, Measure, Order, Select
from iotstore._waist.sessions import ReadSession
from iotstore.errors import BackupError, Corrupt

#: Told how far something is: rows done, rows in all, and what is being done.
Progress: TypeAlias = Callable[[int, int, str], None]
# A record may hold a megabyte of JSON: few rows at a time keep memory bounded and are still fast.
_ROWS: Final = 256


def silent(done: int, total: int, what: str) -> None:
    """The progress that nobody watches."""


def layout_for(entry: KindEntry) -> Layout:
    """The layout of a stored kind; BackupError when its description makes none."""
    try:
        return _layout(msgspec.json.encode(entry.description))
    except (LookupError, TypeError, ValueError) as error:
        raise BackupError(f"the stored description of {entry.name} can't be read: {error!r}") from error


# Backends keep statements by the identity of a layout: the same description has to make the same object.
@lru_cache(maxsize=512)
def _layout(description: bytes) -> Layout:
    return layout_of(msgspec.json.decode(description))


class Digester:
    """Counts and digests the blocks of one collection as they pass."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._hash = hashlib.blake2b(digest_size=32)
        self.rows = 0

    def add(self, block: Block) -> None:
        """Take in the next block."""
        self._hash.update(block.data)
        self.rows += block.rows

    def summary(self) -> Summary:
        """What passed."""
        return Summary(self._name, self.rows, self._hash.hexdigest())


class Catalogue:
    """Every collection of a store in reference order: the descriptions of kinds, all stored kinds, then points.

    It is made from the stored descriptions, so kinds whose code is not loaded are in it.
    """

    def __init__(self, backend: Backend, kinds: Sequence[KindEntry]) -> None:
        self.backend = backend
        self.kinds = {entry.name: entry for entry in kinds}
        ordered = reference_order([layout_for(entry) for entry in kinds if entry.name != KINDS.name])
        self.layouts: Mapping[str, Layout] = {layout.name: layout for layout in (KINDS.layout, *ordered)}
        if POINTS in self.layouts:
            raise BackupError(
                f"a kind is called {POINTS!r}, which is the name of the telemetry points", hint="rename it"
            )
        self.lines = {name: RecordLines(layout, backend.holds) for name, layout in self.layouts.items()}
        self.points: PointLines | None = None
        if SERIES.name in self.layouts and backend.capabilities.has(Capability.SERIES):
            self.points = PointLines(self.layouts[SERIES.name], backend)

    @classmethod
    def of(cls, backend: Backend, session: ReadSession) -> Catalogue:
        """The catalogue of the store that *session* reads; an empty database has no collection but the descriptions."""
        if KINDS.name not in session.layouts():
            return cls(backend, ())
        return cls(backend, list(_stored_kinds(backend, session)))

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all collections, in reference order."""
        return (*self.layouts, *([POINTS] if self.points else []))

    def count(self, session: ReadSession, name: str) -> int:
        """How many records or points a collection has."""
        if name == POINTS:
            return series_reader(self.backend, session).count()
        ((rows,),) = session.aggregate(self.layouts[name], Aggregate((), (Measure(Function.COUNT),)))
        return int(rows)

    def counts(self, session: ReadSession) -> dict[str, int]:
        """How many records or points each collection has."""
        return {name: self.count(session, name) for name in self.names}

    def blocks(self, session: ReadSession, name: str) -> Iterator[Block]:
        """A collection as canonical lines in order of its key, in bounded memory. *session* sees one state."""
        if name == POINTS:
            if self.points is not None:
                yield from self.points.blocks(session)
            return
        layout, lines = self.layouts[name], self.lines[name]
        order = tuple(Order(column) for column in layout.key)
        for rows in session.stream(layout, Select(order=order), _ROWS):
            if rows:
                yield Block(lines.dump(rows), len(rows))

    def digested(self, session: ReadSession, name: str, digester: Digester) -> Iterator[Block]:
        """The blocks of a collection, counted and digested as they pass; Corrupt when points belong to no series."""
        for block in self.blocks(session, name):
            digester.add(block)
            yield block
        if name == POINTS and self.points is not None:
            orphans = self.points.orphans(session, digester.rows)
            if orphans:
                raise Corrupt(
                    f"{orphans} points belong to no series", hint="run `iotstore verify` and restore a backup"
                )

    def summary(self, session: ReadSession, name: str, step: Callable[[int], None] | None = None) -> Summary:
        """Count and digest of one collection. *step* is told the rows of every block."""
        digester = Digester(name)
        for block in self.digested(session, name, digester):
            if step is not None:
                step(block.rows)
        return digester.summary()

    def summaries(
        self, session: ReadSession, progress: Progress = silent, what: str = "reading"
    ) -> tuple[Summary, ...]:
        """Count and digest of every collection, in reference order."""
        tally = Tally(progress, sum(self.counts(session).values()))
        return tuple(self.summary(session, name, tally.step(f"{what} {name}")) for name in self.names)


class Tally:
    """Adds up rows and tells them to a Progress."""

    def __init__(self, progress: Progress, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def step(self, what: str) -> Callable[[int], None]:
        """A function that counts rows of *what*."""

        def count(rows: int) -> None:
            self._done += rows
            self._progress(self._done, max(self._total, self._done), what)

        count(0)
        return count


def _stored_kinds(backend: Backend, session: ReadSession) -> Iterator[KindEntry]:
    layout = KINDS.layout
    for rows in session.stream(layout, Select(order=(Order("name"),)), _ROWS):
        for row in rows:
            name, version, text = (
                freed(row[layout.position[column]], layout.column(column).type, backend.holds)
                for column in ("name", "version", "description")
            )
            yield KindEntry(name, version, values.parse_json(text))


def reference_order(layouts: Iterable[Layout]) -> list[Layout]:
    """Layouts so that what is pointed to comes first; else, and where references make a ring, by name."""
    left = {layout.name: layout for layout in sorted(layouts, key=lambda layout: layout.name)}
    ordered: list[Layout] = []
    while left:
        free = (
            one for one in left.values() if not any(r.target in left and r.target != one.name for r in one.references)
        )
        chosen = next(free, None) or next(iter(left.values()))
        ordered.append(left.pop(chosen.name))
    return ordered


def difference(expected: Sequence[Summary], found: Sequence[Summary]) -> str | None:
    """In words, the first collection that is not as expected; None when all are."""
    wanted, have = ({summary.name: summary for summary in side} for side in (expected, found))
    for name in [*wanted, *(name for name in have if name not in wanted)]:
        one, other = wanted.get(name), have.get(name)
        if one is None or other is None:
            # A collection that is missing on one side is no difference while the other is empty.
            only = one or other
            if only is not None and only.count:
                return f"{name} has {only.count} rows on one side and does not exist on the other"
        elif one.count != other.count:
            return f"{name} has {other.count} rows, not {one.count}"
        elif one.digest != other.digest:
            return f"the {other.count} rows of {name} are not the same"
    return None
