"""Continuous aggregates of the Timescale edition: points that the server has summed up before, by hours, days, ...

Each is a view of ours with a row per series and bucket. It is asked only for buckets before its watermark, which is
read in the state of the question; what is newer, and what lies at the ends of the range, comes from the points.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from iotstore.backend import Buckets, ConfigurationError, Piece, PointType
from iotstore_postgres._latest import COLUMN
from iotstore_postgres._point_fold import HUGE, Shape, number_text, shape_of
from iotstore_postgres._scratch import Connection, ask, told

_SECOND: Final = 1_000_000
_SHORTEST, _LONGEST = timedelta(minutes=1), timedelta(days=366)
_PREFIX: Final = "iotstore_points_every_"
#: The widths that are materialized, as seconds in the names of views.
VIEWS: Final = (
    f"SELECT substr(relname, {len(_PREFIX) + 1})::bigint FROM pg_catalog.pg_class"  # noqa: S608 - constants
    " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'v'"
    f" AND relname ~ '^{_PREFIX}[0-9]+$' ORDER BY 1"
)
#: Until when the view of a width holds what was there when it was refreshed. No function of the server's: those see a
#: later state than the question.
WATERMARK: Final = (
    "SELECT w.watermark FROM _timescaledb_catalog.continuous_agg AS c"
    " JOIN _timescaledb_catalog.continuous_aggs_watermark AS w ON w.mat_hypertable_id = c.mat_hypertable_id"
    " WHERE c.user_view_schema = current_schema() AND c.user_view_name = $1::text"
)
_VALUES: Final = ("number", "whole", "words")
_ARGUMENTS: Final = (
    "SELECT proargnames FROM pg_catalog.pg_proc WHERE proname = 'add_continuous_aggregate_policy'"
    " AND pronamespace = $1::text::regnamespace"
)


def view_of(width: int) -> str:
    """The name of the view with buckets of *width* microseconds."""
    return f"{_PREFIX}{width // _SECOND}"


def checked(widths: Sequence[timedelta] | None) -> None:
    """ConfigurationError for buckets that can't be materialized."""
    for width in widths or ():
        if not _SHORTEST <= width <= _LONGEST or width % timedelta(seconds=1):
            raise ConfigurationError(
                f"buckets of {width} can't be materialized", hint="give whole seconds, from one minute to 366 days"
            )


class Change(NamedTuple):
    """What is to be done: statements of the transaction, then some that have none, and what that comes to."""

    statements: list[str]
    afterwards: list[str]
    made: list[timedelta]
    dropped: list[timedelta]


def changes(connection: Connection, functions: str, wanted: Sequence[timedelta] | None) -> Change:
    """What makes the views that are wanted out of those that are there; None leaves them as they are."""
    there = {timedelta(seconds=seconds) for (seconds,) in ask(connection, VIEWS)}
    if wanted is None or set(wanted) == there:
        return Change([], [], [], [])
    made, dropped = sorted(set(wanted) - there), sorted(there - set(wanted))
    statements = [f"DROP MATERIALIZED VIEW {view_of(_micros(width))}" for width in dropped]
    afterwards = []
    arguments = told(connection, _ARGUMENTS, functions) or []
    for width in made:
        statements += _creation(functions, _micros(width), whole="buckets_per_batch" in arguments)
        view, until = view_of(_micros(width)), f"iotstore_now() - {_micros(width)}"
        afterwards.append(f"CALL {functions}.refresh_continuous_aggregate('{view}', NULL, {until})")
    return Change(statements, afterwards, made, dropped)


def _micros(width: timedelta) -> int:
    return width // timedelta(microseconds=1)


def _creation(functions: str, width: int, *, whole: bool) -> Iterator[str]:
    measures = ["count(*) AS points", "min(time) AS first_time", "max(time) AS last_time"]
    for column in _VALUES:
        if column != "words":
            within = f" FILTER (WHERE abs(number) <= '{HUGE!r}'::float8)" if column == "number" else ""
            measures.append(f"sum({column}){within} AS total_{column}")
        measures += [f"min({column}) AS least_{column}", f"max({column}) AS most_{column}"]
        measures += [f"{functions}.{edge}({column}, time) AS {edge}_{column}" for edge in ("first", "last")]
    yield (
        f"CREATE MATERIALIZED VIEW {view_of(width)} WITH (timescaledb.continuous, timescaledb.materialized_only = true)"  # noqa: S608 - names of ours
        f" AS SELECT series, {functions}.time_bucket({width}::bigint, time) AS bucket, {', '.join(measures)}"
        " FROM iotstore_points GROUP BY 1, 2 WITH NO DATA"
    )
    # All at once, and the oldest first: else the watermark would be ahead of buckets that are still to be made.
    batches = ", buckets_per_batch => 0" if whole else ""
    yield (
        f"SELECT {functions}.add_continuous_aggregate_policy('{view_of(width)}', start_offset => NULL::bigint,"
        f" end_offset => {width}::bigint, schedule_interval => interval '{min(width // _SECOND, 3600)} seconds',"
        f" initial_start => pg_catalog.now() + '5 minutes'{batches})"
    )


# Reading -----------------------------------------------------------------------------------------------------------


def fits(width: int, buckets: Buckets) -> bool:
    """Whether every bucket that ends inside of the range ends where one of *width* does."""
    return all(
        (at == 0 or piece.start % width == 0)
        and (_is_one(buckets, at) or (piece.start % width == 0 and piece.width % width == 0))
        for at, piece in enumerate(buckets.pieces)
    )


def _is_one(buckets: Buckets, at: int) -> bool:
    return buckets.pieces[at].start + buckets.pieces[at].width >= _end(buckets, at)


def _end(buckets: Buckets, at: int) -> int:
    return buckets.pieces[at + 1].start if at + 1 < len(buckets.pieces) else buckets.end


def clipped(buckets: Buckets, low: int, high: int) -> Buckets | None:
    """The same buckets as far as they lie in ``[low, high)``, with the same numbers; None if nothing is left."""
    low, high = max(low, buckets.start), min(high, buckets.end)
    pieces: list[Piece] = []
    for at, piece in enumerate(buckets.pieces):
        until = min(_end(buckets, at), high)
        if piece.start >= low:
            pieces += [piece] if piece.start < until else []
        elif low < until:
            whole = (low - piece.start) // piece.width
            following = piece.start + (whole + 1) * piece.width
            # A bucket that is cut is a piece of its own.
            pieces.append(Piece(low, following - low, piece.first + whole))
            if following < until:
                pieces.append(Piece(following, piece.width, piece.first + whole + 1))
    return Buckets(tuple(pieces), high, buckets.modulo) if pieces else None


def summed_text(of: PointType, buckets: Buckets, width: int, *, edges: bool) -> str:
    """The statement that folds the rows of a view; its parameters and rows are those of ``fold_text``."""
    return _text(COLUMN[of][0], width, shape_of(buckets), edges)


@lru_cache(maxsize=256)
def _text(column: str, width: int, shape: Shape, edges: bool) -> str:
    total = "NULL" if column == "words" else f"sum(total_{column})"
    ends = (
        f", (array_agg(first_{column} ORDER BY first_time))[1], (array_agg(last_{column} ORDER BY last_time DESC))[1]"
        if edges
        else ""
    )
    return (
        f"SELECT series, {number_text(shape)}, sum(points)::bigint, {total}, min(least_{column}), max(most_{column}),"  # noqa: S608 - names of ours
        f" min(first_time), max(last_time){ends} FROM (SELECT *, bucket AS time FROM {view_of(width)}) AS summed"
        " WHERE series = ANY($1) AND time >= $2 AND time <= $3 GROUP BY 1, 2"
    )
