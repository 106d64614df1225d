"""Both sides of a projection, in one hand."""

from __future__ import annotations

from dataclasses import dataclass, field

from iotstore._projection.attaching import Attaching
from iotstore._projection.lease import Lease
from iotstore._projection.queue import Queue
from iotstore._projection.records import Records
from iotstore._projection.target import Target
from iotstore._projection.writing import Writing


@dataclass(frozen=True, slots=True)
class Sides:
    """The primary's records, outbox and attachment, and the projection with its lease."""

    records: Records
    queue: Queue
    attaching: Attaching
    target: Target
    lease: Lease = field(init=False)
    writing: Writing = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lease", Lease(self.target))
        object.__setattr__(self, "writing", Writing(self.target))
