"""The estate says the same of a failure with and without a graph database beside its store."""

from __future__ import annotations

import importlib.util

import pytest

import iotstore
from iotstore._projection.reading import Composed

# The README is followed on every interpreter; a graph database takes its time to start.
pytestmark = [pytest.mark.once, pytest.mark.timeout(900)]


@pytest.fixture(params=["file", pytest.param("neo4j", marks=pytest.mark.neo4j)])
def graph(request: pytest.FixtureRequest) -> str:
    """The URL of a store for the projection: a second SQLite file, or Neo4j."""
    return "sqlite:///graph.db" if request.param == "file" else request.getfixturevalue("neo4j_url")


def test_a_projection_gives_the_answers_that_the_readme_shows(example, graph: str, monkeypatch) -> None:
    estate = example("estate")
    estate.beside(graph)

    assert estate.differences() == []

    monkeypatch.chdir(estate.folder)
    with iotstore.open() as store:
        store.projection.sync()
        status = store.projection.status()
        assert (status.state, status.waiting, status.dead_letters) == ("live", 0, 0)
        assert status.applied > 0


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_projection_really_is_asked(example, graph: str, monkeypatch, capsys) -> None:
    estate = example("estate")
    estate.beside(graph)
    estate.run("python estate.py fill")
    monkeypatch.chdir(estate.folder)
    spec = importlib.util.spec_from_file_location("estate", "estate.py")
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    asked: list[bool] = []
    decide = Composed._by_projection

    def noted(composed: Composed, consistency: object) -> bool:
        asked.append(decide(composed, consistency))
        return asked[-1]

    monkeypatch.setattr(Composed, "_by_projection", noted)
    with iotstore.open() as store:
        program.catch_up(store)
        program.fails(store, "hub-1")

    assert "boiler       1 away  out of reach" in capsys.readouterr().out
    assert asked == [True] * 7  # once for what is affected, and once for the ways to each of them


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_an_answer_follows_from_what_another_run_has_just_written(example) -> None:
    estate = example("estate")
    estate.beside("sqlite:///graph.db")
    estate.run("python estate.py fill")

    assert "door-2       1 away  out of reach" in estate.run("python estate.py fails hub-2")
    estate.run("python estate.py connect hub-1 door-2")
    assert "door-2       1 away  still there by router > hub-1 > door-2" in estate.run("python estate.py fails hub-2")


def test_a_device_that_is_not_there_is_named(example) -> None:
    estate = example("estate")
    estate.run("python estate.py fill")

    with pytest.raises(AssertionError, match="no device with key 'hub-9'"):
        estate.run("python estate.py fails hub-9")
