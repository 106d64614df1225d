"""Migrations: additions by comparison, declared steps, unknown kinds kept, newer stores refused."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, TypeAlias

import pytest

from iotstore import (
    Drop,
    Kind,
    MigrationNeeded,
    NewerSchema,
    Rename,
    RenameKind,
    StoreError,
    Text,
    Tracked,
    Transform,
)
from iotstore.backend import Capability
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage

Step: TypeAlias = Rename | Drop | Transform
_NEEDS = [Capability.PERSISTENCE]


class _Pump(Tracked, frozen=True, kw_only=True):
    """The first version."""

    key: Annotated[str, Text(40, min=1)]
    speed: int | None = None
    label: Annotated[str | None, Text(40)] = None


class _WiderPump(Tracked, frozen=True, kw_only=True):
    """With another field, a longer text and an index."""

    key: Annotated[str, Text(40, min=1)]
    speed: int | None = None
    label: Annotated[str | None, Text(80)] = None
    power: float | None = 1.5


class _RenamedPump(Tracked, frozen=True, kw_only=True):
    """With a renamed and without a dropped field."""

    key: Annotated[str, Text(40, min=1)]
    velocity: int | None = None


_FIRST = Kind(_Pump, "suite_pump", "key")


def _start(stage: Stage) -> None:
    store = stage.open(kinds=[_FIRST])
    store.records(_FIRST).add_many([_Pump(key=f"p{n}", speed=n, label=f"label {n}") for n in range(5)])
    store.close()


@clause("MIG-001", needs=_NEEDS)
def additions_are_found(stage: Stage) -> None:
    """A new field, a longer text and a new index MUST be added on opening, records keep their values and get the
    default."""
    _start(stage)
    wider = Kind(_WiderPump, "suite_pump", "key", indexes=[["power"]])
    pumps = stage.open(kinds=[wider]).records(wider)
    found = [(pump.key, pump.speed, pump.label, pump.power) for pump in pumps.list()]
    assert found == [(f"p{n}", n, f"label {n}", 1.5) for n in range(5)]
    assert pumps.add(_WiderPump(key="new", label="x" * 80)).label == "x" * 80


@clause("MIG-002", needs=_NEEDS)
def renames_and_drops_are_steps(stage: Stage) -> None:
    """A declared rename MUST keep the values and a declared drop remove the field."""
    _start(stage)
    steps: list[Step] = [Rename(2, "speed", "velocity"), Drop(2, "label")]
    renamed = Kind(_RenamedPump, "suite_pump", "key", version=2, steps=steps)
    pumps = stage.open(kinds=[renamed]).records(renamed)
    assert [(pump.key, pump.velocity) for pump in pumps.list()] == [(f"p{n}", n) for n in range(5)]


@clause("MIG-003", needs=_NEEDS)
def undeclared_losses_are_refused(stage: Stage) -> None:
    """A difference that would lose values without a declared step MUST raise MigrationNeeded and touch nothing."""
    _start(stage)
    renamed = Kind(_RenamedPump, "suite_pump", "key")
    with pytest.raises(MigrationNeeded, match=r"suite_pump|suite pump|speed|label"):
        stage.open(kinds=[renamed])
    assert [pump.speed for pump in stage.open(kinds=[_FIRST]).records(_FIRST).list()] == [0, 1, 2, 3, 4]


@clause("MIG-004", needs=_NEEDS)
def transforms_rewrite(stage: Stage) -> None:
    """A declared transform MUST rewrite every record once, and not again on the next opening."""
    _start(stage)

    def double(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"speed": fields["speed"] * 2}

    doubled = Kind(_Pump, "suite_pump", "key", version=2, steps=[Transform(2, double)])
    for _ in range(2):
        store = stage.open(kinds=[doubled])
        assert [pump.speed for pump in store.records(doubled).list()] == [0, 2, 4, 6, 8]
        store.close()


@clause("MIG-005", needs=[*_NEEDS, Capability.ATOMIC_MIGRATIONS])
def failed_migrations_leave_nothing(stage: Stage) -> None:
    """A migration that fails MUST leave schema, records and version as they were."""
    _start(stage)

    def fails(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        if fields["key"] == "p3":
            raise ZeroDivisionError("on purpose")
        return {"speed": 99}

    broken = Kind(_Pump, "suite_pump", "key", version=2, steps=[Transform(2, fails)])
    with pytest.raises((ZeroDivisionError, StoreError), match=r"."):
        stage.open(kinds=[broken])
    assert [pump.speed for pump in stage.open(kinds=[_FIRST]).records(_FIRST).list()] == [0, 1, 2, 3, 4]


@clause("MIG-006", needs=_NEEDS)
def newer_stores_are_refused(stage: Stage) -> None:
    """A store whose kind was written by a newer version MUST raise NewerSchema and stay untouched."""
    _start(stage)
    steps: list[Step] = [Rename(2, "speed", "velocity"), Drop(2, "label")]
    renamed = Kind(_RenamedPump, "suite_pump", "key", version=2, steps=steps)
    stage.open(kinds=[renamed]).close()
    with pytest.raises(NewerSchema, match=r"suite_pump|suite pump|newer"):
        stage.open(kinds=[_FIRST])
    assert stage.open(kinds=[renamed]).records(renamed).count() == 5


@clause("MIG-007", needs=_NEEDS)
def kinds_without_code_are_kept(stage: Stage) -> None:
    """Records of a kind that a later opening doesn't declare MUST still be there for the one that does."""
    stage.store.records(SAMPLES).add(Sample(key="a", number=1))
    stage.store.close()
    stranger = stage.open(kinds=[])
    assert "suite_sample" not in stranger.kinds
    stranger.close()
    assert [sample.number for sample in stage.reopen().records(SAMPLES).list()] == [1]


@clause("MIG-008", needs=_NEEDS)
def migrations_can_be_forbidden(stage: Stage) -> None:
    """With migrate=False a store that needs a migration MUST be refused and stay as it was."""
    _start(stage)
    wider = Kind(_WiderPump, "suite_pump", "key")
    with pytest.raises(MigrationNeeded, match=r"suite_pump|suite pump|power"):
        stage.open(kinds=[wider], migrate=False)
    assert stage.open(kinds=[_FIRST]).records(_FIRST).count() == 5


@clause("MIG-009", needs=_NEEDS)
def renamed_kinds_keep_their_records(stage: Stage) -> None:
    """A declared rename of a kind MUST keep its records, and leave nothing under the old name."""
    _start(stage)
    moved = Kind(_Pump, "suite_engine", "key", version=2, steps=[RenameKind(2, "suite_pump")])
    store = stage.open(kinds=[moved])
    assert [pump.speed for pump in store.records(moved).list()] == [0, 1, 2, 3, 4]
    store.close()
    assert stage.open(kinds=[_FIRST]).records(_FIRST).count() == 0
