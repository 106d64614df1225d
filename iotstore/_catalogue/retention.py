"""Retention: what is older than its kind keeps is found, and deleted in chunks of their own transactions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any, Final

from iotstore._catalogue.catalogue import Catalogue
from iotstore._catalogue.lines import after, freed, held
from iotstore._catalogue.points import POINTS, PointLines, SeriesEntry
from iotstore._clock import MIN_MICROS, from_micros, to_micros
from iotstore._engine.engine import Engine
from iotstore._engine.powers import series_reader, series_writer
from iotstore._engine.references import delete, keys_filter, pointed_to
from iotstore._kinds.kind import Kind, Retention
from iotstore._waist.buckets import Buckets, Piece
from iotstore._waist.capabilities import Capability
from iotstore._waist.filters import ALWAYS, And, Compare, Filter, NotNull, Op
from iotstore._waist.layout import Key, Type
from iotstore._waist.queries import Aggregate, Function, Measure, Order, PointType, Select
from iotstore._waist.sessions import ReadSession
from iotstore.errors import InvalidValue, StillReferenced

# Short transactions: writers get their turn in between, and an interruption loses no more than one.
_CHUNK_ROWS: Final = 1000
_CHUNK_POINTS: Final = 100_000
_CHUNK_SERIES: Final = 200


@dataclass(frozen=True, slots=True)
class PruneLine:
    """What retention does to one collection: the *rows* older than *before* and the time of the *oldest* of them.

    After a run *deleted* says how many went, and *referenced* how many stayed because other records point to them;
    a dry run leaves both None.
    """

    kind: str
    before: datetime
    rows: int
    oldest: datetime | None
    deleted: int | None = None
    referenced: int | None = None


def prune_plan(engine: Engine, now: datetime, keep: Mapping[str, timedelta]) -> list[PruneLine]:
    """What a run would delete. *keep* sets another window by kind, or one for ``points``; it wins over its own."""
    windows = _windows(engine, keep)
    with engine.consistent() as session:
        return [_look(engine, session, name, now - window) for name, window in windows.items()]


def prune_run(engine: Engine, now: datetime, keep: Mapping[str, timedelta]) -> list[PruneLine]:
    """Delete what ``prune_plan`` finds. One record that can't go keeps no other one back."""
    lines: list[PruneLine] = []
    for line in prune_plan(engine, now, keep):
        cutoff = to_micros(line.before)
        if line.kind == POINTS:
            deleted, referenced = _prune_points(engine, cutoff), 0
        else:
            deleted, referenced = _prune_records(engine, engine.kinds[line.kind], cutoff)
        lines.append(PruneLine(line.kind, line.before, line.rows, line.oldest, deleted, referenced))
    return lines


def _windows(engine: Engine, keep: Mapping[str, timedelta]) -> dict[str, timedelta]:
    declared = {name: kind.retention.keep for name, kind in engine.kinds.items() if kind.retention is not None}
    for name, window in keep.items():
        if name != POINTS and name not in declared:
            raise InvalidValue(
                f"{name!r} is no kind with a retention",
                field="keep",
                hint=f"there are {', '.join([*declared, POINTS])}",
            )
        if not _is_duration(window):
            raise InvalidValue(f"{name}: {window!r} is no duration to keep", field="keep", hint="give a timedelta")
    if POINTS in keep:
        engine.backend.capabilities.require(Capability.SERIES)
    return {**declared, **keep}


def _is_duration(window: object) -> bool:
    return isinstance(window, timedelta) and window >= timedelta()


def _look(engine: Engine, session: ReadSession, name: str, before: datetime) -> PruneLine:
    cutoff = to_micros(before)
    if name == POINTS:
        found = list(_old_points(engine, session, cutoff))
        oldest = min((first for _, _, first in found), default=None)
        return PruneLine(name, before, sum(count for _, count, _ in found), _moment(oldest))
    kind = engine.kinds[name]
    retention = _retention(kind)
    measures = (Measure(Function.COUNT), Measure(Function.MIN, retention.time))
    ((rows, oldest),) = session.aggregate(kind.layout, Aggregate((), measures, _old(engine, kind, cutoff)))
    return PruneLine(name, before, int(rows), _moment(freed(oldest, Type.TIME, engine.backend.holds)))


def _moment(micros: int | None) -> datetime | None:
    return None if micros is None else from_micros(micros)


def _retention(kind: Kind[Any]) -> Retention:
    if kind.retention is None:
        raise InvalidValue(f"kind {kind.name} declares no retention")
    return kind.retention


def _old(engine: Engine, kind: Kind[Any], cutoff: int) -> Filter:
    retention, holds = _retention(kind), engine.backend.holds
    old = Compare(retention.time, Op.LT, held(cutoff, Type.TIME, holds))
    if retention.only is None:
        return old
    flag = kind.layout.column(retention.only)
    ripe: Filter = NotNull(flag.name)
    if flag.type is Type.BOOL:
        ripe = Compare(flag.name, Op.EQ, held(True, Type.BOOL, holds))
    return And((old, ripe))


def _prune_records(engine: Engine, kind: Kind[Any], cutoff: int) -> tuple[int, int]:
    """How many records were deleted, and how many stayed because others point to them."""
    old = _old(engine, kind, cutoff)
    columns = tuple(dict.fromkeys((_retention(kind).time, *kind.keys)))
    order = tuple(Order(name) for name in columns)
    deleted, referenced = _shed(engine, kind, cutoff), 0
    position: Filter = ALWAYS
    while True:
        with engine.reading() as session:
            rows = session.select(kind.layout, Select(And((old, position)), order, _CHUNK_ROWS))
        if not rows:
            return deleted, referenced
        # Onwards from here: what can't be deleted is not met again.
        position = after(columns, [rows[-1][kind.layout.position[name]] for name in columns])
        keys = [kind.layout.key_of(row) for row in rows]
        try:
            deleted += _delete(engine, kind, old, keys)
        except StillReferenced:
            for key in keys:
                try:
                    deleted += _delete(engine, kind, old, [key])
                except StillReferenced:
                    referenced += 1


def _shed(engine: Engine, kind: Kind[Any], cutoff: int) -> int:
    """Delete whole parts, where nobody has to be told of each record."""
    watched = kind.tracked or pointed_to(engine, kind) or _retention(kind).only is not None
    if kind.layout.parts is None or watched:
        return 0
    with engine.writing() as transaction:
        return transaction.session.shed_records(kind.layout, cutoff)


def _delete(engine: Engine, kind: Kind[Any], old: Filter, keys: Sequence[Key]) -> int:
    with engine.writing() as transaction:
        # Old ones only: between the two an alert may have been reopened.
        return len(delete(engine, transaction, kind, And((keys_filter(kind, keys), old))))


def _points(engine: Engine, session: ReadSession) -> PointLines:
    points = Catalogue.of(engine.backend, session).points
    if points is None:
        raise InvalidValue("this store keeps no points", field="keep")
    return points


def _old_points(engine: Engine, session: ReadSession, cutoff: int) -> Iterator[tuple[SeriesEntry, int, int]]:
    """Every series with points before the cutoff, how many, and the time of the first."""
    if cutoff <= MIN_MICROS:
        return
    # One bucket from the beginning of time to the cutoff: the engine counts, nothing is read.
    bucket = Buckets((Piece(MIN_MICROS, cutoff - MIN_MICROS, 0),), cutoff)
    reader = series_reader(engine.backend, session)
    series = _points(engine, session).series(session)
    while chunk := list(islice(series, _CHUNK_SERIES)):
        asked = [(one.id, PointType(one.type)) for one in chunk]
        for one, partials in zip(chunk, reader.fold(asked, bucket, edges=True), strict=True):
            for partial in partials:
                if partial.first_time is not None:
                    yield one, partial.count, partial.first_time


def _prune_points(engine: Engine, cutoff: int) -> int:
    with engine.writing() as transaction:
        deleted = series_writer(engine.backend, transaction.session).shed(cutoff)
    with engine.consistent() as session:
        found = list(_old_points(engine, session, cutoff))
    for one, count, first in found:
        parts = -(-count // _CHUNK_POINTS)
        for part in range(1, parts + 1):
            until = first + (cutoff - first) * part // parts
            with engine.writing() as transaction:
                deleted += series_writer(engine.backend, transaction.session).erase([one.id], None, until)
    return deleted
