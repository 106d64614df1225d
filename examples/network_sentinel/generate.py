"""Writes conn.log as Zeek would for a quiet day of a small home in which one camera is taken over; seeded."""

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

FIELDS = {
    "ts": "time",
    "uid": "string",
    "id.orig_h": "addr",
    "id.orig_p": "port",
    "id.resp_h": "addr",
    "id.resp_p": "port",
    "proto": "enum",
    "service": "string",
    "duration": "interval",
    "orig_bytes": "count",
    "resp_bytes": "count",
    "conn_state": "string",
    "orig_pkts": "count",
    "resp_pkts": "count",
}
DAY = datetime(2025, 6, 16, tzinfo=UTC).timestamp()
# Who talks to whom: port, protocol, service, flows in the day, first and last hour, largest upload and download.
HABITS = [
    ("192.168.1.20", "192.168.1.1", 53, "udp", "dns", 24, 0, 24, 80, 300),
    ("192.168.1.20", "203.0.113.80", 443, "tcp", "ssl", 18, 7, 22, 40_000, 9_000),
    ("192.168.1.31", "198.51.100.7", 443, "tcp", "ssl", 30, 18, 23, 20_000, 5_000_000),
    ("192.168.1.40", "192.168.1.1", 123, "udp", "ntp", 12, 0, 24, 48, 48),
    ("192.168.1.40", "198.51.100.21", 8883, "tcp", "-", 24, 0, 24, 2_000, 700),
    ("fd00::31", "2001:db8::443", 443, "tcp", "ssl", 10, 18, 23, 9_000, 900_000),
]


def flows() -> Iterator[list[object]]:
    """What Zeek saw: the habits of the home; at 3 in the morning the camera looks around, then sends what it has."""
    dice = random.Random(42)
    for source, target, port, protocol, service, times, first, last, up, down in HABITS:
        for _ in range(times):
            at = DAY + dice.uniform(first, last) * 3600
            sent, got = dice.randint(up // 4, up), dice.randint(down // 4, down)
            ports = [source, dice.randint(32_768, 60_999), target, port, protocol, service]
            seconds = round(dice.uniform(0.01, 30), 6)
            yield [at, *ports, seconds, sent, got, "SF", sent // 1000 + 1, got // 1000 + 1]
    for number, port in enumerate((21, 22, 23, 80, 139, 443, 445, 554, 1883, 3306, 5432, 8080)):
        source_port = dice.randint(32_768, 60_999)
        yield [DAY + 10_980 + number, "192.168.1.20", source_port, "192.168.1.31", port, "tcp", "-", *"---", "S0", 1, 0]
    ports = ["192.168.1.20", 51_515, "203.0.113.66", 443, "tcp", "ssl"]
    yield [DAY + 11_700, *ports, 412.5, 73_400_320, 120_000, "SF", 52_000, 900]


def main() -> None:
    """Write the log, in order of time as Zeek does."""
    letters = random.Random(1)
    rows = []
    for at, *rest in sorted(flows(), key=lambda row: float(str(row[0]))):
        uid = "C" + "".join(letters.choices("ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz123456789", k=17))
        rows.append("\t".join([f"{at:.6f}", uid, *map(str, rest)]))
    head = ["#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", "#path\tconn"]
    head += ["\t".join(["#fields", *FIELDS]), "\t".join(["#types", *FIELDS.values()])]
    Path("conn.log").write_text("\n".join([*head, *rows, "#close\t2025-06-17-00-00-00"]) + "\n", "utf-8")


if __name__ == "__main__":
    main()
