"""Flows in partitions by time: ids stay unique and are found, partitions come and go, and older stores are cut."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

import iotstore
from iotstore import Connection, Device, ManualClock, Store, field
from iotstore._kinds.network import CONNECTIONS
from iotstore.backend import Compare, Conflict, Layout, OnConflict, Op, Row
from iotstore_postgres._cut_whole import make_whole
from iotstore_postgres._cuts import asking
from iotstore_postgres.store import PostgresBackend

Ask = Callable[..., list[tuple[Any, ...]]]
NOW = datetime(2026, 11, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FLOWS = CONNECTIONS.layout


@pytest.fixture
def store(place: str) -> Iterator[Store]:
    with iotstore.open(place, clock=ManualClock(NOW)) as opened:
        opened.devices.put(Device(key="d"))
        yield opened


@pytest.fixture
def flows(store: Store) -> PostgresBackend:
    found = store._engine.backend
    assert isinstance(found, PostgresBackend)
    return found


def flow(days_ago: float = 0, **values: Any) -> Connection:
    return Connection(device="d", time=NOW - DAY * days_ago, **values)


def row(number: int, time: int) -> Row:
    values = {"device": "d", "time": time, "id": number, "processed": False}
    empty = {"bytes_sent": 0, "bytes_received": 0, "packets_sent": 0, "packets_received": 0}
    return tuple({**empty, **values}.get(column.name) for column in FLOWS.columns)


def parts(ask: Ask, schema: str) -> list[str]:
    found = ask(
        "SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid"
        f" WHERE i.inhparent = '{schema}.connection'::regclass ORDER BY 1"
    )
    return [name.removeprefix("iotstore_connection_") for (name,) in found]


def test_flows_lie_in_partitions_and_are_found_by_their_ids(store: Store, ask: Ask, schema: str) -> None:
    receipt = store.connections.add_many([flow(days) for days in range(0, 300, 3)], ids=True)
    late = store.connections.add(flow(3_000))
    assert parts(ask, schema)[0] == "20180809"
    assert len(parts(ask, schema)) > 10
    assert receipt.ids is not None
    assert [store.connections.get(number).time for number in receipt.ids[:3]] == [NOW, NOW - 3 * DAY, NOW - 6 * DAY]
    assert store.connections.get(late.id) == late
    found = store.connections.get_many([late.id, 10**9, receipt.ids[5]])
    assert [None if one is None else one.id for one in found] == [late.id, None, receipt.ids[5]]
    assert store.connections.find(10**15) is None


def test_one_flow_is_looked_for_in_the_partitions_of_its_block_only(store: Store, place: str) -> None:
    for days in range(0, 300, 30):
        store.connections.add(flow(days))
    old = store.connections.add(flow(290)).id
    with store._engine.writing() as transaction:
        transaction.session.reserve("connection", 10_000)
    store._engine.blocks = type(store._engine.blocks)()
    new = store.connections.add(flow())
    assert new.id >> 12 > old >> 12
    (text,) = [one.statement for one in store.explain(lambda s: s.connections.find(new.id))]
    with psycopg.connect(place.partition("?")[0], cursor_factory=psycopg.RawCursor) as connection:
        connection.execute(f"SET search_path = {place.partition('schema=')[2].partition('&')[0]}".encode())
        plan = connection.execute(f"EXPLAIN (ANALYZE, COSTS OFF) {text}".encode(), [new.id]).fetchall()
    lines = [line for (line,) in plan if "iotstore_connection_" in line]
    assert sum("never executed" not in line for line in lines) == 1
    assert len(lines) > 10


def test_changes_and_deletions_by_id_find_their_flow_in_any_partition(store: Store) -> None:
    numbers = [store.connections.add(flow(days)).id for days in (0, 40, 400, 4_000)]
    assert store.connections.mark_processed(numbers[1:3]) == 2
    assert [one.id for one in store.connections.unprocessed(10)] == [numbers[3], numbers[0]]
    store.connections.delete(numbers[3])
    assert store.connections.find(numbers[3]) is None
    assert store.connections.count() == 3
    assert store.connections.delete_where(field("id") == numbers[2]) == 1
    assert [one.id for one in store.connections.list(field("id").in_(numbers), order=["time"])] == numbers[1::-1]


def test_a_flow_whose_time_is_changed_moves_and_is_found(store: Store) -> None:
    number = store.connections.add(flow()).id
    assert store.connections.update(number, time=NOW - 900 * DAY).time == NOW - 900 * DAY
    assert store.connections.get(number).time == NOW - 900 * DAY
    assert store.connections.get_many([number])[0] is not None
    assert store.connections.update_where(field("device") == "d", time=NOW - 2_000 * DAY) == 1
    assert store.connections.get(number).time == NOW - 2_000 * DAY


@pytest.mark.parametrize("count", [1, 300])
def test_an_id_stays_unique_whatever_time_comes_with_it(flows: PostgresBackend, count: int) -> None:
    later = 10**15
    with flows.write() as session:
        session.insert_many(FLOWS, [row(number, 0) for number in range(1, count + 1)], OnConflict.ERROR)
    with flows.write() as session:
        again = [row(number, later) for number in range(1, count + 2)]
        assert session.insert_many(FLOWS, again, OnConflict.KEEP) == list(range(count))
        with pytest.raises(Conflict, match="a record of connection with this key exists already"):
            session.insert(FLOWS, row(count, later + 1))
        with pytest.raises(Conflict, match="a record of connection with this key exists already"):
            session.insert_many(FLOWS, [row(count, 5), row(count + 2, 5)], OnConflict.ERROR)
        merged = session.upsert(FLOWS, [row(count, later), row(count + 3, later)])
        assert [one.inserted for one in merged] == [False, True]
        assert session.upsert(FLOWS, [row(count, 7)])[0].row[FLOWS.position["time"]] == 7
        assert session.get(FLOWS, (count,)) == row(count, 7)
    with flows.read() as session:
        assert session.get(FLOWS, (count + 2,)) is None
        assert session.get(FLOWS, (count + 3,)) == row(count + 3, later)


def test_of_two_writers_with_one_id_at_two_times_one_stores_it(flows: PostgresBackend) -> None:
    begin = threading.Barrier(4)

    def work(at: int) -> int:
        stored = 0
        for number in range(1, 41):
            begin.wait(60)
            with flows.write() as session:
                stored += not session.insert_many(FLOWS, [row(number, at * 10**15)], OnConflict.KEEP)
        return stored

    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(work, range(4))) == 40
    with flows.read() as session:
        assert len(session.get_many(FLOWS, [(number,) for number in range(1, 41)])) == 40


def test_an_undone_batch_leaves_nothing_but_partitions(store: Store, ask: Ask, schema: str) -> None:
    session = store._engine.backend.write()
    session.insert_many(FLOWS, [row(number, int(1.7e15) + number * 10**13) for number in range(1, 9)], OnConflict.ERROR)
    session.rollback()
    assert store.connections.count() == 0
    assert ask(f"SELECT count(*) FROM {schema}.iotstore_ranges") == [(0,)]
    assert len(parts(ask, schema)) > 4


def test_retention_drops_whole_partitions_and_deletes_the_rest(store: Store, ask: Ask, schema: str) -> None:
    numbers = [store.connections.add(flow(days)).id for days in (0, 10, 29, 31, 100, 200, 6_500)]
    before = parts(ask, schema)
    (line,) = [line for line in store.admin.retention(dry_run=False) if line.kind == "connection"]
    assert line.deleted == 4
    assert [one is not None for one in store.connections.get_many(numbers)] == [True] * 3 + [False] * 4
    assert len(parts(ask, schema)) == len(before) - 2
    again = store.connections.add(flow(100))
    assert store.connections.get(again.id) == again


def test_a_partition_that_a_snapshot_sees_is_not_dropped(store: Store, ask: Ask, schema: str) -> None:
    number = store.connections.add(flow(100)).id
    before = parts(ask, schema)
    with store.snapshot() as seen:
        store.admin.retention(dry_run=False)
        assert seen.connections.get(number).id == number
    assert store.connections.find(number) is None
    assert parts(ask, schema) == before


def _whole(place: str, ask: Ask, schema: str) -> list[Connection]:
    """A store as versions before this one made it: flows in one table, with a constraint that points to it."""
    with iotstore.open(place) as store:
        store.devices.put(Device(key="d"))
        store.connections.add_many([flow(days) for days in range(0, 5_000, 7)])
        expected = store.connections.list(order=["id"])
    names = ", ".join(f'"{column.name}"' for column in FLOWS.columns)
    ask(f"SET search_path = {schema}")
    try:
        ask("CREATE TABLE plain (LIKE connection INCLUDING DEFAULTS)")
        ask(f"INSERT INTO plain ({names}) SELECT {names} FROM connection")
        ask("DROP TABLE connection, iotstore_cuts, iotstore_ranges")
        ask("ALTER TABLE plain RENAME TO connection")
        ask("ALTER TABLE connection ADD CONSTRAINT connection_pkey PRIMARY KEY (id)")
        for index in FLOWS.indexes:
            columns = ", ".join(f'"{name}" NULLS FIRST' for name in index.columns)
            ask(f"CREATE INDEX ix_connection_{'_'.join(index.columns)} ON connection ({columns}, id)")
        ask("CREATE TABLE theirs (flow int8 REFERENCES connection)")
        ask("INSERT INTO theirs VALUES (1)")
        ask("GRANT SELECT ON connection TO PUBLIC")
    finally:
        ask("RESET search_path")
    return expected


def test_a_store_whose_flows_lie_in_one_table_is_cut_when_it_is_opened_and_loses_none(
    place: str, ask: Ask, schema: str
) -> None:
    expected = _whole(place, ask, schema)
    with iotstore.open(place) as store:
        assert store.connections.list(order=["id"]) == expected
        assert [store.connections.get(one.id) for one in expected[::50]] == expected[::50]
        assert store.connections.add(flow()).id > expected[-1].id
        assert store.admin.verify().status in ("ok", "warning")
    assert len(parts(ask, schema)) > 100
    assert ask(f"SELECT has_table_privilege('public', '{schema}.connection', 'select')") == [(True,)]
    assert ask("SELECT count(*) FROM pg_class WHERE relname LIKE 'iotstore_uncut%%'") == [(0,)]


def test_two_processes_that_open_such_a_store_at_once_cut_it_once(place: str, ask: Ask, schema: str) -> None:
    expected = _whole(place, ask, schema)
    begin = threading.Barrier(3)

    def work(_: int) -> list[Connection]:
        begin.wait(60)
        with iotstore.open(place) as store:
            return store.connections.list(order=["id"])

    with ThreadPoolExecutor(3) as threads:
        assert list(threads.map(work, range(3))) == [expected] * 3
    assert work_alone(place) == expected
    assert len(parts(ask, schema)) > 100


def work_alone(place: str) -> list[Connection]:
    with iotstore.open(place) as store:
        return store.connections.list(order=["id"])


def test_a_store_that_others_have_open_is_left_as_it_is_and_works(place: str, ask: Ask, schema: str) -> None:
    expected = _whole(place, ask, schema)
    with iotstore.open(place, migrate=False) as other, iotstore.open(place) as store:
        for one in (other, store):
            added = one.connections.add(flow())
            assert one.connections.add_many([flow()] * 300).stored == 300
            assert other.connections.get(added.id) == store.connections.get(added.id) == added
    assert parts(ask, schema) == []
    assert len(work_alone(place)) == len(expected) + 602
    assert len(parts(ask, schema)) > 100


def test_a_kind_of_an_application_s_own_is_cut_too(place: str, ask: Ask, schema: str) -> None:
    from iotstore import Kind, Record, Retention

    class Reading(Record, frozen=True, kw_only=True):
        at: datetime
        number: int = 0

    def kind(name: str) -> Kind[Reading]:
        return Kind(
            Reading, name, "number", generated="number", retention=Retention("at", DAY, parts=True), indexes=[["at"]]
        )

    with iotstore.open(place, kinds=[kind("reading")]) as store:
        records = store.records("reading")
        number = records.add(Reading(at=NOW)).number
        assert records.get(number).at == NOW
    assert ask(f"SELECT count(*) FROM pg_inherits WHERE inhparent = '{schema}.reading'::regclass") == [(3,)]


def test_tables_in_partitions_become_whole_again_with_everything_that_belongs_to_them(
    store: Store, place: str, ask: Ask, schema: str
) -> None:
    store.connections.add_many([flow(days) for days in range(0, 900, 7)])
    expected = store.connections.list(order=["id"])
    ask(f"GRANT SELECT ON {schema}.connection TO PUBLIC")
    indexes = "SELECT count(*) FROM pg_index WHERE indrelid = %s::regclass"
    before = ask(indexes, f"{schema}.connection")
    store.close()
    with psycopg.connect(place.partition("?")[0], cursor_factory=psycopg.RawCursor) as connection:
        connection.execute(f"SET search_path = {schema}".encode())
        looked = asking(connection)
        assert make_whole(lambda text, *values: looked(text, values), lambda text: looked(text, ())) == {
            "connection": "time"
        }
    assert parts(ask, schema) == []
    assert ask(indexes, f"{schema}.connection") == before
    assert ask(f"SELECT has_table_privilege('public', '{schema}.connection', 'select')") == [(True,)]
    with iotstore.open(place, migrate=False) as again:
        assert again.connections.list(order=["id"]) == expected
        assert again.connections.get(expected[5].id) == expected[5]


def _layout_is_cut(backend: PostgresBackend, layout: Layout) -> bool:
    return backend._cuts.of(layout) is not None


def test_a_filter_that_names_no_id_is_left_alone(flows: PostgresBackend) -> None:
    assert _layout_is_cut(flows, FLOWS)
    with flows.write() as session:
        session.insert_many(FLOWS, [row(1, 0), row(2, 10**15)], OnConflict.ERROR)
        assert len(session.delete(FLOWS, Compare("id", Op.GE, 1))) == 2
