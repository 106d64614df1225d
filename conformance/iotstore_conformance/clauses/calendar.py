"""Calendar buckets: days of 23 and 25 hours, doubled hours, zones with odd offsets, weeks and months.

All dates lie in a year whose rules every release of the time zone database agrees on.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from iotstore import Connection
from iotstore.backend import Capability
from iotstore_conformance.registry import clause
from iotstore_conformance.stage import Stage

_SERIES = [Capability.SERIES]


def _buckets(
    stage: Stage, every: str, zone: str, start: datetime, end: datetime
) -> list[tuple[datetime, datetime, int]]:
    """Start, end and number of points of each bucket, with one point every ten minutes."""
    if stage.store.devices.find("a") is None:
        stage.devices("a")
    metric = f"m{len(stage.store.telemetry.metrics())}"
    count = int((end - start) / timedelta(minutes=10))
    times = [start + timedelta(minutes=10 * n) for n in range(count)]
    stage.store.telemetry.write_columns("a", metric, times, [1.0] * count)
    rows = stage.store.telemetry.aggregate(
        "a", metric, every=every, zone=zone, start=start, end=end, functions=["count"]
    )
    return [(bucket.start, bucket.end, int(str(bucket["count"]))) for bucket in rows]


def _utc(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@clause("CAL-001", profile="telemetry", needs=_SERIES)
def days_have_23_and_25_hours(stage: Stage) -> None:
    """A day MUST be a day of the zone: 23 hours when clocks go forward, 25 when they go back."""
    zone = ZoneInfo("Europe/Kyiv")
    for month, last, hours in ((3, 31, 23), (10, 27, 25)):
        start = datetime(2024, month, last, tzinfo=zone).astimezone(UTC)
        end = (datetime(2024, month, last, tzinfo=zone) + timedelta(days=1)).astimezone(UTC)
        assert _buckets(stage, "day", "Europe/Kyiv", start, end) == [(start, end, hours * 6)]


@clause("CAL-002", profile="telemetry", needs=_SERIES)
def a_doubled_hour_is_two_buckets(stage: Stage) -> None:
    """An hour that the clock shows twice MUST be two buckets, and one that it skips none."""
    found = _buckets(stage, "hour", "Europe/Kyiv", _utc(2024, 10, 26, 23), _utc(2024, 10, 27, 3))
    assert [count for _, _, count in found] == [6, 6, 6, 6]
    found = _buckets(stage, "hour", "Europe/Kyiv", _utc(2024, 3, 31, 0), _utc(2024, 3, 31, 2))
    assert [start for start, _, _ in found] == [_utc(2024, 3, 31, 0), _utc(2024, 3, 31, 1)]


@clause("CAL-003", profile="telemetry", needs=_SERIES)
def days_begin_where_midnight_does(stage: Stage) -> None:
    """A day MUST start at the first occurrence of local midnight, or at the first instant after a gap over midnight."""
    # Havana goes back from 01:00 to 00:00 and forward from 00:00 to 01:00.
    start, end = _utc(2024, 11, 3, 4), _utc(2024, 11, 4, 5)
    assert _buckets(stage, "day", "America/Havana", start, end) == [(start, end, 150)]
    start, end = _utc(2024, 3, 10, 5), _utc(2024, 3, 11, 4)
    assert _buckets(stage, "day", "America/Havana", start, end) == [(start, end, 138)]


@clause("CAL-004", profile="telemetry", needs=_SERIES)
def half_hours_shift(stage: Stage) -> None:
    """Hours and days MUST follow zones whose offset, or whose shift, is no whole hour."""
    zone = ZoneInfo("Australia/Lord_Howe")
    start = datetime(2024, 4, 7, tzinfo=zone).astimezone(UTC)
    end = datetime(2024, 4, 8, tzinfo=zone).astimezone(UTC)
    assert _buckets(stage, "day", "Australia/Lord_Howe", start, end) == [(start, end, 147)]
    found = _buckets(stage, "hour", "Asia/Kathmandu", _utc(2024, 1, 1, 0, 15), _utc(2024, 1, 1, 2, 15))
    assert [(begin, count) for begin, _, count in found] == [(_utc(2024, 1, 1, 0, 15), 6), (_utc(2024, 1, 1, 1, 15), 6)]


@clause("CAL-005", profile="telemetry", needs=_SERIES)
def weeks_and_months(stage: Stage) -> None:
    """Weeks MUST start on Monday and months on their first day, at the zone's midnight, whatever their length."""
    zone = ZoneInfo("America/New_York")
    edges = [datetime(2024, month, 1, tzinfo=zone).astimezone(UTC) for month in (2, 3, 4)]
    found = _buckets(stage, "month", "America/New_York", edges[0], edges[2])
    assert [(start, end) for start, end, _ in found] == [(edges[0], edges[1]), (edges[1], edges[2])]
    assert [count for _, _, count in found] == [29 * 144, 31 * 144 - 6]
    edges = [datetime(2024, 3, day, tzinfo=zone).astimezone(UTC) for day in (4, 11, 18)]
    found = _buckets(stage, "week", "America/New_York", edges[0], edges[2])
    assert [(start, end, count) for start, end, count in found] == [
        (edges[0], edges[1], 7 * 144 - 6),
        (edges[1], edges[2], 7 * 144),
    ]


@clause("CAL-006", profile="telemetry", needs=_SERIES)
def buckets_before_the_epoch(stage: Stage) -> None:
    """Calendar buckets before 1970 MUST be as right as those after it."""
    start, end = _utc(1965, 7, 4), _utc(1965, 7, 6)
    found = _buckets(stage, "day", "UTC", start, end)
    assert found == [(start, _utc(1965, 7, 5), 144), (_utc(1965, 7, 5), end, 144)]


@clause("CAL-007")
def records_share_the_calendar(stage: Stage) -> None:
    """Buckets over records MUST have the same edges as buckets over points."""
    stage.devices("a")
    zone = ZoneInfo("Europe/Kyiv")
    start = datetime(2024, 10, 26, tzinfo=zone).astimezone(UTC)
    end = datetime(2024, 10, 29, tzinfo=zone).astimezone(UTC)
    count = int((end - start) / timedelta(hours=1))
    rows = [Connection(device="a", time=start + timedelta(hours=n)) for n in range(count)]
    stage.store.connections.add_many(rows)
    found = stage.store.connections.timeline(start, end, width="day", zone="Europe/Kyiv")
    assert [row.connections for row in found] == [24, 25, 24]
    assert [row.start for row in found] == [
        datetime(2024, 10, day, tzinfo=zone).astimezone(UTC) for day in (26, 27, 28)
    ]
