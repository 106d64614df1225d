"""A primary and its streaming replica, each in a container of the same image."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Any, Final, LiteralString

from iotstore import ConfigurationError
from iotstore_conformance.servers._asking import needs_the_extra
from iotstore_conformance.servers._containers import USER, address, image, run
from iotstore_conformance.servers._leftovers import LABEL, keep
from iotstore_conformance.servers._own_container import answering, docker_errors, kill

if TYPE_CHECKING:
    from testcontainers.community.postgres import PostgresContainer

_PRIMARY: Final = "primary"
_PATIENCE: Final = 60.0  # seconds for the replica to stream
_PAUSE: Final = 0.05
# The replica takes a copy of the primary, with the settings to follow it, and becomes a server itself.
_FOLLOW: Final = f"""
set -e
export PGPASSWORD="$POSTGRES_PASSWORD"
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    pg_basebackup --pgdata="$PGDATA" --write-recovery-conf --wal-method=stream --checkpoint=fast \
        --dbname="host={_PRIMARY} user=$POSTGRES_USER application_name=replica"
    chmod 700 "$PGDATA"
fi
exec "$@"
"""


class ReplicaSet:
    """Two servers: what the primary acknowledges, the replica has. Both end with the process."""

    def __init__(self) -> None:
        self._image = image("container")
        password = secrets.token_hex(16)
        with docker_errors(self._image):
            from testcontainers.core.network import Network

            answering()
            label, self.end = keep()
            try:
                network = Network(docker_network_kw={"labels": {LABEL: label}}).create()
                self.primary = run(
                    self._image, label, password, networking_config=_named(network.name, _PRIMARY), network=network.name
                )
                self._let_replicas_in()
                follow = ["sh", "-c", _FOLLOW, "follow"]
                self.replica = run(
                    self._image, label, password, entrypoint=follow, user="postgres", network=network.name
                )
                self._synchronous()
            except BaseException:
                self.end()
                raise
        self.url = f"{self._url(self.primary, self.replica)}?target_session_attrs=read-write"

    def kill_primary(self) -> None:
        """End the primary as `kill -9` does."""
        kill(self.primary)

    def promote(self) -> None:
        """Make the replica a primary; returns when it accepts writes."""
        self._ask(self.replica, "SELECT pg_promote(wait => true)")

    def replication(self) -> str | None:
        """How the replica follows, as the primary sees it: `streaming, sync` is all well."""
        return self._ask(self.primary, "SELECT state || ', ' || sync_state FROM pg_stat_replication")

    def _let_replicas_in(self) -> None:
        # The official image admits every database, which replication is not.
        line = "host replication all all scram-sha-256"
        self.primary.exec(["sh", "-c", f'echo "{line}" >> "$PGDATA/pg_hba.conf"'])
        self._ask(self.primary, "SELECT pg_reload_conf()::text")

    def _synchronous(self) -> None:
        """Wait for the replica, then let nothing be acknowledged that it doesn't have."""
        self._ask(self.primary, "ALTER SYSTEM SET synchronous_standby_names = '*'")
        self._ask(self.primary, "SELECT pg_reload_conf()::text")
        until = time.monotonic() + _PATIENCE
        while (seen := self.replication()) != "streaming, sync":
            if time.monotonic() > until:
                raise ConfigurationError(f"the replica does not follow its primary; replication is: {seen}")
            time.sleep(_PAUSE)

    def _url(self, *containers: PostgresContainer) -> str:
        where = ",".join(address(container) for container in containers)
        return f"postgresql://{USER}:{containers[0].password}@{where}/{USER}"

    def _ask(self, container: PostgresContainer, statement: LiteralString) -> str | None:
        try:
            import psycopg
        except ImportError as error:
            raise needs_the_extra(error) from error
        with psycopg.connect(self._url(container), autocommit=True, connect_timeout=10) as connection:
            cursor = connection.execute(statement)
            row = cursor.fetchone() if cursor.description else None
        return row[0] if row else None


def _named(network: str, alias: str) -> dict[str, Any]:
    """How a container is called in its network."""
    from docker import version
    from docker.types import EndpointConfig

    return {network: EndpointConfig(version.__version__, aliases=[alias])}
