"""What differs between primary and projection, range by range: a first look that others' changes may blur."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from iotstore._catalogue.lines import RecordLines, after
from iotstore._kinds.kind import Kind
from iotstore._projection.keys import Name
from iotstore._projection.records import Records
from iotstore._projection.target import Target
from iotstore._waist.filters import ALWAYS, And, Compare, Filter, Op, Or
from iotstore._waist.layout import Row, Value
from iotstore._waist.queries import Order, Select

#: Records in one range of keys, compared by one digest.
RANGE: Final = 1000


class Compared(NamedTuple):
    """One kind, or the edges: how many the primary has, and the digest of each side."""

    kind: str
    records: int
    primary: str
    projection: str

    @property
    def equal(self) -> bool:
        """Whether both sides hold the same."""
        return self.primary == self.projection


class _Side:
    """One store's rows of one kind as canonical lines."""

    def __init__(self, kind: Kind[Any], records: Records | Target) -> None:
        engine = records.engine
        self.layout = kind.layout
        self.lines = RecordLines(kind.layout, engine.backend.holds)
        self.keys = records.keys[kind.name]
        self.hash = hashlib.blake2b(digest_size=24)
        self.order = tuple(Order(column) for column in kind.keys)

    def digest(self, rows: Sequence[Row]) -> bytes:
        data = self.lines.dump(rows) if rows else b""
        self.hash.update(data)
        return hashlib.blake2b(data, digest_size=24).digest()

    def by_name(self, rows: Sequence[Row]) -> dict[Name, bytes]:
        return {self.keys.name(self.layout.key_of(row)): self.lines.dump([row]) for row in rows}


class RecordComparison:
    """Compares the records of one kind; iterate over it for the suspects, then ask for the result."""

    def __init__(self, records: Records, target: Target, kind: str) -> None:
        self._kind = kind
        self._records = records
        self._target = target
        self._primary = _Side(records.kinds[kind], records)
        self._projection = _Side(target.kinds[kind], target)
        self._count = 0

    def suspects(self) -> Iterator[list[Name]]:
        """The records that are not the same on both sides, in lists; both sides are read in ranges of keys."""
        one = self._primary
        last: str | None = None
        with self._records.engine.consistent() as session:
            for rows in session.stream(one.layout, Select(order=one.order), RANGE):
                if rows:
                    until = one.keys.name(one.layout.key_of(rows[-1])).key
                    yield from self._compare(rows, last, until)
                    last = until
        yield from self._compare([], last, None)

    def _compare(self, rows: Sequence[Row], since: str | None, until: str | None) -> Iterator[list[Name]]:
        self._count += len(rows)
        there, more = self._range(since, until)
        if self._primary.digest(rows) != self._projection.digest(there):
            yield self._differing(rows, there)
        for extra in more:
            self._projection.digest(extra)
            yield list(self._projection.by_name(extra))

    def _range(self, since: str | None, until: str | None) -> tuple[list[Row], Iterator[list[Row]]]:
        """What the projection has in a range: twice as much as the primary ever has in one, and the rest in parts."""
        side = self._projection
        low = ALWAYS if since is None else after(side.layout.key, side.keys.held(since))
        high = ALWAYS if until is None else up_to(side.layout.key, side.keys.held(until))
        with self._target.engine.reading() as session:
            rows = session.select(side.layout, Select(And((low, high)), side.order, 2 * RANGE))
        return rows, self._rest(rows, high) if len(rows) == 2 * RANGE else iter(())

    def _rest(self, rows: Sequence[Row], high: Filter) -> Iterator[list[Row]]:
        side = self._projection
        while rows:
            low = after(side.layout.key, side.layout.key_of(rows[-1]))
            with self._target.engine.reading() as session:
                rows = session.select(side.layout, Select(And((low, high)), side.order, RANGE))
            if rows:
                yield list(rows)

    def _differing(self, rows: Sequence[Row], there: Sequence[Row]) -> list[Name]:
        expected, found = self._primary.by_name(rows), self._projection.by_name(there)
        return [name for name in {**expected, **found} if expected.get(name) != found.get(name)]

    def result(self) -> Compared:
        """What both sides held, when all suspects have been asked for."""
        return Compared(self._kind, self._count, self._primary.hash.hexdigest(), self._projection.hash.hexdigest())


def up_to(columns: Sequence[str], last: Sequence[Value]) -> Filter:
    """The filter for what comes before a row that has these values, and for that row."""
    parts: list[Filter] = []
    for index, name in enumerate(columns):
        same = tuple(Compare(before, Op.EQ, value) for before, value in zip(columns[:index], last, strict=False))
        op = Op.LE if index == len(columns) - 1 else Op.LT
        parts.append(And((*same, Compare(name, op, last[index]))))
    return Or(tuple(parts))
