"""Every comparison with work by hand runs on PostgreSQL, and both sides of it leave and answer the same."""

import importlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pytest

from iotstore_conformance.servers import postgres

pytestmark = pytest.mark.once

_DATABASES: Final = "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def runner(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The program that runs the benchmarks, with so little work that its figures mean nothing."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    run = importlib.import_module("run")
    tiny = run.Sizes(devices=3, pairs=2, calls=3, batch=400, points=4_000, flows=200, alerts=200, starts=1, bounded=400)
    monkeypatch.setattr(run, "QUICK", tiny)
    monkeypatch.setattr(run, "TRIES", 1)
    yield run
    for name in set(sys.modules) - before:
        if name in ("run", "page") or name.startswith("sidebyside"):
            del sys.modules[name]


@pytest.mark.usefixtures("url")
def test_each_benchmark_finds_the_same_rows_and_answers_on_both_sides_and_is_on_the_page(
    runner: ModuleType, tmp_path: Path
) -> None:
    file = tmp_path / "postgresql.json"

    code = runner.main(["--backend", "postgresql", "--quick", "--json", str(file)])

    run = json.loads(file.read_text("utf-8"))
    page = importlib.import_module("page")
    text = page.page([page.read(file)])
    names = list(runner.by_name("postgresql"))
    assert [result["name"] for result in run["results"]] == names
    # So little work says nothing about a bar; but the exit code says what the file says.
    assert code == int(any(result["met"] is False for result in run["results"]))
    assert run["settings"]["fsync"] in text
    assert all(f'<a id="postgresql-{name}"></a>' in text for name in names)
    assert postgres().url not in file.read_text("utf-8")


@pytest.mark.usefixtures("runner", "url")
def test_a_side_that_left_other_rows_in_its_database_fails_the_benchmark(admin: psycopg.Connection[Any]) -> None:
    engines = importlib.import_module("sidebyside.engine")
    engine = importlib.import_module("sidebyside.catalogue").engine_of("postgresql")
    stage = importlib.import_module("sidebyside.stage")

    with stage.staged(engine, stage.Sizes(1, 1, 1, 10, 10, 1, 1, 1, 10)) as found:
        assert found.check_same("iotstore_latest") == found.check_same("iotstore_points") > 0
        found.points.execute("UPDATE iotstore_latest SET number = 7 WHERE number IS NOT NULL")
        assert engines.same_rows(engine, found.places, "iotstore_latest", ["number"]) > 0
        with pytest.raises(RuntimeError, match="iotstore_latest: the library holds "):
            found.check_same("iotstore_latest")
        mine = [urlsplit(url).path.removeprefix("/") for url in found.places]
        assert len(admin.execute(_DATABASES, [mine]).fetchall()) == 2
    assert admin.execute(_DATABASES, [mine]).fetchall() == []
