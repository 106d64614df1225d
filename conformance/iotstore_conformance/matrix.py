"""The matrix of reports: profiles and capabilities against backends, as data and as Markdown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from iotstore_conformance.judging import lacking, staleness
from iotstore_conformance.manifest import Manifest
from iotstore_conformance.profiles import COMING, MEANING, PROFILES
from iotstore_conformance.registry import Clause, Profile
from iotstore_conformance.report import ClausePart, Report
from iotstore_conformance.verdicts import BAD, Outcome, Verdict


class Mark(StrEnum):
    """What stands in a cell. Unknown is never no, and no is never unknown."""

    YES = "yes"
    NO = "no"
    DEFECT = "known defect"
    UNKNOWN = "unknown"
    STALE = "stale"
    NOT_APPLICABLE = "not applicable"


SIGNS: Final = {
    Mark.YES: "✓",
    Mark.NO: "✗",
    Mark.DEFECT: "!",
    Mark.UNKNOWN: "?",
    Mark.STALE: "~",
    Mark.NOT_APPLICABLE: "–",  # noqa: RUF001 - a dash, as tables have it
}
#: The marks of verdicts; of the others nothing is known.
VERDICTS: Final = {
    Verdict.CONFORMANT: Mark.YES,
    Verdict.KNOWN_DEFECTS: Mark.DEFECT,
    Verdict.FAILED: Mark.NO,
}
LEGEND: Final = {
    Mark.YES: "every clause ran and held; a capability that is supported",
    Mark.NO: "at least one clause failed; or the backend declares that it can't, and refuses",
    Mark.DEFECT: "held but for deviations that the author's ledger names, with an end",
    Mark.UNKNOWN: "not measured: not run, not all run, or no clause exists yet",
    Mark.STALE: "measured by another version of the suite; it says nothing about this one",
    Mark.NOT_APPLICABLE: "about another kind of engine: what a file can suffer, or what a network can",
}


@dataclass(frozen=True, slots=True)
class Cell:
    """One mark and the sentence behind it."""

    mark: Mark
    note: str


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a table: what it is about, in a word and a sentence, and a cell for each report."""

    name: str
    meaning: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Everything that the pages show."""

    suite: Manifest
    reports: tuple[Report, ...]
    stale: tuple[tuple[str, ...], ...]
    profiles: tuple[Row, ...]
    capabilities: tuple[Row, ...]
    clauses: tuple[Row, ...]
    #: The clauses about one kind of engine, whatever became of them.
    kinds: tuple[Row, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The heading of each column; with the engine, where a backend was measured on several."""
        found = [report.backend for report in self.reports]
        of = Counter(one.name for one in found)
        return [
            one.name if of[one.name] == 1 else f"{one.name} on {one.engine or 'an unknown engine'}" for one in found
        ]


def make_matrix(reports: Sequence[Report], suite: Manifest, today: date) -> Matrix:
    """The matrix of these reports, ordered by backend, against the installed suite."""
    ordered = tuple(sorted(reports, key=_place))
    stale = tuple(tuple(staleness(report, suite, today)) for report in ordered)
    pairs = list(zip(ordered, stale, strict=True))
    names = list(dict.fromkeys(name for report in ordered for name in report.backend.capabilities))
    return Matrix(
        suite,
        ordered,
        stale,
        tuple(Row(name, MEANING[name], tuple(_profile(one, name, old) for one, old in pairs)) for name in PROFILES),
        tuple(
            Row(name.replace("_", " "), "", tuple(_capability(suite, one, name, old) for one, old in pairs))
            for name in names
        ),
        tuple(_clause_rows(suite, pairs)),
        tuple(_kind_rows(suite, pairs)),
    )


def _place(report: Report) -> tuple[str, ...]:
    return report.backend.name, report.backend.harness, report.mode.tier, report.backend.engine or ""


def _profile(report: Report, name: Profile, stale: Sequence[str]) -> Cell:
    part = report.profiles.get(name)
    if part is None:
        return Cell(Mark.UNKNOWN, "not in the report")
    if stale and part.verdict is not Verdict.NOT_MEASURED:
        return Cell(Mark.STALE, stale[0])
    match part.verdict:
        case Verdict.CONFORMANT:
            return Cell(Mark.YES, part.why)
        case Verdict.KNOWN_DEFECTS:
            return Cell(Mark.DEFECT, part.why)
        case Verdict.FAILED:
            return Cell(Mark.NO, part.why)
        case Verdict.NOT_MEASURED if lacking(name, report.backend.capabilities) and name in report.mode.profiles:
            return Cell(Mark.NO, part.why)
        case _:
            return Cell(Mark.UNKNOWN, f"{part.verdict.value}: {part.why}")


def _capability(suite: Manifest, report: Report, name: str, stale: Sequence[str]) -> Cell:
    """A claim counts when clauses that need it ran: one that nobody tested is unknown, whatever is declared."""
    declared = report.backend.capabilities.get(name)
    if declared is None:
        return Cell(Mark.UNKNOWN, "nothing is declared")
    if stale:
        return Cell(Mark.STALE, stale[0])
    if not declared.supported:
        return Cell(Mark.NO, declared.reason or "no reason given")
    needing = {clause.id for clause in suite.clauses if name in {need.value for need in clause.needs}}
    needing -= suite.inapplicable(report.backend.engine_kind)
    # Where another capability was refused, nothing was said about this one.
    needing -= {part.id for part in report.clauses if part.outcome is Outcome.REFUSED}
    found = Counter(part.outcome for part in report.clauses if part.id in needing)
    held = found[Outcome.PASSED]
    if held and held == len(needing):
        return Cell(Mark.YES, f"{held} {'clause' if held == 1 else 'clauses'} held")
    if found[Outcome.KNOWN_DEFECT] and held + found[Outcome.KNOWN_DEFECT] == len(needing):
        return Cell(Mark.DEFECT, f"{held} of {len(needing)} clauses held")
    if any(found[outcome] for outcome in BAD):
        return Cell(Mark.NO, f"{held} of {len(needing)} clauses held")
    return Cell(
        Mark.UNKNOWN,
        f"claimed; {held} of {len(needing)} clauses ran" if needing else "claimed; no clause needs it",
    )


def _clause_rows(suite: Manifest, pairs: Sequence[tuple[Report, Sequence[str]]]) -> list[Row]:
    """The clauses that didn't simply hold somewhere, each with what became of it."""
    fine = {Mark.YES, Mark.STALE, Mark.NOT_APPLICABLE}
    rows = [_clause_row(clause, pairs) for clause in suite.clauses]
    return [row for row in rows if any(cell.mark not in fine for cell in row.cells)]


def _kind_rows(suite: Manifest, pairs: Sequence[tuple[Report, Sequence[str]]]) -> list[Row]:
    """The clauses about one kind of engine, where some report is about another kind."""
    marked = [clause for clause in suite.clauses if clause.requires]
    kinds = [report.backend.engine_kind for report, _ in pairs]
    return [_clause_row(one, pairs) for one in marked if any(kind not in (None, one.requires) for kind in kinds)]


def _clause_row(clause: Clause, pairs: Sequence[tuple[Report, Sequence[str]]]) -> Row:
    found = [next((part for part in report.clauses if part.id == clause.id), None) for report, _ in pairs]
    cells = [_clause(part, stale=bool(stale)) for part, (_, stale) in zip(found, pairs, strict=True)]
    return Row(clause.id, clause.sentence, tuple(cells))


def _clause(part: ClausePart | None, *, stale: bool) -> Cell:
    if part is None or part.outcome in (Outcome.NOT_RUN, Outcome.HARNESS_ERROR):
        return Cell(Mark.UNKNOWN, part.outcome.value if part else "not in the report")
    if stale:
        return Cell(Mark.STALE, part.outcome.value)
    if part.outcome is Outcome.NOT_APPLICABLE:
        return Cell(Mark.NOT_APPLICABLE, part.message or "no reason given")
    if part.outcome is Outcome.KNOWN_DEFECT:
        return Cell(Mark.DEFECT, part.outcome.value)
    if part.outcome is Outcome.REFUSED:
        return Cell(Mark.NO, f"refused: {part.refused} is unsupported")
    return Cell(Mark.YES if part.outcome is Outcome.PASSED else Mark.NO, part.outcome.value)


def coming_lines() -> list[str]:
    """The promises that no clause proves yet, in sentences."""
    return [f"{one.profile}: {one.promise} Not measured: {one.reason}." for one in COMING]


def markdown(matrix: Matrix) -> str:
    """The matrix as a Markdown page."""
    about = (
        f"What the reports say, held against suite {matrix.suite.suite} and contract {matrix.suite.contract} "
        f"({len(matrix.suite.clauses)} clauses). How to read it: [conformance.md](conformance.md)."
    )
    lines = [
        "# Conformance",
        "",
        about,
        "",
        *_table("profile", matrix.columns, matrix.profiles),
        "",
        *(f"- {SIGNS[mark]} **{mark.value}**: {LEGEND[mark]}" for mark in Mark),
        "",
        "## Capabilities",
        "",
        *_table("capability", matrix.columns, matrix.capabilities),
    ]
    if matrix.clauses:
        lines += ["", "## Clauses that did not simply hold", "", *_table("clause", matrix.columns, matrix.clauses)]
    if matrix.kinds:
        lines += ["", "## Clauses about one kind of engine", "", *_table("clause", matrix.columns, matrix.kinds)]
    lines += ["", "## Not measured yet", "", *(f"- {line}" for line in coming_lines()), "", "## Reports", ""]
    for report, stale in zip(matrix.reports, matrix.stale, strict=True):
        lines += [f"- **{report.backend.name}**: {origin(report)}. Again: `{report.reproduce}`"]
        lines += [f"  - stale: {reason}" for reason in stale]
        lines += [
            f"  - {one.clause} {one.kind} until {one.expires}: {one.reason} <{one.link}>"
            for one in report.ledger.deviations
        ]
    return "\n".join(lines) + "\n"


def origin(report: Report) -> str:
    """Where a report comes from, in one line."""
    parts = [
        report.backend.engine or "engine unknown",
        report.backend.package or "package unknown",
        f"suite {report.suite.version}",
        f"contract {report.contract}",
        f"{report.mode.tier} tier",
        f"seed {report.mode.seed}",
        report.environment.python,
        f"{report.environment.system} on {report.environment.machine}",
        f"{report.started:%Y-%m-%d}",
    ]
    return ", ".join(parts)


def _table(what: str, columns: Sequence[str], rows: Sequence[Row]) -> list[str]:
    lines = [f"| {what} | {' | '.join(columns)} |", f"|---|{'---|' * len(columns)}"]
    for row in rows:
        cells = [f"{SIGNS[cell.mark]} {cell.mark.value}: {_cell(cell.note)}" for cell in row.cells]
        label = f"**{row.name}** {_cell(row.meaning)}".rstrip()
        lines.append(f"| {label} | {' | '.join(cells)} |")
    return lines


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())
