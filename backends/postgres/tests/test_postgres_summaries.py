"""Which buckets can come from sums of narrower ones, and how buckets are cut into what is summed up and what is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore.backend import Buckets, Piece
from iotstore_postgres._summaries import clipped, fits

PIECES = st.lists(st.tuples(st.integers(1, 9), st.integers(1, 5), st.integers(0, 4)), min_size=1, max_size=4)


@st.composite
def any_buckets(draw: st.DrawFn) -> Buckets:
    """Runs of buckets, each of some width; the last one of a run may be cut, and so may the end of all."""
    time, number, pieces = draw(st.integers(-30, 30)), draw(st.integers(-3, 3)), list[Piece]()
    for width, count, cut in draw(PIECES):
        pieces.append(Piece(time, width, number))
        time += width * count - min(cut, width - 1)
        number += count
    return Buckets(tuple(pieces), time, draw(st.sampled_from([None, 3])))


@given(any_buckets(), st.integers(-40, 120), st.integers(-40, 120))
def test_what_is_cut_off_has_no_bucket_and_what_is_left_has_the_one_it_had(
    buckets: Buckets, low: int, high: int
) -> None:
    left = clipped(buckets, low, high)
    for time in range(-45, 130):
        inside = low <= time < high
        expected = buckets.number(time) if inside else None
        assert (None if left is None else left.number(time)) == expected
    if left is not None:
        assert all(one.start < other.start for one, other in zip(left.pieces, left.pieces[1:], strict=False))


@given(any_buckets(), st.integers(1, 9))
def test_buckets_fit_only_if_no_narrow_one_lies_in_two_of_them(buckets: Buckets, width: int) -> None:
    low, high = -(-buckets.start // width) * width, buckets.end // width * width
    whole = [range(start, start + width) for start in range(low, high, width)]
    if fits(width, buckets):
        assert all(len({buckets.number(time) for time in narrow}) == 1 for narrow in whole)


@pytest.mark.parametrize(
    ("pieces", "end", "expected"),
    [
        ([Piece(0, 120, 0)], 600, True),
        ([Piece(0, 90, 0)], 600, False),
        ([Piece(30, 120, 0)], 600, False),
        ([Piece(30, 90, 0), Piece(120, 120, 1)], 600, True),
        ([Piece(30, 90, 0), Piece(120, 120, 1)], 590, True),
        ([Piece(-120, 60, 0)], 0, True),
        ([Piece(0, 660, 0)], 600, True),
    ],
)
def test_hours_are_sums_of_minutes_whatever_is_cut_off_at_both_ends(
    pieces: list[Piece], end: int, expected: bool
) -> None:
    assert fits(60, Buckets(tuple(pieces), end)) is expected
