"""Stores on a server: whole commits, one writer at a time, layouts that change, places of somebody else."""

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import neo4j
import pytest

from iotstore.backend import (
    ALWAYS,
    AddColumn,
    Busy,
    Column,
    Compare,
    Conflict,
    Corrupt,
    CreateIndex,
    CreateLayout,
    Edge,
    Held,
    Index,
    InvalidValue,
    Layout,
    Merge,
    NewerSchema,
    NotAllowed,
    NotAStore,
    OnConflict,
    Op,
    Overflow,
    RenameColumn,
    Select,
    Settings,
    Type,
    Unreachable,
    Unsupported,
)
from iotstore_neo4j import harness as suite
from iotstore_neo4j._wire import Wire
from iotstore_neo4j.store import Neo4jBackend

pytestmark = pytest.mark.neo4j

OWNER = Layout(
    "owner", (Column("key", Type.TEXT, max_length=60), Column("version", Type.INT)), ("key",), version="version"
)
DEVICE = Layout(
    "device",
    (
        Column("key", Type.TEXT, max_length=60),
        Column("serial", Type.TEXT, nullable=True, max_length=60, merge=Merge.COALESCE),
        Column("least", Type.INT, nullable=True, merge=Merge.MIN),
        Column("kept", Type.REAL, nullable=True, merge=Merge.KEEP),
        Column("version", Type.INT),
    ),
    ("key",),
    indexes=(Index(("serial",), unique=True),),
    version="version",
)
MEMBER = Layout("member", (Column("device", Type.TEXT), Column("number", Type.INT)), ("device", "number"))
Connect = Callable[..., Neo4jBackend]


@pytest.fixture
def backend(connect: Connect) -> Neo4jBackend:
    """An open store with three layouts."""
    opened = connect()
    with opened.write() as session:
        session.apply([CreateLayout(OWNER), CreateLayout(DEVICE), CreateLayout(MEMBER)])
    return opened


def keys(backend: Neo4jBackend, layout: Layout = DEVICE) -> list[object]:
    with backend.read() as session:
        return sorted(row[0] for row in session.select(layout, Select()))


def test_an_upsert_merges_by_the_rules_and_says_what_is_stored(backend: Neo4jBackend) -> None:
    with backend.write() as session:
        session.insert(DEVICE, ("b", "s", 5, 1.5, 7))
        stored = session.upsert(DEVICE, [("b", None, 3, 2.5, 100), ("a", None, None, None, 1)])

    assert [(one.row, one.inserted) for one in stored] == [
        (("b", "s", 3, 1.5, 8), False),
        (("a", None, None, None, 1), True),
    ]


def test_a_key_that_exists_is_a_conflict_and_under_keep_a_position(backend: Neo4jBackend) -> None:
    with backend.write() as session:
        session.insert_many(MEMBER, [("a", 1), ("a", 2)], OnConflict.ERROR)
        assert session.insert_many(MEMBER, [("a", 3), ("a", 2)], OnConflict.KEEP) == [1]
        with pytest.raises(Conflict, match="exist already"):
            session.insert(MEMBER, ("a", 1))


@pytest.mark.parametrize("rows", [20, 300])
def test_batches_of_any_size_tell_which_keys_were_there(backend: Neo4jBackend, rows: int) -> None:
    batch = [("a", number) for number in range(rows)]
    with backend.write() as session:
        session.insert_many(MEMBER, [("a", 1), ("a", rows - 1), ("b", 1)], OnConflict.ERROR)
        assert session.insert_many(MEMBER, batch, OnConflict.KEEP) == [1, rows - 1]
        assert len(session.select(MEMBER, Select())) == rows + 1
    session = backend.write()
    with pytest.raises(Conflict, match="3 records of member with these keys exist already"):
        session.insert_many(MEMBER, [("c", number) for number in range(rows)] + batch[:3], OnConflict.ERROR)
    session.rollback()
    assert len(keys(backend, MEMBER)) == rows + 1


def test_a_unique_rule_is_kept_and_leaves_rows_without_a_value_alone(backend: Neo4jBackend) -> None:
    with backend.write() as session:
        session.insert_many(DEVICE, [(key, None, None, None, 1) for key in "abc"], OnConflict.ERROR)
        session.update(DEVICE, Compare("key", Op.EQ, "a"), {"serial": "s"})
        for refused in (
            lambda: session.insert(DEVICE, ("d", "s", None, None, 1)),
            lambda: session.upsert(DEVICE, [("b", "s", None, None, 1)]),
            lambda: session.update(DEVICE, Compare("key", Op.NE, "a"), {"serial": "t"}),
        ):
            with pytest.raises(InvalidValue, match="serial: another record has this value"):
                refused()


def test_a_counter_gives_its_numbers_back_with_the_transaction_and_ends_at_64_bits(backend: Neo4jBackend) -> None:
    session = backend.write()
    assert (session.reserve("n", 5), session.reserve("n", 1)) == (1, 6)
    session.rollback()
    with backend.write() as session:
        assert session.reserve("n", 2**63 - 3) == 1
        with pytest.raises(Overflow, match="has no 5 numbers left"):
            session.reserve("n", 5)


def test_a_reader_goes_on_while_a_transaction_is_open_and_sees_nothing_of_it(backend: Neo4jBackend) -> None:
    with backend.write() as session:
        session.insert(MEMBER, ("a", 1))
        assert keys(backend, MEMBER) == []
    assert keys(backend, MEMBER) == ["a"]


def test_a_reader_does_not_wait_for_keys_that_an_open_transaction_made_or_deleted(backend: Neo4jBackend) -> None:
    """Neo4j locks every unique key that a statement looks up which changes anything: reads must be none of these."""
    with backend.write() as session:
        session.insert(OWNER, ("old", 1))
    with backend.write() as session:
        session.insert(OWNER, ("new", 1))
        session.delete(OWNER, Compare("key", Op.EQ, "old"))
        with backend.read() as reading:
            assert reading.get_many(OWNER, [("old",), ("new",)]) == [("old", 1), None]
            assert reading.get(OWNER, ("new",)) is None
    assert keys(backend, OWNER) == ["new"]


def test_a_reader_never_sees_a_part_of_a_commit(backend: Neo4jBackend) -> None:
    done, seen = threading.Event(), set[int]()

    def read() -> None:
        while not done.is_set():
            seen.add(len(keys(backend, MEMBER)) % 500)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for batch in range(4):
        with backend.write() as session:
            session.insert_many(MEMBER, [(f"b{batch}", n) for n in range(500)], OnConflict.ERROR)
    done.set()
    for reader in readers:
        reader.join()

    assert seen == {0}


def test_writers_of_two_handles_take_turns_and_one_that_waits_too_long_is_told(connect: Connect) -> None:
    first, second = connect(), connect(lock_timeout=0.3)
    with first.write(), pytest.raises(Busy, match="another transaction wrote"):
        second.write()
    second.write().rollback()


def test_a_writer_of_another_process_is_waited_for_at_the_server(
    backend: Neo4jBackend, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two handles that don't know of each other, as in two processes, meet at the node of the turn."""
    other = connect(lock_timeout=0.5)
    monkeypatch.setattr(other, "_turn", type(other._turn)())
    with backend.write() as session:
        session.insert(MEMBER, ("a", 1))
        with pytest.raises(Busy, match="another process wrote"):
            other.write()
    with other.write() as session:
        session.insert(MEMBER, ("a", 2))
    assert keys(backend, MEMBER) == ["a", "a"]


def test_a_transaction_that_nobody_ended_gives_its_turn_back(backend: Neo4jBackend) -> None:
    backend.write().insert(MEMBER, ("a", 1))
    with backend.write() as session:
        session.insert(MEMBER, ("b", 1))
    assert keys(backend, MEMBER) == ["b"]


def test_a_handle_whose_layout_was_changed_by_another_one_is_told_and_not_answered(
    backend: Neo4jBackend, connect: Connect
) -> None:
    other = connect()
    with backend.read() as reading, other.write() as writing:
        assert "device" in reading.layouts()
        writing.apply([RenameColumn("device", "least", "most")])
    with backend.read() as reading, pytest.raises(NewerSchema, match="fields of device were changed"):
        reading.select(DEVICE, Select())
    with backend.write() as writing, pytest.raises(NewerSchema, match="fields of device were changed"):
        writing.insert(DEVICE, ("a", None, None, None, 1))
    assert keys(backend, OWNER) == []  # what was not changed goes on


def test_additions_of_another_handle_disturb_nobody(backend: Neo4jBackend, connect: Connect) -> None:
    with backend.write() as session:
        session.insert(DEVICE, ("a", None, None, None, 1))
    with connect().write() as session:
        session.apply(
            [
                AddColumn("device", Column("more", Type.TEXT, nullable=True, default="x")),
                CreateIndex("device", Index(("least",))),
            ]
        )
    assert keys(backend) == ["a"]


def test_a_migration_that_is_rolled_back_leaves_no_trace(backend: Neo4jBackend) -> None:
    session = backend.write()
    session.apply([RenameColumn("device", "least", "most")])
    session.rollback()
    with backend.write() as session:
        session.insert(DEVICE, ("a", None, 3, None, 1))
    with backend.read() as session:
        assert session.get(DEVICE, ("a",)) == ("a", None, 3, None, 1)


def test_indexes_that_a_killed_process_did_not_make_are_made_by_the_next_opening(
    backend: Neo4jBackend, connect: Connect
) -> None:
    name = backend.names.index("device", ["serial"])
    backend.wire.change(f"DROP INDEX {name}", {})
    assert [check.status for check in backend.health() if check.name == "indexes"] == ["warning"]

    connect()

    assert {check.status for check in backend.health()} == {"ok"}


def test_nodes_of_somebody_else_are_refused_and_left_alone(connect: Connect, url: str) -> None:
    read = suite.harness.foreign
    assert read is not None
    before = read(url)
    there = before()

    with pytest.raises(NotAStore, match="no store of ours"):
        connect()

    assert before() == there


def test_a_store_of_a_newer_format_is_refused(connect: Connect) -> None:
    opened = connect()
    opened.wire.change(f"MATCH (s:{opened.names.store} {{id: 0}}) SET s.format = 2", {})

    with pytest.raises(NewerSchema, match="has format 2"):
        connect()


def test_without_create_a_place_without_a_store_stays_one(connect: Connect) -> None:
    for _ in range(2):
        with pytest.raises(Unreachable, match="there is no store"):
            connect(create=False)


def test_what_neo4j_lacks_is_refused_with_the_reason(backend: Neo4jBackend) -> None:
    with pytest.raises(Unsupported, match="snapshots"):
        backend.snapshot()
    with backend.write() as session, pytest.raises(Unsupported, match="savepoints"):
        session.savepoint()


def test_a_closed_store_refuses_every_session(backend: Neo4jBackend) -> None:
    writing, reading = backend.write(), backend.read()
    backend.close()
    for refused in (
        backend.read,
        backend.write,
        lambda: reading.get(OWNER, ("a",)),
        lambda: writing.insert(OWNER, ("a", 1)),
    ):
        with pytest.raises(NotAllowed, match="closed"):
            refused()
    writing.rollback()


def test_verify_finds_a_key_that_two_nodes_have(backend: Neo4jBackend) -> None:
    with backend.write() as session:
        session.insert(OWNER, ("a", 1))
    assert {check.status for check in backend.verify()} == {"ok"}
    backend.wire.change(f"DROP CONSTRAINT {backend.names.index('owner', ['key'], key=True)}", {})
    backend.wire.change(f"CREATE (:{backend.names.label('owner')} {{key: 'a', version: 1}})", {})

    failed = [check for check in backend.verify() if check.status == "failed"]

    assert [(check.name, check.detail) for check in failed] == [
        ("owner", "of 2 nodes 0 have no key and 1 have that of another")
    ]


# Edges ------------------------------------------------------------------------------------------------------------


def owns(owner: str, device: str, weight: float | None = None) -> Held:
    return Held(("device", (device,)), Edge(("owner", owner), "OWNS", ("device", device), weight))


def linked(number: int, source: str, target: str) -> Held:
    return Held(("member", (source, number)), Edge(("device", source), "CONNECTED_TO", ("device", target), 0.5))


def drawn(backend: Neo4jBackend, *held: Held) -> None:
    with backend.write() as session:
        session.draw(sorted({one.holder for one in held}), held)


@pytest.fixture
def graph(backend: Neo4jBackend) -> Neo4jBackend:
    """Owners o and p, devices a to d in a chain; a is o's, the others are p's."""
    with backend.write() as session:
        session.insert_many(OWNER, [(key, 1) for key in "op"], OnConflict.ERROR)
        session.insert_many(DEVICE, [(key, None, None, None, 1) for key in "abcd"], OnConflict.ERROR)
        session.insert_many(MEMBER, [(key, 1) for key in "abc"], OnConflict.ERROR)
    drawn(
        backend,
        owns("o", "a", 2.0),
        *(owns("p", key) for key in "bcd"),
        *(linked(1, one, other) for one, other in ("ab", "bc", "cd")),
    )
    return backend


def all_edges(backend: Neo4jBackend, rows: int = 2) -> list[Held]:
    with backend.read() as session:
        return [held for chunk in session.edges(None, rows) for held in chunk]


def test_edges_come_by_holder_and_in_pieces_of_any_size(graph: Neo4jBackend) -> None:
    expected = [
        owns("o", "a", 2.0),
        *(owns("p", key) for key in "bcd"),
        *(linked(1, a, b) for a, b in ("ab", "bc", "cd")),
    ]

    assert all_edges(graph, 1) == all_edges(graph, 3) == all_edges(graph, 100) == expected


def test_what_a_holder_holds_is_replaced_and_an_edge_without_its_node_is_left_out(graph: Neo4jBackend) -> None:
    drawn(graph, owns("p", "a"), linked(1, "a", "nobody"))

    assert [held for held in all_edges(graph) if held.holder in [("device", ("a",)), ("member", ("a", 1))]] == [
        owns("p", "a")
    ]


def test_an_edge_between_two_of_the_nodes_comes_once(graph: Neo4jBackend) -> None:
    with graph.read() as session:
        nodes = [("device", "a"), ("device", "b")]
        found = session.expand(nodes, ["CONNECTED_TO"], outgoing=True, incoming=True, limit=10)
        some = session.expand(nodes, None, outgoing=True, incoming=True, limit=1)

    assert sorted(found) == [linked(1, "a", "b").edge, linked(1, "b", "c").edge]
    assert len(some) == 2


def test_nodes_are_reached_by_the_fewest_hops_from_one_or_several(graph: Neo4jBackend) -> None:
    drawn(graph, linked(2, "a", "c"), linked(2, "c", "a"))  # a short cut, and a cycle
    with graph.read() as session:
        one = session.reach([("device", "a")], ["CONNECTED_TO"], outgoing=True, incoming=False, hops=9, limit=9)
        two = session.reach([("device", "a"), ("owner", "o")], None, outgoing=True, incoming=True, hops=1, limit=9)
        near = session.reach([("device", "a")], None, outgoing=True, incoming=True, hops=3, limit=1)

    assert sorted(one) == [(("device", "b"), 1), (("device", "c"), 1), (("device", "d"), 2)]
    assert sorted(two) == [(("device", "b"), 1), (("device", "c"), 1)]
    assert len(near) == 2


def test_a_deleted_record_takes_the_edges_at_its_node_and_those_that_it_holds(graph: Neo4jBackend) -> None:
    with graph.write() as session:
        session.delete(DEVICE, Compare("key", Op.EQ, "b"))
        session.delete(MEMBER, Compare("device", Op.EQ, "c"))

    assert all_edges(graph) == [owns("o", "a", 2.0), owns("p", "c"), owns("p", "d")]


def test_what_somebody_drew_by_hand_is_held_by_nobody_and_can_be_removed(graph: Neo4jBackend) -> None:
    label = graph.names.label
    graph.wire.change(
        f"MATCH (a:{label('owner')} {{key: 'o'}}) MATCH (b:{label('device')} {{key: 'd'}}) CREATE (a)-[:OWNS]->(b)", {}
    )
    by_hand = Held(("", ()), Edge(("owner", "o"), "OWNS", ("device", "d"), None))
    assert all_edges(graph)[0] == by_hand
    assert len(all_edges(graph)) == 8

    with graph.write() as session:
        session.draw([("", ())], [])

    assert by_hand not in all_edges(graph)
    assert len(all_edges(graph)) == 7


# Scripts ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def script(graph: Neo4jBackend, tmp_path: Path) -> Path:
    """The graph as a script, with values that are hard to write down."""
    with graph.write() as session:
        session.insert(DEVICE, ("\"'`\\\n$x\uffff\uf4ff\uf500", None, -(2**63), 1e300, 2**63 - 1))
        session.reserve("n", 7)
    target = tmp_path / "home.cypher"
    with target.open("w", encoding="ascii") as out:
        written = graph.write_script(out)
    assert (written.nodes, written.edges) == (10, 7)
    return target


@pytest.fixture
def elsewhere(settings: Callable[..., Settings]) -> Iterator[Settings]:
    """The settings of another place on the same server."""
    name = suite.harness.fresh()
    yield settings(prefix=name)
    assert suite.harness.drop is not None
    suite.harness.drop(name)


def test_a_script_makes_the_same_store_in_another_place(graph: Neo4jBackend, script: Path, elsewhere: Settings) -> None:
    Neo4jBackend.take_script(elsewhere, script)

    copy = Neo4jBackend.connect(elsewhere)
    try:
        assert all_edges(copy) == all_edges(graph)
        with copy.read() as theirs, graph.read() as ours:
            assert theirs.counters() == ours.counters() == {"n": 8}
            for layout in (OWNER, DEVICE, MEMBER):
                assert sorted(theirs.select(layout, Select())) == sorted(ours.select(layout, Select()))
        with copy.write() as session:
            session.delete(DEVICE, ALWAYS)
        assert all_edges(copy) == []
    finally:
        copy.close()


def test_the_lines_of_a_script_are_cypher(script: Path, elsewhere: Settings, graph: Neo4jBackend) -> None:
    prefix = str(elsewhere.options["prefix"])
    wire = Wire(elsewhere, graph.wire.tuning)
    try:
        for line in script.read_text("ascii").replace(graph.names.prefix, prefix).splitlines():
            if not line.startswith("//"):
                wire.change(line.removesuffix(";"), {})
    finally:
        wire.close()
    copy = Neo4jBackend.connect(elsewhere)
    try:
        out = io.StringIO()
        copy.write_script(out)
        lines = script.read_text("ascii").replace(graph.names.prefix, prefix).splitlines()
        assert out.getvalue().splitlines()[:-1] == lines[:-1]
    finally:
        copy.close()


@pytest.mark.parametrize("damage", ["cut", "changed", "foreign"])
def test_a_damaged_script_is_refused_before_anything_is_made(script: Path, elsewhere: Settings, damage: str) -> None:
    text = script.read_text("ascii")
    lines = text.splitlines(keepends=True)
    script.write_text(
        {"cut": "".join(lines[:-1]), "changed": text.replace('"o"', '"x"', 1), "foreign": "CREATE (n);\n"}[damage],
        "ascii",
    )

    with pytest.raises(Corrupt, match=r"another backup"):
        Neo4jBackend.take_script(elsewhere, script)

    with pytest.raises(Unreachable, match="there is no store"):
        Neo4jBackend.connect(elsewhere._replace(create=False))


def test_a_script_is_not_taken_into_a_place_that_has_a_store(script: Path, settings: Callable[..., Settings]) -> None:
    with pytest.raises(NotAllowed, match="there is a store with the prefix"):
        Neo4jBackend.take_script(settings(), script)


def test_the_driver_still_has_the_parts_that_are_touched(backend: Neo4jBackend) -> None:
    with backend.wire.session() as session, session.begin_transaction() as transaction:
        transaction.run("RETURN 1").consume()
        connection = session._connection
        assert connection is not None
        assert connection.socket.get_read_timeout() == backend.wire.tuning.read_timeout
    assert neo4j.__version__ >= "6"
