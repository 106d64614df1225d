"""Broken stores, each wrong in one way and tagged with the clauses that kill it: the proof that the suite can fail.

A mutant needs no backend of its own: it changes methods of a healthy backend's sessions, of the backend or of the
store above it while one clause runs, so it works on every harness whose backend has what the clause needs.
"""

from __future__ import annotations

from iotstore_conformance.mutants.breaking import Foreign, broken
from iotstore_conformance.mutants.registry import Mutant, find_mutant, load_mutants, mutant

__all__ = ["Foreign", "Mutant", "broken", "find_mutant", "load_mutants", "mutant"]
