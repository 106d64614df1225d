"""A child process that writes batches, tells of each one that was acknowledged, and is killed in the middle.

Run as a module it is the child: ``python -m iotstore_conformance.killing HARNESS URL``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from itertools import count
from typing import Final

from iotstore_conformance.children import child
from iotstore_conformance.harness import Harness, find_harness
from iotstore_conformance.kinds import CELLS, KINDS, Cell

BATCH: Final = 50


def acknowledged_by_killed_child(harness: str, url: str, *, after: int) -> int:
    """How many batches a child had acknowledged when it was killed, which is done after *after* acknowledgements."""
    with child("iotstore_conformance.killing", harness, url) as writer:
        lines = 0
        while writer.hear():
            lines += 1
            if lines == after:
                writer.kill()
    assert lines >= after, "the child ended before it was killed"
    return lines


def write_batches(harness: Harness, url: str) -> None:
    """Store batch after batch, and print a line after each acknowledgement, for ever."""
    store = harness.open(url, kinds=list(KINDS))
    for number in count():
        store.records(CELLS).add_many([Cell(room=f"batch-{number}", number=n) for n in range(BATCH)])
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


def main(arguments: Sequence[str]) -> None:
    """Be the child."""
    harness, url = arguments
    write_batches(find_harness(harness), url)


if __name__ == "__main__":
    main(sys.argv[1:])
