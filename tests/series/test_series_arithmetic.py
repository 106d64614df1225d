"""Arithmetic on one bucket against definitions written with fractions and loops."""

from __future__ import annotations

import math
import random
import statistics
from fractions import Fraction

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from iotstore._series.arithmetic import exact_sum, increases, percentile, stddev, time_weighted_mean
from iotstore.errors import Overflow

DOUBLES = st.floats(allow_nan=False, allow_infinity=False)
USUAL = st.floats(-1e9, 1e9)
INTS = st.integers(-(2**63), 2**63 - 1)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(DOUBLES, min_size=1), st.randoms(use_true_random=False))
def test_an_exact_sum_does_not_depend_on_the_order(values: list[float], rng: random.Random):
    true = sum(map(Fraction, values))
    shuffled = rng.sample(values, len(values))
    try:
        expected = float(true)
    except OverflowError:
        with pytest.raises(Overflow, match="sum: the result is beyond the range of a double"):
            exact_sum(values)
        return
    assert exact_sum(values) == exact_sum(shuffled) == expected


def test_huge_values_may_cancel_in_an_exact_sum():
    assert exact_sum([1e308, 1e308, -1e308, -1e308, 1.5]) == 1.5


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(DOUBLES, min_size=2, max_size=8))
def test_the_deviation_of_doubles_is_right_at_any_magnitude(values: list[float]):
    try:
        expected = statistics.stdev(values)
    except OverflowError:
        with pytest.raises(Overflow, match="stddev"):
            stddev(values)
        return
    assume(expected < 1.7e308)  # at the very edge rounding decides between an answer and an overflow
    assert stddev(values) == pytest.approx(expected, rel=1e-12, abs=1e-320)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(INTS, min_size=2))
def test_the_deviation_of_integers_is_computed_with_exact_squares(values: list[int]):
    assert stddev(values) == pytest.approx(statistics.stdev(values), rel=1e-15)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(st.floats(0, 1), min_size=2, max_size=50))
@example([0.0, 0.001])  # the rounded mean is off by a hundred-thousandth of what the values differ by
def test_a_large_offset_does_not_drown_the_deviation(values: list[float]):
    offset = [value + 1e9 for value in values]
    assert stddev(offset) == pytest.approx(statistics.stdev(offset), rel=1e-12)


def test_a_constant_does_not_deviate():
    assert stddev([0.1] * 10) == 0.0


def test_one_value_has_no_deviation():
    assert stddev([1.5]) is None
    assert stddev([]) is None


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(USUAL, min_size=1), st.floats(0, 1))
def test_a_percentile_is_bit_equal_to_its_definition(values: list[float], fraction: float):
    ordered = sorted(values)
    h = (len(ordered) - 1) * fraction
    i = math.floor(h)
    expected = ordered[i] if i == h else ordered[i] + (h - i) * (ordered[i + 1] - ordered[i])
    assert percentile(ordered, fraction) == expected


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(DOUBLES, min_size=1), st.floats(0, 1))
def test_a_percentile_never_leaves_its_values(values: list[float], fraction: float):
    ordered = sorted(values)
    found = percentile(ordered, fraction)
    slack = 1e-15 * max(abs(ordered[0]), abs(ordered[-1]))
    assert ordered[0] - slack <= found <= ordered[-1] + slack


def test_the_median_is_the_middle_or_between_the_middle_two():
    assert percentile([1, 5, 6], 0.5) == 5.0
    assert percentile([1, 4, 6, 9], 0.5) == 5.0
    assert percentile([7], 0.5) == 7.0


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(INTS), st.none() | INTS)
def test_increases_are_those_of_a_loop_that_knows_resets(values: list[int], before: int | None):
    assume(values)
    expected, last = [], before
    for value in values:
        if last is not None:
            expected.append(value - last if value >= last else max(value, 0))
        last = value
    assert increases(values, before) == expected


def test_a_counter_that_restarts_counts_from_zero():
    assert increases([10, 15, 3, 3, 8], None) == [5, 3, 0, 5]
    assert increases([2.5], 10.0) == [2.5]
    assert increases([2.5], None) == []


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(
    st.lists(st.tuples(st.integers(0, 99), USUAL), max_size=20, unique_by=lambda point: point[0]),
    st.none() | USUAL,
)
def test_a_time_weighted_mean_is_the_mean_of_all_instants(points: list[tuple[int, float]], before: float | None):
    points.sort()
    held: list[float] = []
    known = dict(points)
    value = before
    for instant in range(100):
        value = known.get(instant, value)
        if value is not None:
            held.append(value)
    found = time_weighted_mean([time for time, _ in points], [value for _, value in points], before, 0, 100)
    if not held:
        assert found is None
    else:
        scale = sum(map(abs, held)) / len(held)
        assert found == pytest.approx(math.fsum(held) / len(held), rel=1e-12, abs=1e-12 * scale)
        assert min(held) <= found <= max(held)


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(st.lists(st.integers(0, 10**6), min_size=1, unique=True), DOUBLES)
def test_a_constant_is_its_own_time_weighted_mean_to_the_bit(times: list[int], value: float):
    assert time_weighted_mean(sorted(times), [value] * len(times), value, 0, 10**6 + 1) == value
