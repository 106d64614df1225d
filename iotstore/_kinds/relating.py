"""What a kind says of the graph: the edges that its records hold."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from iotstore._kinds import fields as f
from iotstore._kinds.fields import Field

#: The end of an edge that is the record itself.
SELF: Final = "<self>"
#: What an edge's type looks like.
EDGE_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,59}\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class Relates:
    """An edge that every record of a kind holds: *type*, from *source* to *target*.

    Each end is the record itself (``SELF``) or a field that points to another one; where that field is None there is no
    edge. *weight* names a field with a number of 0 or more. With *writable* the same relation may also be written by
    hand between other records of these kinds; else it comes from these records alone.
    """

    type: str
    source: str = SELF
    target: str = SELF
    weight: str | None = None
    writable: bool = False


def problems(
    relates: Sequence[Relates],
    keys: Sequence[str],
    fields: Mapping[str, Field],
    references: Container[str],
    *,
    tracked: bool,
) -> Iterator[str]:
    """What makes no sense in what a kind relates; its key and references have been looked at."""
    if not tracked:
        yield "it relates records and carries no version: let its record be a subclass of Tracked"
    if len(keys) == 1 and not isinstance(fields[keys[0]].declared, f.Text | f.Int):
        yield f"its records can't be nodes: the key {keys[0]!r} is no text or int"
    for one in relates:
        if not EDGE_TYPE.match(one.type):
            yield f"the edge type {one.type!r} is not upper-case letters, digits and _ (at most 60)"
        if one.source == one.target:
            yield f"{one.type} has one end only: give it a source or a target that is a field"
        for end in (one.source, one.target):
            if end == SELF and len(keys) > 1:
                yield f"{one.type} ends at the record itself, whose key is composed"
            if end != SELF and end not in references:
                yield f"{one.type} ends at {end!r}, which is no field that points to a record"
        if one.weight is not None:
            yield from _weight_problems(fields, one.type, one.weight)


def _weight_problems(fields: Mapping[str, Field], edge: str, name: str) -> Iterator[str]:
    declared = fields[name].declared if name in fields else None
    if not isinstance(declared, f.Real | f.Int) or declared.min is None or declared.min < 0:
        yield f"{edge} is weighed by {name!r}, which is no number declared with a minimum of 0 or more"
