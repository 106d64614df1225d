"""What is written to the primary arrives in the projection, and nothing else does."""

from datetime import timedelta

import pytest

import iotstore
from iotstore import Device, Location, Owner
from iotstore._kinds.relations import Relation


def test_what_was_there_before_is_built_and_what_comes_later_is_applied(both, kit):
    kit.play(both, seed=1, steps=60)
    assert both.projection.status().state == "new"
    both.projection.sync()
    assert both.projection.status().state == "live"
    kit.assert_equal(both)
    kit.play(both, seed=2, steps=60)
    assert both.projection.status().waiting > 0
    both.projection.sync()
    assert both.projection.status().waiting == 0
    kit.assert_equal(both)


@pytest.mark.parametrize("seed", range(5))
def test_random_work_in_pieces_ends_with_equal_graphs(both, kit, seed):
    for piece in range(6):
        kit.play(both, seed=100 * seed + piece, steps=15, keys=6)
        both.projection.sync()
        kit.assert_equal(both)


def near(store, device, location):
    relation = Relation(source_kind="device", source=device, type="NEAR", target_kind="location", target=location)
    store.records("relation").put(relation)


@pytest.mark.parametrize("last", ["device", "location"])
def test_an_edge_is_drawn_when_its_second_node_comes_later(store, kit, last):
    kit.with_graph(store)
    near(store, "cam", "attic")
    first, second = (store.devices, Device(key="cam")), (store.locations, Location(key="attic"))
    for domain, record in (second, first) if last == "device" else (first, second):
        store.projection.sync()
        assert kit.drawn_edges(store) == []
        domain.put(record)
    store.projection.sync()
    kit.assert_equal(store)
    assert [edge[3] for edge in kit.drawn_edges(store)] == ["NEAR"]


def test_a_deleted_node_takes_its_edges_and_comes_back_with_them(store, kit):
    kit.with_graph(store)
    store.devices.put(Device(key="cam"))
    store.alerts.raise_(iotstore.Alert(device="cam", kind="k", title="t"))
    store.projection.sync()
    assert len(kit.drawn_edges(store)) == 1
    store.devices.delete("cam")
    store.projection.sync()
    assert kit.drawn_edges(store) == []
    store.devices.put(Device(key="cam"))
    store.projection.sync()
    assert len(kit.drawn_edges(store)) == 1
    kit.assert_equal(store)


def spoil(store):
    store.devices.put(Device(key="cam"))
    raise ZeroDivisionError("zero")


def test_a_transaction_that_is_undone_leaves_nothing_in_the_outbox(store):
    store.projection.sync()
    with pytest.raises(ZeroDivisionError, match="zero"), store.transaction():
        spoil(store)
    assert store.projection.status().waiting == 0


def test_many_changes_of_a_record_in_one_transaction_are_one_row(store):
    store.projection.sync()
    with store.transaction():
        for number in range(5):
            store.devices.put(Device(key="cam", name=f"n{number}"))
    assert store.projection.status().waiting == 1


def test_kinds_outside_the_graph_write_no_outbox(store):
    store.projection.sync()
    store.settings.set("a", 1)
    assert store.projection.status().waiting == 0


def test_a_large_batch_is_applied_in_parts(store, kit):
    store.projection.sync()
    store.records("device").put_many([Device(key=f"d{number}") for number in range(1700)])
    assert store.projection.sync() == 1700
    assert store.projection.status().batches == 4
    kit.assert_equal(store)


def test_a_store_without_a_projection_says_how_to_get_one(primary):
    with (
        iotstore.open(primary) as plain,
        pytest.raises(iotstore.NotAllowed, match="no projection; open it with relationships="),
    ):
        plain.projection.status()


def test_every_process_that_opens_an_attached_primary_writes_the_outbox(store, primary, clock):
    store.projection.sync()
    with iotstore.open(primary, clock=clock) as other:
        other.owners.put(Owner(key="o"))
    assert store.projection.status().waiting == 1


def test_what_a_store_wrote_before_it_heard_of_the_projection_is_brought_over(primary, composed, clock, kit):
    with iotstore.open(primary, clock=clock) as other:
        other.locations.put(Location(key="l"))  # it has looked: nothing is attached
        late = composed()
        late.projection.sync()
        other.locations.put(Location(key="m"))
        assert late.projection.status().waiting == 0  # nobody was told
        clock.advance(timedelta(seconds=61))
        other.locations.put(Location(key="n"))  # it has looked again
        assert late.projection.status().waiting == 1
        late.projection.sync()
        kit.assert_equal(late)
        assert late.projection.target.checkpoint().settle is None


def test_a_projection_is_not_fed_inside_a_transaction(store):
    with store.transaction(), pytest.raises(iotstore.NotAllowed, match="isn't fed inside a transaction"):
        store.projection.sync()
