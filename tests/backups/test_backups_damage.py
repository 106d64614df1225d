"""Damage: whatever happened to a backup's files, it is noticed before anything is touched."""

import shutil
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import iotstore
from iotstore import Backup
from iotstore._catalogue import files, portable
from iotstore._catalogue.manifest import Manifest, seal, unseal
from iotstore._catalogue.restoring import verify
from iotstore.errors import BackupError, NotAllowed

pytestmark = pytest.mark.once

FORMATS = ["native", "portable"]
# The fixtures stay for all examples; each example works on bytes of its own.
ON_FIXTURES = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)


@pytest.fixture(params=FORMATS)
def backup(store: iotstore.Store, request: pytest.FixtureRequest) -> Backup:
    """A good backup of each format."""
    return store.backups.create(format=request.param)


@pytest.fixture
def portable_backup(store: iotstore.Store) -> Backup:
    """A good portable backup."""
    return store.backups.create(format="portable")


@ON_FIXTURES
@given(data=st.data())
def test_any_flipped_byte_of_a_backup_is_noticed_and_nothing_is_restored(
    backup: Backup, tmp_path: Path, data: st.DataObject
) -> None:
    place = tmp_path / "flipped"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    for file in backup.path.parent.glob(f"{backup.path.stem}.*"):
        shutil.copy(file, place)
    victim = data.draw(st.sampled_from(sorted(place.iterdir())))
    content = bytearray(victim.read_bytes())
    position = data.draw(st.integers(0, len(content) - 1) | st.integers(max(0, len(content) - 300), len(content) - 1))
    content[position] ^= data.draw(st.integers(1, 255))
    victim.write_bytes(bytes(content))
    copy = place / backup.path.name

    with pytest.raises(BackupError, match=r"can't be used|the manifest of"):
        verify(copy)
    with pytest.raises(BackupError, match=r"can't be used|the manifest of"):
        iotstore.restore(copy, f"sqlite:///{tmp_path / 'target.db'}")
    assert not (tmp_path / "target.db").exists()


@ON_FIXTURES
@given(data=st.data())
def test_a_backup_that_is_cut_off_or_has_more_at_its_end_is_noticed(
    backup: Backup, tmp_path: Path, data: st.DataObject
) -> None:
    copy = tmp_path / "cut" / backup.path.name
    shutil.rmtree(copy.parent, ignore_errors=True)
    shutil.copytree(backup.path.parent, copy.parent)
    content = copy.read_bytes()
    more = data.draw(st.booleans())
    copy.write_bytes(content + b"\0" if more else content[: data.draw(st.integers(0, len(content) - 1))])

    with pytest.raises(BackupError, match="can't be used"):
        verify(copy)
    (shown,) = Backups(copy.parent)
    assert not shown.proven or shown.format == "portable"


def Backups(folder: Path) -> Iterator[Backup]:  # noqa: N802 - reads like the class whose list() it stands for
    from iotstore._catalogue.backup import look_through

    return look_through(folder)


def test_a_damaged_backup_leaves_a_store_that_would_be_replaced_as_it_was(
    store: iotstore.Store, backup: Backup, tmp_path: Path
) -> None:
    other = tmp_path / "other.db"
    shutil.copy(store.backups.create().path, other)
    before = other.read_bytes()
    content = bytearray(backup.path.read_bytes())
    content[len(content) // 2] ^= 1
    backup.path.write_bytes(bytes(content))

    with pytest.raises(BackupError, match="use another backup"):
        iotstore.restore(backup.path, f"sqlite:///{other}", replace=True)

    assert other.read_bytes() == before
    assert not [path for path in tmp_path.iterdir() if "partial" in path.name or "before" in path.name]


def test_a_missing_backup_is_an_error_that_names_it(store: iotstore.Store, tmp_path: Path, url: str) -> None:
    with pytest.raises(BackupError, match=r"nothing\.iotstore can't be read: No such file"):
        store.backups.verify(tmp_path / "nothing.iotstore")
    with pytest.raises(BackupError, match=r"nothing\.sqlite can't be read: No such file"):
        iotstore.restore(tmp_path / "nothing.sqlite", url)


def test_a_native_backup_without_its_manifest_is_not_proven_and_not_restored(store: iotstore.Store, url: str) -> None:
    made = store.backups.create()
    files.manifest_of(made.path).unlink()

    (shown,) = store.backups.list()
    assert (shown.proven, shown.counts) == (False, {})
    assert "has no manifest" in str(shown.problem)
    with pytest.raises(BackupError, match="no portable backup at all"):
        iotstore.restore(made.path, url)


def test_a_native_backup_with_the_manifest_of_another_one_is_noticed(store: iotstore.Store) -> None:
    one = store.backups.create()
    store.settings.set("more", 1)
    two = store.backups.create()
    shutil.copy(files.manifest_of(one.path), files.manifest_of(two.path))

    with pytest.raises(BackupError, match="its bytes are not those that were written"):
        store.backups.verify(two.path)


def rewrite(path: Path, change: Callable[[dict[str, bytes]], dict[str, bytes]]) -> None:
    """Write the parts of a portable backup anew, with a seal that is right: only what is inside can tell."""
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    path.unlink()
    with path.open("w+b") as file:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in change(parts).items():
                archive.writestr(name, content)
            archive.comment = portable._COMMENT + b"0" * 64
        portable._seal_file(file)


def remade(parts: dict[str, bytes], **changes: Any) -> dict[str, bytes]:
    """The parts with another manifest, sealed."""
    manifest = unseal(parts["manifest.json"], "x")
    return {**parts, "manifest.json": seal(msgspec.structs.replace(manifest, **changes))}


def without(parts: dict[str, bytes], name: str) -> dict[str, bytes]:
    return {key: value for key, value in parts.items() if key != name}


def manifest_of(parts: dict[str, bytes]) -> Manifest:
    return unseal(parts["manifest.json"], "x")


def renumbered(parts: dict[str, bytes]) -> dict[str, bytes]:
    first, *rest = manifest_of(parts).collections
    return remade(parts, collections=(msgspec.structs.replace(first, count=first.count + 1), *rest))


FORGERIES: dict[str, tuple[Callable[[dict[str, bytes]], dict[str, bytes]], str]] = {
    "a part is missing": (lambda p: without(p, "device.jsonl"), r"its parts are not those.*device\.jsonl"),
    "a part too many": (
        lambda p: {**without(p, "manifest.json"), "spy.jsonl": b"", "manifest.json": p["manifest.json"]},
        r"its parts are not those of its manifest: spy\.jsonl",
    ),
    "parts in another order": (lambda p: dict(sorted(p.items(), reverse=True)), "the order of its parts"),
    "no manifest": (lambda p: without(p, "manifest.json"), "it has no manifest"),
    "an extra row": (
        lambda p: {**p, "a_pair.jsonl": p["a_pair.jsonl"] + b'["x",1]\n'},
        "a_pair has 2 rows, not 1",
    ),
    "a missing row": (
        lambda p: {**p, "connection.jsonl": p["connection.jsonl"].partition(b"\n")[2]},
        "699 rows, not 700",
    ),
    "a changed row": (
        lambda p: {**p, "setting.jsonl": p["setting.jsonl"].replace(b"theme", b"thema")},
        "the 1 rows of setting are not the same",
    ),
    "a row of another shape": (
        lambda p: {**p, "setting.jsonl": b"[1]\n"},
        "a line of setting does not fit its description",
    ),
    "a part that ends inside a line": (
        lambda p: {**p, "setting.jsonl": p["setting.jsonl"][:-3]},
        r"the part setting\.jsonl ends inside a line",
    ),
    "a changed manifest": (
        lambda p: {**p, "manifest.json": p["manifest.json"].replace(b'"label": null', b'"label": "me"')},
        "the manifest of .* is damaged",
    ),
    "another count": (renumbered, r"stored_kind has \d+ rows, not \d+"),
    "a newer format": (lambda p: remade(p, format=2), "has format 2; this version reads up to 1"),
    "no descriptions": (lambda p: remade(p, kinds=()), "nothing describes its part a_pair"),
    "a description of another version": (
        lambda p: remade(p, kinds=tuple(msgspec.structs.replace(kind, version=9) for kind in manifest_of(p).kinds)),
        "its manifest describes other kinds",
    ),
    "a description that is none": (
        lambda p: remade(p, kinds=tuple(msgspec.structs.replace(k, description={}) for k in manifest_of(p).kinds)),
        "the stored description of .* can't be read",
    ),
}


@pytest.mark.parametrize("forgery", FORGERIES)
def test_a_portable_backup_with_its_seal_renewed_is_still_noticed_with(
    portable_backup: Backup, url: str, tmp_path: Path, forgery: str
) -> None:
    change, words = FORGERIES[forgery]
    rewrite(portable_backup.path, change)

    with pytest.raises(BackupError, match=words):
        verify(portable_backup.path)
    with pytest.raises(BackupError, match=words):
        iotstore.restore(portable_backup.path, url)
    assert not (tmp_path / "restored.db").exists()


def test_rewriting_without_a_change_makes_a_good_backup_again(portable_backup: Backup) -> None:
    """What the forgeries above are noticed by is their change, not the way they are made."""
    rewrite(portable_backup.path, lambda parts: parts)

    assert verify(portable_backup.path).counts == portable_backup.counts


def test_a_zip_of_somebody_else_is_no_backup(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "holiday.iotstore", "w") as archive:
        archive.writestr("photo.jpg", b"x" * 10_000)

    with pytest.raises(BackupError, match="cut off, or no portable backup at all"):
        verify(tmp_path / "holiday.iotstore")


def test_proving_a_native_backup_leaves_no_trace_beside_it_and_no_byte_changed(store: iotstore.Store) -> None:
    made = store.backups.create()
    before = {path: path.read_bytes() for path in made.path.parent.iterdir()}

    store.backups.verify(made.path)

    assert {path: path.read_bytes() for path in made.path.parent.iterdir()} == before


def test_a_place_that_is_taken_is_refused_before_the_backup_is_even_read(backup: Backup, tmp_path: Path) -> None:
    target = tmp_path / "photo.db"
    target.write_bytes(b"something")

    with pytest.raises(NotAllowed, match="exists already; restore to another place"):
        iotstore.restore(backup.path, f"sqlite:///{target}")
    assert target.read_bytes() == b"something"
