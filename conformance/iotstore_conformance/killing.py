"""A child process that writes batches, tells of each one that was acknowledged, and is killed in the middle.

Run as a module it is the child: ``python -m iotstore_conformance.killing HARNESS URL``.
"""

from __future__ import annotations

import subprocess
import sys
from itertools import count
from typing import Final

from iotstore_conformance.harness import Harness, find_harness
from iotstore_conformance.kinds import CELLS, KINDS, Cell

BATCH: Final = 50


def acknowledged_by_killed_child(harness: str, url: str, *, after: int) -> int:
    """How many batches a child had acknowledged when it was killed, which is done after *after* acknowledgements."""
    command = [sys.executable, "-m", "iotstore_conformance.killing", harness, url]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603 - our own module
        lines = 0
        if child.stdout is not None:
            for _ in child.stdout:
                lines += 1
                if lines == after:
                    child.kill()
        child.wait(60)
    assert lines >= after, "the child ended before it was killed"
    return lines


def write_batches(harness: Harness, url: str) -> None:
    """Store batch after batch, and print a line after each acknowledgement, for ever."""
    store = harness.open(url, kinds=list(KINDS))
    for number in count():
        store.records(CELLS).add_many([Cell(room=f"batch-{number}", number=n) for n in range(BATCH)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    write_batches(find_harness(sys.argv[1]), sys.argv[2])
