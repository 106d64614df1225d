"""Who answers a question about the graph: the projection, the projection once it caught up, or the primary."""

from datetime import timedelta

import pytest

import iotstore
from iotstore import Device, InvalidValue, Lagging, Location, Node
from iotstore._projection.reading import DEFAULT


@pytest.fixture
def pair(both):
    """A device in a place, brought over, and a second device that is not."""
    both.locations.put(Location(key="attic"))
    both.devices.put(Device(key="cam", location="attic"))
    both.projection.sync()
    both.devices.put(Device(key="dog", location="attic"))
    return both


def neighbours(store, **said):
    return [one.node.key for one in store.relationships.neighbours(Node("location", "attic"), **said)]


def test_the_default_is_projected_fast_and_it_may_lag(pair):
    assert DEFAULT == "projected"
    assert neighbours(pair) == neighbours(pair, consistency="projected") == ["cam"]
    pair.projection.sync()
    assert neighbours(pair) == ["cam", "dog"]


def test_the_primary_answers_when_it_is_asked_for(pair):
    assert neighbours(pair, consistency="primary") == ["cam", "dog"]


def test_read_your_writes_waits_and_tells_when_it_takes_too_long(pair, monkeypatch):
    monkeypatch.setattr("iotstore._projection.projection.Projection.wait.__defaults__", (0.01,))
    with pytest.raises(
        Lagging, match=r'not caught up within 0\.01 s; ask again, or with consistency="primary"'
    ) as told:
        neighbours(pair, consistency="read-your-writes")
    assert told.value.retryable
    pair.projection.sync()
    assert neighbours(pair, consistency="read-your-writes") == ["cam", "dog"]


def test_read_your_writes_waits_for_the_thread_that_brings_it_over(pair):
    with pair.projection.running_here():
        assert neighbours(pair, consistency="read-your-writes") == ["cam", "dog"]


def test_read_your_writes_does_not_wait_for_others(pair, composed):
    pair.projection.sync()
    other = composed()
    other.devices.put(Device(key="theirs", location="attic"))
    assert neighbours(pair, consistency="read-your-writes") == ["cam", "dog"]


def test_another_word_is_refused(pair):
    with pytest.raises(InvalidValue, match="eventual"):
        neighbours(pair, consistency="eventual")


def test_inside_a_transaction_and_in_a_snapshot_the_primary_answers(pair):
    with pair.transaction():
        pair.devices.put(Device(key="eel", location="attic"))
        assert neighbours(pair, consistency="read-your-writes") == ["cam", "dog", "eel"]
    with pair.snapshot() as frozen:
        assert neighbours(frozen) == ["cam", "dog", "eel"]
    assert neighbours(pair) == ["cam"]


def test_the_primary_answers_until_the_projection_is_made(both):
    both.locations.put(Location(key="attic"))
    both.devices.put(Device(key="cam", location="attic"))
    assert both.projection.status().state == "new"
    assert neighbours(both) == ["cam"]


def test_the_primary_answers_while_it_is_made_anew(pair):
    pair.projection._projector.rebuild()
    assert pair.projection.status().state == "building"
    assert neighbours(pair) == ["cam", "dog"]
    pair.projection.sync()
    assert pair.projection.status().state == "live"


def test_the_primary_answers_while_the_projection_is_away_and_nothing_is_lost(pair, kit):
    cuts = kit.Cuts()
    backend = pair.projection.target.engine.backend
    kit.cut_target(pair, cuts)
    away = iotstore.Unreachable("the graph is away")

    def fail(*_):
        raise away

    cuts.call = fail
    assert neighbours(pair) == ["cam", "dog"]
    for number in range(20):
        pair.devices.put(Device(key=f"n{number}", location="attic"))
        with pytest.raises(iotstore.Unreachable, match="the graph is away"):
            pair.projection.sync()
    status = pair.projection.status()
    assert (status.state, status.waiting) == ("unreachable", 21)
    assert pair.admin.health()
    pair.projection.target.engine.backend = backend
    pair.projection.sync()
    kit.assert_equal(pair)


def test_one_who_wants_his_own_writes_is_answered_by_the_primary_while_there_are_dead_letters(pair, monkeypatch):
    def refuse(*_):
        raise InvalidValue("no")

    with monkeypatch.context() as patch:
        patch.setattr(pair.projection._projector._writing, "_row", refuse)
        pair.projection.sync()
    assert neighbours(pair) == ["cam"]
    assert neighbours(pair, consistency="read-your-writes") == ["cam", "dog"]


def test_lag_is_in_status_metrics_and_health(pair, clock):
    clock.advance(timedelta(seconds=40))
    status = pair.projection.status()
    assert (status.waiting, status.lag_seconds) == (1, 40.0)
    numbers = pair.projection.metrics()
    assert (numbers["projection_lag_records"], numbers["projection_lag_seconds"]) == (1.0, 40.0)
    assert (numbers["projection_live"], numbers["projection_dead_letters"]) == (1.0, 0.0)
    (check,) = [check for check in pair.admin.health().checks if check.name == "projection"]
    assert check == ("projection", "ok", "live, 1 changes behind, the oldest for 40 s")
    clock.advance(timedelta(seconds=400))
    (check,) = [check for check in pair.admin.health().checks if check.name == "projection"]
    assert check.status == "warning"
