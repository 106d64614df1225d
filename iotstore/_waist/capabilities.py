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
    MANY_HANDLES = "many_handles"
    MANY_PROCESSES = "many_processes"

    RANGE_FILTERS = "range_filters"
    EXCLUSIONS = "exclusions"
    MISSING_FILTERS = "missing_filters"
    ALTERNATIVES = "alternatives"
    TEXT_SEARCH = "text_search"
    TAG_FILTERS = "tag_filters"
    FIELD_ORDER = "field_order"
    DESCENDING_ORDER = "descending_order"
    STREAMING = "streaming"

    GENERATED_IDS = "generated_ids"
    REFERENCES = "references"
    UNIQUE_RULES = "unique_rules"
    KEEP_EXISTING = "keep_existing"
    MERGE_FILL = "merge_fill"
    MERGE_KEEP = "merge_keep"
    MERGE_EXTREMES = "merge_extremes"
    COMPARE_AND_SET = "compare_and_set"
    MASS_UPDATES = "mass_updates"
    MASS_DELETES = "mass_deletes"
    WIDE_INTEGERS = "wide_integers"
    EMPTY_TEXTS = "empty_texts"

    GROUPING = "grouping"
    DISTINCT_COUNTS = "distinct_counts"
    SUMS = "sums"
    SPLIT_SUMS = "split_sums"
    EXTREMES = "extremes"
    TIME_BUCKETS = "time_buckets"
    CALENDAR_PARTS = "calendar_parts"

    ATOMIC_MIGRATIONS = "atomic_migrations"
    ADD_FIELDS = "add_fields"
    DROP_FIELDS = "drop_fields"
    RENAME_FIELDS = "rename_fields"
    ALTER_FIELDS = "alter_fields"
    RENAME_KINDS = "rename_kinds"
    INDEX_CHANGES = "index_changes"
    REFERENCE_CHANGES = "reference_changes"

    SERIES = "series"
    INTEGER_POINTS = "integer_points"
    BOOLEAN_POINTS = "boolean_points"
    TEXT_POINTS = "text_points"
    REPLACE_POINTS = "replace_points"
    STRICT_POINTS = "strict_points"
    LATE_POINTS = "late_points"
    FINE_POINTS = "fine_points"
    FAR_POINTS = "far_points"
    ERASE_POINTS = "erase_points"
    REVERSE_SCANS = "reverse_scans"
    POINTS_BEFORE = "points_before"
    POINT_COUNTS = "point_counts"
    POINT_TRANSACTIONS = "point_transactions"
    POINT_SNAPSHOTS = "point_snapshots"

    GRAPH = "graph"

    NATIVE_BACKUP = "native_backup"
    NATIVE_RESTORE = "native_restore"
    INTEGRITY_CHECK = "integrity_check"
    OPTIMISATION = "optimisation"
    COMPACTION = "compaction"
    EXPLAIN = "explain"


#: What makes no sense without another one: where that is unsupported these are too, for the same reason.
IMPLIED: Final[Mapping[Capability, tuple[Capability, ...]]] = {
    Capability.SAVEPOINTS: (Capability.TRANSACTIONS,),
    Capability.POINT_TRANSACTIONS: (Capability.SERIES, Capability.TRANSACTIONS),
    Capability.POINT_SNAPSHOTS: (Capability.SERIES, Capability.SNAPSHOTS),
    Capability.SPLIT_SUMS: (Capability.SUMS,),
    Capability.NATIVE_RESTORE: (Capability.NATIVE_BACKUP,),
    Capability.COMPACTION: (Capability.OPTIMISATION,),
    Capability.INTEGER_POINTS: (Capability.SERIES,),
    Capability.BOOLEAN_POINTS: (Capability.SERIES,),
    Capability.TEXT_POINTS: (Capability.SERIES,),
    Capability.REPLACE_POINTS: (Capability.SERIES,),
    Capability.STRICT_POINTS: (Capability.SERIES,),
    Capability.LATE_POINTS: (Capability.SERIES,),
    Capability.FINE_POINTS: (Capability.SERIES,),
    Capability.FAR_POINTS: (Capability.SERIES,),
    Capability.ERASE_POINTS: (Capability.SERIES,),
    Capability.REVERSE_SCANS: (Capability.SERIES,),
    Capability.POINTS_BEFORE: (Capability.SERIES,),
    Capability.POINT_COUNTS: (Capability.SERIES,),
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
    """One declaration for every capability of one backend; a forgotten one is an error when the class is made.

    What makes no sense without an unsupported one is unsupported with it, whatever was said.
    """

    def __init__(self, backend: str, declared: Mapping[Capability, Supported | NotSupported]) -> None:
        missing = [capability.value for capability in Capability if capability not in declared]
        if missing:
            raise ValueError(f"backend {backend} declares nothing about: {', '.join(missing)}")
        self.backend = backend
        self._declared = dict(declared)
        for capability, parents in IMPLIED.items():
            reasons = [declared[parent] for parent in parents if isinstance(declared[parent], NotSupported)]
            if reasons and isinstance(self._declared[capability], Supported):
                self._declared[capability] = reasons[0]
        self._supported = frozenset(one for one, said in self._declared.items() if isinstance(said, Supported))
        without = frozenset(one for one, said in self._declared.items() if isinstance(said, NotSupported))
        self._lacking = frozenset(one for one in without if without.isdisjoint(IMPLIED.get(one, ())))

    def __getitem__(self, capability: Capability) -> Supported | NotSupported:
        return self._declared[capability]

    def has(self, capability: Capability) -> bool:
        """Whether the capability is supported."""
        return capability in self._supported

    def require(self, capability: Capability) -> None:
        """Raise Unsupported with the declared reason and remedy unless the capability is supported."""
        if capability in self._supported:  # the hot path: every question about points comes by
            return
        declared = self._declared[capability]
        if isinstance(declared, NotSupported):
            raise Unsupported(capability.value, self.backend, declared.reason, remedy=declared.remedy)

    @property
    def lacking(self) -> frozenset[Capability]:
        """What is unsupported by itself. What is so because of another one is refused where that one is."""
        return self._lacking

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
