"""Child processes of the suite, each in the state of a program that has just imported its modules.

Starting an interpreter and importing a backend takes most of a second. Where processes can be forked (on Linux), one
helper does that once: it opens no store and has no thread, so its forks share nothing with the stores of the run. They
are processes like any other: they can be killed. Elsewhere each child is an interpreter of its own.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from types import TracebackType
from typing import IO, Final, NamedTuple, NoReturn, Self

from iotstore_conformance.harness import find_harness

#: What the helper imports beside the harness; each has a function ``main`` that takes arguments.
_MODULES: Final = tuple(f"iotstore_conformance.{name}" for name in ("killing", "troubling", "histories.working"))
#: Elsewhere there are no forks, or libraries of the system that don't survive them.
FORKS: Final = sys.platform == "linux"
_PATIENCE: Final = 60.0


class Child:
    """A running child. Leaving its block ends it, if it hasn't ended."""

    def __init__(self, pipes: _Pipes, kill: Callable[[], object], wait: Callable[[float], int | None]) -> None:
        self._pipes = pipes
        self._kill = kill
        self._wait = wait
        self.code: int | None = None

    def hear(self) -> str:
        """The next line that it prints, with its end; empty when it prints no more."""
        return self._pipes.out.readline()

    def tell(self, line: str) -> None:
        """Send it a line, if it still listens."""
        with suppress(BrokenPipeError):
            self._pipes.into.write(line)
            self._pipes.into.flush()

    def ended(self) -> tuple[str, str]:
        """All that it still prints, and what it complained of; *code* tells how it ended. It has a minute for that."""
        timer = threading.Timer(_PATIENCE, self.kill)
        timer.start()
        try:
            said, complaint = self._pipes.out.read(), self._pipes.err.read()
        finally:
            timer.cancel()
            timer.join()
        self.wait()
        return said, complaint

    def kill(self) -> None:
        """End it as abruptly as possible; nothing, if it has ended."""
        if self.code is None:
            self._kill()

    def wait(self) -> int:
        """How it ended: 0, or another number; negative, if a signal ended it."""
        if self.code is None:
            self.code = self._wait(_PATIENCE)
        if self.code is None:
            raise TimeoutError(f"a child process is still there after {_PATIENCE:g} s")
        return self.code

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.kill()
        try:
            self.wait()
        finally:
            for pipe in self._pipes:
                with suppress(BrokenPipeError):
                    pipe.close()


class _Pipes(NamedTuple):
    into: IO[str]
    out: IO[str]
    err: IO[str]


def child(module: str, *arguments: str) -> Child:
    """A process that runs ``main(arguments)`` of a module of the suite; the first argument names the harness."""
    return _helper(arguments[0]).start(module, arguments) if FORKS else _interpreter(module, arguments)


def held() -> frozenset[str]:
    """What the helpers hold open in this process: it stays, and is no leak."""
    links = (Path("/proc/self/fd", str(helper.socket.fileno())) for helper in _helpers.values())
    return frozenset(str(link.readlink()) for link in links)


def _interpreter(module: str, arguments: Sequence[str]) -> Child:
    pipe = subprocess.PIPE
    process = subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", module, *arguments], stdin=pipe, stdout=pipe, stderr=pipe, text=True, encoding="utf-8"
    )
    if process.stdin is None or process.stdout is None or process.stderr is None:
        raise OSError("a child process has no pipes")
    return Child(_Pipes(process.stdin, process.stdout, process.stderr), process.kill, process.wait)


class _Helper:
    """The process that children are forked from, and the way to it."""

    def __init__(self, harness: str) -> None:
        self.socket, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own module
                [sys.executable, "-m", __name__, harness, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
            )
        atexit.register(self.close)

    def start(self, module: str, arguments: Sequence[str]) -> Child:
        """Fork a child."""
        (into, in_end), (out_end, out), (err_end, err), (status_end, status) = (os.pipe() for _ in range(4))
        asked = {"module": module, "arguments": arguments, "environment": dict(os.environ), "folder": str(Path.cwd())}
        try:
            socket.send_fds(self.socket, [json.dumps(asked).encode() + b"\n"], [into, out, err, status])
        finally:
            for theirs in (into, out, err, status):
                os.close(theirs)
        pipes = _Pipes(
            os.fdopen(in_end, "w", encoding="utf-8"),
            os.fdopen(out_end, encoding="utf-8"),
            os.fdopen(err_end, encoding="utf-8"),
        )
        told = _Status(status_end)
        return Child(pipes, told.kill, told.wait)

    def close(self) -> None:
        """End the helper."""
        self.socket.close()
        self._process.kill()
        self._process.wait()


class _Status:
    """What a child's keeper tells: its number, and how it ended."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._pid = self._told()
        if not self._pid:
            os.close(pipe)
            raise OSError("a child process could not be started")

    def _told(self) -> int:
        # Byte by byte: what comes after the line has to stay in the pipe.
        line = b""
        while byte := os.read(self._pipe, 1).strip():
            line += byte
        return int(line or 0)

    def kill(self) -> None:
        """Kill the child, if its keeper hasn't told of its end: its number would be another's then."""
        if not self._has_ended(0):
            with suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGKILL)

    def wait(self, seconds: float) -> int | None:
        """How it ended, within some seconds."""
        if not self._has_ended(seconds):
            return None
        try:
            return self._told()
        finally:
            os.close(self._pipe)

    def _has_ended(self, seconds: float) -> bool:
        return bool(select.select([self._pipe], [], [], seconds)[0])


_helpers: Final[dict[tuple[str, str | None], _Helper]] = {}
_lock: Final = threading.Lock()


def _helper(harness: str) -> _Helper:
    """The helper that has imported this harness, on the server that it has now."""
    server = find_harness(harness).server
    key = (harness, os.environ.get(server) if server else None)
    with _lock:
        if key not in _helpers:
            _helpers[key] = _Helper(harness)
        return _helpers[key]


def _serve(way: socket.socket) -> None:
    """Fork what is asked for until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # keepers that end leave nothing behind
    waiting = b""
    while True:
        data, ends, _, _ = socket.recv_fds(way, 1 << 16, 4)
        if not data:
            return
        waiting += data
        while not waiting.endswith(b"\n"):
            waiting += way.recv(1 << 16)
        if os.fork() == 0:
            way.close()
            _keep(json.loads(waiting), ends)
        for end in ends:
            os.close(end)
        waiting = b""


def _keep(asked: dict[str, object], ends: Sequence[int]) -> NoReturn:
    """Fork the child, tell its number, wait for its end and tell of it."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *streams, status = ends
    number = os.fork()
    if number == 0:
        os.close(status)
        _become(asked, streams)
    for stream in streams:
        os.close(stream)
    os.write(status, f"{number}\n".encode())
    _, ended = os.waitpid(number, 0)
    with suppress(BrokenPipeError):
        os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
    os._exit(0)


def _become(asked: dict[str, object], streams: Sequence[int]) -> NoReturn:
    """Be the child."""
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        environment = asked["environment"]
        os.environ.clear()
        os.environ.update(environment if isinstance(environment, dict) else {})
        os.chdir(str(asked["folder"]))
        import_module(str(asked["module"])).main(asked["arguments"])
        code = 0
    except BaseException:  # noqa: BLE001 - told to the parent, as an interpreter would
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _main(arguments: Sequence[str]) -> None:
    harness, way = arguments
    find_harness(harness)
    for name in _MODULES:
        import_module(name)
    _serve(socket.socket(fileno=int(way)))


if __name__ == "__main__":
    _main(sys.argv[1:])
