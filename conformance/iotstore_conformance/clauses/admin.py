"""Admin, settings and the page of three seconds."""

from __future__ import annotations

from datetime import timedelta

import pytest

from iotstore import Alert, Connection, Device, InvalidValue, NotAllowed, NotFound, Point
from iotstore.backend import Capability
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago


@clause("ADM-001")
def health_tells(stage: Stage) -> None:
    """Health MUST say ok for a sound store, in memory too, with at least one check, each with a name and a finding."""
    health = stage.store.admin.health()
    assert health.status in ("ok", "warning")
    assert health.checks
    assert all(check.name and check.detail and check.status in ("ok", "warning") for check in health.checks)


@clause("ADM-002")
def statistics_count(stage: Stage) -> None:
    """Statistics MUST count the records of every kind exactly, those of the application's kinds too."""
    stage.devices("a", "b", "c")
    stage.store.records(SAMPLES).add(Sample(key="x"))
    found = stage.store.admin.statistics().rows
    assert found["device"] == 3
    assert found["suite_sample"] == 1
    assert found["alert"] == 0


@clause("ADM-003")
def optimising_changes_nothing(stage: Stage) -> None:
    """Optimising and verifying MUST work on every store and change no record."""
    stage.devices("a", "b")
    before = stage.store.devices.list()
    stage.store.admin.optimise()
    stage.store.admin.verify()
    assert stage.store.devices.list() == before


@clause("ADM-004", needs=[Capability.COMPACTION])
def compaction_changes_nothing(stage: Stage) -> None:
    """Compaction MUST change no record."""
    samples = stage.store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", text="x" * 1000) for n in range(200)])
    for n in range(0, 200, 2):
        samples.delete(f"k{n}")
    before = samples.list()
    stage.store.admin.optimise(compact=True)
    assert samples.list() == before


@clause("ADM-005")
def retention_asks_first(stage: Stage) -> None:
    """Retention MUST delete nothing in a dry run and tell exactly what it would delete; then exactly that goes."""
    stage.devices("a")
    for days in (100, 40, 20):
        stage.store.connections.add(Connection(device="a", time=ago(days=days)))
    planned = {line.kind: line.rows for line in stage.store.admin.retention()}
    assert planned["connection"] == 2
    assert stage.store.connections.count() == 3
    done = {line.kind: line.rows for line in stage.store.admin.retention(dry_run=False)}
    assert done["connection"] == 2
    assert [flow.time for flow in stage.store.connections.list()] == [ago(days=20)]


@clause("ADM-006")
def retention_never_takes_open_alerts(stage: Stage) -> None:
    """Retention MUST never delete an alert that nobody has resolved, however old it is."""
    old = [stage.store.alerts.raise_(Alert(kind="k", title="t", time=ago(days=800))) for _ in range(3)]
    stage.store.alerts.acknowledge(old[1].id, "ann")
    stage.store.alerts.resolve(old[2].id, "ann")
    stage.store.admin.retention(dry_run=False)
    assert [alert.id for alert in stage.store.alerts.list()] == [old[0].id, old[1].id]


@clause("ADM-007")
def retention_does_as_it_is_told(stage: Stage) -> None:
    """A span of retention given with the call MUST win over the declared one, to the microsecond, for that
    kind only."""
    stage.devices("a")
    for when in (ago(days=2, microseconds=1), ago(days=2), ago(days=1)):
        stage.store.connections.add(Connection(device="a", time=when))
    stage.store.alerts.resolve(stage.store.alerts.raise_(Alert(kind="k", title="t", time=ago(days=3))).id, "ann")
    stage.store.admin.retention(dry_run=False, keep={"connection": timedelta(days=2)})
    assert [flow.time for flow in stage.store.connections.list(order=["time"])] == [ago(days=2), ago(days=1)]
    assert stage.store.alerts.count() == 1
    with pytest.raises(InvalidValue, match="conection"):
        stage.store.admin.retention(keep={"conection": timedelta(days=2)})


@clause("ADM-008", needs=[Capability.EXPLAIN])
def questions_are_explained(stage: Stage) -> None:
    """Explaining a question MUST tell every statement that it sends with the engine's plan, give the same answer as
    without, and take no writes."""
    stage.devices("a", "b")
    answers: list[object] = []
    told = stage.store.explain(lambda reading: answers.append((reading.devices.get("a").key, reading.devices.count())))
    assert answers == [("a", 2)]
    assert sum(one.times for one in told) >= 2
    assert all(one.statement and one.plan for one in told)
    with pytest.raises(NotAllowed, match="no writes"):
        stage.store.explain(lambda reading: reading.devices.delete("a"))
    assert stage.store.devices.count() == 2


@clause("SET-001")
def settings_are_kept(stage: Stage) -> None:
    """Settings MUST keep JSON values by name, give the default for an unknown name, and tell null from unknown."""
    settings = stage.store.settings
    settings.set("a", {"x": [1, 1.0, None]})
    settings.set("b", None)
    settings.set("a", 2)
    assert settings.get("a") == 2
    assert settings.get("b", "default") is None
    assert settings.get("c", "default") == "default"
    assert settings.all() == {"a": 2, "b": None}
    settings.delete("a")
    assert settings.all() == {"b": None}
    with pytest.raises(NotFound, match="a"):
        settings.delete("a")


@clause("HOM-001")
def home_is_one_call(stage: Stage) -> None:
    """The home page MUST give devices, alerts, connections and totals as the single questions do, in one call."""
    store = stage.store
    store.devices.add(Device(key="cam", name="Camera", last_seen=ago(minutes=1)))
    store.devices.add(Device(key="tv", last_seen=ago(minutes=9)))
    store.connections.add_many([Connection(device="cam", time=ago(minutes=n), bytes_sent=5) for n in (1, 30, 90)])
    store.alerts.raise_(Alert(kind="k", title="t", device="cam", time=ago(hours=1)))
    page = store.home()
    assert [device.key for device in page.active] == ["cam"]
    assert [device.key for device in page.devices] == ["cam", "tv"]
    assert [view.device_name for view in page.alerts] == ["Camera"]
    assert [alert.device for alert in page.unacknowledged] == ["cam"]
    assert len(page.connections) == 2
    assert [(row.name, row.bytes_sent) for row in page.bandwidth] == [("cam", 15)]
    assert (page.total_devices, page.total_connections, page.total_alerts) == (2, 3, 1)


@clause("HOM-002", needs=[Capability.SERIES], profile="telemetry")
def statistics_count_points(stage: Stage) -> None:
    """Statistics MUST count points exactly."""
    stage.devices("a")
    stage.store.telemetry.write([Point("a", "m", NOON, 1.0), Point("a", "n", NOON, 2.0)])
    found = stage.store.admin.statistics().rows
    assert found["points"] == 2
