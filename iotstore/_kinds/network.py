"""Network flows of devices."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final

from iotstore._kinds.fields import Address, Int, Text
from iotstore._kinds.kind import Kind, Record, Retention
from iotstore._waist.layout import OnDelete

_COUNTER: Final = Int(0)


class Connection(Record, frozen=True, kw_only=True):
    """One network flow of a device. *id* is given by the store; *time* may lie in the past (replayed captures)."""

    device: Annotated[str, Text(120, min=1)]
    time: datetime
    id: int = 0
    destination: Annotated[str | None, Address()] = None
    port: Annotated[int | None, Int(0, 65_535)] = None
    protocol: Annotated[str | None, Text(20)] = None
    service: Annotated[str | None, Text(60)] = None
    state: Annotated[str | None, Text(40)] = None
    bytes_sent: Annotated[int, _COUNTER] = 0
    bytes_received: Annotated[int, _COUNTER] = 0
    packets_sent: Annotated[int, _COUNTER] = 0
    packets_received: Annotated[int, _COUNTER] = 0
    duration: timedelta | None = None
    processed: bool = False


CONNECTIONS: Final = Kind(
    Connection,
    "connection",
    "id",
    generated="id",
    # A flow is evidence: it outlives the device it was seen on.
    references={"device": ("device", OnDelete.KEEP)},
    indexes=[["time"], ["device", "time"], ["processed", "time"]],
    retention=Retention("time", timedelta(days=30), parts=True),
)
