"""What clauses need is what they use: nothing that a clause fails without is left out, nothing is there for show."""

import pytest

from iotstore.backend import Capability
from iotstore_conformance import Stage, find_harness, load_clauses
from iotstore_conformance.needs import NEEDS
from iotstore_conformance.observing import fails_without, needed, observed
from iotstore_conformance.runner import run_clause
from iotstore_conformance.seeding import seeded

pytestmark = pytest.mark.once

HARNESS = find_harness("sqlite")
CLAUSES = {clause.id: clause for clause in load_clauses()}
# Those about the declaration itself ask for every capability, and those about servers have nothing to try here.
SEEN = [clause.id for clause in load_clauses() if clause.requires != "server"]
SEEN = [id_ for id_ in SEEN if not id_.startswith("CAP-")]


@pytest.fixture(scope="module")
def kind():
    with Stage(HARNESS) as stage:
        return type(stage.store.backend)


def test_needs_are_noted_for_clauses_that_exist():
    assert set(NEEDS) <= set(CLAUSES)


@pytest.mark.parametrize("id_", SEEN)
def test_a_clause_needs_what_it_fails_without(kind, id_):
    clause = CLAUSES[id_]
    with seeded(0), observed(kind) as used:
        run_clause(clause, HARNESS)
        noted = set(map(Capability, NEEDS.get(id_, "").split()))
        assert noted <= used, "it no longer uses these: take them from NEEDS"
    unnamed = sorted(used - set(clause.needs))
    with seeded(0):
        missing = [one.value for one in unnamed if fails_without(one, clause, HARNESS, kind)]
    assert missing == [], "it fails without these: add them to NEEDS"


def test_a_use_is_seen_where_it_would_be_refused(kind):
    """Else the test above would prove nothing."""
    with seeded(0):
        assert needed(CLAUSES["FIL-014"], HARNESS, kind) == {
            Capability.TAG_FILTERS,
            Capability.MISSING_FILTERS,
            Capability.ALTERNATIVES,
        }
