"""``iotstore graph``, and where the projection's URL may stand."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import iotstore
from iotstore import ConfigurationError, Device
from iotstore.cli import main


class Answer(NamedTuple):
    code: int
    out: str
    err: str


@pytest.fixture
def cli(capsys, monkeypatch, tmp_path, primary, target) -> Callable[..., Answer]:
    """Run ``iotstore graph`` in a folder whose iotstore.toml names both stores."""
    monkeypatch.chdir(tmp_path)
    Path("iotstore.toml").write_text(f'[store]\nurl = "{primary}"\nrelationships = "{target}"\n', "utf-8")
    with iotstore.open(projector=False) as store:
        store.devices.put(Device(key="cam", owner=None))

    def run(*words: str) -> Answer:
        code = main(words)
        return Answer(code, *capsys.readouterr())

    return run


def test_status_says_how_far_it_is(cli, target):
    said = cli("graph", "status")
    assert said.code == 0
    assert target[:40] in said.out
    assert "new" in said.out
    assert "1 changes" in said.out
    told = json.loads(cli("graph", "status", "--json").out)
    assert (told["status"]["state"], told["status"]["waiting"], told["dead_letters"]) == ("new", 1, [])


def test_status_prints_numbers_for_a_monitoring_system(cli):
    cli("graph", "sync")
    assert cli("graph", "status", "--metrics").out.splitlines() == [
        "iotstore_projection_live 1",
        "iotstore_projection_lag_records 0",
        "iotstore_projection_lag_seconds 0",
        "iotstore_projection_dead_letters 0",
        "iotstore_projection_batches_total 1",
        "iotstore_projection_applied_total 1",
    ]


def test_health_prints_the_numbers_of_store_and_projection_together(cli):
    cli("graph", "sync")
    said = cli("health", "--metrics")
    assert said.code == 0
    lines = said.out.splitlines()
    assert {"iotstore_healthy 1", "iotstore_snapshots_open 0", "iotstore_projection_applied_total 1"} <= set(lines)


def test_sync_brings_over_and_verify_finds_both_equal(cli):
    assert cli("graph", "sync") == (0, "2 records were brought over.\n", "")  # built, and then said by the outbox
    said = cli("graph", "verify")
    assert said.code == 0
    assert "Nothing differs that does not wait" in said.out


def test_verify_names_what_differs_and_repairs_it(cli):
    cli("graph", "sync")
    with iotstore.open(projector=False) as store:
        engine = store.projection.target.engine
        with engine.writing() as transaction:
            device = store.projection.target.kinds["device"]
            transaction.session.update(device.layout, iotstore.backend.ALWAYS, {"name": "spoilt"})
    said = cli("graph", "verify")
    assert said.code == 1
    assert '["cam"]' in said.out
    assert "different" in said.out
    said = cli("graph", "verify", "--repair")
    assert said.code == 0
    assert "1 were brought over again" in said.out
    assert cli("graph", "verify").code == 0


def test_rebuild_clear_and_replay_say_what_they_did(cli):
    assert cli("graph", "rebuild").out == "Made anew with 2 records.\n"
    assert cli("graph", "replay").out == "0 were tried again, 0 are refused still.\n"
    assert cli("graph", "clear").out == "Emptied and detached. The primary was not touched.\n"
    assert cli("graph", "sync").code == 0
    assert cli("graph", "clear", "--keep").out == "Detached; what the projection holds stays as it is.\n"


def test_a_store_without_a_projection_says_so(capsys, primary, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    iotstore.open(primary).close()
    assert main(["graph", "status", "--url", primary]) == 1
    assert "no projection; open it with relationships=" in capsys.readouterr().err


def test_the_projection_can_be_named_on_the_command_line(primary, target, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    iotstore.open(primary).close()
    assert main(["graph", "sync", "--url", primary, "--relationships", target]) == 0


@pytest.mark.usefixtures("cli")
def test_follow_goes_on_until_it_is_asked_to_end(target, composed):
    command = [sys.executable, "-c", "import sys; from iotstore.cli import main; sys.exit(main(sys.argv[1:]))"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("IOTSTORE_")}
    with subprocess.Popen(
        [*command, "graph", "sync", "--follow"],
        stdout=subprocess.PIPE,
        text=True,
        env={**environment, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith(f"Following into {target}")
        store = composed(clock=None)
        store.devices.put(Device(key="later"))
        store.projection.wait(60)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "Ended; another projector can go on at once.\n"
        assert process.wait() == 0
    assert store.projection.status().projector is None


def test_config_shows_it_without_secrets(cli, monkeypatch):
    monkeypatch.setenv("IOTSTORE_RELATIONSHIPS", "postgresql://me:secret@somewhere/graph")
    monkeypatch.setenv("IOTSTORE_PROJECTOR", "off")
    said = cli("config", "--json")
    assert "secret" not in said.out
    shown = {one["name"]: (one["value"], one["source"]) for one in json.loads(said.out)}
    assert shown["relationships"] == ("postgresql://me:***@somewhere/graph", "IOTSTORE_RELATIONSHIPS")
    assert shown["projector"] == (False, "IOTSTORE_PROJECTOR")


# Where it may stand ----------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("cli")
def test_an_empty_url_takes_back_what_the_file_says():
    with iotstore.open(relationships="") as store, pytest.raises(iotstore.NotAllowed, match="no projection"):
        store.projection.status()


def test_the_environment_names_it_too(primary, target, monkeypatch):
    monkeypatch.setenv("IOTSTORE_RELATIONSHIPS", target)
    monkeypatch.setenv("IOTSTORE_PROJECTOR", "no")
    with iotstore.open(primary) as store:
        assert store.projection.target.place == target
        assert not store.projection.running


def test_an_unknown_setting_in_its_url_is_refused_when_the_store_is_opened(primary, target):
    with pytest.raises(ConfigurationError, match=r"unknown setting 'durabilty' \(from relationships\)"):
        iotstore.open(primary, relationships=f"{target}?durabilty=full")


@pytest.mark.parametrize("said", ["perhaps", 3])
def test_projector_is_yes_or_no(primary, target, said):
    with pytest.raises(ConfigurationError, match=r"setting projector = .* must be of type bool"):
        iotstore.open(primary, relationships=target, projector=said)


@pytest.mark.usefixtures("cli")
def test_a_copy_is_made_without_the_configured_projection(tmp_path, primary):
    counts = iotstore.copy(primary, f"sqlite:///{tmp_path}/copy.db")
    assert counts["device"] == 1


def test_a_projection_of_itself_is_refused(primary):
    with pytest.raises(ConfigurationError, match=r"home\.db can't be a projection of itself; name another"):
        iotstore.open(primary, relationships=primary)


def test_a_wait_of_no_time_is_an_answer_at_once(store):
    store.projection.sync()
    store.devices.put(Device(key="a"))
    with pytest.raises(iotstore.Lagging, match="within 0 s"):
        store.projection.wait(0)


def test_a_projection_that_writes_no_scripts_says_what_to_do_instead(cli):
    said = cli("graph", "export", "graph.cypher")
    assert said.code == 1
    assert "sqlite writes no script of what it holds" in said.err
    assert "iotstore backup create --format portable" in said.err
    assert not Path("graph.cypher").exists()
    said = cli("graph", "import", "graph.cypher")
    assert said.code == 1
    assert "sqlite can't be made from a script; make the projection anew: iotstore graph rebuild" in said.err


class Scripted:
    """What a backend adds that writes scripts."""

    nodes, edges, digest = 1, 2, "abc"

    def __init__(self, fails: bool) -> None:
        self._fails = fails

    def write_script(self, out):
        out.write("CREATE ();\n")
        if self._fails:
            raise iotstore.Unreachable("cut off")
        return self

    @classmethod
    def take_script(cls, settings, source):
        raise AssertionError(f"not asked here: {settings} {source}")


def test_a_script_gets_its_name_when_it_is_whole(store, tmp_path, monkeypatch):
    engine = store.projection.target.engine
    path = tmp_path / "graph.cypher"
    scripted = Scripted(fails=True)
    with monkeypatch.context() as patch:
        patch.setattr(engine, "backend", scripted)
        with pytest.raises(iotstore.Unreachable, match="cut off"):
            store.projection.write_script(path)
        assert list(tmp_path.glob("graph*")) == []
        scripted._fails = False
        assert store.projection.write_script(path).edges == 2
        assert path.read_text("utf-8") == "CREATE ();\n"
        with pytest.raises(iotstore.NotAllowed, match=r"graph\.cypher exists already"):
            store.projection.write_script(path)
