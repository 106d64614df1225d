"""How an application names nodes, types and directions, checked; and its answers, made of what a walk found."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeAlias, cast

from iotstore._engine.engine import Engine
from iotstore._graph.edges import present
from iotstore._graph.results import Direction, GraphPath, Node, Relationship
from iotstore._graph.walks import Way
from iotstore._kinds.estate import DEVICES
from iotstore._kinds.relating import EDGE_TYPE
from iotstore._waist.graph import Edge, NodeId
from iotstore.errors import InvalidValue, NotFound

NodeLike: TypeAlias = Node | tuple[str, str] | tuple[str, int]
DeviceLike: TypeAlias = str | Node | tuple[str, str]
_DIRECTIONS: Final[tuple[Direction, ...]] = ("out", "in", "both")


def known_node(engine: Engine, given: object, name: str) -> NodeId:
    """The node that an application names by (kind, key); its record may not exist."""
    parts = cast("tuple[object, ...]", given) if isinstance(given, tuple) else ()
    if len(parts) != 2 or not isinstance(parts[0], str):
        raise InvalidValue(f"{given!r} is no node", field=name, hint='name one by kind and key: ("device", "cam-1")')
    kind = engine.graph.nodes.get(parts[0])
    if kind is None:
        raise InvalidValue(
            f"{parts[0]!r} is no kind of nodes", field=name, hint=f"there are {', '.join(sorted(engine.graph.nodes))}"
        )
    codec = engine.codec(kind)
    (held,) = codec.key(parts[1])
    return kind.name, codec.free_of(kind.layout.column(kind.keys[0]).type, held)


def device_node(engine: Engine, given: object, name: str) -> NodeId:
    """The same for a device, which may be named by its key alone."""
    node = known_node(engine, (DEVICES.name, given) if isinstance(given, str) else given, name)
    if node[0] != DEVICES.name:
        raise InvalidValue(f"{given!r} is no device", field=name)
    return node


def existing(engine: Engine, nodes: Sequence[NodeId]) -> None:
    """Raise NotFound for the first of these nodes whose record does not exist."""
    there = present(engine, nodes)
    for kind, key in nodes:
        if (kind, key) not in there:
            raise NotFound(engine.graph.nodes[kind].noun, key)


def check_types(types: str | Iterable[str] | None) -> tuple[str, ...] | None:
    """The types of relations that are asked for; None for all."""
    if types is None:
        return None
    asked = (types,) if isinstance(types, str) else tuple(types)
    for one in asked:
        check_type(one, "types")
    if not asked:
        raise InvalidValue("names no type", field="types", hint="leave it out to ask for all of them")
    return asked


def check_type(type_: object, name: str) -> str:
    """A type of relations."""
    if not isinstance(type_, str) or not EDGE_TYPE.match(type_):
        raise InvalidValue(
            f"{type_!r} is no type of relations", field=name, hint="one is upper-case letters, digits and _: SIMILAR_TO"
        )
    return type_


def check_direction(direction: str) -> Direction:
    """One of the three words."""
    for known in _DIRECTIONS:
        if direction == known:
            return known
    raise InvalidValue(f"{direction!r} is none of {', '.join(_DIRECTIONS)}", field="direction")


def relationship(edge: Edge) -> Relationship:
    """An edge as an application sees it."""
    return Relationship(Node(*edge.source), edge.type, Node(*edge.target), edge.weight)


def path(way: Way) -> GraphPath:
    """A way as an application sees it."""
    nodes, over = way
    return GraphPath(tuple(Node(*node) for node in nodes), tuple(relationship(edge) for edge in over))


def nodes_of(found: Iterable[tuple[str, Any]]) -> tuple[Node, ...]:
    """Nodes as an application sees them."""
    return tuple(Node(*node) for node in found)
