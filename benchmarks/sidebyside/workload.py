"""The seeded workload: the devices, points, flows and alerts of a home, the same in every run."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count as without_end
from random import Random
from typing import Final

from iotstore import Alert, AlertStatus, Connection, Device, Metric, Point, Severity

SEED: Final = 20250601
#: The end of all data: the clock of every store stands here.
NOW: Final = datetime(2025, 6, 1, 12, 0, tzinfo=UTC)
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
STEP: Final = timedelta(minutes=1)

METRICS: Final = (
    Metric(name="temperature", type="float", unit="°C"),
    Metric(name="humidity", type="float", unit="%"),
    Metric(name="battery", type="float", unit="V"),
    Metric(name="packets", type="int64", counter=True),
    Metric(name="motion", type="bool"),
)
_LATE: Final = 0.01  # of the points come a second time, or after newer ones
_SEVERITIES: Final[tuple[Severity, ...]] = ("info", "low", "medium", "high", "critical")
_STATUSES: Final[tuple[AlertStatus, ...]] = ("open", "acknowledged", "resolved")
_PROTOCOLS: Final = (("tcp", "https", 443), ("udp", "dns", 53), ("tcp", "mqtt", 1883), ("udp", "ntp", 123))
_DAY: Final = 1440  # steps
_HELD: Final = 50  # points before they come a second time
_VENDORS: Final = ("Philips", "Aqara", "Shelly", "Axis")


def device_keys(count: int) -> list[str]:
    """The keys of the first *count* devices."""
    return [f"device-{number:04d}" for number in range(count)]


def devices(count: int) -> list[Device]:
    """Devices as a home has them, with most fields filled in."""
    random = Random(SEED)
    return [_device(random, number, key) for number, key in enumerate(device_keys(count))]


def _device(random: Random, number: int, key: str) -> Device:
    vendor = random.choice(_VENDORS)
    return Device(
        key=key,
        name=f"{vendor} sensor {number}",
        kind=random.choice(("sensor", "camera", "plug")),
        ip=f"192.168.{number // 250}.{number % 250 + 1}",
        mac=f"02:00:00:00:{number // 256:02x}:{number % 256:02x}",
        vendor=vendor,
        model=f"M{random.randrange(100)}",
        firmware="1.4.2",
        metadata={"room": random.choice(("kitchen", "hall", "attic")), "floor": random.randrange(3)},
        tags=frozenset({"home", random.choice(("inside", "outside"))}),
        first_seen=NOW - timedelta(days=90),
        last_seen=NOW - timedelta(seconds=random.randrange(3_600)),
    )


def value_at(random: Random, metric: str, tick: int) -> float | int | bool:
    """A believable value of a metric."""
    daily = math.sin(tick * math.tau / 1440)
    match metric:
        case "temperature":
            return round(20 + 4 * daily + random.gauss(0, 0.2), 2)
        case "humidity":
            return round(50 - 10 * daily + random.gauss(0, 1), 1)
        case "battery":
            return round(4.2 - tick * 1e-6 + random.gauss(0, 0.005), 3)
        case "packets":
            return tick * 40 + random.randrange(40)
        case _:
            return random.random() < 0.05


def points(devices: int, start: datetime = NOW - timedelta(days=365), *, seed: int = SEED) -> Iterator[Point]:
    """Points of every device and metric, minute after minute without end, as they arrive: some late, some twice."""
    random = Random(seed)
    keys = device_keys(devices)
    names = [metric.name for metric in METRICS]
    tick = 0
    earlier: list[Point] = []
    while True:
        time = start + tick * STEP
        for key in keys:
            for name in names:
                if earlier and random.random() < _LATE:
                    yield random.choice(earlier)
                late = timedelta(seconds=random.randrange(86_400)) if random.random() < _LATE else timedelta(0)
                point = Point(key, name, time - late, value_at(random, name, tick))
                if len(earlier) < 1000:
                    earlier.append(point)
                else:
                    earlier[tick % 1000] = point
                yield point
        tick += 1


def fresh_points(devices: int, *, again: float = 0.0, start: datetime = NOW - timedelta(days=365)) -> Iterator[Point]:
    """The same points, none of them twice; but then so many of all are some that came before, the newest or older."""
    random = Random(SEED + 3)
    seen: set[tuple[str, str, datetime]] = set()
    before: list[Point] = []
    for point in points(devices, start):
        key = (point.device, point.metric, point.time)
        if key in seen:
            continue
        seen.add(key)
        while before and random.random() < again:
            yield random.choice(before)
        before.append(point)
        yield point


def many_points(devices: int, metrics: Sequence[str]) -> Iterator[Point]:
    """Points without end that cost little to make: values of one day again and again, one in a hundred of them twice,
    and as many late by hours."""
    random = Random(SEED + 4)
    days = [(name, [value_at(random, name, tick) for tick in range(_DAY)]) for name in metrics]
    keys, start = device_keys(devices), NOW - timedelta(days=20 * 365)
    earlier: list[Point] = []
    number = 0
    for tick in without_end():
        time = start + tick * STEP
        for at, key in enumerate(keys):
            for name, values in days:
                number += 1
                point = Point(key, name, time, values[(tick + at) % _DAY])
                if number % 100 == 0:
                    earlier.append(point)
                elif number % 50 == 0:
                    point = Point(key, name, time - timedelta(hours=7, microseconds=number), point.value)
                yield point
        if len(earlier) > _HELD:
            yield from earlier
            earlier.clear()


def flows(devices: int, count: int, within: timedelta = timedelta(days=8)) -> list[Connection]:
    """Network flows of the time before now, in order of time."""
    random = Random(SEED + 1)
    keys = device_keys(devices)
    targets = [f"203.0.{random.randrange(256)}.{random.randrange(256)}" for _ in range(150)]
    targets += [f"2001:db8::{random.randrange(65_536):x}" for _ in range(50)]
    found: list[Connection] = []
    for number in range(count):
        protocol, service, port = random.choice(_PROTOCOLS)
        found.append(
            Connection(
                device=random.choice(keys),
                time=NOW - within + within * (number / count),
                destination=random.choice(targets),
                port=port,
                protocol=protocol,
                service=service,
                state="SF",
                bytes_sent=random.randrange(100_000),
                bytes_received=random.randrange(1_000_000),
                packets_sent=random.randrange(100),
                packets_received=random.randrange(1_000),
                duration=timedelta(microseconds=random.randrange(60_000_000)),
                processed=random.random() < 0.5,
            )
        )
    return found


def alerts(devices: int, count: int, within: timedelta = timedelta(days=60)) -> list[Alert]:
    """Alerts of the time before now in every state of their life."""
    random = Random(SEED + 2)
    keys = device_keys(devices)
    found: list[Alert] = []
    for number in range(count):
        time = NOW - within + within * (number / count)
        status: AlertStatus = random.choices(_STATUSES, (2, 3, 5))[0]
        resolved = status == "resolved"
        found.append(
            Alert(
                kind=random.choice(("new_device", "port_scan", "threshold", "offline")),
                title=f"Something happened, number {number}",
                severity=random.choices(_SEVERITIES, (30, 30, 25, 10, 5))[0],
                device=random.choice(keys),
                time=time,
                status=status,
                score=round(random.random(), 3),
                explanation="A value left the range that it had in the last week.",
                metadata={"value": round(random.uniform(0, 100), 2), "limit": 50},
                acknowledged_by=None if status == "open" else "anna",
                acknowledged_at=None if status == "open" else time + timedelta(minutes=5),
                resolved_by="anna" if resolved else None,
                resolved_at=time + timedelta(hours=1) if resolved else None,
            )
        )
    return found
