"""``python -m iotstore_conformance.servers NAME``: a server to try things on, until Ctrl-C."""

from __future__ import annotations

import argparse
import signal
import sys

from iotstore import ConfigurationError
from iotstore_conformance.servers import CHOICES, NEO4J_CHOICES, neo4j, postgres

_ENGINES = {"postgresql": (CHOICES, postgres), "neo4j": (NEO4J_CHOICES, neo4j)}


def main() -> int:
    """Start a server and wait; 1 when it can't be started."""
    parser = argparse.ArgumentParser(prog="python -m iotstore_conformance.servers", description=__doc__)
    parser.add_argument("name", nargs="?", help=f"{', '.join(CHOICES)} or a URL ({CHOICES[0]})")
    parser.add_argument(
        "--engine", choices=list(_ENGINES), default="postgresql", help=f"neo4j has {', '.join(NEO4J_CHOICES)} or a URL"
    )
    parser.add_argument("--check", action="store_true", help="say its version, and end it again")
    args = parser.parse_args()
    choices, start = _ENGINES[args.engine]
    try:
        server = start(args.name or choices[0])
        sys.stdout.write(f"{server.version if args.check else server.url}\n")
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.flush()
    if not args.check:
        ends = {signal.SIGINT, signal.SIGTERM}
        signal.pthread_sigmask(signal.SIG_BLOCK, ends)
        signal.sigwait(ends)
    return 0


if __name__ == "__main__":
    sys.exit(main())
