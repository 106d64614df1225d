"""Changes: what hooks before commit and observers after it are told, in which transaction, and what they may do."""

import logging
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import iotstore
from iotstore import (
    Alert,
    Change,
    Connection,
    Device,
    Group,
    Kind,
    ManualClock,
    NotFound,
    OnDelete,
    Point,
    Record,
    Store,
    StoreError,
    Text,
    Tracked,
    Transaction,
    VersionConflict,
    field,
    hookimpl,
)

Opener = Callable[..., Store]
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Note(Record, frozen=True, kw_only=True):
    """An untracked kind that the outbox below writes to."""

    id: int = 0
    text: str


NOTES = Kind(Note, "note", "id", generated="id")


class Outbox:
    """A plugin that writes what it is told into the same transaction."""

    def __init__(self) -> None:
        self.told: list[tuple[Change, ...]] = []
        self.after: list[tuple[Change, ...]] = []
        self.store: Store | None = None
        self.refuse = False

    @hookimpl
    def iotstore_before_commit(self, transaction: Transaction, changes: tuple[Change, ...]) -> None:
        assert isinstance(transaction, Transaction)
        self.told.append(changes)
        if self.refuse:
            raise RuntimeError("the outbox refuses")
        if self.store is not None:
            text = ",".join(f"{change.action} {change.kind} {change.key[0]}" for change in changes)
            self.store.records(NOTES).add(Note(text=text))

    @hookimpl
    def iotstore_after_commit(self, changes: tuple[Change, ...]) -> None:
        self.after.append(changes)


@pytest.fixture
def outbox() -> Outbox:
    return Outbox()


@pytest.fixture
def store(open_store: Opener, outbox: Outbox) -> Store:
    opened = open_store(kinds=[NOTES], plugins=[outbox])
    outbox.store = opened
    return opened


def told(changes: tuple[Change, ...]) -> list[tuple[str, str, tuple[Any, ...]]]:
    return [(change.action, change.kind, change.key) for change in changes]


def add_and_fail(store: Store, key: str, why: str) -> None:
    """Add a device in a transaction, or in a savepoint of the one that is open, and leave it by an error."""
    with store.transaction():
        store.devices.add(Device(key=key))
        raise ValueError(why)


def notes(store: Store) -> list[str]:
    return [note.text for note in store.records(NOTES).list()]


def test_each_operation_tells_what_it_changed(store: Store, outbox: Outbox) -> None:
    store.devices.add(Device(key="a"))
    store.devices.put(Device(key="a", name="A"))
    store.devices.put(Device(key="b"))
    store.devices.update("a", name="B")
    store.devices.add_many([Device(key="b"), Device(key="c")], on_conflict="keep")
    store.devices.put_many([Device(key="c"), Device(key="d")])
    store.devices.update_where(field("key") > "b", kind="camera")
    store.devices.delete("a")
    store.devices.delete_where(field("key") == "b")

    assert [told(changes) for changes in outbox.told] == [
        [("insert", "device", ("a",))],
        [("update", "device", ("a",))],
        [("insert", "device", ("b",))],
        [("update", "device", ("a",))],
        [("insert", "device", ("c",))],
        [("update", "device", ("c",)), ("insert", "device", ("d",))],
        [("update", "device", ("c",)), ("update", "device", ("d",))],
        [("delete", "device", ("a",))],
        [("delete", "device", ("b",))],
    ]
    assert outbox.after == outbox.told


def test_a_transaction_is_told_once_in_its_order(store: Store, outbox: Outbox) -> None:
    with store.transaction():
        store.devices.add(Device(key="a"))
        store.groups.add(Group(key="g"))
        store.devices.update("a", name="A")

    (changes,) = outbox.told
    assert told(changes) == [
        ("insert", "device", ("a",)),
        ("insert", "device_group", ("g",)),
        ("update", "device", ("a",)),
    ]


def test_the_version_told_is_the_version_stored(store: Store, outbox: Outbox) -> None:
    added = store.devices.add(Device(key="a"))
    updated = store.devices.update("a", name="A")
    store.devices.delete("a")

    assert [changes[0].version for changes in outbox.told] == [added.version, updated.version, updated.version]


def test_what_a_hook_before_commit_writes_is_part_of_the_transaction(store: Store) -> None:
    store.devices.add(Device(key="a"))

    with pytest.raises(ValueError, match="changed my mind"):
        add_and_fail(store, "b", "changed my mind")

    assert notes(store) == ["insert device a"]


def test_what_a_hook_before_commit_raises_undoes_the_transaction_and_what_the_hook_wrote(
    open_store: Opener, outbox: Outbox
) -> None:
    second = Outbox()
    store = open_store(kinds=[NOTES], plugins=[second, outbox])
    outbox.store = store
    second.refuse = True

    with pytest.raises(RuntimeError, match="the outbox refuses"):
        store.devices.add(Device(key="a"))

    assert (store.devices.find("a"), notes(store), outbox.after, second.after) == (None, [], [], [])
    second.refuse = False
    store.devices.add(Device(key="a"))
    assert notes(store) == ["insert device a"]


def test_what_an_undone_savepoint_changed_is_not_told(store: Store, outbox: Outbox) -> None:
    with store.transaction():
        store.devices.add(Device(key="a"))
        with pytest.raises(ValueError, match="inner"):
            add_and_fail(store, "b", "inner")
        with pytest.raises(StoreError, match="a"):
            store.devices.add(Device(key="a"))

    assert [told(changes) for changes in outbox.told] == [[("insert", "device", ("a",))]]


def test_a_transaction_that_is_rolled_back_tells_nobody(store: Store, outbox: Outbox) -> None:
    with pytest.raises(ValueError, match="no"):
        add_and_fail(store, "a", "no")

    assert outbox.told == outbox.after == []


def test_untracked_kinds_and_points_tell_nothing(store: Store, outbox: Outbox) -> None:
    store.devices.add(Device(key="a"))
    store.telemetry.write([Point("a", "temperature", NOON, 1.0)])
    outbox.told.clear()

    store.records(NOTES).add(Note(text="mine"))
    store.connections.add_many([Connection(device="a", time=NOON)])
    store.telemetry.write([Point("a", "temperature", NOON + timedelta(1), 1.0)])

    assert outbox.told == []


def test_a_replayed_batch_changes_nothing_and_tells_nothing(store: Store, outbox: Outbox) -> None:
    for _ in range(2):
        store.devices.put_many([Device(key="a")], idempotency_key="once")

    assert len(outbox.told) == 1


def test_cascades_and_cleared_references_are_told_before_the_deletion_that_asked_for_them(open_store: Opener) -> None:
    class House(Tracked, frozen=True, kw_only=True):
        key: str

    class Room(Tracked, frozen=True, kw_only=True):
        key: str
        house: str

    class Lamp(Tracked, frozen=True, kw_only=True):
        key: str
        room: str | None = None

    kinds: list[Kind[Any]] = [
        Kind(House, "house", "key"),
        Kind(Room, "room", "key", references={"house": ("house", OnDelete.CASCADE)}),
        Kind(Lamp, "lamp", "key", references={"room": ("room", OnDelete.CLEAR)}),
    ]
    outbox = Outbox()
    store = open_store(kinds=kinds, plugins=[outbox])
    store.records("house").add(House(key="h"))
    store.records("room").add(Room(key="r", house="h"))
    store.records("lamp").add(Lamp(key="l", room="r"))
    outbox.told.clear()

    store.records("house").delete("h")

    assert [told(changes) for changes in outbox.told] == [
        [("update", "lamp", ("l",)), ("delete", "room", ("r",)), ("delete", "house", ("h",))]
    ]


def test_an_observer_that_raises_is_logged_and_neither_the_write_nor_the_others_suffer(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[Change] = []

    def broken(_: tuple[Change, ...]) -> None:
        raise ZeroDivisionError("broken observer")

    store.on_commit(broken)
    store.on_commit(seen.extend)

    with caplog.at_level(logging.ERROR, "iotstore"):
        store.devices.add(Device(key="a"))

    assert [change.key for change in seen] == [("a",)]
    assert "the change it was told of is committed" in caplog.text
    assert "broken observer" in caplog.text


def test_an_observer_sees_the_change_and_may_write_itself(store: Store) -> None:
    seen: list[str | None] = []

    def react(changes: tuple[Change, ...]) -> None:
        device = store.devices.get(changes[0].key[0])
        seen.append(device.name)
        if device.name == "first":
            store.devices.update(device.key, name="second")

    store.on_commit(react)
    store.devices.add(Device(key="a", name="first"))

    assert seen == ["first", "second"]


def test_an_observer_that_was_ended_is_told_no_more(store: Store) -> None:
    seen: list[tuple[Change, ...]] = []
    end = store.on_commit(seen.append)

    store.devices.add(Device(key="a"))
    end()
    store.devices.add(Device(key="b"))

    assert len(seen) == 1


# Versions ---------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "put", "update", "delete", "rollback"]), st.integers(-2, 2)), max_size=20
    )
)
@settings(max_examples=40, deadline=None)
def test_the_versions_of_one_key_only_grow_whatever_happens_to_it_and_to_the_clock(
    steps: list[tuple[str, int]],
) -> None:
    clock = ManualClock(NOON)
    seen: list[int] = []
    with iotstore.open("sqlite://:memory:", clock=clock) as store:
        store.on_commit(lambda changes: seen.extend(c.version for c in changes if c.action != "delete"))
        for action, seconds in steps:
            clock.advance(timedelta(microseconds=seconds))
            try:
                if action == "rollback":
                    add_and_fail(store, "a", "on purpose")
                elif action == "update":
                    store.devices.update("a", name="x")
                elif action == "delete":
                    store.devices.delete("a")
                else:
                    getattr(store.devices, action)(Device(key="a"))
            except (NotFound, ValueError, iotstore.Conflict):
                continue

    assert seen == sorted(set(seen))


def test_a_key_that_was_deleted_and_put_again_has_a_higher_version_than_it_ever_had(store: Store) -> None:
    store.devices.add(Device(key="a"))
    for _ in range(5):
        highest = store.devices.update("a", name="x").version
    store.devices.delete("a")

    again = store.devices.add(Device(key="a"))

    assert again.version > highest
    with pytest.raises(VersionConflict, match="not the expected"):
        store.devices.update("a", expected=highest, name="y")


def test_a_change_with_the_version_that_is_there_passes_and_with_any_other_changes_nothing(store: Store) -> None:
    first = store.devices.add(Device(key="a"))

    second = store.devices.update("a", expected=first.version, name="A")

    assert second.version == first.version + 1
    for call in (
        lambda: store.devices.update("a", expected=first.version, name="B"),
        lambda: store.devices.delete("a", expected=first.version),
    ):
        with pytest.raises(VersionConflict, match=f"has version {second.version}, not the expected {first.version}"):
            call()
    assert store.devices.get("a") == second
    store.devices.delete("a", expected=second.version)
    assert store.devices.find("a") is None


def test_expecting_a_version_of_an_untracked_kind_is_refused(store: Store) -> None:
    note = store.records(NOTES).add(Note(text="x"))

    with pytest.raises(iotstore.InvalidValue, match="expected: a note has no version"):
        store.records(NOTES).update(note.id, expected=1, text="y")


# References -------------------------------------------------------------------------------------------------------


class Node(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    up: str | None = None


def nodes(action: OnDelete) -> Kind[Node]:
    return Kind(Node, "node", "key", references={"up": ("node", action)})


@pytest.mark.parametrize("action", [OnDelete.CASCADE, OnDelete.RESTRICT], ids=str)
def test_a_circle_of_records_can_be_deleted_as_one(open_store: Opener, action: OnDelete) -> None:
    store = open_store(kinds=[nodes(action)])
    records = store.records("node")
    records.add_many([Node(key="a", up="c"), Node(key="b", up="a"), Node(key="c", up="b"), Node(key="own", up="own")])

    assert records.delete_where(field("key") < "z") == 4
    assert records.count() == 0


def test_a_cascade_follows_a_circle_once_and_takes_all_of_it(open_store: Opener) -> None:
    store = open_store(kinds=[nodes(OnDelete.CASCADE)])
    records = store.records("node")
    records.add_many([Node(key="a", up="c"), Node(key="b", up="a"), Node(key="c", up="b"), Node(key="free")])

    records.delete("a")

    assert [node.key for node in records.list()] == ["free"]


def test_a_record_that_others_point_to_stays_when_that_is_declared(open_store: Opener) -> None:
    store = open_store(kinds=[nodes(OnDelete.RESTRICT)])
    records = store.records("node")
    records.add_many([Node(key="a"), Node(key="b", up="a")])

    with pytest.raises(
        iotstore.StillReferenced, match="records of node point to this node by up; delete or change them"
    ):
        records.delete("a")
    assert records.count() == 2
    records.delete("b")
    records.delete("a")
    assert records.count() == 0


def test_rows_of_one_batch_may_point_to_each_other_and_a_dangling_one_is_rejected(open_store: Opener) -> None:
    store = open_store(kinds=[nodes(OnDelete.CLEAR)])
    batch = [Node(key="a", up="b"), Node(key="b", up="a"), Node(key="c", up="nobody")]

    receipt = store.records("node").add_many(batch, on_invalid="reject")

    assert (receipt.stored, [(row.index, row.field, row.reason) for row in receipt.rejected]) == (
        2,
        [(2, "up", "there is no node 'nobody'")],
    )


def test_a_rejected_row_takes_with_it_the_rows_that_point_to_it(open_store: Opener) -> None:
    store = open_store(kinds=[nodes(OnDelete.CLEAR)])
    batch = [
        Node(key="child", up="bad"),
        Node(key="bad", up="nobody"),
        Node(key="grandchild", up="child"),
        Node(key="fine"),
    ]

    receipt = store.records("node").add_many(batch, on_invalid="reject")

    assert [row.index for row in receipt.rejected] == [0, 1, 2]
    assert [node.key for node in store.records("node").list()] == ["fine"]


def test_deleting_a_device_keeps_what_is_evidence(store: Store) -> None:
    store.devices.add(Device(key="a"))
    store.groups.add(Group(key="g"))
    store.groups.add_device("g", "a")
    store.connections.add(Connection(device="a", time=NOON))
    alert = store.alerts.raise_(Alert(kind="x", title="X", device="a"))
    store.alerts.suppress("a", timedelta(hours=1))

    store.devices.delete("a")

    assert (store.connections.count(), store.alerts.get(alert.id).device) == (1, "a")
    assert store.groups.members("g") == []
    assert not store.alerts.suppressed("a")


@pytest.mark.parametrize(
    "write",
    [
        lambda store: store.devices.add(Device(key="a", location="nowhere")),
        lambda store: store.devices.put(Device(key="a", location="nowhere")),
        lambda store: store.devices.update("there", location="nowhere"),
        lambda store: store.devices.update_where(field("key") == "there", location="nowhere"),
    ],
    ids=["add", "put", "update", "update_where"],
)
def test_pointing_to_nothing_is_refused_by_field_and_value(store: Store, write: Callable[[Store], object]) -> None:
    store.devices.add(Device(key="there"))

    with pytest.raises(
        iotstore.UnknownReference, match="location: there is no location 'nowhere'; add the location first"
    ):
        write(store)
    assert [device.location for device in store.devices.list()] == [None]
