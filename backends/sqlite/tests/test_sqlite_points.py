"""Points on SQLite: appending, counting what was stored, reading both ways, and folding into buckets."""

from __future__ import annotations

import array
import math
import random
import sys
import tracemalloc

import numpy as np
import pytest

from iotstore.backend import (
    Appended,
    Buckets,
    Conflict,
    OnConflict,
    Partials,
    Piece,
    PointType,
    Value,
    fold_columns,
    merge_partials,
)
from iotstore_sqlite.store import SqliteBackend

FLOAT, INT64, BOOL, TEXT = PointType.FLOAT, PointType.INT64, PointType.BOOL, PointType.TEXT
MAX, MIN = 2**63 - 1, -(2**63)


def append(
    backend: SqliteBackend,
    series: int,
    points: dict[int, Value],
    of: PointType = FLOAT,
    how: OnConflict = OnConflict.KEEP,
) -> Appended:
    with backend.write() as session:
        return session.append(of, [series] * len(points), list(points), list(points.values()), how)


def points_of(backend: SqliteBackend, series: int, of: PointType = FLOAT, **options: object) -> list[tuple[int, Value]]:
    start, end = options.pop("start", None), options.pop("end", None)
    with backend.read() as session:
        parts = session.scan(series, of, start, end, **options)  # type: ignore[arg-type]
        return [point for part in parts for point in zip(part.times, part.values, strict=True)]


@pytest.mark.parametrize(
    ("of", "values"),
    [
        (FLOAT, [0.1 + 0.2, 5e-324, -1e308, 1.0, 0.0]),
        (INT64, [MAX, MIN, 2**53 + 1, 0]),
        (BOOL, [True, False]),
        (TEXT, ["", "é", "\U0001f600", "0"]),
    ],
)
def test_values_of_each_type_come_back_with_their_type(
    backend: SqliteBackend, of: PointType, values: list[Value]
) -> None:
    points = dict(zip([MIN, -1, 0, 1, MAX], values, strict=False))
    assert append(backend, 1, points, of) == Appended(len(points), 0)
    found = points_of(backend, 1, of)
    assert found == list(points.items())
    assert [type(value) for _, value in found] == [type(value) for value in values]


def test_keep_stores_a_time_once_and_the_first_value_wins(backend: SqliteBackend) -> None:
    with backend.write() as session:
        assert session.append(FLOAT, [1, 1, 2], [5, 5, 5], [1.0, 2.0, 3.0], OnConflict.KEEP) == Appended(2, 1)
        assert session.append(FLOAT, [1, 1], [5, 6], [9.0, 6.0], OnConflict.KEEP) == Appended(1, 1)
        assert session.append(FLOAT, [], [], [], OnConflict.KEEP) == Appended(0, 0)
    assert points_of(backend, 1) == [(5, 1.0), (6, 6.0)]


def test_replace_counts_new_replaced_and_equal_points(backend: SqliteBackend) -> None:
    append(backend, 1, {time: float(time) for time in range(1_000)})
    result = append(backend, 1, {time: float(time - time % 2) for time in range(1_500)}, how=OnConflict.REPLACE)
    assert result == Appended(stored=1_000, duplicates=500, replaced=500)
    assert points_of(backend, 1, start=997, end=1_003) == [
        (997, 996.0), (998, 998.0), (999, 998.0), (1_000, 1_000.0), (1_001, 1_000.0), (1_002, 1_002.0),
    ]  # fmt: skip


def test_error_stores_nothing_of_a_call_with_a_known_time(backend: SqliteBackend) -> None:
    append(backend, 1, {1_400: 1.0})
    with backend.write() as session:
        with pytest.raises(Conflict, match="a point of this series and time exists already"):
            session.append(FLOAT, [1] * 1_500, range(1_500), [0.0] * 1_500, OnConflict.ERROR)
        assert session.append(FLOAT, [1], [3], [3.0], OnConflict.ERROR) == Appended(1, 0)
    assert points_of(backend, 1) == [(3, 3.0), (1_400, 1.0)]


def test_columns_may_be_arrays_of_the_standard_library_or_numpy(backend: SqliteBackend) -> None:
    with backend.write() as session:
        session.append(
            FLOAT, array.array("q", [1, 1]), array.array("q", [1, 2]), array.array("d", [0.5, 1.5]), OnConflict.KEEP
        )
        session.append(INT64, np.array([2, 2]), np.array([1, 2]), np.array([7, 8]), OnConflict.KEEP)
        session.append(BOOL, np.array([3]), np.array([1]), np.array([True]), OnConflict.KEEP)
    assert points_of(backend, 1) == [(1, 0.5), (2, 1.5)]
    assert points_of(backend, 2, INT64) == [(1, 7), (2, 8)]
    assert points_of(backend, 3, BOOL) == [(1, True)]


def test_columns_that_are_not_aligned_are_refused(backend: SqliteBackend) -> None:
    with backend.write() as session, pytest.raises(ValueError, match="columns of 2, 1 and 2 points are not aligned"):
        session.append(FLOAT, [1, 1], [1], [1.0, 2.0], OnConflict.KEEP)


def test_a_scan_is_half_open_limited_and_goes_either_way_in_chunks(backend: SqliteBackend) -> None:
    append(backend, 1, {time: float(time) for time in range(25_000)})
    append(backend, 2, {5: 0.0})
    with backend.read() as session:
        sizes = [len(part.times) for part in session.scan(1, FLOAT, None, None)]
    assert sum(sizes) == 25_000
    assert max(sizes) <= 10_000
    assert [time for time, _ in points_of(backend, 1, start=10, end=13)] == [10, 11, 12]
    assert [time for time, _ in points_of(backend, 1, start=24_998)] == [24_998, 24_999]
    assert [time for time, _ in points_of(backend, 1, descending=True, limit=2)] == [24_999, 24_998]
    assert len(points_of(backend, 1, limit=12_345)) == 12_345
    assert points_of(backend, 1, limit=0) == []
    assert points_of(backend, 9) == []
    assert points_of(backend, 1, start=5, end=5) == []


def test_latest_is_the_newest_by_time_after_late_points_replacement_and_deletion(backend: SqliteBackend) -> None:
    append(backend, 1, {10: 1.0, 30: 3.0, 20: 2.0})
    append(backend, 2, {10: True}, BOOL)
    wanted = [(1, FLOAT), (9, FLOAT), (2, BOOL), (1, FLOAT)]
    with backend.write() as session:
        assert session.latest(wanted) == [(30, 3.0), None, (10, True), (30, 3.0)]
        assert session.latest([(2, BOOL)]) == [(10, True)]
        assert session.latest([(9, BOOL)]) == [None]
        assert session.latest([]) == []
        assert session.before(wanted, 30) == [(20, 2.0), None, (10, True), (20, 2.0)]
        assert session.before([(1, FLOAT)], 10) == [None]
        session.append(FLOAT, [1], [30], [9.0], OnConflict.REPLACE)
        assert session.latest([(1, FLOAT)]) == [(30, 9.0)]
        assert session.erase([1], 30, None) == 1
        assert session.latest([(1, FLOAT)]) == [(20, 2.0)]


def test_latest_and_before_seek_and_never_scan(backend: SqliteBackend) -> None:
    from iotstore_sqlite import _points

    with backend.read() as session:
        for text, parameters in ((_points._LAST, (1,)), (_points._NEWEST_OF_MANY, ("[1,2]", 5))):
            plan = [row[3] for row in session.rows(f"EXPLAIN QUERY PLAN {text}", parameters)]
            touching = [line for line in plan if "wanted" not in line and "SCALAR" not in line]
            assert touching
            assert all("SEARCH" in line and "PRIMARY KEY" in line for line in touching), plan


def test_erase_and_count_are_exact(backend: SqliteBackend) -> None:
    for series in (1, 2, 3):
        append(backend, series, dict.fromkeys(range(100), 0.0))
    with backend.write() as session:
        assert (session.count(), session.count([1, 3, 9]), session.count([])) == (300, 200, 0)
        assert session.erase([1, 2, 9], 10, 20) == 20
        assert session.erase([3], None, None) == 100
        assert session.erase([1], 95, None) == 5
        assert session.count() == 175


def expected_fold(points: dict[int, Value], buckets: Buckets, edges: bool) -> Partials:
    times = sorted(points)
    return fold_columns(buckets, times, [points[time] for time in times], edges=edges)


def same(found: Partials, expected: Partials) -> bool:
    def key(partials: Partials) -> list[object]:
        return [one._replace(sum=None) for one in partials]

    close = all(
        one.sum == two.sum
        or (isinstance(one.sum, float) and math.isclose(one.sum, two.sum or 0.0, rel_tol=1e-12, abs_tol=1e-9))
        for one, two in zip(found, expected, strict=True)
    )
    return key(found) == key(expected) and close


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("modulo", [None, 3])
@pytest.mark.parametrize("of", list(PointType))
@pytest.mark.parametrize("gap", [1, 40, 3_000])
def test_a_fold_equals_the_fold_of_the_columns(
    backend: SqliteBackend, edges: bool, modulo: int | None, of: PointType, gap: int
) -> None:
    generator = random.Random(gap)
    make = {
        FLOAT: lambda: generator.uniform(-100, 100),
        INT64: lambda: generator.randint(-(2**40), 2**40),
        BOOL: lambda: generator.random() < 0.5,
        TEXT: lambda: generator.choice(["on", "off", "é"]),
    }[of]
    time, points = -4_000, {}
    for _ in range(2_000):
        time += generator.randint(1, gap)
        points[time] = make()
    pieces = (Piece(-3_900, 60, 0), Piece(100, 7, 5_000), Piece(150, 100, -3))
    buckets = Buckets(pieces, max(time - 5, 400), modulo)
    append(backend, 4, points, of)
    append(backend, 5, {0: make()}, of)
    with backend.read() as session:
        mine, other, none = session.fold([(4, of), (5, of), (6, of)], buckets, edges=edges)
    assert same(mine, expected_fold(points, buckets, edges))
    assert [one.count for one in other] == [1]
    assert none == []


def test_a_sparse_series_over_fine_buckets_costs_no_statement_per_empty_bucket(backend: SqliteBackend) -> None:
    points = {index * 10**12: float(index) for index in range(200)}
    append(backend, 1, points)
    with backend.read() as session:
        (found,) = session.fold([(1, FLOAT)], Buckets((Piece(0, 1, 0),), 2**60), edges=True)
    assert [one.bucket for one in found] == list(points)


def test_integer_sums_are_exact_where_64_bits_do_not_hold_them(backend: SqliteBackend) -> None:
    points = {0: MAX, 1: MAX, 2: MIN, 10: MIN, 11: MIN, 12: -1, 20: 5}
    append(backend, 1, points, INT64)
    with backend.read() as session:
        (found,) = session.fold([(1, INT64)], Buckets((Piece(0, 10, 0),), 30), edges=True)
    assert [one.sum for one in found] == [MAX + MAX + MIN, MIN + MIN - 1, 5]
    assert merge_partials([found]) == found


def test_a_long_scan_stays_in_bounded_memory(backend: SqliteBackend) -> None:
    for begin in range(0, 300_000, 50_000):
        with backend.write() as session:
            session.append(FLOAT, [1] * 50_000, range(begin, begin + 50_000), [0.5] * 50_000, OnConflict.KEEP)
    tracemalloc.start()
    try:
        with backend.snapshot() as session:
            assert sum(len(part.times) for part in session.scan(1, FLOAT, None, None)) == 300_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20, f"{peak} bytes on Python {sys.version_info[:2]}"
