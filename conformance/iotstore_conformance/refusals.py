"""What a backend must do where it declares a capability unsupported: refuse by name, and change nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import pytest

from iotstore import Device, Point, Store, Unsupported
from iotstore.backend import Capability
from iotstore_conformance.stage import NOON, Stage

_WITNESS: Final = "witness"


class Unclaimed(AssertionError):
    """A capability that the backend declares unsupported works."""

    def __init__(self, capability: Capability) -> None:
        super().__init__(f"{capability.value} is declared unsupported, and works: declare it supported, or refuse it")
        self.capability = capability


def _transaction(stage: Stage) -> None:
    with stage.store.transaction():
        stage.store.devices.add(Device(key="refused"))


def _savepoint(stage: Stage) -> None:
    with stage.store.transaction():
        stage.store.devices.add(Device(key="refused"))
        with stage.store.transaction():
            stage.store.devices.add(Device(key="refused too"))


def _snapshot(stage: Stage) -> None:
    with stage.store.snapshot() as frozen:
        frozen.devices.count()


def _series(stage: Stage) -> None:
    stage.store.telemetry.write([Point(_WITNESS, "temperature", NOON, 1.0)])


def _native_backup(stage: Stage) -> None:
    stage.store.backups.create(stage.folder(), format="native")


def _compaction(stage: Stage) -> None:
    stage.store.admin.optimise(compact=True)


# Capabilities that are no call (what survives, who may wait) are refused by the declaration itself.
_CALLS: Final[Mapping[Capability, Callable[[Stage], None]]] = {
    Capability.TRANSACTIONS: _transaction,
    Capability.SAVEPOINTS: _savepoint,
    Capability.SNAPSHOTS: _snapshot,
    Capability.SERIES: _series,
    Capability.NATIVE_BACKUP: _native_backup,
    Capability.COMPACTION: _compaction,
}


def prove_refusal(stage: Stage, capability: Capability) -> None:
    """Prove that using *capability* raises Unsupported with name, backend, reason and remedy, and changes nothing."""
    store = stage.store
    store.devices.add(Device(key=_WITNESS))
    before = _state(store)
    call = _CALLS.get(capability)
    if capability is Capability.SAVEPOINTS and not store.capabilities.has(Capability.TRANSACTIONS):
        call = None  # there is no transaction to be nested in: the declaration refuses
    with pytest.raises(Unsupported, match=capability.value) as caught:  # noqa: PT012 - see the last line of the block
        store.capabilities.require(capability) if call is None else call(stage)
        # Reached only where nothing was refused; it is no Unsupported, so it leaves the block as it is.
        raise Unclaimed(capability)
    assert caught.value.capability == capability.value
    assert caught.value.backend == store.backend.name
    assert caught.value.reason
    assert caught.value.hint
    assert not caught.value.retryable
    assert _state(store) == before


def _state(store: Store) -> list[object]:
    return [store.devices.list(), store.connections.list(), store.alerts.list(), store.settings.all()]
