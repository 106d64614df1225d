"""What an outbox costs its writers on PostgreSQL: ``python benchmarks/outbox.py`` (embedded server; a minute).

Four processes commit transactions of some changed rows each, all with the same rows and the same table of devices:

* ``none``: no outbox;
* ``queue``: what the library does: rows named by (stamp, writer), which nobody waits for, taken out by deletion;
* ``watermark``: a number, the transaction's id with an index, read up to the oldest that still runs, stale rows skipped
  by their version;
* ``lock``: a number, and one advisory lock taken just before commit, so that numbers become visible in their order.

Rounds alternate, so that whatever else the machine does hits all of them alike; what counts are the ratios.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import subprocess
import sys
import time
import uuid
from typing import Any, Final

import psycopg

from iotstore_conformance.servers import server_url

MODES: Final = ("none", "queue", "watermark", "lock")
TABLES: Final = {
    "none": "",
    "queue": "stamp bigint, writer bigint, PRIMARY KEY (stamp, writer)",
    "watermark": "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, xid xid8 NOT NULL DEFAULT pg_current_xact_id()",
    "lock": "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY",
}
SAID: Final = "kind text, key text, version bigint, action text, time bigint"
_FROM: Final = "FROM unnest(%s::bigint[], %s::text[]) t(x, k)"
_NUMBERED: Final = "(kind, key, version, action, time) SELECT 'device', k, 1, 'update', 0 " + _FROM
INSERTS: Final = {
    "queue": "INSERT INTO {s}.queue SELECT x, {w}, 'device', k, 1, 'update', 0 " + _FROM,
    "watermark": "INSERT INTO {s}.watermark " + _NUMBERED,
    "lock": "INSERT INTO {s}.lock " + _NUMBERED,
}
UPSERT: Final = (
    "INSERT INTO {s}.device SELECT k, 'n', 1 FROM unnest(%s::text[]) t(k) "
    "ON CONFLICT (key) DO UPDATE SET version = device.version + 1"
)


def make(url: str, schema: str) -> None:
    """The tables of all ways."""
    with psycopg.connect(url, autocommit=True) as connection:
        run(connection, f"CREATE SCHEMA {schema}")
        run(connection, f"CREATE TABLE {schema}.device (key text PRIMARY KEY, name text, version bigint)")
        for mode in MODES[1:]:
            run(connection, f"CREATE TABLE {schema}.{mode} ({TABLES[mode]}, {SAID})")
        run(connection, f"CREATE INDEX ON {schema}.watermark (xid)")


def run(connection: psycopg.Connection[Any], text: str, *values: object) -> None:
    """One statement."""
    connection.execute(text.encode(), values or None)


def write(url: str, schema: str, rows: int) -> None:
    """One writer: for every line with a mode and a number of seconds, say how many transactions it committed."""
    writer = random.getrandbits(62)
    stamp = time.time_ns() // 1000
    with psycopg.connect(url) as connection:
        for line in sys.stdin:
            mode, seconds = line.split()
            done, end = 0, time.monotonic() + float(seconds)
            while time.monotonic() < end:
                # Each writer has its own devices: what is measured is the outbox, not a fight for rows.
                keys = [f"{writer}-{random.randrange(2000)}-{place}" for place in range(rows)]
                run(connection, UPSERT.format(s=schema), keys)
                if mode == "lock":
                    run(connection, "SELECT pg_advisory_xact_lock(4711)")
                if mode != "none":
                    stamps = list(range(stamp, stamp + rows))
                    stamp += rows
                    run(connection, INSERTS[mode].format(s=schema, w=writer), stamps, keys)
                connection.commit()
                done += 1
            print(done, flush=True)


def measure(url: str, rows: int, rounds: int, seconds: float) -> dict[str, float]:
    """Transactions a second by mode, and their ratios to none at all: medians over rounds."""
    schema = f"outbox_{uuid.uuid4().hex[:8]}"
    make(url, schema)
    command = [sys.executable, __file__, "--writer", url, schema, str(rows)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    ratios: dict[str, list[float]] = {mode: [] for mode in MODES}
    for _ in range(rounds + 1):
        done = {mode: one_round(writers, mode, seconds) for mode in MODES}
        for mode in MODES:
            ratios[mode].append(done[mode] / done["none"])
    for one in writers:
        one.communicate()
    with psycopg.connect(url, autocommit=True) as connection:
        run(connection, f"DROP SCHEMA {schema} CASCADE")
    # The first round warms up.
    return {mode: round(statistics.median(found[1:]), 2) for mode, found in ratios.items()}


def one_round(writers: list[subprocess.Popen[str]], mode: str, seconds: float) -> int:
    """How many transactions all writers committed."""
    for one in writers:
        assert one.stdin is not None
        one.stdin.write(f"{mode} {seconds}\n")
        one.stdin.flush()
    return sum(int(one.stdout.readline()) for one in writers if one.stdout is not None)


def main() -> None:
    """Measure, and print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--writer", nargs=3, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.writer:
        write(args.writer[0], args.writer[1], int(args.writer[2]))
        return
    url = server_url()
    with psycopg.connect(url, autocommit=True) as connection:
        # A server for tests has it off, and waiting for the disk is what a lock makes worse.
        run(connection, "ALTER SYSTEM SET fsync = on")
        run(connection, "SELECT pg_reload_conf()")
    for rows in (1, 100):
        print(json.dumps({"rows": rows, "ratios": measure(url, rows, args.rounds, args.seconds)}))


if __name__ == "__main__":
    main()
