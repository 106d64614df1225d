"""The ledger excuses what is written down in full, and nothing else."""

from datetime import date

import pytest

from iotstore_conformance.ledger import EMPTY, find_ledger, read_ledger
from iotstore_conformance.verdicts import Outcome

TODAY = date(2026, 3, 4)
KNOWN = {"TEL-012", "VAL-001"}
GOOD = {
    "clause": '"TEL-012"',
    "kind": '"defect"',
    "reason": '"The engine cuts it."',
    "link": '"https://example.org/issues/1"',
    "expires": "2026-12-31",
}


def ledger(folder, *entries):
    path = folder / "conformance.toml"
    path.write_text(
        "\n".join("[[deviation]]\n" + "\n".join(f"{key} = {value}" for key, value in one.items()) for one in entries)
    )
    return read_ledger(path, KNOWN, TODAY)


def test_an_entry_in_full_turns_a_failure_into_a_known_defect(tmp_path):
    found = ledger(tmp_path, GOOD)
    assert found.problems == ()
    assert found.settle("TEL-012", Outcome.FAILED) is Outcome.KNOWN_DEFECT
    assert found.settle("VAL-001", Outcome.FAILED) is Outcome.FAILED


@pytest.mark.parametrize("outcome", [Outcome.PASSED, Outcome.REFUSED])
def test_a_defect_that_is_gone_is_an_unexpected_pass(tmp_path, outcome):
    assert ledger(tmp_path, GOOD).settle("TEL-012", outcome) is Outcome.UNEXPECTED_PASS


@pytest.mark.parametrize(
    "outcome", [Outcome.FLAKY, Outcome.UNCLAIMED, Outcome.NOT_RUN, Outcome.HARNESS_ERROR], ids=lambda one: one.name
)
def test_a_defect_excuses_failures_only(tmp_path, outcome):
    assert ledger(tmp_path, GOOD).settle("TEL-012", outcome) is outcome


def test_a_capability_that_works_unclaimed_has_a_kind_of_its_own(tmp_path):
    found = ledger(tmp_path, {**GOOD, "kind": '"unclaimed"'})
    assert found.settle("TEL-012", Outcome.UNCLAIMED) is Outcome.KNOWN_DEFECT
    assert found.settle("TEL-012", Outcome.FAILED) is Outcome.FAILED


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"clause": '"TEL-999"'}, "no clause 'TEL-999' exists"),
        ({"reason": '""'}, "reason is missing"),
        ({"reason": None}, "reason is missing"),
        ({"link": None}, "link is missing"),
        ({"link": '"ask me"'}, "link is no web address"),
        ({"kind": '"wontfix"'}, "kind is 'wontfix'"),
        ({"expires": None}, "expires is missing"),
        ({"expires": '"2026-12-31"'}, "expires is missing"),
        ({"expires": "2026-03-03"}, "it expired on 2026-03-03"),
        ({"why": '"so"'}, "unknown key 'why'"),
    ],
)
def test_an_entry_with_a_mistake_is_an_error_and_excuses_nothing(tmp_path, change, complaint):
    found = ledger(tmp_path, {key: value for key, value in {**GOOD, **change}.items() if value is not None})
    assert complaint in " ".join(found.problems)
    assert found.settle("TEL-012", Outcome.FAILED) is Outcome.FAILED


def test_an_entry_counts_on_its_last_day(tmp_path):
    assert ledger(tmp_path, {**GOOD, "expires": "2026-03-04"}).problems == ()


def test_two_entries_for_one_clause_are_an_error(tmp_path):
    assert "has an entry already" in ledger(tmp_path, GOOD, GOOD).problems[0]


@pytest.mark.parametrize("text", ["clause = ", 'deviation = "TEL-012"', "[other]\nx = 1", "deviation = [1]"])
def test_a_file_that_means_nothing_is_an_error(tmp_path, text):
    (tmp_path / "conformance.toml").write_text(text)
    assert read_ledger(tmp_path / "conformance.toml", KNOWN, TODAY).problems


def test_a_named_ledger_that_is_missing_is_an_error_and_an_unnamed_one_is_empty(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert find_ledger(None, KNOWN) == EMPTY
    assert "can't be read" in find_ledger(tmp_path / "nowhere.toml", KNOWN).problems[0]
