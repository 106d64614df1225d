"""What a clause left behind: threads, open files and connections."""

from __future__ import annotations

import gc
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from iotstore_conformance.children import held

_OPEN_FILES: Final = Path("/proc/self/fd")
_PATIENCE: Final = 5.0  # seconds for a thread to end after its store was closed


class Leak(AssertionError):
    """Something is still there after the stores of a clause were closed."""


def open_files() -> Counter[str]:
    """What the open file descriptors of this process point to, but for the suite's own; empty where the system doesn't
    tell."""
    found: Counter[str] = Counter()
    if not _OPEN_FILES.is_dir():
        return found
    for link in list(_OPEN_FILES.iterdir()):
        try:
            target = str(link.readlink())
        except OSError:
            continue  # the descriptor that listed the folder is closed again
        found[target.removesuffix(" (deleted)")] += 1
    for ours in held():
        found.pop(ours, None)
    return found


@contextmanager
def nothing_left() -> Iterator[None]:
    """Raise Leak when threads or files are left that weren't there before. An error of the block itself goes first."""
    threads = set(threading.enumerate())
    files = open_files()
    yield
    left = [f"thread {thread.name!r}" for thread in _running(threads)]
    more = open_files() - files
    if more:
        gc.collect()  # what only waits for the collector is no leak
        more = open_files() - files
    left += [f"{count} x {target}" if count > 1 else target for target, count in sorted(more.items())]
    if left:
        raise Leak(f"left behind after every store was closed: {', '.join(left)}")


def _running(before: set[threading.Thread]) -> list[threading.Thread]:
    """New threads that don't end in time."""
    new = [
        thread for thread in threading.enumerate() if thread not in before and thread is not threading.current_thread()
    ]
    for thread in new:
        thread.join(_PATIENCE / len(new))
    return [thread for thread in new if thread.is_alive()]
