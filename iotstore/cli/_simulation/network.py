"""A day of network flows, hour by hour: who talks to whom, how much, and one camera that should not."""

from __future__ import annotations

import math
import random
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from iotstore import Connection
from iotstore.cli._simulation.chance import chance
from iotstore.cli._simulation.home import THINGS

BAD_CAMERA: Final = "cam-drive"
BAD_ADDRESS: Final = "203.0.113.66"
_A_DAY: Final = 2_780
_NIGHTS: Final = (3, 4, 5, 6)  # it starts on Thursday
_BAD_HOURS: Final = range(1, 4)


class Peer(NamedTuple):
    """Where a kind of device talks to: how often, and how much is typical both ways, in kilobytes."""

    weight: float
    address: str
    port: int
    protocol: str
    service: str
    sent: float
    received: float
    seconds: float


# Addresses that RFC 5737 and RFC 3849 set aside for examples: nobody's machine is named here.
_DNS: Final = Peer(3, "192.168.1.1", 53, "udp", "dns", 0.08, 0.25, 0.03)
_NTP: Final = Peer(0.4, "192.0.2.123", 123, "udp", "ntp", 0.09, 0.09, 0.05)
_PEERS: Final[dict[str, list[Peer]]] = {
    "camera": [
        _DNS,
        _NTP,
        Peer(5, "198.51.100.20", 443, "tcp", "https", 900, 14, 55),
        Peer(4, "192.168.1.58", 554, "tcp", "rtsp", 5200, 40, 290),
    ],
    "phone": [
        _DNS,
        Peer(6, "2001:db8:10::5", 443, "udp", "quic", 60, 1900, 25),
        Peer(4, "198.51.100.80", 443, "tcp", "https", 45, 420, 12),
        Peer(2, "198.51.100.143", 5223, "tcp", "push", 3, 5, 600),
        Peer(1, "203.0.113.10", 993, "tcp", "imaps", 6, 90, 4),
    ],
    "computer": [
        _DNS,
        Peer(6, "2001:db8:20::8", 443, "tcp", "https", 95, 800, 18),
        Peer(3, "198.51.100.200", 443, "udp", "quic", 80, 2600, 40),
        Peer(1, "192.168.1.58", 445, "tcp", "smb", 3100, 2800, 60),
        Peer(0.5, "203.0.113.22", 22, "tcp", "ssh", 40, 120, 900),
    ],
    "tv": [
        _DNS,
        _NTP,
        Peer(5, "198.51.100.60", 443, "tcp", "https", 220, 46_000, 300),
        Peer(1, "203.0.113.90", 8080, "tcp", "http", 9, 3, 1),
    ],
    "storage": [_DNS, _NTP, Peer(2, "198.51.100.250", 443, "tcp", "https", 9_000, 90, 120)],
    "hub": [_DNS, _NTP, Peer(5, "198.51.100.30", 8883, "tcp", "mqtts", 12, 6, 300)],
    "router": [_NTP, Peer(3, "203.0.113.53", 853, "tcp", "dot", 4, 9, 10)],
    "printer": [_DNS, Peer(1, "192.168.1.1", 5353, "udp", "mdns", 0.2, 0.2, 0.1)],
}
_PEERS["tablet"] = _PEERS["phone"]
_SMALL: Final = [_DNS, _NTP, Peer(4, "198.51.100.30", 8883, "tcp", "mqtts", 2, 1, 60)]
_SPEAKER: Final = [_DNS, Peer(4, "198.51.100.70", 443, "tcp", "https", 25, 3800, 180)]
_PEERS["speaker"] = _SPEAKER

_STEADY: Final = [1.0] * 24
_EVENING: Final = [0.15, 0.08, 0.06, 0.06, 0.06, 0.1, 0.5, 0.9, 0.8, 0.6, 0.55, 0.6]
_AWAKE: Final = [*_EVENING, 0.8, 0.7, 0.6, 0.7, 0.9, 1.2, 1.7, 2.2, 2.6, 2.4, 1.6, 0.7]
_OFFICE: Final = [0.05] * 7 + [0.4, 1.6, 2.2, 2.2, 2.0, 1.2, 2.0, 2.1, 1.9, 1.6, 0.8, 0.6, 0.9, 1.0, 0.7, 0.3, 0.1]
_RHYTHM: Final = {"phone": _AWAKE, "tablet": _AWAKE, "tv": _AWAKE, "speaker": _AWAKE, "computer": _OFFICE}
_TALKERS: Final = [(at, thing) for at, thing in enumerate(THINGS) if thing.networked]


@lru_cache(maxsize=2)
def flows(seed: int, day: date) -> list[list[Connection]]:
    """The flows of one day, one list for each hour of it, ordered by time."""
    weights = [
        list(accumulate(thing.traffic * _RHYTHM.get(thing.kind, _STEADY)[hour] for _, thing in _TALKERS))
        for hour in range(24)
    ]
    whole = sum(hour[-1] for hour in weights)
    sums = list(accumulate((hour[-1] for hour in weights), initial=0.0))
    counts = [round(sums[h + 1] / whole * _A_DAY) - round(sums[h] / whole * _A_DAY) for h in range(24)]
    return [_hour(seed, day, hour, counts[hour], weights[hour]) for hour in range(24)]


def _hour(seed: int, day: date, hour: int, count: int, weights: list[float]) -> list[Connection]:
    draw = chance(seed, "flows", day, hour)
    start = datetime.fromisoformat(f"{day}T{hour:02}:00:00+00:00")
    found: list[Connection] = []
    for _, thing in draw.choices(_TALKERS, cum_weights=weights, k=count):
        peers = _PEERS.get(thing.kind, _SMALL)
        peer = draw.choices(peers, weights=[peer.weight for peer in peers])[0]
        found.append(_flow(draw, thing.key, start, peer, 0.9))
    if hour in _BAD_HOURS and day.weekday() in _NIGHTS:
        upload = Peer(1, BAD_ADDRESS, 4444, "tcp", "unknown", 9_500, 35, 70)
        found += [_flow(draw, BAD_CAMERA, start, upload, 0.35) for _ in range(45)]
    return sorted(found, key=lambda flow: flow.time)


def _flow(draw: random.Random, device: str, start: datetime, peer: Peer, spread: float) -> Connection:
    size = math.exp(draw.gauss(0.0, spread))
    sent, received = int(peer.sent * size * 1000), int(peer.received * size * 1000 * draw.uniform(0.8, 1.2))
    broken = draw.random() < 0.02
    if broken:
        sent, received = min(sent, 120), 0
    return Connection(
        device=device,
        time=start + timedelta(microseconds=draw.randrange(3_600_000_000)),
        destination=peer.address,
        port=peer.port,
        protocol=peer.protocol,
        service=peer.service,
        state="reset" if broken else "closed",
        bytes_sent=sent,
        bytes_received=received,
        packets_sent=1 + sent // 1200,
        packets_received=received // 1200 + (0 if broken else 1),
        duration=timedelta(milliseconds=0 if broken else int(peer.seconds * size * 1000)),
    )
