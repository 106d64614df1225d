"""The driver: made once for a store, with patience that ends, and asked for sessions."""

from __future__ import annotations

import logging
import os
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import neo4j
from neo4j.exceptions import TransientError

from iotstore.backend import ConfigurationError, NotAllowed, Row, Settings, StoreError
from iotstore_neo4j._connections import Losses, watch
from iotstore_neo4j._cypher import spoken
from iotstore_neo4j._errors import DRIVER_ERRORS, closed_error, translated
from iotstore_neo4j._options import Tuning

T = TypeVar("T")
_PORT: Final = 7687
_PAUSE: Final = 0.02
# Where nobody has set up logging, the driver's lines would be on the screen: each is in an error's chain too.
logging.getLogger("neo4j").addHandler(logging.NullHandler())
_ROUTED: Final = ("neo4j", "neo4j+s", "neo4j+ssc")


class Wire:
    """One driver, and what every statement has in common: database, bookmarks, errors, patience."""

    def __init__(self, settings: Settings, tuning: Tuning) -> None:
        self.tuning = tuning
        self.closed = False
        self._pid = os.getpid()
        self._driver = _driver(settings, tuning)
        # Each session begins after what the others of this store have committed, whichever server answers.
        self._bookmarks = neo4j.GraphDatabase.bookmark_manager()
        self._never = threading.Event()

    def check(self) -> None:
        """Raise NotAllowed when the store is closed, or another process's."""
        if self.closed:
            raise closed_error()
        if os.getpid() != self._pid:
            raise NotAllowed(
                f"the store was opened in process {self._pid} and can't be used in its fork {os.getpid()}",
                hint="open it again in the new process",
            )

    def session(self) -> neo4j.Session:
        """A session; every one may write, because reads take a lock (see ``_gate``)."""
        self.check()
        return self._driver.session(
            database=self.tuning.database,
            default_access_mode=neo4j.WRITE_ACCESS,
            bookmark_manager=self._bookmarks,
            fetch_size=-1,
        )

    def ask(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement that changes nothing, in a transaction of its own; asked again where that helps."""
        return self._repeating(lambda: self.once(text, values))

    def ask_shared(self, share: str, text: str, values: Mapping[str, Any]) -> tuple[Row, list[Row]]:
        """The same behind a share of the store's lock: what taking it gave, and the rows.

        Two statements of one transaction: in one together, what only reads would lock every key that it finds.
        """

        def asked() -> tuple[Row, list[Row]]:
            with self.session() as session, session.begin_transaction(timeout=self.tuning.transaction_timeout) as both:
                (state,) = both.run(spoken(share)).values()
                return tuple(state), [tuple(found) for found in both.run(spoken(text), dict(values)).values()]

        return self._repeating(asked)

    def _repeating(self, work: Callable[[], T]) -> T:
        until = time.monotonic() + self.tuning.retry_seconds
        losses = Losses(self.tuning)
        while True:
            try:
                return work()
            except DRIVER_ERRORS as error:
                told = translated(error)
                again = isinstance(error, TransientError) and told.retryable and time.monotonic() < until
                if self.closed or not (again or losses.again(error)):
                    raise (closed_error() if self.closed else told) from error
            self._never.wait(_PAUSE)

    def once(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The rows of a statement in a transaction of its own, with the driver's errors."""
        query = neo4j.Query(spoken(text), timeout=self.tuning.transaction_timeout)
        with self.session() as session:
            return [tuple(found) for found in session.run(query, dict(values)).values()]

    def change(self, text: str, values: Mapping[str, Any]) -> list[Row]:
        """The same for a statement that may change something: it is sent once."""
        try:
            return self.once(text, values)
        except DRIVER_ERRORS as error:
            raise translated(error) from error

    @contextmanager
    def translating(self) -> Iterator[None]:
        """Translate the driver's errors of a block."""
        try:
            yield
        except DRIVER_ERRORS as error:
            raise self.told(error) from error

    def told(self, error: Exception) -> StoreError:
        """The core's error for one of the driver's; that of a closed store where that is the reason."""
        return closed_error() if self.closed else translated(error)

    def server(self) -> tuple[str, tuple[int, ...]]:
        """What answers, with its version."""
        with self.translating():
            info = self._driver.get_server_info()
        name, _, version = info.agent.partition("/")
        numbers = tuple(int(part) for part in version.split(".") if part.isdecimal())
        return f"{name} {version}", numbers

    def close(self) -> None:
        """Give every connection back. Allowed twice."""
        if not self.closed:
            self.closed = True
            self._never.set()
            if os.getpid() == self._pid:  # else they are the parent's, too
                self._driver.close()


def _driver(settings: Settings, tuning: Tuning) -> neo4j.Driver:
    if not settings.hosts:
        raise ConfigurationError(f"{settings.display} names no server", hint="write neo4j://user:password@host:7687")
    if len(settings.hosts) > 1 and settings.scheme not in _ROUTED:
        raise ConfigurationError(
            f"{settings.display} names several servers", hint="write neo4j:// for a cluster, or one host"
        )
    addresses = [(host, port or _PORT) for host, port in settings.hosts]
    options: dict[str, Any] = {
        "max_connection_pool_size": tuning.pool_size,
        "connection_acquisition_timeout": tuning.pool_timeout,
        "connection_timeout": tuning.connect_timeout,
        "connection_write_timeout": tuning.read_timeout or 0,
        "liveness_check_timeout": tuning.idle_check_seconds,
        "max_transaction_retry_time": tuning.retry_seconds,
        "keep_alive": True,
        "telemetry_disabled": True,
        "notifications_min_severity": "OFF",
        "user_agent": f"iotstore/{tuning.prefix}",
    }
    scheme = settings.scheme
    if len(addresses) > 1:
        options["resolver"] = lambda _: addresses
    if tuning.trust is not None:
        if not scheme.endswith("+s"):
            raise ConfigurationError("option trust is for neo4j+s:// and bolt+s://", hint="change the URL's scheme")
        # A context of our own: the driver takes one only with a scheme that says nothing of TLS.
        scheme = scheme.removesuffix("+s")
        options["ssl_context"] = _context(tuning.trust)
    if settings.user:
        options["auth"] = (settings.user, settings.password or "")
    host, port = addresses[0]
    try:
        driver = neo4j.GraphDatabase.driver(f"{scheme}://{host}:{port}", **options)
    except (neo4j.exceptions.DriverError, ValueError, OSError) as error:
        raise ConfigurationError(
            f"{settings.display} can't be used ({type(error).__name__})", hint="check host, port and options"
        ) from error
    watch(driver, tuning)
    return driver


def _context(path: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError) as error:
        raise ConfigurationError(
            f"option trust: the file can't be read as certificates ({type(error).__name__})", hint="give a PEM file"
        ) from error
