"""Deletions and the references to what is deleted, with a writer who adds a record while the deletion waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from iotstore import Kind, OnDelete, Record, StillReferenced, Store, Tracked, field
from iotstore.backend import Filter, Layout, Touched
from iotstore_sqlite._transaction import SqliteWrite

Opener = Callable[..., Store]


class House(Tracked, frozen=True, kw_only=True):
    key: str


class Room(Record, frozen=True, kw_only=True):
    key: str
    house: str | None = None


HOUSES = Kind(House, "house", "key")


def late_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever deletes houses waits for a writer who puts a room into one of them first."""
    original = SqliteWrite.delete

    def delete(self: SqliteWrite, layout: Layout, where: Filter) -> list[Touched]:
        if layout.name == "house":
            self.rows("INSERT INTO room (key, house) VALUES ('late', 'h')", ())
        return original(self, layout, where)

    monkeypatch.setattr(SqliteWrite, "delete", delete)


def opened(open_store: Opener, action: OnDelete) -> Store:
    rooms: Kind[Any] = Kind(Room, "room", "key", references={"house": ("house", action)})
    store = open_store(kinds=[HOUSES, rooms])
    store.records(HOUSES).add_many([House(key="h"), House(key="other")])
    store.records("room").add(Room(key="r", house="other"))
    return store


def test_a_record_added_while_a_deletion_waited_still_refuses_it(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = opened(open_store, OnDelete.RESTRICT)
    late_room(monkeypatch)

    for delete in (
        lambda: store.records("house").delete("h"),
        lambda: store.records("house").delete_where(field("key") == "h"),
    ):
        with pytest.raises(StillReferenced, match="records of room point to this house by house"):
            delete()

    assert [house.key for house in store.records(HOUSES).list()] == ["h", "other"]
    assert [room.key for room in store.records("room").list()] == ["r"]


@pytest.mark.parametrize("action", [OnDelete.CASCADE, OnDelete.CLEAR], ids=str)
def test_a_record_added_while_a_deletion_waited_is_deleted_or_cleared_too(
    open_store: Opener, monkeypatch: pytest.MonkeyPatch, action: OnDelete
) -> None:
    store = opened(open_store, action)
    late_room(monkeypatch)

    store.records(HOUSES).delete("h")

    rooms = [(room.key, room.house) for room in store.records("room").list()]
    assert rooms == ([("r", "other")] if action is OnDelete.CASCADE else [("late", None), ("r", "other")])


def test_what_is_refused_inside_a_transaction_leaves_the_rest_of_it(open_store: Opener) -> None:
    store = opened(open_store, OnDelete.RESTRICT)

    with store.transaction():
        store.records(HOUSES).delete("h")
        with pytest.raises(StillReferenced, match="delete or change them first"):
            store.records(HOUSES).delete("other")
        store.records(HOUSES).add(House(key="new"))

    assert [house.key for house in store.records(HOUSES).list()] == ["new", "other"]


def test_the_schema_is_held_before_it_is_looked_at_again(open_store: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes that open an old store at once must not both plan by what they saw before either began."""
    calls: list[str] = []
    apply, layouts = SqliteWrite.apply, SqliteWrite.layouts

    def recorded_apply(self: SqliteWrite, operations: Any) -> None:
        calls.append(f"apply {len(operations)}")
        apply(self, operations)

    def recorded_layouts(self: SqliteWrite) -> frozenset[str]:
        calls.append("layouts")
        return layouts(self)

    monkeypatch.setattr(SqliteWrite, "apply", recorded_apply)
    monkeypatch.setattr(SqliteWrite, "layouts", recorded_layouts)

    open_store().close()

    assert calls[:2] == ["apply 0", "layouts"]
    assert "apply 1" in calls
