"""Rotation: the newest proven backups stay, whatever else lies in the folder."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import iotstore
from iotstore import Backup, ManualClock
from iotstore._catalogue import files
from iotstore.errors import InvalidValue


@pytest.fixture
def small(open_store: Callable[..., iotstore.Store]) -> iotstore.Store:
    """A store with next to nothing in it."""
    store = open_store("small.db")
    store.settings.set("a", 1)
    return store


def series(store: iotstore.Store, clock: ManualClock, count: int, folder: Path | None = None) -> list[Backup]:
    """Backups a second apart, oldest first, of both formats in turn."""
    made = []
    for number in range(count):
        made.append(store.backups.create(folder, format="portable" if number % 2 else "native"))
        clock.advance(timedelta(seconds=1))
    return made


@pytest.fixture
def six(small: iotstore.Store, clock: ManualClock) -> list[Backup]:
    """Six backups, oldest first."""
    return series(small, clock, 6)


def damage(backup: Backup, how: str) -> None:
    """Do to a backup what happens to files."""
    if how == "flipped":
        content = bytearray(backup.path.read_bytes())
        content[100] ^= 1  # where no quick look comes by
        backup.path.write_bytes(bytes(content))
    elif how == "cut":
        backup.path.write_bytes(backup.path.read_bytes()[:-1])
    elif how == "emptied":
        backup.path.write_bytes(b"")
    elif how == "manifest":
        if backup.format == "native":
            files.manifest_of(backup.path).unlink()
        else:
            backup.path.write_bytes(b"x" + backup.path.read_bytes()[1:])


def test_rotation_keeps_the_newest_and_returns_what_it_removed(small: iotstore.Store, clock: ManualClock) -> None:
    made = series(small, clock, 5)

    assert small.backups.rotate(keep=2) == [backup.path for backup in reversed(made[:3])]
    assert small.backups.list() == list(reversed(made[3:]))
    assert len(list(made[0].path.parent.iterdir())) == 3  # one native with its manifest, one portable


def test_rotation_with_fewer_than_it_keeps_removes_nothing(small: iotstore.Store, clock: ManualClock) -> None:
    made = series(small, clock, 2)

    assert small.backups.rotate(keep=7) == []
    assert len(small.backups.list()) == len(made)


def test_rotation_never_removes_the_last_good_backup_for_newer_bad_ones(
    small: iotstore.Store, clock: ManualClock
) -> None:
    good, *bad = series(small, clock, 5)
    for backup, how in zip(bad, ["flipped", "cut", "emptied", "manifest"], strict=True):
        damage(backup, how)

    assert small.backups.rotate(keep=1) == []
    assert good in small.backups.list()
    assert small.backups.verify(good.path) == good


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(states=["good", "good", "flipped"], keep=1)
@example(states=["good", "flipped", "flipped", "flipped"], keep=2)
@given(
    states=st.lists(st.sampled_from(["good", "good", "flipped", "cut", "emptied", "manifest", "renamed"]), max_size=6),
    keep=st.integers(1, 4),
)
def test_rotation_keeps_exactly_the_newest_whole_backups_and_every_file_it_does_not_know(
    small: iotstore.Store, six: list[Backup], tmp_path: Path, states: list[str], keep: int
) -> None:
    folder = tmp_path / "rotated"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(six[0].path.parent, folder)
    made = [replace(backup, path=folder / backup.path.name) for backup in six]
    for backup in made[len(states) :]:
        backup.path.unlink()
        files.manifest_of(backup.path).unlink(missing_ok=True)
    made = made[: len(states)]
    (folder / "notes.txt").write_text("mine")
    (folder / "iotstore-of-mine.sqlite").write_text("mine")
    for backup, state in zip(made, states, strict=True):
        damage(backup, state)
        if state == "renamed":
            for file in list(folder.glob(f"{backup.path.stem}.*")):
                file.rename(file.with_name(file.name.replace(backup.path.stem, f"keep-{made.index(backup)}")))
    before = {path.name for path in folder.iterdir()}

    removed = small.backups.rotate(folder, keep=keep)

    whole = [backup.path for backup, state in zip(made, states, strict=True) if state == "good"]
    gone = before - {path.name for path in folder.iterdir()}
    for path in whole[-keep:]:
        assert small.backups.verify(path).proven
    assert set(whole[:-keep]) <= set(removed)
    # What was removed beside those looked whole, was older than all that are kept, and is named in the answer.
    assert gone == {name for path in removed for name in (path.name, files.manifest_of(path).name) if name in before}
    if removed:
        assert len(whole) >= keep
        assert max(path.name for path in removed) < min(path.name for path in whole[-keep:])
    assert {"notes.txt", "iotstore-of-mine.sqlite"} <= {path.name for path in folder.iterdir()}
    assert all(path.stem.startswith("iotstore-2026") for path in removed)


def test_a_manifest_that_a_crash_left_alone_is_swept(small: iotstore.Store) -> None:
    kept, lost = (small.backups.create() for _ in range(2))
    lost.path.unlink()

    assert small.backups.rotate() == [files.manifest_of(lost.path)]
    assert small.backups.list() == [kept]


def test_a_folder_that_does_not_exist_has_no_backups(small: iotstore.Store, tmp_path: Path) -> None:
    assert small.backups.list(tmp_path / "nowhere") == []
    assert small.backups.rotate(tmp_path / "nowhere") == []
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("keep", [0, -1, True, 1.0, None])
def test_a_rotation_that_would_keep_none_is_refused(small: iotstore.Store, keep: object) -> None:
    made = small.backups.create()

    with pytest.raises(InvalidValue, match="keep"):
        small.backups.rotate(keep=keep)  # type: ignore[arg-type]
    assert small.backups.list() == [made]


def test_a_clock_that_was_set_back_orders_by_what_the_manifests_say(small: iotstore.Store, clock: ManualClock) -> None:
    later = small.backups.create()
    clock.advance(timedelta(days=-1))
    earlier = small.backups.create()

    assert small.backups.list() == [later, earlier]
