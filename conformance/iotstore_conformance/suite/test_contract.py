"""Every clause of the contract as one test."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotstore_conformance.bookkeeping import Prove
    from iotstore_conformance.registry import Clause
    from iotstore_conformance.stage import Effort


def test_clause(iotstore_clause: Clause, iotstore_effort: Effort, iotstore_prove: Prove) -> None:
    """The backend keeps the sentence of the clause."""
    iotstore_prove(iotstore_clause, iotstore_effort)
