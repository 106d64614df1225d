"""The contract is covered: every error is raised, every capability is used and refused, by some clause."""

import inspect
from pathlib import Path

import pytest

from iotstore import errors
from iotstore.backend import Capability
from iotstore_conformance.profiles import ESSENTIAL, MEANING, PROFILES
from iotstore_conformance.refusals import _CALLS
from iotstore_conformance.registry import load_clauses
from iotstore_conformance.report import read_report
from iotstore_conformance.verdicts import Outcome

REPORTS = Path(__file__).parents[2] / "docs" / "reports"

# Names of groups: what is raised is one of their members.
GROUPS = {"StoreError", "Refused", "Failed", "Damaged"}
# What no clause makes a store raise yet, with what it takes. A name that is raised meanwhile has to leave this list.
NOT_YET = {
    "EngineError": "a driver error without a name of its own",
    "StorageFull": "a place without room",
}
# Claims that no clause needs yet.
UNTESTED = {
    Capability.GRAPH: "the store has no operations on relations yet",
}


def raised():
    """Every error class that a clause of our own reports made a store raise, while the clause held."""
    reports = [read_report(path) for path in REPORTS.glob("*.json")]
    return {
        name
        for report in reports
        for clause in report.clauses
        if clause.outcome in (Outcome.PASSED, Outcome.REFUSED)
        for name in clause.raised
    }


def public():
    return {
        name for name in errors.__all__ if inspect.isclass(one := getattr(errors, name)) and issubclass(one, Exception)
    }


def test_every_public_error_is_raised_by_a_clause_or_named_with_what_it_takes():
    assert public() - GROUPS - raised() == set(NOT_YET), "take what is raised now from the list, mend what no longer is"


def test_the_groups_of_errors_have_members():
    for name in GROUPS:
        assert getattr(errors, name).__subclasses__(), name


def test_every_capability_has_a_clause_that_needs_it_or_is_named_with_the_reason():
    needed = {need for clause in load_clauses() for need in clause.needs}
    assert set(Capability) - needed <= set(UNTESTED), "write a clause that needs it"


def test_every_capability_that_is_an_operation_is_called_where_it_is_unsupported():
    # What survives, who may wait and who may write are properties: the declaration itself refuses them.
    properties = {
        Capability.PERSISTENCE,
        Capability.CONCURRENT_READS,
        Capability.MANY_PROCESSES,
        Capability.ATOMIC_MIGRATIONS,
        Capability.GRAPH,
    }
    assert set(_CALLS) | properties == set(Capability)
    assert "CAP-004" in {clause.id for clause in load_clauses()}


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_meaning_and_says_what_it_cannot_do_without(profile):
    assert MEANING[profile].endswith(".")
    assert profile in ESSENTIAL


def test_every_profile_with_clauses_cannot_do_without_something():
    """Else a backend that declares everything unsupported could be conformant in it."""
    assert all(ESSENTIAL[clause.profile] for clause in load_clauses())
