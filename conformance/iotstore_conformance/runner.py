"""Running one clause on one harness: its proof, or the refusal where the backend declares that it can't."""

from __future__ import annotations

from iotstore.backend import Capability
from iotstore_conformance.harness import Harness
from iotstore_conformance.needs import missing
from iotstore_conformance.refusals import prove_refusal
from iotstore_conformance.registry import Clause
from iotstore_conformance.stage import Effort, Stage


def run_clause(clause: Clause, harness: Harness, effort: Effort = "fast") -> Capability | None:
    """Prove *clause* on a fresh store of *harness*; what goes wrong is raised, with the sentence that it broke.

    Where the backend lacks a capability that the clause needs, its refusal is proved and that capability returned.
    """
    try:
        with Stage(harness, effort) as stage:
            capabilities = stage.store.capabilities
            lacking = missing(clause.needs, capabilities.has)
            if lacking:
                prove_refusal(stage, lacking[0])
                return lacking[0]
            clause.prove(stage)
    except BaseException as error:
        error.add_note(f"{clause.id} on {harness.name}: {clause.sentence}")
        raise
    return None
