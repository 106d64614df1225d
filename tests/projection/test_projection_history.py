"""A primary or a projection that was restored, copied or exchanged is noticed; nothing drifts in silence."""

import shutil
from datetime import timedelta
from pathlib import Path

import pytest

import iotstore
from iotstore import Device, Diverged, Location


def path_of(url):
    return Path(url.removeprefix("sqlite:///"))


def keep(url, place):
    """A copy of a closed store."""
    shutil.copytree(path_of(url).parent, place)


def bring_back(url, place):
    """Put a copy in a store's place."""
    shutil.rmtree(path_of(url).parent)
    shutil.copytree(place, path_of(url).parent)


def turned_back(begin, url, place):
    """A composed store one of whose two stores, the one at *url*, was restored to before its last batches."""
    store = begin()
    store.devices.put(Device(key="a"))
    store.projection.sync()
    store.close()
    keep(url, place)
    store = begin()
    for name in "bcd":
        store.devices.put(Device(key=name))
        store.projection.sync()
    store.close()
    bring_back(url, place)
    return begin()


@pytest.fixture
def begin(composed, kit, clock):
    """Open a composed store whose projection keeps edges."""

    def run(**said):
        clock.advance(timedelta(seconds=11))
        store = composed(**said)
        kit.with_graph(store)
        return store

    return run


def test_a_primary_restored_to_before_several_batches_says_rebuild(begin, primary, tmp_path, kit):
    store = turned_back(begin, primary, tmp_path / "old")
    status = store.projection.status()
    assert status.state == "rebuild"
    assert "restored" in status.reason
    with pytest.raises(Diverged, match="their last batches don't meet; make it anew: iotstore graph rebuild"):
        store.projection.sync()
    assert [check.status for check in store.admin.health().checks if check.name == "projection"] == ["warning"]
    # The primary answers meanwhile, and nobody sees the devices that are no more.
    store.projection.wait(0.0)
    with store.relationships._source.opened(None) as edges:
        assert edges.engine.backend is store._engine.backend
    assert store.projection.rebuild() == 1
    kit.assert_equal(store)
    assert store.projection.status().state == "live"


@pytest.mark.parametrize("synced", [False, True])
def test_a_primary_restored_to_just_before_the_last_batch_ends_equal(begin, primary, tmp_path, kit, synced):
    """The restored primary can't be told from one that was cut off after the batch: so everything that the batch
    touched is looked at again."""
    store = begin()
    store.locations.put(Location(key="l"))
    store.devices.put(Device(key="a"))
    store.projection.sync()
    store.devices.put(Device(key="a", name="waits"))
    store.close()
    keep(primary, tmp_path / "old")
    store = begin()
    store.devices.put(Device(key="b"))
    store.devices.put(Device(key="a", name="newer", location="l"))
    store.alerts.raise_(iotstore.Alert(kind="k", title="t", device="a"))
    if synced:
        store.projection.sync()
    store.close()
    bring_back(primary, tmp_path / "old")
    store = begin()
    store.projection.sync()
    assert store.devices.get("a").name == "waits"
    kit.assert_equal(store)


def test_a_projection_restored_to_an_older_state_says_rebuild(begin, target, tmp_path, kit):
    store = turned_back(begin, target, tmp_path / "old")
    assert store.projection.status().state == "rebuild"
    store.projection.rebuild()
    kit.assert_equal(store)


def test_a_projection_that_is_gone_is_built_again_by_itself(begin, target, kit):
    store = begin()
    kit.play(store, seed=1, steps=30)
    store.projection.sync()
    store.close()
    shutil.rmtree(path_of(target).parent)
    store = begin()
    assert store.projection.status().state == "new"
    store.projection.sync()
    kit.assert_equal(store)


def test_the_graph_of_another_store_is_not_touched(begin, tmp_path, kit):
    store = begin()
    store.devices.put(Device(key="a"))
    store.projection.sync()
    other = begin(url=f"sqlite:///{tmp_path}/other.db")
    other.devices.put(Device(key="z"))
    assert other.projection.status().reason == "it holds the graph of another store"
    with pytest.raises(Diverged, match="it holds the graph of another store"):
        other.projection.sync()
    with pytest.raises(Diverged, match="holds the graph of another store and was not touched"):
        other.projection.clear()
    store.projection.sync()
    kit.assert_equal(store)


def test_two_copies_of_a_primary_never_feed_one_projection_in_turns(begin, primary, tmp_path, kit, clock):
    store = begin()
    store.devices.put(Device(key="a"))
    store.projection.sync()
    store.close()
    keep(primary, tmp_path / "copy")
    copy_url = f"sqlite:///{tmp_path}/copy/{path_of(primary).name}"
    store = begin()
    store.devices.put(Device(key="mine"))
    store.projection.sync()
    copy = begin(url=copy_url)
    copy.devices.put(Device(key="other"))
    copy.projection.sync()  # one batch behind, as after a cut: it goes on, and looks at what that batch touched
    kit.assert_equal(copy)
    clock.advance(timedelta(seconds=11))
    store.devices.put(Device(key="more"))
    with pytest.raises(Diverged, match="their last batches don't meet"):
        store.projection.sync()


def test_a_store_is_never_taken_for_a_projection(composed, tmp_path):
    other = f"sqlite:///{tmp_path}/own.db"
    with iotstore.open(other) as own:
        own.devices.put(Device(key="precious"))
    store = composed(relationships=other)
    with pytest.raises(iotstore.ConfigurationError, match=r"own\.db keeps a store of its own"):
        store.projection.sync()
    assert store.projection.status().state == "unreachable"
    with iotstore.open(other) as own:
        assert own.devices.get("precious")


def test_other_kinds_than_it_was_made_with_say_rebuild(begin, kit):
    from iotstore import Kind, Tracked
    from iotstore._kinds.relating import Relates

    class Cable(Tracked, frozen=True, kw_only=True):
        name: str
        device: str

    store = begin()
    store.devices.put(Device(key="a"))
    store.projection.sync()
    store.close()
    cables = Kind(
        Cable,
        "cable",
        "name",
        references={"device": ("device", iotstore.OnDelete.CASCADE)},
        relates=[Relates("PLUGGED_INTO", target="device")],
    )
    store = begin(kinds=[cables])
    store.records(cables).add(Cable(name="c", device="a"))
    assert "other kinds" in store.projection.status().reason
    store.projection.rebuild()
    kit.assert_equal(store)
    assert [edge[3] for edge in kit.drawn_edges(store)] == ["PLUGGED_INTO"]


def test_clear_empties_the_projection_and_ends_the_outbox(begin, kit):
    store = begin()
    kit.play(store, seed=1, steps=30)
    store.projection.sync()
    store.projection.clear()
    assert store.projection.status().state == "detached"
    assert not any(kit.contents(store, projection=True).values())
    assert kit.drawn_edges(store) == []
    store.devices.put(Device(key="later"))
    assert store.projection.status().waiting == 0
    store.close()
    store = begin()  # the configuration still names it
    store.projection.sync()
    kit.assert_equal(store)


def test_a_copied_primary_goes_on_with_the_same_projection(begin, primary, tmp_path, kit):
    """From SQLite to a server: the copy takes the outbox and the last batch along."""
    store = begin()
    kit.play(store, seed=4, steps=30)
    store.projection.sync()
    kit.play(store, seed=5, steps=10)
    store.close()
    new = f"sqlite:///{tmp_path}/new.db"
    iotstore.copy(primary, new)
    moved = begin(url=new)
    assert moved.projection.status().state == "live"
    moved.projection.sync()
    kit.assert_equal(moved)
