"""Single calls wait for the server: how long it takes to wake it up must not depend on the core it happens to be on."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def on_one_core(serving: Sequence[tuple[int, str]]) -> Iterator[None]:
    """This process, and those of the server that serve it, share one core: only one of them has work at a time anyway.

    Left alone the kernel puts one side's server process beside the client and the other one's elsewhere, for seconds,
    and a call that wakes another core up takes several times as long. Where the server's processes are not ours to
    move (another machine, a container, another user, another system), nothing is done.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    before = os.sched_getaffinity(0)
    core = {max(before)}
    try:
        for pid, database in serving:
            if _serves(pid, database):
                os.sched_setaffinity(pid, core)
    except PermissionError:
        yield
        return
    if not all(_serves(pid, database) for pid, database in serving):
        yield
        return
    os.sched_setaffinity(0, core)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)
        for pid, database in serving:
            if _serves(pid, database):
                os.sched_setaffinity(pid, before)


def _serves(pid: int, database: str) -> bool:
    """Whether a process of this system serves the database: a server calls its processes so."""
    try:
        return database in Path(f"/proc/{pid}/cmdline").read_text("utf-8", errors="replace")
    except OSError:
        return False
