"""Many threads at once: receipts add up, one series per device and metric, latest is newest."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from random import Random

import iotstore
from iotstore import Conflict, Metric, Point

START = datetime(2026, 3, 1, tzinfo=UTC)


def together(*jobs):
    """Run the jobs in threads that start at one moment; return what they return, raise what they raise."""
    gate = threading.Barrier(len(jobs))

    def run(job):
        gate.wait()
        return job()

    with ThreadPoolExecutor(len(jobs)) as pool:
        return [future.result() for future in [pool.submit(run, job) for job in jobs]]


def test_overlapping_writers_store_every_point_once_and_their_receipts_add_up(store):
    def job(seed):
        random = Random(seed)
        batches = [
            [
                Point(
                    "abc"[random.randrange(3)],
                    f"M{random.randrange(4)}",
                    START + timedelta(seconds=random.randrange(200)),
                    1.0,
                )
                for _ in range(100)
            ]
            for _ in range(8)
        ]
        return lambda: [store.telemetry.write(batch) for batch in batches], batches

    jobs = [job(seed) for seed in range(4)]
    receipts = [receipt for some in together(*(run for run, _ in jobs)) for receipt in some]
    keys = {(p.device, p.metric, p.time) for _, batches in jobs for batch in batches for p in batch}
    assert sum(receipt.stored for receipt in receipts) == len(keys) == store.telemetry.count()
    assert sum(receipt.total for receipt in receipts) == 4 * 8 * 100
    assert len(store.telemetry.series()) == len({key[:2] for key in keys})
    newest = {}
    for device, metric, time in keys:
        newest[device, metric] = max(time, newest.get((device, metric), time))
    assert {(p.device, p.metric): p.time for p in store.telemetry.latest_all()} == newest


def test_rivals_that_create_one_metric_agree_on_its_type(url, store):
    with iotstore.open(url) as other:

        def job(target, value, second):
            row = Point("a", "state", START + timedelta(seconds=second), value)
            return lambda: target.telemetry.write([row], on_invalid="reject")

        receipts = together(job(store, "on", 0), job(other, True, 1), job(store, 1.5, 2), job(other, "off", 3))
    (metric,) = store.telemetry.metrics()
    kept = [type(point.value) for point in store.telemetry.range("a", "state")]
    assert set(kept) == {{"text": str, "bool": bool, "float": float}[metric.type]}
    assert sum(receipt.stored for receipt in receipts) == len(kept)


def test_rivals_that_define_one_metric_get_one_type_and_a_conflict(url, store):
    def job(target, of):
        def run():
            try:
                return target.telemetry.define(Metric(name="m", type=of)).type
            except Conflict:
                return None

        return run

    with iotstore.open(url) as other:
        types = together(job(store, "float"), job(other, "int64"), job(store, "text"), job(other, "bool"))
    (metric,) = store.telemetry.metrics()
    assert [of for of in types if of is not None] == [metric.type]


def test_readers_see_whole_batches_only(store):
    store.telemetry.write([Point("a", "m", START, 0.0)])
    done = threading.Event()

    def writer():
        for batch in range(1, 40):
            store.telemetry.write(
                [Point("a", "m", START + timedelta(seconds=batch * 50 + at), float(batch)) for at in range(50)]
            )
        done.set()
        return []

    def reader():
        seen = []
        while not done.is_set():
            seen.append(store.telemetry.count("a", "m"))
            seen.append(len(store.telemetry.columns("a", "m")))
        return seen

    _, first, second = together(writer, reader, reader)
    assert {count % 50 for count in first + second} <= {1}
    assert store.telemetry.count() == 1 + 39 * 50
