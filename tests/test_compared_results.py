"""Two result files of benchmarks are compared: what got worse is flagged, and noise is not."""

import importlib
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytestmark = pytest.mark.once
BY_HAND = "benchmarks/results/sqlite.json"
INSTEAD = "benchmarks/results/instead/sqlite.json"
Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def compare(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program, imported as it runs: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("compare")


def changed(root: Path, tmp_path: Path, name: str, change: Change) -> list[str]:
    """A committed result file, and a copy in which something is changed."""
    run = json.loads((root / name).read_text("utf-8"))
    change(run)
    copy = tmp_path / "new.json"
    copy.write_text(json.dumps(run), "utf-8")
    return [str(root / name), str(copy)]


def scaled(measure: str, factor: float) -> Change:
    """All ratios of the first benchmark of a measure, times a factor."""

    def change(run: dict[str, Any]) -> None:
        result = next(one for one in run["results"] if one["measure"] == measure)
        result["ratios"] = [ratio * factor for ratio in result["ratios"]]

    return change


def beside(factor: float) -> Change:
    """How many times as long another library takes for the latest value, times a factor."""

    def change(run: dict[str, Any]) -> None:
        one = run["results"]["latest"]["others"]["peewee"]
        run["results"]["latest"]["others"]["peewee"] = {name: value * factor for name, value in one.items()}

    return change


@pytest.mark.parametrize(
    ("name", "change", "verdict"),
    [
        (BY_HAND, scaled("speed", 0.4), "worse"),
        (BY_HAND, scaled("speed", 2.5), "better"),
        (BY_HAND, scaled("time", 2.5), "worse"),
        (BY_HAND, scaled("time", 0.4), "better"),
        (BY_HAND, scaled("time", 1.02), "the same"),
        (INSTEAD, beside(0.2), "worse"),
        (INSTEAD, beside(5.0), "better"),
        (INSTEAD, beside(1.01), "the same"),
    ],
)
def test_a_ratio_that_moved_is_flagged_and_noise_is_not(  # noqa: PLR0917 - fixtures and parameters
    compare: ModuleType, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, change: Change,
    verdict: str,
) -> None:  # fmt: skip
    code = compare.main(changed(root, tmp_path, name, change))

    lines = capsys.readouterr().out.splitlines()
    assert code == (verdict == "worse")
    moved = [line for line in lines if not line.endswith("the same")]
    assert [line.rsplit("  ", 1)[1] for line in moved] == ([] if verdict == "the same" else [verdict])


def test_quartiles_that_overlap_are_noise_however_far_the_median_moved(
    compare: ModuleType, root: Path, tmp_path: Path
) -> None:
    def wide(run: dict[str, Any]) -> None:
        result = next(one for one in run["results"] if one["measure"] == "time")
        result["ratios"] = [0.1, 0.2, 5.0, 50.0, 60.0]

    assert compare.main(changed(root, tmp_path, BY_HAND, wide)) == 0


def test_a_benchmark_that_only_one_file_has_is_named(
    compare: ModuleType, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def without(run: dict[str, Any]) -> None:
        run["results"] = [one for one in run["results"] if one["name"] != "latest"]

    old, new = changed(root, tmp_path, BY_HAND, without)

    assert compare.main([old, new]) == 0
    assert f"only in {old}" in capsys.readouterr().out


def test_files_of_different_things_are_refused(
    compare: ModuleType, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        compare.main([str(root / BY_HAND), str(root / INSTEAD)])

    assert "sqlite.json is of sqlite, " in capsys.readouterr().err
