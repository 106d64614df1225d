"""A record that the projection refuses stands in nobody's way; it is kept with the error, and can be tried again."""

import logging

import pytest

from iotstore import Device, InvalidValue, Location, StorageFull, Unreachable


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


def test_an_error_that_is_no_error_of_the_store_is_about_a_record_too(both, monkeypatch, kit):
    both.projection.sync()
    writing = both.projection._projector._writing
    original = writing._row
    monkeypatch.setattr(writing, "_row", lambda twin, record: original(twin, record) if record.key != "bad" else 1 / 0)
    both.records("device").put_many([Device(key="bad"), Device(key="good")])
    both.projection.sync()
    assert [one.error for one in both.projection.dead_letters()] == ["ZeroDivisionError: division by zero"]
    assert [one.key for one in kit.contents(both, projection=True)["device"]] == ["good"]


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
