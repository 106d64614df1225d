"""Several threads at once: each reads the latest value nine times, and then writes a point, over and over."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from threading import Barrier
from time import perf_counter
from typing import Final

from sidebyside import workload

from instead.contender import Contender
from instead.turns import Found, rotated
from iotstore import Point

COUNTS: Final = (1, 4, 16)
_METRIC: Final = "battery"
#: Long before anything else, so that no latest value changes.
_START: Final = datetime(1985, 1, 1, tzinfo=UTC)
_READS: Final = 9
_PATIENCE: Final = 120.0


def in_threads(everybody: Sequence[Contender], devices: int, threads: int, operations: int, turns: int) -> Found:
    """Seconds of one operation, by the wall clock: with more than one thread nobody's waiting can be told apart."""
    found: Found = {one.name: [] for one in everybody}
    for turn in range(turns + 1):
        for one in rotated(everybody, turn):
            start = _START + timedelta(days=1_000 * COUNTS.index(threads), seconds=turn * operations)
            seconds = _busy(one, workload.device_keys(devices), threads, operations // threads, start)
            if turn:
                found[one.name].append(seconds / operations)
    return found


def _busy(one: Contender, keys: Sequence[str], threads: int, operations: int, start: datetime) -> float:
    ready = Barrier(threads + 1, timeout=_PATIENCE)

    def work(number: int) -> None:
        mine = one.for_thread()
        try:
            mine.latest(keys[0], _METRIC)  # so that it is connected
            ready.wait()
            for at in range(number * operations, (number + 1) * operations):
                key = keys[at % len(keys)]
                if at % (_READS + 1):
                    mine.latest(key, _METRIC)
                else:
                    mine.ingest([Point(key, _METRIC, start + timedelta(seconds=at), 3.9)])
            ready.wait()
        except BaseException:
            ready.abort()
            raise
        finally:
            mine.left_thread()

    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(work, number) for number in range(threads)]
        try:
            ready.wait()
            began = perf_counter()
            ready.wait()
            took = perf_counter() - began
        finally:
            for future in working:
                future.result()
    return took
