"""Points on PostgreSQL: appending by COPY and around duplicates, latest values under rivals, scans, folds and plans."""

from __future__ import annotations

import array
import math
import random
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
from iotstore_postgres import _point_batch
from iotstore_postgres.store import PostgresBackend

FLOAT, INT64, BOOL, TEXT = PointType.FLOAT, PointType.INT64, PointType.BOOL, PointType.TEXT
KEEP, REPLACE, ERROR = OnConflict.KEEP, OnConflict.REPLACE, OnConflict.ERROR
MAX, MIN = 2**63 - 1, -(2**63)
DAY = 86_400_000_000
Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def backend(connect: Open) -> PostgresBackend:
    return connect(lock_timeout=20.0, pool_timeout=20.0, pool_size=8)


@pytest.fixture(params=["numpy", "lists"])
def packing(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """With numpy, and as if it were not installed."""
    if request.param == "lists":
        monkeypatch.setattr(_point_batch, "numpy", lambda: None)


def append(
    backend: PostgresBackend,
    series: int,
    points: dict[int, Value],
    of: PointType = FLOAT,
    how: OnConflict = KEEP,
) -> Appended:
    with backend.write() as session:
        return session.append(of, [series] * len(points), list(points), list(points.values()), how)


def points_of(
    backend: PostgresBackend, series: int, of: PointType = FLOAT, **options: object
) -> list[tuple[int, Value]]:
    start, end = options.pop("start", None), options.pop("end", None)
    with backend.read() as session:
        parts = session.scan(series, of, start, end, **options)  # type: ignore[arg-type]
        return [point for part in parts for point in zip(part.times, part.values, strict=True)]


def latest_of(backend: PostgresBackend, series: int, of: PointType = FLOAT) -> tuple[int, Value] | None:
    with backend.read() as session:
        return session.latest([(series, of)])[0]


def latest_is_newest(ask: Ask, schema: str) -> bool:
    """Whether the table of latest values says what the points say."""
    (differing,) = ask(
        f"SELECT count(*) FROM (SELECT DISTINCT ON (series) * FROM {schema}.iotstore_points"
        f" ORDER BY series, time DESC) AS p FULL JOIN {schema}.iotstore_latest AS l USING (series)"
        " WHERE (p.time, p.number, p.whole, p.words) IS DISTINCT FROM (l.time, l.number, l.whole, l.words)"
    )
    return differing == (0,)


def until_one_waits(ask: Ask, schema: str) -> None:
    """Return when a connection of the store waits for another one."""
    give_up = time.monotonic() + 20
    while ask("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND application_name = %s", schema) == []:
        assert time.monotonic() < give_up, "nobody waits"


# ---------------------------------------------------------------------- appending


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("many", [False, True])
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
    backend: PostgresBackend, of: PointType, values: list[Value], many: bool
) -> None:
    points = dict(zip([MIN, -1, 0, 1, MAX], values, strict=False))
    if many:
        points |= {time: values[time % len(values)] for time in range(100, 1_000)}
        points = dict(sorted(points.items()))
    assert append(backend, 1, points, of) == Appended(len(points), 0)
    found = points_of(backend, 1, of)
    assert found == list(points.items())
    assert [type(value) for _, value in found] == [type(value) for value in points.values()]
    assert latest_of(backend, 1, of) == found[-1]


@pytest.mark.usefixtures("packing")
def test_keep_stores_a_time_once_and_the_first_value_wins(backend: PostgresBackend) -> None:
    with backend.write() as session:
        assert session.append(FLOAT, [1, 1, 2], [5, 5, 5], [1.0, 2.0, 3.0], KEEP) == Appended(2, 1)
        assert session.append(FLOAT, [1, 1], [5, 6], [9.0, 6.0], KEEP) == Appended(1, 1)
        assert session.append(FLOAT, [], [], [], KEEP) == Appended(0, 0)
        many = [7, 7, *range(8, 1_000)]
        values = [7.0, 0.0, *map(float, range(8, 1_000))]
        assert session.append(FLOAT, [1] * len(many), many[::-1], values[::-1], KEEP) == Appended(993, 1)
    assert points_of(backend, 1, end=8) == [(5, 1.0), (6, 6.0), (7, 0.0)]


@pytest.mark.usefixtures("packing")
def test_replace_counts_new_replaced_and_equal_points(backend: PostgresBackend) -> None:
    append(backend, 1, {time: float(time) for time in range(1_000)})
    result = append(backend, 1, {time: float(time - time % 2) for time in range(1_500)}, how=REPLACE)
    assert result == Appended(stored=1_000, duplicates=500, replaced=500)
    assert points_of(backend, 1, start=997, end=1_003) == [
        (997, 996.0), (998, 998.0), (999, 998.0), (1_000, 1_000.0), (1_001, 1_000.0), (1_002, 1_002.0),
    ]  # fmt: skip
    assert append(backend, 1, {1_499: 7.0, 1_500: 1.0}, how=REPLACE) == Appended(2, 0, 1)
    with backend.write() as session:  # the last of a repeated time wins
        assert session.append(FLOAT, [1, 1], [1_500, 1_500], [2.0, 3.0], REPLACE) == Appended(1, 1, 1)
    assert latest_of(backend, 1) == (1_500, 3.0)


@pytest.mark.usefixtures("packing")
@pytest.mark.parametrize("size", [10, 1_500])
def test_error_stores_nothing_of_a_call_with_a_known_time(backend: PostgresBackend, size: int) -> None:
    append(backend, 1, {size - 1: 1.0})
    with backend.write() as session:
        with pytest.raises(Conflict, match="a point of this series and time exists already"):
            session.append(FLOAT, [1] * size, range(size), [0.0] * size, ERROR)
        with pytest.raises(Conflict, match="in the batch twice"):
            session.append(FLOAT, [1, 1], [4, 4], [0.0, 0.0], ERROR)
        assert session.append(FLOAT, [1], [3], [3.0], ERROR) == Appended(1, 0)
    assert points_of(backend, 1) == [(3, 3.0), (size - 1, 1.0)]
    assert latest_of(backend, 1) == (size - 1, 1.0)


def test_columns_may_be_arrays_of_the_standard_library_or_numpy(backend: PostgresBackend) -> None:
    with backend.write() as session:
        session.append(FLOAT, array.array("q", [1, 1]), array.array("q", [1, 2]), array.array("d", [0.5, 1.5]), KEEP)
        session.append(INT64, np.array([2, 2]), np.array([1, 2]), np.array([7, 8]), KEEP)
        session.append(BOOL, np.array([3]), np.array([1]), np.array([True]), KEEP)
        session.append(TEXT, np.array([4]), np.array([1]), ["on"], KEEP)
        session.append(FLOAT, [5] * 1_000, np.arange(1_000)[::-1], np.arange(1_000) / 2, KEEP)
    assert points_of(backend, 1) == [(1, 0.5), (2, 1.5)]
    assert points_of(backend, 2, INT64) == [(1, 7), (2, 8)]
    assert points_of(backend, 3, BOOL) == [(1, True)]
    assert points_of(backend, 4, TEXT) == [(1, "on")]
    assert points_of(backend, 5, limit=2) == [(0, 499.5), (1, 499.0)]


def test_columns_that_are_not_aligned_are_refused(backend: PostgresBackend) -> None:
    with backend.write() as session, pytest.raises(ValueError, match="columns of 2, 1 and 2 points are not aligned"):
        session.append(FLOAT, [1, 1], [1], [1.0, 2.0], KEEP)


def test_after_a_duplicate_batches_look_for_them_until_eight_had_none(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    from iotstore_postgres._transaction import PostgresWrite

    copied: list[str] = []
    copy_in = PostgresWrite.copy_in

    def counted(self: PostgresWrite, statement: str, data: bytes) -> int:
        copied.append(statement)
        return copy_in(self, statement, data)

    monkeypatch.setattr(PostgresWrite, "copy_in", counted)

    def write(first: int) -> Appended:
        return append(backend, 1, dict.fromkeys(range(first, first + 1_000), 0.0))

    assert write(0) == Appended(1_000, 0)
    assert len(copied) == 1
    assert write(999) == Appended(999, 1)
    assert len(copied) == 2  # tried, and taken back
    for turn in range(3, 11):
        assert write(turn * 1_000) == Appended(1_000, 0)
    assert len(copied) == 2
    assert write(20_000) == Appended(1_000, 0)
    assert len(copied) == 3


def test_receipts_of_overlapping_writers_add_up_to_what_is_stored(backend: PostgresBackend) -> None:
    def write(turn: int) -> Appended:
        generator = random.Random(turn)
        times = generator.sample(range(3_000), 2_000)
        with backend.write() as session:
            return session.append(FLOAT, [1 + time % 5 for time in times], times, [float(turn)] * len(times), KEEP)

    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(write, range(12)))
    with backend.read() as session:
        assert sum(receipt.stored for receipt in receipts) == session.count()
    assert all(receipt.stored + receipt.duplicates == 2_000 for receipt in receipts)


def test_receipts_of_replacing_rivals_count_every_change_once(backend: PostgresBackend, ask: Ask, schema: str) -> None:
    def write(turn: int) -> Appended:
        generator = random.Random(turn)
        times = generator.sample(range(600), 400)
        with backend.write() as session:
            return session.append(INT64, [1 + time % 3 for time in times], times, [turn] * len(times), REPLACE)

    with ThreadPoolExecutor(4) as pool:
        receipts = list(pool.map(write, range(16)))
    with backend.read() as session:
        assert sum(receipt.stored - receipt.replaced for receipt in receipts) == session.count()
    # Every writer has a value of its own: nothing that it finds is equal.
    assert all(receipt.stored == 400 for receipt in receipts)
    assert latest_is_newest(ask, schema)


def test_an_append_waits_for_a_rival_and_stores_what_that_one_rolls_back(
    backend: PostgresBackend, ask: Ask, schema: str
) -> None:
    rival = backend.write()
    rival.append(FLOAT, [1, 1], [5, 6], [1.0, 1.0], KEEP)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(append, backend, 1, {5: 2.0, 7: 2.0})
        until_one_waits(ask, schema)
        rival.rollback()
        assert waiting.result(timeout=20) == Appended(2, 0)
    assert points_of(backend, 1) == [(5, 2.0), (7, 2.0)]


# ---------------------------------------------------------------------- latest values


def test_latest_is_the_newest_by_time_after_late_points_replacement_and_deletion(backend: PostgresBackend) -> None:
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
        session.append(FLOAT, [1], [30], [9.0], KEEP)
        assert session.latest([(1, FLOAT)]) == [(30, 3.0)]
        session.append(FLOAT, [1], [30], [9.0], REPLACE)
        assert session.latest([(1, FLOAT)]) == [(30, 9.0)]
        assert session.erase([1], 30, None) == 1
        assert session.latest([(1, FLOAT)]) == [(20, 2.0)]
        assert session.erase([1], None, None) == 2
        assert session.latest([(1, FLOAT)]) == [None]
    assert latest_of(backend, 1) is None


def test_latest_is_right_whatever_the_order_in_which_many_writers_come(
    backend: PostgresBackend, ask: Ask, schema: str
) -> None:
    start = threading.Barrier(4)

    def write(worker: int) -> None:
        generator = random.Random(worker)
        start.wait()
        for turn in range(25):
            how = generator.choice([KEEP, REPLACE])
            with backend.write() as session:
                if generator.random() < 0.2:
                    session.erase(generator.sample(range(8), 3), generator.randrange(500), None)
                else:
                    series = [generator.randrange(8) for _ in range(30)]
                    points = dict.fromkeys((one, generator.randrange(1_000)) for one in series)
                    columns = [list(column) for column in zip(*points, strict=True)]
                    session.append(FLOAT, *columns, [worker + turn / 100] * len(points), how)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    assert latest_is_newest(ask, schema)


def test_a_deletion_waits_for_the_append_that_makes_another_point_the_newest(
    backend: PostgresBackend, ask: Ask, schema: str
) -> None:
    append(backend, 1, {10: 1.0, 30: 3.0})
    writer = backend.write()
    writer.append(FLOAT, [1], [20], [2.0], KEEP)  # older than the latest value, whose row it holds all the same
    with ThreadPoolExecutor(1) as pool:

        def erase() -> int:
            with backend.write() as session:
                return session.erase([1], 25, None)

        erasing = pool.submit(erase)
        until_one_waits(ask, schema)
        writer.commit()
        assert erasing.result(timeout=20) == 1
    assert latest_of(backend, 1) == (20, 2.0)


def test_what_a_savepoint_takes_back_is_in_no_latest_value(backend: PostgresBackend) -> None:
    append(backend, 1, {10: 1.0})
    with backend.write() as session:
        session.savepoint()
        session.append(FLOAT, [1], [50], [5.0], KEEP)
        assert session.latest([(1, FLOAT)]) == [(50, 5.0)]
        session.undo()
        assert session.latest([(1, FLOAT)]) == [(10, 1.0)]
    assert latest_of(backend, 1) == (10, 1.0)


# ---------------------------------------------------------------------- reading


def test_a_scan_is_half_open_limited_and_goes_either_way_in_chunks(backend: PostgresBackend) -> None:
    append(backend, 1, {time: float(time) for time in range(25_000)})
    append(backend, 2, {5: 0.0})
    with backend.read() as session:
        sizes = [len(part.times) for part in session.scan(1, FLOAT, None, None)]
    assert sum(sizes) == 25_000
    assert max(sizes) <= 10_000
    assert [time for time, _ in points_of(backend, 1, start=10, end=13)] == [10, 11, 12]
    assert [time for time, _ in points_of(backend, 1, start=24_998)] == [24_998, 24_999]
    assert [time for time, _ in points_of(backend, 1, descending=True, limit=2)] == [24_999, 24_998]
    assert points_of(backend, 1, descending=True, limit=11_000)[-1] == (14_000, 14_000.0)
    assert len(points_of(backend, 1, limit=12_345)) == 12_345
    assert points_of(backend, 1, limit=0) == []
    assert points_of(backend, 9) == []
    assert points_of(backend, 1, start=5, end=5) == []


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("kind", ["read", "snapshot", "write"])
def test_a_long_scan_is_complete_in_every_session_while_others_write(
    backend: PostgresBackend, monkeypatch: pytest.MonkeyPatch, kind: str, descending: bool
) -> None:
    from iotstore_postgres import _points

    monkeypatch.setattr(_points, "_PAGE", 1_000)
    monkeypatch.setattr(_points, "_ALONE", 1_000)
    monkeypatch.setattr(_points, "_CHUNK", 300)
    append(backend, 1, {time: time for time in range(0, 5_000, 2)}, INT64)
    found: list[int] = []
    with getattr(backend, kind)() as session:
        for part in session.scan(1, INT64, None, None, descending=descending):
            if not found:
                append(backend, 1, dict.fromkeys(range(1, 5_000, 2), -1), INT64)
                assert session.latest([(9, FLOAT)]) == [None]  # a call between two parts
            found += part.times
            assert len(part.times) <= 300
    expected = list(range(0, 5_000, 2))
    assert found == (expected[::-1] if descending else expected)


def test_a_write_session_scans_what_it_has_appended(backend: PostgresBackend) -> None:
    session = backend.write()
    session.append(FLOAT, [1] * 2_000, range(2_000), [0.5] * 2_000, KEEP)
    assert sum(len(part.times) for part in session.scan(1, FLOAT, None, None)) == 2_000
    assert session.count([1]) == 2_000
    session.rollback()
    assert points_of(backend, 1) == []


def test_erase_and_count_are_exact(backend: PostgresBackend) -> None:
    for series in (1, 2, 3):
        append(backend, series, dict.fromkeys(range(100), 0.0))
    with backend.write() as session:
        assert (session.count(), session.count([1, 3, 9]), session.count([])) == (300, 200, 0)
        assert session.erase([1, 2, 9], 10, 20) == 20
        assert session.erase([3], None, None) == 100
        assert session.erase([1], 95, None) == 5
        assert session.erase([], None, None) == 0
        assert session.count() == 175


def test_erase_leaves_the_planner_as_it_was(backend: PostgresBackend) -> None:
    asked = "SELECT current_setting('enable_seqscan'), current_setting('enable_bitmapscan')"
    append(backend, 1, {1: 1.0})
    with backend.write() as session:
        before = session.rows(asked, ())
        assert session.erase([1], None, None) == 1
        assert session.rows(asked, ()) == before == [("on", "on")]


# ---------------------------------------------------------------------- folding


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


def random_points(of: PointType, gap: int, first: int = -4_000) -> dict[int, Value]:
    generator = random.Random(gap)
    make: Callable[[], Value] = {
        FLOAT: lambda: generator.uniform(-100, 100),
        INT64: lambda: generator.randint(-(2**40), 2**40),
        BOOL: lambda: generator.random() < 0.5,
        TEXT: lambda: generator.choice(["on", "off", "é"]),
    }[of]
    time, points = first, {}
    for _ in range(2_000):
        time += generator.randint(1, gap)
        points[time] = make()
    return points


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("modulo", [None, 3])
@pytest.mark.parametrize("of", list(PointType))
@pytest.mark.parametrize("gap", [1, 3_000])
def test_a_fold_equals_the_fold_of_the_columns(
    backend: PostgresBackend, edges: bool, modulo: int | None, of: PointType, gap: int
) -> None:
    points = random_points(of, gap)
    pieces = (Piece(-3_900, 60, 0), Piece(100, 7, 5_000), Piece(150, 100, -3))
    buckets = Buckets(pieces, max(max(points) - 5, 400), modulo)
    append(backend, 4, points, of)
    append(backend, 5, {0: points[min(points)]}, of)
    with backend.read() as session:
        mine, other, none, again = session.fold([(4, of), (5, of), (6, of), (4, of)], buckets, edges=edges)
    assert same(mine, expected_fold(points, buckets, edges))
    assert same(again, mine)
    assert [one.count for one in other] == [1]
    assert none == []


def test_series_of_all_types_are_folded_at_once_and_stay_aligned(backend: PostgresBackend) -> None:
    points = {number: random_points(of, 40) for number, of in enumerate(PointType)}
    for number, of in enumerate(PointType):
        append(backend, number, points[number], of)
    buckets = Buckets((Piece(-3_000, 500, 0),), 30_000)
    asked = [(number, of) for number, of in enumerate(PointType)][::-1]
    with backend.snapshot() as session:
        found = session.fold(asked, buckets, edges=True)
    for (number, _), partials in zip(asked, found, strict=True):
        assert same(partials, expected_fold(points[number], buckets, edges=True))


@pytest.mark.parametrize("pieces", [16, 17, 5_000])
@pytest.mark.parametrize("modulo", [None, 7])
def test_buckets_of_thousands_of_widths_are_numbered_right(
    backend: PostgresBackend, pieces: int, modulo: int | None
) -> None:
    generator = random.Random(pieces)
    start, made = -10_000, []
    for _ in range(pieces):
        made.append(Piece(start, generator.randint(1, 40), generator.randint(-50, 10**6)))
        start += generator.randint(1, 100)
    buckets = Buckets(tuple(made), start, modulo)
    points = {time: float(time) for time in generator.sample(range(-11_000, start + 500), 1_000)}
    append(backend, 1, points)
    with backend.read() as session:
        (found,) = session.fold([(1, FLOAT)], buckets, edges=True)
    assert same(found, expected_fold(points, buckets, edges=True))


def test_a_sparse_series_over_fine_buckets_costs_nothing_for_the_empty_ones(backend: PostgresBackend) -> None:
    points = {index * 10**12: float(index) for index in range(200)}
    append(backend, 1, points)
    with backend.read() as session:
        (found,) = session.fold([(1, FLOAT)], Buckets((Piece(0, 1, 0),), 2**60), edges=True)
    assert [one.bucket for one in found] == list(points)


def test_integer_sums_are_exact_where_64_bits_do_not_hold_them(backend: PostgresBackend) -> None:
    points = {0: MAX, 1: MAX, 2: MIN, 10: MIN, 11: MIN, 12: -1, 20: 5}
    append(backend, 1, points, INT64)
    with backend.read() as session:
        (found,) = session.fold([(1, INT64)], Buckets((Piece(0, 10, 0),), 30), edges=True)
    assert [one.sum for one in found] == [MAX + MAX + MIN, MIN + MIN - 1, 5]
    assert all(type(one.sum) is int for one in found)
    assert merge_partials([found]) == found


@pytest.mark.parametrize("kind", ["read", "snapshot", "write"])
def test_sums_beyond_the_range_of_doubles_are_infinite_and_harm_no_other_answer(
    backend: PostgresBackend, kind: str
) -> None:
    append(backend, 1, {0: 1.7e308, 1: 1.7e308, 10: 1.5, 11: 2.5, 20: 1e300, 21: -1e300, 22: 3.0})
    with getattr(backend, kind)() as session:
        (found,) = session.fold([(1, FLOAT)], Buckets((Piece(0, 10, 0),), 30), edges=True)
        assert [one.sum for one in found] == [math.inf, 4.0, 3.0]
        assert [one.max for one in found] == [1.7e308, 2.5, 1e300]
        assert session.count() == 7  # the session goes on


# ---------------------------------------------------------------------- memory and plans


def test_a_long_scan_stays_in_bounded_memory(backend: PostgresBackend) -> None:
    for begin in range(0, 300_000, 50_000):
        with backend.write() as session:
            session.append(FLOAT, [1] * 50_000, range(begin, begin + 50_000), [0.5] * 50_000, KEEP)
    tracemalloc.start()
    try:
        with backend.snapshot() as session:
            assert sum(len(part.times) for part in session.scan(1, FLOAT, None, None)) == 300_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 10 * 2**20, f"{peak} bytes on Python {sys.version_info[:2]}"


@pytest.fixture(scope="module")
def planned(url: str, settings_of: Callable[..., Any]) -> Any:
    """More than 100,000 points of 20 series over eleven partitions, analysed; and what each statement's plan is."""
    import psycopg

    schema = "test_point_plans"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE".encode())
        store = PostgresBackend.connect(settings_of(url, schema=schema))
        count = 6_000
        for series in range(20):
            with store.write() as session:
                times = [START + index * 300 * DAY // count for index in range(count)]
                session.append(FLOAT, [series] * count, times, [float(index) for index in range(count)], KEEP)
        with store.write() as session:
            session.append(FLOAT, range(100, 5_000), [START] * 4_900, [0.0] * 4_900, KEEP)
        admin.execute(f"ANALYZE {schema}.iotstore_points; ANALYZE {schema}.iotstore_latest".encode())
        yield store
        store.close()
        admin.execute(f"DROP SCHEMA {schema} CASCADE".encode())


START = 20_000 * DAY


def plan(backend: PostgresBackend, call: Callable[[Any], object]) -> list[str]:
    """The plans of the statements that a call runs, as lines."""
    lines: list[str] = []
    with backend.read() as session:
        for name in ("rows", "row"):
            ask = getattr(session, name)

            def explained(text: str, parameters: Any, ask: Any = ask) -> Any:
                found = session._execute(f"EXPLAIN {text}", parameters).fetchall()
                lines.extend(line for (line,) in found)
                return ask(text, parameters)

            setattr(session, name, explained)
        call(session)
    assert lines
    return lines


def tables(lines: list[str]) -> set[str]:
    return {line.split(" on ")[1].split()[0] for line in lines if " on iotstore_points" in line and "Scan" in line}


@pytest.mark.parametrize(
    ("what", "most"),
    [
        (lambda session: list(session.scan(3, FLOAT, START + 100 * DAY, START + 103 * DAY)), 2),
        (lambda session: list(session.scan(3, FLOAT, START + 100 * DAY, START + 103 * DAY, limit=10)), 2),
        (lambda session: session.latest([(3, FLOAT)]), 0),
        (lambda session: session.latest([(3, FLOAT), (4, FLOAT)]), 0),
        (lambda session: session.before([(3, FLOAT)], START + 20 * DAY), 3),
        (
            lambda session: session.fold(
                [(3, FLOAT), (4, FLOAT)],
                Buckets((Piece(START + 100 * DAY, DAY, 0),), START + 102 * DAY),
                edges=True,
            ),
            2,
        ),
    ],
)
def test_plans_touch_the_partitions_of_their_range_alone_and_read_no_table_from_end_to_end(
    planned: PostgresBackend, what: Callable[[Any], object], most: int
) -> None:
    lines = plan(planned, what)
    text = "\n".join(lines)
    found = {name.rpartition("_pkey")[0] or name for name in tables(lines)}
    assert len(found) <= most, text
    assert "Seq Scan on iotstore_points" not in text
    assert "Seq Scan on iotstore_latest" not in text
    assert "Index" in text, text
