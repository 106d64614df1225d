"""Files that are cut, damaged, foreign, locked, full or read-only: a typed error in time, and nothing half done."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from iotstore import Busy, Damaged, Device, ReadOnly, StorageFull, Store, StoreError, Unreachable, count
from iotstore.backend import Capability
from iotstore_conformance.applicable import bound_by_permissions, file_of, not_run
from iotstore_conformance.kinds import CELLS, SAMPLES, Sample
from iotstore_conformance.registry import clause
from iotstore_conformance.seeding import current_seed
from iotstore_conformance.stage import Stage
from iotstore_conformance.threads import in_thread
from iotstore_conformance.troubling import BATCH, filled_by_child, locked_by_child

_NEEDS = [Capability.PERSISTENCE]
_RECORDS = 300
_SECONDS = 30.0
_FLIPS = {"fast": 12, "full": 300}


def _filled(stage: Stage) -> tuple[Path, bytes]:
    """A closed store with records, and what its file holds."""
    file = file_of(stage)
    # Some engines share one open file inside a process, and would never look at what it is replaced by.
    stage.store.close()
    with stage.open() as store:
        store.records(SAMPLES).add_many([Sample(key=f"k{n}", text="x" * 200, number=n) for n in range(_RECORDS)])
    return file, file.read_bytes()


def _in_time(work: Callable[[], object]) -> object:
    began = time.monotonic()
    result = work()
    assert time.monotonic() - began < _SECONDS
    return result


def _read_all(stage: Stage) -> int | type[StoreError]:
    """How many records a store gives that is opened now, or the class of the error that opening or reading raised."""

    def read() -> int | type[StoreError]:
        try:
            with stage.open() as store:
                return len(store.records(SAMPLES).list())
        except StoreError as error:
            return type(error)

    found = _in_time(read)
    assert isinstance(found, int | type)
    return found


@clause("BRK-001", profile="faults", requires="embedded", needs=_NEEDS)
def a_cut_file_is_refused(stage: Stage) -> None:
    """A store whose file was cut anywhere MUST raise Damaged rather than answer with fewer records, never be taken
    for an empty one, and be readable again once the whole file is back."""
    file, whole = _filled(stage)
    for part in (0.9, 0.5, 0.1, 0.001):
        file.write_bytes(whole[: int(len(whole) * part)])
        found = _read_all(stage)
        # What was cut may be nothing that the question needs; then the answer is whole.
        damaged = isinstance(found, type) and issubclass(found, Damaged)
        assert damaged or found == _RECORDS, f"{found} of a file cut to {part:.1%}"
    file.write_bytes(whole)
    assert _read_all(stage) == _RECORDS


@clause("BRK-002", profile="faults", requires="embedded", needs=_NEEDS, deep=True)
def flipped_bits_are_no_surprise(stage: Stage) -> None:
    """A store in whose file bits are flipped MUST answer, or raise an error of this library, in bounded time, and
    never be taken for an empty one."""
    file, whole = _filled(stage)
    chance = random.Random(current_seed())  # noqa: S311 - seeded on purpose
    for turn in range(_FLIPS[stage.effort]):
        damaged = bytearray(whole)
        # The beginning of a file is what an engine trusts most: every third flip is there.
        end = 200 if turn % 3 == 0 else len(whole)
        damaged[chance.randrange(end)] ^= 1 << chance.randrange(8)
        file.write_bytes(damaged)
        assert _read_all(stage) != 0
    file.write_bytes(whole)
    assert _read_all(stage) == _RECORDS


@clause("BRK-003", profile="faults", requires="embedded", needs=_NEEDS)
def a_foreign_file_is_left_alone(stage: Stage) -> None:
    """A file that is no store MUST be refused as damaged and not be changed by a byte."""
    file, _ = _filled(stage)
    for foreign in (b"a letter to Ann\n" * 500, bytes(range(256)) * 64):
        file.write_bytes(foreign)
        with pytest.raises(Damaged, match=r"."):
            stage.open()
        assert file.read_bytes() == foreign


@clause(
    "BRK-004",
    profile="faults",
    requires="embedded",
    needs=[*_NEEDS, Capability.MANY_PROCESSES, Capability.TRANSACTIONS],
)
def a_lock_of_another_process_is_told(stage: Stage) -> None:
    """While another process holds the store in a transaction, a write MUST raise Busy in bounded time and say that
    retrying can help; afterwards the same write succeeds."""
    file_of(stage)
    stage.store.devices.count()
    hurried = _hurried(stage)
    with locked_by_child(stage.harness.name, stage.url()):
        with pytest.raises(Busy, match=r".") as caught:
            _in_time(lambda: hurried.devices.add(Device(key="a")))
        assert caught.value.retryable
        assert hurried.devices.count() == 0
    hurried.devices.add(Device(key="a"))
    assert [device.key for device in stage.store.devices.list()] == ["a"]


def _hurried(stage: Stage) -> Store:
    """A store that doesn't wait long for a lock, where the backend has that option."""
    try:
        return stage.open(busy_timeout=0.2)
    except StoreError:
        return stage.open()


@clause("BRK-005", profile="faults", requires="embedded", needs=_NEEDS)
def a_full_disk_is_told(stage: Stage) -> None:
    """When no room is left a write MUST raise Failed, keep what was acknowledged and nothing of the batch that
    failed, and the same open store be able to write when there is room again."""
    file_of(stage)
    stage.store.close()  # some engines admit one process to a file
    name, bases, acknowledged, later = filled_by_child(stage.harness.name, stage.url())
    assert "Failed" in bases.split(","), f"running out of room raised {name}"
    rows = stage.reopen().records(CELLS).aggregate({"n": count()}, by=["room"])
    sizes = {str(row["room"]): row["n"] for row in rows}
    assert set(sizes.values()) <= {BATCH}
    assert len(sizes) == acknowledged + later


@clause("BRK-006", profile="faults", requires="embedded", needs=_NEEDS)
def a_read_only_place_is_told(stage: Stage) -> None:
    """A store whose file and folder may not be written MUST raise ReadOnly or Unreachable by the first write at the
    latest, change nothing, and take writes again when it may be written."""
    file, whole = _filled(stage)
    folder = file.parent
    before = {path: path.stat().st_mode for path in (file, folder)}

    def write() -> None:
        with bound_by_permissions(), stage.open() as store:
            store.devices.add(Device(key="a"))

    file.chmod(0o444)
    folder.chmod(0o555)
    try:
        with pytest.raises((ReadOnly, Unreachable), match=r"."):
            in_thread(lambda: _in_time(write))
    finally:
        for path, mode in before.items():
            path.chmod(mode)
    assert file.read_bytes() == whole
    with stage.open() as store:
        store.devices.add(Device(key="a"))
        assert store.records(SAMPLES).count() == _RECORDS


@clause("BRK-007", profile="faults", requires="embedded", needs=_NEEDS)
def no_room_has_a_name(stage: Stage) -> None:
    """A write for which its place has no room MUST raise StorageFull and say that retrying can help, leave nothing of
    its batch, keep all that was acknowledged readable, and be possible again when there is room."""
    if stage.harness.full is None:
        not_run("the harness can't take the room of a store away (full=)")
    samples, acknowledged = stage.store.records(SAMPLES), 0
    with stage.harness.full(stage.store):
        with pytest.raises(StorageFull, match=r".") as caught:  # noqa: PT012 - how many fit is not known before
            while acknowledged < _RECORDS:
                samples.add_many([_large(acknowledged, n) for n in range(5)])
                acknowledged += 1
        assert caught.value.retryable
        assert samples.count() == acknowledged * 5
    samples.add_many([_large(acknowledged, n) for n in range(5)])
    assert samples.count() == stage.reopen().records(SAMPLES).count() == (acknowledged + 1) * 5


def _large(batch: int, number: int) -> Sample:
    return Sample(key=f"{batch}-{number}", text="x" * 20_000)
