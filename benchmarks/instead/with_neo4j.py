"""Neo4j's driver by hand: ``execute_query``, and rows by UNWIND, as its manual recommends."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import Any, ClassVar, Final
from urllib.parse import unquote, urlsplit

import neo4j
from sidebyside import workload

from instead.contender import ALERT, DEVICE, FLOW, AlertRead, flow_values
from instead.on_neo4j import OnNeo4j
from instead.walking import Edges
from iotstore import Alert, Connection, Device

_SCHEMA: Final = (
    "CREATE CONSTRAINT hand_device IF NOT EXISTS FOR (d:HandDevice) REQUIRE d.key IS UNIQUE",
    "CREATE INDEX hand_alert_time IF NOT EXISTS FOR (a:HandAlert) ON (a.time)",
    "CREATE INDEX hand_flow_time IF NOT EXISTS FOR (f:HandFlow) ON (f.time)",
    "CREATE INDEX hand_flow_device IF NOT EXISTS FOR (f:HandFlow) ON (f.device, f.time)",
    "CALL db.awaitIndexes()",
)
_LABELS: Final = ("HandDevice", "HandAlert", "HandFlow")
_ROWS: Final = 1_000  # of one statement


class WithNeo4j(OnNeo4j):
    """Nodes with properties, and Cypher."""

    name: ClassVar[str] = "neo4j driver by hand"
    needs: ClassVar[tuple[str, ...]] = ("neo4j",)

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
        target = f"{parts.scheme}://{parts.hostname}:{parts.port or 7687}"
        self._driver: Any = neo4j.GraphDatabase.driver(target, auth=auth, notifications_min_severity="OFF")

    def _write(self, text: str, **values: Any) -> None:
        self._driver.execute_query(text, values, database_="neo4j")

    def _read(self, text: str, **values: Any) -> list[neo4j.Record]:
        routing = neo4j.RoutingControl.READ
        found: list[neo4j.Record] = self._driver.execute_query(
            text, values, database_="neo4j", routing_=routing
        ).records
        return found

    def fill(self, devices: int, pairs: Edges) -> None:
        """Nodes and relationships from rows."""
        for statement in _SCHEMA:
            self._write(statement)
        self.keep_devices(workload.devices(devices))
        self._write(
            "UNWIND $pairs AS p MATCH (a:HandDevice {key: p[0]}), (b:HandDevice {key: p[1]})"
            " CREATE (a)-[:CONNECTED_TO]->(b)",
            pairs=[list(pair) for pair in pairs],
        )

    def keep_devices(self, devices: Sequence[Device]) -> None:
        """Rows that are merged by key."""
        rows = iter(devices)
        while some := list(islice(rows, _ROWS)):
            self._write(
                "UNWIND $rows AS r MERGE (d:HandDevice {key: r.key}) SET d += r",
                rows=[{name: getattr(one, name) for name in DEVICE} for one in some],
            )

    def keep_alerts(self, alerts: Sequence[Alert]) -> None:
        """Rows; a map is no property, so it is kept as text."""
        rows = [{name: getattr(one, name) for name in ALERT} for one in alerts]
        for row in rows:
            row["metadata"] = json.dumps(row["metadata"])
        self._write("UNWIND $rows AS r CREATE (a:HandAlert) SET a = r", rows=rows)

    def add_flows(self, flows: Sequence[Connection]) -> None:
        """Rows, each beside its device, which has to be there."""
        rows = [dict(zip(FLOW, flow_values(flow), strict=True)) for flow in flows]
        self._write("UNWIND $rows AS r MATCH (:HandDevice {key: r.device}) CREATE (f:HandFlow) SET f = r", rows=rows)

    def device(self, key: str) -> str | None:
        """One node."""
        name: str | None = self._read("MATCH (d:HandDevice {key: $key}) RETURN d", key=key)[0]["d"]["name"]
        return name

    def devices(self, after: str, count: int) -> list[str]:
        """Nodes in order of key."""
        text = "MATCH (d:HandDevice) WHERE d.key > $after RETURN d ORDER BY d.key LIMIT $count"
        return [row["d"]["key"] for row in self._read(text, after=after, count=count)]

    def alerts(self, before: datetime, count: int) -> list[AlertRead]:
        """Nodes in order of time."""
        text = "MATCH (a:HandAlert) WHERE a.time < $before RETURN a ORDER BY a.time DESC LIMIT $count"
        rows = [row["a"] for row in self._read(text, before=before, count=count)]
        return [
            AlertRead(row["title"], _utc(row["time"]), _maybe(row.get("acknowledged_at")), json.loads(row["metadata"]))
            for row in rows
        ]

    def traffic(self, start: datetime, end: datetime) -> list[tuple[Any, ...]]:
        """Grouped by the truncated hour."""
        text = (
            "MATCH (f:HandFlow) WHERE f.time >= $start AND f.time < $end"
            " WITH datetime.truncate('hour', f.time) AS hour, f RETURN hour, count(*) AS n,"
            " sum(f.bytes_sent) AS sent, sum(f.bytes_received) AS received ORDER BY hour"
        )
        rows = self._read(text, start=start, end=end)
        return [(_utc(row["hour"]), row["n"], row["sent"], row["received"]) for row in rows]

    def flows(self) -> int:
        """All nodes."""
        return int(self._read("MATCH (f:HandFlow) RETURN count(f) AS n")[0]["n"])

    def neighbours(self, key: str, hops: int) -> list[tuple[int, str]]:
        """A pattern of variable length."""
        text = (
            f"MATCH p = (a:HandDevice {{key: $key}})-[:CONNECTED_TO*1..{hops}]-(o:HandDevice) WHERE o <> a"
            " WITH o.key AS key, min(length(p)) AS far RETURN far, key ORDER BY far, key"
        )
        return [(row["far"], row["key"]) for row in self._read(text, key=key)]

    def path(self, start: str, end: str) -> list[str]:
        """The engine's shortest path."""
        text = (
            "MATCH p = SHORTEST 1 (a:HandDevice {key: $start})-[:CONNECTED_TO]-+(b:HandDevice {key: $end})"
            " RETURN [n IN nodes(p) | n.key] AS keys"
        )
        return list(self._read(text, start=start, end=end)[0]["keys"])

    def close(self) -> None:
        """Leave nothing on the server."""
        for label in _LABELS:
            text = f"MATCH (n:{label}) CALL (n) {{ DETACH DELETE n }} IN TRANSACTIONS OF 10000 ROWS"
            with self._driver.session(database="neo4j") as session:
                session.run(text).consume()
        self._write("DROP CONSTRAINT hand_device IF EXISTS")
        for name in ("hand_alert_time", "hand_flow_time", "hand_flow_device"):
            self._write(f"DROP INDEX {name} IF EXISTS")
        self._driver.close()


def _utc(time: Any) -> datetime:
    found: datetime = time.to_native()
    return found.astimezone(UTC)


def _maybe(time: Any) -> datetime | None:
    return None if time is None else _utc(time)
