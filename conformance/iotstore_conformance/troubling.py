"""Child processes that trouble a store: one holds it locked, one runs out of room.

Run as a module it is a child: ``python -m iotstore_conformance.troubling lock|fill HARNESS URL``.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from iotstore import Device, StoreError
from iotstore_conformance.aborting import aborted
from iotstore_conformance.harness import find_harness
from iotstore_conformance.kinds import CELLS, KINDS, Cell

BATCH: Final = 50
_ROOM: Final = 256 * 1024
_TEXT: Final = "x" * 2000


@contextmanager
def locked_by_child(harness: str, url: str) -> Iterator[None]:
    """Another process is inside a transaction that has written, until the block ends; then it rolls back."""
    command = [sys.executable, "-m", "iotstore_conformance.troubling", "lock", harness, url]
    with subprocess.Popen(  # noqa: S603 - our own module
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as child:
        try:
            told = child.stdout.readline() if child.stdout is not None else ""
            assert told == "locked\n", f"a child could not lock the store: {child.communicate()[1][-2000:]}"
            yield
            complaint = child.communicate("done\n", timeout=60)[1]
            assert child.returncode == 0, complaint[-2000:]
        finally:
            child.kill()  # of no effect on one that has ended


def filled_by_child(harness: str, url: str) -> tuple[str, str, int, int]:
    """A process that may not let files grow writes until it fails.

    Returns the class of the error and its bases, how many batches were acknowledged before it, and how many were
    stored in the same open store once there was room again.
    """
    command = [sys.executable, "-m", "iotstore_conformance.troubling", "fill", harness, url]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)  # noqa: S603 - our own
    assert done.returncode == 0, f"the child failed: {done.stderr[-2000:]}"
    name, bases, acknowledged, later = done.stdout.split()
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


def _child(arguments: Sequence[str]) -> None:
    what, harness, url = arguments
    {"lock": _lock, "fill": _fill}[what](harness, url)


if __name__ == "__main__":
    _child(sys.argv[1:])
