"""A TCP proxy between a store and its server that cuts, stalls, delays, half-closes and resets, on loopback only."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from iotstore_conformance.harness import Harness

Trouble: TypeAlias = Literal["none", "cut", "stall", "delay", "half-close", "reset"]

_HOST: Final = "127.0.0.1"
_CHUNK: Final = 65_536
_BEAT: Final = 0.05  # seconds after which a waiting thread looks whether it should end
_PATIENCE: Final = 10.0


class Proxy:
    """Forwards connections to a server, and breaks them when told. Use it by ``with``.

    ``trouble("cut", after=100)`` lets 100 more bytes of answers through and then ends the connection; "reset" does so
    by RST, "half-close" ends the server's direction only, "stall" keeps it open without a byte, "delay" waits
    *seconds* before each piece. With *after* 0 it begins with the next byte of an answer, on open connections and new
    ones. ``heal()`` ends the trouble; connections that were cut stay cut. Nothing lasts longer than *lifetime*.
    """

    def __init__(self, port: int, *, host: str = _HOST, lifetime: float = 60.0) -> None:
        self._target = (host, port)
        self._until = time.monotonic() + lifetime
        self._lock = threading.Lock()
        self._trouble: Trouble = "none"
        self._left = 0
        self._seconds = 0.0
        self._ended = threading.Event()
        self._sockets: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server((_HOST, 0))
        self._listener.settimeout(_BEAT)
        #: How many connections were made through it.
        self.connections = 0

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._listener.getsockname()[1])

    @property
    def live(self) -> int:
        """How many connections go through it now."""
        with self._lock:
            return len(self._sockets) // 2

    def trouble(self, what: Trouble, *, after: int = 0, seconds: float = 0.2) -> None:
        """Break answers from now on, once *after* more bytes of them have gone through."""
        with self._lock:
            self._trouble, self._left, self._seconds = what, after, seconds

    def heal(self) -> None:
        """Let everything through again."""
        self.trouble("none")

    def cut_all(self) -> None:
        """End every open connection at once, as a server does that dies."""
        with self._lock:
            sockets = list(self._sockets)
        for one in sockets:
            _end(one)

    def close(self) -> None:
        """End the proxy and everything that goes through it. Allowed twice."""
        self._ended.set()
        self._listener.close()
        self.cut_all()
        for thread in self._threads:
            thread.join(_PATIENCE)

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self, work: Callable[[], None]) -> None:
        thread = threading.Thread(target=work, name="proxy", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _over(self) -> bool:
        return self._ended.is_set() or time.monotonic() > self._until

    def _accept(self) -> None:
        while not self._over():
            try:
                client, _ = self._listener.accept()
            except TimeoutError:
                continue
            except OSError:
                return  # closed
            try:
                server = socket.create_connection(self._target, timeout=_PATIENCE)
            except OSError:
                _reset(client)
                continue
            with self._lock:
                self._sockets |= {client, server}
            self.connections += 1
            for one in (client, server):
                one.settimeout(_BEAT)
            over: list[bool] = []
            self._start(partial(self._carry, client, server, over, answers=False))
            self._start(partial(self._carry, server, client, over, answers=True))

    def _carry(self, source: socket.socket, target: socket.socket, over: list[bool], *, answers: bool) -> None:
        """Forward one direction until it ends, is broken, or time is up; *over* has an entry for each that ended."""
        ends = True
        try:
            while not self._over():
                try:
                    data = source.recv(_CHUNK)
                except TimeoutError:
                    continue
                if not data:
                    with suppress(OSError):
                        target.shutdown(socket.SHUT_WR)
                    ends = False  # the other direction may go on
                    return
                if not (self._answer(source, target, data) if answers else _send(target, data)):
                    ends = False
                    return
        except OSError:
            return  # one of the two has gone: so does the other
        finally:
            over.append(answers)
            if ends or len(over) == 2:
                self._drop(source, target)

    def _answer(self, server: socket.socket, client: socket.socket, data: bytes) -> bool:
        """Hand an answer on, as whole as the trouble allows; False when this direction is over."""
        with self._lock:
            what, seconds = self._trouble, self._seconds
            passing = len(data) if what in ("none", "delay") else min(len(data), self._left)
            self._left -= min(self._left, passing)
        if what == "delay":
            self._ended.wait(seconds)
        if passing:
            _send(client, data[:passing])
        if passing == len(data):
            return True
        if what == "stall":
            while not self._over() and self._trouble == "stall":
                self._ended.wait(_BEAT)
            if self._over():
                return False
            return _send(client, data[passing:])  # healed: what was held back arrives late
        if what == "half-close":
            with suppress(OSError):
                client.shutdown(socket.SHUT_WR)
            return False
        if what == "reset":
            _reset(client)
        self._drop(server, client)
        return False

    def _drop(self, *sockets: socket.socket) -> None:
        with self._lock:
            self._sockets -= set(sockets)
        for one in sockets:
            _end(one)


def _send(target: socket.socket, data: bytes) -> bool:
    # The socket's timeout stays as it is: another thread reads from it, and must notice soon when it ends.
    until = time.monotonic() + _PATIENCE
    rest = memoryview(data)
    while rest:
        try:
            rest = rest[target.send(rest) :]
        except TimeoutError:
            if time.monotonic() > until:
                raise
    return True


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()


def _reset(one: socket.socket) -> None:
    """Close a socket so that its peer gets RST: no time to linger."""
    with suppress(OSError):
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.shutdown(socket.SHUT_RD)  # wakes the thread that reads from it: until then the system would not close it
    one.close()


@contextmanager
def harness_through_proxy(
    harness: Harness, port: int, through: Callable[[str, int], str], *, lifetime: float = 60.0
) -> Iterator[tuple[Harness, Proxy]]:
    """The harness with its stores behind a proxy to the server that listens on *port* of this machine.

    *through* turns a URL of the harness into the same URL with another port; only the author knows where it stands.
    """
    with Proxy(port, lifetime=lifetime) as proxy:
        yield replace(harness, url=lambda place: through(harness.url(place), proxy.port)), proxy
