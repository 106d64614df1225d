"""Writing points with the statements of a transaction."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Final, TypeVar

from iotstore.backend import (
    Appended,
    Buckets,
    Busy,
    Conflict,
    Layout,
    OnConflict,
    Partials,
    PointType,
    SeriesWriter,
    StoreError,
    Value,
)
from iotstore_postgres import _chunks
from iotstore_postgres._binary import array_in, rows_in
from iotstore_postgres._conversions import Int8Array
from iotstore_postgres._latest import CLEAR, COLUMN, FORWARD, GIVEN, HOLD_ALL, HOLD_SOME, SET_BACK
from iotstore_postgres._partitions import ALL, EXISTING, Partitions, is_missing_partition, sqlstate
from iotstore_postgres._point_batch import Batch, prepare
from iotstore_postgres._points import EARLIEST, LATEST_TIME, PointReads

T = TypeVar("T")

#: Fewer points are sent as arrays: a COPY takes a round trip more.
_COPIED: Final = 200
#: How often a batch begins again when others drop its partition, or delete and insert its points meanwhile.
_ROUNDS: Final = 20
#: For locks that others would queue behind.
_SHORT_WAIT: Final = "250ms"
_BOUNDED: Final = "p.time >= $4 AND p.time <= $5"
_ERASE: Final = f"DELETE FROM {ALL} WHERE series = $1 AND time >= $2 AND time <= $3"  # noqa: S608 - constants only
# Series by series along the index, so in the order of all writers. (Locking the rows in that order first, for all
# series at once, takes four times as long.)
_ALONG_INDEX: Final = (
    "SELECT current_setting('enable_seqscan'), current_setting('enable_bitmapscan'),"
    " set_config('enable_seqscan', 'off', true), set_config('enable_bitmapscan', 'off', true)"
)
_ANY_WAY: Final = "SELECT set_config('enable_seqscan', $1, true), set_config('enable_bitmapscan', $2, true)"


@lru_cache(maxsize=1024)
def insert_text(table: str, of: PointType, conflict: OnConflict) -> str:
    """Inserts the points of a batch; under anything but ERROR those that are not there."""
    column, _ = COLUMN[of]
    text = f"INSERT INTO {table} (series, time, {column}) SELECT * FROM {GIVEN[of]}"  # noqa: S608 - names of ours
    return text if conflict is OnConflict.ERROR else text + " ON CONFLICT DO NOTHING"


@lru_cache(maxsize=1024)
def _replace_text(table: str, of: PointType) -> str:
    # How many of the points are there, how many of those differ, and how many were changed. Those that differ are
    # locked in the order of all writers; equal ones need no lock.
    column, _ = COLUMN[of]
    joined = f"FROM given AS g JOIN {table} AS p ON p.series = g.series AND p.time = g.time AND {_BOUNDED}"
    differs = f"p.{column} IS DISTINCT FROM g.value"
    return (
        f"WITH given AS (SELECT * FROM {GIVEN[of]} AS u(series, time, value)),"  # noqa: S608 - names of ours
        f" held AS (SELECT g.* {joined} WHERE {differs}"
        " ORDER BY g.series, g.time FOR UPDATE OF p),"
        f" changed AS (UPDATE {table} AS p SET {column} = h.value FROM held AS h"
        f" WHERE p.series = h.series AND p.time = h.time AND {_BOUNDED} RETURNING 1)"
        f" SELECT count(*), count(*) FILTER (WHERE {differs}), (SELECT count(*) FROM changed) {joined}"
    )


@lru_cache(maxsize=8)
def _merge_text(of: PointType) -> str:
    # For hypertables: rows of compressed chunks can't be locked, and this one unpacks only those that it changes. It
    # meets the points in the order of the arrays, which is that of all writers. A row that nobody has locked is new.
    column, _ = COLUMN[of]
    return (
        f"WITH done AS (INSERT INTO {ALL} AS p (series, time, {column})"  # noqa: S608 - names of ours
        f" SELECT * FROM {GIVEN[of]}"
        f" ON CONFLICT (series, time) DO UPDATE SET {column} = excluded.{column}"
        f" WHERE p.{column} IS DISTINCT FROM excluded.{column} RETURNING p.xmax = 0 AS fresh)"
        " SELECT count(*) FILTER (WHERE fresh), count(*) FILTER (WHERE NOT fresh) FROM done"
    )


class Raced(Exception):
    """Others changed the points of the batch between two statements."""


class PointWrites(PointReads, SeriesWriter):
    """Writing points with the statements of a transaction."""

    partitions: Partitions

    @abstractmethod
    def change(self, text: str, parameters: Sequence[Value], layout: Layout | None) -> int:
        """Run a statement and return how many rows it changed."""

    @abstractmethod
    def copy_in(self, statement: str, data: bytes) -> int:
        """Send *data* to ``COPY ... FROM STDIN``; returns how many rows it stored."""

    @abstractmethod
    def savepoint(self) -> None:
        """Start a part that can be undone."""

    @abstractmethod
    def release(self) -> None:
        """Keep the part."""

    @abstractmethod
    def undo(self) -> None:
        """Undo the part."""

    def fold_materialized(
        self, series: Sequence[tuple[int, PointType]], buckets: Buckets, *, edges: bool
    ) -> list[Partials]:
        """Fold the points: what was summed up before lacks what this transaction has changed."""
        return self.fold(series, buckets, edges=edges)

    def append(
        self,
        of: PointType,
        series: Sequence[int],
        times: Sequence[int],
        values: Sequence[Value],
        conflict: OnConflict,
    ) -> Appended:
        count = len(series)
        if not len(times) == len(values) == count:
            raise ValueError(f"columns of {count}, {len(times)} and {len(values)} points are not aligned")
        if not count:
            return Appended(0, 0)
        batch = prepare(of, series, times, values, last_wins=conflict is OnConflict.REPLACE)
        if conflict is OnConflict.ERROR and len(batch.times) < count:
            raise Conflict("a point of this series and time is in the batch twice")
        fresh, replaced = self._store(of, batch, conflict)
        return Appended(fresh + replaced, count - fresh - replaced, replaced)

    def _store(self, of: PointType, batch: Batch, conflict: OnConflict) -> tuple[int, int]:
        """Store the batch and move its series' latest values on, or do nothing at all."""
        partitions, many = self.partitions, len(batch.times) >= _COPIED
        for _ in range(_ROUNDS):
            table = partitions.table(batch.partitions)
            tried = conflict is OnConflict.ERROR or (many and not partitions.duplicates.expected)
            self.savepoint()
            try:
                if tried:
                    counted = self._insert_fresh(table, of, batch, many=many), 0
                else:
                    counted = self._insert_among(table, of, batch, conflict)
                self._forward(of, batch, conflict)
            except Raced:
                self.undo()
            except StoreError as error:
                self.undo()
                if is_missing_partition(error):
                    partitions.forget()
                elif sqlstate(error) != "23505":
                    raise
                elif conflict is OnConflict.ERROR:
                    raise Conflict("a point of this series and time exists already") from error
                else:
                    partitions.duplicates.met()
            except BaseException:
                self.undo()
                raise
            else:
                self.release()
                return counted
        raise Busy("others kept changing the same points, or dropping their partition", hint="retry the transaction")

    def _insert_fresh(self, table: str, of: PointType, batch: Batch, *, many: bool) -> int:
        """Insert points of which none is expected to be there; one that is there is an error."""
        if not many:
            return self.change(insert_text(table, of, OnConflict.ERROR), arrays_of(batch), None)
        column, code = COLUMN[of]
        data = rows_in(batch.series, batch.times, batch.values, code)
        self.copy_in(f"COPY {table} (series, time, {column}) FROM STDIN (FORMAT BINARY)", data)
        return len(batch.times)

    def _insert_among(self, table: str, of: PointType, batch: Batch, conflict: OnConflict) -> tuple[int, int]:
        """Insert the points that are not there; under REPLACE, give the others their new value."""
        count, duplicates, arrays = len(batch.times), self.partitions.duplicates, arrays_of(batch)
        if conflict is OnConflict.REPLACE and self.partitions.grid.chunks:
            fresh, changed = self.rows(_merge_text(of), arrays)[0]
        else:
            fresh, changed = self.change(insert_text(table, of, OnConflict.KEEP), arrays, None), 0
            if conflict is OnConflict.REPLACE and fresh < count:
                there, differing, changed = self.rows(_replace_text(table, of), [*arrays, *batch.span()])[0]
                if there < count or changed < differing:
                    raise Raced  # one was deleted since, or changed by somebody else while we waited for it
        if count >= _COPIED:
            duplicates.found(some=fresh < count)
        return fresh, changed

    def _forward(self, of: PointType, batch: Batch, conflict: OnConflict) -> None:
        # A duplicate may be among the newest: what is stored in its place is not older than the latest value, so the
        # guard refuses it.
        self.change(FORWARD[of, conflict], arrays_of(batch.newest()), None)

    def erase(self, series: Sequence[int], start: int | None, end: int | None) -> int:
        low = EARLIEST if start is None else start
        high = LATEST_TIME if end is None else end - 1
        if not series:
            return 0
        wanted = sorted(set(series))
        settings = self.rows(_ALONG_INDEX, ())[0][:2]
        gone = sum(self.change(_ERASE, (one, low, high), None) for one in wanted)
        self.rows(_ANY_WAY, settings)
        if gone:
            self._set_back(HOLD_SOME, (low, high, Int8Array(wanted)))
        return gone

    def _set_back(self, hold: str, parameters: tuple[Value, ...]) -> None:
        """Look for the latest values again where the newest point may have been deleted."""
        held = Int8Array(row[0] for row in self.rows(hold, parameters))
        if held:
            high = parameters[1]
            self.change(SET_BACK, (held, high), None)
            self.change(CLEAR, (held, high), None)

    def shed(self, end: int) -> int:
        """Drop the partitions that end by *end*; returns how many points were in them.

        Only where nobody is in the way: dropping needs the table for itself for an instant, and whoever reads from an
        older state would miss the partition there. Otherwise nothing is done, and the points wait for ``erase``.
        """
        drop = self._shed_chunks if self.partitions.grid.chunks else self._shed_partitions
        gone, until = self._unless_busy(lambda: drop(end)) or (0, None)
        if until is not None:
            self._set_back(HOLD_ALL, (EARLIEST, until - 1))
        return gone

    def _unless_busy(self, do: Callable[[], T]) -> T | None:
        """What *do* returns, in a part of its own; None, and nothing done, if somebody is in the way."""
        self.savepoint()
        try:
            done = do()
        except Busy:
            self.undo()
            return None
        except BaseException:
            self.undo()
            raise
        self.release()
        return done

    def _shed_partitions(self, end: int) -> tuple[int, int | None]:
        """How many points are gone, and until which time."""
        grid = self.partitions.grid
        there = {row[0] for row in self.rows(EXISTING, ())}
        numbers = [number for number in range(grid.number(end)) if grid.name(number) in there]
        if not numbers:
            return 0, None
        names = ", ".join(map(grid.name, numbers))
        with self._short_wait():
            gone = self._count_alone([grid.name(number) for number in numbers])
            self.change(f"DROP TABLE {names}", (), None)
        return gone, grid.start(numbers[-1] + 1)

    def _shed_chunks(self, end: int) -> tuple[int, int | None]:
        if not self.rows(_chunks.BEFORE, (end,)):
            return 0, None
        with self._short_wait():
            # From here on nobody makes a chunk: those that are counted are those that are dropped.
            self.change(f"LOCK TABLE ONLY {ALL} IN SHARE UPDATE EXCLUSIVE MODE", (), None)
            found = self.rows(_chunks.BEFORE, (end,))
            if not found:  # another one was faster
                return 0, None
            until = max(row[1] for row in found)
            gone = self._count_alone([row[0] for row in found])
            ((functions,),) = self.rows(_chunks.FUNCTIONS, ())
            self.rows(_chunks.drop_text(functions), (until,))
        return gone, until

    @contextmanager
    def _short_wait(self) -> Iterator[None]:
        ((patience,),) = self.rows("SELECT current_setting('lock_timeout')", ())
        self.change(f"SET LOCAL lock_timeout = '{_SHORT_WAIT}'", (), None)
        yield  # after an error the transaction goes back to where the setting was another one
        self.change(f"SET LOCAL lock_timeout = '{patience}'", (), None)

    def _count_alone(self, names: Sequence[str]) -> int:
        """How many points lie in these tables; afterwards everything is this transaction's alone."""
        # Counting takes time, and meanwhile only writers of these partitions wait.
        self.change(f"LOCK TABLE {', '.join(names)} IN SHARE MODE", (), None)
        counted = [self.rows(f"SELECT count(*) FROM {name}", ())[0][0] for name in names]  # noqa: S608 - names of ours
        self.change(f"LOCK TABLE ONLY {ALL} IN ACCESS EXCLUSIVE MODE", (), None)
        return sum(counted)


def arrays_of(batch: Batch) -> list[Value]:
    """The parameters that a batch travels as."""
    return [array_in(batch.series, "q"), array_in(batch.times, "q"), array_in(batch.values, batch.code)]
