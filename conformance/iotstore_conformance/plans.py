"""Which clauses a mutant meets, in which order, and when enough is known of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias

from iotstore_conformance.mutants.breaking import Place

Verdict: TypeAlias = Literal["killed", "survived", "skipped", "error", "hung"]
#: What a mutant is called that is none: the healthy backend has to pass what a mutant is killed by.
HEALTHY: Final = ""
#: What is said of a clause that never calls what the mutant exchanges: it passes as on the healthy backend.
UNTOUCHED: Final = "it calls nothing that is wrong"
#: A mutant has to pass this part of the clauses beside its killer: one that always raises proves nothing.
PASSES: Final = 0.9
# A clause that took the healthy backend so many seconds gets this many times as long on a mutant, and some seconds.
_TIMES: Final = 30.0
_SECONDS: Final = 5.0


class Outcome(NamedTuple):
    """What became of a mutant (or of the healthy backend, under the name ``HEALTHY``) in one clause.

    *killed*: the clause's own function failed, by an assertion or an error of the library. *skipped*: it had nothing to
    try on this backend. *error*: something else was raised, or before the clause began. *hung*: it took longer than
    allowed, and was given up: no kill.
    """

    mutant: str
    clause: str
    verdict: Verdict
    message: str
    seconds: float
    #: Of the healthy backend: the methods that were called, of those that some mutant exchanges.
    called: frozenset[Place] = frozenset()


class Asks(Protocol):
    """Runs one clause on one mutant."""

    def ask(self, mutant: str, clause: str, limit: float) -> Outcome:
        """What became of it within *limit* seconds."""
        ...


def allowed_failures(clauses: int) -> int:
    """How many clauses beside its killer a mutant may fail."""
    return int((clauses - 1) * (1 - PASSES) + 1e-9)


def too_many_failures(failed: int, clauses: int) -> bool:
    """Whether a mutant that failed so many of all clauses, its killer among them, is too broken to prove anything."""
    return failed - 1 > allowed_failures(clauses)


def decided(passed: int, failed: int, clauses: int) -> bool:
    """Whether the clauses that are left can no longer change if a mutant is too broken, however they end."""
    left = clauses - passed - failed
    return too_many_failures(failed, clauses) or not too_many_failures(failed + left, clauses)


class Plan(NamedTuple):
    """A mutant, the clauses that it has to meet, and those that it meets, in this order, until it is decided.

    *untouched* are those of the others that can't tell it from the healthy backend: they are not run. *patience* are
    the seconds that one of the others gets at most: what takes longer has failed, so a mutant can only lose by it.
    """

    mutant: str
    killers: tuple[str, ...]
    others: tuple[str, ...] = ()
    untouched: frozenset[str] = frozenset()
    patience: Mapping[str, float] = {}

    def outcomes(self, worker: Asks, limit: float) -> Iterator[Outcome]:
        """What becomes of the mutant, clause by clause."""
        passed = failed = 0
        clauses = len(self.killers) + len(self.others)
        for id_, other in self._order():
            if other and decided(passed, failed, clauses):
                return
            if other and id_ in self.untouched:
                outcome = Outcome(self.mutant, id_, "survived", UNTOUCHED, 0.0)
            else:
                outcome = worker.ask(self.mutant, id_, min(limit, self.patience.get(id_, limit)) if other else limit)
            passed += outcome.verdict == "survived"
            failed += outcome.verdict != "survived"
            yield outcome

    def _order(self) -> Iterator[tuple[str, bool]]:
        """Every clause, and whether it is one of the others; those that cost nothing come first."""
        yield from ((id_, False) for id_ in self.killers)
        yield from ((id_, True) for id_ in self.others if id_ in self.untouched)
        yield from ((id_, True) for id_ in self.others if id_ not in self.untouched)


def patience_for(seconds: float) -> float:
    """How long a clause may take on a mutant that took the healthy backend so long."""
    return _SECONDS + _TIMES * seconds
