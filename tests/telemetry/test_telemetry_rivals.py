"""Engines where somebody else can create the same metric or series while this batch is being stored."""

from datetime import UTC, datetime

from iotstore import Metric, Point, Receipt, Series
from iotstore._domains._telemetry import catalogue
from iotstore._kinds.telemetry import METRICS, SERIES
from iotstore._waist.queries import OnConflict

START = datetime(2026, 3, 1, tzinfo=UTC)


def first(monkeypatch, name, rival):
    """Let *rival* do its work in the same transaction right before the function *name* of the catalogue, once."""
    original = getattr(catalogue, name)
    left = [rival]

    def patched(engine, transaction, *rest):
        if left:
            left.pop()(engine, transaction)
        return original(engine, transaction, *rest)

    monkeypatch.setattr(catalogue, name, patched)


def add_metric(of):
    def rival(engine, transaction):
        row = engine.codec(METRICS).encode(Metric(name="State", type=of, key="state"), 1, 0)
        assert transaction.session.insert_many(METRICS.layout, [row], OnConflict.KEEP) == []

    return rival


def add_series(engine, transaction):
    (number,) = transaction.next_ids(SERIES, 1)
    row = engine.codec(SERIES).encode(Series(device="a", metric="state", type="float"), 1, number)
    assert transaction.session.insert_many(SERIES.layout, [row], OnConflict.KEEP) == []


def test_a_rival_s_metric_of_another_type_decides_and_the_batch_is_checked_again(store, monkeypatch):
    first(monkeypatch, "_create_metrics", add_metric("bool"))
    batch = [Point("a", "state", START, 1.5), Point("b", "state", START, True)]
    receipt = store.telemetry.write(batch, on_invalid="reject")
    assert (receipt.stored, [(row.index, row.reason) for row in receipt.rejected]) == (
        1,
        [(0, "expected a boolean, got float")],
    )
    assert [(one.device, one.type) for one in store.telemetry.series()] == [("b", "bool")]
    assert store.telemetry.latest("b", "state") == Point("b", "State", START, True)


def test_a_rival_s_metric_of_the_same_type_is_used(store, monkeypatch):
    seen = []
    store.on_commit(seen.extend)
    first(monkeypatch, "_create_metrics", add_metric("float"))
    assert store.telemetry.write([Point("a", "state", START, 1.5)]) == Receipt(1)
    assert [change.kind for change in seen] == ["series"]


def test_a_rival_s_series_takes_the_points(store, monkeypatch):
    first(monkeypatch, "_create_series", add_series)
    assert store.telemetry.write([Point("a", "state", START, 1.5), Point("b", "state", START, 2.5)]) == Receipt(2)
    assert [point.value for point in store.telemetry.latest_all("state")] == [1.5, 2.5]
    assert len(store.telemetry.series()) == 2
