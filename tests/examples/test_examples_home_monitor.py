"""The home monitor loses no acknowledged reading and stores none twice, whoever is killed or away."""

from __future__ import annotations

import importlib.util
import os
import pty
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import pytest

import iotstore

pytestmark = pytest.mark.once  # the README is followed on every interpreter

HOURS = 24
ALERTS = ["attic: temperature is 30.1", "freezer: temperature is -16.68"]
# Ends the service as kill -9 does, at a certain point: `die` has the signature of what it stands for.
KILLED = """
import os, signal, sys
sys.path.insert(0, ".")
import iotstore._domains.alerts, service
def die(*_, **__): os.kill(os.getpid(), signal.SIGKILL)
{where} = die
service.main(["--idle", "60"])
"""
SMALL_BATCHES = "import sys; sys.path.insert(0, '.'); import service; service.BATCH = 10; service.main(sys.argv[1:])"


@pytest.fixture
def monitor(example):
    """The example, known to its broker."""
    made = example("home_monitor")
    made.run("python service.py --idle 0")
    return made


@contextmanager
def running(example, *command: str) -> Iterator[subprocess.Popen[str]]:
    """A program of the example in the background; what it says on standard error can be read line by line."""
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=example.folder,
        env=example.variables(),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for(process: subprocess.Popen[str], pattern: str) -> re.Match[str]:
    """The next line that a program says and that matches."""
    said: list[str] = []
    for line in process.stderr:
        said.append(line)
        if found := re.search(pattern, line):
            return found
    raise AssertionError(f"it ended without saying {pattern!r}:\n{''.join(said[-20:])}")


def published(example, hours: int = HOURS) -> list[tuple[object, ...]]:
    """Every reading that the sensors publish, as the store has it."""
    spec = importlib.util.spec_from_file_location("sensors", example.folder / "sensors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return sorted(module.readings(hours))


def stored(example) -> list[tuple[object, ...]]:
    """Every reading in the store."""
    with iotstore.open(example.url) as store:
        points = [
            (point.device, point.metric, point.time, point.value)
            for series in store.telemetry.series()
            for point in store.telemetry.range(series.device, series.metric)
        ]
        assert store.telemetry.count() == len(points)
        return sorted(points)


def alerts(example) -> list[str]:
    with iotstore.open(example.url) as store:
        return sorted(alert.title for alert in store.alerts.list())


@pytest.mark.parametrize("where", ["service.Monitor.acknowledge", "iotstore._domains.alerts.Alerts.raise_"])
def test_a_service_killed_around_the_commit_loses_nothing_and_stores_nothing_twice(monitor, where: str) -> None:
    """Between commit and acknowledgement everything comes again; before the commit nothing was stored."""
    monitor.run(f"python sensors.py --hours {HOURS}")
    with running(monitor, "-c", KILLED.format(where=where)) as service:
        assert service.wait(60) == -signal.SIGKILL
    assert len(stored(monitor)) < len(published(monitor))

    with running(monitor, "service.py", "--idle", "1") as service:
        said = service.communicate(timeout=60)[1]

    again = sum(int(number) for number in re.findall(r"there already (\d+)", said))
    assert (again > 0) == ("acknowledge" in where)
    assert stored(monitor) == published(monitor)
    assert alerts(monitor) == ALERTS


def test_a_service_that_is_killed_again_and_again_loses_nothing_and_stores_nothing_twice(monitor) -> None:
    with running(monitor, "sensors.py") as sensors:
        for batches in (1, 3, 2):
            with running(monitor, "-c", SMALL_BATCHES) as service:
                for _ in range(batches):
                    wait_for(service, "stored")
        assert "384 readings, all acknowledged" in sensors.communicate(timeout=60)[0]

    monitor.run("python service.py --idle 1")

    assert stored(monitor) == published(monitor)
    assert alerts(monitor) == ALERTS


def test_a_broker_that_goes_away_and_comes_back_loses_nothing(monitor, broker) -> None:
    broker.stop()
    with running(monitor, "-c", SMALL_BATCHES) as service, running(monitor, "sensors.py", "--hours", "48") as sensors:
        wait_for(sensors, "no broker")
        wait_for(service, "no broker")
        broker.start()
        wait_for(service, "stored")
        broker.stop()
        wait_for(service, "no broker")
        broker.start()

        assert "768 readings, all acknowledged" in sensors.communicate(timeout=60)[0]
    monitor.run("python service.py --idle 1")

    assert stored(monitor) == published(monitor, 48)


def test_what_is_no_reading_does_not_stop_the_others(monitor, broker) -> None:
    from paho.mqtt import publish

    at = b'{"time": "2025-06-16T00:00:00+00:00", "value": '
    wrong = [b"", b"{}", b"[]", b"\xff", at + b'"nan"}', at + b"1e999}", at + b"}", b'{"time": 1, "value": 99}']
    wrong += [b'{"time": "%s", "value": 99}' % time for time in (b"soon", b"2025-06-16", b"0001-01-01T00:00+14:00")]
    publish.multiple([("home/attic/temperature", one, 1, False) for one in wrong], "127.0.0.1", broker.port)
    monitor.run("python sensors.py && python service.py --idle 1")

    assert stored(monitor) == published(monitor)
    assert alerts(monitor) == ALERTS


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_in_a_terminal_the_table_is_live(monitor) -> None:
    """It is drawn while readings come, not only at the end."""
    monitor.run("python sensors.py")
    terminal, inside = pty.openpty()
    command = [sys.executable, "service.py", "--idle", "1"]
    environment = {**monitor.variables(), "TERM": "xterm"}
    with subprocess.Popen(command, cwd=monitor.folder, env=environment, stdout=inside, stderr=inside):
        os.close(inside)
        shown = b""
        with suppress(OSError):  # the end of a terminal is an error
            while part := os.read(terminal, 65_536):
                shown += part
    os.close(terminal)

    assert re.findall(r"(\d+) readings", shown.decode())[0] != "384"
    assert re.findall(r"(\d+) readings", shown.decode())[-1] == "384"


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_a_store_that_is_busy_is_tried_again(monitor) -> None:
    configuration = monitor.folder / "iotstore.toml"
    configuration.write_text(f"{configuration.read_text('utf-8')}busy_timeout = 0.2\n", "utf-8")
    monitor.run("python sensors.py")
    with running(monitor, "-c", SMALL_BATCHES) as service:
        wait_for(service, "stored")
        with iotstore.open(monitor.url) as other, other.transaction():
            other.settings.set("writing", True)
            wait_for(service, "not stored, tried again")
        wait_for(service, "stored")
    monitor.run("python service.py --idle 1")

    assert stored(monitor) == published(monitor)
