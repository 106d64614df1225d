"""What the kinds of a store together make of the graph: which are nodes, and every edge that is declared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from iotstore._kinds.kind import Kind
from iotstore._kinds.relating import SELF
from iotstore.errors import ConfigurationError


@dataclass(frozen=True, slots=True, eq=False)
class Bond:
    """A declared edge with what its ends are: *kind* holds it, and its ends are records of the kinds *source* and
    *target*, found in the fields *start* and *end* (or ``SELF``)."""

    kind: Kind[Any]
    type: str
    start: str
    source: str
    end: str
    target: str
    weight: str | None
    writable: bool


class Graphed:
    """The nodes and the declared edges of a set of kinds."""

    def __init__(self, kinds: Mapping[str, Kind[Any]]) -> None:
        #: Every declared edge, in the order of the kinds.
        self.bonds: tuple[Bond, ...] = tuple(bond for kind in kinds.values() for bond in _bonds(kind))
        ends = {name for bond in self.bonds for name in (bond.source, bond.target)}
        #: The kinds whose records are nodes, by name: those with ``relates``, and those that an edge ends at.
        self.nodes: dict[str, Kind[Any]] = {
            kind.name: kind for kind in kinds.values() if kind.name in ends or _is_node(kind)
        }
        #: Which relations come from records alone: type, kind of the source, kind of the target.
        self.derived: frozenset[tuple[str, str, str]] = frozenset(
            (bond.type, bond.source, bond.target) for bond in self.bonds if not bond.writable
        )
        for kind in self.nodes.values():
            if not kind.tracked:
                raise ConfigurationError(
                    f"kind {kind.name} is a node of the graph and carries no version",
                    hint=f"let {kind.record.__name__} be a subclass of Tracked",
                )


def _is_node(kind: Kind[Any]) -> bool:
    return kind.relates is not None and len(kind.keys) == 1


def _bonds(kind: Kind[Any]) -> Iterator[Bond]:
    for one in kind.relates or ():
        source, target = (kind.name if end == SELF else kind.references[end][0] for end in (one.source, one.target))
        yield Bond(kind, one.type, one.source, source, one.target, target, one.weight, one.writable)
