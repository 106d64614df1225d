"""One history on two stores: equal stores agree, a wrong one is found, shrunk, and told of in a script that runs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from iotstore import Alert, Device
from iotstore.cli import main
from iotstore_conformance.differential import Difference, Made, Plants, Step, Version, compare, replay
from iotstore_conformance.differential.answers import Answer, Near, same
from iotstore_conformance.differential.homes import Home
from iotstore_conformance.differential.running import _drawn
from iotstore_conformance.differential.steps import written
from iotstore_conformance.kinds import Sample

pytestmark = pytest.mark.once

MEMORY = "sqlite://:memory:"
# A backend that is wrong in one way: the scheme says which.
WRONG = '''
"""A backend that is wrong on purpose."""

from dataclasses import replace

from iotstore import hookimpl
from iotstore.backend import AddColumn
from iotstore_conformance.hostile import Manner, wrapped
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


class RootlessWrite(SqliteWrite):
    def apply(self, operations):
        super().apply(
            [
                replace(one, column=one.column._replace(default=0)) if isinstance(one, AddColumn) else one
                for one in operations
            ]
        )


class Rootless(SqliteBackend):
    name = "rootless"

    def write(self):
        return RootlessWrite(self._writing(), self._statements)


class Silent(Manner):
    def stream(self, inner, layout, query, rows):
        return iter(()) if layout.name == "alert" else inner.stream(layout, query, rows)


class Alarmless(SqliteBackend):
    name = "alarmless"

    def snapshot(self):
        return wrapped(super().snapshot(), Silent())

    def copy_out(self, target, session, progress):
        super().copy_out(target, getattr(session, "inner", session), progress)


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


class rootless:
    @staticmethod
    @hookimpl
    def iotstore_backend():
        return Rootless


class alarmless:
    @staticmethod
    @hookimpl
    def iotstore_backend():
        return Alarmless
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
        "[iotstore.backends]\n"
        + "".join(f"{name} = wrong_backends:{name}\n" for name in ("forgetful", "late", "rootless", "alarmless"))
    )
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "wrong_backends", raising=False)
    return folder


@pytest.mark.parametrize("seed", [0, 1])
def test_a_store_in_a_file_and_one_in_memory_agree(tmp_path, seed):
    assert compare(MEMORY, f"sqlite:///{tmp_path}/home.db", seed, 120) is None
    assert list(tmp_path.iterdir()) == [], "places of the comparison were left behind"


@pytest.mark.full
@pytest.mark.parametrize("seed", range(2, 7))
def test_two_stores_that_outlive_their_histories_agree_over_many_seeds(tmp_path, seed):
    """These can be opened again with a kind that has grown."""
    urls = [f"sqlite:///{tmp_path}/{name}.db" for name in ("one", "other")]
    assert compare(*urls, seed, 600) is None


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


PLANTED = [
    Step("devices.add", Device(key="a")),
    Step("alerts.raise_", Alert(kind="offline", title="x", device="a")),
    Step("suite_plant.put", Plants(key="oak", height=1, leaves=9)),
]


@pytest.fixture
def files(tmp_path):
    """The URLs of a healthy store and of a wrong one, both in files."""
    return lambda wrong: (f"sqlite:///{tmp_path}/a.db", f"{wrong}:///{tmp_path}/b.db")


def test_a_kind_that_has_grown_is_opened_again_with_what_was_there(files, capsys):
    steps = [*PLANTED, Step("grow"), Step("suite_plant.put", Plants(key="x" * 50, leaves=1)), Step("grow")]
    assert replay(*files("sqlite"), [*steps, Step("suite_plant.list")]) == 0
    assert "same answers" in capsys.readouterr().out


@pytest.mark.usefixtures("wrong")
def test_a_migration_that_forgets_the_default_is_a_difference(files, capsys):
    urls = files("rootless")
    assert replay(*urls, PLANTED) == 0
    assert replay(*urls, [*PLANTED, Step("grow")]) == 1
    assert "what is stored at the end, suite_plant" in capsys.readouterr().out


@pytest.mark.usefixtures("wrong")
def test_a_backup_that_leaves_something_out_is_a_difference(files, capsys):
    urls = files("alarmless")
    assert replay(*urls, PLANTED) == 0
    assert replay(*urls, [*PLANTED, Step("back up")]) == 1
    assert "Step('back up')" in capsys.readouterr().out


def test_a_backup_of_a_store_in_memory_is_restored_beside_the_other_one(tmp_path, monkeypatch):
    restored = []
    right = Home.restored
    monkeypatch.setattr(Home, "restored", lambda *args: restored.append(args[2]) or right(*args))
    url = f"sqlite:///{tmp_path}/home.db"
    assert replay(MEMORY, url, [*PLANTED, Step("back up"), Step("grow")]) == 0
    assert restored == [url, url]
    assert replay(MEMORY, MEMORY, [*PLANTED, Step("back up")]) == 0
    assert len(restored) == 2
    assert list(tmp_path.iterdir()) == []


def test_histories_come_with_backups_and_with_kinds_that_grow():
    calls = {step.call for number in range(60) for step in _drawn(number)}
    assert {"back up", "grow", "suite_plant.put", "begin", "telemetry.write"} <= calls


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
    names = {"Step": Step, "Sample": Sample, "Plants": Plants}
    assert eval(repr(step), names) == step
    planted = Step("suite_plant.put", Plants(key="a", leaves=1))
    assert eval(repr(planted), names) == planted
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
