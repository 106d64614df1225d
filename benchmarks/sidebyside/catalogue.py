"""Every benchmark with its bar, what the work by hand is, and what the library does beyond it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sidebyside import bounded, ingest, reads, starts
from sidebyside.measure import Measure, Measured
from sidebyside.stage import Sizes


@dataclass(frozen=True, slots=True)
class Benchmark:
    """One comparison. *beyond* says what the library does that the work by hand does not: why it may lose."""

    name: str
    title: str
    run: Callable[[Sizes], Measured]
    measure: Measure
    beyond: str
    bar: float | None = None
    needs: str | None = None

    @property
    def says(self) -> str:
        """What is compared, in one sentence."""
        return (self.run.__doc__ or "").strip()


_BATCH: Final = (
    "looks every series of the batch up inside the transaction (another process may have deleted it), where the work by"
    " hand trusts what it remembers, and finds every bad row of a batch instead of stopping at the first"
)
_CALL: Final = "checks what it is asked for, takes a reader of the pool (any thread may ask), and gives it back"

BENCHMARKS: Final = (
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
        "reserves ids that are never given again, holds the devices that flows point to, and finds all bad rows",
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
        "works with any edges of time, and finishes partial results that merge",
    ),
    Benchmark(
        "alert-page", "Page of alerts", reads.alert_page, "time", f"{_CALL}; then it makes a cursor for the next page"
    ),
    Benchmark(
        "home",
        "Home page",
        reads.home,
        "time",
        "answers by general aggregates that know time zones; by hand every statement is written for UTC alone",
    ),
    Benchmark(
        "backup",
        "Backup, proven",
        reads.backup,
        "time",
        "restores the backup to a scratch place, digests rows in a form that is the same on every backend, and writes a"
        " manifest",
    ),
    Benchmark("import", "Import", starts.imports, "ms", "has more to load", 60.0),
    Benchmark("help", "`iotstore --help`", starts.help_page, "ms", "describes all of its commands", 200.0),
    Benchmark(
        "first-read",
        "First read of a process",
        starts.first_read,
        "ms",
        "imports SQLAlchemy, which compiles its statements, and compares the kinds with what the store holds",
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
BY_NAME: Final = {benchmark.name: benchmark for benchmark in BENCHMARKS}
