"""``iotstore conformance new``: what it writes is complete, honest and red in the right places."""

import json
import re
import subprocess
import sys
import tomllib
import venv
from pathlib import Path

import pytest

from iotstore import ConfigurationError
from iotstore.backend import Backend, ReadSession, WriteSession
from iotstore.cli import main
from iotstore_conformance.scaffold import check_name, write_package

ROOT = Path(__file__).parent.parent.parent

# Runs the core profile on the generated package, in a process of its own, and prints what became of the clauses.
RUN = """
import json, sys
from iotstore_conformance import find_harness, load_clauses
from iotstore_conformance.execution import described, execute
clauses = [clause for clause in load_clauses() if clause.profile == "core"]
results = execute(clauses, find_harness("acme"))
print(json.dumps([[one.outcome.value, described(one.error) if one.error else one.reason] for one in results]))
"""


@pytest.fixture
def package(tmp_path):
    """A generated package in a folder, with the metadata that an installation would have written beside it."""
    write_package("acme", tmp_path / "acme")
    project = tomllib.loads((tmp_path / "acme" / "pyproject.toml").read_text("utf-8"))["project"]
    metadata = tmp_path / "acme" / "iotstore_acme-0.1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: 0.1.0\n")
    groups = [
        f"[{group}]\n" + "\n".join(f"{name} = {value}" for name, value in points.items())
        for group, points in project["entry-points"].items()
    ]
    (metadata / "entry_points.txt").write_text("\n\n".join(groups) + "\n")
    return tmp_path / "acme"


def run(package, *args):
    """Python with the package on its path, as if it were installed."""
    program = [sys.executable, "-W", "error", *args]
    env = {"PYTHONPATH": str(package), "PYTHONDONTWRITEBYTECODE": "1", "PATH": "/usr/bin:/bin"}
    return subprocess.run(program, cwd=package, env=env, capture_output=True, text=True, timeout=250, check=False)


def test_every_file_of_a_plugin_package_is_written_and_no_placeholder_is_left(tmp_path):
    written = write_package("acme", tmp_path / "new" / "folder")

    names = {path.relative_to(tmp_path / "new" / "folder").as_posix() for path in written}
    assert names == {
        ".github/workflows/ci.yml", ".gitignore", "README.md", "conformance.toml", "iotstore_acme/__init__.py",
        "iotstore_acme/errors.py", "iotstore_acme/harness.py", "iotstore_acme/py.typed", "iotstore_acme/sessions.py",
        "iotstore_acme/store.py", "noxfile.py", "pyproject.toml", "tests/test_acme.py",
    }  # fmt: skip
    for path in written:
        assert not re.search(r"@(name|Name|version)@", path.read_text("utf-8")), path
    assert tomllib.loads((tmp_path / "new" / "folder" / "conformance.toml").read_text("utf-8")) == {}


def test_the_harness_has_at_most_twelve_lines(tmp_path):
    write_package("acme", tmp_path / "acme")

    lines = (tmp_path / "acme" / "iotstore_acme" / "harness.py").read_text("utf-8").splitlines()
    assert len([line for line in lines if line.strip() and not line.startswith('"""')]) <= 12


def test_every_abstract_method_is_there_and_says_in_which_step_it_is_written(tmp_path):
    write_package("acme", tmp_path / "acme")
    source = "".join(
        (tmp_path / "acme" / "iotstore_acme" / name).read_text("utf-8") for name in ("store.py", "sessions.py")
    )
    readme = (tmp_path / "acme" / "README.md").read_text("utf-8")

    said = dict(re.findall(r'raise NotWritten\((?P<step>\d+), "Acme\w+\.(?P<method>\w+)"\)', source)[::-1])
    raising = set(re.findall(r'raise NotWritten\(\d+, "Acme\w+\.(\w+)"\)', source))
    abstract = {*Backend.__abstractmethods__, *ReadSession.__abstractmethods__, *WriteSession.__abstractmethods__}
    declarations = {"options", "declared"}  # data, not work: there from the start
    assert raising == abstract - declarations
    assert all(re.search(rf"^\| {step} \|", readme, re.MULTILINE) for step in said)


def test_the_new_backend_is_red_in_every_core_clause_and_never_because_of_the_harness(package):
    done = run(package, "-c", RUN)

    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    assert len(results) > 150
    assert {outcome for outcome, _ in results} == {"failed"}
    for _, text in results:
        assert text == "NotWritten: acme: AcmeBackend.connect is not written yet; it is part of step 1 in README.md"


def test_the_new_packages_own_tests_fail_only_for_what_is_left_to_write(package):
    done = run(package, "-m", "pytest", "-q", "-p", "no:cacheprovider")

    assert re.search(r"1 failed, \d+ passed", done.stdout), done.stdout
    assert "test_no_method_is_left_to_write" in done.stdout


@pytest.mark.parametrize("name", ["", "a", "Acme", "my-db", "my_db", "9lives", "class", "ac me", "a" * 31, "../x", "é"])
def test_a_name_that_is_no_scheme_and_module_is_refused(name, tmp_path):
    with pytest.raises(ConfigurationError, match="can't name a backend"):
        write_package(name, tmp_path / "new")
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("name", "why"), [("sqlite", "backend for sqlite:// is installed"), ("sql", "package iotstore_sql is")]
)
def test_a_name_that_is_taken_is_refused(name, why):
    with pytest.raises(ConfigurationError, match=why):
        check_name(name)


def test_a_folder_that_exists_is_refused_and_not_touched(tmp_path):
    (tmp_path / "mine").write_text("mine")

    with pytest.raises(ConfigurationError, match="exists already"):
        write_package("acme", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_folder_that_cannot_be_made_is_refused_by_name(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigurationError, match=r"file/new can't be made"):
        write_package("acme", tmp_path / "file" / "new")


def test_the_command_writes_beside_the_caller_and_says_what_to_do_next(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    assert main(["conformance", "new", "acme"]) == 0

    assert (tmp_path / "iotstore-acme" / "pyproject.toml").exists()
    shown = capsys.readouterr().out
    assert "pip install -e 'iotstore-acme[dev]'" in shown
    assert "iotstore conformance run acme --profile core" in shown


def test_the_command_writes_where_it_is_told_to(tmp_path):
    assert main(["conformance", "new", "acme", "--directory", str(tmp_path / "here")]) == 0
    assert (tmp_path / "here" / "iotstore_acme" / "store.py").exists()


@pytest.mark.full
def test_the_package_installs_in_a_clean_environment_and_gives_a_first_report(tmp_path):
    write_package("acme", tmp_path / "acme")
    venv.create(tmp_path / "venv", with_pip=True)
    scripts = tmp_path / "venv" / "bin"
    install = [scripts / "pip", "install", "-q", "-e", f"{ROOT}[conformance]", "-e", f"{tmp_path / 'acme'}[dev]"]
    subprocess.run(install, check=True, timeout=900)
    for command in (["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]):
        subprocess.run([scripts / command[0], *command[1:]], cwd=tmp_path / "acme", check=True, timeout=300)

    command = [scripts / "iotstore", "conformance", "run", "acme", "--profile", "core", "--report", "report.json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)

    assert done.returncode == 1, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    assert report["verdict"] == "failed"
    assert {clause["outcome"] for clause in report["clauses"]} == {"failed"}
