"""DuckDB's SQL for what the core asks: filters, aggregates, positions in an order, and errors on the way back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import duckdb

from iotstore.backend import (
    NEVER,
    Aggregate,
    And,
    Bucketed,
    Busy,
    Compare,
    Conflict,
    Contains,
    Corrupt,
    EngineError,
    Filter,
    Function,
    HasTag,
    Holding,
    In,
    IsNull,
    Layout,
    Measure,
    NotAllowed,
    NotAStore,
    NotIn,
    NotNull,
    Op,
    Or,
    Order,
    Overflow,
    ReadOnly,
    Row,
    StorageFull,
    StoreError,
    Type,
    Unreachable,
    Value,
)

TYPES: Final[Mapping[Type, str]] = {
    Type.INT: "BIGINT",
    Type.REAL: "DOUBLE",
    Type.BOOL: "BOOLEAN",
    Type.TEXT: "VARCHAR",
    Type.BYTES: "BLOB",
    Type.TIME: "BIGINT",
    Type.TEXTSET: "VARCHAR[]",
}
# The driver takes and gives lists for arrays; everything else crosses as it is.
HOLDS: Final = {Type.TEXTSET: Holding(list, tuple)}


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def names(columns: Sequence[str]) -> str:
    """Several names with commas between them. Never ``*``: columns that were added later lie behind the others."""
    return ", ".join(map(quoted, columns))


def unnested(layout: Layout, columns: Sequence[str]) -> str:
    """A select list that makes rows of one array parameter for each of the columns."""
    return ", ".join(f"unnest(?::{TYPES[layout.column(name).type]}[])" for name in columns)


def arrays(rows: Sequence[Row]) -> list[Value]:
    """The parameters of ``unnested``: rows turned into columns."""
    return [list(column) for column in zip(*rows, strict=True)]


def where_text(layout: Layout, where: Filter, values: list[Value]) -> str:
    """The SQL of a filter; its values are appended to *values*, one for each placeholder."""
    match where:
        case And(parts):
            return "(" + " AND ".join([where_text(layout, part, values) for part in parts] or ["true"]) + ")"
        case Or(parts):
            return "(" + " OR ".join([where_text(layout, part, values) for part in parts] or ["false"]) + ")"
    column, of = quoted(where.column), TYPES[layout.column(where.column).type]
    match where:
        case Compare(_, op, value):
            values.append(value)
            return f"{column} {op} ?::{of}"
        case In(_, several):
            values.append(list(several))
            return f"{column} IN (SELECT unnest(?::{of}[]))"
        case NotIn(_, several):
            values.append(list(several))
            return f"({column} IS NOT NULL AND {column} NOT IN (SELECT unnest(?::{of}[])))"
        case IsNull():
            return f"{column} IS NULL"
        case NotNull():
            return f"{column} IS NOT NULL"
        case Contains(_, text, negated):  # literal, unlike LIKE
            values.append(text)
            return f"{'NOT ' if negated else ''}contains({column}, ?::VARCHAR)"
        case HasTag(_, tag, negated):
            values.append(tag)
            return f"{'NOT ' if negated else ''}list_contains({column}, ?::VARCHAR)"


def order_text(terms: Sequence[tuple[str, bool]]) -> str:
    """ORDER BY, NULL smaller than every value: DuckDB would put it last in both directions."""
    said = [f"{term} {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}" for term, descending in terms]
    return f" ORDER BY {', '.join(said)}" if said else ""


def after(order: Sequence[Order], layout: Layout, row: Row) -> Filter:
    """What comes after *row* in a total order. No row values: DuckDB's take NULL for the largest."""
    choices: list[Filter] = []
    equal: list[Filter] = []
    for column, descending in order:
        value = row[layout.position[column]]
        if value is None:
            beyond: Filter = NEVER if descending else NotNull(column)
        elif descending:
            beyond = Or((Compare(column, Op.LT, value), IsNull(column)))
        else:
            beyond = Compare(column, Op.GT, value)
        choices.append(And((*equal, beyond)))
        equal.append(IsNull(column) if value is None else Compare(column, Op.EQ, value))
    return Or(tuple(choices))


def aggregate_text(layout: Layout, query: Aggregate) -> tuple[str, list[Value]]:
    """The statement of an aggregate and its parameters."""
    results: list[str] = []
    source, conditions = f" FROM {quoted(layout.name)}", ["true"]
    chosen: list[Value] = []
    joined: list[Value] = []
    bounds: list[Value] = []
    for number, group in enumerate(query.groups):
        if not isinstance(group, Bucketed):
            results.append(quoted(group))
            continue
        time, pieces = quoted(group.column), f"piece{number}"
        # The pieces are a table in which each row finds its own: one text for three of them and for thousands.
        source += f" ASOF JOIN (SELECT unnest(?::BIGINT[]) AS {pieces}_start, unnest(?::BIGINT[]) AS {pieces}_width,"
        source += f" unnest(?::BIGINT[]) AS {pieces}_first) AS {pieces} ON {time} >= {pieces}_start"
        joined += arrays(group.buckets.pieces)
        conditions.append(f"{time} < ?::BIGINT")
        bounds.append(group.buckets.end)
        bucket = f"({pieces}_first + ({time} - {pieces}_start) // {pieces}_width)"
        if group.buckets.modulo is not None:  # twice: DuckDB's % has the sign of its left side
            bucket = f"(({bucket} % ?::BIGINT + ?::BIGINT) % ?::BIGINT)"
            chosen += [group.buckets.modulo] * 3
        results.append(bucket)
    results += [_measure(layout, measure) for measure in query.measures]
    filtered: list[Value] = []
    conditions.append(where_text(layout, query.where, filtered))
    text = f"SELECT {', '.join(results)}{source} WHERE {' AND '.join(conditions)}"
    if query.groups:
        text += " GROUP BY " + ", ".join(str(place + 1) for place in range(len(query.groups)))
    text += order_text([(str(place + 1), descending) for place, descending in query.order])
    if query.limit is not None:
        text += f" LIMIT {query.limit:d}"
    return text, [*chosen, *joined, *bounds, *filtered]


def _measure(layout: Layout, measure: Measure) -> str:
    column = "*" if measure.column is None else quoted(measure.column)
    match measure.function:
        case Function.COUNT_DISTINCT:
            return f"count(DISTINCT {column})"
        case Function.SUM_HIGH:  # an arithmetic shift is the floor, below zero too
            return f"sum({column} >> 32)"
        case Function.SUM_LOW:
            return f"sum({column} & 4294967295)"
        case Function.SUM if measure.column and layout.column(measure.column).type is Type.REAL:
            return f"fsum({column})"  # compensated: beside 1e16 a plain sum loses every 1.0
        case function:  # integers are summed in 128 bits, so a sum is exact
            return f"{function}({column})"


def translated(error: duckdb.Error) -> StoreError:
    """The core's error for one of the driver's; whoever raises it chains the driver's own."""
    said = str(error).partition("\n")[0]
    match error:
        case duckdb.IOException() if "Could not set lock" in said:
            return Busy("another process holds the database file", hint="close the store there; DuckDB admits one")
        case duckdb.IOException() if "not a valid DuckDB" in said:
            return NotAStore("the file is no DuckDB database", hint="check the path in the URL")
        case duckdb.Error() if "Corrupt" in said or "Could not read enough bytes" in said:
            return Corrupt("the database file is damaged", hint="put the last good backup in its place")
        case duckdb.Error() if "No space left" in said or "File too large" in said:  # a commit wraps it
            return StorageFull("no room is left for the database", hint="free space on the disk, then retry")
        case duckdb.IOException() if "Permission denied" in said or "Read-only" in said:
            return ReadOnly("the database file can't be written", hint="check the permissions of file and folder")
        case duckdb.IOException():
            return Unreachable(f"the database file can't be read or written ({said})", hint="check the path in the URL")
        case duckdb.ConstraintException():
            return Conflict(f"a record with this key exists already ({said})")
        case duckdb.TransactionException() if "onflict" in said or "CHECKPOINT" in said:
            return Busy("another transaction is in the way", hint="retry")
        case duckdb.ConversionException() | duckdb.OutOfRangeException():
            return Overflow(f"a value does not fit its type ({said})")
        case duckdb.ConnectionException():
            return NotAllowed("the store is closed", hint="open it again")
    return EngineError(f"DuckDB failed ({said})")
