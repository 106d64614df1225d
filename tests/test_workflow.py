"""The workflow of GitHub Actions runs what noxfile.py offers: the same sessions, interpreters and backends."""

import ast
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parent.parent
NOXFILE = ROOT / "noxfile.py"


def targets() -> list[str]:
    """The names of the conformance session's targets, read without nox."""
    for statement in ast.parse(NOXFILE.read_text("utf-8")).body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "TARGETS":
            assert isinstance(statement.value, ast.Dict)
            return [key.value for key in statement.value.keys if isinstance(key, ast.Constant)]
    pytest.fail("noxfile.py has no TARGETS")


def sessions() -> list[str]:
    return re.findall(r"@nox\.session[^\n]*\n(?:@[^\n]*\n)*def (\w+)\(", NOXFILE.read_text("utf-8"))


def pythons() -> list[str]:
    classifiers = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["classifiers"]
    return [match[1] for line in classifiers if (match := re.search(r":: (3\.\d+)$", line))]


def workflow() -> dict[str, Any]:
    loaded = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text("utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def matrix(job: str) -> dict[str, list[str]]:
    return workflow()["jobs"][job]["strategy"]["matrix"]


def commands(job: str) -> str:
    return "\n".join(step.get("run", "") for step in workflow()["jobs"][job]["steps"])


def test_the_contract_runs_on_every_target_with_every_interpreter() -> None:
    assert matrix("conformance") == {"python": pythons(), "backend": targets()}
    assert "nox -s \"conformance(backend='${{ matrix.backend }}')\"" in commands("conformance")


def test_the_tests_run_on_every_interpreter() -> None:
    assert matrix("tests") == {"python": pythons()}
    assert "nox -s tests-${{ matrix.python }}" in commands("tests")


def plain_sessions() -> set[str]:
    plain = re.search(r"nox\.options\.sessions = (\[.*\])", NOXFILE.read_text("utf-8"))
    assert plain is not None
    return set(ast.literal_eval(plain[1]))


def test_the_two_lanes_of_ci_run_every_session_of_plain_nox_once() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    lanes = re.findall(r"python -m nox --report \S+ -s ([a-z ]+?)(?: >| \|\|)", script)

    assert len(lanes) == 2
    assert sorted(" ".join(lanes).split()) == sorted(plain_sessions())


def test_every_other_session_that_plain_nox_runs_is_a_check_of_its_own() -> None:
    named = plain_sessions() - {"tests", "conformance"}

    assert set(matrix("checks")["session"]) == named | {"workflow"}
    assert set(matrix("checks")["session"]) <= set(sessions())


def test_what_did_not_run_is_an_error_there() -> None:
    assert workflow()["env"]["IOTSTORE_REQUIRE"] == "all"
    assert all(job["timeout-minutes"] <= 30 for job in workflow()["jobs"].values())
