"""The reference model of an estate: devices with owners and groups, what was written between them, and its graph."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias

from iotstore import (
    BatchRejected,
    Conflict,
    InvalidValue,
    Node,
    NotFound,
    Receipt,
    Rejected,
    Relation,
    Relationship,
    StillReferenced,
    UnknownReference,
)
from iotstore_conformance.model_graph import Graph

#: What a relation is known by: its first record, its type, its second record.
Ends: TypeAlias = tuple[Node, str, Node]

#: Types that records say by themselves, between which kinds: nobody may write them.
_SAID: Final = {("OWNS", "owner", "device"), ("MEMBER_OF", "device", "device_group")}


@dataclass(slots=True)
class _State:
    devices: dict[str, str | None] = field(default_factory=dict)
    owners: set[str] = field(default_factory=set)
    groups: set[str] = field(default_factory=set)
    members: set[tuple[str, str]] = field(default_factory=set)
    written: dict[Ends, tuple[float | None, Any]] = field(default_factory=dict)


class EstateModel:
    """Devices, owners and groups by key, which device is whose and in which group, and relations written by hand."""

    def __init__(self) -> None:
        self._state = _State()
        self._saved: list[_State] = []

    def begin(self) -> None:
        """Start a transaction, or a savepoint inside one."""
        self._saved.append(deepcopy(self._state))

    def commit(self) -> None:
        """Keep what was done since the innermost start."""
        self._saved.pop()

    def rollback(self) -> None:
        """Undo what was done since the innermost start."""
        self._state = self._saved.pop()

    @property
    def written(self) -> dict[Ends, tuple[float | None, Any]]:
        """Weight and properties of each relation that was written by hand."""
        return self._state.written

    def nodes(self) -> list[Node]:
        """Every record that can have a relation."""
        keys = {"device": self._state.devices, "owner": self._state.owners, "device_group": self._state.groups}
        return [Node(kind, key) for kind, held in keys.items() for key in held]

    def has(self, node: Node) -> bool:
        """Whether there is such a record."""
        return node in self.nodes()

    def graph(self) -> Graph:
        """What the records say, and what was written."""
        state = self._state
        relations = [
            Relationship(Node("owner", owner), "OWNS", Node("device", key), None)
            for key, owner in state.devices.items()
            if owner is not None
        ]
        relations += [
            Relationship(Node("device", device), "MEMBER_OF", Node("device_group", group), None)
            for group, device in state.members
        ]
        relations += [Relationship(*ends, weight) for ends, (weight, _) in state.written.items()]
        return Graph(self.nodes(), relations)

    def around(self, *nodes: Node) -> Graph:
        """The graph, for a question about these records; NotFound if one is missing."""
        for node in nodes:
            if not self.has(node):
                raise NotFound(node.kind, node.key)
        return self.graph()

    def between_devices(self, types: Sequence[str]) -> Graph:
        """All devices, and the relations of some types between two of them."""
        devices = [node for node in self.nodes() if node.kind == "device"]
        return Graph(devices, [
            one
            for one in self.graph().of(types).relations
            if one.source.kind == one.target.kind == "device"
        ])  # fmt: skip

    def add(self, kind: str, key: str) -> None:
        """Add an owner or a group."""
        held = self._state.owners if kind == "owner" else self._state.groups
        if key in held:
            raise Conflict(f"{key!r} exists")
        held.add(key)

    def add_device(self, key: str, owner: str | None) -> None:
        """Add a device, whose owner has to be there."""
        if key in self._state.devices:
            raise Conflict(f"{key!r} exists")
        self._owned(owner)
        self._state.devices[key] = owner

    def give(self, key: str, owner: str | None) -> None:
        """Change whose a device is."""
        if key not in self._state.devices:
            raise NotFound("device", key)
        self._owned(owner)
        self._state.devices[key] = owner

    def _owned(self, owner: str | None) -> None:
        if owner is not None and owner not in self._state.owners:
            raise UnknownReference(f"there is no owner {owner!r}", field="owner")

    def join(self, group: str, device: str) -> bool:
        """Put a device into a group; False if it is in it."""
        if (group, device) in self._state.members:
            return False
        if group not in self._state.groups or device not in self._state.devices:
            raise UnknownReference("there is no such group or device", field="group")
        self._state.members.add((group, device))
        return True

    def leave(self, group: str, device: str) -> None:
        """Take a device out of a group."""
        if (group, device) not in self._state.members:
            raise NotFound("membership", (group, device))
        self._state.members.remove((group, device))

    def delete(self, node: Node) -> None:
        """Delete a record, with what is written of it; an owner of a device stays."""
        if not self.has(node):
            raise NotFound(node.kind, node.key)
        state, key = self._state, str(node.key)
        if node.kind == "owner":
            if key in state.devices.values():
                raise StillReferenced("devices belong to it")
            state.owners.remove(key)
        elif node.kind == "device":
            del state.devices[key]
            state.members = {one for one in state.members if one[1] != key}
        else:
            state.groups.remove(key)
            state.members = {one for one in state.members if one[0] != key}
        state.written = {ends: said for ends, said in state.written.items() if node not in (ends[0], ends[2])}

    def relate(self, ends: Ends, weight: float | None, properties: Any) -> None:
        """Write a relation, new or known."""
        if not is_allowed(ends, weight):
            raise InvalidValue("it can't be written")
        if self.dangles(ends):
            raise UnknownReference("one of its records is missing", field="source")
        self._state.written[ends] = (weight, properties)

    def relate_many(self, rows: Sequence[tuple[Ends, float | None, Any]], *, on_invalid: str) -> Receipt:
        """Write a batch; of a repeated relation the last one wins."""
        bad = [n for n, (ends, weight, _) in enumerate(rows) if not is_allowed(ends, weight) or self.dangles(ends)]
        rejected = tuple(Rejected(n, None, "") for n in bad)
        if rejected and on_invalid == "raise":
            raise BatchRejected(rejected, len(rows))
        last = {ends: (weight, properties) for n, (ends, weight, properties) in enumerate(rows) if n not in bad}
        replaced = len(last.keys() & self._state.written.keys())
        self._state.written.update(last)
        return Receipt(len(last), len(rows) - len(rejected) - len(last), rejected, replaced=replaced)

    def unrelate(self, ends: Ends) -> None:
        """Take back what was written."""
        if not is_allowed(ends, None):
            raise InvalidValue("it can't have been written")
        if ends not in self._state.written:
            raise NotFound("relation", ends)
        del self._state.written[ends]

    def dangles(self, ends: Ends) -> bool:
        """Whether one of the two records is missing."""
        return not (self.has(ends[0]) and self.has(ends[2]))


def is_allowed(ends: Ends, weight: float | None) -> bool:
    """Whether a relation may be written by hand, if its records are there."""
    source, type_, target = ends
    return type_.isupper() and (type_, source.kind, target.kind) not in _SAID and (weight is None or weight >= 0)


def as_relation(ends: Ends, weight: float | None, properties: Any) -> Relation:
    """The record that holds a relation which is written by hand."""
    source, type_, target = ends
    return Relation(
        source_kind=source.kind,
        source=str(source.key),
        type=type_,
        target_kind=target.kind,
        target=str(target.key),
        weight=weight,
        properties=properties,
    )
