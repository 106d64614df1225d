"""Keyset paging: the filter after a position, and the cursors that carry positions to applications and back."""

import base64
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from iotstore._kinds.codec import Codec
from iotstore._kinds.fields import Address, Text
from iotstore._kinds.kind import Kind, Tracked
from iotstore._query import paging
from iotstore._query.lower import order_of
from iotstore._waist import filters as w
from iotstore._waist.layout import Holding, Row, Type
from iotstore._waist.queries import Order
from iotstore.errors import InvalidValue


class Thing(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(9)]
    part: int = 0
    name: str | None = None
    size: int | None = None
    real: float | None = None
    on: bool | None = None
    time: datetime | None = None
    data: bytes | None = None
    ip: Annotated[str | None, Address()] = None
    firm: str = ""


THINGS = Kind(Thing, "thing", ("key", "part"))
CODEC: Codec[Thing] = Codec(THINGS, {})
# A backend that keeps booleans as 0 and 1, and times as texts of one width that order as the times do.
OTHER: Codec[Thing] = Codec(
    THINGS,
    {
        Type.BOOL: Holding(int, bool),
        Type.TIME: Holding(lambda micros: f"t{micros + 10**18:020d}", lambda text: int(text[1:]) - 10**18),
    },
)
NAMES = ["name", "size", "real", "on", "time", "data", "ip", "firm", "key", "part"]

few = st.sampled_from
things = st.builds(
    Thing,
    key=few(["a", "b", "c", "\uffff", "\U0010ffff"]),
    part=st.integers(0, 2),
    name=st.none() | few(["", "a", "B", "ß", "\ufffd", "\U0001f600"]),
    size=st.none() | few([-1, 0, 2**63 - 1]),
    real=st.none() | few([-0.5, 0.0, 1.0, 1e300]),
    on=st.none() | st.booleans(),
    time=st.none() | few([datetime(2024, 1, 1, tzinfo=UTC), datetime(1, 1, 1, tzinfo=UTC)]),
    data=st.none() | few([b"", b"\x00", b"\xff"]),
    ip=st.none() | few(["10.0.0.9", "10.0.0.10", "::1"]),
    firm=few(["", "x"]),
)
orders = st.lists(few(NAMES), unique=True, max_size=4).flatmap(
    lambda names: st.tuples(*[few([name, f"-{name}"]) for name in names]).map(list)
)
tables = st.lists(things, max_size=25, unique_by=lambda thing: (thing.key, thing.part))


def holds(where: w.Filter, row: Row) -> bool | None:
    """Evaluate a waist filter with SQL's unknown for NULL."""
    match where:
        case w.And(parts):
            found = [holds(part, row) for part in parts]
            return False if False in found else None if None in found else True
        case w.Or(parts):
            found = [holds(part, row) for part in parts]
            return True if True in found else None if None in found else False
        case w.IsNull(column):
            return row[THINGS.layout.position[column]] is None
        case w.NotNull(column):
            return row[THINGS.layout.position[column]] is not None
        case w.Compare(column, op, value):
            got = row[THINGS.layout.position[column]]
            if got is None:
                return None
            return {"=": got == value, "<": got < value, "<=": got <= value, ">": got > value, ">=": got >= value}[op]
    raise AssertionError(where)


def sort_rows(rows: Sequence[Row], order: Sequence[Order]) -> list[Row]:
    """Sort as every engine must: NULL smallest, directions mixed."""
    found = list(rows)
    for item in reversed(order):
        at = THINGS.layout.position[item.column]
        found.sort(key=lambda row, at=at: (row[at] is not None, row[at]), reverse=item.descending)  # type: ignore[misc]
    return found


@pytest.mark.parametrize("codec", [CODEC, OTHER], ids=["as they are", "other holdings"])
@given(table=tables, order=orders)
@settings(max_examples=250)
def test_the_rows_after_a_position_are_those_that_sorting_puts_behind_it(
    codec: Codec[Thing], table: list[Thing], order: list[str]
) -> None:
    total = order_of(codec, order)
    rows = sort_rows([codec.encode(thing, 1, 0) for thing in table], total)

    for index, row in enumerate(rows):
        where = paging.after(codec, total, paging.position_of(codec, total, row))
        assert [later for later in rows if holds(where, later) is True] == rows[index + 1 :]


@given(table=tables, order=orders, size=st.integers(1, 5))
@settings(max_examples=150)
def test_pages_put_together_are_the_whole_sorted_table(table: list[Thing], order: list[str], size: int) -> None:
    total = order_of(CODEC, order)
    rows = sort_rows([CODEC.encode(thing, 1, 0) for thing in table], total)
    seen: list[Row] = []
    where: w.Filter = w.ALWAYS

    while page := [row for row in rows if holds(where, row) is True][:size]:
        seen += page
        cursor = paging.cursor_of(CODEC, total, page[-1])
        where = paging.after(CODEC, total, paging.read_cursor(CODEC, total, cursor))

    assert seen == rows


@given(thing=things, order=orders)
def test_a_cursor_of_one_backend_is_the_same_position_on_another(thing: Thing, order: list[str]) -> None:
    total = order_of(CODEC, order)

    here = paging.cursor_of(CODEC, total, CODEC.encode(thing, 1, 0))
    there = paging.cursor_of(OTHER, total, OTHER.encode(thing, 1, 0))

    assert here == there
    assert paging.read_cursor(OTHER, total, here) == paging.position_of(OTHER, total, OTHER.encode(thing, 1, 0))


@given(thing=things, order=orders)
def test_a_position_starts_with_a_range_over_the_first_column(thing: Thing, order: list[str]) -> None:
    """That range is what lets an engine begin in the middle of its index."""
    total = order_of(CODEC, order)
    position = paging.position_of(CODEC, total, CODEC.encode(thing, 1, 0))

    where = paging.after(CODEC, total, position)

    first = total[0]
    if position[0] is not None:
        assert isinstance(where, w.And | w.Compare | w.Or)
        leaves = repr(where)
        assert (
            f"Compare(column={first.column!r}, op=<Op.{'LE' if first.descending else 'GE'}" in leaves or len(total) == 1
        )


# Cursors are refused ----------------------------------------------------------------------------------------------

ORDER = order_of(CODEC, ["-time", "name"])
CURSOR = paging.cursor_of(CODEC, ORDER, CODEC.encode(Thing(key="a", time=datetime(2024, 1, 1, tzinfo=UTC)), 1, 0))


@given(st.integers(0, len(CURSOR) - 1), st.characters(codec="utf-8"))
@example(0, "!")
@example(3, "\n")
def test_a_cursor_with_one_damaged_character_is_refused(at: int, character: str) -> None:
    damaged = CURSOR[:at] + character + CURSOR[at + 1 :]

    if damaged != CURSOR and not same_bytes(damaged, CURSOR):
        with pytest.raises(InvalidValue, match=r"^after: is not a cursor of this library; pass Page\.next unchanged$"):
            paging.read_cursor(CODEC, ORDER, damaged)


def same_bytes(left: str, right: str) -> bool:
    """Tell whether two texts carry the same bytes: base64 has spare bits in its last character."""
    try:
        return (
            base64.urlsafe_b64decode(left + "==") == base64.urlsafe_b64decode(right + "==")
            and left.isascii()
            and all(c.isalnum() or c in "-_" for c in left)
        )
    except ValueError:
        return False


@pytest.mark.parametrize(
    "cursor", ["", "abc", "é", CURSOR[:-1], CURSOR[1:], CURSOR + "AAAA", CURSOR * 2, 5, None, b"x"]
)
def test_what_is_no_cursor_is_refused(cursor: Any) -> None:
    with pytest.raises(InvalidValue, match="is not a cursor of this library"):
        paging.read_cursor(CODEC, ORDER, cursor)


@pytest.mark.parametrize("order", [["-time"], ["time", "name"], ["-time", "-name"], ["name", "-time"], []])
def test_a_cursor_of_another_order_is_refused(order: list[str]) -> None:
    with pytest.raises(InvalidValue, match="is the cursor of another query; use it with the same kind and order"):
        paging.read_cursor(CODEC, order_of(CODEC, order), CURSOR)


def test_a_cursor_of_another_kind_is_refused() -> None:
    others: Codec[Thing] = Codec(Kind(Thing, "other", ("key", "part")), {})

    with pytest.raises(InvalidValue, match="is the cursor of another query"):
        paging.read_cursor(others, ORDER, CURSOR)


def forged(*values: Any) -> str:
    """Make a cursor with the right frame around wrong values."""
    text = json.dumps(["thing", "-size,-key,-part", *values]).encode()
    return base64.urlsafe_b64encode(text + paging._check(text)).decode().rstrip("=")


@pytest.mark.parametrize(
    "values", [("1", "a", 1), (True, "a", 1), (1.5, "a", 1), (1, None, 1), (2**63, "a", 1), (1, "a", [1])], ids=str
)
def test_a_forged_cursor_never_reaches_a_backend_with_a_value_of_another_type(values: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidValue, match="is not a cursor of this library"):
        paging.read_cursor(CODEC, order_of(CODEC, ["-size"]), forged(*values))


def test_a_cursor_with_too_few_values_is_of_another_query() -> None:
    with pytest.raises(InvalidValue, match="is the cursor of another query"):
        paging.read_cursor(CODEC, order_of(CODEC, ["-size"]), forged(1))


@pytest.mark.parametrize("limit", [0, -1, 10_001, True, 1.0, "10", None])
def test_a_page_has_from_one_to_ten_thousand_records(limit: Any) -> None:
    with pytest.raises(InvalidValue, match=r"limit: .* is no page size; allowed are 1 to 10000"):
        paging.check_limit(limit)


def test_a_page_tells_how_many_records_it_has_and_whether_there_are_more() -> None:
    assert repr(paging.Page([1, 2], "next")) == "Page(2 items, more)"
    assert repr(paging.Page([], None)) == "Page(0 items, the last)"
