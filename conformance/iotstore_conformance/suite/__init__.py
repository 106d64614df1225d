"""What ``pytest --pyargs iotstore_conformance.suite --iotstore NAME`` collects."""

from __future__ import annotations

import pytest

from iotstore_conformance.registry import load_clauses


def parameters() -> list[object]:
    """One parameter set (clause, effort) for every clause, and a second one in the full tier for a deep one."""
    fast: list[object] = [pytest.param(clause, "fast", id=clause.id) for clause in load_clauses()]
    deep = [clause for clause in load_clauses() if clause.deep]
    return fast + [pytest.param(clause, "full", id=f"{clause.id}-full", marks=pytest.mark.full) for clause in deep]
