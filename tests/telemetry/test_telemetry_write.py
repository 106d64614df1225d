"""Writing points: receipts, conflicts, rejected rows, metrics and series that come into being, idempotency."""

import math
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iotstore
from iotstore import (
    BatchRejected,
    Conflict,
    Device,
    IdempotencyConflict,
    InvalidValue,
    Metric,
    NotFound,
    Point,
    Receipt,
    Rejected,
)

START = datetime(2026, 3, 1, tzinfo=UTC)


def points(*values, device="a", metric="temperature", first=0):
    return [Point(device, metric, START + timedelta(seconds=at), value) for at, value in enumerate(values, start=first)]


def stored(store, device="a", metric="temperature"):
    return [point.value for point in store.telemetry.range(device, metric)]


def test_what_is_written_is_read_back_equal(store):
    rows = [
        Point("a", "temperature", START, 21.5),
        Point("a", "on", START, True),
        Point("a", "mode", START, "eco \U0001f600"),
        Point("b", "temperature", START, 5e-324),
    ]
    assert store.telemetry.write(rows) == Receipt(4)
    assert store.telemetry.latest_all() == [rows[2], rows[1], rows[0], rows[3]]
    assert [type(point.value) for point in store.telemetry.latest_all()] == [str, bool, float, float]


def test_an_empty_batch_stores_nothing_and_creates_nothing(store):
    assert store.telemetry.write([]) == Receipt(0)
    assert store.telemetry.write_columns("a", "temperature", [], []) == Receipt(0)
    assert store.telemetry.metrics() == []


def test_a_generator_of_points_is_a_batch(store):
    assert store.telemetry.write(point for point in points(1.0, 2.0)).stored == 2


def test_under_keep_a_replay_changes_nothing_and_the_first_of_a_batch_wins(store):
    assert store.telemetry.write([*points(1.0, 2.0), *points(9.0)]) == Receipt(2, 1)
    assert store.telemetry.write(points(7.0, 7.0, 3.0)) == Receipt(1, 2)
    assert stored(store) == [1.0, 2.0, 3.0]


def test_under_replace_the_last_of_a_batch_wins_and_repeats_are_duplicates(store):
    store.telemetry.write(points(1.0, 2.0))
    receipt = store.telemetry.write([*points(5.0, 2.0, 6.0), *points(9.0)], on_conflict="replace")
    assert receipt == Receipt(stored=2, duplicates=2, replaced=1)
    assert stored(store) == [9.0, 2.0, 6.0]


def test_replaced_columns_of_arrays_keep_the_last_value_too(store):
    times = np.array([0, 1_000_000, 0])
    receipt = store.telemetry.write_columns("a", "m", times, np.array([1.0, 2.0, 3.0]), on_conflict="replace")
    assert receipt == Receipt(2, 1)
    assert stored(store, metric="m") == [3.0, 2.0]


def test_under_error_a_point_that_exists_is_a_conflict_and_nothing_is_stored(store):
    store.telemetry.write(points(1.0))
    with pytest.raises(Conflict, match="exists already"):
        store.telemetry.write([*points(8.0, first=5), *points(2.0)], on_conflict="error")
    with pytest.raises(Conflict, match="exists already"):
        store.telemetry.write([*points(8.0, metric="new"), *points(8.0, metric="new")], on_conflict="error")
    assert stored(store) == [1.0]
    assert [metric.name for metric in store.telemetry.metrics()] == ["temperature"]


@pytest.mark.parametrize("word", ["on_invalid", "on_conflict"])
def test_other_words_than_the_documented_ones_are_refused(store, word):
    with pytest.raises(InvalidValue, match=f"^{word}: 'ignore' is n"):
        store.telemetry.write(points(1.0), **{word: "ignore"})


def test_what_is_no_batch_is_refused(store):
    with pytest.raises(InvalidValue, match=r"^points: expected points .*, got Point"):
        store.telemetry.write(points(1.0)[0])
    with pytest.raises(InvalidValue, match=r"^points: expected points .*, got NoneType"):
        store.telemetry.write(None)


def test_bad_rows_stop_the_batch_unless_they_are_to_be_rejected(store):
    batch = [*points(1.0, math.nan), *points(2.0, device="gone"), *points(True, first=3)]
    with pytest.raises(
        BatchRejected, match=r"3 of 4 rows are invalid and nothing was stored; first: row 1, field value"
    ):
        store.telemetry.write(batch)
    assert store.telemetry.metrics() == []
    receipt = store.telemetry.write(batch, on_invalid="reject")
    assert receipt.stored == 1
    assert receipt.rejected == (
        Rejected(1, "value", "nan is not a finite number"),
        Rejected(2, "device", "there is no device 'gone'"),
        Rejected(3, "value", "expected a number, got bool"),
    )
    assert receipt.total == 4


def test_points_of_an_unknown_device_create_no_metric_and_type_none(store):
    batch = [Point("gone", "state", START, "text first"), Point("a", "state", START, True)]
    receipt = store.telemetry.write(batch, on_invalid="reject")
    assert [(row.index, row.field) for row in receipt.rejected] == [(0, "device")]
    assert store.telemetry.latest("a", "state").value is True
    receipt = store.telemetry.write([Point("gone", "other", START, 1.0)], on_invalid="reject")
    assert receipt.stored == 0
    assert [metric.name for metric in store.telemetry.metrics()] == ["state"]


def test_columns_of_an_unknown_device_are_rejected_rows(store):
    receipt = store.telemetry.write_columns("gone", "m", [0, 1], [1.0, 2.0], on_invalid="reject")
    assert [row.field for row in receipt.rejected] == ["device", "device"]
    with pytest.raises(BatchRejected, match="2 of 2 rows are invalid"):
        store.telemetry.write_columns("gone", "m", [0, 1], [1.0, 2.0])


def test_a_batch_of_bad_rows_only_creates_neither_metric_nor_series(store):
    store.telemetry.define(Metric(name="known", type="float"))
    batch = [Point("a", "known", START, "text"), Point("a", "new", START, math.inf)]
    assert store.telemetry.write(batch, on_invalid="reject").stored == 0
    assert store.telemetry.series() == []
    assert [metric.name for metric in store.telemetry.metrics()] == ["known"]


def test_names_of_metrics_differ_by_more_than_case_and_keep_their_first_spelling(store):
    store.telemetry.write(points(1.0, metric="Außentemperatur"))
    store.telemetry.write(points(2.0, metric="AUSSENTEMPERATUR", first=1))
    assert stored(store, metric="aussentemperatur") == [1.0, 2.0]
    assert list(store.telemetry.latest("a")) == ["Außentemperatur"]
    assert len(store.telemetry.series()) == 1


def test_a_strict_store_takes_defined_metrics_only(url):
    with iotstore.open(url, strict_metrics=True) as strict:
        strict.devices.put(Device(key="a"))
        strict.telemetry.define(Metric(name="power", type="int64", unit="W"))
        batch = [*points(5, metric="POWER"), *points(1.0, metric="other"), *points("bad", metric="third")]
        receipt = strict.telemetry.write(batch, on_invalid="reject")
        assert receipt.stored == 1
        assert [row.field for row in receipt.rejected] == ["metric", "metric"]
        assert (
            receipt.rejected[0].reason
            == "there is no metric 'other', and this store takes defined ones only (strict_metrics)"
        )
        assert repr(strict.telemetry.latest("a", "power").value) == "5"


def test_a_metric_that_another_process_typed_decides_whatever_is_remembered_here(url, store):
    store.telemetry.write(points("text", metric="state"))
    with iotstore.open(url) as other:
        other.telemetry.write(points(21, metric="level"))
        # Typed float there, while this store has never heard of it and sees a boolean first.
        receipt = store.telemetry.write([*points(True, 5, metric="level", first=1)], on_invalid="reject")
        assert [(row.index, row.reason) for row in receipt.rejected] == [(0, "expected a number, got bool")]
        assert stored(store, metric="level") == [21.0, 5.0]


def test_a_series_that_another_process_deleted_is_made_anew(url, store):
    store.telemetry.write(points(1.0))
    assert store.telemetry.latest("a", "temperature").value == 1.0
    with iotstore.open(url) as other:
        other.devices.delete("a", telemetry="delete")
        with pytest.raises(NotFound, match="no device with key 'a'"):
            store.telemetry.latest("a", "temperature")
        receipt = store.telemetry.write(points(2.0), on_invalid="reject")
        assert [row.field for row in receipt.rejected] == ["device"]
        other.devices.put(Device(key="a"))
    assert store.telemetry.latest("a", "temperature") is None
    store.telemetry.write(points(3.0))
    assert stored(store) == [3.0]


def test_a_metric_that_was_deleted_and_made_anew_has_its_new_type(store):
    store.telemetry.write(points("text", metric="state"))
    store.devices.delete("a", telemetry="delete")
    store.records("metric").delete("state")
    store.devices.put(Device(key="a"))
    assert store.telemetry.write(points(1.5, metric="state")).stored == 1
    assert [metric.type for metric in store.telemetry.metrics()] == ["float"]


def test_what_a_rolled_back_transaction_created_is_in_no_cache(store):
    with pytest.raises(ZeroDivisionError, match="division by zero"), store.transaction():  # noqa: PT012 - the transaction is the point
        store.telemetry.write(points("text", metric="state"))
        assert store.telemetry.latest("a", "state").value == "text"
        store.devices.put(Device(key="new"))
        store.telemetry.write(points(1.0, device="new"))
        _ = 1 / 0
    assert store.telemetry.metrics() == []
    with pytest.raises(NotFound, match="no metric with key 'state'"):
        store.telemetry.latest("a", "state")
    assert store.telemetry.write(points(1.0, device="new"), on_invalid="reject").stored == 0
    assert store.telemetry.write(points(2.5, metric="state")).stored == 1
    assert stored(store, metric="state") == [2.5]


def test_what_a_rolled_back_savepoint_created_is_in_no_cache(store):
    with store.transaction():
        with pytest.raises(ZeroDivisionError, match="division by zero"), store.transaction():  # noqa: PT012
            store.telemetry.write(points("text", metric="state"))
            _ = 1 / 0
        store.telemetry.write(points(2.5, metric="state"))
    assert stored(store, metric="state") == [2.5]
    assert [metric.type for metric in store.telemetry.metrics()] == ["float"]


def test_a_failed_batch_inside_a_transaction_leaves_the_rest_of_it_alone(store):
    with store.transaction():
        store.telemetry.write(points(1.0))
        with pytest.raises(BatchRejected, match="1 of 2 rows"):
            store.telemetry.write([*points(5.0, metric="new"), *points(math.nan)])
        with pytest.raises(Conflict, match="exists already"):
            store.telemetry.write([*points(5.0, metric="new"), *points(2.0)], on_conflict="error")
    assert stored(store) == [1.0]
    assert [metric.name for metric in store.telemetry.metrics()] == ["temperature"]


def test_new_metrics_and_series_are_changes_and_points_are_not(store):
    seen = []
    store.on_commit(seen.extend)
    store.telemetry.write([*points(1.0), *points(1.0, device="b")])
    assert [(change.kind, change.key, change.action) for change in seen] == [
        ("metric", ("temperature",), "insert"),
        ("series", ("a", "temperature"), "insert"),
        ("series", ("b", "temperature"), "insert"),
    ]
    seen.clear()
    store.telemetry.write(points(2.0, first=5))
    assert seen == []


def test_an_idempotency_key_makes_a_repeated_batch_a_no_op_with_the_same_receipt(store):
    batch = [*points(1.0, 2.0), *points(math.nan, first=5), *points(1.0)]
    first = store.telemetry.write(batch, idempotency_key="k", on_invalid="reject")
    store.telemetry.delete("a", "temperature")
    again = store.telemetry.write(batch, idempotency_key="k", on_invalid="reject")
    assert first.stored == 2
    assert again.replayed
    assert (again.stored, again.duplicates, again.rejected) == (first.stored, first.duplicates, first.rejected)
    assert store.telemetry.count() == 0
    with pytest.raises(IdempotencyConflict, match="'k' was used for another payload"):
        store.telemetry.write(batch[:-1], idempotency_key="k", on_invalid="reject")


def test_an_idempotency_key_knows_the_same_columns_whether_or_not_the_metric_was_known(url, store):
    store.telemetry.define(Metric(name="m", type="int64"))
    with iotstore.open(url) as fresh:
        first = fresh.telemetry.write_columns("a", "m", [0, 1], [1, 2.5], idempotency_key="k", on_invalid="reject")
        again = fresh.telemetry.write_columns("a", "m", [0, 1], [1, 2.5], idempotency_key="k", on_invalid="reject")
    assert (first.stored, again.stored, again.replayed) == (1, 1, True)


def test_a_batch_that_was_refused_leaves_its_idempotency_key_free(store):
    with pytest.raises(BatchRejected, match="1 of 1 rows"):
        store.telemetry.write(points(math.nan), idempotency_key="k")
    assert store.telemetry.write(points(1.0), idempotency_key="k") == Receipt(1)


def test_rows_that_no_encoding_takes_have_digests_too(store):
    batch = [Point("a", "m", None, "\ud800"), Point("a", "m", START, 2**80)]
    first = store.telemetry.write(batch, idempotency_key="k", on_invalid="reject")
    assert store.telemetry.write(batch, idempotency_key="k", on_invalid="reject").rejected == first.rejected


def test_a_metric_is_defined_once_and_its_type_never_changes(store):
    made = store.telemetry.define(Metric(name="Power", type="int64", unit="W", counter=True))
    assert (made.key, made.type, made.unit, made.counter) == ("power", "int64", "W", True)
    again = store.telemetry.define(Metric(name="POWER", type="int64", description="at the meter", counter=True))
    assert (again.name, again.unit, again.description) == ("Power", "W", "at the meter")
    with pytest.raises(Conflict, match=r"metric 'Power' is int64, and its type never changes to float"):
        store.telemetry.define(Metric(name="power", type="float"))
    with pytest.raises(InvalidValue, match=r"^key: 'p' is not the key of this name"):
        store.telemetry.define(Metric(name="Power", key="p", type="float"))
    with pytest.raises(InvalidValue, match=r"^metric: expected a Metric, got str"):
        store.telemetry.define("power")
    assert [metric.type for metric in store.telemetry.metrics()] == ["int64"]


def test_large_batches_are_cut_into_what_the_backend_takes_and_stay_one_transaction(store):
    count = store.backend.limits.append_points * 2 + 3
    receipt = store.telemetry.write_columns("a", "m", range(count), [0.5] * count)
    assert receipt == Receipt(count)
    with pytest.raises(Conflict, match="exists already"):
        store.telemetry.write_columns("b", "m", [*range(count), 0], [0.5] * (count + 1), on_conflict="error")
    assert store.telemetry.count() == count


instants = st.integers(0, 6)
batches = st.lists(
    st.tuples(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from(["m", "M", "n"]), instants, st.sampled_from([0.5, 1.5]))
        ),
        st.sampled_from(["keep", "replace", "error", "delete", "roll back"]),
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(batches)
def test_any_sequence_of_writes_and_deletes_leaves_what_a_dictionary_would_hold(store, steps):
    for device in "ab":
        for metric in [one.metric for one in store.telemetry.series(device)]:
            store.telemetry.delete(device, metric)
    model = {}
    for rows, how in steps:
        batch = [Point(device, metric, START + timedelta(seconds=at), value) for device, metric, at, value in rows]
        keyed = [((device, metric.lower(), at), value) for device, metric, at, value in rows]
        if how == "delete":
            for (device, metric, at), _ in keyed[:2]:
                if any(known[:2] == (device, metric) for known in model):
                    when = START + timedelta(seconds=at)
                    gone = store.telemetry.delete(device, metric, when, when + timedelta(seconds=1))
                    assert gone == (model.pop((device, metric, at), None) is not None)
        elif how == "roll back":
            with pytest.raises(ZeroDivisionError, match="division by zero"), store.transaction():  # noqa: PT012
                store.telemetry.write(batch)
                _ = 1 / 0
        elif how == "error" and (len(dict(keyed)) < len(keyed) or any(key in model for key, _ in keyed)):
            with pytest.raises(Conflict, match="exists already"):
                store.telemetry.write(batch, on_conflict="error")
        else:
            fresh = len({key for key, _ in keyed} - set(model))
            changed = sum(1 for key, value in dict(keyed).items() if key in model and model[key] != value)
            receipt = store.telemetry.write(batch, on_conflict=how)
            replaced = changed if how == "replace" else 0
            assert receipt == Receipt(fresh + replaced, len(batch) - fresh - replaced, replaced=replaced)
            for key, value in keyed:
                model[key] = value if how == "replace" else model.get(key, value)
    found = {}
    for point in (point for device in "ab" for some in store.telemetry.window(device).values() for point in some):
        found[point.device, point.metric.lower(), round((point.time - START).total_seconds())] = point.value
    assert found == model
    for latest in store.telemetry.latest_all():
        newest = max(at for device, metric, at in model if (device, metric) == (latest.device, latest.metric.lower()))
        assert latest.time == START + timedelta(seconds=newest)
    assert store.telemetry.count() == len(model)
