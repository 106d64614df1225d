"""This backend keeps the contract: every clause of the suite, as one test each."""

import os

import pytest

from iotstore_conformance import Clause
from iotstore_conformance.execution import execute_one
from iotstore_conformance.stage import Effort
from iotstore_conformance.suite import parameters
from iotstore_conformance.verdicts import Outcome
from iotstore_sqlite.harness import harness

HERE = [one for one in parameters() if one.values[0].requires in (None, harness.engine)]


@pytest.mark.parametrize(("clause", "effort"), HERE)
def test_sqlite_keeps(clause: Clause, effort: Effort) -> None:
    """SQLite keeps the sentence of the clause, or refuses what it doesn't claim."""
    result = execute_one(clause, harness, effort)
    if result.outcome is Outcome.NOT_RUN and os.environ.get("IOTSTORE_REQUIRE") != "all":
        pytest.skip(f"{clause.id} was not run: {result.reason}")
    if result.error is not None:
        raise result.error
    assert result.outcome in (Outcome.PASSED, Outcome.REFUSED), result.reason


def test_what_is_left_out_is_about_servers() -> None:
    """Nothing else is, and every clause about embedded engines is tried."""
    left = [one.values[0] for one in parameters() if one not in HERE]
    assert {clause.requires for clause in left} == {"server"}
    assert {one.values[0].requires for one in HERE} == {None, "embedded"}
