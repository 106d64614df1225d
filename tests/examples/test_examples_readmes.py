"""Every example runs on SQLite and on PostgreSQL, prints what its README shows, is small, and has tests of its own."""

from __future__ import annotations

import ast
import io
import tokenize
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
# A package with a README of its own kind; its tests install it and run the contract.
PACKAGES = {"custom_backend"}
FOLDERS = sorted(path.name for path in (ROOT / "examples").iterdir() if any(path.glob("*.*")))
PROGRAMS = [name for name in FOLDERS if name not in PACKAGES]
# Theirs is followed where a Neo4j server is; their own tests do without it what can be done.
WITH_NEO4J = {"switching"}
MOST_LINES = 150
# Programs that stand for the world around an application: sensors, a network that is watched.
SIMULATIONS = {"sensors.py", "generate.py"}


def code_lines(source: str) -> int:
    """How many lines hold code: no comment alone, no docstring, no empty line."""
    docstrings = {
        line
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }
    nothing = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    lines = {line for one in tokens if one.type not in nothing for line in range(one.start[0], one.end[0] + 1)}
    return len(lines - docstrings)


def differences(example) -> list[tuple[str, str, str]]:
    steps = example.steps()
    assert [step for step in steps if step.command.startswith("python ")], "the README shows no run"
    assert [step for step in steps if step.shown], "the README shows nothing that is printed"
    return example.differences()


@pytest.mark.timeout(900)  # a graph database takes its time to start
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.neo4j) if name in WITH_NEO4J else name for name in PROGRAMS]
)
def test_the_example_prints_what_its_readme_shows(name: str, example) -> None:
    assert differences(example(name)) == []


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_readme_that_shows_something_else_is_found(example) -> None:
    changed = example("quickstart")
    readme = changed.folder / "README.md"
    readme.write_text(readme.read_text("utf-8").replace("latest: 21.5", "latest: 21.6"), "utf-8")

    found = differences(changed)

    assert [command for command, _, _ in found] == ["python quickstart.py", "python quickstart.py"]


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("text", "lacks"),
    [("# Nothing to see\n", "shows no run"), ("```console\n$ python quickstart.py\n```\n", "shows nothing")],
)
def test_a_readme_without_a_run_or_without_what_it_prints_is_found(example, text: str, lacks: str) -> None:
    changed = example("quickstart")
    (changed.folder / "README.md").write_text(text, "utf-8")

    with pytest.raises(AssertionError, match=lacks):
        differences(changed)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_example_is_short(name: str) -> None:
    sources = [path for path in (ROOT / "examples" / name).glob("*.py") if path.name not in SIMULATIONS]

    assert sources
    assert sum(code_lines(source.read_text("utf-8")) for source in sources) < MOST_LINES


def test_lines_of_code_are_counted_without_comments_docstrings_and_empty_lines() -> None:
    assert (
        code_lines('"""Doc.\n\nMore."""\n\n# why\nx = (\n    1,\n)\n\n\ndef f():\n    """Doc."""\n    return x\n') == 5
    )


@pytest.mark.parametrize("name", FOLDERS)
def test_the_example_has_tests_a_configuration_and_a_line_in_the_projects_readme(name: str) -> None:
    tests = (ROOT / "tests" / "examples" / f"test_examples_{name}.py").read_text("utf-8")

    assert "def test_" in tests
    assert f"examples/{name}" in (ROOT / "README.md").read_text("utf-8")
    if name not in PACKAGES:
        assert (ROOT / "examples" / name / "iotstore.toml").is_file()
