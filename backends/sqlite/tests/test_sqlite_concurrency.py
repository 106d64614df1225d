"""Threads, processes and snapshots on one SQLite file: who waits, for how long, and what nobody may lose."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from iotstore.backend import (
    Busy,
    Compare,
    Layout,
    NotAllowed,
    OnConflict,
    Op,
    Order,
    PointType,
    Select,
    Settings,
)
from iotstore_sqlite._turns import Bell, FairLock
from iotstore_sqlite.store import SqliteBackend

FLOAT = PointType.FLOAT
Open = Callable[..., SqliteBackend]

HEADER = """
import os, sys, time
from iotstore.backend import OnConflict, PointType, Settings, StoreError
from iotstore_sqlite.store import SqliteBackend
path = sys.argv[1]
def connect(**options):
    return SqliteBackend.connect(Settings("sqlite", None, None, (), path, path, options))
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HEADER + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], timeout: float = 60) -> str:
    out, errors = process.communicate("\n", timeout=timeout)
    assert process.returncode == 0, errors
    return out.strip()


@contextmanager
def locked_elsewhere(path: Path) -> Iterator[None]:
    process = start(
        "import sqlite3\n"
        "connection = sqlite3.connect(path, isolation_level=None)\n"
        "connection.execute('BEGIN IMMEDIATE')\n"
        "print('locked', flush=True)\n"
        "sys.stdin.readline()\n",
        path,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "locked\n"
    try:
        yield
    finally:
        finish(process)


def in_threads(count: int, work: Callable[[int], None]) -> None:
    failures: list[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:  # noqa: BLE001 - raised below, in the test's thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def test_ten_threads_write_and_read_and_every_change_counts(backend: SqliteBackend, flows: Layout) -> None:
    def work(number: int) -> None:
        for step in range(30):
            with backend.write() as session:
                first = session.reserve("flows", 10)
                session.insert_many(flows, [(first + i, None, number, step) for i in range(10)], OnConflict.ERROR)
            with backend.read() as reading:
                mine = reading.select(flows, Select(Compare("at", Op.EQ, number), (Order("id"),)))
                assert len(mine) == 10 * (step + 1)

    in_threads(10, work)
    with backend.read() as reading:
        rows = reading.select(flows, Select(order=(Order("id"),)))
    assert [row[0] for row in rows] == list(range(1, 3_001))
    assert backend._readers.lent == 0


def test_a_snapshot_sees_no_part_of_a_transaction_and_no_later_one(backend: SqliteBackend) -> None:
    stop = threading.Event()

    def write(_: int) -> None:
        time = 0
        while not stop.is_set():
            with backend.write() as session:
                session.append(FLOAT, [1] * 600, range(time, time + 600), [0.0] * 600, OnConflict.ERROR)
            time += 600

    def read(_: int) -> None:
        try:
            for _ in range(50):
                with backend.snapshot() as snapshot:
                    counts = {snapshot.count() for _ in range(5)}
                    assert len(counts) == 1
                    assert counts.pop() % 600 == 0
        finally:
            stop.set()

    in_threads(4, lambda number: (write if number == 0 else read)(number))


def test_readers_do_not_wait_for_an_open_transaction(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert(flows, (1, None, 0, None))
        with backend.read() as reading:
            assert reading.get(flows, (1,)) is None
    with backend.read() as reading:
        assert reading.get(flows, (1,)) == (1, None, 0, None)


def test_a_second_writer_is_busy_after_the_declared_time_and_then_gets_its_turn(connect: Open) -> None:
    backend = connect(busy_timeout=0.05)
    with backend.write():
        failed: list[BaseException] = []

        def other(_: int) -> None:
            with pytest.raises(Busy, match=r"the writer was not free within 0\.05 seconds.*busy_timeout") as caught:
                backend.write()
            failed.append(caught.value)

        in_threads(3, other)
        assert len(failed) == 3
        assert all(isinstance(error, Busy) and error.retryable for error in failed)
    with backend.write() as session:
        assert session.reserve("x", 1) == 1


def test_readers_beyond_the_pool_are_busy_and_the_pool_grows_on_demand_only(connect: Open) -> None:
    backend = connect(readers=2, busy_timeout=0.05)
    assert backend._readers.open == 1
    with backend.read() as one, backend.read() as two:
        assert (one.count(), two.count()) == (0, 0)
        with pytest.raises(Busy, match=r"a reader \(all 2 are in use\) was not free within 0\.05 seconds"):
            backend.read()
        with pytest.raises(Busy, match="a reader"):
            backend.snapshot()
    with backend.read() as one:
        assert one.count() == 0
    assert (backend._readers.open, backend._readers.lent) == (2, 0)


def test_more_threads_than_readers_wait_their_turn(connect: Open) -> None:
    backend = connect(readers=2, busy_timeout=30.0)

    def work(_: int) -> None:
        for _ in range(100):
            with backend.read() as session:
                assert session.count() == 0

    in_threads(8, work)
    assert backend._readers.open <= 2
    assert backend._readers.lent == 0


def test_the_lock_goes_to_whoever_waits_longest() -> None:
    lock = FairLock()
    order: list[int] = []
    assert lock.acquire(1)
    threads = []
    for number in range(5):

        def wait(number: int = number) -> None:
            assert lock.acquire(10)
            order.append(number)
            lock.release()

        threads.append(threading.Thread(target=wait))
        threads[-1].start()
        while len(lock._waiting) <= number:
            threading.Event().wait(0.001)
    lock.release()
    for thread in threads:
        thread.join()
    assert order == [0, 1, 2, 3, 4]
    assert lock.acquire(0)


def test_a_lock_whose_waiter_gave_up_is_not_lost() -> None:
    lock = FairLock()
    assert lock.acquire(1)
    assert not lock.acquire(0.01)
    lock.release()
    assert lock.acquire(0)


def test_two_processes_write_and_neither_starves(connect: Open, tmp_path: Path) -> None:
    backend = connect()
    script = (
        "backend = connect()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.readline()\n"
        "end, done = time.monotonic() + 2.0, 0\n"
        "while time.monotonic() < end:\n"
        "    with backend.write() as session: session.reserve('shared', 1)\n"
        "    done += 1\n"
        "backend.close()\n"
        "print(done)\n"
    )
    processes = [start(script, tmp_path / "home.db") for _ in range(2)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    counts = [int(finish(process)) for process in processes]
    assert min(counts) * 20 > max(counts), counts
    with backend.write() as session:
        assert session.reserve("shared", 1) == sum(counts) + 1


def test_a_database_that_another_process_locks_is_busy_and_readable(connect: Open, tmp_path: Path) -> None:
    backend = connect(busy_timeout=0.05)
    with locked_elsewhere(tmp_path / "home.db"):
        with pytest.raises(Busy, match="the write lock of the database file was not free") as caught:
            backend.write()
        assert caught.value.retryable
        assert caught.value.__cause__ is not None
        with backend.read() as reading:
            assert reading.count() == 0
    with backend.write() as session:
        assert session.reserve("x", 1) == 1


def test_retries_wait_a_random_while(connect: Open, tmp_path: Path) -> None:
    backend = connect(busy_timeout=0.05)
    assert backend._writer is not None
    waits: list[float] = []
    sleep = backend._writer.sleep
    backend._writer.sleep = lambda seconds: (waits.append(seconds), sleep(seconds))[1]
    with locked_elsewhere(tmp_path / "home.db"), pytest.raises(Busy, match="write lock"):
        backend.write()
    assert len(set(waits)) > 3
    assert max(waits) < 0.01


def test_a_process_that_writes_leaves_a_gap_as_soon_as_another_one_waits(connect: Open, tmp_path: Path) -> None:
    backend = connect()
    assert backend._writer is not None
    waits: list[float] = []
    backend._writer.sleep = waits.append
    waiting = Bell(tmp_path)
    for rings, pauses in ((False, 0), (True, 1), (False, 1)):
        if rings:
            waiting.ring()
        else:
            waiting.stop()
        backend._writer._looked = 0.0  # it wrote for a while without a look
        for _ in range(2):
            with backend.write() as session:
                session.reserve("x", 1)
        assert len(waits) == pauses
    waiting.close()


def test_only_the_thread_whose_turn_it_is_asks_whether_others_wait(connect: Open, monkeypatch) -> None:
    """Two threads that both open the folder for it would leave one handle open for ever."""
    backend = connect()
    writer = backend._writer
    assert writer is not None
    asked: list[int | None] = []
    rings = Bell.rings
    monkeypatch.setattr(Bell, "rings", lambda bell: (asked.append(writer.owner), rings(bell))[1])
    writer._looked = 0.0
    with backend.write() as session:
        session.reserve("x", 1)
    assert asked == [threading.get_ident()]


def test_a_snapshot_that_grew_too_old_is_really_ended_and_the_log_is_truncated(connect: Open, tmp_path: Path) -> None:
    backend = connect(snapshot_seconds=3_600.0, log_limit_mb=1, checkpoint_pages=50)
    log = tmp_path / "home.db-wal"
    now = [0.0]
    backend._watch.clock = lambda: now[0]
    snapshot = backend.snapshot()
    assert snapshot.count() == 0

    def write(begin: int) -> None:
        with backend.write() as session:
            session.append(FLOAT, [1] * 50_000, range(begin, begin + 50_000), [0.5] * 50_000, OnConflict.ERROR)

    for number in range(6):
        write(number * 50_000)
    assert log.stat().st_size > 2 * 2**20, "the snapshot holds the log"
    now[0] = 3_600.0
    write(300_000)  # nobody calls the snapshot: it is ended all the same
    assert log.stat().st_size == 0
    assert backend._readers.lent == 0
    with pytest.raises(Busy, match=r"the snapshot grew older than 3600 seconds and was ended.*snapshot_seconds"):
        snapshot.count()
    snapshot.close()
    with backend.snapshot() as fresh:
        assert fresh.count() == 350_000


def test_the_watch_ends_an_old_snapshot_by_itself_also_in_the_midst_of_a_statement(connect: Open) -> None:
    backend = connect(snapshot_seconds=0.2)
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with backend.snapshot() as snapshot, pytest.raises(Busy, match=r"grew older than 0\.2 seconds"):
        snapshot.rows(endless, ())
    assert backend._readers.lent == 0
    with backend.read() as reading:
        assert reading.count() == 0


def test_an_old_snapshot_ends_a_stream_with_the_same_error(backend: SqliteBackend, flows: Layout) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(1_000)], OnConflict.ERROR)
    now = [0.0]
    backend._watch.clock = lambda: now[0]
    with backend.snapshot() as snapshot:
        stream = snapshot.stream(flows, Select(), 10)
        assert len(next(stream)) == 10
        now[0] = 10_000.0
        with pytest.raises(Busy, match="the snapshot grew older"):
            next(stream)
    assert backend._readers.lent == 0


def test_sessions_that_ended_refuse_every_call(backend: SqliteBackend, flows: Layout) -> None:
    with backend.read() as reading, backend.snapshot() as snapshot:
        stream = reading.stream(flows, Select(), 1)
    writing = backend.write()
    writing.commit()
    writing.rollback()
    writing.close()
    reading.close()
    for session in (reading, snapshot, writing):
        with pytest.raises(NotAllowed, match="this session has ended"):
            session.get(flows, (1,))
        with pytest.raises(NotAllowed, match="this session has ended"):
            session.count()
        with pytest.raises(NotAllowed, match="this session has ended"):
            list(session.scan(1, FLOAT, None, None))
    with pytest.raises(NotAllowed, match="this session has ended"):
        next(stream)
    for late in (writing.commit, writing.savepoint, writing.release, writing.undo):
        with pytest.raises(NotAllowed, match="this session has ended"):
            late()


def test_a_stream_that_is_not_read_to_its_end_holds_nothing(
    backend: SqliteBackend, flows: Layout, tmp_path: Path
) -> None:
    with backend.write() as session:
        session.insert_many(flows, [(number, None, 0, None) for number in range(5_000)], OnConflict.ERROR)
    with backend.read() as reading:
        stream = reading.stream(flows, Select(), 10)
        next(stream)
    assert backend.optimise(compact=False)["log"] == "copied into the file"
    assert (tmp_path / "home.db-wal").stat().st_size == 0


def test_sessions_that_nobody_closed_cost_no_connection_and_no_lock(connect: Open) -> None:
    backend = connect(readers=1, busy_timeout=0.5)
    for _ in range(3):
        backend.read()
        backend.snapshot()
        backend.write()
        gc.collect()
    with backend.write() as session, backend.read() as reading:
        assert (session.count(), reading.count()) == (0, 0)
    assert backend._readers.open == 1


def test_a_closed_store_refuses_and_closing_twice_is_allowed(connect: Open, tmp_path: Path) -> None:
    backend = connect()
    with backend.snapshot() as snapshot:
        snapshot.count()
    backend.close()
    backend.close()
    for call in (backend.read, backend.snapshot, backend.write, backend.health, backend.verify):
        with pytest.raises(NotAllowed, match="the store is closed; open it again"):
            call()
    assert [path.name for path in tmp_path.iterdir()] == ["home.db"]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("iotstore")]


def test_closing_in_the_midst_of_ones_own_transaction_rolls_it_back(connect: Open) -> None:
    backend = connect()
    session = backend.write()
    session.reserve("x", 5)
    backend.close()
    with pytest.raises(NotAllowed, match="this session has ended"):
        session.commit()
    with connect().write() as again:
        assert again.reserve("x", 1) == 1


def test_closing_while_threads_work_ends_them_with_one_error_and_leaves_no_file(connect: Open, tmp_path: Path) -> None:
    backend = connect()
    ready = threading.Barrier(9)

    def work_on(number: int) -> None:
        for step in range(100_000):
            with backend.write() as session:
                session.append(FLOAT, [number], [step], [0.0], OnConflict.ERROR)
            with backend.snapshot() as snapshot:
                snapshot.latest([(number, FLOAT)])
            with backend.read() as reading:
                reading.count([number])

    def work(number: int) -> None:
        ready.wait()
        if number == 8:
            backend.close()
            return
        with pytest.raises(NotAllowed, match="the store is closed"):
            work_on(number)

    in_threads(9, work)
    gc.collect()
    assert [path.name for path in tmp_path.iterdir()] == ["home.db"]
    assert connect().verify()[0].status == "ok"


def test_no_file_handle_stays_open(settings: Callable[..., Settings], tmp_path: Path) -> None:
    def handles() -> int:
        return sum(1 for path in Path("/proc/self/fd").iterdir() if str(tmp_path) in os.path.realpath(path))

    for _ in range(3):
        backend = SqliteBackend.connect(settings())
        with backend.read(), backend.snapshot(), backend.write():
            assert handles() > 0
        backend.close()
    assert handles() == 0


def test_a_fork_of_the_process_must_open_the_store_again(tmp_path: Path) -> None:
    script = (
        "backend = connect()\n"
        "held = backend.read()\n"
        "pid = os.fork()\n"
        "if pid == 0:\n"
        "    for call in (backend.read, backend.snapshot, backend.write):\n"
        "        try: call()\n"
        "        except StoreError as error: print(type(error).__name__, error, flush=True)\n"
        "    again = connect()\n"
        "    with again.write() as session: print(session.reserve('x', 1), flush=True)\n"
        "    again.close()\n"
        "    backend.close()\n"
        "    sys.exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "with backend.write() as session: print(session.reserve('x', 1))\n"
        "backend.close()\n"
    )
    lines = finish(start(script, tmp_path / "home.db")).splitlines()
    assert len(lines) == 5
    for line in lines[:3]:
        assert line.startswith("NotAllowed the store was opened in process")
        assert line.endswith("open it again in the new process")
    assert lines[3:] == ["1", "2"]


def test_a_store_in_memory_ends_with_its_process_and_not_with_a_fork_of_it(tmp_path: Path) -> None:
    script = (
        "path = ':memory:'\n"
        "backend = connect()\n"
        "folder = str(backend._path.parent)\n"
        "pid = os.fork()\n"
        "if pid == 0: sys.exit(0)\n"
        "os.waitpid(pid, 0)\n"
        "print(os.path.exists(folder), folder)\n"
    )
    there, folder = finish(start(script, tmp_path)).split()
    assert there == "True"
    assert not Path(folder).exists()
