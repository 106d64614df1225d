"""Records on SQLite: keys, filters, orders, aggregates, merge rules and changes, straight on the waist."""

from __future__ import annotations

import itertools
import random

import pytest

from iotstore.backend import (
    Aggregate,
    And,
    Bucketed,
    Buckets,
    Compare,
    Conflict,
    Contains,
    Filter,
    Function,
    HasTag,
    In,
    InvalidValue,
    IsNull,
    Layout,
    Measure,
    NotIn,
    NotNull,
    OnConflict,
    Op,
    Or,
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
from iotstore_sql import statements
from iotstore_sqlite._dialect import SqliteDialect
from iotstore_sqlite.store import SqliteBackend

MAX, MIN = 2**63 - 1, -(2**63)


def device(key: str, **values: object) -> Row:
    row = {
        "name": None,
        "on": True,
        "score": None,
        "first": None,
        "size": None,
        "raw": None,
        "tags": None,
        "version": 1,
    }
    row.update(values)
    return (key, *row.values())


def held(backend: SqliteBackend, *tags: str) -> object:
    encode = backend.holds[Type.TEXTSET].encode
    assert encode is not None
    return encode(tuple(sorted(tags)))


def keys(backend: SqliteBackend, layout: Layout, where: Filter) -> list[object]:
    with backend.read() as session:
        return [row[0] for row in session.select(layout, Select(where, (Order("key"),)))]


def test_every_value_comes_back_exactly(backend: SqliteBackend, devices: Layout) -> None:
    rows = [
        device("a", size=MAX, score=5e-324, first=MIN, raw=b"\x00\xff", name="e\u0301"),
        device("b", size=MIN, score=1.7976931348623157e308, first=MAX, raw=b"", name="\U0001f600'\"%_\\"),
        device("c", size=0, score=0.1 + 0.2, name=""),
    ]
    with backend.write() as session:
        assert session.insert_many(devices, rows, OnConflict.ERROR) == []
    with backend.read() as session:
        assert [session.get(devices, (row[0],)) for row in rows] == rows
        assert session.get(devices, ("d",)) is None
        assert session.get_many(devices, [("c",), ("d",), ("a",), ("c",)]) == [rows[2], None, rows[0], rows[2]]
        assert session.get_many(devices, []) == []


def test_a_number_as_a_key_reaches_both_ends_of_64_bits(backend: SqliteBackend, flows: Layout) -> None:
    rows = [(MIN, None, 1, None), (-1, None, 1, None), (2**53 + 1, None, 1, None), (MAX, None, 1, None)]
    with backend.write() as session:
        session.insert_many(flows, rows, OnConflict.ERROR)
        assert session.get_many(flows, [(row[0],) for row in rows]) == rows
        assert session.select(flows, Select(In("id", (MIN, MAX)), (Order("id"),))) == [rows[0], rows[3]]


def test_a_composite_key_with_a_real_is_found_exactly(backend: SqliteBackend, members: Layout) -> None:
    generator = random.Random(7)
    rows = [
        (generator.random(), f"d{number}", generator.random() * 10 ** generator.randint(-300, 300))
        for number in range(300)
    ]
    with backend.write() as session:
        session.insert_many(members, rows, OnConflict.ERROR)
        wanted = [(row[2], row[1]) for row in rows]
        assert session.get(members, wanted[5]) == rows[5]
        assert session.get_many(members, [*wanted, (1.5, "nobody")]) == [*rows, None]


def test_reals_and_bytes_are_found_among_many_exactly(backend: SqliteBackend, devices: Layout) -> None:
    generator = random.Random(3)
    scores = [generator.random() * 10 ** generator.randint(-300, 300) for _ in range(2_000)]
    with backend.write() as session:
        session.insert_many(
            devices,
            [device(f"k{index}", score=score, raw=index.to_bytes(3, "big")) for index, score in enumerate(scores)],
            OnConflict.ERROR,
        )
        assert len(session.select(devices, Select(In("score", tuple(scores))))) == len(scores)
        assert session.select(devices, Select(NotIn("score", tuple(scores)))) == []
        assert len(session.select(devices, Select(In("raw", (b"\0\0\1", b"\0\1\0"))))) == 2


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (Compare("size", Op.EQ, 2), ["b"]),
        (Compare("size", Op.NE, 2), ["a", "c"]),
        (Compare("size", Op.LT, 2), ["a"]),
        (Compare("size", Op.LE, 2), ["a", "b"]),
        (Compare("size", Op.GT, 2), ["c"]),
        (Compare("size", Op.GE, 2), ["b", "c"]),
        (In("size", (1, 3, 9)), ["a", "c"]),
        (In("size", ()), []),
        (NotIn("size", (1, 3)), ["b"]),
        (NotIn("size", ()), ["a", "b", "c"]),
        (IsNull("size"), ["d"]),
        (NotNull("size"), ["a", "b", "c"]),
        (Contains("name", "50%"), ["a"]),
        (Contains("name", "_"), ["b"]),
        (Contains("name", "X"), []),
        (Contains("name", "%", negated=True), ["b", "c"]),
        (And(()), ["a", "b", "c", "d"]),
        (Or(()), []),
        (And((NotNull("size"), Or((Compare("size", Op.EQ, 1), Compare("name", Op.EQ, "x"))))), ["a", "c"]),
        (And((Compare("size", Op.EQ, 1), Or(()))), []),
        (Compare("on", Op.EQ, True), ["a", "c", "d"]),
        (Compare("name", Op.GT, "\uffff"), []),
    ],
)
def test_a_leaf_is_true_or_false_and_never_unknown(
    backend: SqliteBackend, devices: Layout, where: Filter, expected: list[str]
) -> None:
    rows = [
        device("a", size=1, name="50% off"),
        device("b", size=2, name="a_b", on=False),
        device("c", size=3, name="x"),
        device("d"),
    ]
    with backend.write() as session:
        session.insert_many(devices, rows, OnConflict.ERROR)
    assert keys(backend, devices, where) == expected


def test_membership_in_a_text_set_is_exact(backend: SqliteBackend, devices: Layout) -> None:
    sets = [(), ("a",), ("a\nb", "c"), ("a", "b"), ("\\", "\\n"), ('","', "x"), ("\\\n",), ("A",), ("n", "\\a")]
    every = sorted({tag for tags in sets for tag in tags} | {"", "b\n", "\n", "\\\\"})
    decode = backend.holds[Type.TEXTSET].decode
    assert decode is not None
    with backend.write() as session:
        for index, tags in enumerate(sets):
            session.insert(devices, device(str(index), tags=held(backend, *tags) if tags else None))
        for index, tags in enumerate(sets):
            row = session.get(devices, (str(index),))
            assert row is not None
            assert (decode(row[7]) if row[7] is not None else ()) == tuple(sorted(tags))
    for tag in every:
        has = [str(index) for index, tags in enumerate(sets) if tag in tags]
        has_not = [str(index) for index, tags in enumerate(sets) if tags and tag not in tags]
        assert keys(backend, devices, HasTag("tags", tag)) == has
        assert keys(backend, devices, HasTag("tags", tag, negated=True)) == has_not


def test_null_sorts_smallest_and_text_by_code_point(backend: SqliteBackend, devices: Layout) -> None:
    names = [None, "", "Z", "a", "é", "\uffff", "\U00010000"]
    with backend.write() as session:
        session.insert_many(
            devices, [device(str(index), name=name) for index, name in enumerate(names)], OnConflict.ERROR
        )
        up = session.select(devices, Select(order=(Order("name"), Order("key"))))
        down = session.select(devices, Select(order=(Order("name", descending=True), Order("key")), limit=3))
    assert [row[1] for row in up] == names
    assert [row[1] for row in down] == names[:-4:-1]


def test_a_stream_gives_the_same_rows_in_lists(backend: SqliteBackend, flows: Layout) -> None:
    rows = [(number, None, number, None) for number in range(1, 1_001)]
    with backend.write() as session:
        session.insert_many(flows, rows, OnConflict.ERROR)
    with backend.snapshot() as session:
        parts = list(session.stream(flows, Select(order=(Order("id"),)), 300))
    assert [len(part) for part in parts] == [300, 300, 300, 100]
    assert [row for part in parts for row in part] == rows


def test_keep_reports_the_positions_of_rows_that_exist(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(0, 1_500, 3)], OnConflict.KEEP)
        missing = session.insert_many(flows, [(number, None, 1, None) for number in range(1_500)], OnConflict.KEEP)
        assert missing == list(range(0, 1_500, 3))
        again = session.insert_many(flows, [(number, None, 2, None) for number in range(1_500)], OnConflict.KEEP)
        assert again == list(range(1_500))
        assert session.insert_many(flows, [], OnConflict.KEEP) == []
        (row,) = session.aggregate(flows, Aggregate((), (Measure(Function.SUM, "at"), Measure(Function.COUNT))))
    assert row == (1_000, 1_500)


def test_a_refused_batch_stores_nothing_of_itself_and_the_transaction_goes_on(
    backend: SqliteBackend, flows: Layout
) -> None:
    with backend.write() as session:
        session.insert(flows, (1_400, None, 0, None))
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            session.insert_many(flows, [(number, None, 1, None) for number in range(1_500)], OnConflict.ERROR)
        with pytest.raises(Conflict, match="a record of flows with this key exists already"):
            session.insert(flows, (1_400, None, 1, None))
        session.insert(flows, (7, None, 0, None))
    with backend.read() as session:
        assert [row[0] for row in session.select(flows, Select(order=(Order("id"),)))] == [7, 1_400]


def test_another_unique_rule_is_an_invalid_value_that_names_the_column(backend: SqliteBackend, devices: Layout) -> None:
    with backend.write() as session:
        session.insert(devices, device("a", raw=b"1"))
        with pytest.raises(InvalidValue, match=r"raw: another record has this value already.*must be unique"):
            session.insert_many(devices, [device("b"), device("c", raw=b"1")], OnConflict.KEEP)
        with pytest.raises(InvalidValue, match="raw: another record has this value already"):
            session.upsert(devices, [device("d"), device("e", raw=b"1")])
    assert keys(backend, devices, And(())) == ["a"]


def test_a_missing_value_is_refused_with_the_column_named(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session, pytest.raises(InvalidValue, match="at: may not be None"):
        session.insert(flows, (1, None, None, None))


def test_upsert_merges_by_the_rule_of_each_column(backend: SqliteBackend, devices: Layout) -> None:
    old = device("a", name="old", score=5.0, first=50, size=5, raw=b"old", tags=held(backend, "x"))
    expected = {
        device("a", name="new", score=9.0, first=90, size=9, raw=b"new"): ("new", True, 9.0, 50, 9, b"old", None, 2),
        device("a", name=None, score=1.0, first=10, size=None, on=False): (None, False, 5.0, 10, 5, b"old", None, 2),
        device("a"): (None, True, 5.0, 50, 5, b"old", None, 2),
    }
    for many, (new, merged) in itertools.product((False, True), expected.items()):
        session = backend.write()
        session.insert(devices, old)
        rows = [new, device("z")] if many else [new]
        result = session.upsert(devices, rows)
        assert result[0] == Upserted(("a", *merged), inserted=False)
        assert result[1:] == ([Upserted(device("z"), inserted=True)] if many else [])
        assert session.get(devices, ("a",)) == ("a", *merged)
        session.rollback()
        assert keys(backend, devices, And(())) == []


def test_null_loses_against_every_value_on_either_side(backend: SqliteBackend, devices: Layout) -> None:
    with backend.write() as session:
        session.insert(devices, device("a"))
        (one,) = session.upsert(devices, [device("a", score=-1.0, first=-1, size=0)])
        two, _ = session.upsert(devices, [device("a"), device("b")])
    assert one.row[3:6] == (-1.0, -1, 0)
    assert two.row[3:6] == (-1.0, -1, 0)
    assert (one.row[8], two.row[8]) == (2, 3)


def test_upsert_answers_in_the_order_of_its_rows_with_what_is_new(backend: SqliteBackend, devices: Layout) -> None:
    with backend.write() as session:
        session.insert_many(devices, [device(f"k{number}") for number in range(0, 1_200, 2)], OnConflict.ERROR)
        order = random.Random(1).sample(range(1_200), 1_200)
        result = session.upsert(devices, [device(f"k{number}", size=number) for number in order])
    assert [one.row[0] for one in result] == [f"k{number}" for number in order]
    assert [one.inserted for one in result] == [number % 2 == 1 for number in order]
    assert {one.row[8] for one in result if one.inserted} == {1}
    assert {one.row[8] for one in result if not one.inserted} == {2}


def test_update_and_delete_return_the_keys_and_versions_they_touched(backend: SqliteBackend, devices: Layout) -> None:
    with backend.write() as session:
        session.insert_many(devices, [device(name) for name in "abc"], OnConflict.ERROR)
        touched = session.update(devices, In("key", ("a", "b", "x")), {"name": "n", "size": None})
        assert sorted(touched) == [Touched(("a",), 2), Touched(("b",), 2)]
        assert session.update(devices, Compare("key", Op.EQ, "x"), {"name": "n"}) == []
        assert session.update(devices, Compare("name", Op.EQ, "n"), {})[0].version == 3
        assert sorted(session.delete(devices, NotNull("name"))) == [Touched(("a",), 3), Touched(("b",), 3)]
    assert keys(backend, devices, And(())) == ["c"]


def test_a_layout_without_versions_reports_version_0(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 5, None))
        assert session.update(flows, And(()), {"bytes": 3}) == [Touched((1,), 0)]
        assert session.update(flows, And(()), {}) == [Touched((1,), 0)]
        assert session.delete(flows, And(())) == [Touched((1,), 0)]


def test_an_unknown_reference_is_found_at_commit_and_nothing_is_stored(backend: SqliteBackend, flows: Layout) -> None:
    session = backend.write()
    session.insert(flows, (1, "nobody", 5, None))
    with pytest.raises(UnknownReference, match="device: a record of flows points to a record of devices that does not"):
        session.commit()
    with backend.write() as after:
        assert after.get(flows, (1,)) is None


def test_records_may_come_before_those_they_point_to(backend: SqliteBackend, devices: Layout, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, "later", 5, None))
        session.insert(devices, device("later"))
    with backend.read() as reading:
        assert reading.get(flows, (1,)) == (1, "later", 5, None)


def test_aggregates_count_sum_and_bound_and_know_nothing_of_no_rows(backend: SqliteBackend, flows: Layout) -> None:
    measures = (
        Measure(Function.COUNT),
        Measure(Function.COUNT, "bytes"),
        Measure(Function.COUNT_DISTINCT, "bytes"),
        Measure(Function.SUM, "bytes"),
        Measure(Function.MIN, "bytes"),
        Measure(Function.MAX, "bytes"),
    )
    with backend.write() as session:
        assert session.aggregate(flows, Aggregate((), measures)) == [(0, 0, 0, None, None, None)]
        assert session.aggregate(flows, Aggregate(("device",), measures)) == []
        session.insert_many(
            flows, [(1, None, 1, 5), (2, None, 1, 5), (3, None, 2, None), (4, None, 2, -7)], OnConflict.ERROR
        )
        assert session.aggregate(flows, Aggregate((), measures)) == [(4, 3, 2, 3, -7, 5)]
        grouped = session.aggregate(flows, Aggregate(("bytes",), measures[:1], order=((0, False),)))
        assert grouped == [(None, 1), (-7, 1), (5, 2)]
        top = session.aggregate(flows, Aggregate(("bytes",), measures[:1], order=((1, True), (0, True)), limit=2))
        assert top == [(5, 2), (-7, 1)]


def test_a_sum_beyond_64_bits_is_an_overflow_and_its_halves_are_exact(backend: SqliteBackend, flows: Layout) -> None:
    values = [MAX, MAX, MIN, -1, 12345, MIN + 1, -(2**32)]
    with backend.write() as session:
        session.insert_many(flows, [(index, None, 0, value) for index, value in enumerate(values)], OnConflict.ERROR)
        with pytest.raises(Overflow, match="does not fit 64 bits"):
            session.aggregate(flows, Aggregate((), (Measure(Function.SUM, "bytes"),)))
        halves = Aggregate((), (Measure(Function.SUM_HIGH, "bytes"), Measure(Function.SUM_LOW, "bytes")))
        ((high, low),) = session.aggregate(flows, halves)
        assert session.aggregate(flows, Aggregate((), (Measure(Function.COUNT),))) == [(len(values),)]
    assert (high << 32) + low == sum(values)
    assert low >= 0


@pytest.mark.parametrize("pieces", [1, 2, 16, 17, 3_000])
@pytest.mark.parametrize("modulo", [None, 7])
def test_bucket_numbers_agree_with_the_core(
    backend: SqliteBackend, flows: Layout, pieces: int, modulo: int | None
) -> None:
    generator = random.Random(pieces)
    starts = [-5_000]
    for _ in range(pieces - 1):
        starts.append(starts[-1] + generator.randint(1, 50))
    buckets = Buckets(
        tuple(Piece(start, generator.randint(1, 20), generator.randint(-100, 100)) for start in starts),
        starts[-1] + 40,
        modulo,
    )
    times = sorted(generator.sample(range(-5_100, starts[-1] + 100), 100))
    with backend.write() as session:
        session.insert_many(flows, [(index, None, at, None) for index, at in enumerate(times)], OnConflict.ERROR)
        found = session.aggregate(
            flows, Aggregate((Bucketed("at", buckets),), (Measure(Function.COUNT),), order=((0, False),))
        )
    expected: dict[int, int] = {}
    for at in times:
        number = buckets.number(at)
        if number is not None:
            expected[number] = expected.get(number, 0) + 1
    assert found == sorted(expected.items())


def test_two_bucketings_and_a_column_group_together(backend: SqliteBackend, flows: Layout) -> None:
    hours, days = Buckets((Piece(0, 10, 0),), 200, 10), Buckets((Piece(0, 100, 0),), 200)
    with backend.write() as session:
        session.insert_many(flows, [(at, None, at, at % 2) for at in range(-5, 205)], OnConflict.ERROR)
        found = session.aggregate(
            flows,
            Aggregate(
                (Bucketed("at", days), "bytes", Bucketed("at", hours)),
                (Measure(Function.COUNT),),
                Compare("at", Op.LT, 120),
                ((0, True), (1, True), (2, False)),
                3,
            ),
        )
    assert found == [(1, 1, 0, 5), (1, 1, 1, 5), (1, 0, 0, 5)]


def test_counters_give_blocks_and_roll_back_with_their_transaction(backend: SqliteBackend) -> None:
    with backend.write() as session:
        assert [session.reserve("flows", 10), session.reserve("flows", 5), session.reserve("other", 1)] == [1, 11, 1]
    session = backend.write()
    assert session.reserve("flows", 100) == 16
    session.rollback()
    with backend.write() as session:
        assert session.reserve("flows", 1) == 16
        with pytest.raises(Overflow, match=r"counter flows has no .* numbers left"):
            session.reserve("flows", MAX)


def test_savepoints_nest_and_undo_only_what_is_inside(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 0, None))
        session.savepoint()
        session.insert(flows, (2, None, 0, None))
        session.savepoint()
        session.insert(flows, (3, None, 0, None))
        session.undo()
        session.insert(flows, (4, None, 0, None))
        session.release()
        session.savepoint()
        session.insert(flows, (5, None, 0, None))
        session.undo()
    with backend.read() as reading:
        assert [row[0] for row in reading.select(flows, Select(order=(Order("id"),)))] == [1, 2, 4]


def explain(backend: SqliteBackend, text: str, parameters: object) -> str:
    with backend.read() as session:
        return "; ".join(row[3] for row in session.rows(f"EXPLAIN QUERY PLAN {text}", parameters))  # type: ignore[arg-type]


def test_reads_by_key_by_index_and_by_page_scan_nothing(backend: SqliteBackend, devices: Layout, flows: Layout) -> None:
    statements = backend._statements
    assert "SEARCH devices USING INDEX" in explain(backend, statements.get[devices], ("a",))
    assert "SEARCH flows USING INTEGER PRIMARY KEY" in explain(backend, statements.get[flows], (1,))
    many = statements.many(devices, hold=False)
    assert "SEARCH devices USING INDEX" in explain(backend, many.text, ('["a"]',))
    page = Select(
        And(
            (
                Compare("device", Op.EQ, "a"),
                Compare("at", Op.GE, 5),
                Or((Compare("at", Op.GT, 5), And((Compare("at", Op.EQ, 5), Compare("id", Op.GT, 7))))),
            )
        ),
        (Order("at"), Order("id")),
        50,
    )
    plan = explain(backend, *statements.select(flows, page))
    assert "SEARCH flows USING INDEX ix_flows_device_at_id (device=? AND at>?)" in plan
    assert "TEMP B-TREE" not in plan
    inside = explain(backend, *statements.select(flows, Select(In("device", ("a", "b")))))
    assert "SEARCH flows USING INDEX" in inside


def test_texts_are_compiled_once_per_shape_and_the_cache_is_bounded(backend: SqliteBackend, devices: Layout) -> None:
    statements = backend._statements
    with backend.read() as session:
        for size in range(50):
            session.select(
                devices, Select(And((Compare("size", Op.EQ, size), In("key", ("a",) * size))), limit=size + 1)
            )
        assert statements._select.cache_info().currsize == 1
        for width in range(1_100):
            statements.select(
                devices,
                Select(
                    Or(
                        (IsNull("name"),) * (width % 40),
                    ),
                    (Order("key"),) * (width // 40),
                ),
            )
    info = statements._select.cache_info()
    assert info.maxsize is not None
    assert info.currsize <= info.maxsize


def test_two_threads_that_need_a_table_at_once_get_the_same_one(
    devices: Layout, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement made of two objects for one table would name it twice: FROM device, device."""
    texts = statements.Statements(SqliteDialect(999))
    made = statements.sql_table
    rivals: list[object] = []

    def slow(layout: Layout, dialect: object) -> object:
        if not rivals:
            rivals.append(None)
            rivals[0] = texts.table(layout)  # what another thread does meanwhile
        return made(layout, dialect)  # type: ignore[arg-type]

    monkeypatch.setattr(statements, "sql_table", slow)

    assert texts.table(devices) is rivals[0]
    assert texts.table(devices) is rivals[0]
