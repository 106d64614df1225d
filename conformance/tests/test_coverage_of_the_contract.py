"""The contract is covered: every error is raised, every capability is used and refused, by some clause."""

import inspect
from pathlib import Path

import pytest

from iotstore import errors
from iotstore.backend import MEANING as SENTENCES
from iotstore.backend import Capability
from iotstore_conformance.capability_page import capability_table
from iotstore_conformance.probes import PROBES, PROMISES
from iotstore_conformance.profiles import ESSENTIAL, MEANING, PROFILES
from iotstore_conformance.registry import load_clauses
from iotstore_conformance.report import read_report
from iotstore_conformance.verdicts import Outcome

DOCS = Path(__file__).parents[2] / "docs"
REPORTS = DOCS / "reports"

# Names of groups: what is raised is one of their members.
GROUPS = {"StoreError", "Refused", "Failed", "Damaged"}
# What no clause makes a store raise yet, with what it takes. A name that is raised meanwhile has to leave this list.
NOT_YET = dict[str, str]()


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


def test_every_capability_has_a_clause_that_needs_it():
    needed = {need for clause in load_clauses() for need in clause.needs}
    assert set(Capability) - needed == set(), "write a clause that needs it"


def test_every_capability_that_is_an_operation_is_called_where_it_is_unsupported():
    # What survives, who may wait and who may open are promises about all calls: the declaration itself refuses them.
    assert set(PROBES) | PROMISES == set(Capability)
    assert "CAP-004" in {clause.id for clause in load_clauses()}


def test_there_are_more_than_fifty_capabilities_and_each_has_a_meaning_of_one_sentence():
    assert len(Capability) > 50
    assert set(SENTENCES) == set(Capability)
    for sentence in SENTENCES.values():
        assert sentence[0].isupper()
        assert sentence.endswith(".")
        assert ". " not in sentence


def test_the_documentation_for_authors_has_the_table_of_all_capabilities():
    text = (DOCS / "writing-a-backend.md").read_text("utf-8")
    shown = text.partition("<!-- capabilities -->\n")[2].partition("\n<!-- /capabilities -->")[0]
    assert shown == capability_table(), "put what capability_table() gives between the two comments"


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_has_a_meaning_and_says_what_it_cannot_do_without(profile):
    assert MEANING[profile].endswith(".")
    assert profile in ESSENTIAL


def test_every_profile_with_clauses_cannot_do_without_something():
    """Else a backend that declares everything unsupported could be conformant in it."""
    assert all(ESSENTIAL[clause.profile] for clause in load_clauses())
