"""Servers and the network before them: cut, reset, half closed, silent, slow or dead, and what a store makes of it."""

from __future__ import annotations

import socket

from iotstore import Device, Receipt, Store, StoreError, count
from iotstore.backend import Capability
from iotstore_conformance.applicable import not_run
from iotstore_conformance.kinds import CELLS, SAMPLES, Cell
from iotstore_conformance.proxy import Trouble
from iotstore_conformance.registry import clause
from iotstore_conformance.serving import Behind, behind_proxy, fill, settled, sockets
from iotstore_conformance.stage import Stage

_RECORDS = 300
_BATCH = 50
_ROUNDS = 8
# Bytes of an answer that get through: nothing, part of its beginning, part of its middle.
_CUTS = (0, 3, 120, 20_000)
# Somewhere on the way from the first statement of a batch to the word that it is committed.
_MOMENTS = (0, 8, 25, 60, 110, 180, 260, 400)


def _read(store: Store) -> int:
    return len(store.records(SAMPLES).list())


def _broken_answers(stage: Stage, what: Trouble) -> None:
    """Break answers at every point, and ask again each time."""
    fill(stage.store, _RECORDS)
    with behind_proxy(stage) as (behind, store):
        for after in _CUTS:
            behind.proxy.trouble(what, after=after)
            behind.trouble(lambda: _read(store))
            behind.proxy.heal()
            assert behind.recovered(lambda: _read(store)) == _RECORDS
            assert behind.recovered(store.devices.count) == 0


@clause("SRV-001", profile="faults", requires="server")
def connections_cut_between_calls(stage: Stage) -> None:
    """When every connection was cut between two calls, the next call MUST succeed or raise Unreachable, Busy or
    EngineError in bounded time, and the one after it succeed."""
    with behind_proxy(stage) as (behind, store):
        for number in range(3):
            behind.proxy.cut_all()
            behind.outcome(store.devices.count)
            behind.recovered(store.devices.count)
            behind.proxy.cut_all()
            behind.outcome(lambda number=number: store.devices.add(Device(key=f"doubt-{number}")))  # type: ignore[misc]
            behind.recovered(lambda number=number: store.devices.add(Device(key=f"sure-{number}")))  # type: ignore[misc]
    keys = {device.key for device in stage.store.devices.list()}
    assert {f"sure-{number}" for number in range(3)} <= keys


@clause("SRV-002", profile="faults", requires="server")
def answers_that_are_cut(stage: Stage) -> None:
    """An answer that is cut anywhere MUST raise Unreachable, Busy or EngineError in bounded time, never be taken for a
    shorter one, and the next call succeed."""
    _broken_answers(stage, "cut")


@clause("SRV-003", profile="faults", requires="server")
def answers_that_are_reset(stage: Stage) -> None:
    """A connection that is reset in the middle of an answer MUST raise Unreachable, Busy or EngineError in bounded
    time, and the next call succeed."""
    _broken_answers(stage, "reset")


@clause("SRV-004", profile="faults", requires="server")
def answers_that_end_half_way(stage: Stage) -> None:
    """A connection whose server's direction ends in the middle of an answer MUST raise Unreachable, Busy or EngineError
    in bounded time, and the next call succeed."""
    _broken_answers(stage, "half-close")


@clause("SRV-005", profile="faults", requires="server")
def answers_that_never_come(stage: Stage) -> None:
    """A server that stops answering MUST be given up with Unreachable, Busy or EngineError in the time that the
    backend's timeouts allow, and what it says late never be taken for the answer to another question."""
    fill(stage.store, _RECORDS)
    with behind_proxy(stage) as (behind, store):
        behind.proxy.trouble("stall", after=_CUTS[1])
        behind.trouble(lambda: _read(store))
        behind.proxy.heal()
        assert behind.recovered(store.devices.count) == 0
        assert behind.recovered(lambda: _read(store)) == _RECORDS


@clause("SRV-006", profile="faults", requires="server")
def servers_that_are_not_there(stage: Stage) -> None:
    """Opening a store MUST raise Unreachable, Busy or EngineError in bounded time where nobody listens, and where a
    server takes the connection and says nothing."""
    with behind_proxy(stage) as (behind, _):
        with socket.create_server(("127.0.0.1", 0)) as free:
            nobody = free.getsockname()[1]
        behind.trouble(lambda: behind.open(stage.harness.through(stage.url(), "127.0.0.1", nobody)))
        behind.proxy.trouble("stall")
        behind.trouble(behind.open)
        behind.proxy.heal()
        assert behind.recovered(behind.open).devices.count() == 0


@clause("SRV-007", profile="faults", requires="server")
def answers_that_come_late(stage: Stage) -> None:
    """A slow network MUST change no answer, and make no call fail that is answered within the timeouts."""
    fill(stage.store, _RECORDS)
    with behind_proxy(stage) as (behind, store):
        behind.proxy.trouble("delay", seconds=0.05)
        assert behind.recovered(lambda: _read(store)) == _RECORDS
        assert behind.recovered(lambda: store.devices.add(Device(key="a"))).key == "a"
        assert behind.recovered(store.devices.count) == 1


@clause("SRV-008", profile="faults", requires="server", needs=[Capability.TRANSACTIONS])
def transactions_that_lose_their_connection(stage: Stage) -> None:
    """A transaction whose connection is cut MUST raise Unreachable, Busy or EngineError and leave nothing behind, never
    go on over another connection with its second half."""
    with behind_proxy(stage) as (behind, store):
        for number in range(3):

            def work(number: int = number) -> None:
                with store.transaction():
                    store.devices.add(Device(key=f"before-{number}"))
                    behind.proxy.cut_all()
                    store.devices.add(Device(key=f"after-{number}"))

            behind.trouble(work)
            assert [device.key for device in stage.store.devices.list()] == []
        behind.recovered(lambda: store.devices.add(Device(key="before-0")))
        assert [device.key for device in stage.store.devices.list()] == ["before-0"]


@clause("SRV-009", profile="faults", requires="server", needs=[Capability.TRANSACTIONS])
def batches_whose_answer_is_lost(stage: Stage) -> None:
    """A batch whose answer was lost MUST be there whole or not at all, and when it is sent again under its idempotency
    key be there once."""
    with behind_proxy(stage) as (behind, store):
        for after in _MOMENTS:
            cells = [Cell(room=f"after-{after}", number=n) for n in range(_BATCH)]

            def send(cells: list[Cell] = cells, after: int = after) -> Receipt:
                return store.records(CELLS).add_many(cells, idempotency_key=f"batch-{after}")

            behind.proxy.trouble("cut", after=after)
            first = behind.outcome(send)
            stored = _sizes(stage.store).get(f"after-{after}", 0)
            assert stored in (0, _BATCH)
            assert stored or isinstance(first, StoreError), "a batch was acknowledged, and isn't there"
            behind.proxy.heal()
            behind.recovered(send)
            assert _sizes(stage.store)[f"after-{after}"] == _BATCH


def _sizes(store: Store) -> dict[str, int]:
    rows = store.records(CELLS).aggregate({"n": count()}, by=["room"])
    return {str(row["room"]): int(str(row["n"])) for row in rows}


@clause("SRV-010", profile="faults", requires="server", needs=[Capability.PERSISTENCE])
def servers_that_die_and_come_back(stage: Stage) -> None:
    """While its server is dead every call and every opening MUST raise Unreachable, Busy or EngineError in bounded
    time; when it is back the same open store works, with everything that was acknowledged."""
    kill, start = stage.harness.kill, stage.harness.start
    if kill is None or start is None:
        not_run("the harness can't end the server and start it again (kill=, start=)")
    with behind_proxy(stage) as (behind, store):
        cells = [Cell(room="kept", number=n) for n in range(_BATCH)]
        store.records(CELLS).add_many(cells)
        kill(stage.place)
        try:
            behind.trouble(lambda: store.records(CELLS).list())
            behind.trouble(lambda: store.devices.add(Device(key="never")))
            behind.trouble(behind.open)
        finally:
            start(stage.place)
        for one in (store, stage.store):
            behind.outcome(one.devices.count)
            assert behind.recovered(lambda one=one: one.records(CELLS).list()) == cells  # type: ignore[misc]
        behind.recovered(lambda: store.devices.add(Device(key="later")))


@clause("SRV-011", profile="faults", requires="server")
def broken_connections_are_given_back(stage: Stage) -> None:
    """However often its connections are cut, a store MUST hold no more of them than before, and none once it is
    closed."""
    with behind_proxy(stage) as (behind, store):
        _cut_and_ask(behind, store)
        live, opened = behind.proxy.live, sockets()
        for _ in range(_ROUNDS):
            _cut_and_ask(behind, store)
        # One more may be on its way out; one for each round is a leak.
        assert settled(lambda: behind.proxy.live, live + 1) <= live + 1
        assert settled(sockets, opened + _ROUNDS // 2) <= opened + _ROUNDS // 2


def _cut_and_ask(behind: Behind, store: Store) -> None:
    behind.proxy.cut_all()
    behind.outcome(store.devices.count)
    behind.recovered(store.devices.count)
