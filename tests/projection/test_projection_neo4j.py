"""Neo4j as the projection of SQLite and of PostgreSQL: equal graphs after cuts, damage, and the death of the server."""

import contextlib
import importlib
import random
import threading
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import psycopg
import pytest

from iotstore import Device, Location, Node, Store, StoreError
from iotstore_conformance.servers import Server, neo4j, server_url

pytestmark = pytest.mark.neo4j


@pytest.fixture(scope="session")
def server() -> Server:
    """The Neo4j server that the environment chooses."""
    return neo4j()


@pytest.fixture(scope="session")
def prefix() -> str:
    """The labels of all tests: making the indexes of new ones takes longer than any test."""
    return f"projection{uuid.uuid4().hex[:10]}"


@pytest.fixture(scope="session")
def asked(server: Server, prefix: str) -> Iterator[Callable[[str], None]]:
    """Do something in Neo4j behind everybody's back; in the end all nodes of these tests go."""
    driver = importlib.import_module("neo4j")  # the name is that of the servers above
    parts = urlsplit(server.url)
    place = f"{parts.scheme}://{parts.hostname}:{parts.port}"
    with driver.GraphDatabase.driver(place, auth=(parts.username, parts.password)) as connection:

        def ask(text: str) -> None:
            connection.execute_query(text.format(prefix=prefix))

        yield ask
        for (label,) in connection.execute_query("CALL db.labels() YIELD label RETURN label").records:
            if label.startswith(f"{prefix}_"):
                connection.execute_query(f"MATCH (n:`{label}`) DETACH DELETE n")


@pytest.fixture
def target(server: Server, prefix: str) -> str:
    """The projection of this test; what an earlier one left there is another store's, and is made anew."""
    return f"{server.url}{'&' if '?' in server.url else '?'}prefix={prefix}"


@pytest.fixture(params=["sqlite", "postgresql"])
def primary(request: pytest.FixtureRequest, tmp_path) -> Iterator[str]:
    """A primary of either engine."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/home.db"
        return
    name = f"projection_{uuid.uuid4().hex[:12]}"
    url = server_url()
    yield f"{url}{'&' if '?' in url else '?'}schema={name}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@pytest.fixture
def store(composed) -> Store:
    """A composed store, made anew."""
    found = composed()
    found.projection.rebuild()
    return found


def sync(store: Store) -> None:
    """Sync until it ends without an error."""
    for _ in range(20):
        try:
            store.projection.sync()
        except StoreError:
            continue
        return
    raise AssertionError("it never ended")


def test_random_work_and_cuts_end_with_equal_graphs(store, kit):
    assert store.projection.target.graph
    chance = random.Random(11)
    for number in range(14):
        kit.play(store, seed=number, steps=10)
        primary = chance.random() < 0.4
        engine = store._engine if primary else store.projection.target.engine
        inner = engine.backend
        cuts = kit.Cuts(at=chance.randint(2, 24), when=chance.choice(("before", "after")))
        (kit.cut_primary if primary else kit.cut_target)(store, cuts)
        if number:  # the first one goes through
            with contextlib.suppress(StoreError):
                store.projection.sync()
        engine.backend = inner
        sync(store)
        kit.assert_equal(store)
    assert store.projection.verify()


def test_what_others_did_in_neo4j_is_named_and_mended(store, kit, asked):
    store.locations.put(Location(key="attic"))
    for name in ("cam", "dog", "eel"):
        store.devices.put(Device(key=name, location="attic"))
    store.projection.sync()
    asked("MATCH (n:`{prefix}_device` {{key: 'cam'}}) DETACH DELETE n")
    asked("MATCH (:`{prefix}_device` {{key: 'dog'}})-[r:LOCATED_IN]->() DELETE r")
    asked("MATCH (a:`{prefix}_device` {{key: 'eel'}}), (b:`{prefix}_device` {{key: 'dog'}}) CREATE (a)-[:LIKES]->(b)")
    found = store.projection.verify()
    assert {(one.kind, one.key, one.what) for one in found.differences} == {
        ("device", '["cam"]', "missing"),
        ("device", '["cam"]', "edges"),
        ("device", '["dog"]', "edges"),
        ("?", "[]", "edges"),
    }
    store.projection.verify(repair=True)
    store.projection.sync()
    assert store.projection.verify()
    kit.assert_equal(store)


def test_questions_are_answered_by_neo4j_as_by_the_primary(store, kit):
    kit.play(store, seed=5, steps=60)
    store.projection.sync()
    for key in store.records("device").list(limit=5):
        node = Node("device", key.key)
        for hops in (1, 3):
            projected = store.relationships.neighbours(node, hops=hops)
            assert projected == store.relationships.neighbours(node, hops=hops, consistency="primary")
    store.locations.put(Location(key="attic"))
    store.devices.put(Device(key="late", location="attic"))
    with store.projection.running_here():
        found = store.relationships.neighbours(Node("device", "late"), consistency="read-your-writes")
    assert [one.node for one in found] == [Node("location", "attic")]


@pytest.mark.timeout(900)  # it is started anew twice, which takes a minute on a busy machine
def test_a_server_that_is_killed_and_started_again_costs_lag_only(store, kit, server):
    if not server.ours:
        pytest.skip("this server is somebody's own, and is not killed")
    chance = random.Random(2)
    for number in range(2):
        kit.play(store, seed=40 + number, steps=10)
        cuts = kit.Cuts(at=chance.randint(4, 20), when="after", action=server.kill)
        inner = store.projection.target.engine.backend
        kit.cut_target(store, cuts)
        with contextlib.suppress(StoreError):
            store.projection.sync()
        store.projection.target.engine.backend = inner
        kit.play(store, seed=60 + number, steps=5)  # the primary goes on
        if cuts.calls >= cuts.at:
            server.start()
        sync(store)
        kit.assert_equal(store)
    assert store.projection.status().waiting == 0


def test_threads_write_while_it_is_fed(composed, kit):
    store = composed(clock=None)
    store.projection.rebuild()
    with store.projection.running_here():
        threads = [threading.Thread(target=kit.play, args=(store, seed, 15)) for seed in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        store.projection.wait(120)
    kit.assert_equal(store)


def test_a_script_makes_the_projection_elsewhere_and_it_goes_on_from_there(store, composed, server, tmp_path, kit):
    kit.play(store, seed=6, steps=40)
    store.projection.sync()
    store.projection.stop()
    written = store.projection.write_script(tmp_path / "graph.cypher")
    kit.play(store, seed=7, steps=5)
    where = f"{server.url}{'&' if '?' in server.url else '?'}prefix=taken{uuid.uuid4().hex[:10]}"
    other = composed(relationships=where)
    assert other.projection.take_script(tmp_path / "graph.cypher").digest == written.digest
    assert other.projection.status().state == "live"
    other.projection.sync()
    kit.assert_equal(other)
