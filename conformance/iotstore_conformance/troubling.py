"""Child processes that trouble a store: one holds it locked, one runs out of room.

Run as a module it is a child: ``python -m iotstore_conformance.troubling HARNESS URL lock|fill``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from iotstore import Device, StoreError
from iotstore_conformance.aborting import aborted
from iotstore_conformance.children import child
from iotstore_conformance.harness import find_harness
from iotstore_conformance.kinds import CELLS, KINDS, Cell

BATCH: Final = 50
_ROOM: Final = 256 * 1024
_TEXT: Final = "x" * 2000


@contextmanager
def locked_by_child(harness: str, url: str) -> Iterator[None]:
    """Another process is inside a transaction that has written, until the block ends; then it rolls back."""
    with child("iotstore_conformance.troubling", harness, url, "lock") as holder:
        assert holder.hear() == "locked\n", f"a child could not lock the store: {holder.ended()[1][-2000:]}"
        yield
        holder.tell("done\n")
        complaint = holder.ended()[1]
        assert holder.code == 0, complaint[-2000:]


def filled_by_child(harness: str, url: str) -> tuple[str, str, int, int]:
    """A process that may not let files grow writes until it fails.

    Returns the class of the error and its bases, how many batches were acknowledged before it, and how many were
    stored in the same open store once there was room again.
    """
    with child("iotstore_conformance.troubling", harness, url, "fill") as writer:
        said, complaint = writer.ended()
        assert writer.code == 0, f"the child failed: {complaint[-2000:]}"
    name, bases, acknowledged, later = said.split()
    return name, bases, int(acknowledged), int(later)


def _lock(harness: str, url: str) -> None:
    with find_harness(harness).open(url, kinds=list(KINDS)) as store:

        def hold() -> None:
            store.devices.add(Device(key="never"))
            sys.stdout.write("locked\n")
            sys.stdout.flush()
            sys.stdin.readline()

        aborted(store, hold)


def _fill(harness: str, url: str) -> None:
    import resource  # noqa: PLC0415 - only here, in a child

    with find_harness(harness).open(url, kinds=list(KINDS)) as store:
        _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (_ROOM, most))
        acknowledged = 0
        try:
            while acknowledged < 10_000:
                store.records(CELLS).add_many([Cell(room=f"full-{acknowledged}", number=n) for n in range(BATCH)])
                acknowledged += 1
        except StoreError as error:
            name, bases = type(error).__name__, ",".join(one.__name__ for one in type(error).__mro__)
        else:
            name, bases = "nothing", "nothing"
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        store.records(CELLS).add_many([Cell(room="room again", number=n) for n in range(BATCH)])
        later = 1
    sys.stdout.write(f"{name} {bases} {acknowledged} {later}\n")


def main(arguments: Sequence[str]) -> None:
    """Be the child."""
    harness, url, what = arguments
    {"lock": _lock, "fill": _fill}[what](harness, url)


if __name__ == "__main__":
    main(sys.argv[1:])
