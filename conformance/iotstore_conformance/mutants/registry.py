"""Mutants: registered functions, each of which breaks a store in one way, with the clauses that must kill it."""

from __future__ import annotations

import pkgutil
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Final, TypeAlias

from iotstore_conformance.mutants.breaking import Breaking

#: Breaks a store: it hands wrong methods to the Breaking that it gets.
Breaker: TypeAlias = Callable[[Breaking], None]

_NAME: Final = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*\Z")
_mutants: Final[dict[str, Mutant]] = {}


@dataclass(frozen=True, slots=True)
class Mutant:
    """One way to be wrong: what is wrong in one *sentence*, and the ids of the clauses that it must be *killed* by."""

    name: str
    kills: tuple[str, ...]
    sentence: str
    promise: str
    apply: Breaker


def mutant(name: str, *, kills: Sequence[str], sentence: str) -> Callable[[Breaker], Breaker]:
    """Register the decorated function as the mutant *name*; it is called anew for every clause that is run."""

    def register(apply: Breaker) -> Breaker:
        if not _NAME.match(name):
            raise ValueError(f"{name!r} is no name of a mutant; write it like text-is-cut")
        if name in _mutants:
            raise ValueError(f"mutant {name} is registered twice")
        if not kills or len(set(kills)) < len(kills):
            raise ValueError(f"mutant {name} needs the ids of its killers, each once")
        if not sentence.endswith("."):
            raise ValueError(f"mutant {name} doesn't say in a sentence what is wrong with it")
        _mutants[name] = Mutant(name, tuple(kills), sentence, apply.__module__.rpartition(".")[2], apply)
        return apply

    return register


def load_mutants() -> tuple[Mutant, ...]:
    """Every mutant of the suite, by name."""
    package = import_module("iotstore_conformance.mutants")
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)
    return tuple(_mutants[name] for name in sorted(_mutants))


def find_mutant(name: str) -> Mutant:
    """The mutant of this name, or LookupError."""
    if name not in _mutants:
        load_mutants()
    if name not in _mutants:
        raise LookupError(f"there is no mutant {name!r}; iotstore conformance prove --list names them all")
    return _mutants[name]
