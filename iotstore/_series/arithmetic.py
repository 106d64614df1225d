"""Arithmetic on the values of one bucket: sums that never lose a bit unnoticed, deviation, percentile, counters."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from operator import mul
from typing import Final, TypeAlias

from iotstore.errors import Overflow

__all__ = ["Number", "exact_sum", "finite", "increases", "int64", "percentile", "stddev", "time_weighted_mean"]

Number: TypeAlias = float | int

_INT64: Final = 2**63
# Below this a sum of squares may have lost bits to subnormal numbers.
_TINY: Final = 1e-280
_HINT: Final = "ask over shorter buckets, or for another function"


def finite(value: float, function: str) -> float:
    """The value, if a finite double holds it; else Overflow."""
    if not math.isfinite(value):
        raise Overflow(f"{function}: the result is beyond the range of a double", hint=_HINT)
    return value


def int64(value: int, function: str) -> int:
    """The value, if a signed 64-bit integer holds it; else Overflow."""
    if not -_INT64 <= value < _INT64:
        raise Overflow(f"{function}: {value} does not fit a signed 64-bit integer", hint=_HINT)
    return value


def exact_sum(values: Sequence[float], function: str = "sum") -> float:
    """The sum of doubles, rounded once: the same whatever their order. Overflow only if the sum itself is too large."""
    try:
        total = math.fsum(values)
    except OverflowError:  # on the way; huge values of both signs may still cancel
        total = math.inf
    if math.isfinite(total):
        return total
    from fractions import Fraction  # noqa: PLC0415 - costs 6 ms at import, and this happens near 1e308 only

    try:
        return float(sum(map(Fraction, values), Fraction()))
    except OverflowError as error:
        raise Overflow(f"{function}: the result is beyond the range of a double", hint=_HINT) from error


def stddev(values: Sequence[Number]) -> float | None:
    """The sample standard deviation, in two passes about the mean (integers: exact squares); None below two values."""
    count = len(values)
    if count < 2:
        return None
    if min(values) == max(values):
        return 0.0
    if isinstance(values[0], int):
        squares = count * sum(map(mul, values, values)) - sum(values) ** 2  # exact Python integers
        return math.sqrt(squares / (count * (count - 1)))
    try:
        mean = math.fsum(values) / count
        squares = _squares([value - mean for value in values])
    except OverflowError:
        squares = math.inf
    if _TINY < squares < math.inf:
        return math.sqrt(squares / (count - 1))
    return _scaled_stddev(values)


def _squares(deviations: Sequence[float]) -> float:
    # The mean is rounded, which shifts every deviation alike: far from zero by as much as the values differ. The sum of
    # the deviations says by how much, and what that adds to the squares is taken off.
    shift = math.fsum(deviations)
    return math.fsum([deviation * deviation for deviation in deviations]) - shift * shift / len(deviations)


def _scaled_stddev(values: Sequence[float]) -> float:
    """The deviation where squares leave the range of doubles: everything is scaled by powers of two, without loss."""
    count = len(values)
    shift = count.bit_length() + 1 if max(map(abs, values)) > 1 else 0  # neither their sum nor a difference overflows
    scaled = [math.ldexp(value, -shift) for value in values]
    mean = math.fsum(scaled) / count
    deviations = [value - mean for value in scaled]
    exponent = math.frexp(max(map(abs, deviations)))[1]
    squares = _squares([math.ldexp(deviation, -exponent) for deviation in deviations])
    try:
        return math.ldexp(math.sqrt(squares / (count - 1)), exponent + shift)
    except OverflowError as error:
        raise Overflow("stddev: the result is beyond the range of a double", hint=_HINT) from error


def percentile(ordered: Sequence[Number], fraction: float) -> float:
    """The value at *fraction* of ascending values, by linear interpolation between the two nearest ranks."""
    rank = (len(ordered) - 1) * fraction
    index = int(rank)
    low = ordered[index]
    if rank == index:
        return float(low)
    high, share = ordered[index + 1], rank - index
    value = low + share * (high - low)
    # Only a difference that no double holds leaves the range; weighing each end does not.
    return value if math.isfinite(value) else low * (1 - share) + high * share


def increases(values: Sequence[Number], before: Number | None) -> list[Number]:
    """How much a counter grew towards each value; the first is left out if nothing is known before it.

    A value lower than its predecessor is a counter that started again from zero. An increase is never negative.
    """
    zero = values[0] * 0
    known = [*values] if before is None else [before, *values]
    return [b - a if b >= a else max(b, zero) for a, b in pairwise(known)]


def time_weighted_mean(
    times: Sequence[int], values: Sequence[Number], before: Number | None, start: int, end: int
) -> float | None:
    """The mean over ``[start, end)`` of a value that holds until the next point; None if none is known.

    *before* is the value that held at *start*; without one, time counts from the first point.
    """
    if before is not None and (not times or times[0] > start):
        times, values = [start, *times], [before, *values]
    if not times:
        return None
    low, high = min(values), max(values)
    if low == high:
        return float(low)
    total = end - times[0]
    weights = [(until - time) / total for time, until in pairwise([*times, end])]
    # Rounding must not carry a mean outside of its values.
    return float(min(max(exact_sum(list(map(mul, values, weights)), "time_weighted_mean"), low), high))
