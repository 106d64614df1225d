"""The plans of hot questions over 120,000 rows: what the core asks is recorded, and explained by the server."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

import psycopg
import pytest

import iotstore
from iotstore import Alert, Connection, Device, Store, Where, field
from iotstore._engine.collection import Collection
from iotstore.backend import Layout
from iotstore_postgres._sessions import Session
from iotstore_postgres._transaction import PostgresWrite

pytestmark = pytest.mark.once

ROWS: Final = 120_000
PAGE: Final = 50
BEGUN: Final = datetime(2026, 1, 1, tzinfo=UTC)
Asked: TypeAlias = list[tuple[str, Sequence[Any]]]
KINDS: Final = ("device", "connection", "alert")

# What differs from record to record; the rest is that of the one that was put. g counts them.
_OWN: Final[Mapping[str, Mapping[str, str]]] = {
    "device": {
        "key": "'d' || g",
        "ip__order": "CASE WHEN g % 20 > 0 THEN '4' || lpad(to_hex(g), 32, '0') END",
        "mac": "CASE WHEN g % 20 > 0 THEN right(regexp_replace(lpad(to_hex(g), 12, '0'), '(..)', ':\\1', 'g'), 17) END",
        "serial": "CASE WHEN g % 20 > 0 THEN 's' || g END",
        "kind": "'k' || g % 5",
        "last_seen": "CASE WHEN g % 20 > 0 THEN last_seen + g * 1000000::bigint END",
    },
    "connection": {
        "id": "1000000 + g",
        "time": "time + g * 1000000::bigint",
        "device": "'d' || g % 1000",
        "processed": "g % 100 > 0",
    },
    "alert": {
        "id": "1000000 + g",
        "time": "time + g * 1000000::bigint",
        "device": "CASE WHEN g % 20 > 0 THEN 'd' || g % 1000 END",
        "status": "(ARRAY['open', 'resolved', 'resolved', 'resolved'])[1 + g % 4]",
    },
}


def _multiply(connection: psycopg.Connection[Any], schema: str, layout: Layout) -> None:
    own = _OWN[layout.name]
    names = ", ".join(f'"{column.name}"' for column in layout.columns)
    values = ", ".join(own.get(column.name, f'"{column.name}"') for column in layout.columns)
    table = f'"{schema}"."{layout.name}"'
    text = f"INSERT INTO {table} ({names}) SELECT {values} FROM {table}, generate_series(1, {ROWS}) AS g"
    connection.execute(text.encode())
    connection.execute(f"ANALYZE {table}".encode())
    if layout.parts is not None:
        ranges = f'"{schema}".iotstore_ranges'
        connection.execute(f"DELETE FROM {ranges} WHERE name = '{layout.name}'".encode())
        text = f"SELECT '{layout.name}', id >> 12, min({layout.parts}), max({layout.parts}), max(id) FROM {table}"
        connection.execute(f"INSERT INTO {ranges} {text} GROUP BY 2".encode())


@pytest.fixture(scope="module")
def store(url: str, admin: psycopg.Connection[Any]) -> Iterator[Store]:
    """A store with many devices, flows and alerts."""
    schema = f"plans_{uuid.uuid4().hex[:12]}"
    with iotstore.open(url, schema=schema) as opened:
        opened.devices.add(Device(key="d0", last_seen=BEGUN))
        opened.connections.add(Connection(time=BEGUN, device="d0", destination="192.0.2.1", port=443, protocol="tcp"))
        opened.alerts.add(Alert(time=BEGUN, device="d0", severity="high", kind="scan", title="a scan"))
        for name in KINDS:
            _multiply(admin, schema, opened.records(name).kind.layout)
        yield opened
    admin.execute(f'DROP SCHEMA "{schema}" CASCADE'.encode())


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Every statement that sessions run from now on, with its parameters."""
    found: Asked = []
    for owner, name in ((Session, "rows"), (PostgresWrite, "changed")):
        original: Callable[..., Any] = getattr(owner, name)

        def recorded(
            self: Any, text: str, parameters: Sequence[Any], *more: Any, _original: Callable[..., Any] = original
        ) -> Any:
            found.append((text, list(parameters)))
            return _original(self, text, parameters, *more)

        monkeypatch.setattr(owner, name, recorded)
    return found


def plans(store: Store, asked: Asked) -> list[str]:
    """What the server would do for each recorded statement; nothing is done."""
    statements = list(asked)
    assert statements
    found: list[str] = []
    with store._engine.backend.write() as session:
        assert isinstance(session, PostgresWrite)
        for text, parameters in statements:
            lines = session.rows(f"EXPLAIN {text}", parameters)
            found.append("\n".join(line for (line,) in lines))
    return found


def indexed(plan: str) -> bool:
    """Whether rows are found by indexes only, and no more of them are sorted than share a place in the index."""
    # Two partitions hold times that no clock says: nothing, and nothing needs no index.
    plan = re.sub(r"Seq Scan on \w+_(earlier|later)\b", "", plan)
    return "Index" in plan and "Seq Scan" not in plan and not re.search(r"(?<!Incremental )Sort +\(", plan)


def orders(kind: str) -> list[tuple[str, ...]]:
    """Each declared index of a kind as an order, upwards and downwards, by the names of the fields."""
    from iotstore._kinds.builtin import BUILTIN

    (found,) = [one for one in BUILTIN if one.name == kind]
    fields = {declared.order: name for name, declared in found.fields.items()}
    up = [tuple(fields[column] for column in index.columns) for index in found.layout.indexes]
    return [*up, *(tuple(f"-{name}" for name in names) for names in up)]


def test_a_record_by_its_key_is_one_search(store: Store, asked: Asked) -> None:
    kinds = [store.records(name) for name in KINDS]
    texts = store._engine.backend._statements  # type: ignore[attr-defined]
    for records, key in zip(kinds, ("d77", 1_000_077, 1_000_077), strict=True):
        assert records.find(key) is not None
        asked.append((texts.get[records.kind.layout], [key]))
        assert records.get_many([key, key])[0] is not None
    assert len(asked) == 6
    assert [plan for plan in plans(store, asked) if not indexed(plan)] == []


def test_one_flow_is_looked_for_in_one_partition(store: Store, asked: Asked) -> None:
    flow = store.connections.get(1_000_077)
    texts = store._engine.backend._statements  # type: ignore[attr-defined]
    layout = store.records("connection").kind.layout
    assert len(_scans(store, texts.get[layout], [flow.id])) == 1
    store.connections.mark_processed([flow.id])
    ((text, values),) = [one for one in asked if one[0].startswith("UPDATE")]
    assert len(_scans(store, text, values)) == 1


def _scans(store: Store, text: str, parameters: Sequence[Any]) -> list[str]:
    """The searches in partitions of flows that a statement makes; what it does is undone."""
    session = store._engine.backend.write()
    assert isinstance(session, PostgresWrite)
    lines = [line for (line,) in session.rows(f"EXPLAIN (ANALYZE, COSTS OFF, TIMING OFF) {text}", parameters)]
    session.rollback()
    return [line for line in lines if "Scan" in line and "iotstore_connection_" in line and "never" not in line]


@pytest.mark.parametrize(("kind", "order"), [(kind, order) for kind in KINDS for order in orders(kind)], ids=str)
def test_a_page_by_a_declared_index_begins_in_the_index_at_its_position(
    store: Store, asked: Asked, kind: str, order: tuple[str, ...]
) -> None:
    records: Collection[Any] = store.records(kind)
    before = records.page(order=order, limit=10_000)
    assert before.next is not None
    asked.clear()
    page = records.page(order=order, limit=PAGE, after=before.next)
    assert len(page.items) == PAGE
    (plan,) = plans(store, asked)
    assert indexed(plan), plan
    fields = records.kind.fields
    if not any(fields[name.removeprefix("-")].nullable for name in order):  # a missing value has no place to begin at
        assert "Index Cond" in plan, plan


def test_the_newest_flows_and_alerts_of_all_and_of_one_device_read_a_few_rows(store: Store, asked: Asked) -> None:
    of_one: Where = field("device") == "d5"
    for records in (store.connections, store.alerts):
        assert records.list(order=["-time"], limit=PAGE)
        assert records.list(of_one, order=["-time"], limit=PAGE)
    assert store.records("alert").page(field("status") == "open", order=["-time"], limit=PAGE).next
    assert store.connections.unprocessed(PAGE)
    assert store.alerts.open(limit=PAGE)
    found = plans(store, asked)
    assert [plan for plan in found if not indexed(plan)] == []


def test_changes_and_deletions_by_key_search_for_it_and_for_what_points_to_it(store: Store, asked: Asked) -> None:
    store.devices.rename("d9", "other")
    store.connections.mark_processed([1_000_005, 1_000_006])
    store.devices.put(store.devices.get("d10"))
    store.devices.put_many([store.devices.get("d11"), store.devices.get("d12")])
    with pytest.raises(iotstore.NotFound, match="nobody"):
        store.devices.delete("nobody")
    store.connections.delete(1_000_008)
    changes = [(text, values) for text, values in asked if re.match(r"UPDATE|DELETE|SELECT", text)]
    found = plans(store, changes)
    big = [plan for plan in found if re.search(r"Seq Scan on (device|connection|alert)\b", plan)]
    assert big == []
    assert sum(text.startswith(("UPDATE", "DELETE")) for text, _ in changes) >= 5
