"""A store as an application has it: its own kind for free, the home page, alerts' life, threads, claims, the end."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import pytest

import iotstore
from iotstore import (
    Alert,
    Conflict,
    Connection,
    Device,
    IdempotencyConflict,
    InvalidValue,
    Kind,
    ManualClock,
    NotAllowed,
    NotFound,
    Rejected,
    Store,
    Text,
    Tracked,
    VersionConflict,
    count,
    every,
    field,
    sum_,
)

Opener = Callable[..., Store]
NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


class Parcel(Tracked, frozen=True, kw_only=True):
    key: Annotated[str, Text(20)]
    sender: Annotated[str | None, Text(50, search=True)] = None
    weight: float = 0.0
    arrived: datetime | None = None
    tags: frozenset[str] = frozenset()


PARCELS = Kind(Parcel, "parcel", "key", indexes=[["arrived"]])


# An application's own kind ----------------------------------------------------------------------------------------


@pytest.fixture
def parcels(open_store: Opener) -> Store:
    store = open_store(kinds=[PARCELS])
    store.records(PARCELS).add_many(
        [
            Parcel(
                key=f"p{n}",
                sender=f"Straße {n % 3}",
                weight=n / 2,
                arrived=NOON + timedelta(hours=n),
                tags=frozenset({f"t{n % 2}"}),
            )
            for n in range(10)
        ]
    )
    return store


def test_an_own_kind_is_created_read_updated_and_deleted(parcels: Store) -> None:
    records = parcels.records(PARCELS)

    added = records.add(Parcel(key="x", weight=1.0))
    assert records.get("x") == added
    assert records.update("x", weight=2.0).weight == 2.0
    assert records.put(Parcel(key="x", sender="me")).sender == "me"
    records.delete("x")
    assert records.find("x") is None
    with pytest.raises(NotFound, match="no parcel with key 'x'"):
        records.get("x")
    with pytest.raises(Conflict, match="p1"):
        records.add(Parcel(key="p1"))


def test_an_own_kind_is_filtered_paged_and_streamed(parcels: Store) -> None:
    records = parcels.records(PARCELS)
    where = field("sender").contains("STRASSE") & field("tags").has_tag("t1")

    pages, cursor = [], None
    while True:
        page = records.page(where, order=["-weight"], limit=2, after=cursor)
        pages.append([parcel.key for parcel in page.items])
        cursor = page.next
        if cursor is None:
            break

    assert pages == [["p9", "p7"], ["p5", "p3"], ["p1"]]
    assert [parcel.key for parcel in records.stream(where, order=["weight"], rows=2)] == ["p1", "p3", "p5", "p7", "p9"]


def test_an_own_kind_is_aggregated(parcels: Store) -> None:
    found = parcels.records(PARCELS).aggregate(
        {"n": count(), "weight": sum_("weight")}, by=[every("arrived", "day", zone="Europe/Kyiv")]
    )

    assert [(row["n"], row["weight"]) for row in found] == [(9, 18.0), (1, 4.5)]


@pytest.mark.parametrize("form", ["native", "portable"])
def test_an_own_kind_is_backed_up_and_restored(parcels: Store, tmp_path: Path, form: Any) -> None:
    before = parcels.records(PARCELS).list()
    backup = parcels.backups.create(tmp_path / "backups", format=form)
    url = f"sqlite:///{tmp_path}/restored.db"

    iotstore.restore(backup.path, url)

    with iotstore.open(url, kinds=[PARCELS]) as restored:
        assert restored.records(PARCELS).list() == before
        assert [parcel.key for parcel in restored.records(PARCELS).list(field("sender").contains("strasse 2"))] == [
            "p2",
            "p5",
            "p8",
        ]


def test_pages_lose_and_repeat_nothing_while_records_come_and_go(parcels: Store) -> None:
    records = parcels.records(PARCELS)
    seen: list[str] = []
    cursor: str | None = None
    for turn in range(20):
        page = records.page(order=["-arrived"], limit=2, after=cursor)
        seen += [parcel.key for parcel in page.items]
        records.add(Parcel(key=f"new{turn}", arrived=NOON + timedelta(days=1 + turn)))
        if turn == 1:
            records.delete("p9")
        cursor = page.next
        if cursor is None:
            break

    assert seen == [f"p{n}" for n in range(9, -1, -1)]


def test_a_version_is_drawn_inside_the_transaction_that_stores_it(open_store: Opener) -> None:
    """Drawn before, it could be lower than one that a writer ahead in the queue gave to the same key and deleted."""
    inside: list[bool] = []

    class Watching(ManualClock):
        store: Store | None = None

        def now(self) -> datetime:
            if self.store is not None:
                inside.append(self.store._engine.in_transaction)
            return super().now()

    clock = Watching(NOON)
    store = clock.store = open_store(clock=clock)
    inside.clear()

    store.devices.add(Device(key="a"))
    store.devices.put(Device(key="b"))
    store.devices.add_many([Device(key="c")])

    assert inside == [True] * 3


# The home page ----------------------------------------------------------------------------------------------------


def test_the_home_page_is_one_committed_state_while_others_write(store: Store) -> None:
    """Each transaction adds one device, one flow and one alert, so every committed state has as many of each."""
    stop = threading.Event()
    failed: list[BaseException] = []

    def write() -> None:
        number = 0
        try:
            while not stop.is_set() and number < 400:
                with store.transaction():
                    store.devices.add(Device(key=f"d{number}", last_seen=NOON))
                    store.connections.add(Connection(device=f"d{number}", time=NOON, bytes_sent=1))
                    store.alerts.raise_(Alert(kind="x", title="X", device=f"d{number}", time=NOON))
                number += 1
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            failed.append(error)

    thread = threading.Thread(target=write)
    thread.start()
    pages = [store.home(limit=1000) for _ in range(25)]
    stop.set()
    thread.join()

    assert failed == []
    for page in pages:
        totals = {page.total_devices, page.total_connections, page.total_alerts}
        lists = {len(page.devices), len(page.active), len(page.connections), len(page.alerts), len(page.unacknowledged)}
        assert len(totals | lists) == 1
        assert sum(row.connections for row in page.bandwidth) == min(page.total_devices, 10)
    assert pages[-1].total_devices > 0


def test_the_home_page_of_an_empty_store_is_empty(store: Store) -> None:
    page = store.home()

    assert (page.total_devices, page.devices, page.timeline, page.heatmap, page.alerts) == (0, [], [], [], [])
    assert sum(part.alerts for part in page.scores) == 0


# Alerts -----------------------------------------------------------------------------------------------------------


def raised(store: Store, **said: Any) -> Alert:
    return store.alerts.raise_(Alert(**{"kind": "scan", "title": "Port scan", **said}))


def test_an_alert_is_opened_acknowledged_resolved_and_opened_again(store: Store, clock: ManualClock) -> None:
    alert = raised(store)
    assert (alert.status, alert.time) == ("open", NOON)
    clock.advance(timedelta(minutes=1))

    alert = store.alerts.acknowledge(alert.id, "ann")
    assert (alert.status, alert.acknowledged_by, alert.acknowledged_at) == ("acknowledged", "ann", clock.now())
    clock.advance(timedelta(minutes=1))
    alert = store.alerts.resolve(alert.id, "bob")
    assert (alert.status, alert.resolved_by, alert.resolved_at, alert.acknowledged_by) == (
        "resolved",
        "bob",
        clock.now(),
        "ann",
    )
    alert = store.alerts.reopen(alert.id)
    assert (alert.status, alert.acknowledged_by, alert.acknowledged_at, alert.resolved_by, alert.resolved_at) == (
        "open",
        *[None] * 4,
    )


@pytest.mark.parametrize(
    ("steps", "problem"),
    [
        (["reopen"], "is open; only acknowledged or resolved ones become open"),
        (["acknowledge", "acknowledge"], "is acknowledged; only open ones become acknowledged"),
        (["resolve", "acknowledge"], "is resolved; only open ones become acknowledged"),
        (["resolve", "resolve"], "is resolved; only open or acknowledged ones become resolved"),
    ],
)
def test_a_step_that_an_alert_can_not_take_is_not_allowed(store: Store, steps: list[str], problem: str) -> None:
    alert = raised(store)

    def go(step: str) -> Alert:
        return store.alerts.reopen(alert.id) if step == "reopen" else getattr(store.alerts, step)(alert.id, "ann")

    for step in steps[:-1]:
        go(step)
    before = store.alerts.get(alert.id)

    with pytest.raises(NotAllowed, match=problem):
        go(steps[-1])

    assert store.alerts.get(alert.id) == before


def test_an_unknown_alert_is_not_found_and_an_old_version_conflicts(store: Store) -> None:
    alert = raised(store)
    store.alerts.update(alert.id, title="Renamed")

    with pytest.raises(NotFound, match="no alert with key 999"):
        store.alerts.resolve(999, "ann")
    with pytest.raises(VersionConflict, match="not the expected"):
        store.alerts.resolve(alert.id, "ann", expected=alert.version)


def test_an_alert_raised_once_is_not_raised_again_while_it_is_open(store: Store) -> None:
    store.devices.add(Device(key="a"))
    first = raised(store, device="a")

    assert store.alerts.raise_(Alert(kind="scan", title="Again", device="a"), once=True) == first
    other = store.alerts.raise_(Alert(kind="scan", title="No device"), once=True)
    assert other.id > first.id
    assert store.alerts.raise_(Alert(kind="scan", title="No device again"), once=True) == other
    store.alerts.resolve(first.id, "ann")
    assert store.alerts.raise_(Alert(kind="scan", title="Again", device="a"), once=True).id > other.id


def test_a_suppressed_device_raises_alerts_that_ask_for_no_attention(store: Store, clock: ManualClock) -> None:
    store.devices.add_many([Device(key="a"), Device(key="b")])
    store.alerts.suppress("a", timedelta(minutes=10), reason="works")

    quiet, loud = raised(store, device="a"), raised(store, device="b")
    clock.advance(timedelta(minutes=10))
    after = raised(store, device="a")

    assert (quiet.suppressed, loud.suppressed, after.suppressed) == (True, False, False)
    assert [alert.id for alert in store.alerts.open()] == [after.id, loud.id]
    with pytest.raises(InvalidValue, match="is no time to suppress alerts for"):
        store.alerts.suppress("a", timedelta(0))


# Threads and the end ----------------------------------------------------------------------------------------------


def test_threads_have_their_own_transactions(store: Store) -> None:
    """One commits and the other rolls back, at once on one store: each keeps and loses only its own."""
    both_wrote, errors = threading.Barrier(2), list[BaseException]()

    def work(name: str, *, fail: bool) -> None:
        try:
            for number in range(30):
                with store.transaction():
                    store.devices.add(Device(key=f"{name}-{number}"))
                    store.devices.update(f"{name}-{number}" if not fail else "nobody", name=name)
        except NotFound:
            both_wrote.wait(timeout=60)
        except BaseException as error:  # noqa: BLE001 - told by the assertion below
            errors.append(error)
        else:
            both_wrote.wait(timeout=60)

    threads = [
        threading.Thread(target=work, args=(name,), kwargs={"fail": name == "loses"}) for name in ("keeps", "loses")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert {device.name for device in store.devices.list()} == {"keeps"}
    assert store.devices.count() == 30


def test_a_reader_in_another_thread_sees_nothing_of_an_open_transaction_and_does_not_wait(store: Store) -> None:
    found: list[int] = []

    with store.transaction():
        store.devices.add(Device(key="a"))
        thread = threading.Thread(target=lambda: found.append(store.devices.count()))
        thread.start()
        thread.join(timeout=30)
        assert not thread.is_alive()
        assert store.devices.count() == 1

    assert found == [0]
    assert store.devices.count() == 1


def test_a_failed_transaction_leaves_the_store_usable_and_unlocked(store: Store, url: str) -> None:
    def fail() -> None:
        with store.transaction():
            store.devices.add(Device(key="a"))
            store.devices.add(Device(key="a"))

    with pytest.raises(Conflict, match="a"):
        fail()

    with iotstore.open(url) as other:
        other.devices.add(Device(key="b"))
    store.devices.add(Device(key="c"))
    assert [device.key for device in store.devices.list()] == ["b", "c"]


CALLS: list[Callable[[Store], object]] = [
    lambda store: store.devices.get("a"),
    lambda store: store.devices.put(Device(key="a")),
    lambda store: store.devices.count(),
    lambda store: list(store.devices.stream()),
    lambda store: store.home(),
    lambda store: store.settings.get("x"),
    lambda store: store.telemetry.latest("a"),
    lambda store: store.transaction().__enter__(),
    lambda store: store.snapshot().__enter__(),
]


@pytest.mark.parametrize("call", CALLS, ids=range(len(CALLS)))
def test_a_closed_store_says_so_to_every_call(store: Store, call: Callable[[Store], object]) -> None:
    store.close()
    store.close()

    with pytest.raises(NotAllowed, match="closed"):
        call(store)


def test_a_closed_store_is_a_failed_check_of_health_not_an_error(store: Store) -> None:
    store.close()

    assert not store.admin.health()


def test_metrics_are_numbers_that_follow_what_the_store_does(store: Store) -> None:
    store.devices.add(Device(key="a"))
    with store.snapshot():
        inside = store.admin.metrics()
    after = store.admin.metrics()

    assert (inside["healthy"], inside["checks_failed"]) == (1.0, 0.0)
    assert (inside["snapshots_open"], after["snapshots_open"]) == (1.0, 0.0)
    assert inside["readers_lent"] == after["readers_lent"] + 1
    assert all(type(number) is float for number in after.values())


def test_the_metrics_of_a_store_in_trouble_say_so_and_no_more(store: Store) -> None:
    store.close()

    assert store.admin.metrics() == {"healthy": 0.0, "checks_failed": 1.0, "checks_warning": 0.0}


def test_a_snapshot_sees_one_state_and_takes_no_writes(store: Store) -> None:
    store.devices.add(Device(key="a"))

    with store.snapshot() as before:
        store.devices.add(Device(key="b"))
        assert (before.devices.count(), store.devices.count()) == (1, 2)
        with pytest.raises(NotAllowed, match="a snapshot takes no writes"):
            before.devices.put(Device(key="c"))


def test_a_snapshot_inside_a_transaction_is_not_allowed(store: Store) -> None:
    with store.transaction(), pytest.raises(NotAllowed, match="take it before the transaction"), store.snapshot():
        pytest.fail("the snapshot was taken")


# Claims -----------------------------------------------------------------------------------------------------------


def test_a_repeated_batch_is_a_no_op_with_the_same_receipt(store: Store) -> None:
    store.devices.add(Device(key="a"))
    batch = [Device(key="a"), Device(key="b"), Device(key=""), Device(key="b")]

    first = store.devices.add_many(batch, on_conflict="keep", on_invalid="reject", idempotency_key="k")
    store.devices.delete("b")
    again = store.devices.add_many(batch, on_conflict="keep", on_invalid="reject", idempotency_key="k")

    assert (first.stored, first.duplicates, first.total, first.replayed) == (1, 2, 4, False)
    assert first.rejected == (Rejected(2, "key", "has 0 characters; allowed are 1 to 120"),)
    assert again.replayed
    assert (again.stored, again.duplicates, again.rejected) == (first.stored, first.duplicates, first.rejected)
    assert store.devices.find("b") is None


def test_a_repeated_batch_of_generated_ids_has_the_same_ids(store: Store) -> None:
    store.devices.add(Device(key="a"))
    batch = [Connection(device="a", time=NOON), Connection(device="a", time=NOON)]

    first = store.connections.add_many(batch, ids=True, idempotency_key="k")
    again = store.connections.add_many(batch, ids=True, idempotency_key="k")

    assert first.ids == again.ids
    assert store.connections.count() == 2


@pytest.mark.parametrize(
    "other",
    [
        lambda store: store.devices.add_many([Device(key="b")], idempotency_key="k"),
        lambda store: store.devices.put_many([Device(key="a")], idempotency_key="k"),
        lambda store: store.devices.add_many([], idempotency_key="k"),
        lambda store: store.groups.add_many([iotstore.Group(key="a")], idempotency_key="k"),
    ],
    ids=["other record", "other operation", "nothing", "other kind"],
)
def test_a_key_that_was_used_for_another_payload_is_an_error_and_changes_nothing(
    store: Store, other: Callable[[Store], object]
) -> None:
    store.devices.add_many([Device(key="a")], idempotency_key="k")

    with pytest.raises(IdempotencyConflict, match="the idempotency key 'k' was used for another payload at 2024-06-01"):
        other(store)

    assert store.devices.count() == 1
    assert store.groups.count() == 0


def test_a_batch_that_was_rolled_back_leaves_its_key_free(store: Store) -> None:
    with pytest.raises(Conflict, match="a"):
        store.devices.add_many([Device(key="a"), Device(key="a")], idempotency_key="k")

    assert store.devices.add_many([Device(key="a")], idempotency_key="k").stored == 1


def test_threads_that_send_one_batch_at_once_store_it_once(store: Store) -> None:
    receipts: list[iotstore.Receipt] = []
    batch = [Device(key=f"d{n}") for n in range(50)]

    threads = [
        threading.Thread(target=lambda: receipts.append(store.devices.add_many(batch, idempotency_key="k")))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(receipt.replayed for receipt in receipts) == [False, True, True, True]
    assert {receipt.stored for receipt in receipts} == {50}
    assert store.devices.count() == 50


@pytest.mark.parametrize("key", ["", "x" * 201, 5, "a\0"])
def test_an_idempotency_key_that_can_not_be_kept_is_refused(store: Store, key: Any) -> None:
    with pytest.raises(InvalidValue, match=r"key: "):
        store.devices.add_many([Device(key="a")], idempotency_key=key)

    assert store.devices.count() == 0


def test_statistics_tell_what_the_last_day_brought_and_nothing_older(tmp_path: Path) -> None:
    clock = ManualClock(datetime(2026, 3, 4, 12, tzinfo=UTC))
    day = timedelta(days=1)
    with iotstore.open(f"sqlite:///{tmp_path / 'home.db'}", clock=clock) as store:
        store.devices.add(Device(key="new", last_seen=clock.now() - timedelta(hours=1)))
        store.devices.add(Device(key="old", last_seen=clock.now() - 2 * day))
        store.connections.add_many(Connection(device="new", time=clock.now() - age) for age in (day, 2 * day, day / 2))
        store.alerts.raise_(Alert(kind="k", title="t", time=clock.now() - 2 * day))

        assert store.admin.statistics().activity == {"devices seen": 1, "flows": 2, "alerts": 0}
