"""Folding points into buckets: one statement for all series whose values lie in the same column.

Grouping by a computed bucket number was never much slower than a range for each bucket, whether buckets were full or
almost empty, and its cost grows with the points alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from iotstore.backend import Buckets, Partial, PointType, Row, Value
from iotstore_postgres._conversions import Int8Array
from iotstore_postgres._latest import COLUMN

#: Up to so many pieces a tree of comparisons; beyond, the server searches in arrays.
_TREE: Final = 16
#: Doubles beyond this are left out of the engine's sums, which end in an error where they leave the range. However
#: many of the others there are, their sum does not leave it.
HUGE: Final = 1e290


class Shape(NamedTuple):
    """Buckets as far as a statement's text is concerned: how many pieces are told apart, and whether numbers repeat."""

    pieces: int
    modulo: bool


def fold_text(of: PointType, buckets: Buckets, *, edges: bool) -> str:
    """The statement, for these buckets or any others cut into as many pieces."""
    column, _ = COLUMN[of]
    return _text(column, shape_of(buckets), edges)


def shape_of(buckets: Buckets) -> Shape:
    """What the statement depends on."""
    return Shape(min(len(buckets.pieces), _TREE + 1), buckets.modulo is not None)


def fold_parameters(series: Sequence[int], buckets: Buckets) -> list[Value]:
    """Its parameters."""
    pieces = buckets.pieces
    values: list[Value] = [Int8Array(series), buckets.start, buckets.end - 1]
    if len(pieces) > _TREE:
        values += [Int8Array(column) for column in zip(*pieces, strict=True)]
    else:
        for piece in pieces:
            values += piece
    if buckets.modulo is not None:
        values.append(buckets.modulo)
    return values


def number_text(shape: Shape) -> str:
    """The number of the bucket that holds ``time``, with the parameters from $4 on."""
    pieces, modulo = shape
    number, after = _tree(4, 0, pieces), 4 + 3 * pieces
    if pieces > _TREE:
        position = "width_bucket(time, $4::bigint[])"
        number = f"($6::bigint[])[{position}] + (time - ($4::bigint[])[{position}]) / ($5::bigint[])[{position}]"
        after = 7
    return f"((({number}) % ${after}) + ${after}) % ${after}" if modulo else number


@lru_cache(maxsize=256)
def _text(column: str, shape: Shape, edges: bool) -> str:
    number = number_text(shape)
    total = {
        "number": f"sum(number) FILTER (WHERE abs(number) <= '{HUGE!r}'::float8)",
        "whole": "sum(whole)",
        "words": "NULL",
    }[column]
    within = "time >= $2 AND time <= $3"
    groups = (
        f"SELECT series, {number} AS bucket, count(*) AS points,"  # noqa: S608 - parameters, and names of ours
        f" {total} AS total, min({column}) AS least,"
        f" max({column}) AS most, min(time) AS first_time, max(time) AS last_time"
        f" FROM iotstore_points WHERE series = ANY($1) AND {within} GROUP BY 1, 2"
    )
    if not edges:
        return groups
    # The range is said again, so that partitions outside of it are left out when the statement is planned.
    one = (
        f"SELECT {column} FROM iotstore_points AS p WHERE p.series = g.series"  # noqa: S608 - names of ours
        f" AND {within.replace('time', 'p.time')} AND p.time ="
    )
    return f"SELECT g.*, ({one} g.first_time), ({one} g.last_time) FROM ({groups}) AS g"  # noqa: S608 - the same


def _tree(parameter: int, low: int, high: int) -> str:
    """The bucket number by comparisons: *parameter* is the number of the first piece's first one."""
    at = parameter + 3 * low
    if high - low <= 1:
        return f"${at + 2} + (time - ${at}) / ${at + 1}"
    middle = (low + high) // 2
    below, above = _tree(parameter, low, middle), _tree(parameter, middle, high)
    return f"CASE WHEN time < ${parameter + 3 * middle} THEN {below} ELSE {above} END"


def partial_of(row: Row, of: PointType, *, edges: bool) -> Partial | None:
    """The partial of a row; None where the engine could not sum it."""
    _, bucket, count, total, least, most, first_time, last_time, *values = row
    if of is PointType.FLOAT and (most > HUGE or least < -HUGE):
        return None
    if of is PointType.BOOL:
        least, most, *values = map(bool, (least, most, *values))
    if not edges:
        return Partial(bucket, count, total, least, most)
    return Partial(bucket, count, total, least, most, first_time, values[0], last_time, values[1])
