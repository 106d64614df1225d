"""Which series a batch belongs to: found, checked and created in the batch's own transaction."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from iotstore._domains._telemetry.batch import Batch, Group, Known
from iotstore._engine.engine import Engine
from iotstore._engine.transaction import Transaction
from iotstore._kinds.estate import DEVICES
from iotstore._kinds.telemetry import METRICS, SERIES, Metric, MetricType, Series
from iotstore._waist.filters import Compare, Op
from iotstore._waist.layout import Key, Row, Type
from iotstore._waist.queries import OnConflict

__all__ = ["Missing", "create", "delete_series", "resolve"]


class Missing(NamedTuple):
    """What a batch needs and the store does not have yet: keys of metrics, and groups without a series."""

    metrics: list[str]
    groups: list[Group]


def resolve(engine: Engine, transaction: Transaction, batch: Batch, known: Known) -> Missing | Known:
    """Give every group the id of its series, held so that nobody deletes it before the points are stored.

    Nothing is written. When the store is not what the batch was checked against, the answer is what it has to be
    checked against instead.
    """
    groups = list(batch.groups.values())
    truths: dict[str, MetricType | None] = {}
    missing: list[Group] = []
    for group, series in zip(groups, _find(engine, transaction, groups), strict=True):
        if series is None:
            missing.append(group)
        else:
            group.series = series.id
            truths[group.metric] = series.type
    if missing or batch.refused:
        doubtful = sorted({group.metric for group in missing} | batch.refused)
        truths |= _types(engine, transaction, doubtful)
    absent = _absent(engine, transaction, {group.device for group in missing})
    new = [key for key, truth in truths.items() if truth is None]
    undefined = new if engine.strict_metrics else []
    wrong = any(_contradicts(truth, known.types.get(key), batch.types.get(key)) for key, truth in truths.items())
    if not (wrong or absent or undefined):
        needed = {group.metric for group in missing}
        return Missing([key for key in new if key in needed], missing)
    return Known(_corrected(known, truths), {*known.absent, *absent}, {*known.undefined, *undefined})


def create(engine: Engine, transaction: Transaction, batch: Batch, known: Known, missing: Missing) -> Known | None:
    """Create what is missing. Somebody else may have been first: then theirs is used, or, where their metric has
    another type, the batch has to be checked again against the answer."""
    if not missing.groups:
        return None
    if missing.metrics:
        _create_metrics(engine, transaction, missing)
        rivals = _types(engine, transaction, missing.metrics)
        if any(truth != batch.types[key] for key, truth in rivals.items()):
            return Known(_corrected(known, rivals), known.absent, known.undefined)
    _create_series(engine, transaction, missing.groups)
    return None


def delete_series(engine: Engine, transaction: Transaction, device: str) -> None:
    """Delete the series of a device, whose points are gone already."""
    (held,) = engine.codec(DEVICES).key(device)
    for series in transaction.session.delete(SERIES.layout, Compare("device", Op.EQ, held)):
        transaction.changed(SERIES, series.key, series.version, "delete")


def _corrected(known: Known, truths: Mapping[str, MetricType | None]) -> dict[str, MetricType]:
    types = dict(known.types)
    for key, truth in truths.items():
        if truth is None:
            types.pop(key, None)
        else:
            types[key] = truth
    return types


def _contradicts(truth: MetricType | None, assumed: MetricType | None, used: MetricType | None) -> bool:
    """Whether rows were checked against another type than the store's; without one any first value is right."""
    return assumed is not None if truth is None else truth not in (assumed, used)


def _find(engine: Engine, transaction: Transaction, groups: Sequence[Group]) -> list[Series | None]:
    if not groups:
        return []
    codec = engine.codec(SERIES)
    hold = codec.holding(Type.TEXT).encode
    # The texts are checked already, and most backends hold them as they are.
    keys: list[Key] = [(group.device, group.metric) for group in groups]
    if hold is not None:
        keys = [(hold(device), hold(metric)) for device, metric in keys]
    rows = transaction.session.get_many(SERIES.layout, keys, hold=True)
    return [None if row is None else codec.decode(row) for row in rows]


def _types(engine: Engine, transaction: Transaction, keys: Sequence[str]) -> dict[str, MetricType | None]:
    codec = engine.codec(METRICS)
    rows = transaction.session.get_many(METRICS.layout, [codec.key(key) for key in keys], hold=True)
    return {key: None if row is None else codec.decode(row).type for key, row in zip(keys, rows, strict=True)}


def _absent(engine: Engine, transaction: Transaction, devices: Collection[str]) -> set[str]:
    if not devices:
        return set()
    codec = engine.codec(DEVICES)
    ordered = sorted(devices)
    rows = transaction.session.get_many(DEVICES.layout, [codec.key(key) for key in ordered], hold=True)
    return {device for device, row in zip(ordered, rows, strict=True) if row is None}


def _create_metrics(engine: Engine, transaction: Transaction, missing: Missing) -> None:
    names: dict[str, Group] = {}
    for group in missing.groups:
        names.setdefault(group.metric, group)
    codec = engine.codec(METRICS)
    rows: list[Row] = []
    for key in sorted(missing.metrics):
        metric = Metric(name=names[key].name, type=names[key].type, key=key)
        rows.append(codec.encode(metric, transaction.next_version(), 0))
    size = engine.backend.limits.insert_rows
    for start in range(0, len(rows), size):
        chunk = rows[start : start + size]
        kept_out = set(transaction.session.insert_many(METRICS.layout, chunk, OnConflict.KEEP))
        for at, row in enumerate(chunk):
            if at not in kept_out:
                transaction.changed(METRICS, METRICS.layout.key_of(row), row[-1], "insert")


def _create_series(engine: Engine, transaction: Transaction, groups: list[Group]) -> None:
    codec = engine.codec(SERIES)
    # In order of the key, so that two writers take their locks in one order; ids follow the order of devices.
    groups = sorted(groups, key=lambda group: (group.device, group.metric))
    size = engine.backend.limits.insert_rows
    for start in range(0, len(groups), size):
        chunk = groups[start : start + size]
        rows: list[Row] = []
        for group, number in zip(chunk, transaction.next_ids(SERIES, len(chunk)), strict=True):
            group.series = number
            series = Series(device=group.device, metric=group.metric, type=group.type)
            rows.append(codec.encode(series, transaction.next_version(), number))
        kept_out = transaction.session.insert_many(SERIES.layout, rows, OnConflict.KEEP)
        rivals = [chunk[at] for at in kept_out]
        for group, found in zip(rivals, _find(engine, transaction, rivals), strict=True):
            if found is not None:
                group.series = found.id
        refused = set(kept_out)
        for at, row in enumerate(rows):
            if at not in refused:
                transaction.changed(SERIES, SERIES.layout.key_of(row), row[-1], "insert")
