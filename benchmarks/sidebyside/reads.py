"""Single calls and questions: a device, the latest value, the last hundred, an hour's mean, a page, the home page."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from random import Random

import msgspec

from iotstore import Bucket, Device, field
from sidebyside import workload
from sidebyside.byhand_backup import back_up
from sidebyside.byhand_home import home_page
from sidebyside.measure import Measured, interleave
from sidebyside.stage import Sizes, same_answer, staged

_MONTH = timedelta(days=30)


def _single_calls(sizes: Sizes, library: Callable[[str], object], by_hand: Callable[[str], object]) -> Measured:
    """Time one call per device key, in seeded order."""
    random = Random(workload.SEED)
    keys = random.choices(workload.device_keys(sizes.devices), k=sizes.calls)

    def repeat(call: Callable[[str], object]) -> Callable[[int], None]:
        def run(_: int) -> None:
            for key in keys:
                call(key)

        return run

    return Measured(interleave(repeat(library), repeat(by_hand), sizes.pairs), sizes.calls, "calls")


def device_get(sizes: Sizes) -> Measured:
    """Get one device of 22 fields by its key, as a Device."""
    with staged(sizes) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(stage.store.devices.get(key), stage.records.get_device(key), "device")
        return _single_calls(sizes, stage.store.devices.get, stage.records.get_device)


def device_put(sizes: Sizes) -> Measured:
    """Put one device that is there already: check, merge, commit, and give back what is stored."""
    with staged(sizes) as stage:
        changed: dict[str, Device] = {
            device.key: msgspec.structs.replace(device, firmware="1.4.3", last_seen=workload.NOW)
            for device in workload.devices(sizes.devices)
        }
        found = _single_calls(
            sizes,
            lambda key: stage.store.devices.put(changed[key]),
            lambda key: stage.records.put_device(changed[key]),
        )
        stage.check_same("device")
        return found


def latest(sizes: Sizes) -> Measured:
    """The latest value of one series, by device and metric, as a Point."""
    with staged(sizes, points=sizes.points) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(
                stage.store.telemetry.latest(key, "temperature"), stage.points.latest(key, "temperature"), "latest"
            )
        return _single_calls(
            sizes,
            lambda key: stage.store.telemetry.latest(key, "temperature"),
            lambda key: stage.points.latest(key, "temperature"),
        )


def last_hundred(sizes: Sizes) -> Measured:
    """The last 100 points of one series, newest first, as Points."""
    few = replace(sizes, calls=max(sizes.calls // 10, 1))
    with staged(sizes, points=sizes.points) as stage:
        for key in workload.device_keys(sizes.devices):
            same_answer(
                stage.store.telemetry.last(key, "humidity"), stage.points.last(key, "humidity", 100), "last hundred"
            )
        return _single_calls(
            few,
            lambda key: stage.store.telemetry.last(key, "humidity"),
            lambda key: stage.points.last(key, "humidity", 100),
        )


def hourly(sizes: Sizes) -> Measured:
    """Count, mean, least and largest value by hour over a month of one series with a point each minute."""
    with staged(sizes) as stage:
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


def alert_page(sizes: Sizes) -> Measured:
    """The newest 50 open alerts of high or critical severity, as Alerts."""
    where = (field("status") == "open") & field("severity").in_(["high", "critical"])
    with staged(sizes, alerts=sizes.alerts) as stage:

        def library(_: str) -> object:
            return stage.store.alerts.page(where, order=["-time"], limit=50).items

        def by_hand(_: str) -> object:
            return stage.records.serious_open_alerts(50)

        same_answer(library(""), by_hand(""), "page of alerts")
        return _single_calls(replace(sizes, calls=max(sizes.calls // 10, 1)), library, by_hand)


def home(sizes: Sizes) -> Measured:
    """The whole home page from one snapshot: fifteen answers over devices, flows and alerts."""
    with staged(sizes, flows=sizes.flows, alerts=sizes.alerts) as stage:
        same_answer(stage.store.home(), home_page(stage.records, workload.NOW), "home page")
        pairs = interleave(lambda _: stage.store.home(), lambda _: home_page(stage.records, workload.NOW), sizes.pairs)
        return Measured(pairs, 1, "pages")


def backup(sizes: Sizes) -> Measured:
    """Back a store up and prove the copy: by hand with the online copy, an integrity check and a digest of all rows."""
    pairs = max(sizes.pairs // 6, 3)
    with staged(sizes, points=sizes.points // 5, flows=sizes.flows, alerts=sizes.alerts) as stage:
        folder = stage.folder / "backups"

        def library(_: int) -> object:
            return stage.store.backups.create(folder)

        def by_hand(turn: int) -> object:
            return back_up(stage.points.connection, stage.folder / f"copy-{turn}.db")

        rows = sizes.points // 5 + sizes.flows + sizes.alerts
        return Measured(interleave(library, by_hand, pairs), rows, "rows")
