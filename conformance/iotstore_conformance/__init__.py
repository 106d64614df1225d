"""The contract of iotstore as executable clauses: what a backend author plugs a harness into.

A harness says where the stores of a backend live; everything else is here. Sentences: ``docs/specification.md``.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from iotstore_conformance.harness import Harness, find_harness, harness_names
    from iotstore_conformance.registry import Clause, Profile, clause, load_clauses
    from iotstore_conformance.runner import run_clause
    from iotstore_conformance.stage import Stage

__all__ = [
    "Clause",
    "Harness",
    "Profile",
    "Stage",
    "clause",
    "find_harness",
    "harness_names",
    "load_clauses",
    "run_clause",
]

# pytest imports this package in every project's test run, for the plugin: names are loaded when they are asked for.
_HOMES = {
    "Clause": "registry",
    "Harness": "harness",
    "Profile": "registry",
    "Stage": "stage",
    "clause": "registry",
    "find_harness": "harness",
    "harness_names": "harness",
    "load_clauses": "registry",
    "run_clause": "runner",
}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{home}"), name)
