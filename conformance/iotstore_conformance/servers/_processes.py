"""Processes as Linux shows them: whether one still runs, what it has started, and how it is ended."""

from __future__ import annotations

import os
import select
import signal
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_PATIENCE: Final = 30.0  # seconds for a process to end after its signal
#: Where the id of a server that writes no such file itself is noted, in the folder of its data.
PID_FILE: Final = "server.pid"


def _stat(pid: int) -> list[str]:
    """The fields of a process after its name, which may hold anything; empty when there is no such process."""
    try:
        text = Path(_PROC, str(pid), "stat").read_text("utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def started(pid: int) -> str | None:
    """When the process was started, in ticks of the kernel, which makes its id unique; None when it has ended."""
    fields = _stat(pid)
    return fields[19] if fields and fields[0] not in "ZX" else None


def _children(pid: int) -> list[int]:
    everybody = [int(entry.name) for entry in _PROC.iterdir() if entry.name.isdecimal()]
    return [child for child in everybody if _stat(child)[1:2] == [str(pid)]]


def kill_all(pid: int) -> None:
    """End a server with all its processes as abruptly as possible; returns when they are gone."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)  # it starts no further process while the list is made
    # Its children first: none of them lives to tell a client that the server is gone.
    _signal_and_wait([*_children(pid), pid], signal.SIGKILL)


def _signal_and_wait(pids: Iterable[int], number: signal.Signals) -> bool:
    """Send a signal, and tell whether all have ended in time."""
    handles: list[int] = []
    try:
        for pid in pids:
            with suppress(ProcessLookupError):
                handles.append(os.pidfd_open(pid))
                signal.pidfd_send_signal(handles[-1], number)
        return all(select.select([handle], [], [], _PATIENCE)[0] for handle in handles)
    finally:
        for handle in handles:
            os.close(handle)


def server_pid(folder: Path) -> int | None:
    """The server whose data lies in *folder*, by its own pid file, as long as it really is that server."""
    data = folder / "data"
    for name in ("postmaster.pid", PID_FILE):
        try:
            pid = int((data / name).read_text("utf-8").splitlines()[0])
            at_home = Path(_PROC, str(pid), "cwd").readlink() == data.resolve()
        except (OSError, ValueError, IndexError):
            continue
        if at_home and started(pid):
            return pid
    return None


def end_server(folder: Path) -> None:
    """End the server of *folder*, if there is one, without waiting for its clients."""
    pid = server_pid(folder)
    if pid is None:
        return
    # To Java that signal is a question for its threads, and nobody wants to keep the data.
    if (folder / "data" / PID_FILE).exists() or not _signal_and_wait([pid], signal.SIGQUIT):
        kill_all(pid)
