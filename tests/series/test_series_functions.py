"""Which functions exist, which type supports which, and what each bucket answers, against loops over points."""

from __future__ import annotations

import math
from bisect import bisect_right
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar.civil import DAY, HOUR, SECOND
from iotstore._calendar.every import Calendar, Fixed
from iotstore._calendar.grid import Grid, make_grid
from iotstore._series.finish import ColumnFold, finish_columns, finish_partials
from iotstore._series.functions import FUNCTIONS, fraction_of, plan, result_type
from iotstore._waist.buckets import fold_columns
from iotstore._waist.queries import PointType
from iotstore.errors import InvalidValue, Overflow

FLOAT, INT64, BOOL, TEXT = PointType.FLOAT, PointType.INT64, PointType.BOOL, PointType.TEXT
SIMPLE = ["count", "sum", "mean", "min", "max", "first", "last"]
START = 1_729_900_000_000_000  # two days before Kyiv's day of 25 hours in 2024
VALUES = {
    FLOAT: st.floats(-1e9, 1e9).map(lambda value: value + 0.0),
    INT64: st.integers(-(2**40), 2**40),
    BOOL: st.booleans(),
    TEXT: st.text(alphabet="abcé\U0001f642", max_size=3),
}

Points = list[tuple[int, Any]]


@st.composite
def questions(draw: st.DrawFn, *types: PointType) -> tuple[PointType, Grid, Points, tuple[int, Any] | None]:
    of = draw(st.sampled_from(types))
    start = START + draw(st.integers(0, DAY))
    end = start + draw(st.integers(1, 4 * DAY))
    every = draw(st.sampled_from([Calendar("day"), Calendar("hour"), Calendar("week"), Fixed(7 * HOUR)]))
    points = draw(
        st.lists(st.tuples(st.integers(start, end - 1), VALUES[of]), unique_by=lambda point: point[0], max_size=40)
    )
    before = draw(st.none() | st.tuples(st.integers(start - DAY, start - 1), VALUES[of]))
    return of, make_grid(every, "Europe/Kyiv", start, end), sorted(points), before


def columns(points: Points) -> tuple[list[int], list[Any]]:
    return [time for time, _ in points], [value for _, value in points]


def naive(function: str, grid: Grid, number: int, points: Points, before: tuple[int, Any] | None) -> Any:
    """One bucket's answer by the words of the definition."""
    low, high = grid.edges[number], grid.edges[number + 1]
    inside = [value for time, value in points if low <= time < high]
    if function == "time_weighted_mean":
        every_point = ([before] if before else []) + points
        weight = total = 0.0
        for position, (time, value) in enumerate(every_point):
            until = every_point[position + 1][0] if position + 1 < len(every_point) else grid.end
            span = min(until, high, grid.end) - max(time, low, grid.start)
            if span > 0:
                weight, total = weight + span, total + value * span
        return total / weight if weight else None
    if function in ("increase", "rate"):
        last, grown = before[1] if before else None, None
        for time, value in points:
            if last is not None and low <= time < high:
                grown = (grown or 0) + (value - last if value >= last else max(value, 0))
            last = value
        seconds = (min(high, grid.end) - max(low, grid.start)) / SECOND
        return grown if grown is None or function == "increase" else grown / seconds
    if function == "count":
        return len(inside)
    if not inside:
        return None
    mean = math.fsum(inside) / len(inside) if not isinstance(inside[0], str) else None
    if function == "stddev":
        return math.sqrt(math.fsum((v - mean) ** 2 for v in inside) / (len(inside) - 1)) if len(inside) > 1 else None
    if function == "median":
        ordered = sorted(inside)
        half = len(ordered) // 2
        return ordered[half] if len(ordered) % 2 else (ordered[half - 1] + ordered[half]) / 2
    simple = {"min": min, "max": max, "first": lambda v: v[0], "last": lambda v: v[-1], "sum": sum}
    return mean if function == "mean" else simple[function](inside)


def alike(found: Any, expected: Any, scale: float) -> bool:
    if isinstance(expected, float) and isinstance(found, float):
        return abs(found - expected) <= 1e-12 * max(scale, abs(expected))
    return found == expected and type(found) is type(expected)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(questions(FLOAT, INT64), st.booleans())
def test_every_function_of_numbers_is_what_its_definition_says(question: Any, exact: bool):
    of, grid, points, before = question
    found = finish_columns(plan(FUNCTIONS, of, exact=exact), grid, *columns(points), before)
    assert list(found.numbers) == list(range(len(grid)))
    scale = sum(abs(value) for _, value in points) + abs(before[1] if before else 0)
    for function in FUNCTIONS:
        for number in range(len(grid)):
            expected = naive(function, grid, number, points, before)
            if expected is not None and result_type(function, of) is FLOAT:
                expected = float(expected)
            assert alike(found.columns[function][number], expected, scale), (function, number)
    assert found.counts == found.columns["count"]
    assert found.row(0) == {function: column[0] for function, column in found.columns.items()}


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(questions(BOOL))
def test_booleans_have_counts_and_shares(question: Any):
    of, grid, points, _ = question
    found = finish_columns(plan(SIMPLE, of), grid, *columns(points))
    for function in SIMPLE:
        for number in range(len(grid)):
            expected = naive(function, grid, number, points, None)
            assert found.columns[function][number] == expected
            if expected is not None:
                assert (
                    type(found.columns[function][number])
                    is {FLOAT: float, INT64: int, BOOL: bool}[result_type(function, of)]
                )


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(questions(FLOAT, INT64, BOOL, TEXT))
def test_partials_answer_as_columns_do(question: Any):
    of, grid, points, _ = question
    functions = [name for name in SIMPLE if of is not TEXT or name not in ("sum", "mean")]
    planned = plan(functions, of)
    assert not planned.needs_columns
    from_partials = finish_partials(planned, fold_columns(grid.buckets, *columns(points)), grid)
    assert from_partials == finish_columns(planned, grid, *columns(points))


def test_booleans_that_an_engine_counts_as_integers_come_back_as_booleans():
    grid = make_grid(Fixed(DAY), "UTC", 0, DAY)
    found = finish_partials(plan(SIMPLE, BOOL), fold_columns(grid.buckets, [1, 2], [1, 0]), grid)
    assert [(name, repr(found.columns[name][0])) for name in SIMPLE] == [
        ("count", "2"), ("sum", "1"), ("mean", "0.5"), ("min", "False"), ("max", "True"), ("first", "True"),
        ("last", "False"),
    ]  # fmt: skip


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(questions(FLOAT, INT64), st.integers(1, 7))
def test_columns_may_come_in_chunks(question: Any, size: int):
    of, grid, points, before = question
    planned = plan([*FUNCTIONS, "p95"], of)
    fold = ColumnFold(planned, grid, before)
    for index in range(0, len(points), size):
        fold.add(*columns(points[index : index + size]))
    assert fold.finish() == finish_columns(planned, grid, *columns(points), before)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(questions(FLOAT), st.randoms(use_true_random=False))
def test_exact_sums_and_means_do_not_depend_on_the_order(question: Any, rng: Any):
    of, grid, points, _ = question
    planned = plan(["sum", "mean", "stddev"], of, exact=True)
    assert planned.needs_columns
    times, values = columns(points)
    found = finish_columns(planned, grid, times, values)
    shuffled = list(values)
    for number in range(len(grid)):
        inside = [index for index, time in enumerate(times) if bisect_right(grid.edges, time) - 1 == number]
        for index, other in zip(inside, rng.sample(inside, len(inside)), strict=True):
            shuffled[index] = values[other]
    assert finish_columns(planned, grid, times, shuffled) == found


def test_points_outside_of_the_range_do_not_count():
    grid = make_grid(Fixed(100), "UTC", 10, 90)
    found = finish_columns(plan(["count", "sum"], INT64), grid, [0, 10, 89, 90], [1, 2, 4, 8])
    assert found.columns == {"count": [2], "sum": [6]}


def test_a_rate_divides_by_the_part_of_the_bucket_that_was_asked_for():
    grid = make_grid(Fixed(HOUR), "UTC", HOUR // 2, 2 * HOUR)
    found = finish_columns(plan(["increase", "rate"], INT64), grid, [HOUR - 1, HOUR], [1900, 2000], (5, 100))
    assert found.columns == {"increase": [1800, 100], "rate": [1.0, 100 / 3600]}


def test_an_increase_without_a_known_predecessor_is_none():
    grid = make_grid(Fixed(HOUR), "UTC", 0, 2 * HOUR)
    found = finish_columns(plan(["increase", "rate"], INT64), grid, [1, HOUR], [100, 70])
    assert found.columns == {"increase": [None, 70], "rate": [None, 70 / 3600]}


def test_a_value_holds_through_buckets_without_points():
    grid = make_grid(Fixed(HOUR), "UTC", 0, 4 * HOUR)
    found = finish_columns(plan(["time_weighted_mean"], INT64), grid, [HOUR + HOUR // 2], [30])
    assert found.columns["time_weighted_mean"] == [None, 30.0, 30.0, 30.0]
    found = finish_columns(plan(["time_weighted_mean"], INT64), grid, [HOUR + HOUR // 2], [30], (-5, 10))
    assert found.columns["time_weighted_mean"] == [10.0, 20.0, 30.0, 30.0]
    assert found.counts == [0, 1, 0, 0]


@pytest.mark.parametrize("exact", [False, True])
def test_a_sum_beyond_its_type_is_an_overflow(exact: bool):
    grid = make_grid(Fixed(DAY), "UTC", 0, DAY)
    big: dict[PointType, list[Any]] = {INT64: [2**62, 2**62], FLOAT: [1.7e308, 1.7e308]}
    for of, values in big.items():
        with pytest.raises(Overflow, match=r"sum: .*ask over shorter buckets"):
            finish_columns(plan(["sum"], of, exact=exact), grid, [1, 2], values)
        with pytest.raises(Overflow, match=r"sum: .*ask over shorter buckets"):
            finish_partials(plan(["sum"], of), fold_columns(grid.buckets, [1, 2], values), grid)
    with pytest.raises(Overflow, match="mean: the result is beyond"):
        finish_columns(plan(["mean"], FLOAT, exact=exact), grid, [1, 2], big[FLOAT])
    with pytest.raises(Overflow, match="increase: "):
        finish_columns(plan(["increase"], INT64), grid, [1, 2], [-(2**63), 2**63 - 1])
    with pytest.raises(Overflow, match="increase: "):
        finish_columns(plan(["increase"], FLOAT, exact=exact), grid, [1, 2], [-1.7e308, 1.7e308])


def test_integers_sum_exactly_where_only_the_way_leaves_64_bits():
    grid = make_grid(Fixed(DAY), "UTC", 0, DAY)
    values = [2**63 - 1, 2**63 - 1, -(2**63), -5]
    for found in (
        finish_columns(plan(["sum"], INT64), grid, [1, 2, 3, 4], values),
        finish_partials(plan(["sum"], INT64), fold_columns(grid.buckets, [1, 2, 3, 4], values), grid),
    ):
        assert found.columns["sum"] == [2**63 - 7]


def test_an_integer_mean_needs_no_sum_that_fits():
    grid = make_grid(Fixed(DAY), "UTC", 0, DAY)
    assert finish_columns(plan(["mean"], INT64), grid, [1, 2], [2**62, 2**62]).columns["mean"] == [2.0**62]


def test_percentile_names_are_decimal_fractions():
    assert [fraction_of(name) for name in ("median", "p50", "p0", "p100", "p99.9")] == [0.5, 0.5, 0.0, 1.0, 0.999]
    assert [fraction_of(name) for name in ("p", "p101", "p-1", "p1e1", "p99.", "P50", "mean", "p50\n")] == [None] * 8


def test_a_plan_says_what_has_to_be_read():
    simple = plan(["count", "mean", "mean"], FLOAT)
    assert (simple.functions, simple.needs_columns, simple.needs_edges, simple.needs_before) == (
        ("count", "mean"), False, False, False,
    )  # fmt: skip
    assert plan(["last"], TEXT).needs_edges
    assert plan(["p95"], INT64).needs_columns
    assert not plan(["p95"], INT64).needs_before
    for function in ("rate", "increase", "time_weighted_mean"):
        assert plan([function], FLOAT).needs_columns
        assert plan([function], FLOAT).needs_before
    assert plan(["sum"], FLOAT, exact=True).needs_columns
    assert not plan(["sum"], INT64, exact=True).needs_columns
    assert not plan(["max"], FLOAT, exact=True).needs_columns


def test_an_unknown_function_is_refused_with_a_close_one_and_the_list():
    with pytest.raises(InvalidValue, match=r"functions: no function 'avg'; known are count, sum, mean, .* p0 to p100"):
        plan(["avg"], FLOAT)
    with pytest.raises(InvalidValue, match="no function 'medain'; did you mean 'median'"):
        plan(["medain"], FLOAT)


@pytest.mark.parametrize(
    ("function", "of"),
    [("mean", TEXT), ("sum", TEXT), ("p50", TEXT), ("rate", TEXT), ("stddev", BOOL), ("median", BOOL), ("rate", BOOL)],
)
def test_a_function_that_a_type_does_not_support_is_refused(function: str, of: PointType):
    with pytest.raises(InvalidValue, match=f"'{function}' of a {of.value} metric; it supports count,"):
        plan([function], of)


def test_a_text_instead_of_a_list_is_refused():
    with pytest.raises(InvalidValue, match=r"write \['mean'\]"):
        plan("mean", FLOAT)


def test_no_function_is_refused():
    with pytest.raises(InvalidValue, match="none is asked for; ask for some of count, sum"):
        plan([], FLOAT)
