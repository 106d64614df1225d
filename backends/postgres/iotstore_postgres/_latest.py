"""The newest point of every series, in a table of its own: what is asked most often costs one lookup.

It follows every append in the same transaction. All writers take their locks in one order: points first, sorted by
series and time, then latest values, sorted by series. So two of them wait for each other at most once.
"""

from __future__ import annotations

from typing import Final

from iotstore.backend import OnConflict, PointType
from iotstore_postgres._binary import Code

#: The column that holds values of a type, and how it is packed. Booleans are 0 and 1.
COLUMN: Final[dict[PointType, tuple[str, Code]]] = {
    PointType.FLOAT: ("number", "d"),
    PointType.INT64: ("whole", "q"),
    PointType.BOOL: ("whole", "q"),
    PointType.TEXT: ("words", "t"),
}
#: Where values stand in a row that has all columns.
POSITION: Final[dict[PointType, int]] = {
    PointType.FLOAT: 0,
    PointType.INT64: 1,
    PointType.BOOL: 1,
    PointType.TEXT: 2,
}
ARRAY: Final[dict[Code, str]] = {"q": "bigint[]", "d": "double precision[]", "t": "text[]"}
#: A batch as rows: series, times and values travel as one array each.
GIVEN: Final[dict[PointType, str]] = {
    of: f"unnest($1::bigint[], $2::bigint[], $3::{ARRAY[code]})" for of, (_, code) in COLUMN.items()
}

LATEST: Final = {
    of: f"SELECT time, {column} FROM iotstore_latest WHERE series = $1"  # noqa: S608 - constants only
    for of, (column, _) in COLUMN.items()
}
LATEST_OF_MANY: Final = "SELECT series, time, number, whole, words FROM iotstore_latest WHERE series = ANY($1)"


def _forward(of: PointType, conflict: OnConflict) -> str:
    column, _ = COLUMN[of]
    # A row whose guard says no stays locked too: nobody sets it back before this transaction is over.
    guard = "l.time < excluded.time"
    if conflict is OnConflict.REPLACE:
        guard += f" OR (l.time = excluded.time AND l.{column} IS DISTINCT FROM excluded.{column})"
    return (
        f"INSERT INTO iotstore_latest AS l (series, time, {column})"  # noqa: S608 - constants only
        f" SELECT * FROM {GIVEN[of]}"
        f" ON CONFLICT (series) DO UPDATE SET time = excluded.time, {column} = excluded.{column} WHERE {guard}"
    )


#: Moves the newest points of a batch, sorted by series, into the table where they are newer than what is there.
FORWARD: Final = {(of, conflict): _forward(of, conflict) for of in PointType for conflict in OnConflict}

#: After points were deleted: the series whose newest one may be among them. From here on their rows are held, so that
#: no append of them is committed before this transaction is, and the next statement sees all that were.
HOLD_TOUCHED: Final = (
    "SELECT series FROM iotstore_latest WHERE {wanted}time >= $1 AND time <= $2 ORDER BY series FOR UPDATE"
)
HOLD_SOME: Final = HOLD_TOUCHED.format(wanted="series = ANY($3) AND ")
HOLD_ALL: Final = HOLD_TOUCHED.format(wanted="")
_NEWEST_LEFT: Final = (
    "SELECT p.time, p.number, p.whole, p.words FROM iotstore_points AS p"
    " WHERE p.series = w.series AND p.time <= $2 ORDER BY p.time DESC LIMIT 1"
)
SET_BACK: Final = (
    "UPDATE iotstore_latest AS l SET time = n.time, number = n.number,"  # noqa: S608 - constants only
    " whole = n.whole, words = n.words"
    f" FROM unnest($1::bigint[]) AS w(series) CROSS JOIN LATERAL ({_NEWEST_LEFT}) AS n WHERE l.series = w.series"
)
CLEAR: Final = (
    "DELETE FROM iotstore_latest AS l USING unnest($1::bigint[]) AS w(series) WHERE l.series = w.series"
    " AND NOT EXISTS (SELECT FROM iotstore_points AS p WHERE p.series = w.series AND p.time <= $2)"
)
