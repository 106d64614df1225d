"""Questions to a Neo4j server: whether it is there, and what it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from iotstore import ConfigurationError
from iotstore_conformance.servers._waiting import missing_tool, until_it_answers

if TYPE_CHECKING:
    import neo4j

_PATIENCE: Final = 120.0  # seconds for a server to answer after its start
_PAUSE: Final = 0.1
# A server that was just started takes connections at once, and seconds for its first statement: longer than an
# impatient store waits. This one changes nothing, and is of the kind that all others are.
_FIRST: Final = "MATCH (n:IotstoreSuite) WHERE n.name = $name SET n.lock = 0 RETURN n.name"


def needs_the_extra(error: ImportError) -> ConfigurationError:
    """What to say when a tool that starts servers, or talks to them, is missing."""
    return missing_tool(error, "a Neo4j server", "neo4j,servers")


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
    with driver(url) as asking:
        from neo4j.exceptions import ClientError, DriverError, Neo4jError

        def ask() -> Exception | None:
            try:
                with asking.session() as session:
                    session.run(_FIRST, name="").consume()
            except ClientError as error:
                # It answers: a new one that its password has to be changed.
                return None if ".Security." in (error.code or "") else error
            except (DriverError, Neo4jError, OSError) as error:
                return error
            return None

        until_it_answers("Neo4j", ask, why_not, seconds=_PATIENCE, pause=_PAUSE)


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
