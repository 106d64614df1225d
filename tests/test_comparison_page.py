"""The page that compares with other libraries quotes its result files, and the comparison notices whoever cheats."""

import importlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.once
RESULTS = Path("benchmarks/results/instead")


@pytest.fixture
def instead(root: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module that writes the page, imported as the program does: with its own folder on the path."""
    monkeypatch.syspath_prepend(str(root / "benchmarks"))
    return importlib.import_module("instead.page")


@pytest.fixture
def copied(root: Path, tmp_path: Path) -> Path:
    """The result files and the pages in another folder, to be changed."""
    shutil.copytree(root / RESULTS, tmp_path / "results")
    (tmp_path / "docs").mkdir()
    for path in (root / "docs").glob("comparison*"):
        shutil.copy(path, tmp_path / "docs")
    return tmp_path


def test_the_page_and_its_plots_are_what_the_result_files_give(instead: ModuleType, root: Path) -> None:
    assert instead.write(root / RESULTS, root / "docs", check=True) == 0


def test_a_figure_that_differs_from_the_page_is_noticed(instead: ModuleType, copied: Path) -> None:
    path = copied / "results" / "sqlite.json"
    run = json.loads(path.read_text("utf-8"))
    run["results"]["latest"]["others"]["peewee"]["ratio"] *= 2
    path.write_text(json.dumps(run), "utf-8")

    assert instead.write(copied / "results", copied / "docs", check=True) == 1


def test_every_piece_of_work_that_is_lost_has_its_reason_on_the_page(root: Path) -> None:
    page = (root / "docs" / "comparison.md").read_text("utf-8")
    lost = [
        other
        for path in (root / RESULTS).glob("*.json")
        for row in json.loads(path.read_text("utf-8"))["results"].values()
        for other, one in row["others"].items()
        if one["ratio"] < 1
    ]

    assert page.count(" of the time: ") == len(lost)


def test_result_files_are_of_full_runs_and_name_no_host_and_no_path(root: Path) -> None:
    for path in (root / RESULTS).glob("*.json"):
        text = path.read_text("utf-8")
        run = json.loads(text)

        assert run["command"] == f"python benchmarks/contenders.py --backend {path.stem} --full"
        assert str(Path.home()) not in text
        assert "://" not in text


def test_the_plot_is_a_picture_with_a_bar_for_every_figure(instead: ModuleType, root: Path) -> None:
    assert instead.__name__ == "instead.page"
    for path in (root / RESULTS).glob("*.json"):
        run = json.loads(path.read_text("utf-8"))
        tree = ET.parse(root / "docs" / f"comparison-{path.stem}.svg")

        bars = tree.findall("{http://www.w3.org/2000/svg}rect")
        assert len(bars) == sum(len(row["others"]) for row in run["results"].values())


@pytest.mark.usefixtures("instead")
def test_all_contenders_hold_the_same_rows_and_give_the_same_answers_on_sqlite() -> None:
    comparison = importlib.import_module("instead.comparison")
    engine = importlib.import_module("sidebyside.catalogue").engine_of("sqlite")
    sizes = comparison.Sizes(batch=600, batches=3, alerts=120, turns=2, seconds=0.001)

    with comparison.contenders("sqlite", engine) as everybody:
        found = comparison.compare(everybody, sizes)

    assert set(found) == {"ingest", *comparison.QUESTIONS}
    assert all(len(times) == len(everybody) for times in found.values())


@pytest.mark.usefixtures("instead")
def test_a_contender_that_loses_a_row_or_answers_otherwise_fails_the_comparison(tmp_path: Path) -> None:
    comparison = importlib.import_module("instead.comparison")
    library = importlib.import_module("instead.with_iotstore").WithIotstore

    class Loses(library):  # type: ignore[misc, valid-type]  # imported at run time
        name = "loses"

        def ingest(self, points: list[object]) -> None:
            super().ingest(points[1:])

    class Lies(library):  # type: ignore[misc, valid-type]
        name = "lies"

        def latest(self, device: str, metric: str) -> tuple[object, float]:
            time, value = super().latest(device, metric)
            return time, value + 0.001

    sizes = comparison.Sizes(batch=600, batches=3, alerts=120, turns=2, seconds=0.001)
    for number, (bad, said) in enumerate([(Loses, "different numbers of points"), (Lies, "latest: iotstore says")]):
        everybody = [library(f"sqlite:///{tmp_path}/{number}a.db"), bad(f"sqlite:///{tmp_path}/{number}b.db")]
        try:
            with pytest.raises(RuntimeError, match=said):
                comparison.compare(everybody, sizes)
        finally:
            for one in everybody:
                one.close()
