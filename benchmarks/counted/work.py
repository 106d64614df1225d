"""The operations that are counted, on a store with the seeded workload in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from typing import Final, TypeAlias

from sidebyside import workload

import iotstore
from iotstore import ManualClock, Store

DEVICES: Final = 10
POINTS: Final = 20_000
FLOWS: Final = 2_000
ALERTS: Final = 2_000
#: Points or flows of one counted batch.
BATCH: Final = 1_000
_KEY: Final = workload.device_keys(1)[0]
_METRIC: Final = workload.METRICS[0].name
_YEAR_AGO: Final = workload.NOW - timedelta(days=365)

#: Prepares an operation for its turn, which is not counted; what it returns does it.
Prepare: TypeAlias = Callable[[Store, int], Callable[[], object]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation; *rows* is what its memory is divided by."""

    name: str
    prepare: Prepare
    rows: int = 1


def _batch(again: float, past: int) -> Prepare:
    """Write a batch of points that come after *past* batches of the workload, of which so many were written before."""

    def prepare(store: Store, turn: int) -> Callable[[], object]:
        before = POINTS + (past + turn) * BATCH
        points = list(islice(workload.fresh_points(DEVICES, again=again), before, before + BATCH))
        return lambda: store.telemetry.write(points)

    return prepare


def _alert_page(store: Store, _: int) -> Callable[[], object]:
    midst = store.alerts.page(order=["-time"], limit=ALERTS // 2).next
    return lambda: store.alerts.page(order=["-time"], limit=50, after=midst)


def _device_put(store: Store, _: int) -> Callable[[], object]:
    device = workload.devices(1)[0]
    return lambda: store.devices.put(device)


def _flows(store: Store, _: int) -> Callable[[], object]:
    flows = workload.flows(DEVICES, BATCH)
    return lambda: store.connections.add_many(flows)


def _hourly(store: Store, _: int) -> Callable[[], object]:
    functions = ["mean", "min", "max"]
    day = (_YEAR_AGO, _YEAR_AGO + timedelta(days=1))
    return lambda: store.telemetry.aggregate(_KEY, _METRIC, every="1h", start=day[0], end=day[1], functions=functions)


def _timeline(store: Store, _: int) -> Callable[[], object]:
    return lambda: store.connections.timeline(workload.NOW - timedelta(days=8), workload.NOW)


OPERATIONS: Final = (
    Operation("device-get", lambda store, _: lambda: store.devices.get(_KEY)),
    Operation("device-put", _device_put),
    Operation("latest", lambda store, _: lambda: store.telemetry.latest(_KEY, _METRIC)),
    Operation("latest-all", lambda store, _: lambda: store.telemetry.latest_all(_METRIC)),
    Operation("last-100", lambda store, _: lambda: store.telemetry.last(_KEY, _METRIC, 100)),
    Operation("hourly", _hourly),
    Operation("alert-page", _alert_page),
    Operation("traffic-timeline", _timeline),
    Operation("home", lambda store, _: store.home),
    Operation("points-batch", _batch(0.0, 0), BATCH),
    Operation("points-again", _batch(0.1, 10), BATCH),
    Operation("flows-batch", _flows, BATCH),
)


@contextmanager
def filled(url: str) -> Iterator[Store]:
    """A store with the workload in it, opened again so that nothing of filling it is in a cache."""
    clock = ManualClock(workload.NOW)
    with iotstore.open(url, clock=clock) as store:
        store.devices.put_many(workload.devices(DEVICES))
        for metric in workload.METRICS:
            store.telemetry.define(metric)
        store.telemetry.write(list(islice(workload.fresh_points(DEVICES), POINTS)))
        store.connections.add_many(workload.flows(DEVICES, FLOWS))
        store.alerts.add_many(workload.alerts(DEVICES, ALERTS))
        store.admin.optimise()
    with iotstore.open(url, clock=clock) as store:
        yield store
