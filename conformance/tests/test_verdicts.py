"""No way to a good verdict but clauses that ran and held."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from iotstore_conformance.manifest import manifest, provisional
from iotstore_conformance.registry import Clause
from iotstore_conformance.verdicts import Outcome, Verdict, judge, together

IDS = [f"ABC-{n:03}" for n in range(12)]
OUTCOMES = st.sampled_from(list(Outcome))


@st.composite
def runs(draw):
    """A manifest and what became of its clauses."""
    ids = draw(st.lists(st.sampled_from(IDS), unique=True))
    return ids, {id_: draw(OUTCOMES) for id_ in ids}


@given(runs(), st.sets(st.sampled_from(IDS)), st.booleans())
def test_leaving_clauses_out_never_raises_a_verdict(run, left_out, offered):
    ids, outcomes = run
    before = judge(ids, outcomes, offered=offered)
    skipped = {id_: Outcome.NOT_RUN if id_ in left_out else outcome for id_, outcome in outcomes.items()}
    absent = {id_: outcome for id_, outcome in outcomes.items() if id_ not in left_out}
    assert judge(ids, skipped, offered=offered).rank <= before.rank
    assert judge(ids, absent, offered=offered).rank <= before.rank


@given(st.lists(runs(), min_size=1, max_size=3), st.sets(st.sampled_from(IDS)))
def test_leaving_clauses_out_never_raises_the_verdict_over_several_profiles(profiles, left_out):
    def whole(skip):
        parts, ids, outcomes = [], [], {}
        for number, (some, found) in enumerate(profiles):
            mine = {f"{number}-{id_}": Outcome.NOT_RUN if id_ in skip else found[id_] for id_ in some}
            parts.append(judge(list(mine), mine))
            ids += mine
            outcomes |= mine
        return together(judge(ids, outcomes), parts)

    assert whole(left_out).rank <= whole(set()).rank


@given(runs(), st.booleans())
def test_only_clauses_that_all_ran_and_held_are_conformant(run, offered):
    ids, outcomes = run
    found = set(outcomes.values())
    deserved = offered and Outcome.PASSED in found and found <= {Outcome.PASSED, Outcome.REFUSED}
    assert (judge(ids, outcomes, offered=offered) is Verdict.CONFORMANT) == deserved


@given(st.lists(st.sampled_from([Outcome.REFUSED, Outcome.NOT_RUN, Outcome.KNOWN_DEFECT])))
def test_a_run_in_which_nothing_passed_is_never_conformant(found):
    outcomes = {f"ABC-{n:03}": outcome for n, outcome in enumerate(found)}
    assert not judge(list(outcomes), outcomes).conformant


@given(runs(), st.sampled_from([Outcome.FAILED, Outcome.FLAKY, Outcome.UNCLAIMED, Outcome.UNEXPECTED_PASS]))
def test_one_clause_that_does_not_hold_fails_the_run_whatever_else_happened(run, bad):
    ids, outcomes = run
    assert judge([*ids, "BAD-001"], {**outcomes, "BAD-001": bad}) is Verdict.FAILED


@given(runs(), OUTCOMES)
def test_outcomes_of_clauses_that_nobody_knows_never_make_a_run_conformant(run, outcome):
    ids, outcomes = run
    assert not judge(ids, {**outcomes, "XYZ-001": outcome}).conformant


@given(runs(), st.sets(st.sampled_from(IDS)), st.sets(st.sampled_from(IDS)), st.booleans())
def test_saying_not_applicable_never_raises_a_verdict(run, said, excused, offered):
    ids, outcomes = run
    before = judge(ids, outcomes, offered=offered, excused=excused)
    apart = {id_: Outcome.NOT_APPLICABLE if id_ in said else outcome for id_, outcome in outcomes.items()}
    assert judge(ids, apart, offered=offered, excused=excused).rank <= before.rank


@given(runs(), st.sets(st.sampled_from(IDS)))
def test_not_applicable_is_not_run_wherever_the_manifest_does_not_say_so(run, excused):
    ids, outcomes = run
    not_run = {
        id_: Outcome.NOT_RUN if outcome is Outcome.NOT_APPLICABLE and id_ not in excused else outcome
        for id_, outcome in outcomes.items()
    }
    assert judge(ids, outcomes, excused=excused) is judge(ids, not_run, excused=excused)


@given(runs(), st.sets(st.sampled_from(IDS)))
def test_a_run_is_judged_by_the_clauses_that_apply_and_by_no_others(run, excused):
    ids, outcomes = run
    rest = [id_ for id_ in ids if id_ not in excused]
    assert judge(ids, outcomes, excused=excused) is judge(rest, {id_: outcomes[id_] for id_ in rest})


@given(st.sets(st.sampled_from(IDS), min_size=1))
def test_where_nothing_applies_nothing_is_measured(ids):
    apart = dict.fromkeys(ids, Outcome.NOT_APPLICABLE)
    assert judge(list(ids), apart, excused=ids) is Verdict.NOT_MEASURED
    assert judge(list(ids), apart) is Verdict.NOT_MEASURED


def test_only_clauses_that_the_manifest_marks_for_the_other_kind_are_excused():
    marked = {one.id: one.requires for one in manifest().clauses if one.requires}
    assert set(marked.values()) == {"embedded", "server"}
    assert manifest().inapplicable(None) == frozenset()
    for engine in ("embedded", "server"):
        assert manifest().inapplicable(engine) == {id_ for id_, kind in marked.items() if kind != engine}


@pytest.mark.parametrize("engine", ["embedded", "server"])
def test_every_kind_of_engine_has_most_clauses_of_every_profile_to_prove(engine):
    excused = manifest().inapplicable(engine)
    for profile in {one.profile for one in manifest().clauses}:
        ids = {one.id for one in manifest().of(profile)}
        assert len(ids - excused) > len(ids) / 2, profile


def test_an_empty_manifest_and_an_empty_run_measure_nothing():
    assert judge([], {}) is Verdict.NOT_MEASURED
    assert judge(IDS, {}) is Verdict.NOT_MEASURED


def test_one_known_defect_is_told_of_and_more_than_a_tenth_is_a_failure():
    passed = dict.fromkeys(IDS, Outcome.PASSED)
    assert judge(IDS, {**passed, IDS[0]: Outcome.KNOWN_DEFECT}) is Verdict.KNOWN_DEFECTS
    assert judge(IDS, {**passed, **dict.fromkeys(IDS[:2], Outcome.KNOWN_DEFECT)}) is Verdict.FAILED


def test_mistakes_in_the_ledger_fail_a_run_in_which_everything_held():
    assert together(Verdict.CONFORMANT, [Verdict.CONFORMANT], problems=True) is Verdict.FAILED


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (Verdict.CONFORMANT, 0),
        (Verdict.KNOWN_DEFECTS, 0),
        (Verdict.FAILED, 1),
        (Verdict.PARTIAL, 1),
        (Verdict.NOT_MEASURED, 2),
        (Verdict.HARNESS_BROKEN, 2),
    ],
)
def test_exit_codes_tell_wrong_from_unknown(verdict, code):
    assert verdict.exit_code == code


@pytest.mark.parametrize(
    ("since", "suite", "expected"),
    [
        ("1.0", "1.0.0", False),
        ("1.1", "1.1.0", True),
        ("1.1", "1.1.3", True),
        ("1.1", "1.2.0", False),
        ("2.0", "2.0.0", False),
        ("1.1", "2.1.0", False),
    ],
)
def test_a_clause_is_provisional_during_the_minor_version_that_brought_it(since, suite, expected):
    assert manifest().clauses
    clause = Clause("ABC-001", "core", (), False, "It MUST hold.", lambda _: None, since)
    assert provisional(clause, suite) is expected
