"""Clauses: registered functions, each the proof of one numbered sentence of the specification."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, Literal, TypeAlias

from iotstore.backend import Capability
from iotstore_conformance.harness import Engine
from iotstore_conformance.needs import needs_of
from iotstore_conformance.stage import Stage

Profile: TypeAlias = Literal[
    "core", "telemetry", "relationships", "backup", "concurrency", "durability", "faults", "performance"
]
Proof: TypeAlias = Callable[[Stage], None]

_ID: Final = re.compile(r"[A-Z]{3}-[0-9]{3}\Z")
_SINCE: Final = re.compile(r"[0-9]+\.[0-9]+\Z")
_clauses: Final[dict[str, Clause]] = {}


@dataclass(frozen=True, slots=True)
class Clause:
    """One sentence of the contract and the function that proves it.

    *needs* are the capabilities without which the sentence can't hold: where one is not supported, its refusal is
    proved instead. A *deep* clause has a second, long run in the full tier. *since* is the version of the suite that
    brought the clause: until the next one it is run and shown, but does not count. One that *requires* a kind of
    engine is about nothing that another kind has: on a harness that declares another kind it is not applicable.
    """

    id: str
    profile: Profile
    needs: tuple[Capability, ...]
    deep: bool
    sentence: str
    prove: Proof
    since: str = "1.0"
    requires: Engine | None = None


def clause(
    id_: str,
    *,
    profile: Profile = "core",
    needs: Sequence[Capability] = (),
    deep: bool = False,
    since: str = "1.0",
    requires: Engine | None = None,
) -> Callable[[Proof], Proof]:
    """Register the decorated function as the clause *id_*; its docstring is the clause's sentence."""

    def register(prove: Proof) -> Proof:
        sentence = " ".join((prove.__doc__ or "").split())
        if not _ID.match(id_):
            raise ValueError(f"{id_!r} is no clause id; write it like TEL-012")
        if id_ in _clauses:
            raise ValueError(f"clause {id_} is registered twice")
        if "MUST" not in sentence:
            raise ValueError(f"clause {id_} says nothing that a store MUST do; write the sentence as its docstring")
        if not _SINCE.match(since):
            raise ValueError(f"clause {id_} is since {since!r}; write a minor version of the suite, like 1.2")
        _clauses[id_] = Clause(id_, profile, needs_of(id_, needs), deep, sentence, prove, since, requires)
        return prove

    return register


def load_clauses() -> tuple[Clause, ...]:
    """Every clause of the suite, ordered by id."""
    package = import_module("iotstore_conformance.clauses")
    for module in pkgutil.iter_modules(package.__path__, "iotstore_conformance.clauses."):
        import_module(module.name)
    return tuple(_clauses[id_] for id_ in sorted(_clauses))
