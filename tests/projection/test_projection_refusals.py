"""A record that the projection refuses stands in nobody's way; it is kept with the error, and can be tried again."""

import logging
from datetime import timedelta

import pytest

from iotstore import Device, EngineError, InvalidValue, Location, StorageFull, Unreachable


@pytest.fixture
def refusing(both, monkeypatch):
    """Let the projection refuse devices whose name says so; returns the set of such names."""
    names = {"poison"}
    projector = both.projection._projector
    original = projector._writing._row

    def row(twin, record):
        if getattr(record, "name", None) in names:
            raise InvalidValue("this name is refused", field="name")
        return original(twin, record)

    monkeypatch.setattr(projector._writing, "_row", row)
    return names


@pytest.mark.usefixtures("refusing")
def test_one_of_many_is_refused_and_the_others_arrive(both, kit):
    both.projection.sync()
    both.records("device").put_many([Device(key=f"d{n:03}", name="poison" if n == 57 else "fine") for n in range(120)])
    both.projection.sync()
    assert len(kit.contents(both, projection=True)["device"]) == 119
    (letter,) = both.projection.dead_letters()
    assert (letter.kind, letter.key, letter.attempts) == ("device", '["d057"]', 1)
    assert letter.error == "InvalidValue: name: this name is refused"
    status = both.projection.status()
    assert (status.waiting, status.dead_letters, status.state) == (0, 1, "live")
    checks = {check.name: check for check in both.admin.health().checks}
    assert checks["dead letters"].status == "warning"
    assert checks["dead letters"].detail.startswith("1 records were refused")


@pytest.mark.usefixtures("refusing")
def test_a_dead_letter_is_named_as_such_and_not_repaired(both):
    both.projection.sync()
    both.devices.put(Device(key="cam", name="poison"))
    both.projection.sync()
    found = both.projection.verify(repair=True)
    assert [(one.key, one.what, one.letter) for one in found.differences] == [
        ('["cam"]', "missing", "InvalidValue: name: this name is refused")
    ]
    assert found.repaired == 0


def test_a_refused_record_is_replayed_when_the_reason_is_gone(both, refusing, kit):
    both.projection.sync()
    both.locations.put(Location(key="attic"))
    both.devices.put(Device(key="cam", name="poison", location="attic"))
    both.projection.sync()
    (before,) = both.projection.dead_letters()
    assert both.projection.replay() == 1
    both.projection.sync()
    assert [letter.attempts for letter in both.projection.dead_letters()] == [before.attempts + 1]
    refusing.clear()
    assert both.projection.replay() == 1
    both.projection.sync()
    assert both.projection.dead_letters() == []
    kit.assert_equal(both)


def test_a_change_of_a_refused_record_mends_it(both, refusing, kit):
    both.projection.sync()
    both.devices.put(Device(key="cam", name="poison"))
    both.projection.sync()
    assert refusing
    both.devices.put(Device(key="cam", name="fine"))
    both.projection.sync()
    assert both.projection.dead_letters() == []
    kit.assert_equal(both)


def test_a_build_goes_on_past_a_refused_record(both, refusing, kit):
    both.records("device").put_many(
        [Device(key=f"d{n:03}", name="poison" if n % 50 == 7 else None) for n in range(120)]
    )
    both.projection.sync()
    assert both.projection.status().state == "live"
    assert [one.key for one in both.projection.dead_letters()] == ['["d007"]', '["d057"]', '["d107"]']
    refusing.clear()
    both.projection.replay()
    both.projection.sync()
    kit.assert_equal(both)


@pytest.fixture
def faulty(both):
    """A program with a fault that one record brings to light; the function mends it."""
    writing = both.projection._projector._writing
    original = writing._row
    patch = pytest.MonkeyPatch()
    patch.setattr(writing, "_row", lambda twin, record: original(twin, record) if record.key != "bad" else None.key)
    yield patch.undo
    patch.undo()


_FAULT = r"an error of its own at device \[.bad.\] \(AttributeError: .* 'key'\); this is a fault of the program"


def test_a_fault_of_the_program_stops_the_projector_at_its_record_and_gives_nothing_up(both, faulty, kit):
    both.projection.sync()
    both.records("device").put_many([Device(key=f"d{n}") for n in range(5)])
    both.records("device").put_many([Device(key="bad"), Device(key="later")])
    for _ in range(2):
        with pytest.raises(EngineError, match=_FAULT):
            both.projection.sync()
    assert both.projection.dead_letters() == []
    assert both.projection.status().waiting == 2
    assert len(kit.contents(both, projection=True)["device"]) == 5
    faulty()
    both.projection.sync()
    kit.assert_equal(both)


def test_a_build_stops_at_a_fault_of_the_program_and_goes_on_when_it_is_mended(both, faulty, kit):
    both.records("device").put_many([Device(key="bad"), Device(key="good")])
    with pytest.raises(EngineError, match=_FAULT):
        both.projection.sync()
    assert both.projection.dead_letters() == []
    assert both.projection.status().state == "building"
    faulty()
    both.projection.sync()
    kit.assert_equal(both)


def test_health_shows_a_projector_that_a_fault_has_stopped_while_its_lag_grows(both, faulty, clock, caplog):
    both.projection.sync()
    follower = both.projection._follower
    for name in ("bad", "later"):
        both.devices.put(Device(key=name))
        assert follower.turn() == 30.0
    clock.advance(timedelta(minutes=6))
    checks = {check.name: check for check in both.admin.health().checks}
    assert (checks["projector"].status, checks["projection"].status) == ("warning", "warning")
    assert checks["projector"].detail.startswith("stopped: the projector met an error of its own at device")
    assert checks["projection"].detail == "live, 2 changes behind, the oldest for 360 s"
    assert [one.levelname for one in caplog.records] == ["ERROR"]
    assert "AttributeError" in caplog.text
    faulty()
    assert follower.turn() == 0.0
    assert "projector" not in {check.name for check in both.admin.health().checks}


def test_a_fault_that_no_record_brings_to_light_stops_it_too(both, monkeypatch):
    both.projection.sync()
    both.devices.put(Device(key="cam"))
    with monkeypatch.context() as patch:
        patch.setattr(both.projection._projector, "_redraw", lambda *_: [].clear(1))
        with pytest.raises(EngineError, match=r"error of its own \(TypeError: .* takes no arguments"):
            both.projection.sync()
    both.projection.sync()
    assert both.projection.dead_letters() == []


@pytest.mark.parametrize("error", [Unreachable("gone"), StorageFull("full")])
def test_trouble_of_a_whole_store_buries_nothing(both, monkeypatch, error):
    both.projection.sync()
    both.devices.put(Device(key="cam"))

    def fail(*_):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(both.projection._projector._writing, "put", fail)
        with pytest.raises(type(error), match=str(error)):
            both.projection.sync()
    assert both.projection.dead_letters() == []
    assert both.projection.sync() == 1


def test_a_refusal_is_logged_once_with_its_record(both, refusing, caplog):
    both.projection.sync()
    assert refusing
    both.devices.put(Device(key="cam", name="poison"))
    with caplog.at_level(logging.INFO, "iotstore"):
        both.projection.sync()
    assert [one.getMessage() for one in caplog.records] == [
        'the projection refuses device ["cam"]: name: this name is refused'
    ]
