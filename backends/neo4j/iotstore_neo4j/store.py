"""The backend: the labels of one prefix in one Neo4j database; one writer at a time, readers that see whole commits."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final, TextIO

from iotstore.backend import (
    Backend,
    BackendUnavailable,
    Capabilities,
    Capability,
    Check,
    Durability,
    Layout,
    Limits,
    NotSupported,
    Option,
    Place,
    ReadSession,
    Settings,
    Supported,
)
from iotstore_neo4j import _admin
from iotstore_neo4j._names import Names
from iotstore_neo4j._options import OPTIONS, Tuning
from iotstore_neo4j._registry import Belief
from iotstore_neo4j._schema import prepare, settle, stored_node
from iotstore_neo4j._script import Written, check_script, compare, script_lines, take_in, written_of
from iotstore_neo4j._sessions import Neo4jRead
from iotstore_neo4j._texts import HOLDS
from iotstore_neo4j._transaction import Neo4jWrite
from iotstore_neo4j._turns import turn_of
from iotstore_neo4j._wire import Wire

#: The least server: the long-term one of 2026.
MINIMUM: Final = (5, 26)

_CAPABILITIES: Final = Capabilities(
    "neo4j",
    {
        **{capability: Supported() for capability in Capability},
        Capability.SAVEPOINTS: NotSupported(
            "Neo4j has no savepoints: an error ends the transaction",
            "use one transaction, and let an error leave its block",
        ),
        Capability.SNAPSHOTS: NotSupported(
            "Neo4j reads what was committed last, each statement by itself",
            "ask for what has to agree in one question, or take a backup, which keeps writers out",
        ),
        Capability.SERIES: NotSupported(
            "telemetry as nodes would take a hundred times the room and time of columns",
            "keep telemetry in the primary store: sqlite:/// or postgresql://, with this one as its relationships",
        ),
        Capability.NATIVE_BACKUP: NotSupported(
            "Neo4j Community dumps a database only while it is stopped",
            'take a portable backup: format="portable"; or write a Cypher script',
        ),
        Capability.COMPACTION: NotSupported(
            "Neo4j reuses the room of what was deleted and gives none back",
            "load a portable backup into a new database",
        ),
        Capability.EXPLAIN: NotSupported("plans are not told here", "run EXPLAIN or PROFILE in Neo4j's own tools"),
    },
)


class Neo4jBackend(Backend):
    """One open store in a Neo4j database."""

    name: ClassVar[str] = "neo4j"
    holds = HOLDS
    capabilities = _CAPABILITIES
    durability = Durability.FULL  # a commit is forced to the log before it is acknowledged

    def __init__(self, settings: Settings, tuning: Tuning) -> None:
        self.names = Names(tuning.prefix)
        self._settings = settings
        self.limits = Limits(
            max_text_bytes=16 * 2**20,
            max_key_bytes=1_024,
            insert_rows=10_000,
            append_points=10_000,
            snapshot_seconds=300.0,
        )
        self.wire = Wire(settings, tuning)
        self._belief = Belief()
        self._texts: dict[Layout, tuple[str, str]] = {}
        self._turn = turn_of((settings.hosts, tuning.database, tuning.prefix))
        try:
            self._engine = self._checked_server()
            prepare(self.wire, self.names, create=settings.create)
            if settings.create:
                # What a process that was killed between a migration's commit and its indexes has left to do.
                settle(self.wire, self.names, stored_node(self.wire, self.names))
        except BaseException:
            self.close()
            raise

    def _checked_server(self) -> str:
        found, version = self.wire.server()
        if version < MINIMUM:
            raise BackendUnavailable(f"{found} is too old", hint="use Neo4j 5.26 or newer")
        return found

    @classmethod
    def connect(cls, settings: Settings) -> Neo4jBackend:
        """Open the store, or make it. What is there and is no store of ours is refused and not touched."""
        return cls(settings, Tuning.of(settings))

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Every option with its default and a sentence."""
        return OPTIONS

    @classmethod
    def declared(cls) -> Capabilities:
        """What every store of this backend can do."""
        return _CAPABILITIES

    def read(self) -> Neo4jRead:
        """A session of which each call sees the latest committed state."""
        self.wire.check()
        return Neo4jRead(self.wire, self.names, self._belief, self._texts)

    def snapshot(self) -> ReadSession:
        """Raise Unsupported."""
        self.capabilities.require(Capability.SNAPSHOTS)
        return self.read()

    def write(self) -> Neo4jWrite:
        """A transaction, as soon as no other one writes."""
        self.wire.check()
        return Neo4jWrite(
            self.wire, self.names, self._belief, self._texts, place=self._turn, capabilities=self.capabilities
        )

    def close(self) -> None:
        """Give every connection back. Sessions of other threads end with their next call."""
        self.wire.close()

    def describe(self) -> Mapping[str, str]:
        """What is open, and how."""
        tuning = self.wire.tuning
        return {
            "engine": self._engine,
            "place": self._settings.display,
            "name": f"{tuning.database}.{tuning.prefix}",
            "database": tuning.database,
            "prefix": tuning.prefix,
            "durability": self.durability.value,
            "connections": f"{tuning.pool_size} at most",
            "lock_timeout": f"{tuning.lock_timeout:g} s",
            "pool_timeout": f"{tuning.pool_timeout:g} s",
        }

    def health(self) -> list[Check]:
        """The store's node and its indexes."""
        return _admin.health(self.wire, self.names)

    def verify(self) -> list[Check]:
        """Every node is read, and every key checked to be the only one."""
        return _admin.verify(self.wire, self.names)

    def places(self, layouts: Sequence[Layout]) -> list[Place]:
        """Nodes of each layout; Neo4j doesn't tell their bytes."""
        return _admin.places(self.wire, self.names, layouts)

    def optimise(self, *, compact: bool) -> Mapping[str, str]:
        """Make missing indexes, and refresh what the planner knows of them."""
        if compact:
            self.capabilities.require(Capability.COMPACTION)
        return _admin.optimise(self.wire, self.names)

    def write_script(self, out: TextIO) -> Written:
        """Write the store as a script of Cypher statements, in one state: writers wait meanwhile."""
        return self._scripted(self.names, out.write)

    @classmethod
    def take_script(cls, settings: Settings, source: Path) -> Written:
        """Make the store that a script describes in the place of *settings*, where there must be none.

        It is read through before anything is made, and what was made is compared with it.
        """
        with source.open(encoding="ascii") as lines:
            prefix, written = check_script(lines)
        tuning = Tuning.of(settings)
        wire = Wire(settings, tuning)
        try:
            with source.open(encoding="ascii") as lines:
                take_in(wire, Names(tuning.prefix), prefix, lines)
        finally:
            wire.close()
        store = cls.connect(settings._replace(create=False))
        try:
            compare(written, store._scripted(Names(prefix), len))  # noqa: SLF001 - one of its own
        finally:
            store.close()
        return written

    def _scripted(self, shown: Names, write: Callable[[str], object]) -> Written:
        """Write the lines of the script with the labels of *shown*, while nobody else writes to the store."""
        session = self.write()
        try:
            line = ""
            for line in script_lines(session, self.names, shown):
                write(line)
        finally:
            session.rollback()
        return written_of(line)
