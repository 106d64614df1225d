"""A use of every capability that is an operation: what a backend without it has to refuse, through the store alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias

import iotstore
from iotstore import (
    Collection,
    Device,
    Drop,
    Kind,
    Metric,
    OnDelete,
    Owner,
    Point,
    Record,
    Rename,
    RenameKind,
    Store,
    Text,
    count,
    count_distinct,
    every,
    field,
    max_,
    part,
    sum_,
)
from iotstore.backend import Capability
from iotstore_conformance.kinds import LEAVES, SAMPLES, TALLIES, Leaf, Sample, Tally
from iotstore_conformance.stage import NOON, Stage, ago, later

Step: TypeAlias = Callable[[Stage], object]
WITNESS: Final = "witness"


@dataclass(frozen=True, slots=True)
class Probe:
    """*use* is what has to be refused. What *prepare* does before it is no use of the capability.

    A *schema* probe changes what kinds are: it needs the place for itself, and a store that outlives its closing.
    """

    use: Step
    prepare: Step = lambda stage: stage.devices(WITNESS)
    schema: bool = False


class _Pump(Record, frozen=True, kw_only=True):
    """A kind that will change."""

    key: Annotated[str, Text(40, min=1)]
    speed: int | None = None
    owner: Annotated[str | None, Text(120, min=1)] = None


class _WiderPump(_Pump, frozen=True, kw_only=True):
    """With one field more."""

    power: int | None = None


class _ShorterPump(Record, frozen=True, kw_only=True):
    """With one field less."""

    key: Annotated[str, Text(40, min=1)]
    owner: Annotated[str | None, Text(120, min=1)] = None


class _RenamedPump(_ShorterPump, frozen=True, kw_only=True):
    """With a field of another name."""

    velocity: int | None = None


class _LongerPump(_Pump, frozen=True, kw_only=True):
    """With room for a longer text."""

    owner: Annotated[str | None, Text(200, min=1)] = None


_NAME: Final = "suite_probe"
PUMPS: Final[Kind[Any]] = Kind(_Pump, _NAME, "key")


def alone(stage: Stage, kind: Kind[Any]) -> Store:
    """The stage's place with *kind* instead of the suite's, open once: not every backend opens it twice."""
    stage.store.close()
    return stage.open(kinds=[kind])


def _pump(stage: Stage) -> None:
    with alone(stage, PUMPS) as store:
        store.records(PUMPS).add(_Pump(key="a", speed=1))


def _schema(changed: Kind[Any]) -> Probe:
    return Probe(lambda stage: alone(stage, changed).close(), _pump, schema=True)


def _some(stage: Stage) -> None:
    samples = stage.store.records(SAMPLES)
    samples.add(Sample(key="a", number=1, when=NOON, text="long"))
    samples.add(Sample(key="b", number=2, when=later(days=1)))


def _asks(question: Callable[[Collection[Sample]], object]) -> Probe:
    return Probe(lambda stage: question(stage.store.records(SAMPLES)), _some)


def _wide(stage: Stage) -> None:
    samples = stage.store.records(SAMPLES)
    # Beyond 64 bits on the way, whether they are met by key or by size; the sum is small.
    for key, number in {"a": 2**63 - 1, "b": 2**63 - 1, "c": -(2**63), "d": -(2**63)}.items():
        samples.add(Sample(key=key, number=number))


def _owner(stage: Stage) -> None:
    stage.store.owners.add(Owner(key="o"))


def _transaction(stage: Stage) -> None:
    with stage.store.transaction():
        stage.store.devices.add(Device(key="refused"))


def _savepoint(stage: Stage) -> None:
    with stage.store.transaction():
        stage.store.devices.add(Device(key="refused"))
        with stage.store.transaction():
            stage.store.devices.add(Device(key="refused too"))


def _snapshot(stage: Stage) -> None:
    with stage.store.snapshot() as frozen:
        frozen.devices.count()


def _points(stage: Stage) -> None:
    stage.devices(WITNESS)
    for number in range(2):
        stage.store.telemetry.write([Point(WITNESS, "temperature", later(seconds=number), 1.0)])


def _integers(stage: Stage) -> None:
    _points(stage)
    stage.store.telemetry.define(Metric(name="turns", type="int64"))


def _writes(metric: str, time: datetime, value: float | bool | str, **options: Any) -> Step:
    return lambda stage: stage.store.telemetry.write([Point(WITNESS, metric, time, value)], **options)


def _together(stage: Stage) -> None:
    with stage.store.transaction():
        _writes("temperature", later(seconds=5), 1.0)(stage)


def _frozen_points(stage: Stage) -> None:
    with stage.store.snapshot() as frozen:
        frozen.telemetry.latest(WITNESS)


def _mean_over_time(stage: Stage) -> None:
    stage.store.telemetry.aggregate(
        WITNESS, "temperature", every="1h", start=NOON, end=later(hours=2), functions=["time_weighted_mean"]
    )


def _native_backup(stage: Stage) -> None:
    stage.store.backups.create(stage.folder(), format="native")


def _native_restore(stage: Stage) -> None:
    backup = stage.store.backups.create(stage.folder(), format="native")
    iotstore.restore(backup.path, stage.url(stage.new_place()))


_first: Final = field("number") == 1

PROBES: Final[Mapping[Capability, Probe]] = {
    Capability.TRANSACTIONS: Probe(_transaction),
    Capability.SAVEPOINTS: Probe(_savepoint),
    Capability.SNAPSHOTS: Probe(_snapshot),
    Capability.RANGE_FILTERS: _asks(lambda samples: samples.list(field("number") > 1)),
    Capability.EXCLUSIONS: _asks(lambda samples: samples.list(field("key") != "a")),
    Capability.MISSING_FILTERS: _asks(lambda samples: samples.list(field("text").is_null())),
    Capability.ALTERNATIVES: _asks(lambda samples: samples.list((field("key") == "a") | (field("number") == 2))),
    Capability.TEXT_SEARCH: _asks(lambda samples: samples.list(field("text").contains("on"))),
    Capability.TAG_FILTERS: _asks(lambda samples: samples.list(field("tags").has_tag("x"))),
    Capability.FIELD_ORDER: _asks(lambda samples: samples.list(order=["number"])),
    Capability.DESCENDING_ORDER: _asks(lambda samples: samples.list(order=["-key"])),
    Capability.STREAMING: _asks(lambda samples: list(samples.stream())),
    Capability.GENERATED_IDS: Probe(lambda stage: stage.store.records(LEAVES).add(Leaf())),
    Capability.REFERENCES: Probe(lambda stage: stage.store.devices.add(Device(key="refused", owner="o")), _owner),
    Capability.UNIQUE_RULES: Probe(lambda stage: stage.store.records(LEAVES).add(Leaf(code="c"))),
    Capability.KEEP_EXISTING: _asks(lambda samples: samples.add_many([Sample(key="c")], on_conflict="keep")),
    Capability.MERGE_FILL: Probe(lambda stage: stage.store.records(TALLIES).put(Tally(key="t", filled=1))),
    Capability.MERGE_KEEP: Probe(lambda stage: stage.store.records(TALLIES).put(Tally(key="t", kept=1))),
    Capability.MERGE_EXTREMES: Probe(lambda stage: stage.store.records(TALLIES).put(Tally(key="t", least=1))),
    Capability.COMPARE_AND_SET: _asks(lambda samples: samples.update("a", expected=samples.get("a").version, number=9)),
    Capability.MASS_UPDATES: _asks(lambda samples: samples.update_where(_first, number=9)),
    Capability.MASS_DELETES: _asks(lambda samples: samples.delete_where(_first)),
    Capability.WIDE_INTEGERS: _asks(lambda samples: samples.add(Sample(key="c", number=2**53 + 1))),
    Capability.EMPTY_TEXTS: _asks(lambda samples: samples.add(Sample(key="c", text=""))),
    Capability.GROUPING: _asks(lambda samples: samples.aggregate({"n": count()}, by=["number"])),
    Capability.DISTINCT_COUNTS: _asks(lambda samples: samples.aggregate({"n": count_distinct("number")})),
    Capability.SUMS: _asks(lambda samples: samples.aggregate({"n": sum_("number")})),
    Capability.SPLIT_SUMS: Probe(lambda stage: stage.store.records(SAMPLES).aggregate({"n": sum_("number")}), _wide),
    Capability.EXTREMES: _asks(lambda samples: samples.aggregate({"n": max_("number")})),
    Capability.TIME_BUCKETS: _asks(
        lambda samples: samples.aggregate(
            {"n": count()}, by=[every("when", "day")], start=ago(days=1), end=later(days=2)
        )
    ),
    Capability.CALENDAR_PARTS: _asks(
        lambda samples: samples.aggregate(
            {"n": count()}, by=[part("when", "hour")], start=ago(days=1), end=later(days=2)
        )
    ),
    Capability.ADD_FIELDS: _schema(Kind(_WiderPump, _NAME, "key")),
    Capability.DROP_FIELDS: _schema(Kind(_ShorterPump, _NAME, "key", version=2, steps=[Drop(2, "speed")])),
    Capability.RENAME_FIELDS: _schema(
        Kind(_RenamedPump, _NAME, "key", version=2, steps=[Rename(2, "speed", "velocity")])
    ),
    Capability.ALTER_FIELDS: _schema(Kind(_LongerPump, _NAME, "key")),
    Capability.RENAME_KINDS: _schema(Kind(_Pump, "suite_moved", "key", version=2, steps=[RenameKind(2, _NAME)])),
    Capability.INDEX_CHANGES: _schema(Kind(_Pump, _NAME, "key", indexes=[["speed"]])),
    Capability.REFERENCE_CHANGES: _schema(
        Kind(_Pump, _NAME, "key", references={"owner": ("owner", OnDelete.RESTRICT)})
    ),
    Capability.SERIES: Probe(_writes("temperature", NOON, 1.0)),
    Capability.INTEGER_POINTS: Probe(_writes("turns", NOON, 1), _integers),
    Capability.BOOLEAN_POINTS: Probe(_writes("door", NOON, value=True), _points),
    Capability.TEXT_POINTS: Probe(_writes("state", NOON, "on"), _points),
    Capability.REPLACE_POINTS: Probe(_writes("temperature", NOON, 2.0, on_conflict="replace"), _points),
    Capability.STRICT_POINTS: Probe(_writes("temperature", later(hours=1), 2.0, on_conflict="error"), _points),
    Capability.LATE_POINTS: Probe(_writes("temperature", ago(hours=1), 2.0), _points),
    Capability.FINE_POINTS: Probe(_writes("temperature", later(hours=1, microseconds=1), 2.0), _points),
    Capability.FAR_POINTS: Probe(_writes("temperature", datetime(2300, 1, 1, tzinfo=UTC), 2.0), _points),
    Capability.ERASE_POINTS: Probe(lambda stage: stage.store.telemetry.delete(WITNESS, "temperature"), _points),
    Capability.REVERSE_SCANS: Probe(lambda stage: stage.store.telemetry.last(WITNESS, "temperature"), _points),
    Capability.POINTS_BEFORE: Probe(_mean_over_time, _points),
    Capability.POINT_COUNTS: Probe(lambda stage: stage.store.telemetry.count(WITNESS), _points),
    Capability.POINT_TRANSACTIONS: Probe(_together, _points),
    Capability.POINT_SNAPSHOTS: Probe(_frozen_points, _points),
    Capability.NATIVE_BACKUP: Probe(_native_backup),
    Capability.NATIVE_RESTORE: Probe(_native_restore),
    Capability.INTEGRITY_CHECK: Probe(lambda stage: stage.store.admin.verify()),
    Capability.OPTIMISATION: Probe(lambda stage: stage.store.admin.optimise()),
    Capability.COMPACTION: Probe(lambda stage: stage.store.admin.optimise(compact=True)),
    Capability.EXPLAIN: Probe(lambda stage: stage.store.explain(lambda reading: reading.devices.count())),
}
#: What is no call, but a promise about all of them, is refused by the declaration itself.
PROMISES: Final = frozenset(Capability) - frozenset(PROBES)
