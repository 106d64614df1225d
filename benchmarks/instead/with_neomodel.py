"""neomodel: classes of nodes, ``create`` in a transaction, queries of nodes, and Cypher for walks and sums."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from neomodel import (  # pyright: ignore[reportMissingImports] - only a run on Neo4j needs it
    BooleanProperty,
    DateTimeNeo4jFormatProperty,
    FloatProperty,
    IntegerProperty,
    JSONProperty,
    Relationship,
    StringProperty,
    StructuredNode,
    db,
    get_config,
)
from sidebyside import workload

from instead.contender import ALERT, DEVICE, FLOW, AlertRead, flow_values
from instead.on_neo4j import OnNeo4j
from instead.walking import Edges
from iotstore import Alert, Connection


class ModelDevice(StructuredNode):
    """A device."""

    key = StringProperty(unique_index=True, required=True)
    name = StringProperty()
    kind = StringProperty()
    ip = StringProperty()
    mac = StringProperty()
    vendor = StringProperty()
    model = StringProperty()
    firmware = StringProperty()
    last_seen = DateTimeNeo4jFormatProperty()
    peers = Relationship("ModelDevice", "CONNECTED_TO")


class ModelAlert(StructuredNode):
    """An alert."""

    device = StringProperty()
    kind = StringProperty()
    title = StringProperty()
    severity = StringProperty()
    time = DateTimeNeo4jFormatProperty(index=True)
    status = StringProperty()
    score = FloatProperty()
    explanation = StringProperty()
    metadata = JSONProperty()
    acknowledged_by = StringProperty()
    acknowledged_at = DateTimeNeo4jFormatProperty()
    resolved_by = StringProperty()
    resolved_at = DateTimeNeo4jFormatProperty()


class ModelFlow(StructuredNode):
    """A flow."""

    device = StringProperty(index=True)
    time = DateTimeNeo4jFormatProperty(index=True)
    destination = StringProperty()
    port = IntegerProperty()
    protocol = StringProperty()
    service = StringProperty()
    state = StringProperty()
    bytes_sent = IntegerProperty()
    bytes_received = IntegerProperty()
    packets_sent = IntegerProperty()
    packets_received = IntegerProperty()
    duration = FloatProperty()
    processed = BooleanProperty()


_NODES: Any = (ModelDevice, ModelAlert, ModelFlow)


class WithNeomodel(OnNeo4j):
    """Nodes as objects."""

    name: ClassVar[str] = "neomodel"
    needs: ClassVar[tuple[str, ...]] = ("neomodel",)

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        get_config().database_url = f"{parts.scheme}://{parts.netloc}"

    def fill(self, devices: int, pairs: Edges) -> None:
        """Objects, created in a transaction; relations by the statement that `connect` would send for each."""
        for node in _NODES:
            db.install_labels(node, quiet=True)
        with db.transaction:
            _NODES[0].create(*({name: getattr(one, name) for name in DEVICE} for one in workload.devices(devices)))
        db.cypher_query(
            "UNWIND $pairs AS p MATCH (a:ModelDevice {key: p[0]}), (b:ModelDevice {key: p[1]})"
            " CREATE (a)-[:CONNECTED_TO]->(b)",
            {"pairs": [list(pair) for pair in pairs]},
        )

    def keep_alerts(self, alerts: Sequence[Alert]) -> None:
        """Objects, created in a transaction."""
        with db.transaction:
            _NODES[1].create(*({name: getattr(one, name) for name in ALERT} for one in alerts))

    def add_flows(self, flows: Sequence[Connection]) -> None:
        """Objects, created in a transaction, once their devices are known to be there."""
        keys = {flow.device for flow in flows}
        with db.transaction:
            there = {one.key for one in _NODES[0].nodes.filter(key__in=list(keys))}
            if keys - there:
                raise LookupError(f"{len(keys - there)} devices of these flows are not there")
            _NODES[2].create(*(dict(zip(FLOW, flow_values(flow), strict=True)) for flow in flows))

    def device(self, key: str) -> str | None:
        """One object."""
        name: str | None = _NODES[0].nodes.get(key=key).name
        return name

    def devices(self, after: str, count: int) -> list[str]:
        """Objects in order of key."""
        return [one.key for one in _NODES[0].nodes.filter(key__gt=after).order_by("key")[:count]]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Objects in order of time."""
        found = _NODES[1].nodes.filter(time__lt=before).order_by("-time")[:count]
        return [
            AlertRead(
                one.title,
                one.time.astimezone(UTC),
                None if one.acknowledged_at is None else one.acknowledged_at.astimezone(UTC),
                one.metadata,
            )
            for one in found
        ]

    def traffic(self, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Cypher."""
        text = (
            "MATCH (f:ModelFlow) WHERE f.time >= $start AND f.time < $end"
            " WITH datetime.truncate('hour', f.time) AS hour, f RETURN hour, count(*) AS n,"
            " sum(f.bytes_sent) AS sent, sum(f.bytes_received) AS received ORDER BY hour"
        )
        rows, _ = db.cypher_query(text, {"start": start, "end": end})
        return [(hour.to_native().astimezone(UTC), count, sent, received) for hour, count, sent, received in rows]

    def flows(self) -> int:
        """All nodes."""
        return len(_NODES[2].nodes)

    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """Cypher."""
        text = (
            f"MATCH p = (a:ModelDevice {{key: $key}})-[:CONNECTED_TO*1..{hops}]-(o:ModelDevice) WHERE o <> a"
            " WITH o.key AS key, min(length(p)) AS far RETURN far, key ORDER BY far, key"
        )
        return [(far, other) for far, other in db.cypher_query(text, {"key": key})[0]]

    def path(self, start: str, end: str) -> list[str]:
        """Cypher."""
        text = (
            "MATCH p = SHORTEST 1 (a:ModelDevice {key: $start})-[:CONNECTED_TO]-+(b:ModelDevice {key: $end})"
            " RETURN [n IN nodes(p) | n.key] AS keys"
        )
        return list(db.cypher_query(text, {"start": start, "end": end})[0][0][0])

    def close(self) -> None:
        """Leave nothing on the server."""
        for node in _NODES:
            db.cypher_query(f"MATCH (n:{node.__name__}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS")
        db.close_connection()
