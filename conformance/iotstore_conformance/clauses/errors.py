"""Capabilities and errors: every claim is declared, every refusal says what to do, nothing is quiet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Annotated

import pytest

from iotstore import (
    Alert,
    Connection,
    Damaged,
    Device,
    EngineError,
    InvalidValue,
    Kind,
    NotAllowed,
    NotFound,
    Point,
    Rename,
    StoreError,
    Text,
    Tracked,
    Unsupported,
    field,
    sum_,
)
from iotstore.backend import Capability, Durability, NotSupported, Supported
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.refusals import prove_refusal
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage


@clause("CAP-001")
def every_capability_is_declared(stage: Stage) -> None:
    """Every capability MUST be declared as supported, or as unsupported with a reason and a remedy."""
    for capability in Capability:
        declared = stage.store.capabilities[capability]
        assert isinstance(declared, Supported | NotSupported)
        if isinstance(declared, NotSupported):
            assert declared.reason.strip()
            assert declared.remedy.strip()


@clause("CAP-002")
def limits_are_numbers(stage: Stage) -> None:
    """Limits MUST be positive numbers that leave room for a key of 1 KiB and a text of 1 MiB."""
    limits = stage.store.limits
    assert limits.max_key_bytes >= 1024
    assert limits.max_text_bytes >= 1_048_576
    assert limits.insert_rows > 0
    assert limits.append_points > 0
    assert limits.snapshot_seconds > 0


@clause("CAP-003")
def durability_is_declared(stage: Stage) -> None:
    """A store MUST declare its durability level, and one that claims persistence MUST not declare none."""
    assert isinstance(stage.store.durability, Durability)
    assert (stage.store.durability is Durability.NONE) is not stage.persistent


@clause("CAP-004")
def the_unsupported_is_refused(stage: Stage) -> None:
    """Using an unsupported capability MUST raise Unsupported naming capability, backend and remedy, and change
    nothing."""
    for capability in Capability:
        if not stage.store.capabilities.has(capability):
            with Stage(stage.harness) as other:
                prove_refusal(other, capability)
            continue
        stage.store.capabilities.require(capability)
        # What is claimed would be refused in the same way: by the declaration, if it said so.
        without = stage.store.capabilities.but({capability: NotSupported("why", "what to do")})
        with pytest.raises(Unsupported, match=capability.value) as caught:
            without.require(capability)
        named = (caught.value.capability, caught.value.backend, caught.value.hint)
        assert named == (capability.value, stage.store.backend.name, "what to do")


@clause("ERR-001")
def closed_stores_say_so(stage: Stage) -> None:
    """A closed store MUST raise NotAllowed on every later call, never answer emptily; closing twice is fine."""
    store = stage.store
    store.devices.add(Device(key="a"))
    stream = store.devices.stream()
    store.close()
    store.close()
    works: list[Callable[[], object]] = [
        lambda: store.devices.list(),  # noqa: PLW0108 - looked up when called
        lambda: store.devices.get("a"),
        lambda: store.devices.count(),  # noqa: PLW0108 - looked up when called
        lambda: store.devices.add(Device(key="b")),
        lambda: store.records(SAMPLES).put(Sample(key="a")),
        lambda: store.alerts.open(),  # noqa: PLW0108 - looked up when called
        lambda: store.settings.get("x"),
        lambda: store.telemetry.latest("a"),
        lambda: store.transaction().__enter__(),
        lambda: store.admin.statistics(),  # noqa: PLW0108 - looked up when called
        lambda: list(stream),
    ]
    for work in works:
        with pytest.raises(NotAllowed, match="closed"):
            work()


@clause("ERR-002")
def errors_are_ours(stage: Stage) -> None:
    """Whatever goes wrong MUST be raised as an error of this library, never as a driver's."""
    store = stage.store
    store.devices.add(Device(key="a"))
    works: list[Callable[[], object]] = [
        lambda: store.devices.add(Device(key="a")),
        lambda: store.devices.get("x" * 5000),
        lambda: store.devices.get(5),
        lambda: store.devices.get(None),
        lambda: store.devices.add(Device(key=None)),  # type: ignore[arg-type]  # that is the point
        lambda: store.connections.get("1"),
        lambda: store.connections.get(2**63),
        lambda: store.connections.add(Connection(device="a", time=None)),  # type: ignore[arg-type]  # as above
        lambda: store.alerts.raise_(Alert(kind="", title="")),
        lambda: store.devices.list(order=["nothing"]),
        lambda: store.settings.set("x", object()),
        lambda: store.settings.set("", 1),
    ]
    for work in works:
        with pytest.raises(StoreError, match=r".") as caught:
            work()
        assert type(caught.value).__module__.startswith("iotstore")
    assert [device.key for device in store.devices.list()] == ["a"]


@clause("ERR-003")
def errors_name_field_and_type(stage: Stage) -> None:
    """An error about a value MUST name its field and its type, and say whether retrying can help."""
    with pytest.raises(InvalidValue, match="number") as caught:
        stage.store.records(SAMPLES).add(Sample(key="a", number="5"))  # type: ignore[arg-type]  # that is the point
    assert caught.value.field == "number"
    assert "str" in str(caught.value)
    assert caught.value.retryable is False


@clause("ERR-004")
def nothing_found_is_not_failure(stage: Stage) -> None:
    """Nothing found MUST be an empty answer of the question's own type, an unknown key NotFound: the two never look
    alike."""
    store = stage.store
    assert store.devices.list() == []
    assert store.devices.page().items == []
    assert store.connections.recent(timedelta(hours=1)) == []
    assert store.alerts.open() == []
    with pytest.raises(NotFound, match="ghost"):
        store.devices.get("ghost")
    with pytest.raises(NotFound, match="ghost"):
        store.groups.of("ghost")


@clause("ERR-005", profile="telemetry", needs=[Capability.SERIES])
def telemetry_of_unknown_devices(stage: Stage) -> None:
    """Reading telemetry of an unknown device MUST raise NotFound; of a known one without points it is empty."""
    store = stage.store
    stage.devices("a")
    assert store.telemetry.latest("a") == {}
    works: list[Callable[[], object]] = [
        lambda: store.telemetry.latest("ghost"),
        lambda: store.telemetry.range("ghost", "m", NOON, NOON + timedelta(1)),
        lambda: store.telemetry.window("ghost", NOON, NOON + timedelta(1)),
        lambda: store.telemetry.delete("ghost", "m"),
    ]
    for work in works:
        with pytest.raises(NotFound, match="ghost"):
            work()


@clause("ERR-006", profile="telemetry", needs=[Capability.SERIES])
def options_are_checked(stage: Stage) -> None:
    """A word that an option doesn't know MUST be refused before anything is stored."""
    stage.devices("a")
    points = [Point("a", "m", NOON, 1.0)]
    with pytest.raises(InvalidValue, match="on_conflict"):
        stage.store.telemetry.write(points, on_conflict="ignore")  # type: ignore[arg-type]  # that is the point
    with pytest.raises(InvalidValue, match="on_invalid"):
        stage.store.telemetry.write(points, on_invalid="ignore")  # type: ignore[arg-type]  # as above
    with pytest.raises(InvalidValue, match="on_invalid"):
        stage.store.devices.add_many([Device(key="b")], on_invalid="ignore")  # type: ignore[arg-type]  # as above
    assert stage.store.telemetry.count() == 0
    assert stage.store.devices.count() == 1


class _Valve(Tracked, frozen=True, kw_only=True):
    """A kind as one process knows it."""

    key: Annotated[str, Text(40, min=1)]
    angle: int | None = None


class _NewerValve(Tracked, frozen=True, kw_only=True):
    """The same kind as a newer one does."""

    key: Annotated[str, Text(40, min=1)]
    opening: int | None = None


@clause("ERR-007", needs=[Capability.PERSISTENCE])
def what_the_engine_cannot_do_is_told(stage: Stage) -> None:
    """When the engine can't do what it is asked, as after another handle has renamed a field, every read and write MUST
    raise EngineError with the driver's error as its cause, or say that the store is newer, and nothing be changed."""
    valves = Kind(_Valve, "suite_valve", "key")
    newer = Kind(_NewerValve, "suite_valve", "key", version=2, steps=[Rename(2, "angle", "opening")])
    old = stage.open(kinds=[valves]).records(valves)
    old.add(_Valve(key="a", angle=1))
    now = stage.open(kinds=[newer]).records(newer)
    works: list[Callable[[], object]] = [
        old.list,
        lambda: old.get("a"),
        lambda: old.count(field("angle") == 1),
        lambda: old.aggregate({"total": sum_("angle")}),
        lambda: old.add(_Valve(key="b", angle=2)),
        lambda: old.update("a", angle=3),
    ]
    for work in works:
        with pytest.raises((EngineError, Damaged), match=r".") as caught:
            work()
        assert isinstance(caught.value, Damaged) or caught.value.__cause__ is not None
        assert not caught.value.retryable
    assert [(valve.key, valve.opening) for valve in now.list()] == [("a", 1)]
