"""Questions to a PostgreSQL server: whether it is there, and what it is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from iotstore import ConfigurationError
from iotstore_conformance.servers._waiting import missing_tool, until_it_answers

_PATIENCE: Final = 60.0  # seconds for a server to answer after its start
_PAUSE: Final = 0.05


def needs_the_extra(error: ImportError) -> ConfigurationError:
    """What to say when a tool that starts servers, or talks to them, is missing."""
    return missing_tool(error, "a server", "servers")


def wait_until_ready(url: str, why_not: Callable[[], str | None]) -> None:
    """Return when the server at *url* accepts a connection; *why_not* tells when waiting is in vain."""
    try:
        import psycopg
    except ImportError as error:
        raise needs_the_extra(error) from error

    def ask() -> Exception | None:
        try:
            psycopg.connect(url, connect_timeout=5).close()
        except psycopg.OperationalError as error:
            return error
        return None

    until_it_answers("PostgreSQL", ask, why_not, seconds=_PATIENCE, pause=_PAUSE)


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
