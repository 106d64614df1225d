"""One history on two stores: equal stores agree, a wrong one is found, shrunk, and told of in a script that runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iotstore import Device
from iotstore.cli import main
from iotstore_conformance.differential import Difference, Made, Step, Version, compare, replay
from iotstore_conformance.differential.answers import Answer, Near, same
from iotstore_conformance.differential.steps import written
from iotstore_conformance.kinds import Sample

MEMORY = "sqlite://:memory:"
# A backend that is wrong in one way: the scheme says which.
WRONG = '''
"""A backend that is wrong on purpose."""

from iotstore import hookimpl
from iotstore_sqlite.store import SqliteBackend, SqliteWrite, SqliteRead


class ForgetfulWrite(SqliteWrite):
    def delete(self, layout, where):
        touched = super().delete(layout, where)
        return touched[:-1] if len(touched) > 1 else touched


class Forgetful(SqliteBackend):
    name = "forgetful"

    def write(self):
        return ForgetfulWrite(self._writing(), self._statements)


class LatestRead(SqliteRead):
    def latest(self, series):
        found = super().latest(series)
        return [None if one is None else (one[0] + 1, one[1]) for one in found]


class Late(SqliteBackend):
    name = "late"

    def read(self):
        return LatestRead(self._readers, self._statements)


class forgetful:
    @staticmethod
    @hookimpl
    def iotstore_backend():
        return Forgetful


class late:
    @staticmethod
    @hookimpl
    def iotstore_backend():
        return Late
'''


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with wrong backends, installed for this process and for children."""
    folder = tmp_path / "site"
    info = folder / "wrong_backends-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "wrong_backends.py").write_text(WRONG)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: wrong-backends\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[iotstore.backends]\nforgetful = wrong_backends:forgetful\nlate = wrong_backends:late\n"
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "wrong_backends", raising=False)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_a_store_in_a_file_and_one_in_memory_agree(tmp_path, seed):
    assert compare(MEMORY, f"sqlite:///{tmp_path}/home.db", seed, 120) is None
    assert list(tmp_path.iterdir()) == [], "places of the comparison were left behind"


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 22))
def test_they_agree_over_many_seeds(tmp_path, seed):
    assert compare(MEMORY, f"sqlite:///{tmp_path}/home.db", seed, 1500) is None


def test_a_wrong_backend_is_found_shrunk_and_reproduced_by_its_script(wrong, tmp_path):
    found = compare(MEMORY, "late://:memory:", seed=1, steps=2000)
    assert found is not None
    assert len(found.steps) <= 4, found
    assert found.steps[-1].call.startswith("telemetry.la"), found
    script = tmp_path / "difference.py"
    script.write_text(found.script(), "utf-8")
    environment = {**os.environ, "PYTHONPATH": str(wrong)}
    command = [sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert done.returncode == 1, done.stderr
    assert str(found.answer_a) in done.stdout
    assert str(found.answer_b) in done.stdout
    done = subprocess.run([*command, MEMORY, MEMORY], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (0, "both stores give the same answers\n"), done.stderr


@pytest.mark.usefixtures("wrong")
def test_one_seed_gives_one_difference():
    first, second = (compare(MEMORY, "forgetful://:memory:", seed=3, steps=1000) for _ in range(2))
    assert first is not None
    assert second is not None
    assert first.steps == second.steps
    assert len(first.steps) <= 4, first


@pytest.mark.usefixtures("wrong")
def test_the_command_prints_the_difference_and_exits_with_one(tmp_path, capsys):
    script = tmp_path / "difference.py"
    arguments = ["conformance", "diff", MEMORY, "late://:memory:", "--seed", "1", "--script", str(script)]
    assert main(arguments) == 1
    assert "then the stores differ at" in capsys.readouterr().out
    compile(script.read_text("utf-8"), str(script), "exec")
    assert main(["conformance", "diff", MEMORY, MEMORY, "--steps", "20"]) == 0
    assert "both stores give the same answers" in capsys.readouterr().out


def test_a_history_is_played_with_ids_and_versions_as_they_are_then(capsys):
    steps = [
        Step("devices.add", Device(key="a")),
        Step("suite_sample.add", Sample(key="a", number=1)),
        Step("suite_sample.update", "a", expected=Version("suite_sample", "a"), number=2),
        Step("suite_sample.update", "a", expected=Version("suite_sample", "a", stale=True), number=3),
        Step("alerts.acknowledge", Made("alert", 0), "ann"),
        Step("begin"),
        Step("devices.add", Device(key="b")),
        Step("undo"),
        Step("devices.list"),
    ]
    assert replay(MEMORY, MEMORY, steps) == 0
    assert "same answers" in capsys.readouterr().out


def test_what_is_written_of_a_step_makes_the_same_step_again():
    step = Step("x.add", Sample(key="a", tags=frozenset({"t"}), real=0.1), [1, (2,), {"a": float("inf")}], none=None)
    names = {"Step": Step, "Sample": Sample}
    assert eval(repr(step), names) == step
    assert written(Device(key="a")) == "Device(key='a')"


def test_doubles_are_the_same_to_the_bit_unless_they_are_sums():
    assert not same(0.1 + 0.2, 0.3)
    assert not same(0.0, -0.0)
    assert not same(1, 1.0)
    assert not same(True, 1)
    assert same(Near(0.1 + 0.2, 0.3), Near(0.3, 0.3))
    assert not same(Near(1.0, 1.0), Near(1.0 + 3e-12, 1.0))
    assert same(Answer("NotFound"), Answer("NotFound"))
    assert not same(Answer("NotFound"), Answer(None, None))


def test_an_error_that_is_none_of_the_librarys_is_a_difference_even_on_both_sides(capsys):
    assert replay(MEMORY, MEMORY, [Step("devices.no_such_method")]) == 1
    assert "raised AttributeError" in capsys.readouterr().out


def test_a_url_with_a_login_is_never_written_into_a_script():
    steps = (Step("devices.list"),)
    hidden = Difference(MEMORY, "late://ann:s3cret@host/x", 1, steps, "x", Answer(None, []), Answer("Busy"))
    assert "s3cret" not in hidden.script()
    compile(hidden.script(), "script", "exec")
