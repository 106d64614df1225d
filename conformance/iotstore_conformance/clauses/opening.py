"""Opening a store: what is asked for wrongly is refused by name, before anything is made or changed."""

from __future__ import annotations

import pytest

import iotstore
from iotstore import BackendUnavailable, ConfigurationError, Device, NotAStore, StoreError, Unreachable
from iotstore.backend import Capability
from iotstore_conformance.applicable import not_run
from iotstore_conformance.kinds import SAMPLES
from iotstore_conformance.places import HarnessBroken
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage


@clause("OPN-001")
def unknown_settings_are_refused(stage: Stage) -> None:
    """A setting that the backend doesn't know MUST be refused by name when the store is opened."""
    with pytest.raises(ConfigurationError, match="no_such_setting"):
        stage.harness.open(stage.url(), no_such_setting=1)


@clause("OPN-002")
def unknown_schemes_are_refused(stage: Stage) -> None:
    """A URL whose scheme no installed backend serves MUST be refused, with what is installed or what to install."""
    with pytest.raises(BackendUnavailable, match="nosuchengine") as caught:
        stage.harness.open("nosuchengine://somewhere/store")
    assert caught.value.hint
    assert isinstance(caught.value, ConfigurationError)


@clause("OPN-003", needs=[Capability.PERSISTENCE])
def a_missing_store_is_not_made_unasked(stage: Stage) -> None:
    """Opened with create=False, a store that isn't there MUST raise Unreachable, and still not be there afterwards."""
    place = stage.new_place()
    for _ in range(2):
        with pytest.raises(Unreachable):
            stage.open(place, create=False)
    made = stage.open(place)
    made.devices.add(Device(key="first"))
    made.close()
    assert stage.open(place, create=False).devices.count() == 1


@clause("OPN-004")
def two_kinds_of_one_name_are_refused(stage: Stage) -> None:
    """Kinds that can't be told apart or point to nothing MUST be refused before the store is touched."""
    place = stage.new_place()
    twin = iotstore.Kind(SAMPLES.record, SAMPLES.name, SAMPLES.key)
    with pytest.raises(ConfigurationError, match=SAMPLES.name):
        stage.open(place, kinds=[SAMPLES, twin])
    assert stage.open(place).devices.count() == 0


@clause("OPN-005")
def errors_of_opening_hide_secrets(stage: Stage) -> None:
    """An error about a URL MUST not show its password, wherever in the URL it stands."""
    for url in ("nosuchengine://me:hunter2@host/name", "nosuchengine://host/name?password=hunter2"):
        with pytest.raises(StoreError) as caught:
            stage.harness.open(url)
        shown = "".join(str(part) for part in (caught.value, caught.value.__cause__, *caught.value.args))
        assert "hunter2" not in shown


@clause("OPN-006", needs=[Capability.PERSISTENCE])
def what_belongs_to_others_is_left_alone(stage: Stage) -> None:
    """A place that holds what another application keeps there MUST be refused as no store, with what to do, and be left
    as it was."""
    if stage.harness.foreign is None:
        not_run("the harness can't put something of another application in a place (foreign=)")
    place = stage.new_place()
    read = stage.harness.foreign(stage.url(place))
    before = read()
    if not before:
        raise HarnessBroken("what foreign() of the harness has put there can't be read back")
    for create in (True, False):
        with pytest.raises(NotAStore, match=r".") as caught:
            stage.open(place, create=create)
        assert caught.value.hint
        assert read() == before
