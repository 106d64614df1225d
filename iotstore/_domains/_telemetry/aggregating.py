"""Aggregates of series over buckets of time: plan, read as little as the functions need, finish, fill."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from iotstore._calendar.every import parse_every
from iotstore._calendar.grid import BUCKET_LIMIT, Grid, make_grid
from iotstore._clock import MAX_MICROS, from_micros, to_micros
from iotstore._domains._telemetry.finding import Finder, Found
from iotstore._domains._telemetry.results import Bucket
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_reader
from iotstore._kinds.telemetry import Metric
from iotstore._series.fill import check_fill, fill
from iotstore._series.finish import ColumnFold, Finished, finish_partials
from iotstore._series.functions import Plan
from iotstore._series.functions import plan as make_plan
from iotstore._waist.buckets import Buckets, Piece
from iotstore._waist.layout import Value
from iotstore._waist.queries import PointType
from iotstore._waist.sessions import ReadSession, SeriesReader
from iotstore.errors import InvalidValue

__all__ = ["Consistency", "Question", "aggregate", "within"]

#: Whether an aggregate is of all that is committed, or may come from what the database has summarised before.
Consistency: TypeAlias = Literal["current", "materialized"]

#: Series that one call of the waist is asked about.
_SERIES_AT_ONCE: Final = 1_000


class Question(NamedTuple):
    """What is asked of every series: over which buckets, what, and what stands in the gaps."""

    metric: str
    every: timedelta | str
    start: datetime
    end: datetime | None
    functions: Sequence[str]
    fill: str | float
    zone: str | None
    exact: bool
    consistency: Consistency = "current"


def aggregate(engine: Engine, finder: Finder, devices: Sequence[str] | None, question: Question) -> list[Bucket]:
    """The buckets of all series that are asked for, by device key, then time; all from one state of the store."""
    if question.consistency not in get_args(Consistency):
        raise InvalidValue(
            f"no consistency {str(question.consistency)[:40]!r}",
            field="consistency",
            hint='use "current", or "materialized" where changes of old points may be missing for a while',
        )
    start = to_micros(question.start, "start")
    end = to_micros(engine.clock.now() if question.end is None else question.end, "end")
    grid = make_grid(parse_every(question.every), "UTC" if question.zone is None else question.zone, start, end)
    with engine.consistent() as session:
        reader = series_reader(engine.backend, session)
        metric = finder.metric(session, question.metric)
        plan = make_plan(question.functions, PointType(metric.type), exact=question.exact)
        check_fill(plan, question.fill)
        series = _series(finder, session, devices, metric)
        if question.fill == "none":
            series = [(device, found) for device, found in series if found is not None]
        elif len(grid) * len(series) > BUCKET_LIMIT:
            raise InvalidValue(
                f"{len(series):,} devices with {len(grid):,} buckets each; at most {BUCKET_LIMIT:,} are filled at once",
                field="fill",
                hint='ask for wider buckets, fewer devices, or fill="none"',
            )
        instants = _Instants(grid)
        result: list[Bucket] = []
        for at in range(0, len(series) if len(grid) else 0, _SERIES_AT_ONCE):
            chunk = series[at : at + _SERIES_AT_ONCE]
            for device, finished in _finish(reader, chunk, plan, grid, question):
                result += _buckets(device, metric.name, finished, instants)
    return result


def within(grid: Grid) -> Buckets:
    """The grid's buckets without what lies outside of its range: of the first and last bucket maybe only a part."""
    buckets, second = grid.buckets, grid.edges[1]
    pieces = list(buckets.pieces)
    if grid.start > grid.edges[0]:
        # The first bucket becomes a piece of its own; the piece it was part of goes on after it.
        if len(pieces) > 1 and pieces[1].start == second:
            pieces = pieces[1:]
        else:
            pieces[0] = Piece(second, pieces[0].width, 1)
        pieces.insert(0, Piece(grid.start, second - grid.start, 0))
    return Buckets(tuple(piece for piece in pieces if piece.start < grid.end), grid.end)


def _series(
    finder: Finder, session: ReadSession, devices: Sequence[str] | None, metric: Metric
) -> list[tuple[str, Found | None]]:
    if devices is not None:
        return finder.of_devices(session, devices, metric)
    return [(found.device, found) for found in finder.of_metric(session, metric.name)]


def _finish(
    reader: SeriesReader, series: Sequence[tuple[str, Found | None]], plan: Plan, grid: Grid, question: Question
) -> Iterator[tuple[str, Finished]]:
    how = question.fill
    there = [found for _, found in series if found is not None]
    asked = [found.asked for found in there]
    earlier: dict[int, tuple[int, Value] | None] = {}
    if asked and (plan.needs_before or how == "previous"):
        earlier = dict(zip((found.id for found in there), reader.before(asked, grid.start), strict=True))
    partials = {}
    if asked and not plan.needs_columns:
        fold = reader.fold_materialized if question.consistency == "materialized" else reader.fold
        folded = fold(asked, within(grid), edges=plan.needs_edges)
        partials = dict(zip((found.id for found in there), folded, strict=True))
    for device, found in series:
        before = None if found is None else earlier.get(found.id)
        if found is None:
            finished = finish_partials(plan, [], grid)
        elif plan.needs_columns:
            column_fold = ColumnFold(plan, grid, before)
            for times, values in reader.scan(*found.asked, grid.start, grid.end):
                column_fold.add(times, values)
            finished = column_fold.finish()
        else:
            finished = finish_partials(plan, partials[found.id], grid)
        yield device, fill(finished, plan, grid, how, before=before)


def _buckets(device: str, metric: str, finished: Finished, instants: _Instants) -> Iterator[Bucket]:
    for position, number in enumerate(finished.numbers):
        start, end = instants.of(number)
        yield Bucket(device, metric, start, end, finished.row(position))


class _Instants:
    """Start and end of buckets as datetimes, made once for all series."""

    def __init__(self, grid: Grid) -> None:
        self._edges = grid.edges
        self._made: dict[int, tuple[datetime, datetime]] = {}

    def of(self, number: int) -> tuple[datetime, datetime]:
        """Start and end of the bucket of this number."""
        made = self._made.get(number)
        if made is None:
            # The end of time itself is one microsecond beyond what a datetime can say.
            start, end = self._edges[number], min(self._edges[number + 1], MAX_MICROS)
            made = self._made[number] = from_micros(start), from_micros(end)
        return made
