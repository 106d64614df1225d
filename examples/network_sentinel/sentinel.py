"""Reads a Zeek conn.log into the store, looks for trouble in it, and reports from one state of the store."""

import argparse
import hashlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import iotstore
from iotstore import Alert, Connection, Device, Store, field, max_, min_

ZONE = ZoneInfo("Europe/Berlin")
HOME = ("192.168.", "fd")
SHADES = " .:-=+*#%@"


def rows(log: Path) -> Iterator[Mapping[str, str]]:
    """The lines of a Zeek log by field name; what is unset is left out."""
    fields: list[str] = []
    for line in log.read_text("utf-8").splitlines():
        if line.startswith("#fields\t"):
            fields = line.split("\t")[1:]
        elif not line.startswith("#"):
            yield {name: value for name, value in zip(fields, line.split("\t"), strict=True) if value != "-"}


def flow(row: Mapping[str, str]) -> Connection:
    """A line as a flow of the device that began it."""
    seconds, fraction = row["ts"].split(".")
    return Connection(
        device=row["id.orig_h"],
        time=datetime.fromtimestamp(int(seconds), UTC) + timedelta(microseconds=int(fraction)),
        destination=row["id.resp_h"],
        port=int(row["id.resp_p"]),
        protocol=row["proto"],
        service=row.get("service"),
        state=row["conn_state"],
        bytes_sent=int(row.get("orig_bytes", 0)),
        bytes_received=int(row.get("resp_bytes", 0)),
        packets_sent=int(row["orig_pkts"]),
        packets_received=int(row["resp_pkts"]),
        duration=timedelta(seconds=float(row["duration"])) if "duration" in row else None,
    )


def suspicions(flows: list[Connection]) -> Iterator[Alert]:
    """What somebody should look at: ports tried in vain, large uploads at night, talk that Zeek can't name."""
    tried: dict[tuple[str, str | None], set[int | None]] = {}
    unnamed: set[tuple[str, str | None]] = set()
    for one in flows:
        pair = (one.device, one.destination)
        about: dict[str, Any] = {"device": one.device, "time": one.time, "metadata": {"destination": one.destination}}
        if one.state == "S0":
            tried.setdefault(pair, set()).add(one.port)
            if len(tried[pair]) == 10:
                title = f"{one.device} tries the ports of {one.destination}"
                yield Alert(kind="port-scan", severity="high", title=title, score=0.9, **about)
        elif one.bytes_sent > 50_000_000 and one.time.hour < 6:
            title = f"{one.device} sent {one.bytes_sent / 1e6:.0f} MB to {one.destination}"
            yield Alert(kind="night-upload", severity="critical", title=title, score=1.0, **about)
        elif one.service is None and pair not in unnamed and not str(one.destination).startswith(HOME):
            unnamed.add(pair)
            title = f"{one.device} speaks something unknown to {one.destination}:{one.port}"
            yield Alert(kind="unknown-service", severity="low", title=title, score=0.3, **about)


def take_in(store: Store, log: Path) -> None:
    """Store devices, flows and alerts together, or nothing; the same file a second time changes nothing."""
    flows = sorted((flow(row) for row in rows(log)), key=lambda one: one.time)
    digest = hashlib.blake2b(log.read_bytes(), digest_size=16).hexdigest()
    with store.transaction():
        seen = [Device(key=one.device, ip=one.device, first_seen=one.time, last_seen=one.time) for one in flows]
        store.devices.put_many(seen)
        receipt = store.connections.add_many(flows, idempotency_key=f"flows of {digest}")
        store.alerts.add_many(suspicions(flows), idempotency_key=f"alerts of {digest}")
    print(f"{log}: {receipt.stored} flows{', taken in before' if receipt.replayed else ''}")


def report(store: Store) -> None:
    """Who talked, how, when, and what was suspicious. All of it is one state, while other programs go on writing."""
    span = store.connections.aggregate({"first": min_("time"), "last": max_("time")})[0]
    print(f"\n{store.connections.count()} flows of {store.devices.count()} devices, {span['first']:%d %b %Y} (UTC)")

    print("\nTop talkers")
    for talker in store.connections.top_talkers(limit=5):
        print(f"  {talker.name:16}{talker.connections:5} flows {talker.bytes / 1e6:9.2f} MB")

    print("\nProtocols")
    for protocol in store.connections.protocols():
        sent, received = protocol.bytes_sent / 1e6, protocol.bytes_received / 1e6
        print(f"  {protocol.name:16}{protocol.connections:5} flows {sent:9.2f} MB up {received:9.2f} MB down")

    print(f"\nActivity by hour ({ZONE})")
    cells = {(cell.device, cell.hour): cell.connections for cell in store.connections.heatmap(zone=ZONE.key)}
    busiest = max(cells.values())
    print(f"  {'':16}{''.join(f'{hour:<6}' for hour in range(0, 24, 6))}")
    for device in store.devices.list():
        counts = [cells.get((device.key, hour), 0) for hour in range(24)]
        # Rounded up: whoever said anything leaves a mark.
        print(f"  {device.key:16}|{''.join(SHADES[-(-count * 9 // busiest)] for count in counts)}|")

    print(f"\nAlerts by hour ({ZONE})")
    for hour in store.alerts.timeline(width="hour", zone=ZONE.key):
        print(f"  {hour.day.astimezone(ZONE):%H:%M}  {hour.severity:10}{hour.alerts}")
    for alert in store.alerts.list(field("status") == "open", order=["-score", "time"]):
        print(f"  {alert.severity:10}{alert.title}")


def main() -> None:
    """Take in a log and report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", type=Path, nargs="?", default=Path("conn.log"))
    log = parser.parse_args().log
    with iotstore.open() as store:
        take_in(store, log)
        with store.snapshot() as still:
            report(still)


if __name__ == "__main__":
    main()
