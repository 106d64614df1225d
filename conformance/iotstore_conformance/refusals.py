"""What a backend must do where it declares a capability unsupported: refuse by name, and change nothing."""

from __future__ import annotations

import pytest

from iotstore import Unsupported
from iotstore.backend import Capability
from iotstore_conformance.probes import PROBES, PUMPS, Probe, Step, alone
from iotstore_conformance.stage import Stage


class Unclaimed(AssertionError):
    """A capability that the backend declares unsupported works."""

    def __init__(self, capability: Capability) -> None:
        super().__init__(f"{capability.value} is declared unsupported, and works: declare it supported, or refuse it")
        self.capability = capability


def prove_refusal(stage: Stage, capability: Capability) -> None:
    """Prove that using *capability* raises Unsupported with name, backend, reason and remedy, and changes nothing."""
    probe = PROBES.get(capability)
    error: Unsupported | None = None
    if probe is not None and (stage.persistent or not probe.schema):
        error = _refused(stage, capability, probe)
    if error is None:  # no call, or one that needs something else that is missing: the declaration refuses
        with pytest.raises(Unsupported, match=capability.value) as caught:
            stage.store.capabilities.require(capability)
        error = caught.value
    assert error.capability == capability.value
    assert error.backend == stage.store.backend.name
    assert error.reason
    assert error.hint
    assert not error.retryable


def _refused(stage: Stage, capability: Capability, probe: Probe) -> Unsupported | None:
    """The refusal of a use; None where another missing capability is refused before it."""
    if _other(stage, _raised_by(probe.prepare, stage)) is not None:
        return None
    before = _state(stage, probe)
    error = _raised_by(probe.use, stage)
    if error is None:
        raise Unclaimed(capability)
    assert _state(stage, probe) == before
    if error.capability == capability.value:
        return error
    _other(stage, error)
    return None


def _raised_by(step: Step, stage: Stage) -> Unsupported | None:
    try:
        step(stage)
    except Unsupported as error:
        return error
    return None


def _other(stage: Stage, error: Unsupported | None) -> Unsupported | None:
    """The refusal of something else, which has to be unsupported, too."""
    if error is not None:
        supported = stage.store.capabilities.has(Capability(error.capability))
        assert not supported, f"{error.capability} is declared supported, and was refused"
    return error


def _state(stage: Stage, probe: Probe) -> list[object]:
    """Every record and point, by operations that every backend has."""
    found: list[object] = []
    if probe.schema:
        with alone(stage, PUMPS) as other:
            found.append(other.records(PUMPS).list())
        stage.reopen()
    store = stage.store
    found += [store.records(name).list() for name in sorted(store.kinds)]
    if store.capabilities.has(Capability.SERIES):
        telemetry = store.telemetry
        found += [telemetry.range(one.device, one.metric) for one in telemetry.series()]
    return found
