"""One storage library for IoT applications: it starts as one SQLite file and grows to a cluster by changing a URL.

::

    with iotstore.open("sqlite:///home.db") as store:
        store.devices.put(Device(key="cam-1", name="Front camera"))

``iotstore.backend`` is the door for authors of backends.
"""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotstore._catalogue.backup import Backup
    from iotstore._catalogue.retention import PruneLine
    from iotstore._clock import Clock, ManualClock, SystemClock
    from iotstore._domains.admin import Health, Statistics
    from iotstore._domains.alerts import AlertDay, AlertView, Incident, ScoreBin
    from iotstore._domains.connections import Bandwidth, HeatCell, TrafficBucket
    from iotstore._domains.devices import Traffic
    from iotstore._domains.home import HomePage
    from iotstore._domains.telemetry import Bucket, PointColumns
    from iotstore._engine.changes import Change
    from iotstore._engine.collection import Collection
    from iotstore._engine.receipts import Receipt
    from iotstore._engine.transaction import Transaction
    from iotstore._graph.results import (
        BlastRadius,
        GraphPath,
        Neighbour,
        Node,
        PatternAlerts,
        Relationship,
        Score,
        Subgraph,
    )
    from iotstore._kinds.alerts import Alert, AlertStatus, Severity, Suppression, ThreatPattern
    from iotstore._kinds.estate import Device, Group, Location, Membership, Owner
    from iotstore._kinds.fields import Address, Bytes, Duration, Flag, Int, Json, Mac, Real, Tags, Text, Time
    from iotstore._kinds.kind import Kind, Record, Retention, Tracked
    from iotstore._kinds.network import Connection
    from iotstore._kinds.projecting import DeadLetter
    from iotstore._kinds.relating import SELF, Relates
    from iotstore._kinds.relations import Contact, Relation
    from iotstore._kinds.steps import Drop, Rename, RenameKind, Transform
    from iotstore._kinds.system import Setting
    from iotstore._kinds.telemetry import Metric, Point, Series
    from iotstore._projection.comparing import Compared
    from iotstore._projection.projection import Projection
    from iotstore._projection.status import ProjectionStatus
    from iotstore._projection.verifying import Comparison, Difference
    from iotstore._query.expressions import FieldName, Where, field
    from iotstore._query.grouping import count, count_distinct, every, max_, mean, min_, part, sum_
    from iotstore._query.paging import Page
    from iotstore._registry import BackendInfo
    from iotstore._registry import installed_backends as backends
    from iotstore._waist.capabilities import Capability, Durability
    from iotstore._waist.layout import Merge, OnDelete
    from iotstore.errors import (
        BackendUnavailable,
        BackupError,
        BatchRejected,
        Busy,
        ConfigurationError,
        Conflict,
        Corrupt,
        Damaged,
        Diverged,
        EngineError,
        Failed,
        IdempotencyConflict,
        InvalidValue,
        Lagging,
        LimitExceeded,
        MigrationNeeded,
        NewerSchema,
        NotAllowed,
        NotAStore,
        NotFound,
        Overflow,
        ReadOnly,
        Refused,
        Rejected,
        StillReferenced,
        StorageFull,
        StoreError,
        UnknownReference,
        Unreachable,
        Unsupported,
        VersionConflict,
    )
    from iotstore.hookspecs import hookimpl
    from iotstore.store import Store
    from iotstore.store import copy_store as copy
    from iotstore.store import open_store as open  # noqa: A004 - as pathlib and tarfile do
    from iotstore.store import restore_store as restore

# Where each public name lives. It is imported at its first use, so that a script pays for what it uses only.
_HOME = {
    "Address": "iotstore._kinds.fields:Address",
    "Alert": "iotstore._kinds.alerts:Alert",
    "AlertDay": "iotstore._domains.alerts:AlertDay",
    "AlertStatus": "iotstore._kinds.alerts:AlertStatus",
    "AlertView": "iotstore._domains.alerts:AlertView",
    "BackendInfo": "iotstore._registry:BackendInfo",
    "BackendUnavailable": "iotstore.errors:BackendUnavailable",
    "Backup": "iotstore._catalogue.backup:Backup",
    "BackupError": "iotstore.errors:BackupError",
    "Bandwidth": "iotstore._domains.connections:Bandwidth",
    "BatchRejected": "iotstore.errors:BatchRejected",
    "BlastRadius": "iotstore._graph.results:BlastRadius",
    "Bucket": "iotstore._domains.telemetry:Bucket",
    "Busy": "iotstore.errors:Busy",
    "Bytes": "iotstore._kinds.fields:Bytes",
    "Capability": "iotstore._waist.capabilities:Capability",
    "Change": "iotstore._engine.changes:Change",
    "Clock": "iotstore._clock:Clock",
    "Collection": "iotstore._engine.collection:Collection",
    "Compared": "iotstore._projection.comparing:Compared",
    "Comparison": "iotstore._projection.verifying:Comparison",
    "ConfigurationError": "iotstore.errors:ConfigurationError",
    "Conflict": "iotstore.errors:Conflict",
    "Connection": "iotstore._kinds.network:Connection",
    "Contact": "iotstore._kinds.relations:Contact",
    "Corrupt": "iotstore.errors:Corrupt",
    "Damaged": "iotstore.errors:Damaged",
    "DeadLetter": "iotstore._kinds.projecting:DeadLetter",
    "Device": "iotstore._kinds.estate:Device",
    "Difference": "iotstore._projection.verifying:Difference",
    "Diverged": "iotstore.errors:Diverged",
    "Drop": "iotstore._kinds.steps:Drop",
    "Durability": "iotstore._waist.capabilities:Durability",
    "Duration": "iotstore._kinds.fields:Duration",
    "EngineError": "iotstore.errors:EngineError",
    "Failed": "iotstore.errors:Failed",
    "FieldName": "iotstore._query.expressions:FieldName",
    "Flag": "iotstore._kinds.fields:Flag",
    "GraphPath": "iotstore._graph.results:GraphPath",
    "Group": "iotstore._kinds.estate:Group",
    "Health": "iotstore._domains.admin:Health",
    "HeatCell": "iotstore._domains.connections:HeatCell",
    "HomePage": "iotstore._domains.home:HomePage",
    "IdempotencyConflict": "iotstore.errors:IdempotencyConflict",
    "Incident": "iotstore._domains.alerts:Incident",
    "Int": "iotstore._kinds.fields:Int",
    "InvalidValue": "iotstore.errors:InvalidValue",
    "Json": "iotstore._kinds.fields:Json",
    "Kind": "iotstore._kinds.kind:Kind",
    "Lagging": "iotstore.errors:Lagging",
    "LimitExceeded": "iotstore.errors:LimitExceeded",
    "Location": "iotstore._kinds.estate:Location",
    "Mac": "iotstore._kinds.fields:Mac",
    "ManualClock": "iotstore._clock:ManualClock",
    "Membership": "iotstore._kinds.estate:Membership",
    "Merge": "iotstore._waist.layout:Merge",
    "Metric": "iotstore._kinds.telemetry:Metric",
    "MigrationNeeded": "iotstore.errors:MigrationNeeded",
    "Neighbour": "iotstore._graph.results:Neighbour",
    "NewerSchema": "iotstore.errors:NewerSchema",
    "Node": "iotstore._graph.results:Node",
    "NotAStore": "iotstore.errors:NotAStore",
    "NotAllowed": "iotstore.errors:NotAllowed",
    "NotFound": "iotstore.errors:NotFound",
    "OnDelete": "iotstore._waist.layout:OnDelete",
    "Overflow": "iotstore.errors:Overflow",
    "Owner": "iotstore._kinds.estate:Owner",
    "Page": "iotstore._query.paging:Page",
    "PatternAlerts": "iotstore._graph.results:PatternAlerts",
    "Point": "iotstore._kinds.telemetry:Point",
    "PointColumns": "iotstore._domains.telemetry:PointColumns",
    "Projection": "iotstore._projection.projection:Projection",
    "ProjectionStatus": "iotstore._projection.status:ProjectionStatus",
    "PruneLine": "iotstore._catalogue.retention:PruneLine",
    "ReadOnly": "iotstore.errors:ReadOnly",
    "Real": "iotstore._kinds.fields:Real",
    "Receipt": "iotstore._engine.receipts:Receipt",
    "Record": "iotstore._kinds.kind:Record",
    "Refused": "iotstore.errors:Refused",
    "Rejected": "iotstore.errors:Rejected",
    "Relates": "iotstore._kinds.relating:Relates",
    "Relation": "iotstore._kinds.relations:Relation",
    "Relationship": "iotstore._graph.results:Relationship",
    "Rename": "iotstore._kinds.steps:Rename",
    "RenameKind": "iotstore._kinds.steps:RenameKind",
    "Retention": "iotstore._kinds.kind:Retention",
    "SELF": "iotstore._kinds.relating:SELF",
    "Score": "iotstore._graph.results:Score",
    "ScoreBin": "iotstore._domains.alerts:ScoreBin",
    "Series": "iotstore._kinds.telemetry:Series",
    "Setting": "iotstore._kinds.system:Setting",
    "Severity": "iotstore._kinds.alerts:Severity",
    "Statistics": "iotstore._domains.admin:Statistics",
    "StillReferenced": "iotstore.errors:StillReferenced",
    "StorageFull": "iotstore.errors:StorageFull",
    "Store": "iotstore.store:Store",
    "StoreError": "iotstore.errors:StoreError",
    "Subgraph": "iotstore._graph.results:Subgraph",
    "Suppression": "iotstore._kinds.alerts:Suppression",
    "SystemClock": "iotstore._clock:SystemClock",
    "Tags": "iotstore._kinds.fields:Tags",
    "Text": "iotstore._kinds.fields:Text",
    "ThreatPattern": "iotstore._kinds.alerts:ThreatPattern",
    "Time": "iotstore._kinds.fields:Time",
    "Tracked": "iotstore._kinds.kind:Tracked",
    "Traffic": "iotstore._domains.devices:Traffic",
    "TrafficBucket": "iotstore._domains.connections:TrafficBucket",
    "Transaction": "iotstore._engine.transaction:Transaction",
    "Transform": "iotstore._kinds.steps:Transform",
    "UnknownReference": "iotstore.errors:UnknownReference",
    "Unreachable": "iotstore.errors:Unreachable",
    "Unsupported": "iotstore.errors:Unsupported",
    "VersionConflict": "iotstore.errors:VersionConflict",
    "Where": "iotstore._query.expressions:Where",
    "backends": "iotstore._registry:installed_backends",
    "copy": "iotstore.store:copy_store",
    "count": "iotstore._query.grouping:count",
    "count_distinct": "iotstore._query.grouping:count_distinct",
    "every": "iotstore._query.grouping:every",
    "field": "iotstore._query.expressions:field",
    "hookimpl": "iotstore.hookspecs:hookimpl",
    "max_": "iotstore._query.grouping:max_",
    "mean": "iotstore._query.grouping:mean",
    "min_": "iotstore._query.grouping:min_",
    "open": "iotstore.store:open_store",
    "part": "iotstore._query.grouping:part",
    "restore": "iotstore.store:restore_store",
    "sum_": "iotstore._query.grouping:sum_",
}

__all__ = [
    "SELF",
    "Address",
    "Alert",
    "AlertDay",
    "AlertStatus",
    "AlertView",
    "BackendInfo",
    "BackendUnavailable",
    "Backup",
    "BackupError",
    "Bandwidth",
    "BatchRejected",
    "BlastRadius",
    "Bucket",
    "Busy",
    "Bytes",
    "Capability",
    "Change",
    "Clock",
    "Collection",
    "Compared",
    "Comparison",
    "ConfigurationError",
    "Conflict",
    "Connection",
    "Contact",
    "Corrupt",
    "Damaged",
    "DeadLetter",
    "Device",
    "Difference",
    "Diverged",
    "Drop",
    "Durability",
    "Duration",
    "EngineError",
    "Failed",
    "FieldName",
    "Flag",
    "GraphPath",
    "Group",
    "Health",
    "HeatCell",
    "HomePage",
    "IdempotencyConflict",
    "Incident",
    "Int",
    "InvalidValue",
    "Json",
    "Kind",
    "Lagging",
    "LimitExceeded",
    "Location",
    "Mac",
    "ManualClock",
    "Membership",
    "Merge",
    "Metric",
    "MigrationNeeded",
    "Neighbour",
    "NewerSchema",
    "Node",
    "NotAStore",
    "NotAllowed",
    "NotFound",
    "OnDelete",
    "Overflow",
    "Owner",
    "Page",
    "PatternAlerts",
    "Point",
    "PointColumns",
    "Projection",
    "ProjectionStatus",
    "PruneLine",
    "ReadOnly",
    "Real",
    "Receipt",
    "Record",
    "Refused",
    "Rejected",
    "Relates",
    "Relation",
    "Relationship",
    "Rename",
    "RenameKind",
    "Retention",
    "Score",
    "ScoreBin",
    "Series",
    "Setting",
    "Severity",
    "Statistics",
    "StillReferenced",
    "StorageFull",
    "Store",
    "StoreError",
    "Subgraph",
    "Suppression",
    "SystemClock",
    "Tags",
    "Text",
    "ThreatPattern",
    "Time",
    "Tracked",
    "Traffic",
    "TrafficBucket",
    "Transaction",
    "Transform",
    "UnknownReference",
    "Unreachable",
    "Unsupported",
    "VersionConflict",
    "Where",
    "backends",
    "copy",
    "count",
    "count_distinct",
    "every",
    "field",
    "hookimpl",
    "max_",
    "mean",
    "min_",
    "open",
    "part",
    "restore",
    "sum_",
]


def __getattr__(name: str) -> object:
    home = _HOME.get(name)
    if home is None:
        raise AttributeError(f"module 'iotstore' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    value = globals()[name] = getattr(_import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
