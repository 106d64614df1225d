"""Records on PostgreSQL: what its own machinery must not change about keys, filters, orders, aggregates and changes."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from iotstore.backend import (
    Aggregate,
    And,
    Bucketed,
    Buckets,
    Column,
    Compare,
    Conflict,
    Contains,
    CreateLayout,
    EngineError,
    Function,
    HasTag,
    In,
    InvalidValue,
    IsNull,
    Layout,
    Measure,
    Merge,
    NotAllowed,
    NotIn,
    OnConflict,
    Op,
    Order,
    Overflow,
    Piece,
    Row,
    Select,
    Touched,
    Type,
    UnknownReference,
    Upserted,
)
from iotstore_postgres.store import PostgresBackend

MAX, MIN = 2**63 - 1, -(2**63)
MakeRow = Callable[..., Row]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture
def everything() -> Layout:
    """A column of each type without unique rules, and one that every table of PostgreSQL has already."""
    return Layout(
        "pg_class",
        (
            Column("xmin", Type.INT),
            Column("real", Type.REAL, nullable=True),
            Column("flag", Type.BOOL, nullable=True),
            Column("text", Type.TEXT, nullable=True, merge=Merge.COALESCE),
            Column("bytes", Type.BYTES, nullable=True),
            Column("ctid", Type.TIME, nullable=True, merge=Merge.MAX),
            Column("tags", Type.TEXTSET, nullable=True),
        ),
        ("xmin",),
    )


def full_row(number: int) -> Row:
    return (number, number / 3, number % 2 == 0, f"t{number}", bytes([number % 256]), number, [f"a{number}", 'b"\\{},'])


def keys(backend: PostgresBackend, layout: Layout, query: Select) -> list[object]:
    with backend.read() as session:
        return [layout.key_of(row)[0] for row in session.select(layout, query)]


# ---------------------------------------------------------------------- values and names


def test_names_that_belong_to_the_system_hold_records_like_any_other(
    backend: PostgresBackend, everything: Layout
) -> None:
    rows = [full_row(number) for number in (3, 1, 2)]
    with backend.write() as session:
        session.apply([CreateLayout(everything)])
        assert session.insert_many(everything, rows, OnConflict.ERROR) == []
        changed = session.update(everything, Compare("xmin", Op.EQ, 2), {"ctid": None})
    assert changed == [Touched((2,), 0)]
    with backend.read() as session:
        assert session.layouts() == {"devices", "flows", "members", "pg_class"}
        assert session.select(everything, Select(order=(Order("ctid"),))) == [
            (*full_row(2)[:5], None, full_row(2)[6]),
            full_row(1),
            full_row(3),
        ]


def test_a_batch_of_any_size_brings_every_value_back(backend: PostgresBackend, everything: Layout) -> None:
    rows: list[Row] = [
        (MIN, 5e-324, None, "e\u0301 '\"\\ \U0001f600", b"\x00\xff", MIN, None),
        (MAX, -1.7976931348623157e308, True, "", b"", MAX, ["{}", "a,b", 'q"', "\\"]),
        (0, None, False, None, None, None, [""]),
        *(full_row(number) for number in range(1, 3_000)),
    ]
    with backend.write() as session:
        session.apply([CreateLayout(everything)])
        assert session.insert_many(everything, rows, OnConflict.KEEP) == []
        assert session.get_many(everything, [(row[0],) for row in rows]) == rows
        assert [session.get(everything, (row[0],)) for row in rows[:3]] == rows[:3]


def test_a_large_batch_that_is_copied_brings_every_value_back(backend: PostgresBackend, everything: Layout) -> None:
    plain = Layout("plain", everything.columns[:-1], everything.key)
    rows: list[Row] = [
        (MIN, 5e-324, None, "e\u0301 '\"\\ \U0001f600", b"\x00\xff", MIN),
        (MAX, -1.7976931348623157e308, True, "", b"", MAX),
        (0, None, False, None, None, None),
        *(full_row(number)[:-1] for number in range(1, 300)),
    ]
    with backend.write() as session:
        session.apply([CreateLayout(plain)])
        assert session.insert_many(plain, rows, OnConflict.ERROR) == []
        assert session.get_many(plain, [(row[0],) for row in rows]) == rows


def test_a_large_batch_finds_out_which_of_its_keys_were_there(backend: PostgresBackend, flows: Layout) -> None:
    rows: list[Row] = [(key, None, 0, key) for key in range(1_000)]
    again = [(*row[:3], -1) for row in rows]
    with backend.write() as session:
        assert session.insert_many(flows, rows[100:400], OnConflict.KEEP) == []
        assert session.insert_many(flows, again[:500], OnConflict.KEEP) == list(range(100, 400))
        assert session.insert_many(flows, again[200:600], OnConflict.KEEP) == list(range(300))
        assert session.insert_many(flows, again[600:], OnConflict.KEEP) == []
        found = session.get_many(flows, [row[:1] for row in rows])
    assert found == [*again[:100], *rows[100:400], *again[400:]]


def test_a_large_batch_with_a_key_that_is_there_stores_nothing_and_the_transaction_goes_on(
    backend: PostgresBackend, flows: Layout
) -> None:
    rows: list[Row] = [(key, None, 0, key) for key in range(500)]
    with backend.write() as session:
        session.insert(flows, rows[499])
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            session.insert_many(flows, rows, OnConflict.ERROR)
        assert session.insert_many(flows, rows[:300], OnConflict.ERROR) == []
    with backend.read() as session:
        assert session.select(flows, Select(order=(Order("id"),))) == [*rows[:300], rows[499]]


def test_a_composite_key_is_found_among_many_in_the_order_that_was_asked(
    backend: PostgresBackend, members: Layout
) -> None:
    generator = random.Random(11)
    rows = [(generator.random(), f"d{number}", generator.uniform(-1e300, 1e300)) for number in range(500)]
    with backend.write() as session:
        assert session.insert_many(members, rows, OnConflict.ERROR) == []
        wanted = [(row[2], row[1]) for row in rows]
        assert session.get_many(members, [(0.5, "nobody"), *wanted, wanted[0]]) == [None, *rows, rows[0]]
        assert session.get_many(members, wanted, hold=True) == rows


# ---------------------------------------------------------------------- questions


@pytest.mark.parametrize("count", [0, 1, 20_000])
def test_membership_takes_any_number_of_values_in_one_parameter(
    backend: PostgresBackend, devices: Layout, row: MakeRow, count: int
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row(f"k{index}", size=index) for index in range(5)], OnConflict.ERROR)
        session.insert(devices, row("none"))
    sizes = tuple(range(2, 2 + count))
    by_key = (Order("key"),)
    assert keys(backend, devices, Select(In("size", sizes), by_key)) == [f"k{n}" for n in range(5) if n in sizes]
    assert keys(backend, devices, Select(NotIn("size", sizes), by_key)) == [f"k{n}" for n in range(5) if n not in sizes]


def test_text_is_compared_and_ordered_by_code_point_and_null_sorts_smallest(
    backend: PostgresBackend, devices: Layout, row: MakeRow
) -> None:
    names = [None, "", "Z", "a", "a ", "\u00e9", "\uffff", "\U0001f600"]
    with backend.write() as session:
        session.insert_many(devices, [row(f"k{at}", name=name) for at, name in enumerate(names)], OnConflict.ERROR)
    up = [f"k{at}" for at in range(len(names))]
    assert keys(backend, devices, Select(order=(Order("name"), Order("key")))) == up
    assert keys(backend, devices, Select(order=(Order("name", descending=True), Order("key")))) == up[::-1]
    assert keys(backend, devices, Select(Compare("name", Op.GT, "a "), (Order("key"),))) == up[5:]


def test_contains_and_tags_take_their_text_literally(backend: PostgresBackend, devices: Layout, row: MakeRow) -> None:
    with backend.write() as session:
        session.insert_many(
            devices,
            [row("a", name="50% _x_", tags=["a{b", "c"]), row("b", name="50 x"), row("c", tags=["a"])],
            OnConflict.ERROR,
        )
    by_key = (Order("key"),)
    assert keys(backend, devices, Select(Contains("name", "% _"), by_key)) == ["a"]
    assert keys(backend, devices, Select(Contains("name", "% _", negated=True), by_key)) == ["b"]
    assert keys(backend, devices, Select(HasTag("tags", "a{b"), by_key)) == ["a"]
    assert keys(backend, devices, Select(HasTag("tags", "a", negated=True), by_key)) == ["a"]


def test_sums_of_integers_are_exact_beyond_64_bits_and_so_are_their_halves(
    backend: PostgresBackend, flows: Layout
) -> None:
    values = [MAX, MAX, MIN, -1, 12345, MIN + 1, MAX]
    with backend.write() as session:
        session.insert_many(flows, [(at, None, 0, value) for at, value in enumerate(values)], OnConflict.ERROR)
        functions = (Function.SUM, Function.SUM_HIGH, Function.SUM_LOW)
        ((total, high, low),) = session.aggregate(
            flows, Aggregate((), tuple(Measure(function, "bytes") for function in functions))
        )
    assert total == sum(values) == (high << 32) + low
    assert type(total) is type(high) is type(low) is int


def test_booleans_are_added_up_and_bounded_and_bytes_are_bounded(backend: PostgresBackend, everything: Layout) -> None:
    with backend.write() as session:
        session.apply([CreateLayout(everything)])
        session.insert_many(
            everything,
            [(1, 1.5, True, "x", b"\x00", 1, None), (2, 2.5, False, "y", b"\xff\x01", 2, None), (3, *[None] * 6)],
            OnConflict.ERROR,
        )
        asked = Aggregate(
            (),
            (
                Measure(Function.SUM, "flag"),
                Measure(Function.MIN, "flag"),
                Measure(Function.MAX, "flag"),
                Measure(Function.MIN, "bytes"),
                Measure(Function.MAX, "bytes"),
                Measure(Function.COUNT_DISTINCT, "flag"),
                Measure(Function.SUM, "real"),
            ),
        )
        assert session.aggregate(everything, asked) == [(1, False, True, b"\x00", b"\xff\x01", 2, 4.0)]
        nothing = Aggregate((), asked.measures, Compare("xmin", Op.GT, 9))
        assert session.aggregate(everything, nothing) == [(None, None, None, None, None, 0, None)]


@pytest.mark.parametrize("kind", ["read", "snapshot", "write"])
def test_a_sum_that_leaves_the_doubles_is_an_overflow_after_which_the_session_goes_on(
    backend: PostgresBackend, devices: Layout, row: MakeRow, kind: str
) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row("a", score=1.7e308), row("b", score=1.7e308)], OnConflict.ERROR)
    sessions: dict[str, Callable[[], Any]] = {
        "read": backend.read,
        "snapshot": backend.snapshot,
        "write": backend.write,
    }
    with sessions[kind]() as session:
        stream = session.stream(devices, Select(order=(Order("key"),)), 1)
        assert [row[0] for row in next(stream)] == ["a"]
        with pytest.raises(Overflow, match="the sum of score is beyond a double"):
            session.aggregate(devices, Aggregate((), (Measure(Function.SUM, "score"),)))
        assert [row[0] for row in next(stream)] == ["b"]
        assert session.aggregate(devices, Aggregate((), (Measure(Function.COUNT),))) == [(2,)]


def test_buckets_of_time_before_1970_are_floored_as_the_core_floors(backend: PostgresBackend, flows: Layout) -> None:
    generator = random.Random(5)
    times = [generator.randrange(-10_000, 10_000) for _ in range(400)]
    with backend.write() as session:
        session.insert_many(flows, [(at, None, time, 1) for at, time in enumerate(times)], OnConflict.ERROR)
    buckets = Buckets((Piece(-9_000, 700, 0), Piece(-1_300, 33, 11), Piece(33, 5_000, 60)), end=9_000, modulo=7)
    with backend.read() as session:
        found = session.aggregate(
            flows, Aggregate((Bucketed("at", buckets),), (Measure(Function.COUNT),), order=((0, False),))
        )
    numbers = [number for time in times if (number := buckets.number(time)) is not None]
    assert found == [(number, numbers.count(number)) for number in sorted(set(numbers))]


# ---------------------------------------------------------------------- streams


@pytest.mark.parametrize("kind", ["read", "snapshot", "write"])
def test_other_calls_may_come_between_the_lists_of_a_stream(backend: PostgresBackend, flows: Layout, kind: str) -> None:
    rows = [(number, None, 0, None) for number in range(25)]
    with backend.write() as session:
        session.insert_many(flows, rows, OnConflict.ERROR)
    sessions: dict[str, Callable[[], Any]] = {
        "read": backend.read,
        "snapshot": backend.snapshot,
        "write": backend.write,
    }
    with sessions[kind]() as session:
        one = session.stream(flows, Select(order=(Order("id"),)), 10)
        other = session.stream(flows, Select(order=(Order("id", descending=True),)), 10)
        got: list[Row] = []
        for chunk in one:
            got += chunk
            assert session.get(flows, (3,)) == rows[3]
            next(other, None)
        assert got == rows
        assert session.select(flows, Select(Compare("id", Op.LT, 1))) == rows[:1]


def test_a_read_sees_what_is_committed_between_the_lists_of_its_stream_and_the_stream_does_not(
    backend: PostgresBackend, flows: Layout
) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(4)], OnConflict.ERROR)
    with backend.read() as reader:
        stream = reader.stream(flows, Select(order=(Order("id"),)), 2)
        next(stream)
        with backend.write() as session:
            session.insert(flows, (9, None, 0, None))
        assert reader.get(flows, (9,)) is not None
        assert [[row[0] for row in chunk] for chunk in stream] == [[2, 3]]


def test_a_stream_left_half_read_leaves_nothing_open_on_the_server(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(100)], OnConflict.ERROR)
    with backend.read() as session:
        next(session.stream(flows, Select(), 10))
    stream = None
    with backend.snapshot() as session:
        stream = session.stream(flows, Select(), 10)
        next(stream)
    with pytest.raises(NotAllowed, match="this session has ended"):
        next(stream)
    states = ask("SELECT DISTINCT state FROM pg_stat_activity WHERE application_name = %s", schema)
    assert states == [("idle",)]


def test_a_stream_that_began_in_an_undone_part_ends_with_it(backend: PostgresBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(6)], OnConflict.ERROR)
        before = session.stream(flows, Select(order=(Order("id"),)), 2)
        next(before)
        session.savepoint()
        inside = session.stream(flows, Select(order=(Order("id"),)), 2)
        next(inside)
        session.undo()
        with pytest.raises(NotAllowed, match="this session has ended"):
            next(inside)
        session.savepoint()
        kept = session.stream(flows, Select(order=(Order("id"),)), 2)
        next(kept)
        session.release()
        assert [row[0] for chunk in kept for row in chunk] == [2, 3, 4, 5]
        assert [row[0] for chunk in before for row in chunk] == [2, 3, 4, 5]


# ---------------------------------------------------------------------- changes


def test_after_a_conflict_the_transaction_goes_on_and_holds_what_came_before(
    backend: PostgresBackend, flows: Layout, devices: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(flows, (1_400, None, 0, None))
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            session.insert_many(flows, [(number, None, 1, None) for number in range(1_500)], OnConflict.ERROR)
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            session.insert(flows, (1_400, None, 1, None))
        session.insert(devices, row("a", raw=b"1"))
        with pytest.raises(Conflict, match="a record of devices with this key exists already"):
            session.insert(devices, row("a"))
        assert session.get(flows, (1_400,)) == (1_400, None, 0, None)
        session.insert(flows, (7, None, 0, None))
    assert keys(backend, flows, Select(order=(Order("id"),))) == [7, 1_400]


def test_another_unique_rule_is_an_invalid_value_and_nothing_of_the_call_is_stored(
    backend: PostgresBackend, devices: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a", raw=b"1"))
        for call in (
            lambda: session.insert_many(devices, [row("b"), row("c", raw=b"1")], OnConflict.KEEP),
            lambda: session.insert_many(devices, [row("b"), row("c", raw=b"1")], OnConflict.ERROR),
            lambda: session.upsert(devices, [row("d"), row("e", raw=b"1")]),
            lambda: session.upsert(devices, [row("f", raw=b"1")]),
            lambda: session.insert(devices, row("g", raw=b"1")),
        ):
            with pytest.raises(InvalidValue, match=r"raw: .*must be unique"):
                call()
    assert keys(backend, devices, Select()) == ["a"]


def test_keep_reports_exactly_the_positions_that_were_there(backend: PostgresBackend, flows: Layout) -> None:
    rows = [(number, None, 5, None) for number in (9, 3, 7, 1, 5)]
    with backend.write() as session:
        session.insert_many(flows, [(7, None, 0, None), (9, None, 0, None)], OnConflict.ERROR)
        assert session.insert_many(flows, rows, OnConflict.KEEP) == [0, 2]
        assert session.insert_many(flows, rows, OnConflict.KEEP) == [0, 1, 2, 3, 4]
        assert session.get(flows, (7,)) == (7, None, 0, None)
        assert session.insert_many(flows, [], OnConflict.KEEP) == []


def test_upsert_merges_each_column_by_its_rule_and_answers_in_the_order_of_its_rows(
    backend: PostgresBackend, devices: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert_many(
            devices,
            [
                row("b", name="old", score=2.0, first=20, size=5, raw=b"keep", tags=["x"], version=10),
                row("d", version=40),
            ],
            OnConflict.ERROR,
        )
        found = session.upsert(
            devices,
            [
                row("d", score=1.0, first=-1, size=3, raw=b"new", tags=["t"]),
                row("a", name="fresh", version=5),
                row("b", score=1.0, first=30),
            ],
        )
        assert found == [
            Upserted(row("d", score=1.0, first=-1, size=3, tags=["t"], version=41), inserted=False),
            Upserted(row("a", name="fresh", version=5), inserted=True),
            Upserted(row("b", score=2.0, first=20, size=5, raw=b"keep", version=11), inserted=False),
        ]
        (one,) = session.upsert(devices, [row("b", name="n", score=9.0, first=1)])
        assert one == Upserted(row("b", name="n", score=9.0, first=1, size=5, raw=b"keep", version=12), inserted=False)
        assert session.get_many(devices, [("d",), ("a",), ("b",)]) == [found[0].row, found[1].row, one.row]


def test_a_layout_of_keys_alone_can_be_put_again(backend: PostgresBackend) -> None:
    pairs = Layout("pairs", (Column("a", Type.TEXT), Column("b", Type.INT)), ("a", "b"))
    with backend.write() as session:
        session.apply([CreateLayout(pairs)])
        assert session.upsert(pairs, [("x", 1)]) == [Upserted(("x", 1), inserted=True)]
        found = session.upsert(pairs, [("x", 2), ("x", 1)])
    assert found == [Upserted(("x", 2), inserted=True), Upserted(("x", 1), inserted=False)]


def test_update_and_delete_return_keys_and_versions(backend: PostgresBackend, devices: Layout, row: MakeRow) -> None:
    with backend.write() as session:
        session.insert_many(devices, [row("a"), row("b", version=7), row("c", on=False)], OnConflict.ERROR)
        touched = session.update(devices, Compare("on", Op.EQ, True), {"name": "x", "score": None})
        assert sorted(touched) == [Touched(("a",), 2), Touched(("b",), 8)]
        assert session.update(devices, Compare("key", Op.EQ, "nobody"), {"name": "x"}) == []
        assert sorted(session.delete(devices, In("key", ("a", "c", "nobody")))) == [
            Touched(("a",), 2),
            Touched(("c",), 1),
        ]
        assert session.select(devices, Select(IsNull("size"))) == [row("b", name="x", version=8)]


def test_a_reference_to_nothing_is_found_at_commit_and_nothing_is_stored(
    backend: PostgresBackend, devices: Layout, flows: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(flows, (1, "late", 0, None))
        session.insert(devices, row("late"))
    session = backend.write()
    session.insert(flows, (2, "nobody", 0, None))
    with pytest.raises(UnknownReference, match="device"):
        session.commit()
    with pytest.raises(NotAllowed, match="this session has ended"):
        session.get(flows, (2,))
    assert keys(backend, flows, Select()) == [1]


def test_counters_give_blocks_roll_back_and_end_in_an_overflow_that_ends_nothing_else(
    backend: PostgresBackend, flows: Layout
) -> None:
    with backend.write() as session:
        assert session.reserve("flows", 10) == 1
        assert session.reserve("flows", 5) == 11
    session = backend.write()
    assert session.reserve("flows", 1_000) == 16
    session.rollback()
    with backend.write() as session:
        for count in (MAX, MAX - 15):
            with pytest.raises(Overflow, match=f"counter flows has no {count} numbers left"):
                session.reserve("flows", count)
        assert session.reserve("flows", 1) == 16
        session.insert(flows, (1, None, 0, None))
    with backend.read() as session:
        assert session.counters() == {"flows": 17}
        assert session.get(flows, (1,)) is not None


# ---------------------------------------------------------------------- transactions


def test_parts_nest_and_only_what_is_inside_an_undone_one_is_gone(backend: PostgresBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 0, None))
        session.savepoint()
        session.savepoint()
        session.insert(flows, (2, None, 0, None))
        session.undo()
        session.insert(flows, (3, None, 0, None))
        session.savepoint()
        session.release()
        session.release()
        session.savepoint()
        session.insert(flows, (4, None, 0, None))
        session.savepoint()
        session.insert(flows, (5, None, 0, None))
        session.release()
        session.undo()
        with pytest.raises(NotAllowed, match="there is no savepoint to end"):
            session.undo()
        session.savepoint()
        session.insert(flows, (6, None, 0, None))
    assert keys(backend, flows, Select(order=(Order("id"),))) == [1, 3, 6]


def test_a_part_that_asks_nothing_costs_no_call_to_the_server(backend: PostgresBackend, ask: Ask, schema: str) -> None:
    with backend.write() as session:
        session.savepoint()
        session.release()
        session.savepoint()
        session.undo()
        ((last,),) = ask("SELECT DISTINCT query FROM pg_stat_activity WHERE application_name = %s", schema)
    assert last == "BEGIN"


def test_a_failed_part_is_undone_and_the_transaction_goes_on(backend: PostgresBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 0, None))
        session.savepoint()
        with pytest.raises(InvalidValue, match="at: may not be None"):
            session.insert(flows, (2, None, None, None))
        session.undo()
        session.insert(flows, (3, None, 0, None))
    assert keys(backend, flows, Select(order=(Order("id"),))) == [1, 3]


def test_a_commit_after_a_failure_that_was_not_undone_is_an_error_and_never_a_silent_rollback(
    backend: PostgresBackend, flows: Layout
) -> None:
    session = backend.write()
    session.insert(flows, (1, None, 0, None))
    with pytest.raises(InvalidValue, match="at: may not be None"):
        session.insert(flows, (2, None, None, None))
    with pytest.raises(EngineError, match="nothing of it was stored"):
        session.commit()
    assert keys(backend, flows, Select()) == []


def test_a_connection_that_dies_at_commit_leaves_an_error_that_says_the_outcome_is_unknown(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    session = backend.write()
    session.insert(flows, (1, None, 0, None))
    ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", schema)
    with pytest.raises(EngineError, match="nobody here knows whether it is stored") as caught:
        session.commit()
    assert isinstance(caught.value.__cause__, psycopg.OperationalError)
    assert not caught.value.retryable
    assert keys(backend, flows, Select()) == []


def test_a_read_on_a_connection_that_died_while_it_rested_is_asked_once_more(
    backend: PostgresBackend, flows: Layout, ask: Ask, schema: str
) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 0, None))
    ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", schema)
    with backend.read() as session:
        assert session.get(flows, (1,)) is not None
    ask("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", schema)
    with backend.read() as session:
        assert session.select(flows, Select(And(()))) == [(1, None, 0, None)]
