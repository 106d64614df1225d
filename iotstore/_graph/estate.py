"""Questions about devices, locations and alerts that the graph answers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from iotstore._engine.collection import Collection
from iotstore._engine.engine import Engine
from iotstore._graph.results import BlastRadius, Neighbour, Node, PatternAlerts
from iotstore._graph.walks import Ground, reached
from iotstore._graph.whole import components
from iotstore._kinds.alerts import ALERTS, PATTERNS
from iotstore._kinds.estate import DEVICES, GROUPS, LOCATIONS, OWNERS
from iotstore._query.expressions import field
from iotstore._waist.filters import Compare, Op
from iotstore._waist.graph import NodeId
from iotstore._waist.layout import Row, Type
from iotstore._waist.queries import Select

_CHUNK: Final = 5_000
_TOUCHED: Final = {OWNERS.name: "OWNS", LOCATIONS.name: "LOCATED_IN", GROUPS.name: "MEMBER_OF"}


def device_components(ground: Ground) -> list[list[NodeId]]:
    """Active devices that hang together by edges between them."""
    engine = ground.edges.engine
    codec, layout = engine.codec(DEVICES), DEVICES.layout
    active = Compare("active", Op.EQ, codec.hold(Type.BOOL, True))
    key, nodes = layout.position["key"], list[NodeId]()
    with engine.reading() as session:
        for rows in session.stream(layout, Select(active), _CHUNK):
            nodes += [(DEVICES.name, codec.free_of(Type.TEXT, row[key])) for row in rows]
            ground.budget.look_at_nodes(len(rows))
    return components(nodes, ground.whole())


def blast_radius(ground: Ground, device: NodeId, *, hops: int, limit: int) -> BlastRadius:
    """What can be got at from a device, over devices that are active and not blocked."""
    admit = _among_devices(ground.edges.engine, lambda active, blocked: active and not blocked)
    found = reached(ground, [device], hops=hops, limit=limit, admit=admit)
    near = tuple(Neighbour(Node(*node), far) for far, node in found)
    nodes = sorted({device, *(one.node for one in near)})
    touched: dict[str, set[str]] = {kind: set() for kind in _TOUCHED}
    for edge in ground._replace(types=tuple(_TOUCHED.values()), direction="both").expand(nodes):
        for kind, key in (edge.source, edge.target):
            if _TOUCHED.get(kind) == edge.type:
                touched[kind].add(key)
    owners, locations, groups = (tuple(sorted(touched[kind.name])) for kind in (OWNERS, LOCATIONS, GROUPS))
    return BlastRadius(str(device[1]), near, owners, locations, groups)


def _among_devices(engine: Engine, wanted: Callable[[bool, bool], bool]) -> Callable[[set[NodeId]], set[NodeId]]:
    """From nodes to those of them that are devices whose *active* and *blocked* are as wanted."""
    codec, position = engine.codec(DEVICES), DEVICES.layout.position

    def is_wanted(row: Row | None) -> bool:
        if row is None:
            return False
        active, blocked = (bool(codec.free_of(Type.BOOL, row[position[name]])) for name in ("active", "blocked"))
        return wanted(active, blocked)

    def admit(nodes: set[NodeId]) -> set[NodeId]:
        devices = sorted(node for node in nodes if node[0] == DEVICES.name)
        found: set[NodeId] = set()
        with engine.reading() as session:
            for start in range(0, len(devices), _CHUNK):
                chunk = devices[start : start + _CHUNK]
                rows = session.get_many(DEVICES.layout, [codec.key(key) for _, key in chunk])
                found.update(node for node, row in zip(chunk, rows, strict=True) if is_wanted(row))
        return found

    return admit


def devices_at(ground: Ground, location: NodeId, *, hops: int, limit: int) -> list[NodeId]:
    """The devices at a location, and at those inside it as deep as *hops* says."""

    def admit(nodes: set[NodeId]) -> set[NodeId]:
        return {node for node in nodes if node[0] in (DEVICES.name, LOCATIONS.name)}

    found = reached(ground, [location], hops=hops, limit=limit, admit=admit)
    return sorted(node for _, node in found if node[0] == DEVICES.name)


def alerts_by_pattern(ground: Ground, start: datetime | None, end: datetime | None) -> list[PatternAlerts]:
    """How many alerts in a window resemble each threat pattern, and of how many devices they are."""
    patterns: dict[Any, list[str]] = {}
    for edge in ground.whole():
        if edge.source[0] == ALERTS.name and edge.target[0] == PATTERNS.name:
            patterns.setdefault(edge.source[1], []).append(edge.target[1])
    alerts: dict[str, int] = {}
    devices: dict[str, set[str]] = {}
    ids = sorted(patterns)
    for at in range(0, len(ids), _CHUNK):
        where = field("id").in_(ids[at : at + _CHUNK])
        where = where if start is None else where & (field("time") >= start)
        where = where if end is None else where & (field("time") < end)
        for alert in Collection(ground.edges.engine, ALERTS).list(where):
            for pattern in patterns[alert.id]:
                alerts[pattern] = alerts.get(pattern, 0) + 1
                devices.setdefault(pattern, set()).update(() if alert.device is None else (alert.device,))
    found = [PatternAlerts(pattern, count, len(devices[pattern])) for pattern, count in sorted(alerts.items())]
    return sorted(found, key=lambda one: -one.alerts)
