"""Restoring: the same answers from the restored store, ids that are never reused, and a target that is safe."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import Connection, Device, Kind, ManualClock, Point
from iotstore._catalogue import native, restoring
from iotstore._config import read_configuration, settings_for, settle_options
from iotstore._registry import backend_class
from iotstore._waist.contract import Backend, Settings
from iotstore.errors import BackupError, NotAllowed, StillReferenced, StoreError, Unreachable

FORMATS = ["native", "portable"]
Digests = Callable[[iotstore.Store], Any]
Opener = Callable[..., iotstore.Store]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_restored_store_gives_the_same_answers(
    store: iotstore.Store, url: str, digests: Digests, own_kinds: list[Kind[Any]], format_: Any
) -> None:
    made = store.backups.create(format=format_)

    assert iotstore.restore(made.path, url) == made
    with iotstore.open(url, kinds=own_kinds) as restored:
        assert digests(restored) == digests(store)
        for name in store.kinds:
            assert restored.records(name).list() == store.records(name).list()
        assert restored.telemetry.latest("cam-1") == store.telemetry.latest("cam-1")
        assert restored.telemetry.range("cam-0", "counter", store.clock.now() - timedelta(days=1)) == (
            store.telemetry.range("cam-0", "counter", store.clock.now() - timedelta(days=1))
        )


@pytest.mark.parametrize("format_", FORMATS)
def test_a_restored_store_finds_what_needs_computed_columns_and_keeps_its_references(
    store: iotstore.Store, url: str, own_kinds: list[Kind[Any]], format_: Any
) -> None:
    iotstore.restore(store.backups.create(format=format_).path, url)

    with iotstore.open(url, kinds=own_kinds) as restored:
        assert [p.id for p in restored.records("probe").list(iotstore.field("name").contains("STRASSE"))] == [1]
        assert len(restored.devices.list(iotstore.field("ip").in_network("192.168.1.8/30"))) == 3
        with pytest.raises(StillReferenced, match="point to this location"):
            restored.locations.delete("house")
        restored.records("probe").delete(1)
        assert restored.records("probe").list() == []  # the other one pointed to it
        assert all(check.status == "ok" for check in restored.backend.verify())


@pytest.mark.parametrize("format_", FORMATS)
def test_a_restored_database_enforces_the_same_references(
    store: iotstore.Store, tmp_path: Path, url: str, format_: Any
) -> None:
    """Those too that point to their own kind, and so could not be in place while the records arrived."""
    iotstore.restore(store.backups.create(format=format_).path, url)

    def references(file: Path) -> dict[str, set[tuple[str, str]]]:
        with closing(sqlite3.connect(file)) as connection:
            return {
                name: {(row[3], row[2]) for row in connection.execute(f"PRAGMA foreign_key_list({name})")}
                for name in store.kinds
            }

    expected = references(tmp_path / "home.db")
    assert ("parent", "location") in expected["location"]
    assert references(tmp_path / "restored.db") == expected


@pytest.mark.parametrize("format_", FORMATS)
def test_ids_that_were_ever_given_are_never_given_again_after_a_restore(
    store: iotstore.Store, url: str, clock: ManualClock, format_: Any
) -> None:
    """Even those of records that were deleted before the backup."""
    last = store.connections.add(Connection(device="cam-0", time=clock.now()))
    store.connections.delete(last.id)
    iotstore.restore(store.backups.create(format=format_).path, url)

    with iotstore.open(url, clock=clock) as restored:
        assert restored.connections.add(Connection(device="cam-0", time=clock.now())).id > last.id
        restored.telemetry.write([Point("cam-4", "new", clock.now(), 1.0)])
        series = restored.records("series").list()
        assert len({one.id for one in series}) == len(series) == 5


@pytest.mark.parametrize("format_", FORMATS)
def test_kinds_whose_code_is_not_loaded_are_backed_up_and_restored(  # noqa: PLR0917 - fixtures
    store: iotstore.Store, open_store: Opener, url: str, digests: Digests, own_kinds: list[Kind[Any]], format_: Any
) -> None:
    expected = digests(store)
    store.close()
    without = open_store()
    assert "probe" not in without.kinds

    made = without.backups.create(format=format_)
    iotstore.restore(made.path, url)

    assert made.counts["probe"] == 2
    with iotstore.open(url, kinds=own_kinds) as restored:
        assert digests(restored) == expected
        assert restored.records("probe").get(1).extra == {"n": [1, 2.5]}


@pytest.mark.parametrize("format_", FORMATS)
def test_an_empty_store_is_backed_up_and_restored(open_store: Opener, url: str, digests: Digests, format_: Any) -> None:
    empty = open_store("empty.db")
    made = empty.backups.create(format=format_)
    iotstore.restore(made.path, url)

    assert sum(count for name, count in made.counts.items() if name != "stored_kind") == 0
    with iotstore.open(url) as restored:
        assert digests(restored) == digests(empty)


@pytest.mark.parametrize("format_", FORMATS)
def test_replacing_keeps_the_old_store_beside_and_says_where(
    store: iotstore.Store, url: str, digests: Digests, format_: Any
) -> None:
    with iotstore.open(url) as old:
        old.devices.put(Device(key="old"))
    made = store.backups.create(format=format_)

    restored = iotstore.restore(made.path, url, replace=True)

    assert restored.kept is not None
    with iotstore.open(f"sqlite:///{restored.kept}") as kept:
        assert [device.key for device in kept.devices.list()] == ["old"]
    with iotstore.open(url) as fresh:
        assert digests(fresh) == digests(store)


@pytest.mark.parametrize("format_", FORMATS)
def test_a_restored_store_is_for_its_owner_only(store: iotstore.Store, tmp_path: Path, format_: Any) -> None:
    before = os.umask(0)
    try:
        iotstore.restore(store.backups.create(format=format_).path, f"sqlite:///{tmp_path / 'deep' / 'new.db'}")
    finally:
        os.umask(before)

    assert oct((tmp_path / "deep" / "new.db").stat().st_mode & 0o777) == "0o600"
    assert oct((tmp_path / "deep").stat().st_mode & 0o777) == "0o700"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new.db"]


@pytest.mark.parametrize("format_", FORMATS)
def test_a_restore_that_fails_at_its_end_leaves_nothing(
    store: iotstore.Store, tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch, format_: Any
) -> None:
    made = store.backups.create(format=format_)

    def fail(*_: object, **__: object) -> None:
        raise StoreError("the disk is gone")

    monkeypatch.setattr(backend_class("sqlite"), "install", fail)
    before = sorted(tmp_path.iterdir())

    with pytest.raises(StoreError, match="the disk is gone"):
        iotstore.restore(made.path, url)
    assert sorted(tmp_path.iterdir()) == before


def test_what_a_backend_says_of_a_backup_is_told_as_it_is(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise BackupError("the program is missing")

    monkeypatch.setattr(backend_class("sqlite"), "open_copy", refuse)
    with pytest.raises(BackupError, match=r"^the program is missing$") as caught:
        store.backups.create()
    assert caught.value.__cause__ is None


def test_a_renamed_native_backup_restores_when_its_manifest_is_renamed_with_it(
    store: iotstore.Store, tmp_path: Path, url: str
) -> None:
    made = store.backups.create()
    shutil.copy(made.path, tmp_path / "gold.sqlite")
    shutil.copy(made.path.with_name(made.path.stem + ".manifest.json"), tmp_path / "gold.manifest.json")

    assert iotstore.restore(tmp_path / "gold.sqlite", url).counts == made.counts


def test_a_native_backup_does_not_become_a_store_of_another_engine(store: iotstore.Store, tmp_path: Path) -> None:
    class Other(Backend):
        name = "other"

    made = store.backups.create()
    settings = Settings("other", None, None, (), str(tmp_path / "x"), "other:///x", {})

    with pytest.raises(
        BackupError, match="native backup of sqlite and can't become a other store; restore it to its own"
    ):
        restoring.restore(made.path, Other, settings)


def test_a_portable_backup_loads_into_a_server_in_one_transaction(
    store: iotstore.Store, url: str, digests: Digests, monkeypatch: pytest.MonkeyPatch, own_kinds: list[Kind[Any]]
) -> None:
    made = store.backups.create(format="portable")
    monkeypatch.setattr(native, "native_power", lambda _: None)
    sqlite = backend_class("sqlite")
    configuration = read_configuration(url, {})
    settings = settings_for(configuration.url, settle_options(configuration, sqlite.options()), create=True)

    restoring.restore(made.path, sqlite, settings)
    with iotstore.open(url, kinds=own_kinds) as restored:
        assert digests(restored) == digests(store)
        before = digests(restored)
    with pytest.raises(NotAllowed, match="the target is not empty: it has 1 rows of a_pair"):
        restoring.restore(made.path, sqlite, settings)
    with iotstore.open(url, kinds=own_kinds) as restored:
        assert digests(restored) == before


def test_a_server_takes_a_portable_backup_into_an_empty_store_and_keeps_the_one_that_it_replaces(
    store: iotstore.Store, url: str, digests: Digests, monkeypatch: pytest.MonkeyPatch, own_kinds: list[Kind[Any]]
) -> None:
    made = store.backups.create(format="portable")
    iotstore.open(url).close()
    monkeypatch.setattr(backend_class("sqlite"), "keeps_files", False)

    assert iotstore.restore(made.path, url).kept is None
    with pytest.raises(NotAllowed, match="the target is not empty"):
        iotstore.restore(made.path, url)
    with iotstore.open(url, kinds=own_kinds) as restored:
        assert digests(restored) == digests(store)
        restored.devices.put(Device(key="later"))
    kept = iotstore.restore(made.path, url, replace=True).kept
    with iotstore.open(url, kinds=own_kinds) as restored, iotstore.open(f"sqlite:///{kept}") as old:
        assert digests(restored) == digests(store)
        assert old.devices.find("later") is not None


def test_a_native_backup_of_a_server_is_proven_near_the_store_at_hand_and_nowhere_else(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.backups.create()
    sqlite = backend_class("sqlite")
    near: list[Settings] = []
    right: Any = vars(sqlite)["open_copy"].__func__

    def open_copy(cls: Any, source: Path, settings: Settings, progress: Any) -> Backend:
        near.append(settings)
        opened: Backend = right(cls, source, settings, progress)
        return opened

    monkeypatch.setattr(sqlite, "open_copy", classmethod(open_copy))
    monkeypatch.setattr(sqlite, "keeps_files", False)

    with pytest.raises(BackupError, match=r"proven in a scratch place of such a server; .* --url sqlite://"):
        restoring.verify(made.path)
    assert near == []
    store.backups.verify(made.path)
    assert [settings.display for settings in near] == [store.url]


def test_a_server_that_is_away_is_no_fault_of_the_backup(
    store: iotstore.Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = store.backups.create()

    def away(*_: object) -> None:
        raise Unreachable("the server is away")

    monkeypatch.setattr(backend_class("sqlite"), "open_copy", away)

    with pytest.raises(Unreachable, match="the server is away"):
        store.backups.verify(made.path)
