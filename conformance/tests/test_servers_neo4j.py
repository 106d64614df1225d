"""Neo4j servers for the suite: what is chosen, what is needed, and what is said where that is missing."""

import shutil
import stat
from pathlib import Path

import pytest

from iotstore import ConfigurationError
from iotstore_conformance import servers
from iotstore_conformance.servers import _neo4j_jars as jars
from iotstore_conformance.servers._neo4j_container import image, variable
from iotstore_conformance.servers._neo4j_settings import LONG_TERM, NEWEST, SETTINGS


def program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n", "utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_an_unknown_choice_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match=r"'embedded' is no Neo4j server.*local, local-5, container"):
        servers.neo4j("embedded")


def test_no_server_of_the_suite_calls_home() -> None:
    assert "dbms.usage_report.enabled=false" in SETTINGS
    assert {"dbms.fleet_manager.enabled=false", "server.fleet_discovery.enabled=false"} <= set(NEWEST.settings)
    entrypoint = Path(__file__).parents[1] / "images" / "neo4j" / "entrypoint"
    for setting in (*NEWEST.settings, "dbms.usage_report.enabled=false"):
        assert setting in entrypoint.read_text("utf-8")


def test_the_images_are_built_from_the_versions_that_run_locally() -> None:
    build = (Path(__file__).parents[1] / "images" / "build").read_text("utf-8")

    assert f"build_neo4j iotstore-test/neo4j:2026 {NEWEST.version}\n" in build
    assert f"build_neo4j iotstore-test/neo4j:5 {LONG_TERM.version}\n" in build


def test_settings_reach_a_container_as_the_official_image_takes_them() -> None:
    assert variable("db.tx_log.preallocate") == "NEO4J_db_tx__log_preallocate"


def test_an_image_can_be_replaced_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("IOTSTORE_TEST_IMAGE_NEO4J", "IOTSTORE_TEST_IMAGE_NEO4J_5"):
        monkeypatch.delenv(name, raising=False)
    assert (image(long_term=False), image(long_term=True)) == ("neo4j:2026", "neo4j:5.26")
    monkeypatch.setenv("IOTSTORE_TEST_IMAGE_NEO4J_5", "mine:5")
    assert image(long_term=True) == "mine:5"


@pytest.mark.parametrize(
    ("said", "expected"),
    [('openjdk version "21.0.5" 2024', 21), ('java version "1.8.0_1"', 1), ("what?", 0)],
)
def test_the_version_of_a_java_is_what_it_says(tmp_path: Path, said: str, expected: int) -> None:
    assert jars.java_version(program(tmp_path / "java", f"echo '{said}' >&2")) == expected


def test_a_java_that_is_too_old_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    old = program(tmp_path / "java", "echo 'openjdk version \"17.0.1\"' >&2")
    monkeypatch.setattr(shutil, "which", lambda _: old)
    assert jars.java(17) == old
    monkeypatch.setattr("iotstore_conformance.servers._neo4j_jars.find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="needs Java 21 or newer"):
        jars.java(21)


def test_without_maven_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(ConfigurationError, match="no `mvn` on PATH; install Maven"):
        jars.jars(NEWEST)


def test_jars_that_could_not_be_fetched_leave_no_folder_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = program(tmp_path / "mvn", "mkdir lib; echo 'no network'; exit 1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: failing)
    with pytest.raises(ConfigurationError, match="could not fetch Neo4j: no network"):
        jars.jars(NEWEST)
    assert [path.name for path in (tmp_path / "iotstore").iterdir() if path.is_dir()] == []


def test_jars_are_fetched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetching = program(tmp_path / "mvn", f"mkdir lib; echo jar > lib/neo4j.jar; echo >> {tmp_path}/calls")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda _: fetching)
    assert jars.jars(NEWEST) == jars.jars(NEWEST)
    assert [path.name for path in jars.jars(NEWEST).iterdir()] == ["neo4j.jar"]
    assert (tmp_path / "calls").read_text("utf-8") == "\n"
