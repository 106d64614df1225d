"""The performance page quotes the result files and nothing else, and a missed bar is an error."""

import importlib
import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest

RESULTS = Path("benchmarks/results")
PAGE = Path("docs/performance.md")
ROOT = Path(__file__).parent.parent


@pytest.fixture
def runner(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program that runs the benchmarks, imported as it runs: with its own folder on the path."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    yield importlib.import_module("run")
    for name in set(sys.modules) - before:
        if name == "run" or name.startswith("sidebyside"):
            del sys.modules[name]


def check(root: Path, results: Path, page: Path) -> subprocess.CompletedProcess[str]:
    """Ask whether a page is what a result file gives."""
    command = [sys.executable, str(root / "benchmarks" / "page.py"), "--check"]
    command += ["--results", str(results), "--page", str(page)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture(params=sorted(path.name for path in (ROOT / RESULTS).glob("*.json")))
def committed(request: pytest.FixtureRequest) -> Path:
    """Each of the committed result files."""
    return ROOT / RESULTS / str(request.param)


@pytest.fixture
def copied(committed: Path, tmp_path: Path) -> Path:
    """The same file in a copy of the folder, to be changed."""
    shutil.copytree(committed.parent, tmp_path / "results")
    return tmp_path / "results" / committed.name


def test_the_committed_page_is_what_the_committed_result_files_give(root: Path) -> None:
    done = check(root, root / RESULTS, root / PAGE)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("field", ["figure", "low", "library", "by_hand", "bar"])
def test_a_figure_that_differs_from_the_page_is_noticed(root: Path, copied: Path, field: str) -> None:
    run = json.loads(copied.read_text("utf-8"))
    next(result for result in run["results"] if result["bar"] is not None)[field] *= 3
    copied.write_text(json.dumps(run), "utf-8")

    done = check(root, copied.parent, root / PAGE)

    assert done.returncode == 1
    assert "run: python benchmarks/page.py" in done.stdout


def test_a_result_file_that_lacks_a_benchmark_is_noticed(root: Path, copied: Path) -> None:
    run = json.loads(copied.read_text("utf-8"))
    gone = run["results"].pop()
    copied.write_text(json.dumps(run), "utf-8")

    done = check(root, copied.parent, root / PAGE)

    assert done.returncode == 1
    assert f"{copied.name} lacks {gone['name']}" in done.stdout


def test_every_bar_on_the_page_is_met(committed: Path) -> None:
    run = json.loads(committed.read_text("utf-8"))
    barred = [result for result in run["results"] if result["bar"] is not None]

    assert len(barred) >= 8
    assert [result["name"] for result in barred if not result["met"]] == []


def test_a_result_file_names_no_host_and_no_path_and_was_not_made_in_a_hurry(committed: Path) -> None:
    run = json.loads(committed.read_text("utf-8"))
    backend = "" if committed.stem == "sqlite" else f" --backend {committed.stem}"

    assert run.get("backend", "sqlite") == committed.stem
    assert run["command"] == f"python benchmarks/run.py{backend} --full"
    assert set(run["machine"]) == {"system", "processor", "cores", "memory_gb", "queue_taken_off"}
    assert str(Path.home()) not in json.dumps(run)
    assert "://" not in json.dumps(run)


class Case(NamedTuple):
    """How many seconds each try takes, and what becomes of it."""

    seconds: list[float]
    option: str
    code: int
    tries: int


@pytest.mark.parametrize(
    "case",
    [
        Case([1.0], "--quick", 0, 1),
        Case([2.0, 2.0, 1.0], "--quick", 0, 3),
        Case([2.0, 2.0, 2.0, 1.0], "--quick", 1, 3),
        Case([2.0, 1.0], "--full", 1, 1),
    ],
)
def test_a_bar_missed_is_exit_code_1_in_quick_runs_only_after_three_tries(
    runner: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], case: Case
) -> None:
    measure = importlib.import_module("sidebyside.measure")
    took = iter(case.seconds)
    asked: list[object] = []

    def run(_: object, sizes: object) -> object:
        """Take as long as the list says; by hand it is one second."""
        asked.append(sizes)
        return measure.Measured([measure.Pair(next(took), 1.0)], 1, "calls")

    stand_in = replace(runner.by_name("sqlite")["device-get"], run=run)
    monkeypatch.setitem(runner.CATALOGUE, "sqlite", (stand_in,))

    assert runner.main([case.option, "--only", "device-get"]) == case.code
    assert len(asked) == case.tries
    assert ("missed: device-get" in capsys.readouterr().out) == (case.code == 1)


@pytest.mark.usefixtures("runner")
def test_ratios_are_taken_within_a_pair_and_the_sides_take_turns() -> None:
    measure = importlib.import_module("sidebyside.measure")
    turns: list[tuple[str, int]] = []
    pairs = measure.interleave(lambda n: turns.append(("library", n)), lambda n: turns.append(("by hand", n)), 2)

    assert len(pairs) == 2
    assert turns == [("library", 0), ("by hand", 0), ("library", 1), ("by hand", 1), ("by hand", 2), ("library", 2)]
    assert measure.ratios([measure.Pair(1.0, 2.0), measure.Pair(40.0, 80.0)], "time") == [0.5, 0.5]
    assert measure.ratios([measure.Pair(1.0, 2.0), measure.Pair(40.0, 80.0)], "speed") == [2.0, 2.0]


def test_a_benchmark_that_the_backend_does_not_have_is_refused_before_any_is_run(
    runner: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        runner.main(["--only", "points-copied"])

    assert "sqlite has no benchmark points-copied; choose from points-objects, " in capsys.readouterr().err


@pytest.mark.usefixtures("runner")
def test_a_side_that_left_other_rows_fails_the_benchmark(tmp_path: Path) -> None:
    engines = importlib.import_module("sidebyside.engine")
    sqlite = importlib.import_module("sidebyside._sqlite.engine").Sqlite()
    files = [tmp_path / "one.db", tmp_path / "two.db"]
    for number, file in enumerate(files):
        with closing(sqlite3.connect(file, isolation_level=None)) as connection:
            connection.execute("CREATE TABLE t (a, b)")
            connection.execute("INSERT INTO t VALUES (1, ?)", (number,))

    places = engines.Places(*(f"sqlite:///{file}" for file in files))
    assert engines.same_rows(sqlite, places, "t", ["b"]) == 1
    with pytest.raises(RuntimeError, match=r"t: the library holds \(1, 0\), the work by hand left \(1, 1\)"):
        engines.same_rows(sqlite, places, "t")
