"""A mutant meets other clauses until it is decided whether it passes nine tenths of them, and not one more."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore_conformance.plans import (
    UNTOUCHED,
    Outcome,
    Plan,
    allowed_failures,
    decided,
    patience_for,
    too_many_failures,
)

VERDICTS = st.sampled_from(["survived", "survived", "survived", "killed", "error", "hung", "skipped"])


class Worker:
    """Gives the verdicts that it is told, and notes what it was asked."""

    def __init__(self, verdicts):
        self.verdicts = verdicts
        self.asked = {}

    def ask(self, mutant, clause, limit):
        self.asked[clause] = limit
        return Outcome(mutant, clause, self.verdicts.get(clause, "survived"), "", 0.0)


def _failures(outcomes):
    return sum(one.verdict != "survived" for one in outcomes)


@given(st.integers(1, 5000))
def test_a_tenth_of_the_clauses_beside_the_killer_may_fail(clauses):
    allowed = allowed_failures(clauses)
    assert allowed * 10 <= clauses - 1 < (allowed + 1) * 10
    assert allowed == math.floor((clauses - 1) / 10)


@given(st.lists(VERDICTS, min_size=1, max_size=80), st.randoms(use_true_random=False))
def test_what_is_decided_stays_so_however_the_rest_ends(verdicts, chance):
    clauses = len(verdicts)
    chance.shuffle(verdicts)
    for met in range(clauses + 1):
        failed = sum(verdict != "survived" for verdict in verdicts[:met])
        left = clauses - met
        ends = {too_many_failures(failed + more, clauses) for more in range(left + 1)}
        assert decided(met - failed, failed, clauses) == (len(ends) == 1)


@given(
    killers=st.integers(1, 4),
    others=st.integers(0, 60),
    fails=st.sets(st.integers(0, 59), max_size=20),
    untouched=st.sets(st.integers(0, 59), max_size=40),
)
def test_a_plan_that_stops_judges_as_one_that_runs_everything(killers, others, fails, untouched):
    named = tuple(f"K{n}" for n in range(killers))
    rest = tuple(f"C{n}" for n in range(others))
    verdicts = {f"C{n}": "killed" for n in fails - untouched} | dict.fromkeys(named, "killed")
    worker = Worker(verdicts)
    plan = Plan("one", named, rest, frozenset(f"C{n}" for n in untouched))
    found = list(plan.outcomes(worker, 1.0))
    whole = [Outcome("one", id_, verdicts.get(id_, "survived"), "", 0.0) for id_ in (*named, *rest)]
    clauses = killers + others
    left = clauses - len(found)
    verdict = too_many_failures(_failures(whole), clauses)
    # What was seen is enough: the clauses that were left out change nothing, all passed or all failed.
    assert too_many_failures(_failures(found), clauses) == verdict
    assert too_many_failures(_failures(found) + left, clauses) == verdict
    assert set(named) <= set(worker.asked)
    assert set(worker.asked).isdisjoint(plan.untouched)
    assert len(found) == len({one.clause for one in found})
    if left:  # one clause earlier it was open
        *before, last = found
        passed = len(before) - _failures(before)
        assert last.clause in named or not decided(passed, _failures(before), clauses)


def test_clauses_come_in_the_order_given_and_those_that_cost_nothing_first():
    plan = Plan("one", ("K",), ("A", "B", "C"), frozenset({"B"}))
    assert [(one.clause, one.message) for one in plan.outcomes(Worker({"K": "killed"}), 1.0)] == [
        ("K", ""),
        ("B", UNTOUCHED),
        ("A", ""),
        ("C", ""),
    ]


@pytest.mark.parametrize(("limit", "given_to_other"), [(60.0, 7.0), (1.0, 1.0)])
def test_another_clause_gets_less_time_than_a_killer(limit, given_to_other):
    worker = Worker({"K": "killed"})
    plan = Plan("one", ("K",), ("A",), patience={"A": 7.0, "K": 0.1})
    assert [one.clause for one in plan.outcomes(worker, limit)] == ["K", "A"]
    assert worker.asked == {"K": limit, "A": given_to_other}
    assert patience_for(0.0) >= 1
    assert patience_for(2.0) > 20
