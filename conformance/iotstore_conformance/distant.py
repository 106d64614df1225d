"""A server without a server: any backend's stores reached over a real TCP connection, one round trip for each call.

It proves the clauses about servers where no server is installed, as hostile backends prove the others. The engine
stays inside this process; what crosses the network are permissions to go on and as many bytes as the answer is long.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, Final

from iotstore import Store, Unreachable
from iotstore.backend import Backend, WriteSession
from iotstore_conformance.harness import Harness
from iotstore_conformance.hostile import Manner, behave
from iotstore_conformance.serving import settled

_HOST: Final = "127.0.0.1"
_SCHEME: Final = "distant"
_LONG: Final = struct.Struct("!I")
_ENDS: Final = ("close", "commit", "rollback")
_PATIENCE: Final = 30.0
_TIMEOUT: Final = "busy_timeout"


class Server:
    """Answers each request, which is a number, with as many bytes. It can be dead for a while, and live again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._dead = False
        self._listener = socket.create_server((_HOST, 0))
        self.port = int(self._listener.getsockname()[1])
        self._run(self._accept, self._listener)

    def kill(self) -> None:
        """End every connection at once, and let nobody in until it is started."""
        with self._lock:
            self._dead = True
            connections = list(self._open)
        for one in connections:
            _end(one)

    def start(self) -> None:
        """Let clients in again."""
        with self._lock:
            self._dead = False

    def close(self) -> None:
        """End everything, for good."""
        self.kill()
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits for clients
        self._listener.close()
        for thread in self._threads:
            thread.join(_PATIENCE)

    @property
    def connections(self) -> int:
        """How many connections it has."""
        with self._lock:
            return len(self._open)

    def _run(self, work: Any, connection: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(connection,), name="distant server", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return  # closed
            with self._lock:
                dead = self._dead
                if not dead:
                    self._open.add(connection)
            if dead:
                _end(connection)
            else:
                self._run(self._answer, connection)

    def _answer(self, connection: socket.socket) -> None:
        try:
            while request := _received(connection, _LONG.size):
                connection.sendall(bytes(_LONG.unpack(request)[0]))
        except OSError:
            return  # cut
        finally:
            with self._lock:
                self._open.discard(connection)
            _end(connection)


class Lines(Manner):
    """The connections of one store: one for each session, kept for the next one while they work."""

    def __init__(self, address: tuple[str, int], timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._lock = threading.Lock()
        self._idle: list[socket.socket] = []
        self._busy: dict[int, socket.socket | None] = {}
        self._back(self._line())  # a store whose server isn't there isn't opened

    def call(self, inner: Any, name: str, args: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """Ask the server whether it is there, do it, and take as long an answer as it would be."""
        if name in _ENDS and self._busy.get(id(inner), False) in (False, None):
            return self._ended(inner, name)
        line = self._of(inner)
        try:
            _ask(line, 1)
            result = getattr(inner, name)(*args, **options)
            if hasattr(result, "__next__"):
                result = iter(list(result))
                _ask(line, 1000)
            else:
                _ask(line, len(repr(result)))
        except OSError as error:
            raise self._broken(inner, error) from error
        if name in _ENDS:
            del self._busy[id(inner)]
            self._back(line)
        return result

    def close(self) -> None:
        """Give every connection back."""
        with self._lock:
            lines = [*self._idle, *filter(None, self._busy.values())]
            self._idle.clear()
        for line in lines:
            _end(line)

    def _ended(self, inner: Any, name: str) -> None:
        """End a session that asked nothing, or whose connection is gone."""
        if self._busy.pop(id(inner), False) is None and name == "commit":
            raise _gone("the transaction's connection is gone")
        getattr(inner, name)()

    def _of(self, inner: Any) -> socket.socket:
        if id(inner) not in self._busy:
            self._busy[id(inner)] = self._line()
        line = self._busy[id(inner)]
        if line is None:
            raise _gone("the connection of this session is gone")
        return line

    def _line(self) -> socket.socket:
        with self._lock:
            if self._idle:
                return self._idle.pop()
        try:
            line = socket.create_connection(self._address, self._timeout)
        except OSError as error:
            raise _gone(error) from error
        try:
            _ask(line, 1)
        except OSError as error:
            _end(line)
            raise _gone(error) from error
        return line

    def _back(self, line: socket.socket) -> None:
        with self._lock:
            self._idle.append(line)

    def _broken(self, inner: Any, error: OSError) -> Unreachable:
        """One connection is gone: so are its transaction and, most likely, the others."""
        line = self._busy[id(inner)]
        self._busy[id(inner)] = None
        if isinstance(inner, WriteSession):
            inner.rollback()
        with self._lock:
            lines, self._idle = [*self._idle, *([line] if line else [])], []
        for one in lines:
            _end(one)
        return _gone(error)


@contextmanager
def distant(harness: Harness) -> Iterator[Harness]:
    """A harness of a server, whose stores are those of *harness* at the other end of a TCP connection."""
    server = Server()

    def opens(url: str, **options: Any) -> Store:
        address, _, place = url.removeprefix(f"{_SCHEME}://").partition("/")
        host, _, port = address.partition(":")
        lines = Lines((host, int(port)), float(options.get(_TIMEOUT, _PATIENCE)))
        try:
            store = harness.open(harness.url(f"/{place}"), **options)
        except BaseException:
            lines.close()
            raise
        _hang_up_on_close(store.backend, lines)
        behave(store.backend, lines)
        return store

    try:
        yield replace(
            harness,
            url=lambda place: f"{_SCHEME}://{_HOST}:{server.port}/{place.removeprefix('/')}",
            open=opens,
            file=None,
            full=None,
            engine="server",
            address=lambda _: (_HOST, server.port),
            kill=lambda _: server.kill(),
            start=lambda _: server.start(),
            connections=lambda _: settled(lambda: server.connections, 0),
        )
    finally:
        server.close()


def _hang_up_on_close(backend: Backend, lines: Lines) -> None:
    close = backend.close

    def close_both() -> None:
        close()
        lines.close()

    setattr(backend, "close", close_both)  # noqa: B010 - a method of this one backend is exchanged


def _ask(line: socket.socket, size: int) -> None:
    """Send a request and take its whole answer."""
    line.sendall(_LONG.pack(size))
    if len(_received(line, size)) < size:
        raise ConnectionError("the server ended the connection in the middle of an answer")


def _received(line: socket.socket, size: int) -> bytes:
    found = bytearray()
    while len(found) < size and (more := line.recv(size - len(found))):
        found += more
    return bytes(found)


def _gone(why: object) -> Unreachable:
    return Unreachable(f"the server can't be reached: {why}", hint="retry when it is back")


def _end(one: socket.socket) -> None:
    with suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
