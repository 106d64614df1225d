"""Every benchmark of every backend with its bar, what the work by hand is, and what the library does beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidebyside import bounded, ingest, reads, starts
from sidebyside._postgres import ingest as postgres_ingest
from sidebyside.engine import Engine
from sidebyside.measure import Measure, Measured
from sidebyside.stage import Sizes


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One comparison. *beyond* says what the library does that the work by hand does not: why it may lose."""

    name: str
    title: str
    run: Callable[[Engine, Sizes], Measured]
    measure: Measure
    beyond: str
    bar: float | None = None
    needs: str | None = None
    by_hand: str = ""

    @property
    def says(self) -> str:
        """What is compared, in a sentence or two."""
        return f"{(self.run.__doc__ or '').strip()} {self.by_hand}".strip()


_BATCH: Final = (
    "looks every series of the batch up inside the transaction (another process may have deleted it), where the work by"
    " hand trusts what it remembers, and finds every bad row of a batch instead of stopping at the first"
)
_CALL: Final = "checks what it is asked for, takes a reader of the pool (any thread may ask), and gives it back"
_PARTIALS: Final = "works with any edges of time, and finishes partial results that merge"
_GENERAL: Final = "answers by general aggregates that know time zones; by hand every statement is written for UTC alone"
_PROOF: Final = (
    "restores the backup to a scratch place, digests rows in a form that is the same on every backend, and writes a"
    " manifest"
)
_FIRST: Final = "imports SQLAlchemy, which compiles its statements, and compares the kinds with what the store holds"

_RESERVES: Final = (
    "reserves ids that are never given again, holds the devices that flows point to, and finds all bad rows"
)

SQLITE: Final = (
    Benchmark("points-objects", "Points from objects", ingest.points_objects, "speed", _BATCH, 0.8),
    Benchmark(
        "points-objects-tuned", "Points from objects, tuned by hand", ingest.points_objects_tuned, "speed", _BATCH
    ),
    Benchmark("points-columns", "Points from lists", ingest.points_columns, "speed", _BATCH, 0.8),
    Benchmark("points-numpy", "Points from numpy", ingest.points_numpy, "speed", _BATCH, 0.8, needs="numpy"),
    Benchmark(
        "flows",
        "Flows from objects",
        ingest.flows,
        "speed",
        _RESERVES,
        0.8,
    ),
    Benchmark("device-get", "One device", reads.device_get, "time", _CALL, 1.5),
    Benchmark(
        "device-put",
        "Put one device",
        reads.device_put,
        "time",
        "notes the change for observers, waits fairly for its turn among threads, and checks every text in full",
        1.5,
    ),
    Benchmark("latest", "Latest value of a series", reads.latest, "time", _CALL, 1.5),
    Benchmark("last-100", "Last 100 points", reads.last_hundred, "time", _CALL),
    Benchmark(
        "hourly",
        "Hourly aggregate of a month",
        reads.hourly,
        "time",
        _PARTIALS,
    ),
    Benchmark(
        "alert-page", "Page of alerts", reads.alert_page, "time", f"{_CALL}; then it makes a cursor for the next page"
    ),
    Benchmark(
        "home",
        "Home page",
        reads.home,
        "time",
        _GENERAL,
    ),
    Benchmark(
        "backup",
        "Backup, proven",
        reads.backup,
        "time",
        _PROOF,
        by_hand="By hand: the online copy, an integrity check and a digest of all rows.",
    ),
    Benchmark("import", "Import", starts.imports, "ms", "has more to load", 60.0),
    Benchmark("help", "`iotstore --help`", starts.help_page, "ms", "describes all of its commands", 200.0),
    Benchmark(
        "first-read",
        "First read of a process",
        starts.first_read,
        "ms",
        _FIRST,
    ),
    Benchmark(
        "memory",
        "Peak memory",
        bounded.bounded,
        "MB",
        "holds SQLAlchemy and itself in memory; both sides grow only until the page cache is full",
        200.0,
    ),
)

_HOLDS: Final = f"{_BATCH}; it also sorts the batch, so that no two writers wait for each other in a circle"
_LENDS: Final = "checks what it is asked for, borrows a connection of the pool (any thread may ask), and gives it back"
_COPY: Final = "By hand: one binary COPY by `write_row`, then the latest values."

POSTGRESQL: Final = (
    Benchmark(
        "points-clean", "New points from objects", postgres_ingest.points_clean, "speed", _HOLDS, 0.85, by_hand=_COPY
    ),
    Benchmark(
        "points-copied",
        "New points from objects, COPY alone",
        postgres_ingest.points_copied,
        "speed",
        f"moves latest values on; it {_HOLDS}",
        0.85,
    ),
    Benchmark(
        "points-again",
        "Points from objects, a tenth of them again",
        postgres_ingest.points_again,
        "speed",
        _HOLDS,
        0.8,
        by_hand="By hand: COPY to a staging table, `INSERT ... ON CONFLICT DO NOTHING`, then the latest values.",
    ),
    Benchmark("points-columns", "Points from lists", ingest.points_columns, "speed", _HOLDS, 0.85, by_hand=_COPY),
    Benchmark(
        "points-numpy", "Points from numpy", ingest.points_numpy, "speed", _HOLDS, 0.85, needs="numpy", by_hand=_COPY
    ),
    Benchmark(
        "flows",
        "Flows from objects",
        ingest.flows,
        "speed",
        f"copies inside a savepoint, and in the order of the keys; it {_RESERVES}",
        0.8,
        by_hand="By hand: one binary COPY by `write_row`.",
    ),
    Benchmark("device-get", "One device", reads.device_get, "time", _LENDS, 1.5),
    Benchmark(
        "device-put",
        "Put one device",
        reads.device_put,
        "time",
        "notes the change for observers, holds what the device refers to, and checks every text in full",
    ),
    Benchmark("latest", "Latest value of a series", reads.latest, "time", _LENDS, 1.5),
    Benchmark("last-100", "Last 100 points", reads.last_hundred, "time", _LENDS),
    Benchmark(
        "range-columns",
        "A whole series as columns",
        reads.range_columns,
        "speed",
        "has the server pack the columns by an aggregate, and reads the following pages from the same state",
        1.5,
    ),
    Benchmark("hourly", "Hourly aggregate of a month", reads.hourly, "time", _PARTIALS),
    Benchmark(
        "alert-page", "Page of alerts", reads.alert_page, "time", f"{_LENDS}; then it makes a cursor for the next page"
    ),
    Benchmark("home", "Home page", reads.home, "time", _GENERAL),
    Benchmark(
        "backup",
        "Backup, proven",
        reads.backup,
        "time",
        _PROOF,
        by_hand="By hand: `pg_dump`, `pg_restore` into a scratch database, and a digest of all rows of both.",
    ),
    Benchmark("first-read", "First read of a process", starts.first_read, "ms", _FIRST),
)

CATALOGUE: Final = {"sqlite": SQLITE, "postgresql": POSTGRESQL}


def by_name(backend: str) -> dict[str, Benchmark]:
    """The benchmarks of a backend."""
    return {benchmark.name: benchmark for benchmark in CATALOGUE[backend]}


def engine_of(backend: str) -> Engine:
    """The engine of a backend; its driver is imported now."""
    if backend == "sqlite":
        from sidebyside._sqlite.engine import Sqlite  # noqa: PLC0415 - each driver is imported when it is needed

        return Sqlite()
    from sidebyside._postgres.engine import Postgres  # noqa: PLC0415

    return Postgres()
