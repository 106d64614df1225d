"""How a run is told which server to use: `--server`, `--url`, or the environment."""

import os
import subprocess
import sys
from dataclasses import replace

import pytest

from iotstore import ConfigurationError
from iotstore.cli import main
from iotstore_conformance import Harness
from iotstore_conformance.accounting import Order
from iotstore_conformance.places import aimed

VARIABLE = "IOTSTORE_TEST_NOBODYS"
FILES = Harness("files", fresh=lambda: "own", url=lambda name: f"files:///{name}")
SERVED = replace(FILES, name="served", server=VARIABLE)


@pytest.fixture(autouse=True)
def nothing_was_chosen(monkeypatch):
    # Set first, so that whatever a run leaves there is taken away again.
    for name in (VARIABLE, "IOTSTORE_TEST_POSTGRES"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def test_without_an_option_the_harness_is_as_it_was():
    assert aimed(FILES) is FILES
    assert aimed(SERVED) is SERVED
    assert VARIABLE not in os.environ


@pytest.mark.parametrize("options", [{"server": "container"}, {"url": "served://host/db"}])
def test_a_server_is_told_to_the_harness_that_makes_its_own_places_on_it(options):
    assert aimed(SERVED, **options) is SERVED
    assert os.environ[VARIABLE] in options.values()


def test_a_url_with_a_name_in_it_and_that_of_an_engine_without_servers_are_places():
    assert aimed(SERVED, url="served://host/{name}").url("x") == "served://host/x"
    assert aimed(FILES, url="files://host/db").url("x") == "files://host/db_x"
    assert VARIABLE not in os.environ


def test_a_server_that_was_given_by_its_url_is_not_the_suites_to_kill():
    deadly = replace(SERVED, kill=print, start=print)
    given, started = aimed(deadly, url="served://host/db"), aimed(deadly, server="container")
    assert (given.kill, given.start) == (None, None)
    assert (started.kill, started.start) == (print, print)


def test_a_server_for_a_harness_that_knows_none_is_refused():
    with pytest.raises(ConfigurationError, match="the harness files knows no servers, so not 'container' either"):
        aimed(FILES, server="container")


def test_a_url_and_a_server_together_are_refused():
    with pytest.raises(ConfigurationError, match="at a URL or on a server, not at both"):
        aimed(SERVED, url="served://host/db", server="container")


def test_the_command_that_repeats_a_run_names_its_server_without_the_password():
    assert "--server container" in Order(SERVED, server="container").command
    command = Order(SERVED, server="postgresql://ann:secret@host/db").command
    assert "--server 'postgresql://***@host/db'" in command
    assert "secret" not in command


def test_both_front_doors_refuse_a_server_where_there_is_none(capsys, tmp_path):
    assert main(["conformance", "run", "sqlite", "--clause", "VAL-001", "--server", "embedded"]) == 1
    assert "the harness sqlite knows no servers" in capsys.readouterr().err
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "no:cacheprovider",
        "--iotstore",
        "sqlite",
        "--iotstore-server",
        "x",
    ]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "the harness sqlite knows no servers" in done.stderr


def test_the_contract_runs_on_a_server_that_was_chosen_by_name(capsys):
    assert main(["conformance", "run", "postgresql", "--clause", "VAL-001", "--server", "embedded"]) == 1
    printed = capsys.readouterr().out
    assert "Verdict: partial (core)" in printed
    assert "PostgreSQL 18" in printed
