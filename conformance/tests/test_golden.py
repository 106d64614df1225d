"""Golden backups: one pair for every release and format, and what is written today is read alike."""

import json
import zipfile
from importlib.metadata import version
from pathlib import Path

import pytest

from iotstore_conformance import Stage, find_harness
from iotstore_conformance import golden as package
from iotstore_conformance.golden import KEPT, PARTS, RELEASES, Golden, as_then, goldens
from iotstore_conformance.golden.__main__ import filled, write_goldens

HARNESS = find_harness("sqlite")
FOLDER = Path(package.__file__).parent


def _format(path):
    with zipfile.ZipFile(path) as archive:
        return json.loads(archive.read("manifest.json"))["format"]


def test_this_version_and_every_release_before_it_has_its_backups():
    assert version("iotstore") in RELEASES, "python -m iotstore_conformance.golden HARNESS FOLDER writes them"
    kept = {path.name for path in FOLDER.iterdir() if path.suffix in {".iotstore", ".json"}}
    assert kept == {f"{one.name}{suffix}" for one in goldens() for suffix in (".iotstore", ".json")}


def test_the_format_that_is_written_today_is_among_those_that_are_kept(tmp_path):
    with Stage(HARNESS) as stage:
        today = _format(stage.store.backups.create(tmp_path, format="portable").path)
    assert today in {_format(one.copied(tmp_path)) for one in goldens()}


def test_what_is_written_today_holds_what_the_backups_of_this_version_hold(tmp_path):
    made = write_goldens(HARNESS, tmp_path)
    assert len(made) == 2 * len(PARTS)
    for path in made:
        assert path.stat().st_mode & 0o777 == 0o644
        if path.suffix == ".json":
            assert json.loads(path.read_text("utf-8")) == json.loads((FOLDER / path.name).read_text("utf-8"))


@pytest.mark.parametrize("part", PARTS)
def test_a_golden_backup_leaves_no_kind_out_that_an_application_fills(part):
    held = Golden(RELEASES[-1], part).held
    assert {kind for kind, records in held.items() if records} >= (
        {"device", "metric", "series", "points"}
        if part == "points"
        else {"alert", "connection", "contact", "device", "device_group", "golden", "location", "membership", "owner"}
        | {"relation", "setting", "suppression", "threat_pattern"}
    )
    with Stage(HARNESS) as stage:
        assert set(filled(stage, part).kinds) <= set(held)


def test_kinds_and_fields_that_came_later_are_no_difference_and_lost_ones_are():
    then = {"device": [{"key": "a", "name": "x"}], "owner": []}
    now = {"device": [{"key": "a", "name": "x", "colour": None}], "owner": [], "garden": [{"key": "g"}]}
    assert as_then(now, then) == then
    for wrong in ({**now, "device": []}, {**now, "device": [{"key": "a"}]}, {**now, "owner": [{"key": "o"}]}):
        assert as_then(wrong, then) != then
    assert KEPT.name == "golden"
