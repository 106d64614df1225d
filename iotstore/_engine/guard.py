"""The check of capabilities: sessions that refuse what their backend lacks before it is asked for it.

Backends that lack nothing of what is checked here are used as they are; a guarded session costs a look at each call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, Generic, TypeVar

from iotstore._waist import uses
from iotstore._waist.buckets import Buckets
from iotstore._waist.capabilities import Capabilities, Capability
from iotstore._waist.contract import Backend
from iotstore._waist.filters import Filter
from iotstore._waist.graph import GraphReader, GraphWriter
from iotstore._waist.layout import Holding, Key, Layout, Row, Type, Value
from iotstore._waist.partials import Partials
from iotstore._waist.queries import Aggregate, Appended, Columns, OnConflict, PointType, Select, Touched, Upserted
from iotstore._waist.schema import Operation
from iotstore._waist.sessions import ReadSession, SeriesReader, SeriesWriter, WriteSession
from iotstore.errors import EngineError

S = TypeVar("S", bound=ReadSession)

#: Asked for where the operation begins, or a promise about all of them: no call of the waist is refused for these.
ELSEWHERE: Final = frozenset(
    {
        Capability.PERSISTENCE,
        Capability.SAVEPOINTS,
        Capability.SNAPSHOTS,
        Capability.CONCURRENT_READS,
        Capability.MANY_HANDLES,
        Capability.MANY_PROCESSES,
        Capability.ATOMIC_MIGRATIONS,
        Capability.SERIES,
        Capability.GRAPH,
        Capability.NATIVE_BACKUP,
        Capability.NATIVE_RESTORE,
        Capability.INTEGRITY_CHECK,
        Capability.OPTIMISATION,
        Capability.COMPACTION,
        Capability.EXPLAIN,
    }
)


class Guard:
    """Refuses uses of what one backend lacks."""

    __slots__ = ("capabilities", "holds", "lacking")

    def __init__(self, backend: Backend, lacking: frozenset[Capability]) -> None:
        self.capabilities: Capabilities = backend.capabilities
        self.holds: Mapping[Type, Holding] = backend.holds
        self.lacking = lacking

    @classmethod
    def of(cls, backend: Backend) -> Guard | None:
        """The guard of a backend; None where it lacks nothing that could be refused."""
        lacking = backend.capabilities.lacking - ELSEWHERE
        return cls(backend, lacking) if lacking else None

    def check(self, used: Iterable[Capability]) -> None:
        """Raise Unsupported for the first capability of these that the backend lacks."""
        for capability in used:
            if capability in self.lacking:
                self.capabilities.require(capability)

    def reads(self, session: ReadSession, *, frozen: bool = False) -> ReadSession:
        """A guarded session for reading; *frozen* is one that an application took a snapshot by."""
        return GuardedReads(self, session, frozen=frozen)

    def writes(self, session: WriteSession, *, shared: bool = False) -> WriteSession:
        """A guarded transaction; *shared* is one in which an application does several things."""
        return GuardedWrites(self, session, shared=shared)


def guarded_reads(backend: Backend, session: ReadSession) -> ReadSession:
    """A session of a backend that may lack something, to be read through."""
    guard = Guard.of(backend)
    return session if guard is None else guard.reads(session)


def guarded_writes(backend: Backend, session: WriteSession) -> WriteSession:
    """A transaction of a backend that may lack something, to be written through."""
    guard = Guard.of(backend)
    return session if guard is None else guard.writes(session)


def bare(session: ReadSession) -> ReadSession:
    """The backend's own session, which its other methods know."""
    return session.inner if isinstance(session, GuardedReads | GuardedWrites) else session


class _Reading(Generic[S]):
    """The reading half of both sessions."""

    guard: Guard
    inner: S

    def get(self, layout: Layout, key: Key) -> Row | None:
        return self.inner.get(layout, key)

    def get_many(self, layout: Layout, keys: Sequence[Key], *, hold: bool = False) -> list[Row | None]:
        if hold:
            self.guard.check((Capability.REFERENCES,))
        return self.inner.get_many(layout, keys, hold=hold)

    def select(self, layout: Layout, query: Select) -> list[Row]:
        self.guard.check(uses.of_select(layout, query))
        return self.inner.select(layout, query)

    def stream(self, layout: Layout, query: Select, rows: int) -> Iterator[list[Row]]:
        self.guard.check((Capability.STREAMING, *uses.of_select(layout, query)))
        return self.inner.stream(layout, query, rows)

    def aggregate(self, layout: Layout, query: Aggregate) -> list[Row]:
        self.guard.check(uses.of_aggregate(query))
        return self.inner.aggregate(layout, query)

    def layouts(self) -> frozenset[str]:
        return self.inner.layouts()

    def counters(self) -> Mapping[str, int]:
        return self.inner.counters()

    def close(self) -> None:
        self.inner.close()


class GuardedReads(_Reading[ReadSession], ReadSession):
    """A session for reading that refuses what its backend lacks."""

    def __init__(self, guard: Guard, inner: ReadSession, *, frozen: bool) -> None:
        self.guard = guard
        self.inner = inner
        self._frozen = frozen

    def points(self) -> SeriesReader:
        """The power to read points, guarded."""
        if not isinstance(self.inner, SeriesReader):
            raise EngineError("the backend claims series, but its sessions can't read points")
        if self._frozen:
            self.guard.check((Capability.POINT_SNAPSHOTS,))
        return GuardedPoints(self.guard, self.inner)

    def graph(self) -> GraphReader:
        """The power to read edges."""
        if not isinstance(self.inner, GraphReader):
            raise EngineError("the backend claims graph, but its sessions can't read edges")
        return self.inner


class GuardedWrites(_Reading[WriteSession], WriteSession):
    """A transaction that refuses what its backend lacks."""

    def __init__(self, guard: Guard, inner: WriteSession, *, shared: bool) -> None:
        self.guard = guard
        self.inner = inner
        self._shared = shared

    def points(self) -> SeriesWriter:
        """The power to write points, guarded."""
        if not isinstance(self.inner, SeriesWriter):
            raise EngineError("the backend claims series, but its sessions can't write points")
        if self._shared:
            self.guard.check((Capability.POINT_TRANSACTIONS,))
        return GuardedWrittenPoints(self.guard, self.inner)

    def graph(self) -> GraphWriter:
        """The power to write edges."""
        if not isinstance(self.inner, GraphWriter):
            raise EngineError("the backend claims graph, but its sessions can't write edges")
        return self.inner

    def insert(self, layout: Layout, row: Row) -> None:
        self.guard.check(uses.of_rows(layout, (row,), self.guard.holds))
        self.inner.insert(layout, row)

    def insert_many(self, layout: Layout, rows: Sequence[Row], conflict: OnConflict) -> list[int]:
        self.guard.check(uses.of_insert(rows, conflict))
        self.guard.check(uses.of_rows(layout, rows, self.guard.holds))
        return self.inner.insert_many(layout, rows, conflict)

    def upsert(self, layout: Layout, rows: Sequence[Row]) -> list[Upserted]:
        self.guard.check(uses.of_upsert(layout))
        self.guard.check(uses.of_rows(layout, rows, self.guard.holds))
        return self.inner.upsert(layout, rows)

    def update(self, layout: Layout, where: Filter, changes: Mapping[str, Value]) -> list[Touched]:
        self.guard.check(uses.of_update(layout, where, changes, self.guard.holds))
        return self.inner.update(layout, where, changes)

    def delete(self, layout: Layout, where: Filter) -> list[Touched]:
        self.guard.check(uses.of_delete(layout, where))
        return self.inner.delete(layout, where)

    def shed_records(self, layout: Layout, end: int) -> int:
        return self.inner.shed_records(layout, end)

    def reserve(self, counter: str, count: int) -> int:
        self.guard.check((Capability.GENERATED_IDS,))
        return self.inner.reserve(counter, count)

    def apply(self, operations: Sequence[Operation]) -> None:
        self.guard.check(uses.of_operations(operations))
        self.inner.apply(operations)

    def savepoint(self) -> None:
        self.inner.savepoint()

    def release(self) -> None:
        self.inner.release()

    def undo(self) -> None:
        self.inner.undo()

    def commit(self) -> None:
        self.inner.commit()

    def rollback(self) -> None:
        self.inner.rollback()

    def close(self) -> None:
        self.inner.close()


class GuardedPoints(SeriesReader):
    """Reading points, refusing what the backend lacks."""

    def __init__(self, guard: Guard, inner: SeriesReader) -> None:
        self.guard = guard
        self.inner: SeriesReader = inner

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
        if descending:
            self.guard.check((Capability.REVERSE_SCANS,))
        return self.inner.scan(series, of, start, end, descending=descending, limit=limit)

    def latest(self, series: Sequence[tuple[int, PointType]]) -> list[tuple[int, Value] | None]:
        return self.inner.latest(series)

    def before(self, series: Sequence[tuple[int, PointType]], time: int) -> list[tuple[int, Value] | None]:
        self.guard.check((Capability.POINTS_BEFORE,))
        return self.inner.before(series, time)

    def count(self, series: Sequence[int] | None = None) -> int:
        self.guard.check((Capability.POINT_COUNTS,))
        return self.inner.count(series)

    def fold(self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool) -> list[Partials]:
        return self.inner.fold(series, buckets, edges=edges)

    def fold_materialized(
        self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool
    ) -> list[Partials]:
        return self.inner.fold_materialized(series, buckets, edges=edges)


class GuardedWrittenPoints(GuardedPoints, SeriesWriter):
    """Writing points, refusing what the backend lacks."""

    def __init__(self, guard: Guard, inner: SeriesWriter) -> None:
        super().__init__(guard, inner)
        self._writer = inner

    def append(
        self,
        of: PointType,
        series: Sequence[int],
        times: Sequence[int],
        values: Sequence[Value],
        conflict: OnConflict,
    ) -> Appended:
        self.guard.check(uses.of_append(of, times, values, conflict))
        if Capability.LATE_POINTS in self.guard.lacking and self._late(of, series, times):
            self.guard.check((Capability.LATE_POINTS,))
        return self._writer.append(of, series, times, values, conflict)

    def _late(self, of: PointType, series: Sequence[int], times: Sequence[int]) -> bool:
        known = list(dict.fromkeys(series))
        newest = zip(known, self.inner.latest([(one, of) for one in known]), strict=True)
        return uses.late(series, times, {one: point[0] for one, point in newest if point is not None})

    def erase(self, series: Sequence[int], start: int | None, end: int | None) -> int:
        self.guard.check((Capability.ERASE_POINTS,))
        return self._writer.erase(series, start, end)

    def shed(self, end: int) -> int:
        self.guard.check((Capability.ERASE_POINTS,))
        return self._writer.shed(end)
