"""Transactions over a session that only notes what it is asked: ids, versions, savepoints, callbacks, the gate."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from iotstore import ManualClock
from iotstore._engine.changes import Change
from iotstore._engine.engine import Engine
from iotstore._engine.gate import Gate
from iotstore._engine.numbers import BLOCK, Blocks, Numbers, Versions
from iotstore._engine.transaction import Transaction
from iotstore._kinds.estate import DEVICES, GROUPS
from iotstore._waist.capabilities import Capabilities, Capability, NotSupported, Supported
from iotstore._waist.contract import Backend
from iotstore._waist.sessions import WriteSession
from iotstore.errors import Busy, NotAllowed, Unsupported

START = datetime(2024, 1, 1, tzinfo=UTC)


class FakeDatabase:
    """Counters as a database has them: a transaction works on a copy, and commit puts it back."""

    def __init__(self) -> None:
        self.counters: dict[str, int] = {}


class FakeSession:
    """A write session that keeps counters and notes every call."""

    def __init__(self, database: FakeDatabase, log: list[str] | None = None) -> None:
        self.database = database
        self.counters = dict(database.counters)
        self.parts: list[dict[str, int]] = []
        self.log = [] if log is None else log
        self.fail: set[str] = set()

    def _note(self, what: str) -> None:
        self.log.append(what)
        if what in self.fail:
            raise RuntimeError(f"{what} failed")

    def reserve(self, counter: str, count: int) -> int:
        first = self.counters.get(counter, 1)
        self.counters[counter] = first + count
        return first

    def savepoint(self) -> None:
        self._note("savepoint")
        self.parts.append(dict(self.counters))

    def release(self) -> None:
        self._note("release")
        self.parts.pop()

    def undo(self) -> None:
        self._note("undo")
        self.counters = self.parts.pop()

    def commit(self) -> None:
        self._note("commit")
        self.database.counters = self.counters

    def rollback(self) -> None:
        self._note("rollback")


def session_of(fake: FakeSession) -> WriteSession:
    return cast("WriteSession", fake)


class Listener:
    """Hooks that keep what they are told."""

    def __init__(self) -> None:
        self.before: list[tuple[Change, ...]] = []
        self.after: list[tuple[Change, ...]] = []
        self.act: Callable[[Transaction], None] = lambda _: None

    def before_commit(self, transaction: Transaction, changes: tuple[Change, ...]) -> None:
        self.before.append(changes)
        self.act(transaction)

    def after_commit(self, changes: tuple[Change, ...]) -> None:
        self.after.append(changes)


# Ids --------------------------------------------------------------------------------------------------------------


class IdsOverSimulatedSessions(RuleBasedStateMachine):
    """One store, one writer at a time, as savepoints, rollbacks and another store on the same database come along."""

    def __init__(self) -> None:
        super().__init__()
        self.database = FakeDatabase()
        self.blocks = Blocks()
        self.other = Blocks()
        self.session: FakeSession | None = None
        self.numbers: Numbers | None = None
        self.shown: list[int] = []  # what callers of this store saw, whether or not it was committed
        self.pending: list[list[int]] = []  # one list for the transaction and one for each open savepoint
        self.committed: set[int] = set()

    @precondition(lambda self: self.session is None)
    @rule()
    def begin(self) -> None:
        self.session = FakeSession(self.database)
        self.numbers = Numbers(self.blocks, session_of(self.session))
        self.pending = [[]]

    @precondition(lambda self: self.session is not None)
    @rule(count=st.sampled_from([0, 1, 1, 2, 5, BLOCK - 1, BLOCK, BLOCK + 1, 3 * BLOCK]))
    def take(self, count: int) -> None:
        assert self.numbers is not None
        taken = list(self.numbers.take("thing", count))
        assert len(taken) == count
        assert taken == list(range(taken[0], taken[0] + count)) if taken else True
        assert all(number >= 1 for number in taken)
        self.pending[-1] += taken
        self.shown += taken

    @precondition(lambda self: self.session is not None)
    @rule()
    def begin_part(self) -> None:
        assert self.session is not None
        assert self.numbers is not None
        self.session.savepoint()
        self.numbers.begin_part()
        self.pending.append([])

    @precondition(lambda self: len(self.pending) > 1)
    @rule(keep=st.booleans())
    def end_part(self, keep: bool) -> None:
        assert self.session is not None
        assert self.numbers is not None
        part = self.pending.pop()
        if keep:
            self.numbers.keep_part()
            self.session.release()
            self.pending[-1] += part
        else:
            self.numbers.undo_part()
            self.session.undo()

    @precondition(lambda self: self.session is not None and len(self.pending) == 1)
    @rule(commit=st.booleans())
    def end(self, commit: bool) -> None:
        assert self.session is not None
        assert self.numbers is not None
        if commit:
            self.session.commit()
            self.numbers.committed()
            assert not self.committed & set(self.pending[0])
            self.committed |= set(self.pending[0])
        self.session = self.numbers = None
        self.pending = []

    @precondition(lambda self: self.session is None)
    @rule(count=st.integers(1, 2 * BLOCK))
    def another_store_writes(self, count: int) -> None:
        session = FakeSession(self.database)
        numbers = Numbers(self.other, session_of(session))
        taken = set(numbers.take("thing", count))
        session.commit()
        numbers.committed()
        assert not taken & self.committed
        self.committed |= taken

    @invariant()
    def ids_grow_and_none_that_a_caller_saw_is_given_again_even_if_it_was_undone(self) -> None:
        assert self.shown == sorted(set(self.shown))


TestIdsOverSimulatedSessions = IdsOverSimulatedSessions.TestCase
TestIdsOverSimulatedSessions.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def take(blocks: Blocks, database: FakeDatabase, count: int, *, commit: bool = True) -> list[int]:
    session = FakeSession(database)
    numbers = Numbers(blocks, session_of(session))
    taken = list(numbers.take("thing", count))
    if commit:
        session.commit()
        numbers.committed()
    return taken


def test_ids_grow_within_a_store_and_its_blocks_are_used_up() -> None:
    database, blocks = FakeDatabase(), Blocks()

    ids = [take(blocks, database, 1)[0] for _ in range(3 * BLOCK)]

    assert ids == list(range(1, 3 * BLOCK + 1))
    assert database.counters["thing"] == 3 * BLOCK + 1


def test_ids_of_a_transaction_that_was_rolled_back_are_not_given_again() -> None:
    database, blocks = FakeDatabase(), Blocks()
    seen = take(blocks, database, 5, commit=False)

    assert min(take(blocks, database, 5)) > max(seen)


def test_what_is_left_of_a_block_that_was_rolled_back_is_never_used() -> None:
    """Another store may have reserved the same numbers meanwhile: the counter went back."""
    database, blocks, other = FakeDatabase(), Blocks(), Blocks()
    take(blocks, database, 5, commit=False)
    theirs = take(other, database, BLOCK)

    assert not set(theirs) & set(take(blocks, database, BLOCK))


def test_an_id_that_a_caller_saw_is_not_given_again_after_its_savepoint_was_undone() -> None:
    database, blocks = FakeDatabase(), Blocks()
    take(blocks, database, 3)
    session = FakeSession(database)
    numbers = Numbers(blocks, session_of(session))
    session.savepoint()
    numbers.begin_part()
    seen = set(numbers.take("thing", 2))
    numbers.undo_part()
    session.undo()

    assert not seen & set(numbers.take("thing", 2))


def test_counters_are_apart() -> None:
    database, blocks = FakeDatabase(), Blocks()
    session = FakeSession(database)
    numbers = Numbers(blocks, session_of(session))

    assert (numbers.take("one", 2), numbers.take("two", 2), numbers.take("one", 1)) == (
        range(1, 3),
        range(1, 3),
        range(3, 4),
    )


def test_threads_that_write_at_once_never_get_one_id_twice() -> None:
    """Each thread has a session of its own, and the database gives every block once."""
    database, blocks, lock = FakeDatabase(), Blocks(), threading.Lock()
    found: list[int] = []

    class Shared(FakeSession):
        def reserve(self, counter: str, count: int) -> int:
            with lock:
                first = database.counters.get(counter, 1)
                database.counters[counter] = first + count
                return first

        def commit(self) -> None:
            """What was reserved is in the database already."""

    def work() -> None:
        for _ in range(300):
            session = Shared(database)
            numbers = Numbers(blocks, session_of(session))
            taken = list(numbers.take("thing", 3))
            numbers.committed()
            with lock:
                found.extend(taken)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(found) == len(set(found)) == 3600


# First versions ---------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(-5, 5), max_size=30))
def test_first_versions_grow_even_while_the_clock_stands_or_goes_back(moves: list[int]) -> None:
    clock = ManualClock(START)
    versions = Versions(clock)
    found = []

    for move in moves:
        clock.advance(timedelta(microseconds=move))
        found.append(versions.next())

    assert found == sorted(set(found))


def test_threads_never_get_one_first_version_twice() -> None:
    versions, found = Versions(ManualClock(START)), [list[int]() for _ in range(4)]

    def work(mine: list[int]) -> None:
        mine.extend(versions.next() for _ in range(2000))

    threads = [threading.Thread(target=work, args=(mine,)) for mine in found]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len({version for mine in found for version in mine}) == 8000
    assert all(mine == sorted(mine) for mine in found)


# One transaction --------------------------------------------------------------------------------------------------


def transaction(
    fail: set[str] | None = None,
) -> tuple[Transaction, Listener, list[str]]:
    log: list[str] = []
    session, listener = FakeSession(FakeDatabase(), log), Listener()
    session.fail = fail or set()
    return Transaction(session_of(session), listener, Blocks(), Versions(ManualClock(START))), listener, log


def test_changes_are_handed_over_once_before_commit_in_their_order() -> None:
    one, listener, log = transaction()
    one.changed(DEVICES, ("a",), 1, "insert")
    one.changed(GROUPS, ("g",), 2, "delete")
    listener.act = lambda _: log.append("told")

    one.commit()

    assert listener.before == [(Change("device", ("a",), 1, "insert"), Change("device_group", ("g",), 2, "delete"))]
    assert log == ["told", "commit"]


def test_a_transaction_without_changes_of_tracked_kinds_tells_nobody() -> None:
    one, listener, log = transaction()

    one.commit()

    assert (listener.before, log) == ([], ["commit"])


def test_what_an_undone_savepoint_changed_is_not_told() -> None:
    one, listener, _ = transaction()
    one.changed(DEVICES, ("kept",), 1, "insert")
    one.begin_part()
    one.changed(DEVICES, ("undone",), 2, "insert")
    one.begin_part()
    one.changed(DEVICES, ("undone too",), 3, "insert")
    one.keep_part()
    one.undo_part()
    one.begin_part()
    one.changed(DEVICES, ("kept too",), 4, "insert")
    one.keep_part()

    one.commit()

    assert [change.key for change in listener.before[0]] == [("kept",), ("kept too",)]


def test_callbacks_on_commit_run_after_it_and_those_of_an_undone_savepoint_never() -> None:
    one, _, log = transaction()
    one.on_commit(lambda: log.append("first"))
    one.begin_part()
    one.on_commit(lambda: log.append("undone"))
    one.undo_part()
    one.on_commit(lambda: log.append("second"))

    one.commit()

    assert log == ["savepoint", "undo", "commit", "first", "second"]


def test_callbacks_on_rollback_run_with_the_savepoint_or_the_transaction_they_belong_to() -> None:
    one, _, log = transaction()
    one.on_rollback(lambda: log.append("outer"))
    one.begin_part()
    one.on_rollback(lambda: log.append("inner"))
    one.undo_part()

    assert log == ["savepoint", "undo", "inner"]

    one.rollback()

    assert log == ["savepoint", "undo", "inner", "rollback", "outer"]


def test_callbacks_on_rollback_run_even_when_the_session_can_not_roll_back() -> None:
    """A cache must forget what was never committed, whatever became of the connection."""
    one, _, log = transaction({"rollback", "undo"})
    one.on_rollback(lambda: log.append("forget"))
    one.begin_part()
    one.on_rollback(lambda: log.append("forget part"))

    with pytest.raises(RuntimeError, match="undo failed"):
        one.undo_part()
    with pytest.raises(RuntimeError, match="rollback failed"):
        one.rollback()

    assert [entry for entry in log if entry.startswith("forget")] == ["forget part", "forget"]


def test_a_doomed_transaction_does_not_commit_and_names_the_first_failure() -> None:
    one, _, log = transaction()
    first, second = ValueError("first"), ValueError("second")
    one.doom(first)
    one.doom(second)

    with pytest.raises(NotAllowed, match="a call inside this transaction failed and this backend can't undo") as caught:
        one.commit()

    assert caught.value.__cause__ is first
    assert log == []


# The engine routes ------------------------------------------------------------------------------------------------


class FakeBackend:
    """A backend that has what a test says, and makes fake sessions."""

    name = "fake"
    holds: dict[Any, Any] = {}  # noqa: RUF012 - never changed

    def __init__(self, *lacking: Capability) -> None:
        declared = {
            one: NotSupported("it is a fake", "use another") if one in lacking else Supported() for one in Capability
        }
        self.capabilities = Capabilities("fake", declared)
        self.database = FakeDatabase()
        self.log: list[str] = []
        self.fail: set[str] = set()

    def write(self) -> FakeSession:
        self.log.append("write")
        if "write" in self.fail:
            raise Busy("somebody writes")
        session = FakeSession(self.database, self.log)
        session.fail = self.fail
        return session

    def read(self) -> FakeSession:
        self.log.append("read")
        return FakeSession(self.database, self.log)

    snapshot = read


def engine(*lacking: Capability) -> tuple[Engine, FakeBackend, Listener]:
    backend, listener = FakeBackend(*lacking), Listener()
    return Engine(cast("Backend", backend), {}, ManualClock(START), listener), backend, listener


def test_a_call_of_its_own_is_a_transaction() -> None:
    one, backend, _ = engine()

    with one.writing():
        assert one.in_transaction

    assert backend.log == ["write", "commit"]
    assert not one.in_transaction


def test_a_call_inside_a_transaction_is_a_savepoint_that_fails_alone() -> None:
    one, backend, _ = engine()

    with one.transaction() as outer:
        with one.writing() as inner:
            assert inner is outer
        with pytest.raises(ValueError, match="bad"), one.writing():
            raise ValueError("bad")

    assert backend.log == ["write", "savepoint", "release", "savepoint", "undo", "commit"]


def test_an_error_that_leaves_a_transaction_rolls_it_back_and_frees_the_thread() -> None:
    one, backend, listener = engine()

    def interrupted() -> None:
        with one.transaction() as outer:
            outer.changed(DEVICES, ("a",), 1, "insert")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert backend.log == ["write", "rollback"]
    assert listener.before == listener.after == []
    assert not one.in_transaction


def test_a_commit_that_fails_is_rolled_back_and_nobody_is_told() -> None:
    one, backend, listener = engine()
    backend.fail = {"commit"}

    with pytest.raises(RuntimeError, match="commit failed"), one.transaction() as outer:
        outer.changed(DEVICES, ("a",), 1, "insert")

    assert backend.log == ["write", "commit", "rollback"]
    assert listener.after == []
    assert not one.in_transaction


def test_a_hook_that_raises_before_commit_undoes_the_transaction() -> None:
    one, backend, listener = engine()

    def refuse(_: Transaction) -> None:
        raise ValueError("not this one")

    listener.act = refuse
    with pytest.raises(ValueError, match="not this one"), one.transaction() as outer:
        outer.changed(DEVICES, ("a",), 1, "insert")

    assert backend.log == ["write", "rollback"]
    assert listener.after == []


def test_observers_are_told_after_the_commit_and_outside_of_the_transaction() -> None:
    one, backend, listener = engine()
    told: list[bool] = []
    listener.after_commit = lambda _: told.append(one.in_transaction)  # type: ignore[method-assign,assignment]

    with one.transaction() as outer:
        outer.changed(DEVICES, ("a",), 1, "insert")

    assert told == [False]
    assert backend.log == ["write", "commit"]


def test_a_backend_that_gives_no_session_leaves_the_thread_and_the_gate_free() -> None:
    one, backend, _ = engine(Capability.SNAPSHOTS)
    backend.fail = {"write"}

    with pytest.raises(Busy, match="somebody writes"), one.transaction():
        pytest.fail("the block was entered")

    assert not one.in_transaction
    with one.gate.shut():
        assert backend.log == ["write"]


def test_without_savepoints_a_nested_transaction_is_unsupported_and_a_failed_call_dooms_the_whole() -> None:
    one, backend, _ = engine(Capability.SAVEPOINTS)

    def nest() -> None:
        with one.transaction(), one.transaction():
            pytest.fail("the inner block was entered")

    with pytest.raises(Unsupported, match="fake does not support savepoints: it is a fake; use another"):
        nest()

    def swallow() -> None:
        with one.transaction(), pytest.raises(ValueError, match="bad"), one.writing():
            raise ValueError("bad")

    with pytest.raises(NotAllowed, match="let the error leave the transaction block"):
        swallow()
    assert backend.log == ["write", "rollback", "write", "rollback"]


def test_a_snapshot_takes_no_writes() -> None:
    one, backend, _ = engine()
    bound = one.bound(cast("Any", backend.read()))

    with pytest.raises(NotAllowed, match="a snapshot takes no writes; write through the store"), bound.writing():
        pytest.fail("the block was entered")

    assert backend.log == ["read"]


def test_a_read_inside_a_transaction_sees_the_transaction() -> None:
    one, _, _ = engine()

    with one.transaction() as outer:
        with one.reading() as session:
            assert session is outer.session
        with one.consistent() as session:
            assert session is outer.session


def test_another_thread_is_not_in_the_transaction() -> None:
    one, _, _ = engine()
    seen: list[bool] = []

    with one.transaction():
        thread = threading.Thread(target=lambda: seen.append(one.in_transaction))
        thread.start()
        thread.join()

    assert seen == [False]


# The gate ---------------------------------------------------------------------------------------------------------


@contextmanager
def in_thread(work: Callable[[], None]) -> Iterator[threading.Thread]:
    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield thread
    finally:
        thread.join()


def test_a_shut_gate_makes_a_writer_wait_until_it_is_open() -> None:
    gate, order = Gate(needed=True), list[str]()
    waiting = threading.Event()

    def write() -> None:
        waiting.set()
        gate.enter()
        order.append("writer")
        gate.leave()

    with gate.shut():
        thread = threading.Thread(target=write)
        thread.start()
        waiting.wait()
        order.append("backup")
    thread.join()

    assert order == ["backup", "writer"]


def test_a_gate_is_shut_only_when_the_last_writer_has_left() -> None:
    gate, order = Gate(needed=True), list[str]()
    gate.enter()
    started = threading.Event()

    def shut() -> None:
        started.set()
        with gate.shut():
            order.append("backup")

    with in_thread(shut):
        started.wait()
        order.append("writer")
        gate.leave()

    assert order == ["writer", "backup"]


@pytest.mark.parametrize(
    ("first", "second", "problem"),
    [
        ("shut", "enter", "a backup holds the store; it was waited for 0 s; try again"),
        ("shut", "shut", "another backup holds the store"),
        ("enter", "shut", "a transaction holds the store"),
    ],
)
def test_who_waits_too_long_is_told_that_the_store_is_busy(first: str, second: str, problem: str) -> None:
    gate = Gate(needed=True, wait=0.0)

    @contextmanager
    def held(how: str) -> Iterator[None]:
        if how == "shut":
            with gate.shut():
                yield
        else:
            gate.enter()
            yield
            gate.leave()

    with held(first), pytest.raises(Busy, match=problem) as caught, held(second):
        pytest.fail("nobody waited")
    with gate.shut():
        assert caught.value.retryable


def test_a_backup_that_fails_opens_the_gate_again() -> None:
    gate = Gate(needed=True, wait=0.0)

    with pytest.raises(ValueError, match="no room"), gate.shut():
        raise ValueError("no room")

    gate.enter()
    gate.leave()


def test_a_gate_that_is_not_needed_lets_everybody_through() -> None:
    gate = Gate(needed=False, wait=0.0)
    through: list[str] = []

    with gate.shut(), gate.shut():
        gate.enter()
        through.append("a writer beside two backups")
        gate.leave()

    assert through == ["a writer beside two backups"]
