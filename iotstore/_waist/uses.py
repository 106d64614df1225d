"""Which capabilities a call of the waist uses: one function for each entry, and nothing else knows.

Whatever stands in no function here needs no capability: one record by its key, equality, order by key, counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from iotstore._waist.capabilities import Capability
from iotstore._waist.filters import And, Compare, Contains, Filter, HasTag, In, IsNull, NotIn, NotNull, Op, Or
from iotstore._waist.layout import Holding, Layout, Merge, Row, Type, Value
from iotstore._waist.queries import Aggregate, Bucketed, Function, OnConflict, Order, PointType, Select
from iotstore._waist.schema import (
    AddColumn,
    AlterColumn,
    CreateIndex,
    DropColumn,
    DropIndex,
    Operation,
    RenameColumn,
    RenameLayout,
    SetReferences,
)

_EXACT: Final = 2**53
# What an engine that counts nanoseconds of 64 bits since 1970 can hold.
_NEAR: Final = range(2**63 // 1000)
_CORES_OWN: Final = ("series", ("id",))  # ids that the core gives: unique, whether or not an engine watches it

_MERGES: Final[Mapping[Merge, Capability]] = {
    Merge.COALESCE: Capability.MERGE_FILL,
    Merge.KEEP: Capability.MERGE_KEEP,
    Merge.MIN: Capability.MERGE_EXTREMES,
    Merge.MAX: Capability.MERGE_EXTREMES,
}
_FUNCTIONS: Final[Mapping[Function, Capability]] = {
    Function.COUNT_DISTINCT: Capability.DISTINCT_COUNTS,
    Function.SUM: Capability.SUMS,
    Function.SUM_HIGH: Capability.SPLIT_SUMS,
    Function.SUM_LOW: Capability.SPLIT_SUMS,
    Function.MIN: Capability.EXTREMES,
    Function.MAX: Capability.EXTREMES,
}
_OPERATIONS: Final[Mapping[type[Operation], Capability]] = {
    AddColumn: Capability.ADD_FIELDS,
    DropColumn: Capability.DROP_FIELDS,
    RenameColumn: Capability.RENAME_FIELDS,
    AlterColumn: Capability.ALTER_FIELDS,
    RenameLayout: Capability.RENAME_KINDS,
    CreateIndex: Capability.INDEX_CHANGES,
    DropIndex: Capability.INDEX_CHANGES,
    SetReferences: Capability.REFERENCE_CHANGES,
}
_POINTS: Final[Mapping[PointType, Capability]] = {
    PointType.INT64: Capability.INTEGER_POINTS,
    PointType.BOOL: Capability.BOOLEAN_POINTS,
    PointType.TEXT: Capability.TEXT_POINTS,
}
_CONFLICTS: Final[Mapping[OnConflict, Capability]] = {
    OnConflict.REPLACE: Capability.REPLACE_POINTS,
    OnConflict.ERROR: Capability.STRICT_POINTS,
}


def of_filter(where: Filter) -> Iterator[Capability]:
    """What a filter uses."""
    match where:
        case Compare(_, Op.LT | Op.LE | Op.GT | Op.GE, _):
            yield Capability.RANGE_FILTERS
        case Compare(_, Op.NE, _) | NotIn():
            yield Capability.EXCLUSIONS
        case IsNull() | NotNull():
            yield Capability.MISSING_FILTERS
        case Contains():
            yield Capability.TEXT_SEARCH
        case HasTag():
            yield Capability.TAG_FILTERS
        case And(parts):
            for part in parts:
                yield from of_filter(part)
        case Or(parts):
            if len(parts) > 1:
                yield Capability.ALTERNATIVES
            for part in parts:
                yield from of_filter(part)
        case _:
            pass


def of_select(layout: Layout, query: Select) -> Iterator[Capability]:
    """What a selection uses; a stream of it uses STREAMING beside that."""
    yield from of_filter(query.where)
    if not all(_of_key(layout, item) for item in query.order):
        yield Capability.FIELD_ORDER
    if any(item.descending for item in query.order):
        yield Capability.DESCENDING_ORDER


def _of_key(layout: Layout, item: Order) -> bool:
    return item.column in layout.key or layout.column(item.column).shadow_of in layout.key


def of_aggregate(query: Aggregate) -> Iterator[Capability]:
    """What an aggregate uses; counts alone use nothing but their filter."""
    yield from of_filter(query.where)
    for group in query.groups:
        if not isinstance(group, Bucketed):
            yield Capability.GROUPING
        else:
            yield Capability.TIME_BUCKETS if group.buckets.modulo is None else Capability.CALENDAR_PARTS
    for measure in query.measures:
        if measure.function in _FUNCTIONS:
            yield _FUNCTIONS[measure.function]


def of_rows(layout: Layout, rows: Sequence[Row], holds: Mapping[Type, Holding]) -> Iterator[Capability]:
    """What the values of new rows use."""
    for at, column in enumerate(layout.columns):
        if column.shadow_of is None and column.type in (Type.INT, Type.TEXT):
            yield from _of_values(column.type, [row[at] for row in rows], holds)
    for index in layout.indexes:
        if index.unique and (layout.name, index.columns) != _CORES_OWN:
            places = [layout.position[name] for name in index.columns]
            if any(all(row[at] is not None for at in places) for row in rows):
                yield Capability.UNIQUE_RULES


def _of_values(of: Type, values: Sequence[Value], holds: Mapping[Type, Holding]) -> Iterator[Capability]:
    decode = holds[of].decode if of in holds else None
    plain = [value if decode is None else decode(value) for value in values if value is not None]
    if of is Type.INT and any(not -_EXACT <= value <= _EXACT for value in plain):
        yield Capability.WIDE_INTEGERS
    if of is Type.TEXT and "" in plain:
        yield Capability.EMPTY_TEXTS


def of_insert(rows: Sequence[Row], conflict: OnConflict) -> Iterator[Capability]:
    """What storing rows uses beside their values."""
    if conflict is OnConflict.KEEP and rows:
        yield Capability.KEEP_EXISTING


def of_upsert(layout: Layout) -> Iterator[Capability]:
    """What merging rows uses beside their values."""
    yield from (_MERGES[column.merge] for column in layout.columns if column.merge in _MERGES)


def of_update(
    layout: Layout, where: Filter, changes: Mapping[str, Value], holds: Mapping[Type, Holding]
) -> Iterator[Capability]:
    """What changing records uses."""
    if not _by_key(layout, where):
        yield Capability.MASS_UPDATES
    yield from _of_choice(layout, where)
    for name, value in changes.items():
        column = layout.column(name)
        if column.shadow_of is None and column.type in (Type.INT, Type.TEXT):
            yield from _of_values(column.type, [value], holds)
    unique = {name for index in layout.indexes if index.unique for name in index.columns}
    if any(name in unique and value is not None for name, value in changes.items()):
        yield Capability.UNIQUE_RULES


def of_delete(layout: Layout, where: Filter) -> Iterator[Capability]:
    """What deleting records uses."""
    if not _by_key(layout, where):
        yield Capability.MASS_DELETES
    yield from _of_choice(layout, where)


def _of_choice(layout: Layout, where: Filter) -> Iterator[Capability]:
    parts = where.all_of if isinstance(where, And) else (where,)
    if any(isinstance(part, Compare) and part.column == layout.version for part in parts):
        yield Capability.COMPARE_AND_SET
    yield from of_filter(where)


def _by_key(layout: Layout, where: Filter) -> bool:
    """Whether the filter names records by their keys; what else it says is about those."""
    if isinstance(where, Or):
        return all(_by_key(layout, part) for part in where.any_of)
    parts = where.all_of if isinstance(where, And) else (where,)
    if any(isinstance(part, Or | And) and _by_key(layout, part) for part in parts):
        return True
    named = {part.column for part in parts if isinstance(part, In) or (isinstance(part, Compare) and part.op is Op.EQ)}
    return named.issuperset(layout.key)


def of_operations(operations: Sequence[Operation]) -> Iterator[Capability]:
    """What schema operations use; making the place of a new kind uses nothing."""
    yield from (_OPERATIONS[type(item)] for item in operations if type(item) in _OPERATIONS)


def of_append(
    of: PointType, times: Sequence[int], values: Sequence[Value], conflict: OnConflict
) -> Iterator[Capability]:
    """What storing points uses; whether some are late only the store can tell."""
    if of in _POINTS:
        yield _POINTS[of]
    if conflict in _CONFLICTS:
        yield _CONFLICTS[conflict]
    if any(time % 1000 for time in times):
        yield Capability.FINE_POINTS
    if any(time not in _NEAR for time in map(int, times)):
        yield Capability.FAR_POINTS
    if of is PointType.INT64 and any(not -_EXACT <= value <= _EXACT for value in values):
        yield Capability.WIDE_INTEGERS
    if of is PointType.TEXT and any(value == "" for value in values):
        yield Capability.EMPTY_TEXTS


def late(series: Sequence[int], times: Sequence[int], newest: Mapping[int, int]) -> bool:
    """Whether a point is older than one before it in its series; *newest* is where each series stands."""
    reached = dict(newest)
    for one, time in zip(series, times, strict=True):
        if time < reached.get(one, time):
            return True
        reached[one] = time
    return False
