"""Schema operations on SQLite: every one keeps the rows, fires no action, and belongs to its transaction."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from iotstore.backend import (
    AddColumn,
    AlterColumn,
    And,
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
    Layout,
    NotNull,
    OnDelete,
    Op,
    Reference,
    RenameColumn,
    RenameLayout,
    Select,
    SetReferences,
    Touched,
    Type,
    UnknownReference,
)
from iotstore_sqlite.store import SqliteBackend


def declaration(backend: SqliteBackend, name: str) -> str:
    with backend.read() as session:
        return str(session.rows("SELECT sql FROM sqlite_schema WHERE name = ?", (name,))[0][0])


@pytest.fixture
def filled(backend: SqliteBackend, devices: Layout, flows: Layout) -> SqliteBackend:
    with backend.write() as session:
        session.insert(devices, ("a", "A", True, None, None, None, None, None, 1))
        session.insert(flows, (1, "a", 5, None))
    return backend


def test_layouts_are_told_without_the_private_tables(backend: SqliteBackend) -> None:
    with backend.read() as session:
        assert session.layouts() == {"devices", "flows", "members"}


def test_tables_are_strict_and_short_rows_lie_in_the_tree_of_their_key(backend: SqliteBackend) -> None:
    tables = {}
    with backend.read() as session:
        for _, name, kind, _, without_rowid, strict in session.rows("PRAGMA table_list", ()):
            if kind == "table" and not name.startswith("sqlite_"):
                tables[name] = (bool(strict), bool(without_rowid))
    assert tables == {
        "iotstore_points": (True, True),
        "iotstore_counters": (True, True),
        "devices": (True, False),
        "flows": (True, False),
        "members": (True, True),
    }


def test_a_column_is_added_with_its_default_for_the_rows_that_exist(filled: SqliteBackend, flows: Layout) -> None:
    added = [
        Column("note", Type.TEXT, default="it's"),
        Column("ok", Type.BOOL, default=True),
        Column("rate", Type.REAL, default=-1.5),
        Column("raw", Type.BYTES, default=b"\x00'"),
        Column("tags", Type.TEXTSET, nullable=True, default=("a", "b")),
        Column("hint", Type.TEXT, nullable=True),
    ]
    with filled.write() as session:
        session.apply([AddColumn("flows", column) for column in added])
    wider = replace(flows, columns=(*added, *flows.columns))  # declared in front, stored behind
    with filled.write() as session:
        row = session.get(wider, (1,))
        assert row == ("it's", 1, -1.5, b"\x00'", "\na\nb\n", None, 1, "a", 5, None)
        session.insert(wider, ("n", False, 0.5, b"", None, "h", 2, "a", 6, None))
        assert session.get(wider, (2,)) == ("n", 0, 0.5, b"", None, "h", 2, "a", 6, None)


def test_a_parent_changes_its_nullability_and_its_children_stay(filled: SqliteBackend, flows: Layout) -> None:
    with filled.write() as session:
        session.apply([AlterColumn("devices", Column("name", Type.TEXT, nullable=False))])
        with pytest.raises(InvalidValue, match="name: may not be None"):
            session.rows("UPDATE devices SET name = NULL", ())
        session.apply([AlterColumn("devices", Column("name", Type.TEXT, nullable=True))])
        session.rows("UPDATE devices SET name = NULL", ())
        with pytest.raises(EngineError, match=r"devices\.name holds None"):
            session.apply([AlterColumn("devices", Column("name", Type.TEXT, nullable=False))])
    with filled.read() as session:
        assert session.get(flows, (1,)) == (1, "a", 5, None)
    assert [check.status for check in filled.verify()] == ["ok", "ok"]


def test_references_are_set_and_removed_without_touching_a_row(filled: SqliteBackend, flows: Layout) -> None:
    with filled.write() as session:
        session.apply([SetReferences(flows, ())])
        session.insert(flows, (2, "nobody", 5, None))
    assert "REFERENCES" not in declaration(filled, "flows")
    with filled.write() as session:
        session.rows("DELETE FROM flows WHERE id = 2", ())
        session.apply([SetReferences(flows, flows.references)])
    assert "REFERENCES" in declaration(filled, "flows")
    session = filled.write()
    session.insert(flows, (2, "nobody", 5, None))
    with pytest.raises(UnknownReference, match="device: "):
        session.commit()


def test_a_reference_that_outlives_its_target_is_no_constraint(filled: SqliteBackend, flows: Layout) -> None:
    kept = (Reference("device", "devices", OnDelete.KEEP),)
    with filled.write() as session:
        session.apply([SetReferences(flows, kept), CreateLayout(replace(flows, name="evidence", references=kept))])
    assert "REFERENCES" not in declaration(filled, "flows")
    assert "REFERENCES" not in declaration(filled, "evidence")


def test_renames_keep_rows_references_and_indexes_and_free_the_old_names(
    filled: SqliteBackend, devices: Layout, flows: Layout
) -> None:
    with filled.write() as session:
        session.apply([
            RenameColumn("flows", "device", "source"),
            RenameLayout("devices", "things"),
            RenameLayout("flows", "streams"),
            CreateLayout(replace(devices, name="devices")),
            CreateLayout(flows),  # its index would have the name that the renamed one still has
            DropIndex("streams", Index(("source", "at", "id"))),
        ])  # fmt: skip
    with filled.read() as session:
        assert session.layouts() == {"things", "streams", "devices", "flows", "members"}
        assert session.rows("SELECT * FROM streams", ()) == [(1, "a", 5, None)]
        assert session.select(flows, Select()) == []
        indexes = {
            row[0]
            for row in session.rows("SELECT name FROM sqlite_schema WHERE tbl_name = 'streams' AND type = 'index'", ())
        }
        assert indexes == {"ix_flows_at_id"}
    assert 'REFERENCES "things"' in declaration(filled, "streams")


def test_a_column_goes_with_its_reference(filled: SqliteBackend) -> None:
    with filled.write() as session:
        session.apply([DropIndex("flows", Index(("device", "at", "id"))), DropColumn("flows", "device")])
    with filled.read() as session:
        assert session.rows("SELECT * FROM flows", ()) == [(1, 5, None)]
    assert "REFERENCES" not in declaration(filled, "flows")


def test_an_index_is_made_once_and_found_by_its_columns(filled: SqliteBackend) -> None:
    by_bytes = Index(("bytes", "id"))
    with filled.write() as session:
        session.apply([CreateIndex("flows", by_bytes), DropIndex("flows", by_bytes)])
        with pytest.raises(EngineError, match="flows has no index over bytes, id"):
            session.apply([DropIndex("flows", by_bytes)])


def test_a_layout_goes_with_its_children_in_either_order(filled: SqliteBackend) -> None:
    with filled.write() as session:
        session.apply([DropLayout("devices"), DropLayout("flows")])
    with filled.read() as session:
        assert session.layouts() == {"members"}


def test_a_parent_with_children_can_not_be_dropped(filled: SqliteBackend) -> None:
    session = filled.write()
    session.apply([DropLayout("devices")])
    with pytest.raises(UnknownReference, match="a record of flows points to a record of devices"):
        session.commit()
    with filled.read() as reading:
        assert "devices" in reading.layouts()


def test_a_migration_that_fails_leaves_schema_and_rows_as_they_were(filled: SqliteBackend, flows: Layout) -> None:
    before = declaration(filled, "flows"), declaration(filled, "devices")
    session = filled.write()
    session.apply([
        AddColumn("flows", Column("extra", Type.INT, default=1)),
        SetReferences(flows, ()),
        AlterColumn("devices", Column("name", Type.TEXT, nullable=False)),
        DropLayout("members"),
    ])  # fmt: skip
    with pytest.raises(EngineError, match="no such column"):
        session.apply([DropColumn("flows", "nothing")])
    session.rollback()
    assert (declaration(filled, "flows"), declaration(filled, "devices")) == before
    with filled.write() as again:
        assert again.get(flows, (1,)) == (1, "a", 5, None)
        again.insert(flows, (2, "a", 5, None))


def test_open_readers_see_a_change_of_the_schema(filled: SqliteBackend, flows: Layout) -> None:
    with filled.read() as reading:
        assert reading.get(flows, (1,)) == (1, "a", 5, None)
        with filled.write() as session:
            session.apply([SetReferences(flows, ()), AddColumn("flows", Column("x", Type.INT, nullable=True))])
        assert reading.get(flows, (1,)) == (1, "a", 5, None)
        assert reading.rows("SELECT x FROM flows", ()) == [(None,)]


def test_opening_a_store_whose_schema_is_as_declared_imports_no_alembic(backend: SqliteBackend) -> None:
    script = (
        "import sys\n"
        "from iotstore.backend import Settings\n"
        "from iotstore_sqlite.store import SqliteBackend\n"
        f"path = {str(backend._path)!r}\n"
        "backend = SqliteBackend.connect(Settings('sqlite', None, None, (), path, path, {}))\n"
        "with backend.write() as session: print(sorted(session.layouts()))\n"
        "backend.close()\n"
        "print('alembic' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.splitlines() == ["['devices', 'flows', 'members']", "False"]


def test_names_that_are_words_of_sql_are_names(backend: SqliteBackend) -> None:
    words = ("nothing", "select", "order", "returning", "window", "values", "excluded", "rowid", "oid")
    columns = tuple(Column(word, Type.INT, nullable=True) for word in words[1:])
    layout = Layout("group", (Column("nothing", Type.TEXT), *columns), ("nothing",), (Index(("select", "order")),))
    row = ("key", *range(1, len(words)))
    with backend.write() as session:
        session.apply([CreateLayout(layout), RenameColumn("group", "window", "over"), DropColumn("group", "values")])
        session.apply([AddColumn("group", Column("values", Type.INT, nullable=True, default=6))])
        session.apply([RenameColumn("group", "over", "window"), DropIndex("group", Index(("select", "order")))])
        session.insert(layout, row)
        assert session.upsert(layout, [row])[0].row == row
        assert session.get_many(layout, [("key",)]) == [row]
        assert session.update(layout, And((Compare("rowid", Op.EQ, 7), NotNull("excluded"))), {"values": 1}) == [
            Touched(("key",), 0)
        ]
