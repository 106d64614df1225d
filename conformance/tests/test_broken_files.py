"""Clauses about files: a healthy store passes, careless ones are caught, and what is no file is left out by name."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from iotstore import Damaged, StorageFull, StoreError
from iotstore_conformance import find_harness, load_clauses
from iotstore_conformance.applicable import bound_by_permissions
from iotstore_conformance.execution import execute_one
from iotstore_conformance.places import placed
from iotstore_conformance.runner import run_clause
from iotstore_conformance.stage import Stage
from iotstore_conformance.troubling import filled_by_child
from iotstore_conformance.verdicts import Outcome

CLAUSES = {one.id: one for one in load_clauses() if one.id.startswith("BRK")}
HARNESS = find_harness("sqlite")


@pytest.mark.parametrize("id_", sorted(CLAUSES))
def test_a_healthy_store_passes_and_leaves_nothing_behind(id_):
    result = execute_one(CLAUSES[id_], HARNESS)
    assert result.outcome is Outcome.PASSED, result.error


@pytest.mark.full
def test_hundreds_of_flipped_bits_are_no_surprise():
    result = execute_one(CLAUSES["BRK-002"], HARNESS, "full", seed=7)
    assert result.outcome is Outcome.PASSED, result.error


@pytest.mark.parametrize("id_", ["BRK-001", "BRK-002", "BRK-003"])
def test_a_store_that_starts_empty_where_its_file_is_damaged_is_caught(id_):
    def opens(url, **options):
        store = None
        try:
            store = HARNESS.open(url, **options)
            store.records("suite_sample").list()
        except StoreError:
            if store is not None:
                store.close()
            for path in Path(url.removeprefix("sqlite:///")).parent.iterdir():
                path.unlink()
            return HARNESS.open(url, **options)
        return store

    with pytest.raises((AssertionError, pytest.fail.Exception), match=r"."):
        run_clause(CLAUSES[id_], replace(HARNESS, open=opens))


def test_a_store_that_tells_of_another_error_than_damage_is_caught():
    def opens(url, **options):
        try:
            return HARNESS.open(url, **options)
        except Damaged as error:
            raise StoreError("something went wrong") from error

    with pytest.raises((AssertionError, StoreError), match=r"."):
        run_clause(CLAUSES["BRK-001"], replace(HARNESS, open=opens))


def test_running_out_of_room_is_told_as_such(tmp_path):
    name, bases, acknowledged, later = filled_by_child("sqlite", f"sqlite:///{tmp_path}/home.db")
    assert name in {"StorageFull", "EngineError"}
    assert "Failed" in bases.split(",")
    assert (acknowledged >= 0, later) == (True, 1)


def test_where_the_harness_lacks_a_tool_the_clauses_are_not_run_and_the_reason_is_told():
    for id_ in sorted(CLAUSES):
        result = execute_one(CLAUSES[id_], replace(HARNESS, file=None, full=None))
        assert result.outcome is Outcome.NOT_RUN
        assert ("full=" if id_ == "BRK-007" else "file=") in (result.reason or "")


def test_on_servers_the_clauses_are_not_applicable_and_the_reason_is_told():
    for id_ in sorted(CLAUSES):
        result = execute_one(CLAUSES[id_], replace(HARNESS, file=None, full=None, engine="server"))
        assert result.outcome is Outcome.NOT_APPLICABLE
        assert result.reason == "it is about embedded engines, and the harness declares that it has servers"


def test_a_place_has_room_again_after_the_block():
    with Stage(HARNESS) as stage:
        stage.devices("a")
        with HARNESS.full(stage.store), pytest.raises(StorageFull, match="no room"):
            stage.store.settings.set("x", "y" * 1_000_000)
        stage.store.settings.set("x", "y" * 1_000_000)


def test_a_name_is_refused_where_there_is_no_file_of_this_engine():
    with (
        pytest.raises(TypeError, match="no file of SQLite"),
        HARNESS.full(SimpleNamespace(backend=SimpleNamespace(name="x"))),
    ):
        raise AssertionError("the block was entered")


def test_a_place_beside_a_url_has_its_own_file(tmp_path):
    there = placed(HARNESS, f"sqlite:///{tmp_path}/home.db")
    place = there.fresh()
    assert there.file(place) == tmp_path / place / "home.db"
    assert placed(replace(HARNESS, file=None), "x://host/name").file is None


def test_permissions_bind_this_thread_inside_the_block_only(tmp_path):
    file = tmp_path / "file"
    tmp_path.chmod(0o555)
    try:
        with bound_by_permissions(), pytest.raises(PermissionError, match=r"."):
            file.touch()
    finally:
        tmp_path.chmod(0o755)
    file.touch()
