"""What changed between two reports: outcomes, verdicts, versions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from iotstore_conformance.report import Report
from iotstore_conformance.verdicts import BAD, Outcome

_GOOD: Final = frozenset({Outcome.PASSED, Outcome.REFUSED})
_ABSENT: Final = "not in the report"


@dataclass(frozen=True, slots=True)
class Change:
    """One difference; *worse* when something held before and doesn't hold now."""

    what: str
    before: str
    after: str
    worse: bool


def compare(old: Report, new: Report) -> list[Change]:
    """Every difference between two reports, except in time and seed: what surrounds them, verdicts, then clauses."""
    found = [Change(what, a, b, worse=False) for what, a, b in _surroundings(old, new) if a != b]
    for profile in {**old.profiles, **new.profiles}:
        before, after = old.profiles.get(profile), new.profiles.get(profile)
        a, b = before.verdict.value if before else _ABSENT, after.verdict.value if after else _ABSENT
        if a != b:
            held = before is not None and before.verdict.conformant
            holds = after is not None and after.verdict.conformant
            lost = (
                held and holds and before is not None and after is not None and after.verdict.rank < before.verdict.rank
            )
            found.append(Change(f"profile {profile}", a, b, worse=(held and not holds) or lost))
    found += _capabilities(old, new)
    outcomes_old = {clause.id: clause.outcome for clause in old.clauses}
    outcomes_new = {clause.id: clause.outcome for clause in new.clauses}
    for id_ in sorted({*outcomes_old, *outcomes_new}):
        first, second = outcomes_old.get(id_), outcomes_new.get(id_)
        if first is not second:
            # What was proved and no longer applies is lost too: somebody declared another kind of engine.
            worse = (first in _GOOD and second not in _GOOD) or (first is Outcome.NOT_APPLICABLE and second in BAD)
            found.append(Change(id_, first.value if first else _ABSENT, second.value if second else _ABSENT, worse))
    return found


def _surroundings(old: Report, new: Report) -> list[tuple[str, str, str]]:
    return [
        ("backend", old.backend.name, new.backend.name),
        ("engine", str(old.backend.engine), str(new.backend.engine)),
        ("kind of engine", str(old.backend.engine_kind), str(new.backend.engine_kind)),
        ("package", str(old.backend.package), str(new.backend.package)),
        ("suite", _suite(old), _suite(new)),
        ("contract", old.contract, new.contract),
        ("python", old.environment.python, new.environment.python),
        ("tier", old.mode.tier, new.mode.tier),
    ]


def _suite(report: Report) -> str:
    return f"{report.suite.version} ({report.suite.digest.removeprefix('sha256:')[:12]})"


def _capabilities(old: Report, new: Report) -> list[Change]:
    found: list[Change] = []
    for name in sorted({*old.backend.capabilities, *new.backend.capabilities}):
        before, after = old.backend.capabilities.get(name), new.backend.capabilities.get(name)
        a, b = (_ABSENT if one is None else "supported" if one.supported else "unsupported" for one in (before, after))
        if a != b:
            found.append(Change(f"capability {name}", a, b, worse=a == "supported"))
    return found


def comparison_text(changes: list[Change]) -> str:
    """The differences in lines, what is worse first."""
    if not changes:
        return "No difference.\n"
    lines = [
        f"{'worse ' if change.worse else '      '} {change.what}: {change.before} -> {change.after}"
        for change in sorted(changes, key=lambda change: not change.worse)
    ]
    worse = sum(change.worse for change in changes)
    return "\n".join([*lines, "", f"{len(changes)} differences, {worse} for the worse"]) + "\n"
