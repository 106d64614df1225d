"""Every broken store is killed by the clauses that it names, every clause kills one, and the page says so."""

import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from iotstore import Conflict, Device
from iotstore.backend import Capability
from iotstore_conformance import Clause, harness_names, load_clauses
from iotstore_conformance.harness import find_harness
from iotstore_conformance.mutants import Mutant, broken, load_mutants, mutant
from iotstore_conformance.mutants.breaking import OPENING, Watch, exchanged_by
from iotstore_conformance.mutants.page import kill_page
from iotstore_conformance.plans import HEALTHY, Outcome
from iotstore_conformance.proofs import Proof, Proofs, read_proofs
from iotstore_conformance.proving import Matrix, measurable, outcome_of, prove, steady
from iotstore_conformance.stage import Stage

pytestmark = pytest.mark.once

CLAUSES = {clause.id: clause for clause in load_clauses()}
# No engine that keeps both points and edges as such is there: what is about edges is proved on one that keeps those.
ELSEWHERE = {clause.id for clause in load_clauses() if Capability.GRAPH in clause.needs}
PAGE = Path(__file__).parents[2] / "docs" / "kill-matrix.md"
RECORD = PAGE.with_suffix(".json")
COMMAND = "run: iotstore conformance prove sqlite --full --record docs/kill-matrix.json --page docs/kill-matrix.md"


def _able_harness():
    """A harness whose backend can do everything that clauses need, but for keeping edges."""
    for name in ("sqlite", *harness_names()):
        harness = find_harness(name)
        if ELSEWHERE.issuperset(measurable(harness)[1]):
            return harness
    raise LookupError("no installed harness has a backend with every capability")


HARNESS = _able_harness()


@pytest.fixture(scope="module")
def matrix():
    """Every mutant on its named killers, and the healthy backend on all clauses."""
    return prove(HARNESS.name)


@pytest.mark.parametrize("name", [mutant.name for mutant in load_mutants()])
def test_a_mutant_is_killed_by_every_clause_that_it_names(matrix, name):
    outcomes = matrix.of(name)
    assert outcomes
    assert {one.clause: one.message for one in outcomes.values() if one.verdict != "killed"} == {}
    for one in outcomes.values():
        assert f"{one.clause} on {HARNESS.name}: {CLAUSES[one.clause].sentence}" in one.message


def test_the_healthy_backend_passes_every_clause_so_that_a_kill_means_something(matrix):
    assert [one.message for one in matrix.unhealthy()] == []
    assert set(matrix.of(HEALTHY)) == set(CLAUSES) - ELSEWHERE


def test_every_clause_kills_at_least_one_mutant(matrix):
    assert matrix.without_killer() == []
    assert {id_ for one in load_mutants() for id_ in one.kills} >= ELSEWHERE


def test_there_are_more_than_sixty_mutants_and_each_names_clauses_that_exist():
    assert len(load_mutants()) >= 60
    assert {killer for one in load_mutants() for killer in one.kills} <= set(CLAUSES)
    assert {name: count for name, count in Counter(one.sentence for one in load_mutants()).items() if count > 1} == {}


def test_the_page_of_kills_is_that_of_the_registry_and_of_the_proofs_on_record():
    assert PAGE.read_text("utf-8") == kill_page(load_mutants(), load_clauses(), read_proofs(RECORD)), (
        "run: iotstore conformance prove --page docs/kill-matrix.md --record docs/kill-matrix.json"
    )


def test_every_mutant_was_seen_to_pass_nine_tenths_of_the_clauses_that_it_does_not_name():
    """A kill by one that always raises would prove nothing; the long tier does all of it again."""
    proofs = read_proofs(RECORD).mutants
    assert {one.name for one in load_mutants()} == set(proofs), COMMAND
    for name, proof in proofs.items():
        assert proof.others > 300, name
        assert proof.passed + proof.untouched >= 0.9 * proof.others, (name, proof.failed)
        assert len(proof.failed) <= proof.others / 10, (name, proof.failed)


def test_a_page_tells_what_was_proved_and_what_was_not():
    one, *_ = load_mutants()
    proof = Proof("code", 350, 200, 140, {"VAL-001": "killed"})
    proofs = Proofs("iotstore-proof/1", "mine", "sha256:0123456789abcdef", 351, {one.name: proof})
    page = kill_page(load_mutants(), load_clauses(), proofs)
    assert "1 mutants were proved whole on mine, with the suite sha256:0123456789ab, and 1 of them pass" in page
    assert f"| {one.name} | {one.sentence} | {', '.join(one.kills)} | 340 of 350 (140 untouched) | VAL-001 |" in page
    assert page.count("| not measured |  |") == len(load_mutants()) - 1
    assert "No mutant was proved whole." in kill_page(load_mutants(), load_clauses())


def test_a_store_is_whole_again_after_a_mutant():
    one = next(one for one in load_mutants() if one.name == "adding-again-replaces")
    with broken(HARNESS, one) as victim, Stage(victim) as stage:
        stage.store.devices.add(Device(key="a"))
        stage.store.devices.add(Device(key="a", name="again"))
        assert stage.store.devices.get("a").name == "again"
    with Stage(HARNESS) as stage:
        stage.store.devices.add(Device(key="a"))
        with pytest.raises(Conflict, match="exists"):
            stage.store.devices.add(Device(key="a"))


def _clause(prove_, id_="ZZZ-001"):
    return Clause(id_, "core", (), False, "A store MUST pass.", prove_)


def test_an_error_that_is_no_failure_of_the_clause_is_no_kill():
    def stumbles(_stage):
        raise TypeError("the clause itself is wrong")

    def fails(_stage):
        raise AssertionError("the store is wrong")

    assert outcome_of(None, _clause(stumbles), HARNESS).verdict == "error"
    assert outcome_of(None, _clause(fails), HARNESS).verdict == "killed"
    assert outcome_of(None, _clause(lambda _stage: None), HARNESS).verdict == "survived"


def test_a_store_that_does_not_open_is_no_kill():
    def closed(_url, **_options):
        raise Conflict("no store today")

    outcome = outcome_of(None, _clause(lambda _stage: None), replace(HARNESS, open=closed))
    assert (outcome.verdict, outcome.message.partition(" | ")[0]) == ("error", "Conflict: no store today")


def _matrix(outcomes, *, full, kills=("AAA-001",)):
    one = Mutant("one", tuple(kills), "It is wrong.", "here", lambda _: None)
    ids = tuple(sorted({outcome.clause for outcome in outcomes}))
    return Matrix("some", (one,), ids, tuple(outcomes), full)


def _outcomes(**verdicts):
    healthy = [Outcome(HEALTHY, id_, "survived", "", 0) for id_ in verdicts]
    return healthy + [Outcome("one", id_, verdict, "why", 0) for id_, verdict in verdicts.items()]


def test_a_mutant_that_fails_more_than_a_tenth_of_the_other_clauses_kills_nothing():
    sound = {f"C{n:02}": "survived" for n in range(18)}
    few = _outcomes(**sound, A="killed", B="killed")
    assert (_matrix(few, full=True, kills=["A"]).too_broken(), len(sound)) == ({}, 18)
    many = _outcomes(**{**sound, "C00": "error", "C01": "hung"}, A="killed", B="killed")
    matrix = _matrix(many, full=True, kills=["A"])
    assert matrix.too_broken() == {"one": ["C00", "C01", "A", "B"]}
    assert matrix.killers()["A"] == []
    assert not matrix.proven


def test_a_clause_that_calls_nothing_that_is_wrong_passes_as_on_the_healthy_backend():
    """Else a proof could not leave it out. The seed is the day's: over time every pair is tried."""
    chance = random.Random(date.today().toordinal())  # noqa: DTZ011 - any day will do
    mutants = load_mutants()
    places = {one.name: exchanged_by(HARNESS, one) for one in mutants}
    watched = chance.sample(sorted(steady() & set(CLAUSES) - ELSEWHERE), 12)
    tried = 0
    for id_ in watched:
        seen = outcome_of(Watch(frozenset().union(*places.values())), CLAUSES[id_], HARNESS)
        assert seen.verdict == "survived", seen
        assert OPENING in seen.called
        apart = [one for one in mutants if seen.called.isdisjoint(places[one.name])]
        for one in chance.sample(apart, min(2, len(apart))):
            assert outcome_of(one, CLAUSES[id_], HARNESS).verdict == "survived", (one.name, id_)
            tried += 1
    assert tried >= 12


def test_what_a_clause_calls_is_noted_and_done_as_ever():
    seen = outcome_of(Watch(frozenset({("session", "get"), ("relationships", "of")})), CLAUSES["REL-001"], HARNESS)
    assert (seen.verdict, seen.mutant) == ("survived", HEALTHY)
    assert ("relationships", "of") in seen.called
    seen = outcome_of(Watch(frozenset({("relationships", "of")})), CLAUSES["VAL-001"], HARNESS)
    assert seen.called == {OPENING}


def test_what_survives_hangs_or_stumbles_is_told_and_proves_nothing():
    for verdict in ("survived", "hung", "error"):
        matrix = _matrix(_outcomes(A=verdict, B="killed"), full=False, kills=["A", "B"])
        assert [one.clause for one in matrix.surviving()] == ["A"]
        assert matrix.without_killer() == ["A"]
        assert not matrix.proven
        assert matrix.as_json()["surviving"] == [["one", "A", verdict, "why"]]


def test_a_kill_by_a_clause_that_the_healthy_backend_fails_proves_nothing():
    matrix = _matrix([Outcome(HEALTHY, "A", "killed", "", 0), Outcome("one", "A", "killed", "", 0)], full=False)
    assert not matrix.proven


def test_a_clause_that_takes_too_long_is_given_up_and_the_work_goes_on():
    chosen = [one for one in load_mutants() if one.name == "text-is-cut"]
    began = time.monotonic()
    matrix = prove(HARNESS.name, mutants=chosen, workers=1, limit=0.001)
    assert {one.verdict for one in matrix.outcomes} == {"hung"}
    assert time.monotonic() - began < 60
    assert threading.active_count() < 20


def test_mutants_with_a_wrong_name_no_killer_or_no_sentence_are_refused():
    wrong = [
        ("Text Is Cut", ["VAL-001"], "It is.", "is no name"),
        ("text-is-cut", ["VAL-001"], "It is.", "twice"),
        ("nobody-kills-it", [], "It is.", "killers"),
        ("it-says-nothing", ["VAL-001"], "", "sentence"),
    ]
    load_mutants()
    for name, kills, sentence, said in wrong:
        with pytest.raises(ValueError, match=said):
            mutant(name, kills=kills, sentence=sentence)(lambda _: None)


@pytest.mark.full
@pytest.mark.timeout(0)
def test_every_mutant_passes_nine_tenths_of_the_clauses_that_are_not_its_killer():
    matrix = prove(HARNESS.name, full=True)
    assert matrix.too_broken() == {}
    assert matrix.surviving() == []
    assert matrix.without_killer() == []
