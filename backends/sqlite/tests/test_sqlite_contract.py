"""This backend keeps the contract: every clause of the suite, as one test each."""

import pytest

from iotstore_conformance import Clause, run_clause
from iotstore_conformance.stage import Effort
from iotstore_conformance.suite import parameters
from iotstore_sqlite.harness import harness


@pytest.mark.parametrize(("clause", "effort"), parameters())
def test_sqlite_keeps(clause: Clause, effort: Effort) -> None:
    """SQLite keeps the sentence of the clause."""
    run_clause(clause, harness, effort)
