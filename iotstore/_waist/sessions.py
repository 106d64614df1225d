"""Sessions: what a backend does inside one call, one transaction or one snapshot.

Everything crosses as plain values in layout terms, held the way the backend said in ``holds``. A backend never sees
record classes, JSON, addresses or time zones, and decides nothing that the core has decided already.

Every method may raise the errors of ``iotstore.errors``; a driver's own exception never leaves a backend.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from types import TracebackType
from typing import Self

from iotstore._waist.buckets import Buckets
from iotstore._waist.filters import Filter
from iotstore._waist.layout import Key, Layout, Row, Value
from iotstore._waist.partials import Partials
from iotstore._waist.queries import Aggregate, Appended, Columns, OnConflict, PointType, Select, Touched, Upserted
from iotstore._waist.schema import Operation


class ReadSession(ABC):
    """Reads. From ``Backend.read()`` each call sees the latest committed state; from ``Backend.snapshot()`` all calls
    see one. Used by one thread at a time. Leaving the ``with`` block gives everything back."""

    @abstractmethod
    def get(self, layout: Layout, key: Key) -> Row | None:
        """The row with this key, or None. The hot path: one statement, no layers."""

    @abstractmethod
    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        """The rows with these keys, aligned with *keys*, None where there is none. Keys may repeat.

        With *hold* (in a write session) nobody can delete the rows found before this session ends.
        """

    @abstractmethod
    def select(self, layout: Layout, query: Select) -> list[Row]:
        """The rows of a selection, in its order."""

    @abstractmethod
    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        """The same in lists of about *rows*, in bounded memory. Consistent when the session is a snapshot."""

    @abstractmethod
    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        """The groups of an aggregate, each a tuple of group values and measures."""

    @abstractmethod
    def layouts(self) -> frozenset[str]:
        """The names of the layouts that exist in this store."""

    @abstractmethod
    def counters(self) -> Mapping[str, int]:
        """The next number of every counter that ``reserve`` has made."""

    @abstractmethod
    def close(self) -> None:
        """End the session. Allowed twice."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class WriteSession(ReadSession):
    """One transaction. It sees its own changes. ``commit`` or ``rollback`` ends it; after either, and after a failure
    of either, no lock is held and the connection is usable."""

    @abstractmethod
    def insert(self, layout: Layout, row: Row) -> None:
        """Insert one row; Conflict if its key exists. Another unique rule violated is InvalidValue."""

    @abstractmethod
    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        """Insert rows whose keys differ from each other; return the positions that were not stored, ascending.

        A conflict means the primary key: under ERROR it raises Conflict and nothing of the call is stored, under KEEP
        the stored row stays. Another unique rule violated is InvalidValue and nothing of the call is stored.
        """

    @abstractmethod
    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        """Insert rows whose keys differ, or merge each into the stored one by its columns' merge rules, raising the
        version by one. Returns what is stored now, aligned with *rows*. Lost updates are impossible."""

    @abstractmethod
    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        """Set columns of the matching rows and raise their version by one, in one statement. Returns what was touched
        in no particular order; empty version 0 for layouts without versions. Key columns are never changed."""

    @abstractmethod
    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        """Delete the matching rows and return what was touched, in no particular order."""

    def shed_records(self, layout: Layout, end: int) -> int:  # noqa: ARG002 - who can do it cheaply says so
        """Delete records of a layout with *parts* from before *end*, as far as that costs no work per record.

        Returns how many went. Nothing points to any of them. Retention asks for it before it deletes what is left, so
        doing nothing is right, too.
        """
        return 0

    @abstractmethod
    def reserve(self, counter: str, count: int) -> int:
        """Advance a named 64-bit counter, starting at 1, by *count*; return the first of the reserved numbers.

        Rolled back with the transaction. Two sessions never get the same number while both commit.
        """

    @abstractmethod
    def apply(self, operations: Sequence[Operation]) -> None:
        """Apply schema operations in order. From then on, after an empty call too, nobody else changes the schema
        before this session ends; MANY_PROCESSES depends on it."""

    @abstractmethod
    def savepoint(self) -> None:
        """Start a nested part. Only called when SAVEPOINTS is claimed."""

    @abstractmethod
    def release(self) -> None:
        """Keep what was done since the innermost savepoint."""

    @abstractmethod
    def undo(self) -> None:
        """Undo what was done since the innermost savepoint, and end it."""

    @abstractmethod
    def commit(self) -> None:
        """Make everything visible and durable as declared. When it raises, nothing of the transaction is visible."""

    @abstractmethod
    def rollback(self) -> None:
        """Leave no trace. Allowed after the session ended."""

    def close(self) -> None:
        """Roll back unless the session has ended."""
        self.rollback()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.rollback()


class SeriesReader(ABC):
    """Reading points: a power of the read sessions of a backend that claims SERIES.

    A series is its 64-bit id; the core knows device, metric and type. Ranges are half-open; None is unbounded.
    """

    @abstractmethod
    def scan(
        self,
        series: int,
        of: PointType,
        start: int | None,
        end: int | None,
        *,
        descending: bool = False,
        limit: int | None = None,
    ) -> Iterator[Columns]:
        """Points of one series in time order (or reversed), as columns in chunks of at most about 10,000 points."""

    @abstractmethod
    def latest(self, series: Sequence[tuple[int, PointType]]) -> list[tuple[int, Value] | None]:
        """The newest point by time of each series, aligned; costs the same at any size."""

    @abstractmethod
    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        """The newest point of each series strictly before *time*, aligned."""

    @abstractmethod
    def count(self, series: Sequence[int] | None = None) -> int:
        """How many points these series (or all) have."""

    @abstractmethod
    def fold(self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool) -> list[Partials]:
        """One Partials per series, aligned: the mergeable part of every non-empty bucket, in order of bucket number.

        With *edges* first and last points are filled in, else they may be None. Integer sums are exact Python integers.
        An engine's own aggregate, stored summaries or ``fold_columns`` over ``scan`` all serve.
        """

    def fold_materialized(
        self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool
    ) -> list[Partials]:
        """The same, for a caller who accepts that summaries which the engine keeps lack the latest changes.

        Only changes of points that were summarised already may be missing: new ones, replaced ones, deleted ones. An
        engine without such summaries, and a session that would miss its own changes, fold as ever.
        """
        return self.fold(series, buckets, edges=edges)


class SeriesWriter(SeriesReader):
    """Writing points: a power of the write sessions of a backend that claims SERIES."""

    @abstractmethod
    def append(
        self,
        of: PointType,
        series: Sequence[int],
        times: Sequence[int],
        values: Sequence[Value],
        conflict: OnConflict,
    ) -> Appended:
        """Append aligned columns of many series of one type. The core has checked that the series exist.

        A point is unique by (series, time). Under KEEP and ERROR a time may repeat inside the call: the first wins
        (KEEP) or it is a Conflict (ERROR); under REPLACE the core has removed repeats.
        Columns are lists or objects with the buffer protocol (arrays of 64-bit integers, doubles).
        """

    @abstractmethod
    def erase(self, series: Sequence[int], start: int | None, end: int | None) -> int:
        """Delete the points of these series in the range; return how many there were."""

    def shed(self, end: int) -> int:  # noqa: ARG002 - who can do it cheaply says so
        """Delete points of any series before *end*, as far as that costs no work per point; return how many went.

        Retention asks for it before it erases what is left. An engine that keeps points in parts by time drops whole
        ones; doing nothing is right, too.
        """
        return 0
