"""Metrics and series (which are kinds), and the point (which is not)."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Final, Literal, TypeAlias

import msgspec

from iotstore._kinds.fields import Text
from iotstore._kinds.kind import Kind, Tracked
from iotstore._waist.layout import Merge, OnDelete

MetricType = Literal["float", "int64", "bool", "text"]
PointValue: TypeAlias = float | int | bool | str


class Point(msgspec.Struct, frozen=True, gc=False):
    """One value of one metric of one device at one instant."""

    device: str
    metric: str
    time: datetime
    value: PointValue


class Metric(Tracked, frozen=True, kw_only=True):
    """What is measured. Its *type* is fixed when it is created; names differ by more than upper and lower case.

    *counter* says that values only grow, but for resets.
    """

    # Casefolding can lengthen text threefold; with the device's key it must stay within 1 KiB.
    name: Annotated[str, Text(80, min=1)]
    type: MetricType
    # The key is the casefolded name: Temperature and temperature are one metric.
    key: Annotated[str, Text(240)] = ""
    unit: Annotated[str | None, Text(40)] = None
    description: Annotated[str | None, Text(2000)] = None
    counter: bool = False


class Series(Tracked, frozen=True, kw_only=True):
    """One metric of one device."""

    device: Annotated[str, Text(120, min=1)]
    metric: Annotated[str, Text(240, min=1)]
    type: MetricType
    id: int = 0


METRICS: Final = Kind(
    Metric,
    "metric",
    "key",
    merge={"name": Merge.KEEP, "type": Merge.KEEP, "unit": Merge.COALESCE, "description": Merge.COALESCE},
)
SERIES: Final = Kind(
    Series,
    "series",
    ("device", "metric"),
    generated="id",
    # Telemetry is never lost by the way: deleting its device says what becomes of it.
    references={"device": ("device", OnDelete.RESTRICT), "metric": ("metric", OnDelete.RESTRICT)},
    unique=[["id"]],
    indexes=[["metric"]],
)
