"""Servers that end, change and fill up beneath an application's threads: what was acknowledged stays, calls recover."""

from __future__ import annotations

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import psycopg
import pytest

import iotstore
from iotstore import (
    Busy,
    ConfigurationError,
    Device,
    EngineError,
    Point,
    Receipt,
    StorageFull,
    Store,
    StoreError,
    Unreachable,
)
from iotstore_conformance.servers import Server, replica_set
from iotstore_conformance.servers._containers import USER, ContainerPostgres, address, image, run
from iotstore_conformance.servers._embedded import EmbeddedPostgres
from iotstore_conformance.servers._leftovers import keep
from iotstore_conformance.servers._own_container import docker_errors

if TYPE_CHECKING:
    from iotstore_conformance.servers._replica import ReplicaSet

WRITERS = 4
CONNECTIONS = 3  # fewer than threads: they wait for each other too
RECOVERY = 10.0  # seconds after the return of a server within which every thread has stored something again
PATIENCE = 30.0  # seconds for anything else
PAUSE = 0.02  # seconds that an application waits before it repeats a call
START = datetime(2024, 3, 1, tzinfo=UTC)
OPTIONS: dict[str, Any] = {
    "pool_size": CONNECTIONS,
    "pool_timeout": 5.0,
    "lock_timeout": 5.0,
    "statement_timeout": 10.0,
    "connect_timeout": 3,
}


# ---------------------------------------------------------------------- an application


class Batch(NamedTuple):
    """What one call stores: records, points of one series, or both in one transaction."""

    devices: list[Device]
    home: str
    metric: str
    values: list[float]
    key: str | None

    @property
    def times(self) -> list[datetime]:
        """One for each value, and no other batch has it."""
        return [START + timedelta(milliseconds=value) for value in self.values]

    @property
    def size(self) -> int:
        """How many rows it has."""
        return len(self.devices) + len(self.values)


def batch_of(name: str, number: int) -> Batch:
    """A thread's batches: small ones and ones that are copied, with and without a key, now and then of a new metric."""
    records, points = ((0, 250), (5, 0), (5, 20))[number % 3]
    made = [Device(key=f"{name}-{number}-{one}", name=f"{number}") for one in range(records)]
    values = [float(number * 1000 + one) for one in range(points)]
    return Batch(made, name, f"m{number // 10 % 5}", values, f"{name}-{number}" if number % 2 else None)


def store_batch(store: Store, batch: Batch) -> list[Receipt]:
    """Store it in one transaction."""
    if not batch.values:
        return [store.devices.add_many(batch.devices, on_conflict="keep", idempotency_key=batch.key)]
    if not batch.devices:
        return [_store_points(store, batch)]
    with store.transaction():
        records = store.devices.add_many(batch.devices, on_conflict="keep")
        return [records, _store_points(store, batch)]


def _store_points(store: Store, batch: Batch) -> Receipt:
    # Under a key of its own only where the points are all that the transaction holds.
    key = None if batch.devices else batch.key
    times = np.array([time.replace(tzinfo=None) for time in batch.times], "datetime64[us]")
    return store.telemetry.write_columns(batch.home, batch.metric, times, np.array(batch.values), idempotency_key=key)


def is_allowed(error: StoreError) -> bool:
    """Whether an application may meet this error while its server ends: everything else is a bug."""
    unknown = isinstance(error, EngineError) and "nobody here knows" in str(error)
    return unknown or isinstance(error, (Unreachable, Busy))


class Application:
    """Threads that store batch after batch, repeat what failed until it is acknowledged, and count what they know."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.acknowledged: dict[str, list[Batch]] = {f"w{number}": [] for number in range(WRITERS)}
        self.errors: Counter[str] = Counter()  # the kind of each error that was met
        self.failed: Counter[str] = Counter()  # how many of them each thread has met
        self.wrong: list[object] = []  # what must not happen
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._watched, args=(self._write, name)) for name in self.acknowledged]
        self._threads.append(threading.Thread(target=self._watched, args=(self._read, "reader")))

    def _watched(self, work: Callable[[str], None], name: str) -> None:
        try:
            work(name)
        except BaseException as error:  # noqa: BLE001 - told by the test
            self.wrong.append(error)
            with self._changed:
                self._changed.notify_all()

    def _write(self, name: str) -> None:
        number = 0
        while not self._stop.is_set():
            batch = batch_of(name, number)
            receipts = self._until_acknowledged(name, batch)
            with self._changed:
                self.acknowledged[name].append(batch)
                self._changed.notify_all()
            assert sum(receipt.total for receipt in receipts) == batch.size
            number += 1

    def _until_acknowledged(self, name: str, batch: Batch) -> list[Receipt]:
        unknown = False
        while True:
            try:
                receipts = store_batch(self.store, batch)
            except StoreError as error:
                self._met(name, error)
                # Of an error that can be retried the contract says that nothing was stored.
                unknown = unknown or not error.retryable
                self._stop.wait(PAUSE)
                continue
            self._check(batch, receipts, unknown=unknown)
            return receipts

    def _met(self, name: str, error: StoreError) -> None:
        if not is_allowed(error):
            self.wrong.append(error)
        with self._changed:
            self.errors[type(error).__name__] += 1
            self.failed[name] += 1
            self._changed.notify_all()

    def _check(self, batch: Batch, receipts: Sequence[Receipt], *, unknown: bool) -> None:
        """All was stored now; or all had been, if nobody knew the end of an earlier try."""
        stored = sum(receipt.stored for receipt in receipts)
        duplicates = sum(receipt.duplicates for receipt in receipts)
        replayed = any(receipt.replayed for receipt in receipts)
        known = (stored, duplicates) == (batch.size, 0) and (unknown or not replayed)
        if not known and not (unknown and (stored, duplicates) == (0, batch.size)):
            self.wrong.append((batch.home, batch.key, unknown, receipts))

    def _read(self, name: str) -> None:
        """Whatever was acknowledged before a read is in its answer."""
        while not self._stop.is_set():
            before = self.devices
            try:
                found = self.store.devices.count()
                self.store.telemetry.latest("w0")
                with self.store.snapshot() as seen:
                    assert seen.devices.count() >= found
            except StoreError as error:
                self._met(name, error)
            else:
                if found < before:
                    self.wrong.append((found, before))
            self._stop.wait(PAUSE)

    @property
    def devices(self) -> int:
        """How many devices are known to be stored."""
        done = [len(batch.devices) for batches in self.acknowledged.values() for batch in list(batches)]
        return sum(done) + WRITERS

    def stored_more(self, batches: int, within: float = PATIENCE) -> float:
        """Wait until each writer has stored so many more batches; for how many seconds."""
        before = {name: len(done) for name, done in self.acknowledged.items()}
        return self._wait(
            lambda: all(len(done) >= before[name] + batches for name, done in self.acknowledged.items()), within
        )

    def all_failed(self) -> float:
        """Wait until every thread has met a further error; for how many seconds."""
        before = Counter(self.failed)
        names = [*self.acknowledged, "reader"]
        return self._wait(lambda: all(self.failed[name] > before[name] for name in names), PATIENCE)

    def _wait(self, reached: Callable[[], bool], within: float) -> float:
        begun = time.monotonic()
        with self._changed:
            assert self._changed.wait_for(lambda: reached() or bool(self.wrong), within), "the threads are stuck"
        assert not self.wrong, self.wrong
        return time.monotonic() - begun

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """All threads work; they end with the block, and none of them may have met anything that is not allowed."""
        self.store.devices.add_many([Device(key=name) for name in self.acknowledged])
        for thread in self._threads:
            thread.start()
        try:
            yield
        finally:
            self.finish()
        assert not any(thread.is_alive() for thread in self._threads)
        assert not self.wrong, self.wrong

    def finish(self) -> None:
        """Let every thread bring what it has begun to its end."""
        self._stop.set()
        for thread in self._threads:
            thread.join(PATIENCE)

    def check_stored(self) -> None:
        """Exactly what was acknowledged is there: each writer has repeated its last batch until it knew."""
        devices = {device.key: device.name for device in self.store.devices.list(limit=1_000_000)}
        wanted: dict[str, str | None] = dict.fromkeys(self.acknowledged)
        points: dict[tuple[str, str], dict[int, float]] = {}
        for batch in (batch for batches in self.acknowledged.values() for batch in batches):
            wanted.update({device.key: device.name for device in batch.devices})
            micros = [round((time - START).total_seconds() * 1e6) for time in batch.times]
            points.setdefault((batch.home, batch.metric), {}).update(zip(micros, batch.values, strict=True))
        assert devices == wanted
        for (home, metric), expected in points.items():
            if not expected:  # a batch without points makes no metric; that none is stored the count below says
                continue
            found = self.store.telemetry.range(home, metric, START, START + timedelta(days=9999))
            assert {round((point.time - START).total_seconds() * 1e6): point.value for point in found} == expected
            latest = self.store.telemetry.latest(home, metric)
            assert latest is not None
            assert latest.value == expected[max(expected)]
        assert self.store.telemetry.count() == sum(len(expected) for expected in points.values())


# ---------------------------------------------------------------------- beside the application


def ask(url: str, text: str, *parameters: object) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        cursor = connection.execute(text.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []


def check_nothing_is_left(store: Store, url: str, name: str) -> None:
    """Nothing is lent, the server sees the pool's connections and no others, and none of them is in a transaction."""
    statistics = store.backend._pool.statistics()
    assert statistics.lent == 0
    assert statistics.waiting == 0
    assert statistics.open <= CONNECTIONS
    sessions = "SELECT count(*), count(xact_start) FROM pg_stat_activity WHERE application_name = %s"
    until = time.monotonic() + PATIENCE
    # A session whose client has just closed it takes a moment to end.
    while (seen := ask(url, sessions, name)) != [(statistics.open, 0)] and time.monotonic() < until:
        ask(url, "SELECT pg_sleep(0.02)")
    assert seen == [(statistics.open, 0)]


@pytest.fixture
def opened() -> Iterator[Callable[..., Store]]:
    """Open stores; they are closed when the test ends."""
    stores: list[Store] = []

    def make(url: str, **options: Any) -> Store:
        stores.append(iotstore.open(url, **{**OPTIONS, **options}))
        return stores[-1]

    yield make
    for store in stores:
        store.close()


# ---------------------------------------------------------------------- servers that end beneath writers


@pytest.fixture(scope="module", params=["embedded", pytest.param("container", marks=pytest.mark.container)])
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server of these tests' own, which may be killed."""
    made: Server = EmbeddedPostgres() if request.param == "embedded" else ContainerPostgres(image("container"))
    yield made
    made.stop()
    made.end()


def test_a_store_outlives_kills_and_stops_of_its_server_in_the_midst_of_writers(
    server: Server, opened: Callable[..., Store]
) -> None:
    store = opened(server.url, application_name="outliving")
    application = Application(store)
    with application.at_work():
        for end in (server.kill, server.stop, server.kill):
            application.stored_more(6)
            end()
            application.all_failed()
            server.start()
            application.stored_more(3, RECOVERY)
    application.check_stored()
    check_nothing_is_left(store, server.url, "outliving")
    assert store.admin.verify().status != "failed"


# ---------------------------------------------------------------------- a replica that takes over


@pytest.fixture(scope="module")
def pairs() -> Iterator[list[ReplicaSet]]:
    """The pairs that were made so far: they take longer to start than these tests take."""
    made: list[ReplicaSet] = []
    yield made
    for one in made:
        one.end()


@pytest.fixture
def pair(pairs: list[ReplicaSet]) -> ReplicaSet:
    """A primary with a replica that follows: the last pair, or another one when its replica took over."""
    with suppress(IndexError, ConfigurationError):  # none yet, or its primary is gone
        if pairs[-1].replication() == "streaming, sync":
            return pairs[-1]
    pairs.append(replica_set())
    return pairs[-1]


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Options of a store that soon gives up a server which says nothing."""
    monkeypatch.setattr("iotstore_postgres._connection._GRACE", 0.5)
    return {"statement_timeout": 1.0, "connect_timeout": 2}


@contextmanager
def paused(container: Any) -> Iterator[None]:
    """Let a server fall silent, with its connections open, for the block."""
    found = container.get_wrapped_container()
    found.pause()
    try:
        yield
    finally:
        found.unpause()
        container.get_docker_client().client.close()


@pytest.mark.container
def test_a_commit_that_no_replica_has_is_not_acknowledged(
    pair: ReplicaSet, opened: Callable[..., Store], impatient: dict[str, Any]
) -> None:
    store = opened(pair.url, schema="alone", application_name="alone", **impatient)
    waiting = "SELECT pid FROM pg_stat_activity WHERE application_name = 'alone' AND wait_event = 'SyncRep'"

    def stop(how: str) -> None:
        until = time.monotonic() + PATIENCE
        while not ask(pair.url, f"SELECT {how}(pid) FROM ({waiting}) AS them") and time.monotonic() < until:
            ask(pair.url, "SELECT pg_sleep(0.02)")

    with paused(pair.replica):
        # To a cancelled wait the server answers that the transaction is committed, and warns beside it.
        for how in ("pg_cancel_backend", "pg_terminate_backend"):
            stopper = threading.Thread(target=stop, args=(how,))
            stopper.start()
            with pytest.raises(EngineError, match="nobody here knows") as raised:
                store.devices.add(Device(key=how))
            assert not raised.value.retryable
            stopper.join(PATIENCE)
        begun = time.monotonic()
        with pytest.raises(EngineError, match="nobody here knows"):
            store.devices.add(Device(key="waited for"))
        assert time.monotonic() - begun < 5
    store.devices.add(Device(key="followed"))
    assert store.devices.count() == 4
    check_nothing_is_left(store, pair.url, "alone")


@pytest.mark.container
def test_a_store_goes_on_with_the_replica_that_has_all_that_was_acknowledged(
    pair: ReplicaSet, opened: Callable[..., Store]
) -> None:
    store = opened(pair.url, schema="following", application_name="following")
    application = Application(store)
    with application.at_work():
        application.stored_more(10)
        pair.kill_primary()
        application.all_failed()
        pair.promote()
        application.stored_more(10, RECOVERY)
    application.check_stored()
    check_nothing_is_left(store, pair.url, "following")
    assert store.admin.verify().status != "failed"


@pytest.mark.container
def test_a_primary_that_falls_silent_costs_the_patience_of_a_statement_and_nothing_that_was_acknowledged(
    pair: ReplicaSet, opened: Callable[..., Store], impatient: dict[str, Any]
) -> None:
    store = opened(pair.url, schema="silence", application_name="silence", **impatient)
    application = Application(store)
    with application.at_work():
        application.stored_more(10)
        with paused(pair.primary):
            # A second and a half for the statement, and two for each connection that is tried in vain.
            assert application.all_failed() < 10
            pair.promote()
            application.stored_more(10, RECOVERY)
            application.finish()
            application.check_stored()
            check_nothing_is_left(store, pair._url(pair.replica), "silence")
            store.close()  # the old primary is about to wake up, and nobody has told it that it is none any more


# ---------------------------------------------------------------------- a disk that is full

ROOM = 96 * 2**20


class Crammed:
    """A database on a small disk of its own in a container, and a file that takes what is left of it."""

    def __init__(self) -> None:
        from docker.types import Mount

        name = image("container")
        with docker_errors(name):
            label, self.end = keep()
            try:
                room = Mount("/room", None, type="tmpfs", tmpfs_size=ROOM)
                self._container = run(name, label, secrets.token_hex(16), mounts=[room])
                self._exec("install -d -o postgres /room/data")
                server = f"postgresql://{USER}:{self._container.password}@{address(self._container)}"
                ask(f"{server}/{USER}", "CREATE TABLESPACE room LOCATION '/room/data'")
                ask(f"{server}/{USER}", "CREATE DATABASE crammed TABLESPACE room")
            except BaseException:
                self.end()
                raise
        self.url = f"{server}/crammed"

    def _exec(self, command: str) -> str:
        code, output = self._container.exec(["sh", "-c", command])
        self._container.get_docker_client().client.close()
        assert code == 0, output
        return output.decode()

    def fill(self, left: int) -> None:
        """Leave so many bytes."""
        free = int(self._exec("df --block-size=1 --output=avail /room | tail -1"))
        self._exec(f"fallocate --length {free - left} /room/ballast")

    def make_room(self) -> None:
        """Remove what was in the way."""
        self._exec("rm /room/ballast")


@pytest.fixture(scope="module")
def crammed() -> Iterator[Crammed]:
    made = Crammed()
    yield made
    made.end()


def points_from(start: datetime, count: int) -> tuple[Any, Any]:
    first = np.datetime64(start.replace(tzinfo=None), "us")
    return first + np.arange(count).astype("timedelta64[s]"), np.arange(count, dtype="float64")


@pytest.mark.container
def test_a_full_disk_stores_nothing_of_a_batch_and_the_call_works_when_there_is_room(
    crammed: Crammed, opened: Callable[..., Store]
) -> None:
    store = opened(crammed.url, application_name="crammed", statement_timeout=60.0)
    store.devices.add(Device(key="meter"))
    assert store.telemetry.write([Point(device="meter", metric="power", time=START, value=1.0)]).stored == 1
    many = points_from(START + timedelta(hours=1), 100_000)
    long_ago = points_from(START - timedelta(days=3000), 5_000)
    crowd = [Device(key=f"d{number}", notes=secrets.token_hex(1000)) for number in range(3_000)]

    def all_at_once() -> Receipt:
        with store.transaction():
            store.devices.update("meter", name="changed")
            return store.devices.add_many(crowd)

    # Points that are copied, that look for others, that need a partition which is not there, and records.
    calls: list[tuple[Callable[[], Receipt], int, int]] = [
        (lambda: store.telemetry.write_columns("meter", "power", *many), 100_000, 0),
        (lambda: store.telemetry.write_columns("meter", "power", *many, on_conflict="replace"), 0, 100_000),
        (lambda: store.telemetry.write_columns("meter", "power", *long_ago), 5_000, 0),
        (all_at_once, 3_000, 0),
    ]
    for call, stored, duplicates in calls:
        before = store.telemetry.count(), store.devices.count()
        crammed.fill(left=200_000)
        try:
            with pytest.raises(StorageFull, match=r"no room is left.*free space there, then retry") as raised:
                call()
            assert raised.value.retryable
            assert (store.telemetry.count(), store.devices.count()) == before
            assert store.devices.get("meter").name is None
            assert store.admin.health()
        finally:
            crammed.make_room()
        receipt = call()
        assert (receipt.stored, receipt.duplicates) == (stored, duplicates)
        assert store.telemetry.count() + store.devices.count() == sum(before) + stored
    check_nothing_is_left(store, crammed.url, "crammed")
