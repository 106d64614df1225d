"""Copies from store to store, and backups of backends without snapshots."""

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

import iotstore
from iotstore import Capability, Connection, Kind, ManualClock
from iotstore._catalogue import catalogue, loading, restoring
from iotstore._catalogue.manifest import Summary
from iotstore._engine.gate import Gate
from iotstore._waist.capabilities import NotSupported
from iotstore.errors import BackupError, Busy, NotAllowed, Unsupported

Digests = Callable[[iotstore.Store], Any]
Opener = Callable[..., iotstore.Store]


def copy(source: iotstore.Store, target: iotstore.Store, **more: Any) -> dict[str, int]:
    """Copy between open stores."""
    return restoring.copy(source._engine, target._engine, **more)


@pytest.mark.parametrize("target_kinds", [True, False])
def test_a_copy_is_equal_by_digest_whether_the_target_knows_the_kinds_or_not(
    store: iotstore.Store, open_store: Opener, digests: Digests, own_kinds: list[Kind[Any]], *, target_kinds: bool
) -> None:
    target = open_store("target.db", kinds=own_kinds if target_kinds else [])

    counts = copy(store, target)

    assert digests(target) == digests(store)
    assert counts == {summary.name: summary.count for summary in digests(store)}


def test_a_copy_into_memory_and_back_is_equal(
    store: iotstore.Store, open_store: Opener, digests: Digests, clock: ManualClock
) -> None:
    with iotstore.open("sqlite://:memory:", clock=clock) as memory:
        copy(store, memory)
        back = open_store("back.db")
        copy(memory, back)

    assert digests(back) == digests(store)


def test_a_copy_leaves_kinds_of_the_target_that_the_source_has_not(
    open_store: Opener, fill_store: Callable[..., None], own_kinds: list[Kind[Any]]
) -> None:
    source, target = open_store("source.db"), open_store("target.db", kinds=own_kinds)
    fill_store(source, points=4100)

    copy(source, target)

    assert target.records("a_pair").count() == 0
    assert target.devices.count() == 5


def test_ids_go_on_after_a_copy_even_in_a_target_that_gave_some_before(
    store: iotstore.Store, open_store: Opener, clock: ManualClock
) -> None:
    target = open_store("target.db", kinds=list(map(store.kinds.get, ["probe", "a_pair"])))
    target.devices.put(iotstore.Device(key="x"))
    early = target.connections.add(Connection(device="x", time=clock.now()))
    target.connections.delete(early.id)
    target.devices.delete("x")

    copy(store, target)

    known = {record.id for record in target.connections.list()}
    assert target.connections.add(Connection(device="cam-0", time=clock.now())).id > max(known)


def test_a_copy_into_a_store_with_anything_in_it_is_refused_and_changes_nothing(
    store: iotstore.Store, open_store: Opener, digests: Digests
) -> None:
    target = open_store("target.db")
    target.settings.set("mine", 1)
    before = digests(target)

    with pytest.raises(NotAllowed, match="the target is not empty: it has 1 rows of setting"):
        copy(store, target)
    assert digests(target) == before


def test_a_copy_while_the_source_is_written_to_holds_one_state(
    store: iotstore.Store, open_store: Opener, digests: Digests, own_kinds: list[Kind[Any]], clock: ManualClock
) -> None:
    target = open_store("target.db", kinds=own_kinds)
    before = digests(store)
    written: list[int] = []

    def write(_done: int, _total: int, what: str) -> None:
        if what.startswith("loading") and len(written) < 20:
            written.append(store.connections.add(Connection(device="cam-0", time=clock.now())).id)

    copy(store, target, progress=write)

    assert len(written) == 20
    assert digests(target) == before


def test_a_copy_inside_a_transaction_is_refused(store: iotstore.Store, open_store: Opener) -> None:
    target = open_store("target.db")

    with target.transaction(), pytest.raises(NotAllowed, match="not copied inside a transaction"):
        copy(store, target)


def test_a_copy_that_arrives_changed_is_rolled_back(
    store: iotstore.Store,
    open_store: Opener,
    digests: Digests,
    own_kinds: list[Kind[Any]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    target = open_store("target.db", kinds=own_kinds)
    before = digests(target)
    summary = catalogue.Catalogue.summary

    def lying(self: Any, session: Any, name: str, step: Any = None) -> Summary:
        found = summary(self, session, name, step)
        return Summary(name, found.count, "00") if name == "alert" and self.backend is target.backend else found

    monkeypatch.setattr(catalogue.Catalogue, "summary", lying)
    with pytest.raises(BackupError, match="what was stored is not what was backed up: the 3 rows of alert"):
        copy(store, target)
    monkeypatch.undo()

    assert digests(target) == before


def test_a_target_that_describes_a_kind_otherwise_is_refused_and_changes_nothing(
    store: iotstore.Store, open_store: Opener, digests: Digests
) -> None:
    class Pair(iotstore.Record, frozen=True, kw_only=True):
        left: str
        right: int
        more: str | None = None

    target = open_store("target.db", kinds=[Kind(Pair, "a_pair", ("left", "right"), version=2)])
    before = digests(target)

    with pytest.raises(BackupError, match="the target has another description of a_pair; open both"):
        copy(store, target)
    assert digests(target) == before


def without(store: iotstore.Store, monkeypatch: pytest.MonkeyPatch, *capabilities: Capability) -> None:
    """Make a store's backend claim less."""
    less = {capability: NotSupported("not here", "look elsewhere") for capability in capabilities}
    monkeypatch.setattr(store.backend, "capabilities", store.backend.capabilities.but(less))


def test_points_are_never_left_out_in_silence(
    store: iotstore.Store, open_store: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = open_store("target.db")
    without(target, monkeypatch, Capability.SERIES)

    with pytest.raises(Unsupported, match="sqlite does not support series: not here; look elsewhere"):
        copy(store, target)


def test_a_native_backup_of_a_backend_without_the_power_is_unsupported(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    without(store, monkeypatch, Capability.NATIVE_BACKUP)

    with pytest.raises(Unsupported, match="sqlite does not support native_backup"):
        store.backups.create()


@pytest.fixture
def gated(store: iotstore.Store, monkeypatch: pytest.MonkeyPatch) -> iotstore.Store:
    """A store whose backend has no snapshots: backups shut the gate."""
    without(store, monkeypatch, Capability.SNAPSHOTS, Capability.NATIVE_BACKUP)
    monkeypatch.setattr(store._engine, "gate", Gate(needed=True, wait=0.05))
    monkeypatch.setattr(store._engine, "_snapshots", False)
    return store


def test_without_snapshots_a_backup_shuts_writers_out_for_the_declared_time_and_lets_readers_in(
    gated: iotstore.Store, clock: ManualClock
) -> None:
    outcomes: list[object] = []

    def write() -> None:
        try:
            outcomes.append(gated.connections.add(Connection(device="cam-0", time=clock.now())))
        except Busy as error:
            outcomes.append(error)

    def other(_done: int, _total: int, what: str) -> None:
        if what.startswith("writing") and not outcomes:
            thread = threading.Thread(target=write)
            thread.start()
            thread.join()
            assert gated.connections.count() == 700

    made = gated.backups.create(format="portable", progress=other)

    assert [type(outcome) for outcome in outcomes] == [Busy]
    assert made.counts["connection"] == 700
    assert gated.connections.add(Connection(device="cam-0", time=clock.now())).id > 700


def test_without_snapshots_a_backup_waits_for_a_transaction_and_gives_up_after_the_declared_time(
    gated: iotstore.Store,
) -> None:
    entered, leave, errors = threading.Event(), threading.Event(), []

    def hold() -> None:
        with gated.transaction():
            entered.set()
            leave.wait(10)

    thread = threading.Thread(target=hold)
    thread.start()
    entered.wait(10)
    try:
        gated.backups.create(format="portable")
    except Busy as error:
        errors.append(str(error))
    finally:
        leave.set()
        thread.join()

    assert errors == ["a transaction holds the store; it was waited for 0.05 s; try again"]
    assert gated.backups.create(format="portable").proven


def test_an_empty_database_is_empty_before_and_after_it_was_opened_as_a_store(open_store: Opener) -> None:
    store = open_store("empty.db")
    with store.backend.read() as session:
        assert loading.is_empty(session, store.backend) is None
    store.settings.set("a", 1)
    with store.backend.read() as session:
        assert loading.is_empty(session, store.backend) == "1 rows of setting"


def test_copying_is_possible_after_time_has_passed(
    store: iotstore.Store, open_store: Opener, clock: ManualClock, digests: Digests
) -> None:
    clock.advance(timedelta(days=400))
    target = open_store("target.db")

    copy(store, target)

    assert digests(target) == digests(store)
