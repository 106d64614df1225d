"""Telemetry with transactions against the model."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from iotstore import Device, Metric, Point
from iotstore_conformance import strategies as draw
from iotstore_conformance.machines.nesting import NestingMachine
from iotstore_conformance.machines.running import outcome
from iotstore_conformance.model_series import SeriesModel
from iotstore_conformance.stage import NOON, Stage

_FUNCTIONS = ("count", "first", "last", "min", "max")


class TelemetryMachine(NestingMachine):
    """One store, one model, the same writes; after every step they give the same points."""

    def __init__(self, stage: Stage) -> None:
        metrics = [Metric(name=name, type=type_) for name, type_ in draw.METRICS]  # type: ignore[arg-type]  # of four
        self.model = SeriesModel(["a", "b"], metrics)
        super().__init__(stage.open(stage.new_place()), (self.model,))
        self.telemetry = self.store.telemetry
        for key in ("a", "b"):
            self.store.devices.add(Device(key=key))
        for metric in metrics:
            self.telemetry.define(metric)

    @rule(
        batch=st.lists(draw.points, max_size=5) | st.lists(draw.good_points, max_size=8),
        on_invalid=st.sampled_from(["raise", "reject"]),
        on_conflict=st.sampled_from(["keep", "replace", "error"]),
    )
    def write(self, batch: list[Point], on_invalid: Any, on_conflict: Any) -> None:
        """Write a batch."""
        found = self.told(lambda: self.telemetry.write(batch, on_invalid=on_invalid, on_conflict=on_conflict))
        wanted = outcome(lambda: self.model.write(batch, on_invalid=on_invalid, on_conflict=on_conflict))
        assert found[0] is wanted[0], (found, wanted)
        if found[1] is not None and wanted[1] is not None:
            assert [row.index for row in found[1].rejected] == [row.index for row in wanted[1].rejected]
            assert (found[1].stored, found[1].duplicates) == (wanted[1].stored, wanted[1].duplicates)
            assert found[1].replaced == wanted[1].replaced

    @rule(device=draw.devices, metric=draw.metric_names, start=st.none() | draw.moments, end=st.none() | draw.moments)
    def delete(self, device: str, metric: str, start: datetime | None, end: datetime | None) -> None:
        """Delete a range."""
        if start is not None and end is not None and end < start:
            start, end = end, start
        assert self.telemetry.delete(device, metric, start, end) == self.model.delete(device, metric, start, end)

    @rule(device=draw.devices, metric=draw.metric_names, start=draw.moments, end=draw.moments)
    def read(self, device: str, metric: str, start: datetime, end: datetime) -> None:
        """Read a range as points and as a stream."""
        start, end = min(start, end), max(start, end)
        expected = self.model.range(device, metric, start, end)
        assert self.telemetry.range(device, metric, start, end) == expected
        assert list(self.telemetry.stream(device, metric, start, end)) == expected

    @rule(
        device=draw.devices,
        metric=draw.metric_names,
        micros=st.sampled_from([1_000, 7_000_000, 1_000_000, 3_600_000_000]),
    )
    def fold(self, device: str, metric: str, micros: int) -> None:
        """Fold a minute around noon."""
        width = timedelta(microseconds=micros)
        start, end = NOON - timedelta(seconds=3), NOON + timedelta(seconds=61)
        expected = self.model.aggregate(device, metric, width, start, end)
        rows = self.telemetry.aggregate(device, metric, every=width, start=start, end=end, functions=_FUNCTIONS)
        assert [(row.start, {name: row[name] for name in _FUNCTIONS}) for row in rows] == [
            (begin, {name: folded[name] for name in _FUNCTIONS}) for begin, folded in expected
        ]

    @invariant()
    def holds_the_same(self) -> None:
        """Latest values and counts are those of the model."""
        for device in ("a", "b"):
            found = self.telemetry.latest(device)
            assert dict(found) == self.model.latest(device)
            for point in found.values():
                assert type(point.value) is type(self.model.latest(device)[point.metric].value)
        assert self.telemetry.count() == self.model.count()
