"""What became of a clause, and what follows for a profile: an algebra in which leaving out never helps."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """What became of one clause."""

    PASSED = "passed"
    REFUSED = "refused"  # the capability is declared unsupported, and its refusal was proved
    FAILED = "failed"
    UNCLAIMED = "unclaimed"  # the capability is declared unsupported, and works
    FLAKY = "flaky"  # failed, and passed when it was run once more
    KNOWN_DEFECT = "known defect"  # failed, and the ledger says so
    UNEXPECTED_PASS = "unexpected pass"  # passed, and the ledger says that it fails # noqa: S105 - no password
    NOT_RUN = "not run"
    NOT_APPLICABLE = "not applicable"  # the clause is about another kind of engine than the harness declares
    HARNESS_ERROR = "error in harness"


class Verdict(StrEnum):
    """What a run says about a backend, from nothing to everything."""

    NOT_MEASURED = "not measured"
    PARTIAL = "partial"
    HARNESS_BROKEN = "harness broken"
    FAILED = "failed"
    KNOWN_DEFECTS = "conformant with known defects"
    CONFORMANT = "conformant"

    @property
    def rank(self) -> int:
        """How much was established, and how good it is; leaving clauses out never raises it."""
        return list(Verdict).index(self)

    @property
    def conformant(self) -> bool:
        """Whether the backend keeps the contract, apart from defects that its author tells of."""
        return self in (Verdict.CONFORMANT, Verdict.KNOWN_DEFECTS)

    @property
    def exit_code(self) -> int:
        """0 conformant, 1 failed or partial, 2 nothing is known."""
        if self.conformant:
            return 0
        return 1 if self in (Verdict.FAILED, Verdict.PARTIAL) else 2


BAD: Final = frozenset({Outcome.FAILED, Outcome.FLAKY, Outcome.UNCLAIMED, Outcome.UNEXPECTED_PASS})


def judge(
    clauses: Collection[str],
    outcomes: Mapping[str, Outcome],
    *,
    offered: bool = True,
    excused: AbstractSet[str] = frozenset(),
) -> Verdict:
    """The verdict over *clauses* of the manifest, from what was executed.

    Outcomes of clauses that the manifest doesn't know make the run partial. *offered* is False when the backend lacks
    what the profile is about. *excused* are the clauses that the manifest marks for another kind of engine: nothing is
    asked of them and nothing gained by them. "Not applicable" said of any other clause means that it was not run. At
    most a tenth of the clauses that remain may be known defects.
    """
    clauses = [id_ for id_ in clauses if id_ not in excused]
    outcomes = {id_: outcome for id_, outcome in outcomes.items() if id_ not in excused}
    found = [outcomes.get(id_, Outcome.NOT_RUN) for id_ in clauses]
    found = [Outcome.NOT_RUN if outcome is Outcome.NOT_APPLICABLE else outcome for outcome in found]
    passed = Outcome.PASSED in found
    defects = found.count(Outcome.KNOWN_DEFECT)
    if not BAD.isdisjoint(found):
        return Verdict.FAILED
    if Outcome.HARNESS_ERROR in found:
        return Verdict.HARNESS_BROKEN
    if not offered or not found:
        return Verdict.NOT_MEASURED
    if Outcome.NOT_RUN in found or not set(outcomes) <= set(clauses):
        return Verdict.PARTIAL if passed else Verdict.NOT_MEASURED
    if defects > max(1, len(found) // 10) or (defects and not passed):
        return Verdict.FAILED
    if not passed:
        return Verdict.NOT_MEASURED
    return Verdict.KNOWN_DEFECTS if defects else Verdict.CONFORMANT


def together(whole: Verdict, parts: Iterable[Verdict], *, problems: bool = False) -> Verdict:
    """The verdict over several profiles: *whole* judged over all their clauses, unless one of them failed.

    *problems* are mistakes in the ledger: a run with them is failed.
    """
    return Verdict.FAILED if problems or Verdict.FAILED in set(parts) else whole
