"""The backend: one DuckDB file, one process, one writer at a time, readers that never wait."""

# ruff: noqa: S608 - every name is quoted, and every value a parameter
from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, Final
from weakref import WeakValueDictionary

import duckdb

from iotstore.backend import (
    Backend,
    Busy,
    Capabilities,
    Capability,
    Check,
    ConfigurationError,
    Durability,
    Layout,
    Limits,
    NewerSchema,
    NotAllowed,
    NotAStore,
    NotSupported,
    Option,
    Place,
    Settings,
    Supported,
    Unreachable,
)
from iotstore_duckdb._sessions import DuckdbRead, DuckdbWrite
from iotstore_duckdb._sql import HOLDS, quoted, translated

_FORMAT: Final = 1
_OPTIONS: Final = {
    "busy_timeout": Option(
        float, 30.0, "Seconds that a transaction waits for its turn to write before it raises Busy."
    ),
    "snapshot_seconds": Option(float, 300.0, "Age at which a snapshot is ended."),
}
_CAPABILITIES: Final = Capabilities(
    "duckdb",
    {
        **{capability: Supported() for capability in Capability},
        Capability.SAVEPOINTS: NotSupported(
            "DuckDB has no savepoints", "use one transaction, and let an error leave its block"
        ),
        Capability.MANY_PROCESSES: NotSupported(
            "DuckDB admits one process to a file", "open the store in one process and serve the others from it"
        ),
        Capability.SERIES: NotSupported(
            "this example keeps records only", "open a second store for telemetry: sqlite:///points.db"
        ),
        Capability.GRAPH: NotSupported(
            "graph questions are answered from the records", "ask store.relationships, which needs no such capability"
        ),
        Capability.NATIVE_BACKUP: NotSupported(
            "DuckDB copies no file that is being written", 'take a portable backup: format="portable"'
        ),
        Capability.COMPACTION: NotSupported(
            "DuckDB reuses free blocks and gives none back", "restore a portable backup into a new file"
        ),
        Capability.EXPLAIN: NotSupported("this example does not ask DuckDB for plans", "run EXPLAIN in DuckDB's shell"),
    },
)
# Two handles of this process on one file are one database to DuckDB, so they share the lock.
_turns: Final[WeakValueDictionary[Path, _Turn]] = WeakValueDictionary()


class _Turn:
    """Whose turn it is to write to one file."""

    def __init__(self) -> None:
        self.lock = threading.Lock()


class DuckdbBackend(Backend):
    """One open DuckDB file."""

    name: ClassVar[str] = "duckdb"
    holds = HOLDS
    capabilities = _CAPABILITIES
    durability = Durability.FULL  # each commit waits for the log to reach the disk

    def __init__(self, path: Path, settings: Settings) -> None:
        self.closed = False
        self._path = path
        self._shown = settings.display
        self._patience = _number(settings, "busy_timeout")
        self.limits = Limits(
            max_text_bytes=16 * 2**20,
            max_key_bytes=1_024,
            insert_rows=10_000,
            append_points=10_000,
            snapshot_seconds=_number(settings, "snapshot_seconds"),
        )
        self._turn = _turns.setdefault(path, _Turn())
        try:
            # Extensions are code from the network: what is not built in is not used.
            self._connection = duckdb.connect(path, config={"autoinstall_known_extensions": "false"})
        except duckdb.Error as error:
            raise translated(error) from error
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def _prepare(self) -> None:
        """Make the private tables of a new database; refuse one that is not ours."""
        with DuckdbRead(self, self._cursor()) as session:
            tables = {row[0] for row in session.rows("SELECT table_name FROM duckdb_tables()")}
            if "iotstore_format" in tables:
                ((found,),) = session.rows("SELECT version FROM iotstore_format")
                if found > _FORMAT:
                    raise NewerSchema(f"the file has format {found}", hint="install a newer iotstore-duckdb")
                return
        if tables:
            raise NotAStore("the DuckDB database holds tables of something else", hint="check the path in the URL")
        with self.write() as writing:
            writing.rows(
                "CREATE TABLE IF NOT EXISTS iotstore_counters (name VARCHAR PRIMARY KEY, next BIGINT NOT NULL)"
            )
            writing.rows(f"CREATE TABLE IF NOT EXISTS iotstore_format AS SELECT {_FORMAT} AS version")

    @classmethod
    def connect(cls, settings: Settings) -> DuckdbBackend:
        """Open the file, or make it."""
        if not settings.path or settings.hosts or settings.path == ":memory:":
            raise ConfigurationError(f"{settings.display} names no file", hint="write duckdb:///home.duckdb")
        path = Path(settings.path).resolve()
        if not path.exists() and not settings.create:
            raise Unreachable(f"there is no store at {path}", hint="check the path in the URL")
        return cls(path, settings)

    @classmethod
    def options(cls) -> Mapping[str, Option]:
        """Every option with its default and a sentence."""
        return _OPTIONS

    @classmethod
    def declared(cls) -> Capabilities:
        """What every store of this backend can do."""
        return _CAPABILITIES

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if self.closed:
            raise NotAllowed("the store is closed", hint="open it again")
        try:
            return self._connection.cursor()
        except duckdb.Error as error:
            raise translated(error) from error

    def read(self) -> DuckdbRead:
        """A session in autocommit."""
        return DuckdbRead(self, self._cursor())

    def snapshot(self) -> DuckdbRead:
        """A session inside one transaction."""
        return DuckdbRead(self, self._cursor(), self.limits.snapshot_seconds)

    def write(self) -> DuckdbWrite:
        """A transaction, as soon as no other one writes."""
        lock = self._turn.lock
        if not lock.acquire(timeout=self._patience):
            raise Busy(f"another transaction wrote for {self._patience:g} seconds", hint="keep transactions short")
        try:
            cursor = self._cursor()
        except BaseException:
            lock.release()
            raise
        return DuckdbWrite(self, cursor, lock.release)

    def refuse_savepoints(self) -> None:
        """Raise Unsupported."""
        self.capabilities.require(Capability.SAVEPOINTS)

    def close(self) -> None:
        """Give the file back. Sessions of other threads end with their next call."""
        if not self.closed:
            self.closed = True
            self._connection.close()

    def describe(self) -> Mapping[str, str]:
        """What is open, and how."""
        return {"engine": f"DuckDB {duckdb.__version__}", "place": self._shown, "durability": self.durability.value}

    def health(self) -> list[Check]:
        """Whether the file answers."""
        with self.read() as session:
            return [Check("database", "ok", f"{len(session.layouts())} tables")]

    def verify(self) -> list[Check]:
        """Read every value of every table: DuckDB checks the sums of the blocks that it reads."""
        with self.snapshot() as session:
            for table in sorted(session.layouts()):
                session.rows(f"SELECT count(COLUMNS(*)) FROM {quoted(table)}")
            return [Check("data", "ok", f"{len(session.layouts())} tables were read")]

    def places(self, layouts: Sequence[Layout]) -> list[Place]:
        """Rows of each layout; DuckDB doesn't tell bytes of a table."""
        with self.snapshot() as session:
            counted = [session.rows(f"SELECT count(*) FROM {quoted(layout.name)}")[0][0] for layout in layouts]
        named = [Place(layout.name, rows, None) for layout, rows in zip(layouts, counted, strict=True)]
        return [*named, Place("points", 0, None)]

    def optimise(self, *, compact: bool) -> Mapping[str, str]:
        """Copy the log into the file."""
        if compact:
            self.capabilities.require(Capability.COMPACTION)
        with self.read() as session:
            session.rows("CHECKPOINT")
        return {"log": "copied into the file"}


def _number(settings: Settings, name: str) -> float:
    value = settings.options.get(name, _OPTIONS[name].default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ConfigurationError(f"option {name}: {value!r} is not a number of 0 or more")
    return float(value)
