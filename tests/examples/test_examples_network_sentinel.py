"""The network sentinel stores every line of a log once, and reports from one state of the store."""

from __future__ import annotations

import importlib.util

import pytest

import iotstore
from iotstore import Connection

pytestmark = pytest.mark.once  # the README is followed on every interpreter


def program(example):
    spec = importlib.util.spec_from_file_location("sentinel", example.folder / "sentinel.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
def test_the_committed_log_is_what_the_generator_writes(example) -> None:
    sentinel = example("network_sentinel")
    committed = (sentinel.folder / "conn.log").read_bytes()
    (sentinel.folder / "conn.log").unlink()
    sentinel.run("python generate.py")

    assert (sentinel.folder / "conn.log").read_bytes() == committed
    assert len(committed) < 20_000


def test_every_line_of_the_log_is_a_flow_in_the_store_and_its_unset_fields_are_none(example) -> None:
    sentinel = example("network_sentinel")
    sentinel.run("python sentinel.py && python sentinel.py")
    lines = (sentinel.folder / "conn.log").read_text("utf-8").splitlines()
    rows = [line.split("\t") for line in lines if not line.startswith("#")]

    with iotstore.open(sentinel.url) as store:
        flows = store.connections.list(order=["time"])
        assert [flow.device for flow in flows] == [row[2] for row in rows]
        assert [f"{flow.time.timestamp():.6f}" for flow in flows] == [row[0] for row in rows]
        assert sum(flow.bytes_sent for flow in flows) == sum(int(row[9]) for row in rows if row[9] != "-")
        tried = [flow for flow in flows if flow.state == "S0"]
        assert {(flow.service, flow.duration) for flow in tried} == {(None, None)}
        assert store.alerts.count() == 3


def test_a_log_that_breaks_off_leaves_nothing_behind(example) -> None:
    sentinel = example("network_sentinel")
    log = sentinel.folder / "conn.log"
    log.write_text(log.read_text("utf-8").replace("\tS0\t", "\t" + "S" * 41 + "\t", 1), "utf-8")

    with pytest.raises(AssertionError, match="BatchRejected"):
        sentinel.run("python sentinel.py")

    with iotstore.open(sentinel.url) as store:
        assert [store.devices.count(), store.connections.count(), store.alerts.count()] == [0, 0, 0]


def test_the_report_is_of_one_state_while_others_write(example, capsys: pytest.CaptureFixture[str]) -> None:
    sentinel = example("network_sentinel")
    before = sentinel.run("python sentinel.py").partition("\n\n")[2]
    module = program(sentinel)
    with iotstore.open(sentinel.url) as store, iotstore.open(sentinel.url) as other:
        with store.snapshot() as still:
            still.devices.count()
            other.connections.add(
                Connection(device="192.168.1.40", time=store.clock.now(), protocol="tcp", bytes_sent=9)
            )
            other.alerts.raise_(iotstore.Alert(kind="late", title="Too late for this report", device="192.168.1.40"))
            module.report(still)

        reported = "\n".join(line.rstrip() for line in capsys.readouterr().out.strip().splitlines())
        assert reported == before
        assert other.connections.count() == 132
