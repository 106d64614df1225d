"""What every capability means, in the groups in which people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from iotstore._waist.capabilities import Capability

#: The capabilities by group, each with one sentence.
CAPABILITY_GROUPS: Final[Mapping[str, Mapping[Capability, str]]] = {
    "transactions and handles": {
        Capability.PERSISTENCE: "What was acknowledged is there after the process ended, however it ended.",
        Capability.TRANSACTIONS: "Several operations become visible together or not at all.",
        Capability.SAVEPOINTS: "A transaction inside a transaction can fail alone.",
        Capability.SNAPSHOTS: "Many reads see one committed state, while writers go on.",
        Capability.CONCURRENT_READS: "Readers never wait for writers, nor writers for readers.",
        Capability.MANY_HANDLES: "One process can open the same store several times and write through each of them.",
        Capability.MANY_PROCESSES: "Several processes can hold the same store open and write to it.",
    },
    "questions": {
        Capability.RANGE_FILTERS: "Values smaller or larger than a given one: ranges, prefixes, networks, later pages.",
        Capability.EXCLUSIONS: "Values other than the given ones.",
        Capability.MISSING_FILTERS: "Whether a field has a value at all.",
        Capability.ALTERNATIVES: "Filters joined by or; later pages that are ordered by several fields need it too.",
        Capability.TEXT_SEARCH: "Texts that hold a text anywhere; the core folds case, the engine only looks.",
        Capability.TAG_FILTERS: "Records whose set of texts has a member.",
        Capability.FIELD_ORDER: "Records ordered by fields that are not their key.",
        Capability.DESCENDING_ORDER: "Records from the largest to the smallest, so the newest first.",
        Capability.STREAMING: "Records one after the other in bounded memory; portable backups, copies and exact sums "
        "need it too.",
    },
    "writes": {
        Capability.GENERATED_IDS: "Numbers that are never given twice: flows, alerts and series have them.",
        Capability.REFERENCES: "A record that another one points to can't be deleted before that one is stored.",
        Capability.UNIQUE_RULES: "No two records have the same values in fields that are declared unique.",
        Capability.KEEP_EXISTING: "Of a batch only the records with new keys are stored; idempotency keys and new "
        "series need it too.",
        Capability.MERGE_FILL: "A put keeps stored values where the new record has none, in one step.",
        Capability.MERGE_KEEP: "A put never changes fields that are declared to stay, in one step.",
        Capability.MERGE_EXTREMES: "A put keeps the smaller or larger of two values, in one step.",
        Capability.COMPARE_AND_SET: "A change or deletion happens only if the record still has the version expected.",
        Capability.MASS_UPDATES: "All records that match a filter are changed, in one step.",
        Capability.MASS_DELETES: "All records that match a filter are deleted, in one step.",
        Capability.WIDE_INTEGERS: "Integers beyond 2^53, which no double holds, are exact up to 64 bits.",
        Capability.EMPTY_TEXTS: "An empty text is a value, different from none.",
    },
    "aggregates": {
        Capability.GROUPING: "Measures by the values of fields.",
        Capability.DISTINCT_COUNTS: "How many different values a field has.",
        Capability.SUMS: "Sums of a field; the core makes means of them.",
        Capability.SPLIT_SUMS: "Sums of halves of integers: asked for when a sum leaves 64 bits on its way.",
        Capability.EXTREMES: "The smallest and largest value of a field; time groups without bounds need it too.",
        Capability.TIME_BUCKETS: "Measures by intervals of time, calendar days in any time zone included.",
        Capability.CALENDAR_PARTS: "Measures by a part of a time that comes again, such as the hour of the day.",
    },
    "schema": {
        Capability.ATOMIC_MIGRATIONS: "A migration that fails leaves the schema and the data as they were.",
        Capability.ADD_FIELDS: "A kind that has records can get new fields.",
        Capability.DROP_FIELDS: "A kind that has records can lose fields.",
        Capability.RENAME_FIELDS: "A field can get another name, its values stay.",
        Capability.ALTER_FIELDS: "The declared length of a field can change, or that it may be missing.",
        Capability.RENAME_KINDS: "A kind can get another name, its records stay.",
        Capability.INDEX_CHANGES: "A kind that has records can get and lose indexes.",
        Capability.REFERENCE_CHANGES: "What a kind points to can change; restoring records that point to their own "
        "kind needs it too.",
    },
    "telemetry": {
        Capability.SERIES: "Telemetry points can be kept: metrics of floats at least.",
        Capability.INTEGER_POINTS: "Metrics of integers.",
        Capability.BOOLEAN_POINTS: "Metrics of booleans.",
        Capability.TEXT_POINTS: "Metrics of texts.",
        Capability.REPLACE_POINTS: "A point can take the place of the one at its time.",
        Capability.STRICT_POINTS: "A point whose time is taken can be a conflict; restoring points needs it too.",
        Capability.LATE_POINTS: "A point can be older than the newest one of its series.",
        Capability.FINE_POINTS: "Times of points keep their microseconds; without it milliseconds are the finest.",
        Capability.FAR_POINTS: "Times of points before 1970 and after 2262.",
        Capability.ERASE_POINTS: "Points can be deleted: of a range, of a device, or because they are old.",
        Capability.REVERSE_SCANS: "Points from the newest to the oldest.",
        Capability.POINTS_BEFORE: "The newest point before an instant, which fills and time-weighted means begin with.",
        Capability.POINT_COUNTS: "How many points there are; backups and copies need it too.",
        Capability.POINT_TRANSACTIONS: "Points can be written in a transaction together with records.",
        Capability.POINT_SNAPSHOTS: "A snapshot sees points of the same state as records.",
    },
    "graph": {
        Capability.GRAPH: "Edges are kept as such beside the records, so that the store can serve as a projection that "
        "the engine itself walks; without it graph questions are answered from the records, alike.",
    },
    "backups and care": {
        Capability.NATIVE_BACKUP: "A backup in the engine's own format, taken while writers write.",
        Capability.NATIVE_RESTORE: "A native backup can be put in the place of a store.",
        Capability.INTEGRITY_CHECK: "The engine can prove that what it stored is whole.",
        Capability.OPTIMISATION: "Statistics can be refreshed and logs tidied while the store is in use.",
        Capability.COMPACTION: "Space of deleted records can be given back to the system.",
        Capability.EXPLAIN: "The engine can tell how it finds the rows of an answer.",
    },
}
#: Every capability in one sentence.
MEANING: Final[Mapping[Capability, str]] = {
    capability: sentence for group in CAPABILITY_GROUPS.values() for capability, sentence in group.items()
}
