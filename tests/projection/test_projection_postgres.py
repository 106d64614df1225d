"""PostgreSQL as the primary: many writers commit in any order, and the projection misses none of them."""

import random
import threading
import uuid
from collections.abc import Iterator

import psycopg
import pytest

from iotstore import StoreError
from iotstore_conformance.servers import server_url

pytestmark = pytest.mark.once


@pytest.fixture(scope="session")
def server() -> str:
    """A database that the tests may use."""
    return server_url()


@pytest.fixture
def primary(server: str) -> Iterator[str]:
    """A schema of its own; dropped when the test ends."""
    name = f"projection_{uuid.uuid4().hex[:12]}"
    yield f"{server}{'&' if '?' in server else '?'}schema={name}&application_name={name}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [name]
        )
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@pytest.mark.parametrize("seed", range(2))
def test_random_work_ends_with_equal_graphs(both, kit, seed):
    for piece in range(4):
        kit.play(both, seed=100 * seed + piece, steps=15, keys=6)
        both.projection.sync()
        kit.assert_equal(both)
    assert both.projection.verify()


def test_cuts_at_any_call_are_mended(both, kit):
    both.projection.sync()
    chance = random.Random(3)
    met = 0
    for number in range(16):
        kit.play(both, seed=number, steps=6)
        primary = chance.random() < 0.5
        engine = both._engine if primary else both.projection.target.engine
        inner = engine.backend
        cuts = kit.Cuts(at=chance.randint(3, 16), when=chance.choice(("before", "after")))
        (kit.cut_primary if primary else kit.cut_target)(both, cuts)
        try:
            both.projection.sync()
        except StoreError:
            met += 1
        engine.backend = inner
        both.projection.sync()
        kit.assert_equal(both)
    assert met >= 4


def test_a_killed_projector_and_a_killed_writer_lose_nothing(store, kit, bring_up):
    store.projection.sync()
    chance = random.Random(9)
    tasks = []
    for number in range(8):
        role, side = chance.choice((("writer", "primary"), ("projector", "primary"), ("projector", "target")))
        when = chance.choice(("before", "after"))
        task = {"role": role, "side": side, "at": chance.randint(3, 14), "when": when, "seed": number, "steps": 10}
        tasks.append(task)
    assert kit.survive(store, bring_up, tasks, steps=6) >= 3


def test_a_change_that_becomes_visible_after_later_ones_is_not_missed(composed, kit):
    """Numbers and transactions begin in one order and commit in another; nothing is a cursor."""
    from iotstore import Device

    store = composed()
    store.projection.sync()
    begun, finish = threading.Event(), threading.Event()

    def slow():
        with store.transaction():
            store.devices.put(Device(key="slow"))
            begun.set()
            assert finish.wait(60)

    thread = threading.Thread(target=slow)
    thread.start()
    assert begun.wait(60)
    for number in range(5):
        store.devices.put(Device(key=f"fast{number}"))
        store.projection.sync()
    finish.set()
    thread.join()
    assert store.projection.status().waiting == 1
    store.projection.sync()
    kit.assert_equal(store)


def test_processes_and_threads_write_while_a_projector_works(composed, primary, target, nurseries, kit):
    from datetime import UTC, datetime

    store = composed(clock=None, projector=True)
    for number, nursery in enumerate(nurseries):
        task = {"role": "writer", "side": "primary", "at": -1, "when": "before", "seed": 900 + number, "steps": 40}
        nursery.begin(primary=primary, target=target, now=datetime.now(UTC).isoformat(), **task)
    kit.play(store, seed=1, steps=40)
    assert [nursery.ended() for nursery in nurseries] == [0, 0, 0]
    store.projection.wait(60)
    store.projection.stop()
    store.projection.sync()
    kit.assert_equal(store)
    assert store.projection.verify()
