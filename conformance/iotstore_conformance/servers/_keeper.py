"""The process that outlives a run for a moment: it ends the run's server when the run's end of the pipe is closed."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from iotstore_conformance.servers._leftovers import end_noted


def main(note: Path) -> None:
    """Wait for the end of the run, however it comes, then end what it has noted."""
    # Who asks a whole group of processes to end doesn't mean the one that cleans up after it.
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    sys.stdin.buffer.read()
    end_noted(note)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
