"""Hostile but legal backends pass the suite: what a clause relied on without a promise would fail here."""

import pytest

from iotstore import Device, Unsupported
from iotstore.backend import And, Capability, Select
from iotstore_conformance import Stage, find_harness, load_clauses
from iotstore_conformance.execution import execute
from iotstore_conformance.hostile import MANNERS, Chatty, Manner, Shuffled, hostile
from iotstore_conformance.kinds import SAMPLES, Sample
from iotstore_conformance.verdicts import Outcome

pytestmark = pytest.mark.once

HARNESS = find_harness("sqlite")
CLAUSES = load_clauses()
# One of each promise that a manner comes near: orders, batches, pages, points, backups, changes, savepoints.
SOME = {
    "PAG-003", "PAG-009", "PAG-010", "AGG-010", "AGG-007", "RCP-001", "RCP-002", "RCP-010", "REC-007", "REC-031",
    "TXN-001", "TXN-006", "TXN-020", "TXN-030", "TEL-026", "TEL-040", "TEL-047", "CON-004", "BAK-001", "BAK-006",
    "MIG-001", "CNC-001", "CNC-101", "MOD-001", "MOD-002", "FLT-013",
}  # fmt: skip


def wrong(results):
    fine = (Outcome.PASSED, Outcome.REFUSED)
    return {result.clause.id: repr(result.error) for result in results if result.outcome not in fine}


@pytest.mark.parametrize("name", sorted(MANNERS))
def test_a_hostile_backend_passes_what_it_comes_near(name):
    chosen = [one for one in CLAUSES if one.id in SOME]
    assert {one.id for one in chosen} == SOME
    assert wrong(execute(chosen, hostile(HARNESS, MANNERS[name]()))) == {}


@pytest.mark.full
@pytest.mark.parametrize("name", sorted(MANNERS))
def test_a_hostile_backend_passes_the_whole_suite(name):
    assert wrong(execute(CLAUSES, hostile(HARNESS, MANNERS[name]()))) == {}


def test_shuffled_rows_come_in_another_order_only_where_none_was_asked_for():
    with Stage(hostile(HARNESS, Shuffled(seed=1))) as stage:
        samples = stage.store.records(SAMPLES)
        samples.add_many([Sample(key=f"k{n:02}") for n in range(40)])
        assert [one.key for one in samples.list()] == [f"k{n:02}" for n in range(40)]
        with stage.store.backend.read() as session:
            layout = SAMPLES.layout
            assert session.select(layout, Select()) != sorted(session.select(layout, Select()))
        with stage.store.backend.write() as session:
            touched = [one.key[0] for one in session.delete(layout, And(()))]
        assert sorted(touched) == [f"k{n:02}" for n in range(40)]
        assert touched != sorted(touched)


def test_chatty_streams_come_in_small_pieces():
    with Stage(hostile(HARNESS, Chatty(most=2))) as stage:
        stage.devices("a", "b", "c", "d", "e")
        layout = stage.store.kinds["device"].layout
        with stage.store.backend.read() as session:
            assert [len(chunk) for chunk in session.stream(layout, Select(), 1000)] == [2, 2, 1]


def test_a_minimal_backend_refuses_by_name_and_the_healthy_class_is_as_before():
    with Stage(hostile(HARNESS, MANNERS["minimal"]())) as stage:
        assert not stage.store.capabilities.has(Capability.SAVEPOINTS)
        with pytest.raises(Unsupported, match="minimal on purpose"), stage.store.snapshot():
            pass
    with Stage(HARNESS) as stage:
        assert stage.store.capabilities.has(Capability.SAVEPOINTS)


def test_a_manner_that_breaks_the_contract_is_caught_by_the_suite():
    class Forgetful(Manner):
        def update(self, inner, *args):
            return inner.update(*args)[:-1]

    broken = wrong(execute([one for one in CLAUSES if one.id == "REC-007"], hostile(HARNESS, Forgetful())))
    assert set(broken) == {"REC-007"}


def test_only_the_stores_of_the_hostile_harness_are_hostile():
    with Stage(hostile(HARNESS, Chatty(most=1))), Stage(HARNESS) as healthy:
        for key in "abc":
            healthy.store.devices.add(Device(key=key))
        layout = healthy.store.kinds["device"].layout
        with healthy.store.backend.read() as session:
            assert [len(chunk) for chunk in session.stream(layout, Select(), 1000)] == [3]
