"""What somebody did to the projection behind our back is found by name, and mended."""

import random

import pytest

from iotstore import Device, Diverged, Location
from iotstore._engine.references import keys_filter
from iotstore._waist.filters import ALWAYS
from iotstore._waist.graph import Edge, Held
from iotstore._waist.queries import OnConflict

pytestmark = pytest.mark.once


def spoil(store, kind, key, **changes):
    """Change one record in the projection; without changes, delete it."""
    target = store.projection.target
    twin, engine = target.kinds[kind], target.engine
    where = keys_filter(twin, [engine.codec(twin).key(key)])
    with engine.writing() as transaction:
        if not changes:
            return transaction.session.delete(twin.layout, where)
        columns = {}
        for name, value in changes.items():
            columns.update({name: value} if name == "version" else engine.codec(twin).columns_of(name, value))
        return transaction.session.update(twin.layout, where, columns)


def add(store, kind, record):
    """Add a record to the projection that the primary does not have."""
    target = store.projection.target
    with target.engine.writing() as transaction:
        row = target.engine.codec(target.kinds[kind]).encode(record, 1, 0)
        transaction.session.insert_many(target.kinds[kind].layout, [row], OnConflict.ERROR)


def draw(store, holder, *edges):
    """Draw edges by hand."""
    with store.projection.target.engine.writing() as transaction:
        transaction.session.draw([holder], [Held(holder, edge) for edge in edges])


@pytest.fixture
def full(both):
    both.locations.put(Location(key="attic"))
    both.records("device").put_many([Device(key=f"d{number:05}", location="attic") for number in range(1200)])
    both.projection.sync()
    return both


def test_equal_stores_are_equal_by_digest_kind_by_kind(full):
    found = full.projection.verify()
    assert found
    assert (found.count, found.moving, found.repaired) == (0, 0, 0)
    assert {one.kind: one.records for one in found.kinds if one.records}["device"] == 1200
    assert all(one.equal for one in found.kinds)


def test_what_was_deleted_added_and_changed_is_named_and_mended(full, kit):
    spoil(full, "device", "d00007")
    spoil(full, "device", "d01100", name="spoilt")
    spoil(full, "device", "d01199", version=5)
    spoil(full, "location", "attic")
    add(full, "device", Device(key="zzz"))
    add(full, "device", Device(key="a"))
    found = full.projection.verify()
    assert not found
    records = [one[:3] for one in found.differences if one.what != "edges"]
    assert records == [
        ("location", '["attic"]', "missing"),
        ("device", '["a"]', "extra"),
        ("device", '["d00007"]', "missing"),
        ("device", '["d01100"]', "different"),
        ("device", '["d01199"]', "different"),
        ("device", '["zzz"]', "extra"),
    ]
    assert not next(one for one in found.kinds if one.kind == "device").equal
    assert full.projection.verify().count == found.count  # looking mends nothing
    mended = full.projection.verify(repair=True)
    assert mended.repaired == mended.count >= 6
    full.projection.sync()
    assert full.projection.verify()
    kit.assert_equal(full)


def test_a_projection_that_lost_everything_but_its_checkpoint_is_mended(full, kit):
    target = full.projection.target
    with target.engine.writing() as transaction:
        transaction.session.delete(target.kinds["device"].layout, ALWAYS)
    found = full.projection.verify(repair=True)
    assert found.repaired >= 1200
    assert len(found.differences) == 1000  # named; counted are all
    full.projection.sync()
    kit.assert_equal(full)


def test_more_than_the_primary_ever_had_is_found_in_bounded_ranges(both, kit):
    both.devices.put(Device(key="m"))
    both.projection.sync()
    target = both.projection.target
    twin = target.kinds["device"]
    rows = [target.engine.codec(twin).encode(Device(key=f"x{number:05}"), 1, 0) for number in range(2300)]
    with target.engine.writing() as transaction:
        for at in range(0, len(rows), 500):
            transaction.session.insert_many(twin.layout, rows[at : at + 500], OnConflict.ERROR)
    assert both.projection.verify(repair=True).repaired == 2300
    both.projection.sync()
    kit.assert_equal(both)


def test_edges_drawn_and_rubbed_out_by_hand_are_found_and_mended(store, kit):
    kit.with_graph(store)
    store.locations.put(Location(key="attic"))
    store.devices.put(Device(key="cam", location="attic"))
    store.devices.put(Device(key="dog"))
    store.projection.sync()
    cam, dog, attic = ("device", "cam"), ("device", "dog"), ("location", "attic")
    draw(store, ("device", ("cam",)))  # rubbed out
    draw(store, ("device", ("dog",)), Edge(dog, "LOCATED_IN", attic, None))  # held by a record that does not hold it
    draw(store, ("relation", ("device", "dog", "NEAR", "device", "cam")), Edge(dog, "NEAR", cam, 1.0))  # by no record
    draw(store, ("", ()), Edge(cam, "LIKES", dog, None))  # by nobody
    found = store.projection.verify()
    assert {one[:3] for one in found.differences} == {
        ("?", "[]", "edges"),
        ("device", '["cam"]', "edges"),
        ("device", '["dog"]', "edges"),
        ("relation", '["device","dog","NEAR","device","cam"]', "edges"),
    }
    assert store.projection.verify(repair=True).repaired == 4
    store.projection.sync()
    assert store.projection.verify()
    kit.assert_equal(store)


def test_what_waits_in_the_outbox_is_lag_and_no_drift(full):
    full.devices.put(Device(key="d00001", name="new"))
    full.devices.put(Device(key="new"))
    full.devices.delete("d00002")
    assert full.projection.verify()
    assert full.projection.status().waiting == 3


@pytest.mark.parametrize("seed", range(4))
def test_random_damage_while_work_goes_on_is_mended(both, kit, seed):
    kit.play(both, seed=seed, steps=60)
    both.projection.sync()
    chance = random.Random(seed)
    for _ in range(5):
        everything = [(kind, one) for kind, some in kit.contents(both, projection=True).items() for one in some]
        for kind, one in chance.sample(everything, min(4, len(everything))):
            keys = both.kinds[kind].keys
            key = tuple(getattr(one, name) for name in keys)
            spoil(both, kind, key if len(key) > 1 else key[0], **chance.choice(({}, {"version": 3})))
        kit.play(both, seed=seed + 500, steps=6)
        both.projection.verify(repair=True)
        both.projection.sync()
        assert both.projection.verify()
        kit.assert_equal(both)


def test_a_projection_that_is_not_live_is_not_compared(store):
    with pytest.raises(Diverged, match="the projection is new; run: iotstore graph sync"):
        store.projection.verify()


def test_rebuild_makes_it_anew_from_nothing(full, kit):
    spoil(full, "location", "attic")
    add(full, "device", Device(key="zzz"))
    assert full.projection.rebuild() == 1201
    kit.assert_equal(full)
