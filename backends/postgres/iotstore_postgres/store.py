"""The backend: one schema of one PostgreSQL database, with many writers and many readers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import ClassVar, Final, NamedTuple

import psycopg

from iotstore.backend import (
    Backend,
    BackendUnavailable,
    Capabilities,
    Capability,
    Check,
    ConfigurationError,
    Durability,
    Explained,
    Layout,
    Limits,
    NotAllowed,
    NotSupported,
    Option,
    Place,
    ReadOnly,
    ReadSession,
    Settings,
    Supported,
)
from iotstore_postgres import _admin, _backup, _citus, _citus_admin
from iotstore_postgres._citus_sessions import CitusExplaining, CitusRead, CitusSnapshot, CitusStatements, CitusWrite
from iotstore_postgres._connection import Wire, connector
from iotstore_postgres._cut_sessions import CutWrite
from iotstore_postgres._cut_statements import CutStatements
from iotstore_postgres._cuts import Cuts
from iotstore_postgres._dialect import HOLDS, PostgresDialect
from iotstore_postgres._errors import closed_error, translating
from iotstore_postgres._explaining import PostgresExplaining
from iotstore_postgres._options import OPTIONS, Tuning, milliseconds, quoted
from iotstore_postgres._partitions import Partitions
from iotstore_postgres._pool import Link, Pool
from iotstore_postgres._schema import prepare
from iotstore_postgres._scratch import ScratchDatabase, ScratchSchema
from iotstore_postgres._sessions import PostgresRead, PostgresSnapshot
from iotstore_postgres._statements import PostgresStatements
from iotstore_postgres._swap import check_free, presence
from iotstore_postgres._transaction import PostgresWrite
from iotstore_sql import forks
from iotstore_sql.watch import Watch

#: How often a server that is busy with a statement looks whether its client is still there.
CLIENT_CHECK: Final = "5s"
#: The least server: what 14 and older lack is no longer maintained by anybody.
MINIMUM: Final = 15

_CAPABILITIES: Final = Capabilities(
    "postgresql",
    {
        **{capability: Supported() for capability in Capability},
        Capability.GRAPH: NotSupported(
            "graph questions are answered from the records", "ask store.relationships, which needs no such capability"
        ),
    },
)


class Server(NamedTuple):
    """What was found at the other end."""

    version: str
    role: str
    database: str
    synchronous_commit: str


class PostgresBackend(Backend):
    """One open schema of a PostgreSQL database."""

    name: ClassVar[str] = "postgresql"
    holds = HOLDS
    native_suffix: ClassVar[str] = ".dump"
    keeps_files: ClassVar[bool] = False

    def __init__(self, settings: Settings, tuning: Tuning) -> None:
        self._settings = settings
        self._tuning = tuning
        self._closing = threading.Lock()
        self._closed = self._looked = False
        self._scratch: ScratchDatabase | ScratchSchema | None = None
        self.durability = tuning.durability
        self.capabilities = _CAPABILITIES
        self.limits = Limits(
            max_text_bytes=16 * 2**20,
            max_key_bytes=1_024,
            insert_rows=10_000,
            append_points=100_000,
            snapshot_seconds=tuning.snapshot_seconds,
        )
        self._watch = Watch(tuning.snapshot_seconds, "iotstore-postgresql-snapshots")
        self._cuts = Cuts(self._unpooled)
        self._cut_statements = CutStatements(PostgresDialect(), self._cuts)
        self._statements: PostgresStatements = self._cut_statements
        self._cluster: _citus.Cluster | None = None
        self._connect = connector(settings, tuning)
        # Of its own: the pool's connections may all be waiting for a partition to be made.
        self._partitions = Partitions(self._unpooled)
        self._pool = Pool(
            self._new_connection,
            size=tuning.pool_size,
            timeout=tuning.pool_timeout,
            idle_check=tuning.idle_check_seconds,
            check_patience=float(tuning.connect_timeout),
        )
        try:
            self._server = self._look()
        except BaseException:
            self.close()
            raise
        forks.opened(self)

    def _unpooled(self) -> Wire:
        return self._connect()

    def _new_connection(self) -> Wire:
        connection = self._connect()
        if self._tuning.prepared_statements:  # else sessions are mixed, and such a lock is nobody's
            try:
                connection.execute(presence(self._tuning.schema).encode())
                if self._looked:
                    _citus.check_unchanged(connection, self._tuning.schema, self._cluster)
            except BaseException:
                connection.close()
                raise
        return connection

    def _look(self) -> Server:
        """Look who answers, and see to it that a store of ours is there."""
        link = self._pool.borrow()
        try:
            with translating():
                server = _checked_server(link, self._tuning)
                found = _wanted(link, self._tuning, server)
                # Each further connection begins with it; for this one it was set by hand.
                self._connect = connector(self._settings, self._tuning, found)
                server = server._replace(synchronous_commit=found.get("synchronous_commit", server.synchronous_commit))
                create = self._settings.create and not self._tuning.read_only
                prepare(link.connection, self._tuning.schema, create=create)
                self._cluster = _citus.found(link.connection, self._tuning.schema)
                if self._cluster is not None:
                    self._distribute(link, found)
                else:
                    self._cuts.load(link.connection)
                self._looked = True
        finally:
            self._pool.give(link)
        return server

    def _distribute(self, link: Link, found: dict[str, str]) -> None:
        """Go on as the store on a cluster that was found."""
        for name, value in _citus.SESSION.items():
            link.execute("SELECT set_config($1, $2, false)", (name, value))
        self._connect = connector(self._settings, self._tuning, {**found, **_citus.SESSION})
        self._statements = CitusStatements(PostgresDialect())
        self.capabilities = _CAPABILITIES.but(_citus.LACKS)

    def declare(self, layouts: Sequence[Layout]) -> None:
        """Cut the tables that may be cut and are not yet."""
        wanted = [layout for layout in layouts if layout.parts is not None and self._cuts.of(layout) is None]
        told = self._tuning.prepared_statements  # else nobody knows who else has it open
        if not wanted or self._cluster is not None or self._tuning.read_only or not told:
            return
        from iotstore_postgres._cut_schema import cut_existing  # noqa: PLC0415 - Alembic, and rarely

        own = [link.connection.info.backend_pid for link in self._pool.links()]
        cut_existing(self._unpooled(), PostgresDialect(), self._cuts, wanted, own)
        self._statements = self._cut_statements = CutStatements(PostgresDialect(), self._cuts)

    @classmethod
    def connect(cls, settings: Settings) -> PostgresBackend:
        """Open the schema, or make it. What is there and is no store of ours is refused and not touched."""
        return cls(settings, Tuning.of(settings))

    @classmethod
    def declared(cls) -> Capabilities:
        """What a store on a PostgreSQL server can do."""
        return _CAPABILITIES

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Every option with its default and a sentence."""
        return OPTIONS

    def read(self) -> PostgresRead:
        """A session over a pooled connection, in autocommit."""
        kind = PostgresRead if self._cluster is None else CitusRead
        return kind(self._pool, self._statements)

    def explaining(self, told: Callable[[Explained], object]) -> PostgresExplaining:
        """A session that tells of each question with PostgreSQL's plan."""
        kind = PostgresExplaining if self._cluster is None else CitusExplaining
        return kind(self._pool, self._statements, told)

    def snapshot(self) -> PostgresSnapshot:
        """A session inside a read-only transaction that has begun and has its snapshot."""
        kind = PostgresSnapshot if self._cluster is None else CitusSnapshot
        return kind(self._pool, self._statements, self._watch)

    def write(self) -> PostgresWrite:
        """A transaction that has begun."""
        if self._tuning.read_only and not self._pool.closed:
            raise NotAllowed("the store was opened read-only", hint="open it without read_only to write")
        if self._cluster is None:
            return CutWrite(self._pool, self._cut_statements, self._partitions, self._cuts)
        patience = milliseconds(self._tuning.lock_timeout)
        return CitusWrite(self._pool, self._statements, self._partitions, self._tuning.schema, patience)

    def close(self) -> None:
        """Give back everything. Sessions of other threads are over: their next call is refused."""
        with self._closing:
            if self._closed:
                return
            self._closed = True
            forks.closed(self)
            self._watch.close()
            self._pool.close()
            if self._scratch is not None:
                self._scratch.drop()

    def abandon(self, refusal: forks.Refusal) -> object:
        """In a forked child: a connection can't be shared by two processes, so neither can the store."""
        self._closed = True
        self._watch.abandon()
        return self._pool.abandon(refusal)

    def describe(self) -> Mapping[str, str]:
        """What is open, and how."""
        tuning, pool, cluster = self._tuning, self._pool.statistics(), self._cluster
        return {
            "engine": self._server.version + ("" if cluster is None else f", {cluster.engine}"),
            "place": self._settings.display,
            "name": f"{self._server.database}.{tuning.schema}",
            "database": self._server.database,
            "schema": tuning.schema,
            "role": self._server.role,
            "durability": f"{self.durability.value} (synchronous_commit {self._server.synchronous_commit})",
            "cluster": "none" if cluster is None else cluster.described,
            "access": "read-only" if tuning.read_only else "read and write",
            "connections": f"{pool.open} of {pool.size} open, {pool.lent} in use",
            "pool_timeout": f"{tuning.pool_timeout:g} s",
            "lock_timeout": f"{tuning.lock_timeout:g} s",
            "statement_timeout": f"{tuning.statement_timeout:g} s",
            "snapshot_seconds": f"{tuning.snapshot_seconds:g} s",
        }

    def health(self) -> list[Check]:
        """Server, replication, pool, transactions, dead rows, disk, indexes, clock."""
        checks = _admin.pool_checks(self._pool, self._tuning.leak_seconds)
        with self.read() as session:
            if self._cluster is not None:
                checks.append(_citus_admin.health(session, self._cluster))
            return [*_admin.health(session), *checks]

    def metrics(self) -> Mapping[str, float]:
        """The pool's connections and what became of calls that wanted one; snapshots that are open."""
        return {**self._pool.statistics().metrics(), "snapshots_open": float(self._watch.watched)}

    def verify(self) -> list[Check]:
        """Every table and index is read and every reference checked, however long that takes."""
        with self._pool.unhurried() as link:
            checks = _admin.verify(link)
        return checks if self._cluster is None else _citus_admin.verified(checks)

    def places(self, layouts: Sequence[Layout]) -> list[Place]:
        """Rows and bytes of each layout, then of the points."""
        with self.snapshot() as session:
            found = _admin.places(session, layouts, self._statements.dialect)
            if self._cluster is None:
                return found
            return _citus_admin.places(session, found, layouts, self._statements.dialect)

    def optimise(self, *, compact: bool) -> Mapping[str, str]:
        """Refresh statistics; with *compact* rewrite the tables without holes, each locked meanwhile."""
        if self._tuning.read_only and not self._pool.closed:
            raise NotAllowed("the store was opened read-only", hint="open it without read_only to optimise it")
        if not self._pool.closed:
            self._partitions.ensure(())  # the next one is there before its time
            self._cuts.ensure_ahead(PostgresDialect())
        with self._pool.unhurried() as link:
            return _admin.optimise(link, compact=compact)

    def copy_out(self, target: Path, session: ReadSession, progress: Callable[[int, int], None]) -> None:
        """Write what *session* sees to the new file *target*: an archive of pg_dump, for its owner only."""
        if self._closed:
            raise closed_error()
        _backup.copy_out(target, session, self._tuning.schema, progress)

    @classmethod
    def open_copy(cls, source: Path, settings: Settings, progress: Callable[[int, int], None]) -> PostgresBackend:
        """Restore a backup into a scratch database on the server of *settings*, and open that."""
        return cls._open_scratch(_backup.restore_copy(source, settings, progress))

    @classmethod
    def open_scratch(cls, folder: Path, settings: Settings) -> PostgresBackend:  # noqa: ARG003 - a server needs none
        """Open a store in a new schema beside the one of *settings*."""
        return cls._open_scratch(ScratchSchema(settings))

    @classmethod
    def _open_scratch(cls, scratch: ScratchDatabase | ScratchSchema) -> PostgresBackend:
        try:
            store = cls.connect(scratch.settings)
        except BaseException:
            scratch.drop()
            raise
        store._scratch = scratch  # noqa: SLF001 - one of its own
        return store

    @classmethod
    def check_free(cls, settings: Settings) -> None:
        """Raise NotAllowed when there is anything in the schema."""
        check_free(settings)

    def install(self, settings: Settings, progress: Callable[[int, int], None], *, replace: bool) -> str | None:
        """Put this scratch store in the place that *settings* name; returns the new name of an older one's schema."""
        if self._scratch is None:
            raise NotAllowed("only a scratch store can be installed", hint="take a backup of this one and restore that")
        self._pool.close()  # nobody is to be in it while it moves
        try:
            return _backup.install(self._scratch, settings, progress, replace=replace)
        finally:
            self.close()


def _checked_server(link: Link, tuning: Tuning) -> Server:
    """Who answers; an error for a server that will not do."""
    number = link.connection.info.server_version
    version = f"PostgreSQL {number // 10_000}.{number % 10_000}"
    if number < MINIMUM * 10_000:
        raise BackendUnavailable(f"{version} is too old", hint=f"use PostgreSQL {MINIMUM} or newer")
    ((standby, read_only, database, encoding, sync, path, timescale),) = link.execute(
        "SELECT pg_is_in_recovery(), current_setting('transaction_read_only') = 'on', current_database()::text,"
        " current_setting('server_encoding'), current_setting('synchronous_commit'), current_setting('search_path'),"
        " (SELECT ', TimescaleDB ' || extversion || ' (' || current_setting('timescaledb.license', true) || ')' ||"
        " CASE WHEN (SELECT relkind FROM pg_catalog.pg_class WHERE oid = to_regclass('iotstore_points')) = 'r'"
        " THEN ', points in a hypertable' ELSE '' END"
        " FROM pg_catalog.pg_extension WHERE extname = 'timescaledb')",
        (),
    ).fetchall()
    if path != quoted(tuning.schema):  # one stands for all: they are told together
        raise ConfigurationError(
            f"the settings of this session did not reach the server: its search_path is {path}",
            hint="connect to PostgreSQL itself; poolers between drop the startup parameter options",
        )
    if encoding != "UTF8":
        raise ConfigurationError(
            f"the database {database} has the encoding {encoding}", hint="create one with ENCODING 'UTF8'"
        )
    if not tuning.read_only and (standby or read_only):
        what = "is a standby" if standby else "is set to default_transaction_read_only"
        raise ReadOnly(f"the server {what} and takes no writes", hint="connect to the primary, or open with read_only")
    return Server(version + (timescale or ""), "standby" if standby else "primary", database, sync)


def _wanted(link: Link, tuning: Tuning, server: Server) -> dict[str, str]:
    """Settings of a session that depend on the server; they are set in this one."""
    found: dict[str, str] = {}
    # What waits for replicas, or says that none is to be waited for, is the administrator's choice.
    if tuning.durability is Durability.NORMAL:
        found["synchronous_commit"] = "off"
    elif server.synchronous_commit == "off":
        found["synchronous_commit"] = "on"
    # Else a statement goes on, with its locks, when its client is long gone. Servers on Windows can't look.
    with suppress(psycopg.errors.InvalidParameterValue):
        link.execute("SELECT set_config('client_connection_check_interval', $1, false)", (CLIENT_CHECK,))
        found["client_connection_check_interval"] = CLIENT_CHECK
    if "synchronous_commit" in found:
        link.execute("SELECT set_config('synchronous_commit', $1, false)", (found["synchronous_commit"],))
    return found
