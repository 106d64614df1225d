"""Retention: each kind by its own window, what is protected stays, and one record that can't go keeps no other back."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import iotstore
from iotstore import Alert, Connection, Device, Kind, ManualClock, OnDelete, Point, Record, Retention
from iotstore._catalogue import retention
from iotstore._catalogue.retention import PruneLine, prune_plan, prune_run
from iotstore.errors import InvalidValue

DAY = timedelta(days=1)
Opener = Callable[..., iotstore.Store]


class Batch(Record, frozen=True, kw_only=True):
    """A record that others point to."""

    id: int = 0
    at: datetime
    done: bool = True


class Item(Record, frozen=True, kw_only=True):
    """A record that points."""

    id: int = 0
    batch: int


BATCHES = Kind(Batch, "batch", "id", generated="id", retention=Retention("at", 10 * DAY, only="done"))
ITEMS = Kind(Item, "item", "id", generated="id", references={"batch": ("batch", OnDelete.RESTRICT)})


@pytest.fixture
def store(open_store: Opener) -> iotstore.Store:
    return open_store("small.db", kinds=[BATCHES, ITEMS])


def plan(store: iotstore.Store, **keep: timedelta) -> dict[str, PruneLine]:
    """The lines of a dry run by kind."""
    return {line.kind: line for line in prune_plan(store._engine, store.clock.now(), keep)}


def run(store: iotstore.Store, **keep: timedelta) -> dict[str, PruneLine]:
    """The lines of a run by kind."""
    return {line.kind: line for line in prune_run(store._engine, store.clock.now(), keep)}


def test_a_dry_run_tells_rows_and_the_oldest_date_and_deletes_nothing(
    store: iotstore.Store, clock: ManualClock
) -> None:
    now = clock.now()
    store.devices.put(Device(key="d"))
    store.connections.add_many(Connection(device="d", time=now - n * DAY) for n in range(60))

    line = plan(store)["connection"]

    assert line == PruneLine("connection", now - 30 * DAY, 29, now - 59 * DAY)
    assert store.connections.count() == 60


def test_a_run_deletes_exactly_what_its_dry_run_told(store: iotstore.Store, clock: ManualClock) -> None:
    """The end of the window itself stays: ranges are half-open."""
    now = clock.now()
    store.devices.put(Device(key="d"))
    store.connections.add_many(Connection(device="d", time=now - n * DAY) for n in range(60))

    line = run(store)["connection"]

    assert (line.rows, line.deleted, line.referenced) == (29, 29, 0)
    assert min(one.time for one in store.connections.list()) == now - 30 * DAY
    assert plan(store)["connection"].rows == 0
    assert plan(store)["connection"].oldest is None


def test_more_than_one_chunk_goes_although_times_are_equal(
    store: iotstore.Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_CHUNK_ROWS", 7)
    store.devices.put(Device(key="d"))
    store.connections.add_many(Connection(device="d", time=clock.now() - 40 * DAY) for _ in range(50))

    assert run(store)["connection"].deleted == 50


def test_an_alert_that_nobody_resolved_stays_however_old_it_is(store: iotstore.Store, clock: ManualClock) -> None:
    store.devices.put(Device(key="d"))
    for _ in range(2):
        store.alerts.raise_(Alert(kind="k", title="t", device="d", time=clock.now() - 5000 * DAY))
    store.alerts.acknowledge(1, "ann")
    store.alerts.resolve(2, "ann")
    clock.advance(400 * DAY)

    assert run(store, alert=timedelta())["alert"].deleted == 1
    assert [alert.id for alert in store.alerts.list()] == [1]


def test_an_alert_that_is_reopened_while_retention_runs_stays(
    store: iotstore.Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.devices.put(Device(key="d"))
    for _ in range(2):
        store.alerts.resolve(store.alerts.raise_(Alert(kind="k", title="t", device="d")).id, "ann")
    clock.advance(400 * DAY)
    delete = retention._delete

    def late(*arguments: Any) -> int:
        store.alerts.reopen(1)
        return delete(*arguments)

    monkeypatch.setattr(retention, "_delete", late)

    assert run(store)["alert"].deleted == 1
    assert [alert.id for alert in store.alerts.list()] == [1]


def test_a_window_that_is_given_wins_over_the_declared_one_shorter_or_longer(
    store: iotstore.Store, clock: ManualClock
) -> None:
    now = clock.now()
    store.devices.put(Device(key="d"))
    store.connections.add_many(Connection(device="d", time=now - n * DAY) for n in range(60))

    assert plan(store, connection=2 * DAY)["connection"].rows == 57
    assert plan(store, connection=50 * DAY)["connection"].rows == 9
    assert run(store, connection=2 * DAY)["connection"].deleted == 57


def test_one_record_that_is_pointed_to_stays_and_keeps_no_other_one_back(
    store: iotstore.Store, clock: ManualClock
) -> None:
    batches, items = store.records(BATCHES), store.records(ITEMS)
    made = [batches.add(Batch(at=clock.now() - (20 + n) * DAY)) for n in range(5)]
    kept = batches.add(Batch(at=clock.now() - 20 * DAY, done=False))
    items.add(Item(batch=made[2].id))

    line = run(store)["batch"]

    assert (line.rows, line.deleted, line.referenced) == (5, 4, 1)
    assert [batch.id for batch in batches.list()] == [made[2].id, kept.id]
    assert items.count() == 1


def test_points_are_kept_for_ever_unless_a_window_is_given(store: iotstore.Store, clock: ManualClock) -> None:
    now = clock.now()
    store.devices.put(Device(key="d"))
    store.devices.put(Device(key="e"))
    store.telemetry.write([Point(device, "m", now - n * DAY, 1.0) for n in range(20) for device in "de"])
    store.telemetry.write([Point("e", "old", datetime(1, 1, 1, tzinfo=UTC), "ancient")])

    assert "points" not in plan(store)
    assert plan(store, points=9 * DAY)["points"] == PruneLine(
        "points", now - 9 * DAY, 21, datetime(1, 1, 1, tzinfo=UTC)
    )
    assert run(store, points=9 * DAY)["points"].deleted == 21
    assert store.telemetry.count() == 20
    assert store.telemetry.latest("e", "old") is None
    assert run(store, points=9 * DAY)["points"].deleted == 0


def test_many_points_of_one_series_go_in_parts(
    store: iotstore.Store, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "_CHUNK_POINTS", 10)
    now = clock.now()
    store.devices.put(Device(key="d"))
    store.telemetry.write([Point("d", "m", now - timedelta(minutes=n), float(n)) for n in range(100)])

    assert run(store, points=timedelta(minutes=9))["points"].deleted == 90
    assert [p.value for p in store.telemetry.last("d", "m")] == [float(n) for n in range(10)]


@pytest.mark.parametrize(
    ("keep", "words"),
    [
        ({"device": DAY}, "'device' is no kind with a retention; there are .*connection"),
        ({"conections": DAY}, "'conections' is no kind"),
        ({"connection": -DAY}, "connection: .* is no duration to keep"),
        ({"connection": 30}, "connection: 30 is no duration to keep; give a timedelta"),
    ],
)
def test_a_wrong_window_is_refused_and_nothing_is_deleted(
    store: iotstore.Store, clock: ManualClock, keep: dict[str, Any], words: str
) -> None:
    store.devices.put(Device(key="d"))
    store.connections.add(Connection(device="d", time=clock.now() - 90 * DAY))

    with pytest.raises(InvalidValue, match=words):
        run(store, **keep)
    assert store.connections.count() == 1


def test_a_run_tells_observers_of_the_tracked_records_that_it_deletes(
    store: iotstore.Store, clock: ManualClock
) -> None:
    store.devices.put(Device(key="d"))
    made = store.alerts.raise_(Alert(kind="k", title="t", device="d"))
    store.alerts.resolve(made.id, "ann")
    clock.advance(400 * DAY)
    seen: list[tuple[str, tuple[Any, ...], str]] = []
    store.on_commit(lambda changes: seen.extend((c.kind, c.key, c.action) for c in changes))

    run(store)

    assert seen == [("alert", (made.id,), "delete")]
