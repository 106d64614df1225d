"""Clauses about servers: stores at a distance pass, careless ones are caught, and what has no tools is not run."""

import socket
import threading
from dataclasses import replace

import pytest

from iotstore import Device, Unreachable
from iotstore_conformance import find_harness, load_clauses, serving
from iotstore_conformance.distant import distant
from iotstore_conformance.execution import execute_one
from iotstore_conformance.kinds import KINDS
from iotstore_conformance.leaks import nothing_left
from iotstore_conformance.proving import outcome_of
from iotstore_conformance.serving import behind_proxy, impatience
from iotstore_conformance.stage import Stage
from iotstore_conformance.verdicts import Outcome

pytestmark = pytest.mark.once

CLAUSES = {one.id: one for one in load_clauses() if one.requires == "server"}
NEAR = find_harness("sqlite")
OTHERS = ("DEV-001", "TXN-001", "PAG-003", "CON-004", "CNC-001", "FLT-001", "FLT-017")


@pytest.fixture
def far():
    with distant(NEAR) as harness:
        yield harness


@pytest.mark.parametrize("id_", sorted(CLAUSES))
def test_a_store_at_a_distance_passes_and_leaves_nothing_behind(far, id_):
    result = execute_one(CLAUSES[id_], far)
    assert result.outcome is Outcome.PASSED, result.error


@pytest.mark.parametrize("id_", OTHERS)
def test_a_store_at_a_distance_gives_the_same_answers(far, id_):
    (clause,) = (one for one in load_clauses() if one.id == id_)
    assert execute_one(clause, far).outcome is Outcome.PASSED


@pytest.mark.parametrize("id_", sorted(CLAUSES))
def test_without_the_address_of_the_server_a_clause_is_not_run(far, id_):
    result = execute_one(CLAUSES[id_], replace(far, address=None, start=None))
    assert result.outcome is Outcome.NOT_RUN
    assert "address=" in (result.reason or "") or "start=" in (result.reason or "")


def test_a_server_that_cannot_be_killed_is_not_measured_by_its_clause(far):
    result = execute_one(CLAUSES["SRV-010"], replace(far, start=None))
    assert (result.outcome, "kill=, start=" in (result.reason or "")) == (Outcome.NOT_RUN, True)


@pytest.mark.parametrize("id_", sorted(CLAUSES))
def test_on_embedded_engines_a_clause_is_not_applicable(id_):
    assert execute_one(CLAUSES[id_], NEAR).outcome is Outcome.NOT_APPLICABLE


def test_the_proof_takes_an_embedded_engine_to_a_distance():
    assert outcome_of(None, CLAUSES["SRV-002"], NEAR).verdict == "survived"


def test_a_store_that_does_not_go_where_its_url_says_is_caught(far):
    stubborn = replace(far, through=lambda url, _host, _port: url)
    result = execute_one(CLAUSES["SRV-001"], stubborn)
    assert result.outcome is Outcome.FAILED
    assert "nothing went through the proxy" in str(result.error)


def test_a_connection_that_outlives_its_store_is_caught(far):
    left = []

    def opens(url, **options):
        left.append(far.open(url, **options))
        return far.open(url, **options)

    result = execute_one(CLAUSES["SRV-007"], replace(far, open=opens, connections=None))
    for store in left:
        store.close()
    assert result.outcome is Outcome.FAILED
    assert "connections are still open" in str(result.error)


def test_a_call_without_an_end_is_given_up_and_told(far, monkeypatch):
    monkeypatch.setattr(serving, "_BOUND", 0.2)
    end = threading.Event()
    with (
        Stage(far) as stage,
        behind_proxy(stage) as (behind, _),
        pytest.raises(AssertionError, match="didn't end within"),
    ):
        behind.outcome(end.wait)
    end.set()


def test_an_error_that_is_none_of_trouble_is_a_failure(far):
    def wrong():
        raise ValueError("the driver's own words")

    with Stage(far) as stage, behind_proxy(stage) as (behind, _):
        with pytest.raises(AssertionError, match="told as ValueError"):
            behind.outcome(wrong)
        with pytest.raises(AssertionError, match="made up"):
            behind.trouble(lambda: 1)
        with pytest.raises(AssertionError, match="trouble is over"):
            behind.recovered(lambda: (_ for _ in ()).throw(Unreachable("still")))


def test_options_that_end_in_timeout_make_a_store_impatient():
    with Stage(NEAR) as stage:
        assert impatience(stage.store) == {"busy_timeout": 2}


def test_a_distant_store_is_a_store_whose_server_may_die(far):
    place = far.fresh()
    with far.open(far.url(place), kinds=list(KINDS)) as store:
        store.devices.add(Device(key="a"))
        far.kill(place)
        with pytest.raises(Unreachable, match="can't be reached"):
            store.devices.list()
        with pytest.raises(Unreachable, match="can't be reached"):
            far.open(far.url(place))
        far.start(place)
        assert [device.key for device in store.devices.list()] == ["a"]
    assert far.connections(place) == 0
    far.drop(place)


def test_a_distant_server_ends_with_its_block():
    with nothing_left(), distant(NEAR) as far:
        host, port = far.address("x")
        with socket.create_connection((host, port)) as line:
            line.sendall(b"\0\0\0\5")
            assert line.recv(100)
    with pytest.raises(OSError, match=r"."):
        socket.create_connection((host, port), timeout=1)
