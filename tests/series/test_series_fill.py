"""What stands in buckets without points."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore._calendar.civil import DAY, HOUR
from iotstore._calendar.every import Calendar, Fixed
from iotstore._calendar.grid import make_grid
from iotstore._series.fill import FILLS, check_fill, fill
from iotstore._series.finish import Finished, finish_columns
from iotstore._series.functions import FUNCTIONS, plan
from iotstore._waist.queries import PointType
from iotstore.errors import InvalidValue

FLOAT, INT64, BOOL, TEXT = PointType.FLOAT, PointType.INT64, PointType.BOOL, PointType.TEXT
GRID = make_grid(Fixed(HOUR), "UTC", 0, 6 * HOUR)


def filled(
    functions: list[str], of: PointType, points: dict[int, Any], how: str | float, before: tuple[int, Any] | None = None
) -> Finished:
    """Points by hour, finished and filled."""
    planned = plan(functions, of)
    times = [hour * HOUR + 1 for hour in points]
    return fill(finish_columns(planned, GRID, times, [*points.values()]), planned, GRID, how, before=before)


def test_none_leaves_only_buckets_with_points():
    found = filled(["mean", "count"], FLOAT, {1: 5.0, 4: 8.0}, "none")
    assert found == Finished([1, 4], [1, 1], {"mean": [5.0, 8.0], "count": [1, 1]})


def test_null_keeps_every_bucket():
    found = filled(["mean", "count"], FLOAT, {1: 5.0, 4: 8.0}, "null")
    assert found.columns == {"mean": [None, 5.0, None, None, 8.0, None], "count": [0, 1, 0, 0, 1, 0]}


def test_previous_repeats_the_last_known_value():
    found = filled(["last", "count"], TEXT, {1: "on", 4: "off"}, "previous")
    assert found.columns == {"last": [None, "on", "on", "on", "off", "off"], "count": [0, 1, 0, 0, 1, 0]}


def test_previous_starts_with_the_value_before_the_range():
    found = filled(["max", "mean", "median", "sum"], INT64, {1: 5, 4: 8}, "previous", before=(-7, 3))
    assert found.columns["max"] == [3, 5, 5, 5, 8, 8]
    assert [repr(column[0]) for column in found.columns.values()] == ["3", "3.0", "3.0", "None"]


def test_linear_draws_a_line_between_known_buckets_and_not_beyond():
    found = filled(["mean", "count"], FLOAT, {1: 5.0, 4: 8.0}, "linear")
    assert found.columns == {"mean": [None, 5.0, 6.0, 7.0, 8.0, None], "count": [0, 1, 0, 0, 1, 0]}


def test_linear_goes_by_time_and_not_by_number_of_buckets():
    """The middle one of three days in October has 25 hours, so it starts before the middle of the line's time."""
    kyiv = [1_729_890_000_000_000 + hour * HOUR for hour in (0, 24, 49, 73)]  # midnights from 2024-10-26
    grid = make_grid(Calendar("day"), "Europe/Kyiv", kyiv[0], kyiv[3])
    assert grid.edges == tuple(kyiv)
    planned = plan(["mean"], FLOAT)
    found = fill(finish_columns(planned, grid, [kyiv[0], kyiv[2]], [0.0, 49.0]), planned, grid, "linear")
    assert found.columns["mean"] == [0.0, pytest.approx(24.0), 49.0]


def test_linear_between_integers_gives_doubles_and_keeps_the_integers():
    assert [repr(value) for value in filled(["max"], INT64, {0: 1, 2: 2**62 + 1}, "linear").columns["max"][:3]] == [
        "1", repr(2.0**61), str(2**62 + 1),
    ]  # fmt: skip


def test_linear_between_huge_values_stays_finite():
    assert filled(["max"], FLOAT, {0: -1.7e308, 2: 1.7e308}, "linear").columns["max"][1] == 0.0


def test_a_constant_stands_in_every_gap_in_the_functions_type():
    found = filled(["mean", "sum", "count"], INT64, {1: 5}, 0.0)
    assert repr(found.columns["mean"]) == "[0.0, 5.0, 0.0, 0.0, 0.0, 0.0]"
    assert repr(found.columns["sum"]) == "[0, 5, 0, 0, 0, 0]"
    assert found.columns["count"] == [0, 1, 0, 0, 0, 0]
    assert repr(filled(["max"], FLOAT, {}, -0.0).columns["max"][0]) == "0.0"
    assert repr(filled(["last", "mean"], BOOL, {1: True}, False).row(0)) == "{'last': False, 'mean': 0.0}"


@pytest.mark.parametrize("how", ["null", "previous", "linear", 7.0])
def test_an_unknown_deviation_of_a_bucket_with_points_is_an_answer_not_a_gap(how: str | float):
    assert filled(["stddev"], FLOAT, {1: 5.0, 4: 8.0}, how).columns["stddev"][1] is None


def test_a_value_that_is_known_to_hold_is_not_a_gap():
    assert filled(["time_weighted_mean"], FLOAT, {1: 5.0}, 0.0).columns["time_weighted_mean"] == [0.0, *[5.0] * 5]


@settings(deadline=None)  # a pause of a busy machine says nothing about the code
@given(
    st.dictionaries(st.integers(0, 5), st.integers(-1000, 1000)).map(lambda points: dict(sorted(points.items()))),
    st.sampled_from([*FILLS, 3, 0.0]),
    st.none() | st.tuples(st.integers(-DAY, -1), st.integers(-1000, 1000)),
)
def test_no_fill_changes_a_bucket_with_points(points: dict[int, int], how: Any, before: tuple[int, int] | None):
    functions = [name for name in FUNCTIONS if name != "time_weighted_mean"]
    plain = filled(functions, INT64, points, "null")
    found = filled(functions, INT64, points, how, before)
    for position, number in enumerate(found.numbers):
        assert found.counts[position] == plain.counts[number] == found.columns["count"][position]
        if plain.counts[number]:
            assert found.row(position) == plain.row(number)
        else:
            assert how != "none"
            unfilled = [name for name, value in found.row(position).items() if value is None]
            assert not unfilled or how in ("null", "previous", "linear")
    assert list(found.numbers) == (sorted(points) if how == "none" else list(range(6)))


@pytest.mark.parametrize("how", ["zero", "", "NONE"])
def test_an_unknown_fill_is_refused(how: str):
    with pytest.raises(InvalidValue, match=r"fill: no fill .*; use one of none, null, previous, linear, or a number"):
        check_fill(plan(["mean"], FLOAT), how)


@pytest.mark.parametrize("of", [TEXT, BOOL])
def test_linear_is_refused_where_nothing_lies_between_two_values(of: PointType):
    with pytest.raises(InvalidValue, match=f"'linear' between values of a {of.value} metric; use 'previous'"):
        check_fill(plan(["last"], of), "linear")


@pytest.mark.parametrize(
    ("function", "of", "how", "reason"),
    [
        ("last", TEXT, 0, "a int among values of a text metric"),
        ("last", BOOL, 0, "a int among values of a bool metric"),
        ("mean", FLOAT, True, "a bool among values of a float metric"),
        ("max", INT64, 0.5, "0.5 can't be a max of a int64 metric"),
        ("max", INT64, 2**63, "can't be a max"),
        ("max", INT64, float("nan"), "nan can't be a max"),
        ("mean", FLOAT, float("inf"), "inf can't be a mean"),
        ("mean", FLOAT, 2**53 + 1, "can't be a mean"),
        ("mean", FLOAT, 10**400, "can't be a mean"),
        ("mean", FLOAT, None, "a NoneType is no fill"),
    ],
)
def test_a_constant_has_to_fit_the_functions_type(function: str, of: PointType, how: Any, reason: str):
    with pytest.raises(InvalidValue, match=reason):
        check_fill(plan([function], of), how)


def test_a_constant_is_not_checked_against_the_count_that_it_never_fills():
    assert filled(["count"], TEXT, {1: "a"}, 0.0).columns["count"] == [0, 1, 0, 0, 0, 0]
