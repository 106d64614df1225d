"""Single calls and questions: a device, the latest value, the last hundred, an hour's mean, a page, the home page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

import msgspec

from iotstore import Bucket, Device, field
from sidebyside import workload
from sidebyside.byhand_home import home_page
from sidebyside.engine import Engine
from sidebyside.measure import Measured, interleave
from sidebyside.stage import Sizes, Stage, same_answer, staged

_MONTH = timedelta(days=30)


def _single_calls(
    stage: Stage, sizes: Sizes, library: Callable[[str], object], by_hand: Callable[[str], object]
) -> Measured:
    """Time one call per device key, in seeded order."""
    random = Random(workload.SEED)
    keys = random.choices(workload.device_keys(sizes.devices), k=sizes.calls)

    def repeat(call: Callable[[str], object]) -> Callable[[int], None]:
        def run(_: int) -> None:
            for key in keys:
                call(key)

        return run

    library(keys[0])
    by_hand(keys[0])  # so that both are connected
    with stage.engine.settled(stage.places):
        return Measured(interleave(repeat(library), repeat(by_hand), sizes.pairs), sizes.calls, "calls")


def device_get(engine: Engine, sizes: Sizes) -> Measured:
    """Get one device of 22 fields by its key, as a Device."""
    with staged(engine, sizes) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(stage.store.devices.get(key), stage.records.get_device(key), "device")
        return _single_calls(stage, sizes, stage.store.devices.get, stage.records.get_device)


def device_put(engine: Engine, sizes: Sizes) -> Measured:
    """Put one device that is there already: check, merge, commit, and give back what is stored."""
    with staged(engine, sizes) as stage:
        changed: dict[str, Device] = {
            device.key: msgspec.structs.replace(device, firmware="1.4.3", last_seen=workload.NOW)
            for device in workload.devices(sizes.devices)
        }
        found = _single_calls(
            stage,
            sizes,
            lambda key: stage.store.devices.put(changed[key]),
            lambda key: stage.records.put_device(changed[key]),
        )
        stage.check_same("device")
        return found


def latest(engine: Engine, sizes: Sizes) -> Measured:
    """The latest value of one series, by device and metric, as a Point."""
    with staged(engine, sizes, points=sizes.points) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(
                stage.store.telemetry.latest(key, "temperature"), stage.points.latest(key, "temperature"), "latest"
            )
        return _single_calls(
            stage,
            sizes,
            lambda key: stage.store.telemetry.latest(key, "temperature"),
            lambda key: stage.points.latest(key, "temperature"),
        )


def last_hundred(engine: Engine, sizes: Sizes) -> Measured:
    """The last 100 points of one series, newest first, as Points."""
    few = replace(sizes, calls=max(sizes.calls // 10, 1))
    with staged(engine, sizes, points=sizes.points) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(
                stage.store.telemetry.last(key, "humidity"), stage.points.last(key, "humidity", 100), "last hundred"
            )
        return _single_calls(
            stage,
            few,
            lambda key: stage.store.telemetry.last(key, "humidity"),
            lambda key: stage.points.last(key, "humidity", 100),
        )


def range_columns(engine: Engine, sizes: Sizes) -> Measured:
    """Read all points of one series as columns; by hand as rows, which is what `fetchall` gives."""
    with staged(engine, sizes) as stage:
        device, start = workload.device_keys(1)[0], workload.NOW - _MONTH
        random = Random(workload.SEED)
        times = [start + timedelta(seconds=second) for second in range(sizes.points // 4)]
        values = [round(random.gauss(20, 2), 2) for _ in times]
        stage.store.telemetry.write_columns(device, "temperature", times, values)
        stage.points.write_columns(device, "temperature", times, values)
        found = stage.store.telemetry.columns(device, "temperature")
        rows = stage.points.rows(device, "temperature")
        same_answer(list(zip(found.times, found.values, strict=True)), rows, "columns")
        pairs = interleave(
            lambda _: stage.store.telemetry.columns(device, "temperature"),
            lambda _: stage.points.rows(device, "temperature"),
            sizes.pairs,
        )
        return Measured(pairs, len(rows), "points")


def hourly(engine: Engine, sizes: Sizes) -> Measured:
    """Count, mean, least and largest value by hour over a month of one series with a point each minute."""
    with staged(engine, sizes) as stage:
        device, start = workload.device_keys(1)[0], workload.NOW - _MONTH
        random = Random(workload.SEED)
        times = [start + minute * workload.STEP for minute in range(_MONTH // workload.STEP)]
        values = [workload.value_at(random, "temperature", tick) for tick in range(len(times))]
        stage.store.telemetry.write_columns(device, "temperature", times, values)
        stage.points.write_columns(device, "temperature", times, [float(value) for value in values])

        def library(_: int) -> list[Bucket]:
            return stage.store.telemetry.aggregate(
                device, "temperature", every="1h", start=start, functions=["count", "mean", "min", "max"]
            )

        def by_hand(_: int) -> list[Bucket]:
            return stage.points.hourly(device, "temperature", start, workload.NOW)

        same_answer(_rounded(library(0)), _rounded(by_hand(0)), "hourly")
        return Measured(interleave(library, by_hand, sizes.pairs), len(times), "points")


def _rounded(buckets: list[Bucket]) -> list[Bucket]:
    """Buckets with means to 12 digits: sums of doubles may differ in the last one."""

    def rounded(value: object) -> object:
        return float(f"{value:.12g}") if isinstance(value, float) else value

    return [
        msgspec.structs.replace(bucket, values={name: rounded(value) for name, value in bucket.values.items()})
        for bucket in buckets
    ]


def alert_page(engine: Engine, sizes: Sizes) -> Measured:
    """The newest 50 open alerts of high or critical severity, as Alerts."""
    where = (field("status") == "open") & field("severity").in_(["high", "critical"])
    with staged(engine, sizes, alerts=sizes.alerts) as stage:

        def library(_: str) -> object:
            return stage.store.alerts.page(where, order=["-time"], limit=50).items

        def by_hand(_: str) -> object:
            return stage.records.serious_open_alerts(50)

        same_answer(library(""), by_hand(""), "page of alerts")
        return _single_calls(stage, replace(sizes, calls=max(sizes.calls // 10, 1)), library, by_hand)


def home(engine: Engine, sizes: Sizes) -> Measured:
    """The whole home page from one snapshot: fifteen answers over devices, flows and alerts."""
    with staged(engine, sizes, flows=sizes.flows, alerts=sizes.alerts) as stage:
        same_answer(stage.store.home(), home_page(stage.records, workload.NOW), "home page")
        pairs = interleave(lambda _: stage.store.home(), lambda _: home_page(stage.records, workload.NOW), sizes.pairs)
        return Measured(pairs, 1, "pages")


def backup(engine: Engine, sizes: Sizes) -> Measured:
    """Back a store up and prove the copy."""
    pairs = max(sizes.pairs // 6, 3)
    with staged(engine, sizes, points=sizes.points // 5, flows=sizes.flows, alerts=sizes.alerts) as stage:
        folder = stage.folder / "backups"

        def library(_: int) -> object:
            return stage.store.backups.create(folder)

        def by_hand(turn: int) -> object:
            return engine.back_up(stage.points.connection, stage.folder, turn)

        rows = sizes.points // 5 + sizes.flows + sizes.alerts
        return Measured(interleave(library, by_hand, pairs), rows, "rows")
