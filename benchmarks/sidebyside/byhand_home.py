"""The home page by hand: the same fifteen answers from one read transaction."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final, get_args

from iotstore import AlertDay, AlertView, Bandwidth, HeatCell, HomePage, ScoreBin, Severity, TrafficBucket
from sidebyside.byhand_records import RecordsByHand
from sidebyside.moments import HOUR, instant, micros_of

_DAY: Final = 24 * HOUR
_SEVERITIES: Final = get_args(Severity)
_SUMS: Final = "count(*), CAST(sum(bytes_sent) AS BIGINT), CAST(sum(bytes_received) AS BIGINT)"
_BINS: Final = 10


def home_page(records: RecordsByHand, now: datetime) -> HomePage:
    """Everything that ``store.home()`` shows, as of one committed state."""
    at = micros_of(now)
    day, week = (at - _DAY, at), (at - 7 * _DAY, at)
    records.execute(records.begin_reading)
    try:
        return HomePage(
            at=now,
            active=records.select_devices(
                "WHERE last_seen >= ? ORDER BY last_seen DESC NULLS LAST, key", (micros_of(now - timedelta(minutes=5)),)
            ),
            unacknowledged=records.select_alerts(
                "WHERE status = 'open' AND time >= ? ORDER BY time DESC NULLS LAST, id LIMIT 100", (day[0],)
            ),
            connections=records.select_flows(
                "WHERE time >= ? ORDER BY time DESC NULLS LAST, id LIMIT 100", (at - HOUR,)
            ),
            devices=records.select_devices("ORDER BY last_seen DESC NULLS LAST, key LIMIT 100", ()),
            timeline=_timeline(records, day),
            protocols=_bandwidth(records, "protocol", day),
            heatmap=_heatmap(records, week),
            alerts=_views(records, day[0]),
            alert_timeline=_alert_timeline(records, week),
            scores=_scores(records, week),
            bandwidth=_bandwidth(records, "device", day)[:10],
            total_devices=_total(records, "device"),
            total_connections=_total(records, "connection"),
            total_alerts=_total(records, "alert"),
        )
    finally:
        records.execute("COMMIT")


def _total(records: RecordsByHand, table: str) -> int:
    (count,) = records.execute(f"SELECT count(*) FROM {table}").fetchone()  # noqa: S608
    return int(count)


def _timeline(records: RecordsByHand, within: Sequence[int]) -> list[TrafficBucket]:
    rows = records.execute(
        f"SELECT time / {HOUR} AS hour, {_SUMS} FROM connection WHERE time >= ? AND time < ?"  # noqa: S608
        " GROUP BY hour ORDER BY hour",
        within,
    )
    return [TrafficBucket(instant(hour * HOUR), count, sent, received) for hour, count, sent, received in rows]


def _bandwidth(records: RecordsByHand, by: str, within: Sequence[int]) -> list[Bandwidth]:
    rows = records.execute(
        f"SELECT {by}, {_SUMS} FROM connection WHERE time >= ? AND time < ? GROUP BY {by}"  # noqa: S608
        " ORDER BY sum(bytes_sent) + sum(bytes_received) DESC",
        within,
    )
    return [Bandwidth(*row) for row in rows]


def _heatmap(records: RecordsByHand, within: Sequence[int]) -> list[HeatCell]:
    rows = records.execute(
        f"SELECT device, time / {HOUR} % 24 AS hour, count(*),"  # noqa: S608
        " CAST(sum(bytes_sent + bytes_received) AS BIGINT) FROM connection"
        " WHERE time >= ? AND time < ? GROUP BY device, hour ORDER BY device, hour",
        within,
    )
    return [HeatCell(*row) for row in rows]


def _views(records: RecordsByHand, since: int) -> list[AlertView]:
    found = records.select_alerts("WHERE time >= ? ORDER BY time DESC NULLS LAST, id LIMIT 100", (since,))
    keys = sorted({alert.device for alert in found if alert.device is not None})
    marks = ", ".join("?" * len(keys))
    names: dict[str, Any] = dict(
        records.execute(f"SELECT key, name FROM device WHERE key IN ({marks})", keys)  # noqa: S608
    )
    return [AlertView(alert, names.get(alert.device) if alert.device else None) for alert in found]


def _alert_timeline(records: RecordsByHand, within: Sequence[int]) -> list[AlertDay]:
    rows = records.execute(
        f"SELECT time / {_DAY} AS day, severity, count(*) FROM alert WHERE time >= ? AND time < ?"  # noqa: S608
        " GROUP BY day, severity",
        within,
    ).fetchall()
    rows.sort(key=lambda row: (row[0], _SEVERITIES.index(row[1])))
    return [AlertDay(instant(day * _DAY), severity, count) for day, severity, count in rows]


def _scores(records: RecordsByHand, within: Sequence[int]) -> list[ScoreBin]:
    rows: dict[int, int] = dict(
        records.execute(
            f"SELECT {records.tenth} AS bin, count(*) FROM alert"  # noqa: S608
            " WHERE score IS NOT NULL AND score BETWEEN 0 AND 1 AND time >= ? AND time < ? GROUP BY bin",
            within,
        )
    )
    return [ScoreBin(index / _BINS, (index + 1) / _BINS, rows.get(index, 0)) for index in range(_BINS)]
