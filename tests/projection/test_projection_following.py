"""The projector that goes on: it waits out trouble without noise, and of several one works."""

import logging
import random
import threading
from datetime import timedelta

import pytest

from iotstore import Busy, Device, Unreachable
from iotstore._projection.following import POLL, Follower


class Script:
    """Steps that do what a list says, one after the other."""

    def __init__(self, *told):
        self.told = list(told)
        self.rested = 0

    def step(self):
        what = self.told.pop(0)
        if isinstance(what, Exception):
            raise what
        return what

    def rest(self):
        self.rested += 1


def follower(*told):
    script = Script(*told)
    return Follower(script.step, script.rest, chance=random.Random(1)), script


def test_it_works_without_a_pause_and_then_waits_for_the_next_look():
    one, script = follower(5, 3, None)
    assert [one.turn(), one.turn(), one.turn()] == [0.0, 0.0, POLL]
    assert script.rested == 1


def test_trouble_is_waited_out_longer_and_longer_with_a_part_by_chance_and_told_once(caplog):
    one, _ = follower(*[Unreachable("the graph is away")] * 12, 4)
    with caplog.at_level(logging.INFO, "iotstore"):
        waits = [one.turn() for _ in range(12)]
        assert one.trouble == "the graph is away"
        assert one.turn() == 0.0
    assert one.trouble is None
    assert [round(wait / 2 ** min(number, 7.3), 3) <= 0.2 for number, wait in enumerate(waits)] == [True] * 12
    assert waits[0] < 0.21
    assert 15 <= waits[-1] <= 30
    assert len(set(waits[9:])) == 3
    assert [one.getMessage() for one in caplog.records] == [
        "the projection waits: the graph is away",
        "the projection goes on",
    ]


def test_another_projector_at_work_is_no_trouble_to_log(caplog):
    one, _ = follower(Busy("another projector is at work"))
    assert one.turn() <= POLL
    assert one.trouble == "another projector is at work"
    assert not caplog.records


def test_a_thread_of_the_process_brings_over_what_is_committed(composed, kit):
    store = composed(projector=True)
    assert store.projection.running
    store.devices.put(Device(key="cam"))
    store.projection.wait(30)
    kit.assert_equal(store)
    store.close()
    assert not store.projection.running


def test_it_can_run_for_the_length_of_a_block(store, kit):
    assert not store.projection.running
    with store.projection.running_here():
        store.devices.put(Device(key="cam"))
        store.projection.wait(30)
    assert not store.projection.running
    kit.assert_equal(store)


def test_one_works_and_the_others_wait_until_its_lease_ends(composed, clock, kit):
    one, other = composed(), composed()
    one.projection.sync()
    with pytest.raises(Busy, match=r"another projector \(.*\) is at work; its lease ends in 10 s unless renewed"):
        other.projection.sync()
    one.devices.put(Device(key="a"))
    clock.advance(timedelta(seconds=9))
    one.projection.sync()  # which renews it
    clock.advance(timedelta(seconds=9))
    with pytest.raises(Busy, match="is at work"):
        other.projection.sync()
    clock.advance(timedelta(seconds=2))
    one.devices.put(Device(key="b"))
    assert other.projection.sync() == 1
    kit.assert_equal(other)


def test_who_stops_lets_the_next_one_begin_at_once(composed):
    one, other = composed(), composed()
    one.projection.sync()
    one.projection.stop()
    one.devices.put(Device(key="a"))
    assert other.projection.sync() == 1


def test_who_was_overtaken_writes_nothing_any_more(composed, clock, kit, monkeypatch):
    """It stands still between reading and writing; meanwhile another one has gone on. Its epoch is over."""
    one, other = composed(), composed()
    one.projection.sync()
    one.devices.put(Device(key="a", name="old"))
    records = one.projection._projector._records
    original = records.now
    overtaken = []

    def now(names):
        found = original(names)
        if not overtaken:
            overtaken.append(found)
            clock.advance(timedelta(seconds=11))
            one.devices.put(Device(key="a", name="new"))
            other.projection.sync()
        return found

    monkeypatch.setattr(records, "now", now)
    with pytest.raises(Busy, match="another projector"):
        one.projection.sync()
    kit.assert_equal(other)
    assert kit.contents(other, projection=True)["device"][0].name == "new"


@pytest.mark.parametrize("writers", [4])
def test_writers_race_with_two_projectors_and_no_row_goes_back(composed, kit, writers):
    """Every version of a row that the projection ever had is noted, and only grows."""
    store = composed(clock=None, projector=True)
    other = composed(clock=None, projector=True)
    seen, back = {}, []
    for one in (store, other):
        writing = one.projection._projector._writing
        original = writing._row

        def row(twin, record, original=original):
            key = (twin.name, tuple(getattr(record, name) for name in twin.keys))
            if record.version < seen.get(key, 0):
                back.append((key, record.version, seen[key]))
            seen[key] = record.version
            return original(twin, record)

        writing._row = row
    failures = []

    def work(seed):
        try:
            kit.play(store if seed % 2 else other, seed=seed, steps=40, keys=8)
        except Exception as error:  # noqa: BLE001 - told below
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    store.projection.wait(60)
    other.projection.wait(60)
    kit.assert_equal(store)
    assert back == []
    store.projection.stop()
    other.projection.stop()
    assert store.projection.verify()


def test_the_lease_is_kept_while_nothing_happens_with_one_write_in_half_of_its_time(composed, clock, kit):
    one, other = composed(), composed()
    one.projection.sync()
    cuts = kit.Cuts()
    kit.cut_target(one, cuts)
    for _ in range(20):
        clock.advance(timedelta(seconds=1))
        one.projection._rest()
        with pytest.raises(Busy, match="is at work"):
            other.projection.sync()
    assert cuts.names.count("commit") == 4
