"""Profiles: sets of clauses by need, each reported alone, and the promises that no clause proves yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

from iotstore.backend import Capability
from iotstore_conformance.registry import Profile

PROFILES: Final[tuple[Profile, ...]] = get_args(Profile)

MEANING: Final[Mapping[Profile, str]] = {
    "core": "Devices, connections, alerts, settings and records in general: values, filters, pages, transactions.",
    "telemetry": "Metrics, series and points: latest values, ranges, buckets, functions, fill.",
    "relationships": "Relations between records: neighbours, paths, components, communities, centrality.",
    "backup": "Backups that are proven, rotated and restored, and copies into other stores.",
    "concurrency": "Threads, processes and handles at once: no lost update, no torn batch.",
    "durability": "What was acknowledged is there after closing, and after kill -9.",
    "faults": "What goes wrong is told by name, in bounded time, and leaves nothing half done.",
    "performance": "A floor under the speed, the same on every machine: what a cost may grow with.",
}

# Without these there is nothing to measure: the profile is "not measured", however well the refusals are proved.
ESSENTIAL: Final[Mapping[Profile, tuple[Capability, ...]]] = {
    "core": (
        Capability.TRANSACTIONS,
        Capability.GENERATED_IDS,
        Capability.REFERENCES,
        Capability.RANGE_FILTERS,
        Capability.FIELD_ORDER,
    ),
    "telemetry": (Capability.SERIES, Capability.GENERATED_IDS, Capability.REFERENCES, Capability.KEEP_EXISTING),
    "relationships": (Capability.REFERENCES, Capability.STREAMING),
    "backup": (Capability.PERSISTENCE, Capability.STREAMING),
    "concurrency": (Capability.TRANSACTIONS,),
    "durability": (Capability.PERSISTENCE,),
    "faults": (Capability.TRANSACTIONS,),
    "performance": (Capability.RANGE_FILTERS, Capability.FIELD_ORDER),
}


@dataclass(frozen=True, slots=True)
class Coming:
    """A promise that belongs to a profile and has no clause yet, and why."""

    profile: Profile
    promise: str
    reason: str


COMING: Final[tuple[Coming, ...]] = (
    Coming(
        "performance",
        "Reads and batches cost little more than the driver used by hand.",
        "the suite sees a store, not the driver below it; the benchmarks compare the two",
    ),
    Coming("core", "What a synchronous store does, an asynchronous one does too.", "there is no asynchronous store"),
    Coming(
        "backup",
        "A portable backup of every installed backend restores into every other one.",
        "one run sees one backend",
    ),
    Coming(
        "backup",
        "Stores that older versions wrote can be opened.",
        "no older version has been released; their portable backups are read (BAK-014)",
    ),
)


def essentials(profile: str) -> frozenset[str]:
    """The names of the capabilities without which the profile can't be measured."""
    found = {name: needed for name, needed in ESSENTIAL.items() if name == profile}
    return frozenset(capability.value for needed in found.values() for capability in needed)
