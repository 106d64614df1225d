"""Connections: how long one may be silent, and what becomes of the others when one was found dead.

The driver has no setting for how long to wait for a server that has taken a question and says nothing, asks a resting
connection whether it is alive with the patience of whoever waits for a connection, and keeps the others that rested
when that one was dead. All of it is set here, and nowhere else are private parts of the driver touched.
"""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Final

import neo4j

from iotstore_neo4j._errors import LOST
from iotstore_neo4j._options import Tuning

#: Questions of the kernel's to a peer that says nothing, while a connection rests.
_PROBES: Final = 3
_MILLISECONDS: Final = 1000


def watch(driver: neo4j.Driver, tuning: Tuning) -> None:
    """Give every connection that the driver opens from now on its patience."""
    pool: Any = driver._pool  # noqa: SLF001 - see the module
    opened: Callable[..., Any] = pool.opener

    def watched(*args: Any, **options: Any) -> Any:
        connection = opened(*args, **options)
        connection.socket.set_read_timeout(tuning.read_timeout)
        _notice_dead_peers(connection.socket._socket, tuning.connect_timeout)  # noqa: SLF001 - see the module
        connection.liveness_check = _check_of(pool, connection, tuning)
        return connection

    pool.opener = watched


def be_patient(session: neo4j.Session, seconds: float | None) -> None:
    """How long the session's connection waits for the next word of the server."""
    connection: Any = session._connection  # noqa: SLF001 - see the module
    if connection is not None:
        connection.socket.set_read_timeout(seconds)


def died_at_rest(error: Exception) -> bool:
    """Whether a connection may have been dead already: where one was, the others that rested may be too.

    Not one that waited its time for a server that says nothing: it would wait again. The kernel's word that nobody is
    there any more looks alike, and has a number.
    """
    cause = error.__cause__
    silent = isinstance(cause, TimeoutError) and cause.errno != errno.ETIMEDOUT
    return isinstance(error, LOST) and not silent


class Losses:
    """What one call may do about connections that were dead before it used them."""

    def __init__(self, tuning: Tuning) -> None:
        self._left = tuning.pool_size
        self._until = time.monotonic() + tuning.retry_seconds
        self._first = True

    def again(self, error: Exception) -> bool:
        """Whether to ask once more. The first time always, however long it took to find out: that was no answer."""
        if not died_at_rest(error):
            return False
        first, self._first = self._first, False
        self._left -= 1
        return first or (self._left >= 0 and time.monotonic() < self._until)


def _notice_dead_peers(connected: socket.socket, seconds: float) -> None:
    """Let the kernel end a connection whose machine is gone, cut off or anew: it answers no packet.

    A server at work does answer them, however long it takes for its words: this ends nothing that lives.
    """
    whole = max(1, round(seconds))
    for name, value in (
        ("TCP_KEEPIDLE", whole),
        ("TCP_KEEPINTVL", max(1, whole // _PROBES)),
        ("TCP_KEEPCNT", _PROBES),
        ("TCP_USER_TIMEOUT", round(seconds * _MILLISECONDS)),
    ):
        option = getattr(socket, name, None)  # not every system has each
        if option is not None:
            with suppress(OSError):
                connected.setsockopt(socket.IPPROTO_TCP, option, value)


def _check_of(pool: Any, connection: Any, tuning: Tuning) -> Callable[[], None]:
    """The driver's question to a connection that rested, with an end that leaves time to open another one."""
    asked: Callable[[], None] = connection.liveness_check
    patience = min(tuning.connect_timeout, tuning.pool_timeout / 2)

    def check() -> None:
        connection.socket.set_read_timeout(patience)
        try:
            asked()
        except Exception:
            # Each of the others would cost its user the same time.
            pool.deactivate(connection.unresolved_address)
            raise
        connection.socket.set_read_timeout(tuning.read_timeout)

    return check
