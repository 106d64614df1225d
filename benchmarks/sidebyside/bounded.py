"""Many points in little memory: written and read back in a process of its own, which says how large it grew."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Callable, Iterable
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

import iotstore
from iotstore import Point
from sidebyside import workload
from sidebyside._sqlite.engine import connect, file_of
from sidebyside._sqlite.points import SqlitePoints
from sidebyside.engine import Engine, Places, same_rows
from sidebyside.measure import Measured, Pair, clock
from sidebyside.stage import Sizes, staged

_STATUS = Path("/proc/self/status")


def bounded(engine: Engine, sizes: Sizes) -> Measured:
    """Write points in transactions of 10,000 and read all of them back, each side in a process of its own."""
    with staged(engine, sizes) as stage, TemporaryDirectory(prefix="iotstore-bench-") as name:
        library, by_hand = map(file_of, stage.places)
        stage.store.close()
        files = [Path(name) / file.name for file in (library, by_hand)]
        for source, target in zip((library, by_hand), files, strict=True):
            connection, copy = connect(source), connect(target)
            connection.backup(copy)
            copy.close()
            connection.close()
        found = [_process(side, sizes, file) for side, file in zip(("library", "by hand"), files, strict=True)]
        for key in ("points", "total"):
            if found[0][key] != found[1][key]:
                raise RuntimeError(f"{key} read back: {found[0][key]} by the library, {found[1][key]} by hand")
        same_rows(engine, Places(*(f"sqlite:///{file}" for file in files)), "iotstore_points")
    ratios = (f"{key} at {found[1][key] / found[0][key]:.2f}x" for key in ("written", "read"))
    note = f"{found[0]['points']:,.0f} points, {' and '.join(ratios)} of the speed by hand (one run each)"
    return Measured([Pair(found[0]["megabytes"], found[1]["megabytes"])], sizes.bounded, "points", [note])


def _process(side: str, sizes: Sizes, file: Path) -> dict[str, float]:
    numbers = map(str, (sizes.bounded, sizes.devices, sizes.batch))
    command = [sys.executable, "-m", "sidebyside.bounded", side, str(file), *numbers]
    folder = Path(__file__).parent.parent
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=folder)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _run(side: str, file: Path, count: int, devices: int, batch: int) -> dict[str, float]:
    if side == "library":
        with iotstore.open(f"sqlite:///{file}") as store:
            return _timed(store.telemetry.write, store.telemetry.stream, count, devices, batch)
    connection = connect(file)
    points = SqlitePoints(connection)
    return _timed(points.write, points.stream, count, devices, batch)


def _timed(
    write: Callable[[list[Point]], object],
    stream: Callable[[str, str], Iterable[Point]],
    count: int,
    devices: int,
    batch: int,
) -> dict[str, float]:
    source = workload.points(devices)
    written = 0.0
    for _ in range(count // batch):
        points = list(islice(source, batch))  # making them is not on the clock
        start = clock()
        write(points)
        written += clock() - start
    start = clock()
    found, total = 0, 0.0
    for device in workload.device_keys(devices):
        for metric in workload.METRICS:
            for point in stream(device, metric.name):
                found += 1
                total += float(point.value)
    return {
        "points": found,
        "total": total,
        "written": written,
        "read": clock() - start,
        "megabytes": peak_megabytes(),
    }


def peak_megabytes() -> float:
    """How much memory this process held at most."""
    if not _STATUS.exists():  # not Linux: bytes, as macOS counts them
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    # Linux tells the same number by getrusage, but there it begins with what the parent held.
    lines = dict(line.split(":", 1) for line in _STATUS.read_text("ascii").splitlines() if ":" in line)
    return int(lines["VmHWM"].split()[0]) / 1024


if __name__ == "__main__":
    json.dump(_run(sys.argv[1], Path(sys.argv[2]), *map(int, sys.argv[3:6])), sys.stdout)
