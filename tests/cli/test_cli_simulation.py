"""The simulated home: always the same, plausible, and with the troubles that real homes have."""

from collections import Counter
from datetime import date, timedelta
from functools import cache
from itertools import pairwise

import pytest

from iotstore import Connection
from iotstore.cli._simulation import home
from iotstore.cli._simulation.alerts import alerts
from iotstore.cli._simulation.chance import DAY
from iotstore.cli._simulation.network import BAD_ADDRESS, BAD_CAMERA, flows
from iotstore.cli._simulation.telemetry import Columns, cut, deliver, midnight

SEED = 7
WEEK = [date(2025, 6, 9) + timedelta(days=at) for at in range(7)]
THURSDAY = WEEK[3]
TYPES = {"float": float, "int64": int, "bool": bool, "text": str}


@cache
def week_of_columns() -> list[Columns]:
    """Everything that arrives in the week, in order of arrival."""
    return [columns for day in WEEK for columns in (*deliver(SEED, day).prompt, *deliver(SEED, day).late)]


def series_of(device: str, metric: str) -> list[tuple[int, object]]:
    """A series as it is once everything has arrived."""
    found: dict[int, object] = {}
    for columns in week_of_columns():
        if (columns.device, columns.metric) == (device, metric):
            found |= dict(zip(columns.times, columns.values, strict=True))
    return sorted(found.items())


def flat(day: date) -> list[Connection]:
    return [flow for hour in flows(SEED, day) for flow in hour]


def test_the_home_has_forty_devices_in_eight_nested_locations() -> None:
    places = {place.key for place in home.LOCATIONS}
    parents = [place.parent for place in home.LOCATIONS]

    assert (len(home.THINGS), len({thing.key for thing in home.THINGS}), len(places)) == (40, 40, 8)
    assert {thing.location for thing in home.THINGS} <= places
    assert all(parent is None or parent in {p.key for p in home.LOCATIONS[:at]} for at, parent in enumerate(parents))
    assert {thing.owner for thing in home.THINGS} - {None} == {owner.key for owner in home.OWNERS}
    assert {thing.group for thing in home.THINGS} == {group.key for group in home.GROUPS}


def test_networked_devices_have_addresses_of_their_own() -> None:
    addresses = [home.address_of(at) for at, thing in enumerate(home.THINGS) if thing.networked]

    assert len(set(addresses)) == len(addresses)


def test_a_week_has_half_a_million_points_and_twenty_thousand_flows() -> None:
    points = {(columns.device, columns.metric, time) for columns in week_of_columns() for time in columns.times}

    assert 480_000 < len(points) < 520_000
    assert sum(len(flat(day)) for day in WEEK) == 20_000


def test_the_same_seed_and_day_give_the_same_whatever_was_asked_before() -> None:
    first = (deliver(SEED, THURSDAY), flows(SEED, THURSDAY), alerts(SEED, THURSDAY))
    deliver.cache_clear()
    flows.cache_clear()
    for day in reversed(WEEK):
        deliver(SEED, day)

    assert (deliver(SEED, THURSDAY), flows(SEED, THURSDAY), alerts(SEED, THURSDAY)) == first


def test_another_seed_gives_another_home() -> None:
    assert deliver(SEED, THURSDAY).prompt != deliver(SEED + 1, THURSDAY).prompt
    assert flows(SEED, THURSDAY) != flows(SEED + 1, THURSDAY)


def test_every_column_belongs_to_a_device_and_has_values_of_its_metric_on_its_day() -> None:
    devices = {thing.key for thing in home.THINGS}
    types = {metric.name: TYPES[metric.type] for metric in home.METRICS}
    for day in WEEK:
        start = midnight(day)
        for columns in (*deliver(SEED, day).prompt, *deliver(SEED, day).late):
            assert columns.device in devices
            assert len(columns.times) == len(columns.values)
            assert {type(value) for value in columns.values} <= {types[columns.metric]}
            assert all(start <= time < start + DAY for time in columns.times)


def test_some_points_arrive_late_and_some_twice() -> None:
    prompt = {(c.device, c.metric, time) for c in deliver(SEED, THURSDAY).prompt for time in c.times}
    late = {(c.device, c.metric, time) for c in deliver(SEED, THURSDAY).late for time in c.times}

    assert late
    assert not late & prompt
    assert sum(len(c.times) for c in deliver(SEED, THURSDAY).prompt) > len(prompt)


def test_a_silent_device_has_no_points_in_its_gap() -> None:
    gaps = [gap for day in WEEK for gap in deliver(SEED, day).gaps]
    times = {
        gap: [time for c in week_of_columns() if c.device == gap.device and c.metric != "open" for time in c.times]
        for gap in gaps
    }

    assert gaps
    assert not [time for gap in gaps for time in times[gap] if gap.start <= time < gap.end]


def test_the_energy_counter_only_grows_but_for_its_reset_on_wednesday() -> None:
    readings = series_of("plug-washer", "energy")
    falls = [time for (_, before), (time, after) in pairwise(readings) if after < before]  # type: ignore[operator]

    assert len(falls) == 1
    assert midnight(WEEK[2]) + DAY // 24 * 14 <= falls[0] < midnight(WEEK[2]) + DAY // 24 * 15


def test_it_is_warmer_in_the_afternoon_than_before_dawn() -> None:
    readings = series_of("climate-garden", "temperature")
    by_hour: dict[int, list[float]] = {}
    for time, value in readings:
        assert isinstance(value, float)
        by_hour.setdefault(time % DAY // (DAY // 24), []).append(value)
    means = {hour: sum(values) / len(values) for hour, values in by_hour.items()}

    assert means[16] > means[4] + 5


def test_people_use_the_network_most_in_the_evening() -> None:
    phones = Counter(flow.time.hour for day in WEEK for flow in flat(day) if flow.device.startswith("phone"))

    assert min(phones[hour] for hour in (19, 20, 21)) > 3 * max(phones[hour] for hour in (1, 2, 3, 4))


def test_flows_are_plausible_to_the_last_field() -> None:
    networked = {thing.key for thing in home.THINGS if thing.networked}
    for flow in flat(THURSDAY):
        assert flow.device in networked
        assert flow.time.date() == THURSDAY
        assert flow.packets_sent >= 1
        assert flow.duration is not None
        assert flow.duration >= timedelta(0)


def test_one_camera_uploads_to_a_strange_address_and_only_at_night() -> None:
    bad = [flow for day in WEEK for flow in flat(day) if flow.destination == BAD_ADDRESS]

    assert {flow.device for flow in bad} == {BAD_CAMERA}
    assert {flow.time.hour for flow in bad} == {1, 2, 3}
    assert {flow.time.weekday() for flow in bad} == {3, 4, 5, 6}


def test_every_alert_of_an_upload_is_backed_by_flows() -> None:
    for day in WEEK:
        raised = [alert for alert in alerts(SEED, day) if alert.kind == "unusual-upload"]
        hours = {alert.time.hour for alert in raised if alert.time is not None}

        assert hours == {flow.time.hour for flow in flat(day) if flow.destination == BAD_ADDRESS}
        assert {alert.device for alert in raised} <= {BAD_CAMERA}


def test_alerts_of_a_week_cover_every_severity_and_most_are_handled() -> None:
    found = [alert for day in WEEK for alert in alerts(SEED, day)]

    assert {alert.severity for alert in found} == {"info", "low", "medium", "high", "critical"}
    assert {alert.status for alert in found} == {"open", "acknowledged", "resolved"}
    assert all((alert.acknowledged_by is None) == (alert.status == "open") for alert in found)
    assert all((alert.resolved_at is None) == (alert.status != "resolved") for alert in found)


@pytest.mark.parametrize(("start", "end", "kept"), [(0, 100, [10, 20, 30]), (20, 30, [20]), (31, 99, [])])
def test_a_window_is_half_open(start: int, end: int, kept: list[int]) -> None:
    columns = cut(Columns("cam", "motion", [10, 20, 30], [True, False, True]), start, end)

    assert columns.times == kept
    assert len(columns.values) == len(kept)
