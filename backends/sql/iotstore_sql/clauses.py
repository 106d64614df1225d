"""WHERE clauses from the shapes of filters, and bucket numbers from pieces."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from iotstore.backend import Buckets, Layout, Op, Piece, Value
from iotstore_sql.dialect import Dialect, Expression, Parameters

#: Up to so many pieces are parameters, so that a window that slides keeps its statement. More are written as literals.
PIECES_AS_PARAMETERS = 16

_COMPARE: Mapping[Op, Callable[[Any, Any], Expression]] = {
    Op.EQ: lambda column, value: column == value,
    Op.NE: lambda column, value: column != value,
    Op.LT: lambda column, value: column < value,
    Op.LE: lambda column, value: column <= value,
    Op.GT: lambda column, value: column > value,
    Op.GE: lambda column, value: column >= value,
}
_BIG = sa.BigInteger()
_ZERO: Expression = sa.literal_column("0", sa.Integer())


def _compare(column: Expression, op: Op, parameters: Parameters) -> Expression:
    return _COMPARE[op](column, parameters.take(column.type))


def where_clause(shape: Any, layout: Layout, table: sa.Table, dialect: Dialect, parameters: Parameters) -> Expression:
    """The clause of a filter's shape (``iotstore.backend.shape``). Parameters are taken in the order of the leaves."""
    head = shape[0]
    if head in {"and", "or"}:
        parts = [where_clause(part, layout, table, dialect, parameters) for part in shape[1:]]
        if head == "and":
            return sa.and_(*parts) if parts else sa.true()
        return sa.or_(*parts) if parts else sa.false()
    column: Expression = table.c[shape[1]]
    of = layout.column(shape[1]).type
    match head:
        case "cmp":
            return _compare(column, shape[2], parameters)
        case "in":
            return dialect.in_array(column, of, parameters)
        case "notin":  # `NULL NOT IN ()` is true, so the NULL is refused by name
            return sa.and_(column.is_not(None), sa.not_(dialect.in_array(column, of, parameters)))
        case "null":
            return column.is_(None)
        case "notnull":
            return column.is_not(None)
        case "contains":
            found = dialect.contains(column, parameters.take(sa.Text()))
            return found == _ZERO if shape[2] else found > _ZERO
        case "tag":
            return (dialect.has_not_tag if shape[2] else dialect.has_tag)(column, parameters)
    raise ValueError(f"unknown filter leaf {head!r}")


def bucket_shape(buckets: Buckets) -> tuple[int, bool] | Buckets:
    """What the text of a bucket expression depends on: everything, once the pieces are too many for parameters."""
    if len(buckets.pieces) <= PIECES_AS_PARAMETERS:
        return (len(buckets.pieces), buckets.modulo is not None)
    return buckets


def bucket_values(buckets: Buckets) -> list[Value]:
    """The values of the parameters that ``bucket_clauses`` takes."""
    values: list[Value] = [buckets.start, buckets.end]
    if len(buckets.pieces) <= PIECES_AS_PARAMETERS:
        for piece in buckets.pieces:
            values += piece
        if buckets.modulo is not None:
            values.append(buckets.modulo)
    return values


def bucket_clauses(
    time: Expression, shape: tuple[int, bool] | Buckets, dialect: Dialect, parameters: Parameters
) -> tuple[Expression, Expression]:
    """The number of a time's bucket, and the condition that it has one."""
    covered = sa.and_(time >= parameters.take(_BIG), time < parameters.take(_BIG))
    modulo: Expression | None
    if isinstance(shape, Buckets):
        # As text: SQLAlchemy would need a tenth of a millisecond for each piece.
        name = str(time.compile(dialect=dialect.compiler))
        text = _number_text(name, shape.pieces, dialect.integer_division, 0, len(shape.pieces))
        number: Expression = sa.literal_column(text, _BIG)
        modulo = None if shape.modulo is None else sa.literal_column(str(shape.modulo), _BIG)
    else:
        count, has_modulo = shape
        pieces = [(parameters.take(_BIG), parameters.take(_BIG), parameters.take(_BIG)) for _ in range(count)]
        modulo = parameters.take(_BIG) if has_modulo else None
        number = _number(time, pieces, dialect.integer_division, 0, count)
    if modulo is not None:
        # Truncating and flooring engines agree on this form, whatever the sign.
        number = ((number % modulo) + modulo) % modulo
    return number, covered


# Binary trees: thousands of pieces cost a dozen comparisons per row and stay far from the depth limits of
# parsers.


def _number(
    time: Expression, pieces: Sequence[tuple[Expression, Expression, Expression]], division: str, low: int, high: int
) -> Expression:
    if high - low == 1:
        start, width, first = pieces[low]
        return first + (time - start).op(division, precedence=8)(width)
    middle = (low + high) // 2
    return sa.case(
        (time < pieces[middle][0], _number(time, pieces, division, low, middle)),
        else_=_number(time, pieces, division, middle, high),
    )


def _number_text(time: str, pieces: Sequence[Piece], division: str, low: int, high: int) -> str:
    if high - low == 1:
        start, width, first = pieces[low]
        return f"(({time} - ({start})) {division} {width} + ({first}))"
    middle = (low + high) // 2
    below = _number_text(time, pieces, division, low, middle)
    above = _number_text(time, pieces, division, middle, high)
    return f"CASE WHEN {time} < ({pieces[middle].start}) THEN {below} ELSE {above} END"
