"""What a run prints: progress, failures, a table of profiles, the verdict."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Final, TextIO

from iotstore_conformance.accounting import Order, by_outcome
from iotstore_conformance.execution import Result, described
from iotstore_conformance.failures import failure_text
from iotstore_conformance.report import Report
from iotstore_conformance.verdicts import Outcome

_GOOD: Final = frozenset({Outcome.PASSED, Outcome.REFUSED, Outcome.KNOWN_DEFECT, Outcome.NOT_APPLICABLE})
_WHOLE: Final = 10  # failures that are told in full; a backend that fails everywhere needs no book
_WIDE: Final = 13


class Progress:
    """One line that counts, on a terminal only."""

    def __init__(self, total: int, stream: TextIO | None = None) -> None:
        self.stream = stream or sys.stderr
        self.total = total
        self.at = 0
        self.told = 0
        self.reasons: Counter[str] = Counter()
        self.moves = self.stream.isatty()

    def step(self, result: Result) -> None:
        """Count one result."""
        self.at += 1
        if self.moves:
            self.stream.write(f"\r\033[K{self.at}/{self.total} {result.clause.id}")
            self.stream.flush()

    def done(self) -> None:
        """Remove the line."""
        if self.moves:
            self.stream.write("\r\033[K")
            self.stream.flush()


def print_failure(result: Result, order: Order, progress: Progress) -> None:
    """Tell of a result that is not good: the first ones in full, more of them in a line, the same reason once."""
    if result.outcome in _GOOD:
        return
    reason = result.reason or (described(result.error) if result.error else result.outcome.value)
    progress.reasons[reason] += 1
    if result.outcome is Outcome.NOT_RUN and progress.reasons[reason] > 1:
        return
    progress.done()
    progress.told += 1
    if progress.told <= _WHOLE and progress.reasons[reason] == 1:
        text = failure_text(result, order.harness.name, order.seed, full=order.full)
        sys.stdout.write(f"{text}\n\n{'-' * 80}\n")
    else:
        first = reason.splitlines()[0][:100]
        sys.stdout.write(f"{result.clause.id}  {result.outcome.value}: {first}\n")


def print_report(report: Report) -> None:
    """Print the table of profiles, the ledger, what was not measured, and the verdict."""
    sys.stdout.write("\n".join([*summary(report), ""]))


def summary(report: Report) -> list[str]:
    """The report in lines: backend, profiles, ledger, what is not measured, verdict."""
    backend = report.backend
    heading = (
        f"{backend.name} ({backend.engine or 'engine unknown'}), suite {report.suite.version}, "
        f"contract {report.contract}, {report.mode.tier} tier, seed {report.mode.seed}, {report.seconds:g} s"
    )
    lines = ["", heading, ""]
    lines += [f"  {name:<{_WIDE}} {part.verdict.value:<12}  {part.why}" for name, part in report.profiles.items()]
    if report.ledger.deviations or report.ledger.problems:
        lines += ["", "Ledger:"]
        lines += [
            f"  {one.clause} {one.kind}, until {one.expires}: {one.reason} ({one.link})"
            for one in report.ledger.deviations
        ]
        lines += [f"  WRONG: {problem}" for problem in report.ledger.problems]
    if report.coming:
        lines += ["", "Not measured, because the suite can't yet:"]
        lines += [f"  {one.profile}: {one.promise} ({one.reason})" for one in report.coming]
    for outcome in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN):
        parts = by_outcome(report.clauses, outcome)
        reasons = Counter(part.message or "no reason given" for part in parts)
        lines += ["", f"{outcome.value.capitalize()}:"] if parts else []
        lines += [f"  {count} clauses: {reason}" for reason, count in reasons.most_common(5)]
    lines += [
        "",
        f"Verdict: {report.verdict.value} ({', '.join(report.mode.profiles)})",
        f"Again:   {report.reproduce}",
    ]
    return lines
