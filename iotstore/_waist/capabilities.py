"""What a backend can do, said once on the backend: supported, or unsupported with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from iotstore.errors import Unsupported


class Capability(StrEnum):
    """Every named capability. A backend declares each of them."""

    PERSISTENCE = "persistence"
    TRANSACTIONS = "transactions"
    SAVEPOINTS = "savepoints"
    SNAPSHOTS = "snapshots"
    CONCURRENT_READS = "concurrent_reads"
    MANY_PROCESSES = "many_processes"
    ATOMIC_MIGRATIONS = "atomic_migrations"
    SERIES = "series"
    NATIVE_BACKUP = "native_backup"
    COMPACTION = "compaction"
    GRAPH = "graph"


MEANING: Final[Mapping[Capability, str]] = {
    Capability.PERSISTENCE: "What was acknowledged is there after the process ended, however it ended.",
    Capability.TRANSACTIONS: "Several operations become visible together or not at all.",
    Capability.SAVEPOINTS: "A transaction inside a transaction can fail alone.",
    Capability.SNAPSHOTS: "Many reads see one committed state, while writers go on.",
    Capability.CONCURRENT_READS: "Readers never wait for writers, nor writers for readers.",
    Capability.MANY_PROCESSES: "Several processes can hold the same store open and write to it.",
    Capability.ATOMIC_MIGRATIONS: "A migration that fails leaves the schema and the data as they were.",
    Capability.SERIES: "Telemetry points can be kept.",
    Capability.NATIVE_BACKUP: "A backup in the engine's own format, taken while writers write.",
    Capability.COMPACTION: "Space of deleted records can be given back to the system.",
    Capability.GRAPH: "The engine walks relations itself; without it the core does.",
}


@dataclass(frozen=True, slots=True)
class Supported:
    """The backend has the capability."""


@dataclass(frozen=True, slots=True)
class NotSupported:
    """The backend lacks the capability: why, and what an application can do instead."""

    reason: str
    remedy: str


class Capabilities:
    """One declaration for every capability of one backend; a forgotten one is an error when the class is made."""

    def __init__(self, backend: str, declared: Mapping[Capability, Supported | NotSupported]) -> None:
        missing = [capability.value for capability in Capability if capability not in declared]
        if missing:
            raise ValueError(f"backend {backend} declares nothing about: {', '.join(missing)}")
        self.backend = backend
        self._declared = dict(declared)

    def __getitem__(self, capability: Capability) -> Supported | NotSupported:
        return self._declared[capability]

    def has(self, capability: Capability) -> bool:
        """Whether the capability is supported."""
        return isinstance(self._declared[capability], Supported)

    def require(self, capability: Capability) -> None:
        """Raise Unsupported with the declared reason and remedy unless the capability is supported."""
        declared = self._declared[capability]
        if isinstance(declared, NotSupported):
            raise Unsupported(capability.value, self.backend, declared.reason, remedy=declared.remedy)

    def but(self, changes: Mapping[Capability, Supported | NotSupported]) -> Capabilities:
        """The same declaration with some entries changed, for a backend whose URL decides (``:memory:``)."""
        return Capabilities(self.backend, {**self._declared, **changes})


@dataclass(frozen=True, slots=True)
class Limits:
    """Numbers that a backend promises. The core keeps within them and refuses what would exceed them."""

    max_text_bytes: int  # of one text or bytes value
    max_key_bytes: int  # of all key columns of a record together
    insert_rows: int  # rows per insert_many/upsert call that the core sends at most
    append_points: int  # points per append call that the core sends at most
    snapshot_seconds: float  # age at which a snapshot is ended by the backend


class Durability(StrEnum):
    """What an acknowledged write survives."""

    FULL = "full"  # the death of the process, and loss of power
    NORMAL = "normal"  # the death of the process; power loss may undo the last transactions, never damage the store
    NONE = "none"  # nothing: the store lives as long as the process
