"""From outcomes to the verdicts of a report; made once when it is written, and again whenever it is verified."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date

from iotstore_conformance.manifest import CONTRACT_VERSION, SUITE_VERSION, Manifest, provisional
from iotstore_conformance.needs import missing
from iotstore_conformance.profiles import PROFILES, essentials
from iotstore_conformance.report import BackendPart, CapabilityPart, ClausePart, ProfilePart, Report
from iotstore_conformance.verdicts import Outcome, Verdict, judge, together


def lacking(profile: str, capabilities: Mapping[str, CapabilityPart]) -> list[str]:
    """The capabilities that the profile is about and that the backend doesn't have."""
    return sorted(name for name in essentials(profile) if name in capabilities and not capabilities[name].supported)


def judge_profiles(
    suite: Manifest, clauses: Sequence[ClausePart], backend: BackendPart, asked: Sequence[str]
) -> dict[str, ProfilePart]:
    """The verdict on every profile, asked for or not."""
    found: dict[str, ProfilePart] = {}
    excused = suite.inapplicable(backend.engine_kind)
    for profile in PROFILES:
        wanted = counted_ids(suite, profile)
        here = [clause for clause in clauses if clause.profile == profile]
        counts = dict(sorted(Counter(clause.outcome.value for clause in here).items()))
        missing = lacking(profile, backend.capabilities)
        if not suite.of(profile):
            found[profile] = ProfilePart(verdict=Verdict.NOT_MEASURED, why="the suite has no clauses yet", counts={})
        elif profile not in asked:
            found[profile] = ProfilePart(verdict=Verdict.NOT_MEASURED, why="not asked for", counts={})
        else:
            outcomes = {clause.id: clause.outcome for clause in here if clause.counted}
            verdict = judge(wanted, outcomes, offered=not missing, excused=excused)
            applicable = len(set(wanted) - excused)
            found[profile] = ProfilePart(verdict=verdict, why=_why(verdict, counts, applicable, missing), counts=counts)
    return found


def judge_whole(
    suite: Manifest,
    clauses: Sequence[ClausePart],
    profiles: Mapping[str, ProfilePart],
    backend: BackendPart,
    asked: Sequence[str],
    *,
    problems: bool,
) -> Verdict:
    """The verdict on a run. Without a choice of profiles a backend may do without all but the core."""
    chosen = set(asked) != {profile for profile in PROFILES if suite.of(profile)}
    needed = asked if chosen else ["core"]
    offered = not any(lacking(profile, backend.capabilities) for profile in needed) and all(map(suite.of, needed))
    wanted = [id_ for profile in asked for id_ in counted_ids(suite, profile)]
    whole = judge(
        wanted,
        {clause.id: clause.outcome for clause in clauses if clause.counted},
        offered=offered,
        excused=suite.inapplicable(backend.engine_kind),
    )
    return together(whole, [profiles[profile].verdict for profile in asked], problems=problems)


def counted_ids(suite: Manifest, profile: str) -> list[str]:
    """The ids of the clauses that decide about a profile: all but the provisional ones."""
    return [clause.id for clause in suite.of(profile) if not provisional(clause, suite.suite)]


def _why(verdict: Verdict, counts: Mapping[str, int], wanted: int, missing: Sequence[str]) -> str:
    ran = sum(counts.values()) - counts.get(Outcome.NOT_RUN.value, 0) - counts.get(Outcome.NOT_APPLICABLE.value, 0)
    if verdict is Verdict.NOT_MEASURED and not wanted and counts.get(Outcome.NOT_APPLICABLE.value):
        return "all its clauses are about another kind of engine"
    if verdict is Verdict.NOT_MEASURED and missing:
        return f"the backend declares {', '.join(missing)} unsupported"
    if verdict in (Verdict.NOT_MEASURED, Verdict.PARTIAL):
        return f"{ran} of {wanted} clauses ran"
    parts = [f"{count} {name}" for name, count in sorted(counts.items(), key=lambda item: (-item[1], item[0]))]
    return ", ".join(parts)


def objections(report: Report, suite: Manifest) -> list[str]:
    """What in a report contradicts itself or the suite that it names: whoever wrote it, the suite did not."""
    found: list[str] = []
    ids = [clause.id for clause in report.clauses]
    clauses = {clause.id: clause for clause in suite.clauses}
    found += [f"{id_} stands in it {count} times" for id_, count in Counter(ids).items() if count > 1]
    found += [f"{id_} is no clause of the suite" for id_ in sorted(set(ids) - set(clauses))]
    wanted = {clause.id for clause in suite.clauses if clause.profile in report.mode.profiles}
    found += [f"{id_} has no outcome" for id_ in sorted(wanted - set(ids))]
    for part in report.clauses:
        if part.id in clauses:
            found += _about(part, report, suite)
    profiles = judge_profiles(suite, report.clauses, report.backend, report.mode.profiles)
    for name in {**profiles, **report.profiles}:
        if report.profiles.get(name) != profiles.get(name):
            found.append(f"what it says about the profile {name} doesn't follow from its outcomes")
    whole = judge_whole(
        suite,
        report.clauses,
        profiles,
        report.backend,
        report.mode.profiles,
        problems=bool(report.ledger.problems),
    )
    if whole is not report.verdict:
        found.append(f"its verdict is {report.verdict.value!r}, and {whole.value!r} follows from its outcomes")
    return found


def _about(part: ClausePart, report: Report, suite: Manifest) -> list[str]:
    (clause,) = (one for one in suite.clauses if one.id == part.id)
    declared = report.backend.capabilities
    needs = missing(clause.needs, lambda need: need.value not in declared or declared[need.value].supported)
    lacks = [need.value for need in needs]
    found: list[str] = []
    if part.profile != clause.profile:
        found.append(f"{part.id} belongs to {clause.profile}, not to {part.profile}")
    if part.counted is provisional(clause, suite.suite):
        found.append(f"{part.id} counts, or doesn't, against the policy")
    if part.outcome is Outcome.PASSED and lacks:
        found.append(f"{part.id} passed, though {lacks[0]} is declared unsupported")
    if part.outcome is Outcome.REFUSED and part.refused not in lacks:
        found.append(f"{part.id} was refused, though what it needs is supported")
    found += _applicability(part, report, suite)
    known = {deviation.clause for deviation in report.ledger.deviations}
    if part.outcome in (Outcome.KNOWN_DEFECT, Outcome.UNEXPECTED_PASS) and part.id not in known:
        found.append(f"{part.id} is a known defect without an entry in the ledger")
    return found


def _applicability(part: ClausePart, report: Report, suite: Manifest) -> list[str]:
    engine = report.backend.engine_kind
    excused = part.id in suite.inapplicable(engine)
    if part.outcome is Outcome.NOT_APPLICABLE and not excused:
        return [f"{part.id} is said to be not applicable, and the suite says that it applies"]
    if excused and part.outcome not in (Outcome.NOT_APPLICABLE, Outcome.NOT_RUN, Outcome.HARNESS_ERROR):
        return [f"{part.id} was run, though it doesn't apply to an engine of the kind {engine}"]
    return []


def staleness(report: Report, suite: Manifest, today: date) -> list[str]:
    """Why a report, true when it was written, says nothing about today."""
    found: list[str] = []
    if report.contract != CONTRACT_VERSION:
        found.append(f"it is about contract {report.contract}, and the present one is {CONTRACT_VERSION}")
    made, present = _shown(report.suite.version, report.suite.digest), _shown(SUITE_VERSION, suite.digest)
    if made != present:
        found.append(f"it was made by suite {made}, and the present one is {present}")
    found += [
        f"the entry for {deviation.clause} in its ledger expired on {deviation.expires}"
        for deviation in report.ledger.deviations
        if deviation.expires < today
    ]
    return found


def _shown(version: str, digest: str) -> str:
    return f"{version} ({digest.removeprefix('sha256:')[:12]})"
