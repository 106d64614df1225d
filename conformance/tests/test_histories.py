"""The checkers of histories: right ones pass, and each way of being wrong is caught every time."""

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iotstore import Collection
from iotstore_conformance import find_harness, load_clauses
from iotstore_conformance.histories.register import Event, State, linearizable, lost_updates
from iotstore_conformance.histories.visibility import torn_batches, uncommitted_reads, vanished_batches
from iotstore_conformance.model import changed
from iotstore_conformance.runner import run_clause

START = State(7, 0)
CLAUSES = {one.id: one for one in load_clauses()}


def read(start, end, version, value):
    return Event(0, "read", start, end, State(version, value))


def write(start, end, version, value):
    return Event(1, "write", start, end, State(version, value), value)


def cas(start, end, expected, value, won=True):
    return Event(2, "cas", start, end, State(expected + 1, value) if won else None, value, expected)


def test_calls_one_after_the_other_are_linearizable():
    assert linearizable([write(0, 1, 8, 5), read(2, 3, 8, 5), cas(4, 5, 8, 6), read(6, 7, 9, 6)], START)
    assert linearizable([], START)


def test_a_read_during_a_write_may_see_either_side_of_it():
    assert linearizable([write(0, 10, 8, 5), read(1, 2, 7, 0), read(3, 4, 8, 5)], START)
    assert linearizable([write(0, 10, 8, 5), read(1, 9, 7, 0), read(2, 8, 8, 5)], START)


def test_a_refused_compare_and_set_needs_a_change_before_its_end():
    assert linearizable([write(0, 5, 8, 5), cas(1, 2, 7, 6, won=False)], START)
    assert not linearizable([cas(0, 1, 7, 6, won=False)], START)
    assert not linearizable([cas(0, 1, 7, 6, won=False), write(2, 3, 8, 5)], START)


@pytest.mark.parametrize(
    "history",
    [
        pytest.param([write(0, 1, 8, 5), read(2, 3, 7, 0)], id="a stale read"),
        pytest.param([cas(0, 5, 7, 1), cas(1, 4, 7, 2)], id="two winners of one version"),
        pytest.param([write(0, 3, 8, 5), write(1, 2, 8, 6)], id="a lost update"),
        pytest.param([write(0, 9, 8, 5), read(1, 2, 8, 5), read(3, 4, 7, 0)], id="a value that goes back"),
        pytest.param([read(0, 1, 8, 5)], id="a value that nobody wrote"),
        pytest.param([write(0, 1, 8, 5), read(2, 3, 8, 6)], id="a version with another value"),
        pytest.param([write(0, 1, 9, 5)], id="a version that jumps"),
        pytest.param([cas(2, 3, 8, 5), write(4, 5, 9, 1)], id="a compare-and-set of a version that never was"),
        pytest.param([read(0, 1, 8, 5), write(2, 3, 8, 5)], id="a read from the future"),
    ],
)
def test_a_history_that_no_order_explains_is_caught(history):
    assert not linearizable(history, START)


@given(st.lists(st.tuples(st.sampled_from(["read", "write", "cas", "old"]), st.integers(0, 6)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_whatever_an_atomic_register_answered_is_linearizable(calls):
    # Each call takes effect at its own instant, and begins and ends up to six instants around it.
    state, events = START, []
    for at, (action, spread) in enumerate(calls):
        start, end = at * 4 - spread, at * 4 + spread
        if action == "read":
            events.append(Event(0, "read", start, end, state))
        elif action == "old":
            events.append(Event(0, "cas", start, end, None, at, state.version - 1))
        else:
            events.append(Event(0, action, start, end, State(state.version + 1, at), at, state.version))
            state = State(state.version + 1, at)
    assert linearizable(events, START)
    assert lost_updates(events, START, state) == 0
    assert not linearizable([*events, Event(0, "read", 999, 1000, State(state.version + 1, 5))], START)


def test_a_change_that_the_final_version_does_not_count_is_a_lost_update():
    events = [write(0, 1, 8, 1), write(0, 1, 8, 2), cas(2, 3, 7, 3, won=False)]
    assert lost_updates(events, START, State(8, 2)) == 1
    assert lost_updates(events, START, State(9, 2)) == 0


def test_a_batch_seen_in_part_or_gone_again_is_told_with_its_reading():
    readings = [{}, {"a": 25}, {"a": 25, "b": 3}, {"b": 25}]
    assert torn_batches(readings, 25) == [(2, "b", 3)]
    assert vanished_batches(readings) == [(3, "a")]
    assert all(torn_batches(pair, 25) == [] for pair in pairwise([{}, {"a": 25}, {"a": 25, "b": 25}]))


def test_a_value_that_was_never_committed_is_told():
    assert uncommitted_reads([0, 10, 11, 10, 12], {0, 10}) == [11, 12]
    assert uncommitted_reads([0, 10], {0, 10}) == []


@pytest.fixture
def harness():
    return find_harness("sqlite")


@pytest.mark.parametrize("id_", ["CNC-101", "CNC-102", "CNC-103", "CNC-110", "CNC-111", "CNC-112"])
def test_a_healthy_backend_passes(harness, id_):
    assert run_clause(CLAUSES[id_], harness) is None


class Wrapped:
    """A backend or session with some methods changed; everything else is its own."""

    def __init__(self, inner, **changed):
        self._inner, self._changed = inner, changed

    def __getattr__(self, name):
        return self._changed.get(name) or getattr(self._inner, name)

    def __enter__(self):
        self._inner.__enter__()
        return self

    def __exit__(self, *error):
        return self._inner.__exit__(*error)


def _reads(store, wrong):
    """Read records of the suite through *wrong*, outside transactions."""
    backend = store.backend

    def read():
        session = backend.read()

        def get(layout, key):
            row = session.get(layout, key)
            return wrong(layout, row) if layout.name == "suite_sample" else row

        return Wrapped(session, get=get)

    store._engine.backend = Wrapped(backend, read=read)


def _stale_reads(store):
    """Every second read of a record answers what the one before it saw."""
    seen = []

    def wrong(_, row):
        seen.append(row)
        return row if len(seen) % 2 else seen[-2]

    _reads(store, wrong)


def _dirty_reads(store):
    """A reader sees a value that nobody has committed, as if a transaction were still open."""

    def wrong(layout, row):
        at = layout.position["number"]
        return (*row[:at], row[at] + 1, *row[at + 1 :]) if row[at] else row

    _reads(store, wrong)


def _blind_changes(store):
    """A change that expects a version is made whatever the version is, and answers as if it had been right."""

    class Blind(Collection):
        def update(self, key, /, *, expected=None, **changes):
            stored = super().update(key, **changes)
            return stored if expected is None else changed(stored, version=expected + 1)

    store.records = lambda kind: Blind(store._engine, kind)


@pytest.mark.parametrize(
    ("id_", "wrong"),
    [("CNC-101", _stale_reads), ("CNC-101", _blind_changes), ("CNC-102", _blind_changes), ("CNC-103", _dirty_reads)],
)
def test_a_wrong_store_is_caught_every_time(harness, id_, wrong):
    def opens(url, **options):
        store = harness.open(url, **options)
        wrong(store)
        return store

    for _ in range(3):
        with pytest.raises(AssertionError, match=r"."):
            run_clause(CLAUSES[id_], replace(harness, open=opens))
