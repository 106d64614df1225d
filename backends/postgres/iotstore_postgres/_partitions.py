"""Where points lie: one table, partitioned by time, whose partitions are made ahead and on demand.

Where the store was set up for TimescaleDB the table is a hypertable, and its chunks are what else partitions are.
Every type of value has a column of its own, and two of the three are NULL, which takes no room: measured against a
table for each type, a row has the same 52 bytes, and there is one set of partitions instead of four.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import psycopg

from iotstore.backend import Corrupt, StoreError
from iotstore_postgres import _chunks
from iotstore_postgres._errors import DRIVER_ERRORS, RESTORE_HINT, translating, unconnected

#: The width of a partition in microseconds: 28 days.
WIDTH: Final = 28 * 86_400 * 1_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def _aligned(year: int) -> int:
    days = (datetime(year, 1, 1, tzinfo=UTC) - EPOCH).days
    return days * 86_400_000_000 // WIDTH * WIDTH


#: Between these times partitions are made. A clock that says 1970 or 9999 must not make thousands of tables: what
#: lies outside goes to two partitions without an end.
FIRST: Final = _aligned(2010)
LAST: Final = _aligned(2060)
_EARLIER, _LATER = "iotstore_points_earlier", "iotstore_points_later"

COLUMNS: Final = (
    'series BIGINT NOT NULL, time BIGINT NOT NULL, number DOUBLE PRECISION, whole BIGINT, words TEXT COLLATE "C"'
)
#: The private tables of points, for the statement that sets up a store. The grid of partitions is a property of the
#: store: a later version of this package may cut new stores in another way.
POINTS_SCHEMA: Final[Sequence[str]] = (
    f"CREATE TABLE iotstore_points ({COLUMNS}, PRIMARY KEY (series, time)) PARTITION BY RANGE (time)",
    f"CREATE TABLE {_EARLIER} PARTITION OF iotstore_points FOR VALUES FROM (MINVALUE) TO ({FIRST})",
    f"CREATE TABLE {_LATER} PARTITION OF iotstore_points FOR VALUES FROM ({LAST}) TO (MAXVALUE)",
    "CREATE TABLE iotstore_partitions (name TEXT PRIMARY KEY, width BIGINT, first BIGINT, last BIGINT)",
    f"INSERT INTO iotstore_partitions VALUES ('points', {WIDTH}, {FIRST}, {LAST})",  # noqa: S608 - constants only
    # Room on each page, so that a row that moves on finds its place beside the old one and no index is touched.
    f"CREATE TABLE iotstore_latest ({COLUMNS}, PRIMARY KEY (series)) WITH (fillfactor = 50)",
)
#: The whole table: it takes every point.
ALL: Final = "iotstore_points"
#: To be run first in a transaction that is to see one state, before its first read: while it lasts nobody drops a
#: partition, and a dropped one would be missing in that state too.
HOLD_PARTITIONS: Final = "LOCK TABLE ONLY iotstore_points IN ACCESS SHARE MODE"

_GRID: Final = (
    "SELECT width, first, last, (SELECT relkind = 'p' FROM pg_catalog.pg_class"
    " WHERE oid = 'iotstore_points'::regclass) FROM iotstore_partitions WHERE name = 'points'"
)
EXISTING: Final = (
    "SELECT c.relname FROM pg_catalog.pg_inherits AS i JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid"
    " WHERE i.inhparent = 'iotstore_points'::regclass"
)
# One for each store: the number of its table is unique in the database. The first four bytes are a word.
HOLD: Final = f"SELECT pg_advisory_xact_lock({0x696F_7470 << 32} | 'iotstore_points'::regclass::oid::bigint)"
_PATIENCE: Final = "10s"
AHEAD: Final = 1


@contextmanager
def apart(connect: Callable[[], psycopg.Connection[Any]]) -> Iterator[psycopg.Connection[Any]]:
    """A transaction on a connection of its own, committed at once: what is made in it nobody has to wait for."""
    try:
        connection = connect()
    except DRIVER_ERRORS as error:
        raise unconnected(error) from error
    with translating(), connection, connection.transaction():
        connection.execute("SELECT set_config('lock_timeout', $1, true)", (_PATIENCE,))
        yield connection


class Grid(NamedTuple):
    """How a store's time is cut."""

    width: int
    first: int
    last: int
    #: Whether the partitions are chunks of a hypertable: then there is no table to write to but the whole one.
    chunks: bool = False

    def number(self, time: int) -> int:
        """The number of the partition that holds *time*: -1 is everything before the first one."""
        if time < self.first:
            return -1
        return (min(time, self.last) - self.first) // self.width

    @property
    def beyond(self) -> int:
        """The number of the partition that holds everything after the last one."""
        return (self.last - self.first) // self.width

    def start(self, number: int) -> int:
        """When a partition begins."""
        return self.first + number * self.width

    def name(self, number: int) -> str:
        """A partition's table, called after the day on which it begins. Chunks are called so here only."""
        if self.chunks:
            return f"chunk at {self.start(number)}"
        if number < 0:
            return _EARLIER
        if number >= self.beyond:
            return _LATER
        return f"iotstore_points_{EPOCH + timedelta(microseconds=self.start(number)):%Y%m%d}"


class Duplicates:
    """Whether batches had duplicates lately: then trying without costs more than it gains."""

    #: batches without a duplicate until one is tried again as if there were none
    PATIENCE: Final = 8

    def __init__(self) -> None:
        self._remaining = 0

    @property
    def expected(self) -> bool:
        """Whether the next batch should look for them at once."""
        return self._remaining > 0

    def met(self) -> None:
        """A batch had some."""
        self._remaining = self.PATIENCE

    def missed(self) -> None:
        """A batch that looked for them had none."""
        self._remaining -= 1

    def found(self, *, some: bool) -> None:
        """A batch looked for them."""
        if some:
            self.met()
        else:
            self.missed()


class Partitions:
    """The partitions of one store as this process knows them. Used by many threads."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        #: Makes a connection of its own: those of the pool may all be waiting for the partition.
        self._connect = connect
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._grid: Grid | None = None
        self.duplicates = Duplicates()
        self._duplicates: dict[str, Duplicates] = {}

    def duplicates_in(self, layout: str) -> Duplicates:
        """The same of the records of a layout."""
        return self._duplicates.setdefault(layout, Duplicates())

    @property
    def grid(self) -> Grid:
        """How the store's time is cut; asked for once."""
        if self._grid is None:
            self.ensure(())
        if self._grid is None:
            raise RuntimeError("ensure() reads the grid")
        return self._grid

    def table(self, numbers_in: Callable[[Grid], Collection[int]]) -> str:
        """The table that takes points of these partitions, all of which are there."""
        while True:
            grid = self.grid
            names = [grid.name(number) for number in numbers_in(grid)]
            if not self._known.issuperset(names):
                self.ensure(numbers_in(grid), grid)
                if self._grid != grid:  # the store was set up for TimescaleDB meanwhile, or with another interval
                    continue
            return names[0] if len(names) == 1 and not grid.chunks else ALL

    def forget(self) -> None:
        """Another process dropped some, or cut the store anew: look again before the next use."""
        self._known, self._grid = frozenset(), None

    def ensure(self, numbers: Collection[int], of: Grid | None = None) -> None:
        """Make these partitions, that of now and the next one, as far as they are missing.

        *numbers* are those of the grid *of*. If the store is cut in another way by now, they mean nothing.

        On a connection of its own and committed at once: so what waits behind the appending transaction, or is rolled
        back with it, has nothing to do with it. ATTACH PARTITION lets readers and writers go on.
        """
        with self._lock, apart(self._connect) as connection:
            self._make(connection, numbers, of)

    def _make(self, connection: psycopg.Connection[Any], numbers: Collection[int], of: Grid | None) -> None:
        connection.execute(HOLD.encode())
        grid = _found_grid(connection)
        now = grid.number(time.time_ns() // 1000)
        wanted = sorted({*(numbers if of in (None, grid) else ()), *range(now, now + 1 + AHEAD)})
        if grid.chunks:
            # The two ends of each: chunks that were made with another interval may lie in between.
            inside = [number for number in wanted if 0 <= number < grid.beyond]
            _chunks.make(connection, [end for one in inside for end in (grid.start(one), grid.start(one + 1) - 1)])
            self._grid, self._known = grid, frozenset({*self._known, *map(grid.name, wanted)})
        else:
            self._grid, self._known = grid, _make_partitions(connection, grid, wanted)


def _found_grid(connection: psycopg.Connection[Any]) -> Grid:
    found = connection.execute(_GRID.encode()).fetchone()
    if found is None:
        raise Corrupt("nothing says how the points of this store are partitioned", hint=RESTORE_HINT)
    *native, partitioned = found
    if partitioned:
        return Grid(*native)
    interval = _chunks.interval(connection)
    if interval is None:
        raise Corrupt("the points of this store are neither partitioned nor a hypertable", hint=RESTORE_HINT)
    # Aligned as TimescaleDB does it. What lies outside are times that no clock says: their chunks come as they come.
    return Grid(interval, _chunks.FIRST // interval * interval, _chunks.LAST // interval * interval, chunks=True)


def _make_partitions(connection: psycopg.Connection[Any], grid: Grid, numbers: Iterable[int]) -> frozenset[str]:
    """Make those that are missing; the names of all that are there."""
    known = {row[0] for row in connection.execute(EXISTING).fetchall()}
    for number in numbers:
        name = grid.name(number)
        if name in known:
            continue
        known.add(name)
        start = grid.start(number)
        bounds = f"FROM ({start}) TO ({start + grid.width})"
        for text in (
            f"CREATE TABLE {name} (LIKE iotstore_points INCLUDING ALL)",
            f"ALTER TABLE iotstore_points ATTACH PARTITION {name} FOR VALUES {bounds}",
        ):
            connection.execute(text.encode())
    return frozenset(known)


def sqlstate(error: StoreError) -> str | None:
    """What the server called the reason of an error."""
    state: str | None = getattr(error.__cause__, "sqlstate", None)
    return state


def is_missing_partition(error: StoreError) -> bool:
    """Whether a point found no partition, or the one that was named is gone."""
    # That no partition takes a point is told as a violated constraint.
    return sqlstate(error) in {"23514", "42P01"}
