"""Every capability can be refused, and only its own use is: one at a time, on a backend that has all the others."""

import pytest

from iotstore import Device, Unsupported
from iotstore.backend import IMPLIED, Capabilities, Capability, NotSupported, Supported
from iotstore_conformance import Stage, find_harness
from iotstore_conformance.hostile import lacking
from iotstore_conformance.needs import missing
from iotstore_conformance.probes import PROBES, PROMISES
from iotstore_conformance.refusals import Unclaimed, prove_refusal

pytestmark = pytest.mark.once

HARNESS = find_harness("sqlite")
ALL = list(Capability)
CALLS = [capability for capability in Capability if capability in PROBES]


def backend_class():
    with Stage(HARNESS) as stage:
        return type(stage.store.backend)


@pytest.mark.parametrize("capability", ALL)
def test_what_a_backend_lacks_is_refused_by_name_and_changes_nothing(capability):
    with lacking(backend_class(), [capability]), Stage(HARNESS) as stage:
        assert not stage.store.capabilities.has(capability)
        prove_refusal(stage, capability)


@pytest.mark.parametrize("capability", CALLS)
def test_the_use_that_has_to_be_refused_works_where_nothing_is_missing(capability):
    """Else a refusal would prove nothing; and so what works although it is declared unsupported is told."""
    with Stage(HARNESS) as stage:
        said = NotSupported("no", "another one")
        shy = stage.store.capabilities.but({capability: said})
        stage.store.__class__ = type("Shy", (type(stage.store),), {"capabilities": property(lambda _: shy)})
        with pytest.raises(Unclaimed, match=f"{capability.value} is declared unsupported, and works"):
            prove_refusal(stage, capability)


def test_a_backend_without_any_capability_opens_and_keeps_records_by_their_keys():
    with lacking(backend_class(), ALL), Stage(HARNESS) as stage:
        devices = stage.store.devices
        devices.add(Device(key="b", name="boiler"))
        devices.add(Device(key="a"))
        devices.rename("b", "heater")
        assert [one.key for one in devices.list()] == ["a", "b"]
        assert devices.get("b").name == "heater"
        assert devices.count() == 2
        for capability in Capability:
            with pytest.raises(Unsupported, match=capability.value):
                stage.store.capabilities.require(capability)


def test_what_is_no_call_is_known_and_small():
    promised = {"persistence", "concurrent_reads", "many_handles", "many_processes", "atomic_migrations", "graph"}
    assert promised == {capability.value for capability in PROMISES}


def test_what_another_capability_is_the_base_of_is_missing_with_it_and_for_the_same_reason():
    said = NotSupported("keeps no points", "use another store")
    right: dict[Capability, Supported | NotSupported] = {capability: Supported() for capability in Capability}
    declared = Capabilities("x", {**right, Capability.SERIES: said})
    assert declared[Capability.LATE_POINTS] is said
    assert declared.lacking == {Capability.SERIES}
    for capability in IMPLIED:
        assert Capabilities("x", {**right, **dict.fromkeys(IMPLIED[capability], said)})[capability] is said


def test_a_group_that_a_clause_does_without_is_not_what_it_misses():
    with lacking(backend_class(), [Capability.SERIES]), Stage(HARNESS) as stage:
        has = stage.store.capabilities.has
        assert missing([Capability.TEXT_POINTS], has) == []
        assert missing([Capability.SERIES, Capability.TEXT_POINTS], has) == [Capability.SERIES, Capability.TEXT_POINTS]
    with lacking(backend_class(), [Capability.TEXT_POINTS]), Stage(HARNESS) as stage:
        assert missing([Capability.TEXT_POINTS], stage.store.capabilities.has) == [Capability.TEXT_POINTS]
