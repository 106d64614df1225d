"""The DuckDB example is installed as a plugin and keeps the contract; not installed, these tests fail and say so."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import pytest

import iotstore
from iotstore import Busy, Corrupt, Device, Kind, NotAStore, Record, Text, Unreachable, sum_
from iotstore_conformance import Clause, find_harness, load_clauses, run_clause

pytestmark = pytest.mark.once

CORE = [clause for clause in load_clauses() if clause.profile == "core"]


@pytest.fixture(scope="module")
def harness():
    """The harness that the installed example offers: pip install -e examples/custom_backend."""
    return find_harness("duckdb")


@pytest.mark.parametrize("clause", CORE, ids=lambda clause: clause.id)
def test_duckdb_keeps(clause: Clause, harness) -> None:
    """DuckDB keeps the sentence of the clause."""
    run_clause(clause, harness)


def test_the_installed_example_is_listed_among_the_backends():
    command = [sys.executable, "-c", "from iotstore.cli import main; main()", "backends"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "duckdb" in done.stdout


def test_a_second_process_is_told_that_the_file_is_held(tmp_path):
    url = f"duckdb:///{tmp_path}/home.duckdb"
    program = f"import iotstore\ntry:\n    iotstore.open({url!r})\nexcept iotstore.Busy as error:\n    print(error)"
    with iotstore.open(url):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert "another process holds the database file" in done.stdout


def test_two_handles_of_one_process_take_turns(tmp_path):
    url = f"duckdb:///{tmp_path}/home.duckdb"
    with iotstore.open(url) as one, iotstore.open(url, busy_timeout=0.01) as two:
        with one.transaction():
            one.devices.add(Device(key="a"))
            with pytest.raises(Busy, match="another transaction wrote"):
                two.devices.add(Device(key="b"))
        assert two.devices.get("a").key == "a"


def test_a_snapshot_ends_at_its_age(tmp_path):
    with (
        iotstore.open(f"duckdb:///{tmp_path}/home.duckdb", snapshot_seconds=0.0) as store,
        pytest.raises(Busy, match="grew too old"),
        store.snapshot() as frozen,
    ):
        frozen.devices.count()


def test_what_is_no_store_is_refused_and_not_touched(tmp_path):
    import duckdb

    (tmp_path / "text").write_text("hello" * 1000)
    with duckdb.connect(tmp_path / "other") as other:
        other.execute("CREATE TABLE somebody AS SELECT 1 AS x")
    for name in ("text", "other"):
        before = (tmp_path / name).read_bytes()
        with pytest.raises(NotAStore, match=r"DuckDB database"):
            iotstore.open(f"duckdb:///{tmp_path}/{name}")
        assert (tmp_path / name).read_bytes() == before
    with pytest.raises(Unreachable, match="there is no store"):
        iotstore.open(f"duckdb:///{tmp_path}/missing", create=False)
    assert not (tmp_path / "missing").exists()


def test_a_damaged_file_is_told_by_name(tmp_path):
    place = tmp_path / "home.duckdb"
    with iotstore.open(f"duckdb:///{place}") as store:
        store.devices.add(Device(key="a"))
        store.admin.optimise()
    shutil.copy(place, tmp_path / "whole")
    damaged = bytearray(place.read_bytes())
    damaged[4_104] ^= 0xFF
    place.write_bytes(damaged)
    with pytest.raises(Corrupt, match="damaged"):
        iotstore.open(f"duckdb:///{place}")
    with iotstore.open(f"duckdb:///{tmp_path}/whole") as store:
        assert store.devices.get("a").key == "a"


def test_the_readme_names_every_capability_that_is_not_claimed():
    from iotstore_duckdb import iotstore_backend

    readme = (Path(__file__).parents[2] / "examples" / "custom_backend" / "README.md").read_text("utf-8")
    declared = iotstore_backend().declared()
    assert declared.lacking
    for capability in declared.lacking:
        assert f"`{capability.name}`" in readme


def test_a_sum_of_doubles_keeps_what_is_small_beside_what_is_large(tmp_path):
    class Meter(Record, frozen=True, kw_only=True):
        serial: Annotated[str, Text(20, min=1)]
        used: float

    meters = Kind(Meter, "meter", "serial")
    with iotstore.open(f"duckdb:///{tmp_path}/home.duckdb", kinds=[meters]) as store:
        records = store.records(meters)
        records.add(Meter(serial="large", used=1e16))
        records.add_many([Meter(serial=f"m{n}", used=1.0) for n in range(20_000)])
        (row,) = records.aggregate({"used": sum_("used")})
        assert row["used"] == 1e16 + 20_000
