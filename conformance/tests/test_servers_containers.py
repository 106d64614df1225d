"""Servers in containers: the same promises as those of the embedded server, and a pair that survives a failover."""

import os
import signal
import subprocess
import sys

import psycopg
import pytest

from iotstore import ConfigurationError
from iotstore_conformance.servers import postgres, replica_set
from iotstore_conformance.servers._containers import ContainerPostgres
from iotstore_conformance.servers._leftovers import LABEL

pytestmark = pytest.mark.container


def ask(url, statement):
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchone()[0] if cursor.description else None


def left_of(label):
    """What is in Docker of the server with this label; others may run servers at the same time."""
    import docker

    client = docker.from_env()
    try:
        mine = {"label": f"{LABEL}={label}"}
        return [*client.containers.list(all=True, filters=mine), *client.networks.list(filters=mine)]
    finally:
        client.close()


def label_of(container):
    return container.get_wrapped_container().labels[LABEL]


def test_a_container_keeps_its_port_and_its_data_through_a_kill():
    server = postgres("container")
    assert server.version.startswith("PostgreSQL 17")
    url = server.url
    ask(url, "CREATE TABLE kept AS SELECT 1 AS number")
    with psycopg.connect(url, autocommit=True) as connection:
        server.kill()
        with pytest.raises(
            psycopg.OperationalError, match=r"closed the connection unexpectedly|unexpected postmaster exit"
        ):
            connection.execute("SELECT 1")
    server.start()
    assert server.url == url
    assert ask(url, "SELECT count(*) FROM kept") == 1
    server.stop()
    server.start()
    assert ask(url, "SELECT count(*) FROM kept") == 1


def test_timescale_is_the_apache_edition_and_installed_in_the_database():
    server = postgres("timescale")
    assert " + timescaledb 2." in server.version
    assert ask(server.url, "SHOW timescaledb.license") == "apache"
    ask(server.url, "CREATE TABLE points (at bigint NOT NULL, value float8)")
    ask(server.url, "SELECT create_hypertable('points', by_range('at', 1000))::text")
    ask(server.url, "INSERT INTO points SELECT n, n FROM generate_series(1, 5000) AS n")
    assert ask(server.url, "SELECT count(*) FROM show_chunks('points')") == 6


def test_the_replica_has_all_that_was_acknowledged_when_the_primary_is_killed():
    pair = replica_set()
    label = label_of(pair.primary)
    try:
        assert len(left_of(label)) == 3  # two servers and their network
        assert pair.replication() == "streaming, sync"
        ask(pair.url, "CREATE TABLE kept (number int)")
        for number in range(50):
            ask(pair.url, f"INSERT INTO kept VALUES ({number})")
        pair.kill_primary()
        pair.promote()
        assert ask(pair.url, "SELECT count(*) FROM kept") == 50
        ask(pair.url, "INSERT INTO kept VALUES (50)")
        assert ask(pair.url, "SELECT count(*) FROM kept") == 51
    finally:
        pair.end()
    assert left_of(label) == []


def test_the_containers_of_a_killed_run_are_removed():
    program = (
        "import sys; from iotstore_conformance.servers import postgres; server = postgres('container');"
        "from iotstore_conformance.servers._leftovers import LABEL;"
        "print(server.url, server.container.get_wrapped_container().labels[LABEL], flush=True); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], stdin=pipe, stdout=pipe, stderr=pipe, text=True) as run:
        url, label = run.stdout.readline().split()
        assert ask(url, "SELECT 1") == 1
        assert len(left_of(label)) == 1
        os.kill(run.pid, signal.SIGKILL)
        run.stderr.read()  # it ends with the keeper, which inherits it
    assert left_of(label) == []


def test_an_image_that_is_nowhere_is_an_error_that_names_the_variables():
    with pytest.raises(
        ConfigurationError, match=r"no container of iotstore-test/none can be started.*IOTSTORE_TEST_IMA"
    ):
        ContainerPostgres("iotstore-test/none")
