"""One script prints the same on every store that its configurations name."""

from __future__ import annotations

import difflib
import re

import pytest

import iotstore

# The README is followed on every interpreter; a graph database takes its time to start.
pytestmark = [pytest.mark.once, pytest.mark.timeout(900)]

CONFIGURATIONS = ["iotstore.toml", "neo4j.toml", "postgresql.toml"]


def differences(switching, configuration: str) -> list[str]:
    first, other = (switching.run(f"python report.py {name}").splitlines() for name in ("iotstore.toml", configuration))
    assert len(first) > 60
    return list(difflib.unified_diff(first, other, lineterm=""))


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_script_prints_the_same_on_sqlite_and_on_postgresql(example) -> None:
    assert differences(example("switching"), "postgresql.toml") == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("graph", ["file", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def test_the_script_prints_the_same_with_a_second_store_for_relationships(
    example, graph: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    switching = example("switching")
    if graph == "file":
        named = switching.folder / "neo4j.toml"
        text = re.sub(
            "^relationships = .*", 'relationships = "sqlite:///graph.db"', named.read_text("utf-8"), flags=re.MULTILINE
        )
        named.write_text(text, "utf-8")

    assert differences(switching, "neo4j.toml") == []

    monkeypatch.chdir(switching.folder)
    with iotstore.open(config="neo4j.toml", projector=False) as store:
        status = store.projection.status()
    assert (status.state, status.waiting) == ("live", 0)
    assert status.place.startswith("sqlite" if graph == "file" else ("neo4j", "bolt"))
    assert status.applied > 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_configurations_differ_in_where_the_store_is_and_in_nothing_else(example) -> None:
    switching = example("switching")
    assert sorted(path.name for path in switching.folder.glob("*.toml")) == CONFIGURATIONS
    settings = {
        name: [
            line.partition(" ")[0]
            for line in (switching.folder / name).read_text("utf-8").splitlines()
            if not line.startswith("#")
        ]
        for name in CONFIGURATIONS
    }

    assert {line for lines in settings.values() for line in lines} <= {"[store]", "url", "relationships"}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_sums_that_are_compared_depend_on_their_order_when_they_are_not_exact(example) -> None:
    """The comparison can fail: plain addition of the same values, in another order, gives other bits."""
    report = example("switching").run("python report.py")
    values = [float(text) for text in re.findall(r"'first': ([-\d.e+]+)", report)]

    assert sum(values) != sum(reversed(values)) or sum(sorted(values)) != sum(values)
