"""Strict stores keep every promise, and raise or differ where an application relies on more."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

import iotstore
from iotstore import Alert, Busy, Connection, Device, ManualClock, Point, count, field, mean, sum_
from iotstore_conformance import find_harness, load_clauses
from iotstore_conformance.execution import execute
from iotstore_conformance.kinds import KINDS, SAMPLES, Sample
from iotstore_conformance.stage import NOON
from iotstore_conformance.strict import NotPromised, strict_store
from iotstore_conformance.verdicts import Outcome

URL = "sqlite://:memory:"


@pytest.fixture
def store():
    with strict_store(URL, seed=3, kinds=KINDS, clock=ManualClock(NOON)) as one:
        yield one


def flows(store, number):
    store.devices.put(Device(key="a"))
    return [store.connections.add(Connection(device="a", time=NOON)).id for _ in range(number)]


def test_an_id_as_a_cursor_for_what_is_new_raises(store):
    first, *_ = flows(store, 3)
    for where in (field("id") > first, field("id") >= first, (field("device") == "a") & (field("id") > first)):
        with pytest.raises(NotPromised, match="keep the cursor of a page, or ask for a time"):
            store.connections.list(where)
        with pytest.raises(NotPromised, match="keep the cursor"):
            list(store.connections.stream(where))
    assert store.connections.get(first).id == first
    assert store.records("connection").list(field("id") == first)[0].id == first


def test_pages_continue_after_an_id(store):
    ids = flows(store, 7)
    for collection in (store.connections, store.records("connection")):
        found, after = [], None
        while True:
            page = collection.page(order=["id"], limit=2, after=after)
            found += [one.id for one in page.items]
            after = page.next
            if after is None:
                break
        assert found == ids


def test_ids_grow_with_gaps(store):
    ids = flows(store, 150)
    steps = [after - before for before, after in pairwise(ids)]
    assert min(steps) >= 1
    assert max(steps) > 1


def test_sums_of_doubles_are_within_the_tolerance_and_exact_ones_exact(store):
    samples = store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", real=0.15, number=1) for n in range(10)])
    found = {store.records(SAMPLES).aggregate({"s": sum_("real")})[0]["s"] for _ in range(20)}
    assert len(found) > 1
    assert all(abs(value - 1.5) <= 1.5e-12 for value in found)
    assert samples.aggregate({"s": sum_("real"), "m": mean("real")}, exact=True) == [{"s": 1.5, "m": 0.15}]
    assert samples.aggregate({"n": sum_("number")}) == [{"n": 10}]


def test_ordering_by_a_sum_of_doubles_raises_and_by_counts_it_does_not(store):
    samples = store.records(SAMPLES)
    samples.add_many([Sample(key=f"k{n}", real=0.1, number=n % 2) for n in range(5)])
    with pytest.raises(NotPromised, match="order the results yourself"):
        samples.aggregate({"s": sum_("real")}, by=["number"], order=["-s"])
    assert [row["n"] for row in samples.aggregate({"n": count()}, by=["number"], order=["-n"])] == [3, 2]


def test_changes_of_one_call_come_in_any_order(store):
    told = []
    store.records(SAMPLES).add_many([Sample(key=f"k{n:02}") for n in range(30)])
    store.on_commit(lambda changes: told.append([change.key for change in changes]))
    store.records(SAMPLES).update_where(field("key") >= "k", number=1)
    assert sorted(told[0]) == [(f"k{n:02}",) for n in range(30)]
    assert told[0] != sorted(told[0])


def test_a_snapshot_ends_when_it_is_old():
    message = "the snapshot has reached its age"
    with (
        strict_store(URL, snapshot_seconds=0.0) as store,
        store.snapshot() as frozen,
        pytest.raises(Busy, match=message),
    ):
        frozen.devices.list()
    with strict_store(URL, snapshot_seconds=60.0) as store, store.snapshot() as frozen:
        assert frozen.devices.list() == []


def test_every_domain_works_as_promised(store):
    flows(store, 3)
    store.telemetry.write([Point("a", "m", NOON + timedelta(seconds=n), float(n)) for n in range(30)])
    points = list(store.telemetry.stream("a", "m"))
    assert [point.value for point in points] == [float(n) for n in range(30)]
    alert = store.alerts.raise_(Alert(kind="offline", title="x", device="a"))
    assert store.alerts.acknowledge(alert.id, "ann").status == "acknowledged"
    assert store.connections.mark_processed([flow.id for flow in store.connections.unprocessed()]) == 3
    (bucket,) = store.telemetry.aggregate("a", "m", every="1h", start=NOON, end=NOON + timedelta(hours=1))
    assert bucket["mean"] == pytest.approx(14.5, abs=1e-12)


def test_another_store_of_the_same_backend_is_not_strict(store):
    with iotstore.open(URL) as other:
        first, *_ = flows(other, 2)
        assert len(other.connections.list(field("id") > first)) == 1
    assert store.devices.count() == 0


@pytest.mark.full
def test_a_strict_store_keeps_the_contract():
    harness = find_harness("sqlite")
    harness = replace(harness, open=lambda url, **options: strict_store(url, snapshot_seconds=60.0, **options))
    results = execute([one for one in load_clauses() if not one.deep], harness)
    fine = (Outcome.PASSED, Outcome.REFUSED)
    wrong = {one.clause.id: repr(one.error) for one in results if one.outcome not in fine}
    assert wrong == {}
