"""Relations between records: those that somebody wrote, and which devices were seen to talk to each other."""

from __future__ import annotations

from typing import Annotated, Any, Final

from iotstore._kinds.fields import Json, Real, Text
from iotstore._kinds.kind import Kind, Tracked
from iotstore._kinds.relating import Relates
from iotstore._waist.layout import OnDelete


class Relation(Tracked, frozen=True, kw_only=True):
    """A relation that was written by hand: *type*, from one record to another, each by kind and key.

    A key that is a number is written as its decimal text. *weight* is a distance or a strength, as you like: shortest
    weighted paths add it up, and one without counts as 1.
    """

    source_kind: Annotated[str, Text(48, min=1)]
    source: Annotated[str, Text(255, min=1)]
    type: Annotated[str, Text(60, min=1)]
    target_kind: Annotated[str, Text(48, min=1)]
    target: Annotated[str, Text(255, min=1)]
    weight: Annotated[float | None, Real(min=0.0)] = None
    properties: Annotated[Any, Json()] = None


class Contact(Tracked, frozen=True, kw_only=True):
    """A flow of *device* went to an address that the device *peer* had at that moment."""

    device: Annotated[str, Text(120, min=1)]
    peer: Annotated[str, Text(120, min=1)]


# Its edges are what its records say themselves, so nothing can be declared of them.
RELATIONS: Final = Kind(
    Relation,
    "relation",
    ("source_kind", "source", "type", "target_kind", "target"),
    indexes=[["target_kind", "target"], ["type"]],
    relates=(),
)
CONTACTS: Final = Kind(
    Contact,
    "contact",
    ("device", "peer"),
    references={"device": ("device", OnDelete.CASCADE), "peer": ("device", OnDelete.CASCADE)},
    indexes=[["peer"]],
    # Who knows of a cable, or how long the way is, may write that down beside what was seen.
    relates=[Relates("CONNECTED_TO", source="device", target="peer", writable=True)],
)
