"""The beginning of a store, and schema changes in the transaction of a session."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from iotstore.backend import (
    AddColumn,
    AlterColumn,
    And,
    Busy,
    Column,
    Compare,
    CreateIndex,
    CreateLayout,
    DropColumn,
    DropIndex,
    DropLayout,
    EngineError,
    Index,
    InvalidValue,
    IsNull,
    Layout,
    NewerSchema,
    NotAStore,
    OnConflict,
    OnDelete,
    Op,
    Order,
    Reference,
    RenameColumn,
    RenameLayout,
    Row,
    Select,
    SetReferences,
    Settings,
    Type,
    UnknownReference,
    Unreachable,
)
from iotstore_postgres.store import PostgresBackend

MakeRow = Callable[..., Row]
Ask = Callable[..., list[tuple[Any, ...]]]
Open = Callable[..., PostgresBackend]


@pytest.fixture
def things() -> Layout:
    """Two columns beside the key, and an index."""
    return Layout(
        "things",
        (Column("id", Type.INT), Column("name", Type.TEXT, nullable=True), Column("size", Type.INT)),
        ("id",),
        (Index(("name", "id")),),
    )


@pytest.fixture
def indexes(ask: Ask, schema: str) -> Callable[[str], dict[str, str]]:
    """The definitions of a table's indexes, from the method on, by name."""

    def look(table: str) -> dict[str, str]:
        text = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = %s AND tablename = %s"
        return {name: definition.partition(" USING ")[2] for name, definition in ask(text, schema, table)}

    return look


@pytest.fixture
def constraints(ask: Ask, schema: str) -> Callable[[], list[str]]:
    """The definitions of all references of the store."""
    text = (
        "SELECT pg_get_constraintdef(c.oid) FROM pg_constraint c JOIN pg_namespace n ON n.oid = c.connamespace"
        " WHERE contype = 'f' AND nspname = %s ORDER BY 1"
    )
    return lambda: [definition for (definition,) in ask(text, schema)]


# ---------------------------------------------------------------------- the beginning


def test_a_store_is_made_where_there_is_nothing_and_found_again(
    connect: Open, settings: Callable[..., Settings]
) -> None:
    with pytest.raises(Unreachable, match="there is no store in schema"):
        PostgresBackend.connect(settings(create=False))
    with connect().read() as session:
        assert session.layouts() == frozenset()
        assert session.counters() == {}
    with closing(PostgresBackend.connect(settings(create=False))) as again, again.read() as session:
        assert session.layouts() == frozenset()


def test_an_empty_schema_that_is_there_becomes_a_store(connect: Open, ask: Ask, schema: str) -> None:
    ask(f'CREATE SCHEMA "{schema}"')
    with connect().read() as session:
        assert session.layouts() == frozenset()


def test_a_schema_with_other_tables_is_refused_and_not_touched(connect: Open, ask: Ask, schema: str) -> None:
    ask(f'CREATE SCHEMA "{schema}"')
    ask(f'CREATE TABLE "{schema}".device (x int)')
    with pytest.raises(NotAStore, match="holds 1 tables or other things that are none of ours"):
        connect()
    assert ask("SELECT relname FROM pg_class WHERE relnamespace = %s::regnamespace", schema) == [("device",)]


@pytest.mark.parametrize(
    "refused",
    [
        ("UPDATE iotstore_format SET number = number + 1", NewerSchema, "run the newer version of iotstore"),
        ("DELETE FROM iotstore_format", NotAStore, "says 0 times of which format it is"),
        ("ALTER TABLE iotstore_format RENAME number TO other", NotAStore, "is no store of ours"),
    ],
)
def test_a_store_of_another_format_is_refused_and_not_touched(
    connect: Open, ask: Ask, schema: str, refused: tuple[str, type[Exception], str]
) -> None:
    change, error, text = refused
    connect().close()
    ask(f'SET search_path = "{schema}"')
    try:
        ask(change)
        before = ask("SELECT * FROM iotstore_format")
        with pytest.raises(error, match=text):
            connect()
        assert ask("SELECT * FROM iotstore_format") == before
    finally:
        ask("RESET search_path")


def test_many_who_open_an_empty_database_at_once_make_one_store(
    settings: Callable[..., Settings], ask: Ask, schema: str
) -> None:
    barrier = threading.Barrier(6)

    def open_it() -> PostgresBackend:
        barrier.wait(30)
        return PostgresBackend.connect(settings(pool_size=1))

    with ThreadPoolExecutor(6) as threads:
        opened = [future.result(60) for future in [threads.submit(open_it) for _ in range(6)]]
    for backend in opened:
        backend.close()
    assert ask(f'SELECT count(*) FROM "{schema}".iotstore_format') == [(1,)]


def test_who_holds_the_schema_keeps_others_from_changing_it(
    backend: PostgresBackend, connect: Open, things: Layout
) -> None:
    other = connect(lock_timeout=0.2)
    with backend.write() as session:
        session.apply(())
        with pytest.raises(Busy, match="a lock was not free in time"), other.write() as rival:
            rival.apply(())
        with other.read() as reader:  # nobody else waits
            assert "devices" in reader.layouts()
    with other.write() as rival:
        rival.apply([CreateLayout(things)])


# ---------------------------------------------------------------------- changes


def test_indexes_put_null_where_every_order_has_it_and_end_with_the_key(
    backend: PostgresBackend, indexes: Callable[[str], dict[str, str]]
) -> None:
    with backend.write() as session:
        session.apply(
            [CreateIndex("flows", Index(("bytes",))), CreateIndex("flows", Index(("bytes", "at"), unique=True))]
        )
    found = indexes("flows")
    assert sorted(found.values()) == [
        "btree (at NULLS FIRST, id)",
        "btree (bytes NULLS FIRST, at NULLS FIRST)",
        "btree (bytes NULLS FIRST, id)",
        "btree (device NULLS FIRST, at NULLS FIRST, id)",
        "btree (id)",
    ]


def test_references_wait_for_the_commit_and_point_to_the_key(
    backend: PostgresBackend, constraints: Callable[[], list[str]], schema: str
) -> None:
    backend.read().close()
    assert constraints() == [f"FOREIGN KEY (device) REFERENCES {schema}.devices(key) DEFERRABLE INITIALLY DEFERRED"]


def test_a_column_is_added_with_its_default_renamed_loosened_tightened_and_dropped(
    backend: PostgresBackend, things: Layout
) -> None:
    defaults: list[tuple[Type, object]] = [
        (Type.TEXT, "it's 100 % :now \\ \U0001f600"),
        (Type.INT, -(2**63)),
        (Type.REAL, 5e-324),
        (Type.BOOL, True),
        (Type.BYTES, b"\x00'"),
        (Type.TIME, 0),
        (Type.TEXTSET, ("a'", "b:c")),
    ]
    extra = tuple(Column(f"c_{of}", of, default=value) for of, value in defaults)
    wide = Layout("things", (*things.columns, *extra), ("id",))
    with backend.write() as session:
        session.apply([CreateLayout(things)])
        session.insert(things, (1, "a", 5))
        session.apply([AddColumn("things", column) for column in extra])
        expected = [list(value) if isinstance(value, tuple) else value for _, value in defaults]
        assert session.get(wide, (1,)) == (1, "a", 5, *expected)
        session.apply([RenameColumn("things", "size", "xmin"), *(DropColumn("things", one.name) for one in extra)])
    renamed = Layout("things", (things.columns[0], things.columns[1], Column("xmin", Type.INT)), ("id",))
    with backend.write() as session:
        assert session.select(renamed, Select(Compare("xmin", Op.EQ, 5))) == [(1, "a", 5)]
        session.apply([AlterColumn("things", Column("xmin", Type.INT, nullable=True))])
        session.insert(renamed, (2, None, None))
        assert session.select(renamed, Select(IsNull("xmin"))) == [(2, None, None)]
        session.savepoint()
        with pytest.raises(InvalidValue, match="may not be None"):
            session.apply([AlterColumn("things", Column("xmin", Type.INT))])
        session.undo()
        session.delete(renamed, IsNull("xmin"))
        session.apply([AlterColumn("things", Column("xmin", Type.INT))])


def test_an_index_is_found_by_its_columns_after_everything_was_renamed(
    backend: PostgresBackend, things: Layout, indexes: Callable[[str], dict[str, str]]
) -> None:
    by_size = Index(("size",), unique=True)
    with backend.write() as session:
        session.apply(
            [
                CreateLayout(things),
                CreateIndex("things", by_size),
                RenameColumn("things", "name", "title"),
                RenameLayout("things", "items"),
                CreateLayout(things),  # under the old name, with an index of the old name
            ]
        )
    assert sorted(indexes("items").values()) == [
        "btree (id)",
        "btree (size NULLS FIRST)",
        "btree (title NULLS FIRST, id)",
    ]
    with backend.write() as session:
        session.apply([DropIndex("items", Index(("title", "id"))), DropIndex("items", by_size)])
        session.savepoint()
        with pytest.raises(EngineError, match="items has no index over size"):
            session.apply([DropIndex("items", by_size)])
        session.undo()
    assert list(indexes("items").values()) == ["btree (id)"]
    assert len(indexes("things")) == 2


def test_names_of_any_length_and_alphabet_are_kept_apart(backend: PostgresBackend) -> None:
    long = "\u00e9" * 100
    columns = (Column("id", Type.INT), Column(long + "a", Type.INT), Column(long + "b", Type.INT))
    layout = Layout("l" * 48, columns, ("id",), (Index((long + "a", long + "b")), Index((long + "b", long + "a"))))
    with backend.write() as session:
        session.apply([CreateLayout(layout)])
        session.insert(layout, (1, 2, 3))
        session.apply([DropIndex(layout.name, index) for index in layout.indexes])
        session.apply([RenameColumn(layout.name, long + "a", "short")])
    short = Layout(layout.name, (columns[0], Column("short", Type.INT), columns[2]), ("id",))
    with backend.read() as session:
        assert session.select(short, Select(Compare("short", Op.EQ, 2))) == [(1, 2, 3)]


def test_references_are_replaced_and_checked_from_then_on(
    backend: PostgresBackend, devices: Layout, flows: Layout, row: MakeRow, constraints: Callable[[], list[str]]
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a"))
        session.insert(flows, (1, "a", 0, None))
        session.apply([SetReferences(flows, ())])
        session.insert(flows, (2, "nobody", 0, None))
    assert constraints() == []
    references = (Reference("device", "devices", OnDelete.CLEAR),)
    with pytest.raises(UnknownReference, match="device"), backend.write() as session:
        session.apply([SetReferences(flows, references)])
    with backend.write() as session:
        session.delete(flows, Compare("id", Op.EQ, 2))
        session.apply([SetReferences(flows, references)])
        session.apply([SetReferences(flows, (references[0], Reference("device", "devices", OnDelete.KEEP)))])
    assert len(constraints()) == 1


def test_rows_can_be_changed_before_between_and_after_changes_of_their_schema(
    backend: PostgresBackend, devices: Layout, flows: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a"))
        session.insert(flows, (1, "a", 0, None))
        stream = session.stream(flows, Select(), 10)
        next(stream)
        session.apply([AddColumn("flows", Column("note", Type.TEXT, nullable=True))])
        session.update(flows, And(()), {"at": 5})
        session.apply([RenameColumn("flows", "at", "when"), RenameLayout("devices", "machines")])
        session.insert(Layout("machines", devices.columns, ("key",), version="version"), row("b"))
    with backend.read() as session:
        assert session.layouts() == {"flows", "machines", "members"}


def test_a_column_goes_with_its_reference_and_its_indexes_and_a_layout_with_its_children(
    backend: PostgresBackend, constraints: Callable[[], list[str]]
) -> None:
    with backend.write() as session:
        session.apply([DropIndex("flows", Index(("device", "at", "id"))), DropColumn("flows", "device")])
    assert constraints() == []
    with backend.write() as session:
        session.apply([DropLayout("devices"), DropLayout("flows")])
    with backend.read() as session:
        assert session.layouts() == {"members"}


def test_a_transaction_that_fails_leaves_schema_and_records_as_they_were(
    backend: PostgresBackend, devices: Layout, things: Layout, row: MakeRow
) -> None:
    with backend.write() as session:
        session.insert(devices, row("a", name="x"))
    session = backend.write()
    session.apply([DropLayout("members"), CreateLayout(things), RenameColumn("devices", "name", "title")])
    session.insert_many(things, [(1, None, 1), (2, None, 2)], OnConflict.ERROR)
    session.rollback()
    with backend.read() as reader:
        assert reader.layouts() == {"devices", "flows", "members"}
        assert reader.select(devices, Select(order=(Order("name"),))) == [row("a", name="x")]
