"""Backups: taken while writers write, proven, rotated, restored, portable."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Alert, BackupError, Conflict, Connection, Device, Group, Metric, NotAllowed, Point, Store
from iotstore.backend import Capability
from iotstore_conformance.kinds import CELLS, LEAVES, SAMPLES, Cell, Leaf, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.samples import HARD_TEXTS
from iotstore_conformance.stage import NOON, Stage, later

_NATIVE = [Capability.PERSISTENCE, Capability.NATIVE_BACKUP]
_PORTABLE = [Capability.PERSISTENCE]


def _fill(stage: Stage) -> None:
    """A record of every kind and points of every type."""
    store = stage.store
    store.groups.add(Group(key="g"))
    for number, text in enumerate(HARD_TEXTS):
        store.devices.add(Device(key=f"d{number}", name=text[:200], notes=text, metadata={"n": [1, 1.0, text]}))
    store.groups.add_device("g", "d1")
    store.connections.add_many([Connection(device="d0", time=later(seconds=n), bytes_sent=2**62) for n in range(5)])
    store.alerts.raise_(Alert(kind="k", title="t", device="d0", score=0.25))
    store.alerts.suppress("d1", stage.clock.now() - NOON or later(hours=1) - NOON, reason="x")
    store.settings.set("s", {"deep": [None, 2**63 - 1]})
    store.records(SAMPLES).add(Sample(key="a", data=bytes(range(256)), tags=frozenset({"x", "y"}), real=5e-324))
    store.records(CELLS).add(Cell(room="a", number=-(2**63)))
    store.records(LEAVES).add_many([Leaf(keep="a"), Leaf(code="c")], idempotency_key="k")
    if store.capabilities.has(Capability.SERIES):
        store.telemetry.define(Metric(name="m1", type="int64"))
        values: list[Any] = [1.5, 2**63 - 1, True, "on \U0001f600"]
        for number, value in enumerate(values):
            store.telemetry.write([Point("d0", f"m{number}", later(seconds=n), value) for n in range(3)])


def _state(store: Store) -> dict[str, object]:
    """Everything that the store holds, by collection."""
    collections: list[Any] = [store.groups, store.devices, store.connections, store.alerts]
    collections += [store.records(kind) for kind in (SAMPLES, CELLS, LEAVES)]
    found: dict[str, object] = {str(number): collection.list() for number, collection in enumerate(collections)}
    found["settings"] = store.settings.all()
    found["members"] = store.groups.members("g")
    if store.capabilities.has(Capability.SERIES):
        found["points"] = [store.telemetry.range("d0", f"m{n}", NOON, later(days=1)) for n in range(4)]
        found["latest"] = store.telemetry.latest("d0")
    return found


def _round_trip(stage: Stage, format_: str) -> None:
    _fill(stage)
    before = _state(stage.store)
    backup = stage.store.backups.create(stage.folder(), format=format_)  # type: ignore[arg-type]  # one of two words
    target = stage.new_place()
    iotstore.restore(backup.path, stage.url(target))
    restored = stage.open(target)
    assert _state(restored) == before
    new = restored.records(LEAVES).add(Leaf()).id
    assert new not in {leaf.id for leaf in stage.store.records(LEAVES).list()}
    assert restored.records(LEAVES).add_many([Leaf(keep="a"), Leaf(code="c")], idempotency_key="k").replayed


@clause("BAK-001", profile="backup", needs=_NATIVE)
def native_backups_hold_everything(stage: Stage) -> None:
    """A native backup restored to an empty place MUST give every record, point, setting, claim and counter back."""
    _round_trip(stage, "native")


@clause("BAK-002", profile="backup", needs=_PORTABLE)
def portable_backups_hold_everything(stage: Stage) -> None:
    """A portable backup restored to an empty place MUST give every record, point, setting, claim and counter back."""
    _round_trip(stage, "portable")


@clause("BAK-003", profile="backup", needs=_PORTABLE)
def backups_never_collide(stage: Stage) -> None:
    """Backups taken at the same instant, or at once by several threads, MUST each have a place of their own."""
    folder = stage.folder()
    stage.devices("a")
    first = stage.store.backups.create(folder, format="portable")
    results: list[Path] = []
    threads = [
        threading.Thread(target=lambda: results.append(stage.store.backups.create(folder, format="portable").path))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    paths = {first.path, *results}
    assert len(paths) == 3
    assert {backup.path for backup in stage.store.backups.list(folder)} == paths
    for path in results:
        stage.store.backups.verify(path)


@clause("BAK-004", profile="backup", needs=_PORTABLE)
def damaged_backups_are_found(stage: Stage) -> None:
    """Verifying a backup MUST find every changed byte and every missing part; size alone proves nothing."""
    _fill(stage)
    backup = stage.store.backups.create(stage.folder(), format="portable")
    files = sorted(path for path in _files(Path(backup.path)) if path.stat().st_size)
    for path in files:
        content = path.read_bytes()
        middle = len(content) // 2
        for broken in (content[:middle], content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]):
            path.write_bytes(broken)
            with pytest.raises(BackupError, match=r"."):
                stage.store.backups.verify(backup.path)
        path.write_bytes(content)
    stage.store.backups.verify(backup.path)


def _files(path: Path) -> list[Path]:
    return [path] if path.is_file() else [item for item in path.rglob("*") if item.is_file()]


@clause("BAK-005", profile="backup", needs=_PORTABLE)
def damaged_backups_are_not_restored(stage: Stage) -> None:
    """Restoring a damaged backup MUST be refused, and the target stay as it was, also where it was to be replaced."""
    _fill(stage)
    backup = stage.store.backups.create(stage.folder(), format="portable")
    largest = max(_files(Path(backup.path)), key=lambda path: path.stat().st_size)
    content = largest.read_bytes()
    largest.write_bytes(content[: len(content) // 2])
    target = stage.new_place()
    other = stage.open(target)
    other.devices.add(Device(key="kept"))
    other.close()
    with pytest.raises(BackupError, match=r"."):
        iotstore.restore(backup.path, stage.url(target), replace=True)
    assert [device.key for device in stage.open(target).devices.list()] == ["kept"]


@clause("BAK-006", profile="backup", needs=_PORTABLE)
def restores_replace_nothing_unasked(stage: Stage) -> None:
    """A restore into a store that holds something MUST be refused unless it is told to replace it; it never merges."""
    stage.devices("a")
    backup = stage.store.backups.create(stage.folder(), format="portable")
    target = stage.new_place()
    other = stage.open(target)
    other.devices.add(Device(key="b"))
    other.close()
    with pytest.raises((BackupError, Conflict, NotAllowed), match=r"."):
        iotstore.restore(backup.path, stage.url(target))
    assert [device.key for device in stage.open(target).devices.list()] == ["b"]


@clause("BAK-007", profile="backup", needs=_NATIVE)
def restores_replace_when_asked(stage: Stage) -> None:
    """A restore that is told to replace MUST leave exactly what the backup holds."""
    stage.devices("a")
    backup = stage.store.backups.create(stage.folder(), format="native")
    target = stage.new_place()
    other = stage.open(target)
    other.devices.add(Device(key="b"))
    other.close()
    iotstore.restore(backup.path, stage.url(target), replace=True)
    assert [device.key for device in stage.open(target).devices.list()] == ["a"]


@clause("BAK-008", profile="backup", needs=_PORTABLE)
def rotation_keeps_good_ones(stage: Stage) -> None:
    """Rotation MUST keep the newest good backups in the number asked, and never remove the last good one."""
    folder = stage.folder()
    stage.devices("a")
    made = []
    for _ in range(3):
        made.append(stage.store.backups.create(folder, format="portable").path)
        stage.clock.move(later(hours=1) - NOON)
    assert list(stage.store.backups.rotate(folder, keep=2)) == made[:1]
    largest = max(_files(Path(made[2])), key=lambda item: item.stat().st_size)
    largest.write_bytes(b"")
    stage.store.backups.rotate(folder, keep=1)
    assert Path(made[1]).exists()
    stage.store.backups.verify(made[1])


@clause("BAK-009", profile="backup", needs=_PORTABLE)
def backups_are_listed_with_what_they_hold(stage: Stage) -> None:
    """A backup MUST tell its time, format and label, and be listed newest first."""
    folder = stage.folder()
    stage.devices("a", "b")
    first = stage.store.backups.create(folder, format="portable", label="before-holiday")
    stage.clock.move(later(hours=1) - NOON)
    second = stage.store.backups.create(folder, format="portable")
    found = stage.store.backups.list(folder)
    assert [backup.path for backup in found] == [second.path, first.path]
    assert (found[1].label, found[1].format) == ("before-holiday", "portable")
    assert stage.store.backups.list(stage.folder()) == []


@clause("BAK-010", profile="backup", needs=[*_PORTABLE, Capability.SNAPSHOTS])
def backups_are_one_state(stage: Stage) -> None:
    """A backup taken while ten threads write MUST hold one committed state: no half of any transaction, and all from
    before it."""
    store = stage.store
    samples = store.records(SAMPLES)
    stop = threading.Event()
    pairs = [0] * 10
    failures: list[BaseException] = []

    def write(number: int) -> None:
        try:
            while not stop.is_set() and pairs[number] < 200:
                key = f"{number:02}-{pairs[number]:04}"
                with store.transaction():
                    samples.add(Sample(key=f"{key}-a"))
                    samples.add(Sample(key=f"{key}-b"))
                pairs[number] += 1
        except BaseException as error:  # noqa: BLE001 - told to the caller below
            failures.append(error)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(10)]
    for thread in threads:
        thread.start()
    before = list(pairs)
    try:
        backup = store.backups.create(stage.folder(), format="portable")
    finally:
        stop.set()
        for thread in threads:
            thread.join(60)
    assert failures == []
    target = stage.new_place()
    iotstore.restore(backup.path, stage.url(target))
    keys = {sample.key for sample in stage.open(target).records(SAMPLES).list()}
    assert all(key[:-1] + ("b" if key.endswith("a") else "a") in keys for key in keys)
    assert all(f"{number:02}-{n:04}-a" in keys for number in range(10) for n in range(before[number]))


@clause("BAK-011", profile="backup", needs=_PORTABLE)
def unknown_kinds_travel(stage: Stage) -> None:
    """Records of kinds whose code isn't loaded MUST be backed up and restored like all others, and never be dropped."""
    stage.store.records(SAMPLES).add(Sample(key="a", number=5))
    stage.store.close()
    stranger = stage.open(kinds=[])
    backup = stranger.backups.create(stage.folder(), format="portable")
    target = stage.new_place()
    iotstore.restore(backup.path, stage.url(target))
    assert [sample.number for sample in stage.open(target).records(SAMPLES).list()] == [5]


@clause("BAK-012", profile="backup", needs=_PORTABLE)
def copies_are_equal(stage: Stage) -> None:
    """A copy from one store to another MUST hold exactly what the first one holds."""
    _fill(stage)
    before = _state(stage.store)
    target = stage.new_place()
    iotstore.copy(stage.url(), stage.url(target))
    assert _state(stage.open(target)) == before
    assert _state(stage.store) == before


@clause("BAK-013", profile="backup", needs=_PORTABLE)
def what_is_no_backup_is_refused(stage: Stage) -> None:
    """Restoring from a path that holds no backup MUST raise BackupError that names it, and make no store."""
    folder = stage.folder()
    (folder / "not-a-backup").write_bytes(b"x" * 1000)
    for path in (folder / "not-a-backup", folder / "missing"):
        target = stage.new_place()
        with pytest.raises(BackupError, match=path.name):
            iotstore.restore(path, stage.url(target))
        assert stage.open(target).devices.count() == 0
