"""What is listed in pyproject.toml, noxfile.py and CHANGELOG.md agrees with what lies in the folders."""

import importlib.metadata
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent
TOOLKITS = {"iotstore_sql"}  # no URL of its own: its tests are those of the backends standing on it


def problems(root: Path) -> list[str]:
    """Return what is missing for each shipped package in the checkout at *root*, as sentences."""
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    packages = settings["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    entry_points = settings["project"]["entry-points"]["iotstore.backends"].values()
    mypy, pyright = settings["tool"]["mypy"], settings["tool"]["pyright"]
    found: list[str] = []

    def demand(holds: bool, sentence: str) -> None:
        if not holds:
            found.append(sentence)

    backends = sorted(path for path in root.glob("backends/*/iotstore_*") if path.is_dir())
    rooms = [root / "iotstore", *backends, *sorted(root.glob("conformance/iotstore_*"))]
    for package in rooms:
        path = package.relative_to(root).as_posix()
        demand(path in packages, f"{path} is not in tool.hatch.build.targets.wheel packages")
        demand(path in mypy["files"], f"{path} is not in tool.mypy files")
        demand(path in pyright["include"], f"{path} is not in tool.pyright include")
        demand((package / "py.typed").is_file(), f"{path}/py.typed is missing")
        if package.parent != root:
            parent = package.parent.relative_to(root).as_posix()
            demand(parent in mypy["mypy_path"], f"{parent} is not in tool.mypy mypy_path")
            demand(parent in pyright["extraPaths"], f"{parent} is not in tool.pyright extraPaths")
            demand((package.parent / "README.md").is_file(), f"{parent}/README.md is missing")
    for package in backends:
        if package.name not in TOOLKITS:
            parent = package.parent.relative_to(root).as_posix()
            demand((package.parent / "tests").is_dir(), f"{parent}/tests is missing")
            demand(package.name in entry_points, f"{package.name} has no entry point in iotstore.backends")
    for path in packages:
        demand((root / path).is_dir(), f"{path} is listed in packages but does not exist")
        demand(Path(path).name.startswith("iotstore"), f"{path} would ship a name that is not ours")
    return found


def settings() -> dict[str, Any]:
    """Read this project's pyproject.toml."""
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def test_every_shipped_package_is_wired_completely() -> None:
    assert problems(ROOT) == []


def test_a_half_made_backend_is_reported_with_everything_it_lacks(tmp_path: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "backends" / "redis" / "iotstore_redis").mkdir(parents=True)

    found = "\n".join(problem for problem in problems(tmp_path) if "redis" in problem)

    expected = [
        "packages",
        "files",
        "include",
        "py.typed",
        "mypy_path",
        "extraPaths",
        "README.md",
        "tests",
        "entry point",
    ]
    assert [word for word in expected if word not in found] == []


def test_the_examples_are_checked_and_tested_and_never_shipped() -> None:
    """What they import is installed for tests, so that none of them is left out."""
    project = settings()
    groups = project["dependency-groups"]

    assert "examples" in project["tool"]["mypy"]["files"]
    assert "examples" in project["tool"]["pyright"]["include"]
    assert {"include-group": "examples"} in groups["test"]
    packages = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    assert [path for path in packages if path.startswith("examples")] == []


def test_the_newest_version_in_the_changelog_is_the_version_of_the_project() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")

    newest = re.search(r"^## \[?(\d+\.\d+\.\d+)", changelog, re.MULTILINE)

    assert newest is not None
    assert newest[1] == settings()["project"]["version"]


def test_the_installed_distribution_is_this_version() -> None:
    assert importlib.metadata.version("iotstore") == settings()["project"]["version"]


def test_every_entry_point_of_the_project_can_be_loaded() -> None:
    declared = settings()["project"]["entry-points"]
    names = [(group, name) for group, entries in declared.items() for name in entries]
    assert len(names) >= 3

    for group, name in names:
        (entry,) = importlib.metadata.entry_points(group=group, name=name)
        assert entry.load() is not None


def test_nox_runs_every_python_that_the_classifiers_promise() -> None:
    """The oldest promised version is also the one in requires-python, for the linter and for the type checkers."""
    project = settings()["project"]
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")
    promised = [
        tuple(int(part) for part in match[1].split("."))
        for line in project["classifiers"]
        if (match := re.fullmatch(r"Programming Language :: Python :: (3\.\d+)", line))
    ]

    assert promised == sorted(promised)
    assert project["requires-python"] == ">={}.{}".format(*promised[0])
    assert settings()["tool"]["ruff"]["target-version"] == "py{}{}".format(*promised[0])
    assert settings()["tool"]["pyright"]["pythonVersion"] == "{}.{}".format(*promised[0])
    assert f"OLDEST = {promised[0]}" in noxfile
    assert 'PYPROJECT["project"]["classifiers"]' in noxfile


def test_every_nox_session_says_in_one_line_what_it_does() -> None:
    noxfile = (ROOT / "noxfile.py").read_text("utf-8")

    sessions = re.findall(r"@nox\.session[^\n]*\n(?:@[^\n]*\n)*def (\w+)\([^\n]*\n    (\S[^\n]*)", noxfile)

    expected = {"lint", "typing", "tests", "conformance", "wheel", "docs", "workflow", "bench", "full"}
    assert expected <= {name for name, _ in sessions}
    assert [name for name, line in sessions if not re.fullmatch(r'"""[^"]+[.)]"""', line)] == []


TEXT = {".py", ".md", ".toml", ".sql", ".yml", ".yaml", ".cfg", ".ini", ".sh", ".txt", ".json", ""}
LEFT_BY_TOOLS = {".git", ".nox", ".hypothesis", ".mypy_cache", ".pytest_cache", ".ruff_cache", ".venv", "__pycache__"}


def text_files(root: Path) -> list[Path]:
    """List the text files that are, or would be, committed; without git, everything that no tool left behind."""
    git = shutil.which("git")
    if git is not None and (root / ".git").exists():
        command = [git, "-C", str(root), "ls-files", "--cached", "--others", "--exclude-standard", "-z"]
        listed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.split("\0")
        files = [root / name for name in listed if name]
    else:
        files = [path for path in root.rglob("*") if not LEFT_BY_TOOLS.intersection(path.relative_to(root).parts)]
    return sorted(path for path in files if path.is_file() and path.suffix in TEXT)


def folder(*names: str) -> str:
    """Spell an absolute path without this file containing it."""
    return "/" + "/".join(names)


# Folders that exist on one machine only; an address of a package index is another such fact.
MACHINE = [
    re.compile(rf"(?<![\w.}}~-]){re.escape(path)}" + ("" if path.endswith("/") else r"(?![\w-])"))
    for path in [folder("root"), folder("work"), folder("home", ""), folder("Users", ""), folder("opt", "wheels")]
] + [
    re.compile(rf"{folder('tmp', '')}(?:brief|venv)"),
    re.compile(r"(?:--)?(?:extra-)?index-url[= ]\S*//"),
]


def machine_facts(text: str) -> list[str]:
    """Return the places in *text* that are true on one machine only."""
    return [match[0] for pattern in MACHINE for match in pattern.finditer(text)]


def test_no_committed_file_names_a_folder_of_somebodys_machine() -> None:
    files = text_files(ROOT)
    assert len(files) > 20

    found = {str(path.relative_to(ROOT)): machine_facts(path.read_text("utf-8")) for path in files}

    assert {name: facts for name, facts in found.items() if facts} == {}


@pytest.mark.parametrize(
    "text",
    [
        f"cd {folder('root')}",
        f"see {folder('work', 'main')}/x",
        f"'{folder('home', 'ann')}'",
        f"in {folder('tmp', 'venv')}",
    ],
)
def test_a_planted_machine_path_is_found(text: str) -> None:
    assert machine_facts(text) != []


@pytest.mark.parametrize("text", ["the root of it", "a/work/b", "~/root", "home/ann", "framework/roots"])
def test_innocent_text_is_no_machine_path(text: str) -> None:
    assert machine_facts(text) == []
