"""Connections: how each is made, and a driver's connection on which no call waits for ever."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from typing import Any, Final, TypeVar

import psycopg
from psycopg.abc import PQGen
from psycopg.errors import Diagnostic

from iotstore.backend import Settings, StoreError
from iotstore_postgres._conversions import register
from iotstore_postgres._options import Tuning, connection_parameters, session_options

T = TypeVar("T")

# Seconds beyond statement_timeout that the server has to say that it stopped a statement.
_GRACE: Final = 5.0
_BEAT: Final = 0.1  # how often a waiting call looks at the clock, and for Ctrl-C
_PREPARE_AFTER: Final = 3  # executions; preparing costs a round trip


class SilentServer(psycopg.OperationalError):
    """No answer came in time. The connection is closed; the server may still be at work."""


class Replication:
    """Whether the server stopped to wait for its replicas in a commit, which it then reports as done."""

    stopped = False

    def notice(self, message: Diagnostic) -> None:
        """Look at what the server says beside its answers: its words are in any language, this name is not."""
        if message.source_function == "SyncRepWaitForLSN":
            self.stopped = True


class Wire(psycopg.Connection[Any]):
    """A connection that gives up on a silent server, and that can be ended from another thread."""

    #: seconds for the server to answer one call; None: for ever
    patience: float | None = None
    #: the error of every further call
    refusal: Callable[[], StoreError] | None = None
    #: what the server said of its replicas
    replication: Replication

    def wait(self, gen: PQGen[T], interval: float = _BEAT, timeout: float | None = None) -> T:
        """Run one exchange with the server."""
        if self.refusal is not None:
            raise self.refusal()
        limit = self.patience if timeout is None else timeout
        if limit is None:
            return super().wait(gen, interval)
        return super().wait(self._within(gen, limit), interval)

    def _within(self, gen: PQGen[T], limit: float) -> Generator[Any, Any, T]:
        # The generator says what it waits for and is told what happened; nothing has happened when a beat passes.
        until = time.monotonic() + limit
        try:
            wanted = next(gen)
            while True:
                ready = yield wanted
                if not ready and time.monotonic() > until:
                    self.pgconn.finish()  # what the server still sends would be taken for the next answer
                    raise SilentServer(f"no answer from the server within {limit:g} seconds")
                wanted = gen.send(ready)
        except StopIteration as end:
            answer: T = end.value
            return answer

    def cursor(self, *arguments: Any, **named: Any) -> Any:
        """A cursor, unless the connection was ended."""
        if self.refusal is not None:
            raise self.refusal()
        return super().cursor(*arguments, **named)


def connector(settings: Settings, tuning: Tuning, found: Mapping[str, str] | None = None) -> Callable[[], Wire]:
    """A function that makes one more connection to the database of *settings*; the driver's errors come as they are."""
    parameters = connection_parameters(settings, tuning)
    options = session_options(tuning, found or {})
    patience = tuning.statement_timeout + _GRACE if tuning.statement_timeout else None
    prepare = _PREPARE_AFTER if tuning.prepared_statements else None

    def connect() -> Wire:
        connection = Wire.connect(
            **parameters,  # type: ignore[arg-type]  # names and values of libpq
            options=options,
            autocommit=True,  # transactions begin and end where this package says so
            prepare_threshold=prepare,
            cursor_factory=psycopg.RawCursor,
        )
        connection.prepared_max = tuning.prepared_statements or None
        connection.patience = patience
        connection.replication = Replication()  # an object of its own: a handler that holds its connection is a cycle
        connection.add_notice_handler(connection.replication.notice)
        register(connection)
        return connection

    return connect
