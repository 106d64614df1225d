"""Folding columns into partials, and merging partials."""

from __future__ import annotations

import time as stopwatch
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar.civil import DAY, HOUR
from iotstore._calendar.every import Calendar, Fixed
from iotstore._calendar.grid import make_grid
from iotstore._calendar.parts import PARTS, part_buckets
from iotstore._waist.buckets import Buckets, Piece, fold_columns, merge, merge_partials
from iotstore._waist.partials import Partial

SUMMER_2024 = 1_717_200_000_000_000
SPAN = 100 * DAY


def naive(buckets: Buckets, points: list[tuple[int, int]]) -> list[Partial]:
    """One point after the other."""
    found: dict[int, Partial] = {}
    for time, value in points:
        number = buckets.number(time)
        if number is None:
            continue
        known = found.get(number)
        if known is None:
            found[number] = Partial(number, 1, value, value, value, time, value, time, value)
        else:
            found[number] = Partial(
                number, known.count + 1, known.sum + value, min(known.min, value), max(known.max, value),
                known.first_time, known.first, time, value,
            )  # fmt: skip
    return [found[number] for number in sorted(found)]


POINTS = st.lists(
    st.tuples(st.integers(SUMMER_2024 - DAY, SUMMER_2024 + SPAN + DAY), st.integers(-(2**63), 2**63 - 1)),
    unique_by=lambda point: point[0],
).map(sorted)


@st.composite
def any_buckets(draw: st.DrawFn) -> Buckets:
    start = SUMMER_2024 + draw(st.integers(0, SPAN // 2))
    end = start + draw(st.integers(1, SPAN // 2))
    zone_name = draw(st.sampled_from(["UTC", "Europe/Kyiv", "Australia/Lord_Howe"]))
    match draw(st.integers(0, 2)):
        case 0:
            return part_buckets(draw(st.sampled_from(PARTS)), zone_name, start, end)
        case 1:
            unit = draw(st.sampled_from(["hour", "day", "week", "month"]))
            return make_grid(Calendar(unit), zone_name, start, end).buckets  # type: ignore[arg-type]
        case _:
            return make_grid(Fixed(draw(st.integers(HOUR, 3 * DAY))), zone_name, start, end).buckets


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(any_buckets(), POINTS)
def test_a_fold_is_what_a_loop_over_points_gives(buckets: Buckets, points: list[tuple[int, int]]):
    times, values = [time for time, _ in points], [value for _, value in points]
    expected = naive(buckets, points)
    assert fold_columns(buckets, times, values) == expected
    assert fold_columns(buckets, array("q", times), array("q", values)) == expected
    plain = [partial._replace(first_time=None, first=None, last_time=None, last=None) for partial in expected]
    assert fold_columns(buckets, times, values, edges=False) == plain


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(any_buckets(), POINTS, st.integers(0, 100))
def test_a_fold_may_be_cut_anywhere_and_merged(buckets: Buckets, points: list[tuple[int, int]], cut: int):
    parts = [
        fold_columns(buckets, [time for time, _ in part], [value for _, value in part])
        for part in (points[:cut], points[cut:])
    ]
    expected = naive(buckets, points)
    assert merge_partials(parts) == expected
    assert merge_partials(reversed(parts)) == expected  # late points


PARTIALS = st.builds(
    Partial,
    bucket=st.just(3),
    count=st.integers(1, 9),
    sum=st.none() | st.integers(),
    min=st.integers(),
    max=st.integers(),
    first_time=st.none() | st.integers(0, 5),
    first=st.integers(),
    last_time=st.none() | st.integers(0, 5),
    last=st.integers(),
).map(lambda p: p._replace(first=p.first if p.first_time is not None else None,
                           last=p.last if p.last_time is not None else None))  # fmt: skip


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(PARTIALS, PARTIALS, PARTIALS)
def test_merging_is_associative(a: Partial, b: Partial, c: Partial):
    assert merge(merge(a, b), c) == merge(a, merge(b, c))


def test_text_folds_without_a_sum():
    buckets = Buckets((Piece(0, 10, 0),), 20)
    assert fold_columns(buckets, [1, 2, 15], ["b", "a", "c"]) == [
        Partial(0, 2, None, "a", "b", 1, "b", 2, "a"),
        Partial(1, 1, None, "c", "c", 15, "c", 15, "c"),
    ]


def test_booleans_sum_as_the_number_of_true_ones():
    assert fold_columns(Buckets((Piece(0, 10, 7),), 10), [1, 2, 3], [True, False, True], edges=False) == [
        Partial(7, 3, 2, False, True)
    ]


def test_a_piece_wider_than_its_run_ends_where_the_next_begins():
    buckets = Buckets((Piece(0, 100, 5), Piece(10, 100, 6)), 50)
    assert [partial[:2] for partial in fold_columns(buckets, [0, 9, 10, 49, 50], [1, 1, 1, 1, 1])] == [(5, 2), (6, 2)]


def test_no_pieces_fold_to_nothing():
    assert fold_columns(Buckets((), 5), [4, 5, 6], [1, 2, 3]) == []


@pytest.mark.parametrize("count", [200_000])
def test_a_fold_of_many_points_needs_no_loop_over_them(count: int):
    """Two hundred thousand points of a year into days: far below what a loop per point takes."""
    times = [SUMMER_2024 + index * 150_000_000 for index in range(count)]
    values = [float(index % 100) for index in range(count)]
    grid = make_grid(Calendar("day"), "Europe/Kyiv", times[0], times[-1] + 1)
    began = stopwatch.perf_counter()
    folded = fold_columns(grid.buckets, times, values)
    assert stopwatch.perf_counter() - began < 0.5
    assert sum(partial.count for partial in folded) == count
    assert len(folded) == len(grid)
