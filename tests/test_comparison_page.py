"""The page that compares with other libraries quotes its result files, and the comparison notices whoever cheats."""

import importlib
import json
import re
import shutil
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest

pytestmark = pytest.mark.once
RESULTS = Path("benchmarks/results/instead")
SVG = "{http://www.w3.org/2000/svg}"


@pytest.fixture
def instead(root: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
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


def test_every_piece_of_work_that_is_lost_stands_on_the_page_with_a_reason(instead: ModuleType, root: Path) -> None:
    titles = importlib.import_module("instead.parts").TITLES
    page = (root / "docs" / "comparison.md").read_text("utf-8")
    for run in instead.runs_of(root / RESULTS):
        section = page.split(f"### Where it loses on {instead.ENGINES[run['backend']]}, and why", 1)[-1]
        lines = [line for line in section.split("\n#", 1)[0].splitlines() if line.startswith("* **")]
        lost = [
            (other, f"{titles[name]} ({instead.times(one['ratio'])})")
            for name, row in run["results"].items()
            for other, one in row["others"].items()
            if one["ratio"] < 1
        ]

        assert lost, "nothing is lost: is the driver alone still among the others?"
        for other, work in lost:
            (line,) = [line for line in lines if line.startswith(f"* **{other}**: ") and work in line]
            assert re.search(r"\)\. [A-Z].{40,}\.$", line)


def test_result_files_are_of_full_runs_and_name_no_host_and_no_path(root: Path) -> None:
    for path in (root / RESULTS).rglob("*.json"):
        text = path.read_text("utf-8")
        run = json.loads(text)
        how = "--full" if path.parent.name == "instead" else f"--growth {max(map(int, run['results']))}"

        assert run["command"] == f"python benchmarks/contenders.py --backend {path.stem} {how}"
        assert str(Path.home()) not in text
        assert "://" not in text


def test_plots_are_pictures_with_a_bar_for_every_figure_readable_on_dark_pages_too(
    instead: ModuleType, root: Path
) -> None:
    for run in instead.runs_of(root / RESULTS):
        pictures = [
            (root / "docs" / f"comparison-{run['backend']}-{part.name}.svg").read_text("utf-8")
            for part in importlib.import_module("instead.parts").divided(run["results"])
        ]

        bars = [bar for picture in pictures for bar in ET.fromstring(picture).findall(f"{SVG}rect")]
        assert len(bars) == sum(len(row["others"]) for row in run["results"].values())
        assert all("@media (prefers-color-scheme: dark)" in picture for picture in pictures)


def test_a_picture_that_belongs_to_no_result_is_noticed_and_removed(instead: ModuleType, copied: Path) -> None:
    old = copied / "docs" / "comparison-sqlite-old.svg"
    old.write_text("<svg/>", "utf-8")

    assert instead.write(copied / "results", copied / "docs", check=True) == 1
    assert instead.write(copied / "results", copied / "docs", check=False) == 0
    assert not old.exists()


@pytest.fixture
def comparison(instead: ModuleType) -> ModuleType:
    """The module that compares."""
    assert instead.__name__ == "instead.page"
    return importlib.import_module("instead.comparison")


def little(comparison: ModuleType) -> object:
    """As little work as shows that everybody does it."""
    return comparison.Sizes(
        batch=600, batches=3, alerts=120, flows=600, turns=2, seconds=0.001, operations=32, starts=1, linked=60
    )


def test_all_contenders_hold_the_same_rows_and_give_the_same_answers_on_sqlite(comparison: ModuleType) -> None:
    engine = importlib.import_module("sidebyside.catalogue").engine_of("sqlite")
    sizes = little(comparison)

    with comparison.contenders("sqlite", engine) as everybody:
        found = comparison.compare(everybody, sizes)

    assert set(found) == {*comparison.INGEST, *comparison.QUESTIONS, "threads-1", "threads-4", "threads-16"}
    assert all(len(times) == len(everybody) == 8 for times in found.values())


@pytest.mark.usefixtures("instead")
def test_all_who_walk_along_relations_give_the_same_answers_on_sqlite(tmp_path: Path) -> None:
    walking = importlib.import_module("instead.walking")
    urls = [f"sqlite:///{tmp_path / name}.db" for name in ("library", "by_hand")]

    found = walking.compare(walking.walkers("sqlite", *urls), 60, 2, 0.001)

    assert {name: len(times) for name, times in found.items()} == {"neighbours": 4, "path": 4}


def test_everybody_grows_in_a_process_of_its_own_and_counts_the_same(
    comparison: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    growth = importlib.import_module("instead.growth")
    engine = importlib.import_module("sidebyside.catalogue").engine_of("sqlite")
    monkeypatch.setitem(comparison.CONTENDERS, "sqlite", comparison.CONTENDERS["sqlite"][:2])

    found = growth.measure("sqlite", engine, growth.SIZES[0])

    rows = found[str(growth.SIZES[0])]
    assert set(rows) == {"iotstore", "sqlite3 by hand"}
    assert rows["iotstore"]["ingest"]["ratio"] == 1.0
    assert all(20 < row["bytes"] < 100 and 10 < row["megabytes"] < 200 for row in rows.values())


def test_a_contender_that_loses_a_row_or_answers_otherwise_fails_the_comparison(
    comparison: ModuleType, tmp_path: Path
) -> None:
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

    for number, (bad, said) in enumerate([(Loses, "different numbers of points"), (Lies, "latest: iotstore says")]):
        everybody = [library(f"sqlite:///{tmp_path}/{number}a.db"), bad(f"sqlite:///{tmp_path}/{number}b.db")]
        try:
            with pytest.raises(RuntimeError, match=said):
                comparison.compare(everybody, little(comparison))
        finally:
            for one in everybody:
                one.close()


@pytest.mark.usefixtures("instead")
def test_a_way_that_leads_over_no_relation_fails_the_comparison() -> None:
    walking = importlib.import_module("instead.walking")

    class Jumps:
        name = "jumps"

        def path(self, start: str, end: str) -> list[str]:
            return [start, end]

    with pytest.raises(RuntimeError, match=r"path: jumps says .* which is no way from a to c"):
        walking.way_length(Jumps(), "a", "c", [("a", "b"), ("b", "c")])
