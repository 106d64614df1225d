"""Connections: flows of devices, their processing and their summaries."""

from __future__ import annotations

from datetime import timedelta

import pytest

from iotstore import Connection, NotFound, UnknownReference, field
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import NOON, Stage, ago, later


def _flows(stage: Stage) -> None:
    stage.devices("cam", "tv")
    rows = [
        ("cam", 0, "tcp", 100, 10),
        ("cam", 30, "udp", 50, 0),
        ("tv", 59, "tcp", 1000, 500),
        ("tv", 60, None, 1, 1),
        ("cam", 150, "tcp", 7, 3),
    ]
    stage.store.connections.add_many(
        Connection(
            device=device, time=later(minutes=minute), protocol=protocol, bytes_sent=sent, bytes_received=received
        )
        for device, minute, protocol, sent, received in rows
    )


@clause("CON-001")
def unknown_devices_are_told(stage: Stage) -> None:
    """A connection of an unknown device MUST be refused, in a batch as a rejected row, and never vanish silently."""
    stage.devices("cam")
    with pytest.raises(UnknownReference, match="device"):
        stage.store.connections.add(Connection(device="ghost", time=NOON))
    rows = [Connection(device="cam", time=NOON), Connection(device="ghost", time=NOON)]
    receipt = stage.store.connections.add_many(rows, on_invalid="reject")
    assert (receipt.stored, [(row.index, row.field) for row in receipt.rejected]) == (1, [(1, "device")])


@clause("CON-002")
def captures_keep_their_times(stage: Stage) -> None:
    """A connection MUST keep the time it is given, to the microsecond, its duration, and counters of 64 bits."""
    stage.devices("cam")
    flow = Connection(
        device="cam", time=ago(days=400, microseconds=1), duration=timedelta(microseconds=1_500_001),
        destination="2001:DB8::1", port=65_535, bytes_sent=2**63 - 1, packets_received=2**53 + 1,
    )  # fmt: skip
    stored = stage.store.connections.get(stage.store.connections.add(flow).id)
    assert (stored.time, stored.duration) == (flow.time, flow.duration)
    assert (stored.destination, stored.port) == ("2001:db8::1", 65_535)
    assert (stored.bytes_sent, stored.packets_received) == (2**63 - 1, 2**53 + 1)


@clause("CON-003")
def the_unprocessed_come_oldest_first(stage: Stage) -> None:
    """`unprocessed` MUST give what isn't processed, oldest first, at most as many as asked."""
    stage.devices("cam")
    connections = stage.store.connections
    for minute in (3, 1, 2):
        connections.add(Connection(device="cam", time=later(minutes=minute)))
    assert [flow.time for flow in connections.unprocessed()] == [later(minutes=minute) for minute in (1, 2, 3)]
    first = connections.unprocessed(limit=1)
    assert connections.mark_processed([flow.id for flow in first]) == 1
    assert [flow.time for flow in connections.unprocessed()] == [later(minutes=2), later(minutes=3)]


@clause("CON-004", deep=True)
def many_are_marked_at_once(stage: Stage) -> None:
    """Marking tens of thousands of connections as processed MUST work in one call and say how many it marked."""
    stage.devices("cam")
    connections = stage.store.connections
    # More than 65,535 parameters of one statement, at which some protocols end, in the full tier.
    many = 70_000 if stage.effort == "full" else 12_000
    rows = [Connection(device="cam", time=later(seconds=n)) for n in range(many)]
    ids = connections.add_many(rows, ids=True).ids
    assert ids is not None
    assert connections.mark_processed(ids) == many
    assert connections.count(field("processed") == False) == 0  # noqa: E712 - a filter


@clause("CON-005")
def unknown_connections_are_named(stage: Stage) -> None:
    """Marking an unknown connection MUST raise NotFound that names it, and mark none of the call."""
    stage.devices("cam")
    flow = stage.store.connections.add(Connection(device="cam", time=NOON))
    unknown = flow.id + 1_000_000
    with pytest.raises(NotFound, match=str(unknown)):
        stage.store.connections.mark_processed([flow.id, unknown])
    assert not stage.store.connections.get(flow.id).processed


@clause("CON-006")
def recent_connections(stage: Stage) -> None:
    """`recent` MUST give the connections within the span before now, newest first, ties by id."""
    stage.devices("cam")
    connections = stage.store.connections
    for minutes in (61, 59, 10, 10):
        connections.add(Connection(device="cam", time=ago(minutes=minutes)))
    found = connections.recent(timedelta(hours=1), limit=10)
    assert [flow.time for flow in found] == [ago(minutes=10), ago(minutes=10), ago(minutes=59)]
    assert len(connections.recent(timedelta(hours=1), limit=2)) == 2


@clause("CON-007")
def bandwidth_is_ranked(stage: Stage) -> None:
    """Bandwidth MUST sum bytes both ways per device over [start, end), largest first, with a limit of the caller's
    choice."""
    _flows(stage)
    rows = stage.store.connections.bandwidth(NOON, later(minutes=60))
    assert [(row.name, row.bytes_sent, row.bytes_received) for row in rows] == [("tv", 1000, 500), ("cam", 150, 10)]
    assert len(stage.store.connections.bandwidth(NOON, later(hours=9), limit=1)) == 1
    assert stage.store.connections.bandwidth(ago(hours=2), NOON) == []


@clause("CON-008")
def protocols_are_counted(stage: Stage) -> None:
    """The protocol distribution MUST count every connection of [start, end), those without a protocol too."""
    _flows(stage)
    rows = stage.store.connections.protocols(NOON, later(minutes=150))
    found = {row.name: row.connections for row in rows}
    assert found == {"tcp": 2, "udp": 1, None: 1}


@clause("CON-009")
def timelines_have_buckets(stage: Stage) -> None:
    """The traffic timeline MUST sum the connections of each bucket of [start, end) in the order of time."""
    _flows(stage)
    rows = stage.store.connections.timeline(NOON, later(hours=3), width="hour")
    found = {row.start: (row.connections, row.bytes_sent) for row in rows if row.connections}
    assert found == {NOON: (3, 1150), later(hours=1): (1, 1), later(hours=2): (1, 7)}
    assert [row.start for row in rows] == sorted(row.start for row in rows)


@clause("CON-010")
def heatmaps_keep_days_apart(stage: Stage) -> None:
    """The heatmap MUST count connections by device and hour of the zone's clock, and keep weekdays apart
    where asked."""
    stage.devices("cam")
    for when in (NOON, later(minutes=10), later(days=1), later(days=7)):
        stage.store.connections.add(Connection(device="cam", time=when, bytes_sent=1))
    cells = stage.store.connections.heatmap(NOON, later(days=8), zone="Europe/Kyiv", weekdays=True)
    found = {(cell.device, cell.weekday, cell.hour): cell.connections for cell in cells if cell.connections}
    assert found == {("cam", 3, 14): 3, ("cam", 4, 14): 1}


@clause("CON-011")
def top_talkers_have_limits(stage: Stage) -> None:
    """Top talkers MUST be ranked by bytes both ways, ties by device, in the number asked for."""
    stage.devices("a", "b", "c")
    for device, sent in (("c", 5), ("a", 5), ("b", 9)):
        stage.store.connections.add(Connection(device=device, time=NOON, bytes_sent=sent))
    rows = stage.store.connections.top_talkers(NOON, later(hours=1), limit=2)
    assert [row.name for row in rows] == ["b", "a"]


@clause("CON-012")
def late_captures_are_found(stage: Stage) -> None:
    """Connections that arrive in any order MUST be found by their own time."""
    stage.devices("cam")
    connections = stage.store.connections
    for minute in (5, 1, 9, 3):
        connections.add(Connection(device="cam", time=later(minutes=minute)))
    where = field("time").between(later(minutes=1), later(minutes=9))
    found = [flow.time for flow in connections.list(where, order=["time"])]
    assert found == [later(minutes=minute) for minute in (1, 3, 5)]
