"""Bulk ingest: points from objects and from columns, and flows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import islice
from random import Random
from typing import Any, TypeVar

from iotstore import Point
from sidebyside import workload
from sidebyside._sqlite.points import SqlitePoints
from sidebyside.engine import Engine
from sidebyside.measure import Measured, interleave
from sidebyside.stage import Sizes, Stage, staged

T = TypeVar("T")
_COLUMN_START = workload.NOW - timedelta(days=900)


class Turns:
    """What each turn works on: made when it is first asked for, handed to both sides."""

    def __init__(self, made: Iterator[T]) -> None:
        self._made: Iterator[Any] = made
        self._turns: dict[int, Any] = {}

    def prepare(self, count: int) -> None:
        """Make what *count* turns and the one before them work on, so that no turn pays for it."""
        for turn in range(count + 1):
            self._turns[turn] = next(self._made)

    def __getitem__(self, turn: int) -> Any:
        return self._turns[turn]


def _batches(source: Iterator[T], size: int) -> Iterator[list[T]]:
    while True:
        yield list(islice(source, size))


def points_objects(engine: Engine, sizes: Sizes) -> Measured:
    """Write Point objects of 100 series in transactions of 10,000, as they arrive: a few late, a few twice."""
    with staged(engine, sizes) as stage:
        return compare_points(sizes, stage, workload.points(sizes.devices), stage.points.write)


def points_objects_tuned(engine: Engine, sizes: Sizes) -> Measured:
    """The same; by hand the points are first sorted by series, as the library does too."""
    with staged(engine, sizes) as stage:
        if not isinstance(stage.points, SqlitePoints):
            raise TypeError("sorting pays only in SQLite")
        return compare_points(sizes, stage, workload.points(sizes.devices), stage.points.write_sorted)


def compare_points(
    sizes: Sizes, stage: Stage, source: Iterator[Point], write: Callable[[Sequence[Point]], tuple[int, int]]
) -> Measured:
    """Write batches of *source* with the library and by hand."""
    turns = Turns(_batches(source, sizes.batch))
    turns.prepare(sizes.pairs)
    counts: dict[int, tuple[int, int]] = {}

    def library(turn: int) -> None:
        receipt = stage.store.telemetry.write(turns[turn])
        _same_counts(counts, turn, (receipt.stored, receipt.duplicates))

    def by_hand(turn: int) -> None:
        _same_counts(counts, turn, write(turns[turn]))

    pairs = interleave(library, by_hand, sizes.pairs)
    rows = stage.check_same("iotstore_points")
    return Measured(pairs, sizes.batch, "points", [stage.points.size_note(rows)])


def _same_counts(counts: dict[int, tuple[int, int]], turn: int, found: tuple[int, int]) -> None:
    if counts.setdefault(turn, found) != found:
        raise RuntimeError(f"stored and duplicates: one side counted {counts[turn]}, the other one {found}")


def _columns(sizes: Sizes) -> Iterator[tuple[list[datetime], list[float]]]:
    random = Random(workload.SEED)
    start = _COLUMN_START
    while True:
        times = [start + timedelta(seconds=second) for second in range(sizes.batch)]
        yield times, [round(20 + random.gauss(0, 2), 2) for _ in times]
        start += timedelta(seconds=sizes.batch)


def points_columns(engine: Engine, sizes: Sizes) -> Measured:
    """Write lists of datetimes and floats of one series in transactions of 10,000."""
    with staged(engine, sizes) as stage:
        turns = Turns(_columns(sizes))
        turns.prepare(sizes.pairs)
        device = workload.device_keys(1)[0]

        def library(turn: int) -> None:
            stage.store.telemetry.write_columns(device, "temperature", *turns[turn])

        def by_hand(turn: int) -> None:
            stage.points.write_columns(device, "temperature", *turns[turn])

        pairs = interleave(library, by_hand, sizes.pairs)
        stage.check_same("iotstore_points")
        return Measured(pairs, sizes.batch, "points")


def has_numpy() -> bool:
    """Whether numpy is installed."""
    return importlib.util.find_spec("numpy") is not None


def points_numpy(engine: Engine, sizes: Sizes) -> Measured:
    """Write arrays of datetime64 and float64 of one series in transactions of 10,000."""
    import numpy as np  # noqa: PLC0415 - optional: its absence is said where benchmarks are chosen

    def arrays() -> Iterator[tuple[Any, Any]]:
        for times, values in _columns(sizes):
            naive = [time.replace(tzinfo=None) for time in times]
            yield np.array(naive, dtype="datetime64[us]"), np.array(values)

    with staged(engine, sizes) as stage:
        turns = Turns(arrays())
        turns.prepare(sizes.pairs)
        device = workload.device_keys(1)[0]
        number = stage.points.number(device, "temperature")

        def library(turn: int) -> None:
            stage.store.telemetry.write_columns(device, "temperature", *turns[turn])

        def by_hand(turn: int) -> None:
            times, values = turns[turn]
            if np.isnat(times).any() or not np.isfinite(values).all():
                raise ValueError("a time or a value is missing")
            stage.points.write_numbers(number, times.astype(np.int64).tolist(), values.tolist())

        pairs = interleave(library, by_hand, sizes.pairs)
        stage.check_same("iotstore_points")
        return Measured(pairs, sizes.batch, "points")


def flows(engine: Engine, sizes: Sizes) -> Measured:
    """Write Connection objects with three indexes in transactions of 2,500."""
    size = sizes.batch // 4
    count = size * (sizes.pairs + 1)
    with staged(engine, sizes) as stage:
        turns = Turns(_batches(iter(workload.flows(sizes.devices, count)), size))
        turns.prepare(sizes.pairs)
        pairs = interleave(
            lambda turn: stage.store.connections.add_many(turns[turn]),
            lambda turn: stage.records.add_flows(turns[turn]),
            sizes.pairs,
        )
        stage.check_same("connection", ["id"])
        return Measured(pairs, size, "flows")
