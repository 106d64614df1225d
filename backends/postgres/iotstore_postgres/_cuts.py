"""Kinds whose records lie in partitions by time: which there are, and how their tables are cut.

The primary key of such a table is (id, time): a unique key of a partitioned table has to hold the time. That an id is
unique all the same, and is found without a look into every partition, is what ``iotstore_ranges`` is for. It knows for
each block of 4,096 ids between which times their records lie, and which is the highest of them. Whoever inserts widens
the rows of its blocks first, in their order, and so holds them: nobody else adds an id of these blocks meanwhile, and
an id above the highest one can't be there. A row that is wider than it has to be costs time only.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple

import psycopg

from iotstore.backend import EngineError, Layout
from iotstore_postgres._errors import DRIVER_ERRORS, unconnected
from iotstore_postgres._options import quoted
from iotstore_postgres._partitions import AHEAD, EPOCH, FIRST, LAST, WIDTH, Grid, apart
from iotstore_sql import Dialect
from iotstore_sql.tables import short_name

#: Ids of one block, as a power of two.
BLOCK: Final = 12
#: The private tables; made with the first table that is cut.
TABLES: Final[Sequence[str]] = (
    (
        'CREATE TABLE IF NOT EXISTS iotstore_cuts (name TEXT COLLATE "C" PRIMARY KEY, by TEXT NOT NULL,'
        " width BIGINT NOT NULL, first BIGINT NOT NULL, last BIGINT NOT NULL)"
    ),
    (
        'CREATE TABLE IF NOT EXISTS iotstore_ranges (name TEXT COLLATE "C", block BIGINT, low BIGINT NOT NULL,'
        " high BIGINT NOT NULL, most BIGINT NOT NULL, before BIGINT, PRIMARY KEY (name, block)) WITH (fillfactor = 50)"
    ),
)
_THERE: Final = "SELECT to_regclass('iotstore_cuts') IS NOT NULL"
_CUTS: Final = "SELECT name, by, width, first, last FROM iotstore_cuts"
_PARTS: Final = (
    "SELECT c.relname::text, pg_catalog.pg_get_expr(c.relpartbound, c.oid) FROM pg_catalog.pg_inherits AS i"
    " JOIN pg_catalog.pg_class AS c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)"
)
_NAMED: Final = "SELECT to_regclass($1) IS NOT NULL"
_HOLD: Final = f"SELECT pg_advisory_xact_lock({0x696F_7471 << 32} | to_regclass($1)::oid::bigint)"
_STARTS: Final = re.compile(r"FOR VALUES FROM \((?:'(-?\d+)'|MINVALUE)\)")
#: One row for each block of the ids that are about to be stored, in order; what the highest id was before.
WIDEN: Final = (
    "INSERT INTO iotstore_ranges AS r (name, block, low, high, most)"
    " SELECT $1, * FROM unnest($2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[])"
    " ON CONFLICT (name, block) DO UPDATE SET low = least(r.low, excluded.low),"
    " high = greatest(r.high, excluded.high), most = greatest(r.most, excluded.most), before = r.most"
    " RETURNING block, before"
)
#: Between which times the records of some blocks lie; nothing if there are none.
SPAN: Final = "SELECT min(low), max(high) FROM iotstore_ranges WHERE name = $1 AND block = ANY($2::bigint[])"
#: What is told of blocks all of whose records are gone.
NARROW: Final = "DELETE FROM iotstore_ranges WHERE name = $1 AND high < $2"

Ask = Callable[[str, Sequence[Any]], Sequence[tuple[Any, ...]]]


class Cut(NamedTuple):
    """A kind's table, and how it is cut: by which column, and where."""

    name: str
    by: str
    grid: Grid


def parts_of(ask: Ask, cut: Cut, table: str) -> dict[int, str]:
    """The partitions that are there, by their number."""
    found: dict[int, str] = {}
    for name, bounds in ask(_PARTS, (quoted(table),)):
        match = _STARTS.match(bounds)
        if match is None:
            raise EngineError(f"partition {name} of {table} is none of ours: {bounds}")
        found[-1 if match[1] is None else cut.grid.number(int(match[1]))] = str(name)
    return found


def make_parts(ask: Ask, cut: Cut, table: str, numbers: Iterable[int]) -> frozenset[int]:
    """Make the partitions that are missing; the numbers of all that are there. Readers and writers go on."""
    ask(_HOLD, (quoted(table),))
    there, grid = parts_of(ask, cut, table), cut.grid
    for number in sorted(set(numbers) - set(there)):
        name = _free_name(ask, f"iotstore_{table}_{_ending(grid, number)}")
        low = "MINVALUE" if number < 0 else str(grid.start(number))
        high = "MAXVALUE" if number >= grid.beyond else str(grid.start(number + 1))
        ask(f"CREATE TABLE {quoted(name)} (LIKE {quoted(table)} INCLUDING ALL)", ())
        ask(f"ALTER TABLE {quoted(table)} ATTACH PARTITION {quoted(name)} FOR VALUES FROM ({low}) TO ({high})", ())
        there[number] = name
    return frozenset(there)


def _ending(grid: Grid, number: int) -> str:
    if number < 0:
        return "earlier"
    return "later" if number >= grid.beyond else f"{EPOCH + timedelta(microseconds=grid.start(number)):%Y%m%d}"


def _free_name(ask: Ask, wanted: str) -> str:
    # A kind that was renamed left its partitions under its old name.
    name, count = short_name(wanted, "$"), 1
    while ask(_NAMED, (quoted(name),))[0][0]:
        count += 1
        name = short_name(f"{wanted}${count}", "$")
    return name


def note(ask: Ask, layout: Layout) -> Cut:
    """Write down that the table of a layout is cut from now on."""
    if layout.parts is None:
        raise ValueError(f"{layout.name} does not say by what it may be cut")
    cut = Cut(layout.name, layout.parts, Grid(WIDTH, FIRST, LAST))
    for text in TABLES:
        ask(text, ())
    ask("INSERT INTO iotstore_cuts VALUES ($1, $2, $3, $4, $5)", (cut.name, cut.by, WIDTH, FIRST, LAST))
    return cut


class Cuts:
    """The tables of one store that are cut, as this process knows them. Used by many threads."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        #: Makes a connection of its own: those of the pool may all be waiting for a partition.
        self._connect = connect
        self._lock = threading.Lock()
        self._cuts: Mapping[str, Cut] = {}
        self._known: dict[str, frozenset[int]] = {}

    def of(self, layout: Layout) -> Cut | None:
        """How a layout's table is cut, if it is."""
        return self._cuts.get(layout.name)

    def __iter__(self) -> Iterator[Cut]:
        return iter(self._cuts.values())

    def put(self, cuts: Iterable[Cut]) -> None:
        """From now on these, and no others."""
        self._cuts, self._known = {cut.name: cut for cut in cuts}, {}

    def load(self, connection: psycopg.Connection[Any]) -> None:
        """Read what is there."""
        self.read(asking(connection))

    def reload(self) -> None:
        """The same on a connection of its own: what was made in a transaction is gone with it."""
        try:
            with self._connect() as connection:
                self.load(connection)
        except DRIVER_ERRORS as error:
            raise unconnected(error) from error

    def read(self, ask: Ask) -> None:
        """The same inside a transaction."""
        ((there,),) = ask(_THERE, ())
        rows = ask(_CUTS, ()) if there else []
        self.put(Cut(name, by, Grid(width, first, last)) for name, by, width, first, last in rows)

    def ensure(self, cut: Cut, table: str, numbers: Collection[int]) -> None:
        """Make these partitions as far as they are missing, on a connection of its own and committed at once."""
        if self._known.get(cut.name, frozenset()).issuperset(numbers):
            return
        with self._lock, apart(self._connect) as connection:
            self._known[cut.name] = make_parts(asking(connection), cut, table, numbers)

    def ensure_ahead(self, dialect: Dialect) -> None:
        """Make the partitions of now and the next ones."""
        for cut in self:
            now = cut.grid.number(time.time_ns() // 1000)
            self.ensure(cut, dialect.table_name(cut.name), range(now, now + 1 + AHEAD))

    def forget(self, cut: Cut) -> None:
        """Another process dropped some of its partitions: look again before the next use."""
        self._known.pop(cut.name, None)


def asking(connection: psycopg.Connection[Any]) -> Ask:
    """A function that runs a statement on a connection."""

    def ask(text: str, parameters: Sequence[Any]) -> Sequence[tuple[Any, ...]]:
        cursor = connection.execute(text.encode(), parameters)
        return cursor.fetchall() if cursor.description else []

    return ask
