"""Running an aggregate: lowered to the waist's functions, finished here.

The engine counts, sums and compares; the core divides, joins split integer sums, refuses what leaves its range, and
turns bucket numbers into instants, so that the answer is the same whatever computed it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from iotstore import _values as values
from iotstore._calendar.grid import Grid, make_grid
from iotstore._calendar.parts import part_buckets, part_value
from iotstore._clock import from_micros, to_micros
from iotstore._engine.engine import Engine
from iotstore._engine.measures import ExactSum, Output, beyond_double, is_real_sum, lower_measures
from iotstore._kinds import fields as f
from iotstore._kinds.codec import Codec
from iotstore._query.grouping import ByPart, ByTime, Group, MeasureOf
from iotstore._query.lower import all_of, comparable
from iotstore._waist.filters import NEVER, Compare, Filter, Op
from iotstore._waist.layout import Row, Type
from iotstore._waist.queries import Aggregate, Bucketed, Function, Measure, Select
from iotstore._waist.sessions import ReadSession
from iotstore.errors import InvalidValue, Overflow


@dataclass(frozen=True, slots=True)
class Question:
    """An aggregate as it was asked, its filter lowered."""

    measures: Mapping[str, MeasureOf]
    by: Sequence[str | Group]
    where: Filter
    order: Sequence[str]
    limit: int | None
    start: datetime | None
    end: datetime | None
    exact: bool


@dataclass(frozen=True, slots=True)
class _Key:
    """One group: what the engine groups by, and how its value becomes the application's."""

    name: str
    group: str | Bucketed
    free: Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class _Run:
    """One question under way in one session: *where* holds its bounds of time, too."""

    codec: Codec[Any]
    session: ReadSession
    asked: Question
    where: Filter
    keys: tuple[_Key, ...]
    order: tuple[tuple[str, bool], ...]


def run_aggregate(engine: Engine, codec: Codec[Any], asked: Question) -> list[dict[str, Any]]:
    """See ``Collection.aggregate``."""
    order = _checked(asked)
    with engine.consistent() as session:
        where, lowest, highest = _bounds(codec, session, asked)
        if lowest is None or highest is None:
            return []
        keys = tuple(_key(codec, item, lowest, highest) for item in asked.by)
        run = _Run(codec, session, asked, where, keys, order)
        try:
            return _answer(run, split=False)
        except Overflow:
            # An engine may fail on the way although the total fits; two halves never do.
            return _answer(run, split=True)


def _checked(asked: Question) -> tuple[tuple[str, bool], ...]:
    """The order, each name with its direction; refuses what makes no sense on any backend."""
    if not asked.measures:
        raise InvalidValue("an aggregate needs a measure", hint='for example {"n": count()}')
    names = [item if isinstance(item, str) else item.name for item in asked.by] + list(asked.measures)
    if len(set(names)) != len(names):
        raise InvalidValue(f"two results have one name: {', '.join(names)}", hint="give a group another name")
    if asked.limit is not None and (isinstance(asked.limit, bool) or asked.limit < 0):
        raise InvalidValue(f"{asked.limit!r} is no number of groups", field="limit")
    said = (asked.order,) if isinstance(asked.order, str) else asked.order
    order = tuple((name.removeprefix("-"), name.startswith("-")) for name in said)
    for name, _ in order:
        if name not in names:
            raise InvalidValue(f"{name!r} is none of the results", field="order", hint=f"they are {', '.join(names)}")
    return order


def _bounds(codec: Codec[Any], session: ReadSession, asked: Question) -> tuple[Filter, int | None, int | None]:
    """The filter with the bounds of time in it, and the range that buckets have to cover; None where it is empty."""
    timed = [item.field for item in asked.by if isinstance(item, ByTime | ByPart)]
    if not timed:
        if asked.start is not None or asked.end is not None:
            raise InvalidValue(
                "start and end bound a time group, and there is none", hint='group by every("time", ...)'
            )
        return asked.where, 0, 1
    item = comparable(codec, timed[0])
    if not isinstance(item.declared, f.Time) or len(set(timed)) > 1:
        raise InvalidValue("time groups need one time field", field=timed[-1])
    column = item.name
    low = None if asked.start is None else to_micros(asked.start, "start")
    high = None if asked.end is None else to_micros(asked.end, "end")
    limits = [] if low is None else [Compare(column, Op.GE, codec.hold(Type.TIME, low))]
    limits += [] if high is None else [Compare(column, Op.LT, codec.hold(Type.TIME, high))]
    where = all_of([asked.where, *limits])
    if low is None or high is None:
        query = Aggregate((), (Measure(Function.MIN, column), Measure(Function.MAX, column)), where)
        ((least, most),) = session.aggregate(codec.kind.layout, query)
        if least is None:
            return NEVER, None, None
        low = _plain_time(codec, least) if low is None else low
        high = _plain_time(codec, most) + 1 if high is None else high
    return (NEVER, None, None) if low == high else (where, low, high)


def _plain_time(codec: Codec[Any], held: Any) -> int:
    decode = codec.holding(Type.TIME).decode
    return int(held if decode is None else decode(held))


def _key(codec: Codec[Any], item: str | Group, start: int, end: int) -> _Key:
    if isinstance(item, str):
        field = comparable(codec, item)
        if isinstance(field.declared, f.Address):
            return _Key(item, field.order, lambda held: None if held is None else values.address_of_order(held))
        return _Key(item, field.name, lambda held: codec.free(field, held))
    if isinstance(item, ByTime):
        grid = make_grid(item.every, item.zone, start, end)
        return _Key(item.name, Bucketed(item.field, grid.buckets), lambda number: _edge(grid, number))
    part = item.part
    buckets = part_buckets(part, item.zone, start, end)
    return _Key(item.name, Bucketed(item.field, buckets), lambda number: part_value(part, number))


def _edge(grid: Grid, number: int) -> datetime:
    return from_micros(grid.edges[number])


def _answer(run: _Run, *, split: bool) -> list[dict[str, Any]]:
    measures, outputs = lower_measures(run.codec, run.asked.measures, split=split)
    query = Aggregate(tuple(key.group for key in run.keys), tuple(measures), run.where)
    sums = _exact_sums(run)
    # An order over what only the core can finish is the core's, and so is the limit then.
    pushed = _pushed_order(run, outputs, sums)
    if pushed is not None:
        query = replace(query, order=pushed, limit=run.asked.limit)
    rows = run.session.aggregate(run.codec.kind.layout, query)
    width = len(run.keys)
    results: list[tuple[Row, dict[str, Any]]] = []
    for row in rows:
        named = {key.name: key.free(row[index]) for index, key in enumerate(run.keys)}
        for output in outputs:
            if output.name in sums:
                named[output.name] = _finished(run, output.name, sums[output.name].get(tuple(row[:width])))
            else:
                named[output.name] = output.finish([row[width + position] for position in output.positions])
        results.append((row, named))
    if pushed is None:
        _sort(run, outputs, results)
    return [named for _, named in results][: run.asked.limit]


def _pushed_order(
    run: _Run, outputs: Sequence[Output], finished_here: Mapping[str, Any]
) -> tuple[tuple[int, bool], ...] | None:
    """The order in the waist's terms, made total; None when it names a result that only the core can finish."""
    at = _positions(run, outputs, finished_here)
    if any(name not in at for name, _ in run.order):
        return None
    pushed = [(at[name], descending) for name, descending in run.order]
    named = {position for position, _ in pushed}
    return (*pushed, *((index, False) for index in range(len(run.keys)) if index not in named))


def _positions(run: _Run, outputs: Sequence[Output], finished_here: Mapping[str, Any]) -> dict[str, int]:
    """The results by which a result row itself can be ordered, and where they stand in it."""
    at = {key.name: index for index, key in enumerate(run.keys)}
    for output in outputs:
        if output.direct and output.name not in finished_here:
            at[output.name] = len(run.keys) + output.positions[0]
    return at


def _sort(run: _Run, outputs: Sequence[Output], results: list[tuple[Row, dict[str, Any]]]) -> None:
    at = _positions(run, outputs, {name: None for name, of in run.asked.measures.items() if _here(run, of)})
    width = len(run.keys)
    results.sort(key=lambda pair: tuple((value is not None, value) for value in pair[0][:width]))
    for name, descending in reversed(run.order):
        # What orders is what the engine holds: an address as text does not order as an address.
        results.sort(key=_sort_key(name, at.get(name)), reverse=descending)


def _sort_key(name: str, place: int | None) -> Callable[[tuple[Row, dict[str, Any]]], tuple[bool, Any]]:
    def key(pair: tuple[Row, dict[str, Any]]) -> tuple[bool, Any]:
        value = pair[1][name] if place is None else pair[0][place]
        return value is not None, value

    return key


def _here(run: _Run, of: MeasureOf) -> bool:
    return run.asked.exact and is_real_sum(run.codec, of)


def _exact_sums(run: _Run) -> dict[str, dict[Row, ExactSum]]:
    """Sums of doubles by measure and group, from the rows themselves, where exact ones were asked for."""
    sums: dict[str, dict[Row, ExactSum]] = {name: {} for name, of in run.asked.measures.items() if _here(run, of)}
    if not sums:
        return {}
    layout = run.codec.kind.layout
    columns = {name: layout.position[str(run.asked.measures[name].field)] for name in sums}
    for chunk in run.session.stream(layout, Select(run.where), 1000):
        for row in chunk:
            key = tuple(_group_value(run.codec, item.group, row) for item in run.keys)
            for name, groups in sums.items():
                value = row[columns[name]]
                if value is not None:
                    groups.setdefault(key, ExactSum()).add(run.codec.free_of(Type.REAL, value))
    return sums


def _group_value(codec: Codec[Any], group: str | Bucketed, row: Row) -> Any:
    if isinstance(group, str):
        return row[codec.kind.layout.position[group]]
    held = row[codec.kind.layout.position[group.column]]
    return None if held is None else group.buckets.number(_plain_time(codec, held))


def _finished(run: _Run, name: str, added: ExactSum | None) -> float | None:
    of = run.asked.measures[name]
    if added is None:
        return None
    try:
        total = added.total()
    except OverflowError as error:
        raise beyond_double(str(of.field)) from error
    return total if of.function == "sum" else total / added.count
