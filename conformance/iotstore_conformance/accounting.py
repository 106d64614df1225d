"""From results to a report: every clause of the manifest is accounted for, run or not."""

from __future__ import annotations

import platform
import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, entry_points, version
from typing import Final

from iotstore import StoreError
from iotstore.backend import Capability, NotSupported
from iotstore_conformance.execution import Result, described
from iotstore_conformance.harness import GROUP, Harness
from iotstore_conformance.judging import judge_profiles, judge_whole
from iotstore_conformance.ledger import EMPTY, Ledger
from iotstore_conformance.manifest import Manifest, manifest, provisional
from iotstore_conformance.profiles import COMING, PROFILES
from iotstore_conformance.registry import Clause
from iotstore_conformance.report import (
    FORMAT,
    BackendPart,
    CapabilityPart,
    ClausePart,
    ComingPart,
    DeviationPart,
    EnvironmentPart,
    LedgerPart,
    ModePart,
    Report,
    SuitePart,
    sealed,
)
from iotstore_conformance.stage import Stage
from iotstore_conformance.verdicts import Outcome

_MESSAGE: Final = 2000  # characters of an error that a report keeps


@dataclass(frozen=True, slots=True)
class Order:
    """What a run was asked for. No profiles means all that have clauses; no clauses, all of the profiles."""

    harness: Harness
    profiles: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    full: bool = False
    seed: int = 0
    url: str | None = None
    server: str | None = None
    ledger: Ledger = EMPTY
    runner: str = "command"
    suite: Manifest = field(default_factory=manifest)

    @property
    def asked(self) -> list[str]:
        """The profiles that the run is about."""
        if self.profiles:
            return [profile for profile in PROFILES if profile in self.profiles]
        return [profile for profile in PROFILES if self.suite.of(profile)]

    @property
    def wanted(self) -> list[Clause]:
        """The clauses of these profiles: each has an outcome in the report."""
        return [clause for clause in self.suite.clauses if clause.profile in self.asked]

    @property
    def chosen(self) -> list[Clause]:
        """Those of them that are to be run."""
        return [clause for clause in self.wanted if not self.clauses or clause.id in self.clauses]

    @property
    def command(self) -> str:
        """The command that repeats the run."""
        words = ["iotstore", "conformance", "run", self.harness.name]
        words += ["--url", without_secrets(self.url)] if self.url else []
        words += ["--server", without_secrets(self.server)] if self.server else []
        for option, values in (("--profile", self.profiles), ("--clause", self.clauses)):
            words += [word for value in values for word in (option, value)]
        words += ["--full"] if self.full else []
        return shlex.join([*words, "--seed", str(self.seed)])


def part_of(result: Result) -> ClausePart:
    """What a report says about one result."""
    message = result.reason or (described(result.error) if result.error else None)
    return ClausePart(
        id=result.clause.id,
        profile=result.clause.profile,
        outcome=result.outcome,
        seconds=result.seconds,
        attempts=result.attempts,
        counted=not provisional(result.clause),
        refused=result.refused,
        message=without_secrets(message[:_MESSAGE]) if message else None,
        raised=list(result.raised),
    )


def account(order: Order, parts: Iterable[ClausePart], started: datetime, seconds: float) -> Report:
    """The sealed report of a run. A clause without a result is not run; one with several keeps the worst."""
    found: dict[str, ClausePart] = {}
    for part in parts:
        before = found.get(part.id)
        if before is None or _badness(part) > _badness(before):
            found[part.id] = part
    for clause in order.wanted:
        if clause.id not in found:
            found[clause.id] = part_of(Result(clause, Outcome.NOT_RUN, reason="left out of this run"))
    clauses = [found[id_] for id_ in sorted(found)]
    backend = backend_part(order)
    profiles = judge_profiles(order.suite, clauses, backend, order.asked)
    problems = list(order.ledger.problems)
    report = Report(
        format=FORMAT,
        suite=SuitePart(version=order.suite.suite, digest=order.suite.digest, clauses=len(order.suite.clauses)),
        contract=order.suite.contract,
        backend=backend,
        environment=_environment(),
        mode=ModePart(
            tier="full" if order.full else "fast",
            profiles=order.asked,
            clauses=list(order.clauses),
            seed=order.seed,
            runner=order.runner,
        ),
        started=started.astimezone(UTC).replace(microsecond=0),
        seconds=round(seconds, 2),
        verdict=judge_whole(order.suite, clauses, profiles, backend, order.asked, problems=bool(problems)),
        profiles=profiles,
        clauses=clauses,
        coming=[ComingPart(**asdict(one)) for one in COMING if one.profile in order.asked or not order.profiles],
        ledger=LedgerPart(
            deviations=[DeviationPart(**asdict(one)) for _, one in sorted(order.ledger.deviations.items())],
            problems=problems,
        ),
        reproduce=order.command,
    )
    return sealed(report)


_BADNESS: Final = (
    Outcome.PASSED,
    Outcome.REFUSED,
    Outcome.NOT_APPLICABLE,
    Outcome.UNEXPECTED_PASS,  # of two runs under a ledger's entry one may pass: the other shows the defect
    Outcome.KNOWN_DEFECT,
    Outcome.NOT_RUN,
    Outcome.HARNESS_ERROR,
    Outcome.UNCLAIMED,
    Outcome.FLAKY,
    Outcome.FAILED,
)


def _badness(part: ClausePart) -> int:
    return _BADNESS.index(part.outcome)


def backend_part(order: Order) -> BackendPart:
    """What the backend says about itself; nothing when no store can be opened."""
    harness = order.harness
    name, engine, durability = harness.name, None, None
    capabilities: dict[str, CapabilityPart] = {}
    limits: dict[str, int | float] = {}
    try:
        with Stage(harness) as stage:
            store = stage.store
            name, engine = store.backend.name, store.backend.describe().get("engine")
            durability = store.durability.value
            limits = asdict(store.limits)
            capabilities = {one.value: _capability(store.capabilities[one]) for one in Capability}
    except (Exception, StoreError):  # noqa: BLE001 - a backend may fail in any way; the clauses have shown how
        engine = engine or None
    return BackendPart(
        name=name,
        harness=harness.name,
        package=_package(harness.name),
        url=without_secrets(order.url) if order.url else None,
        engine=engine,
        engine_kind=harness.engine,
        durability=durability,
        limits=limits,
        capabilities=capabilities,
    )


def _capability(declared: object) -> CapabilityPart:
    if isinstance(declared, NotSupported):
        return CapabilityPart(supported=False, reason=declared.reason, remedy=declared.remedy)
    return CapabilityPart(supported=True)


def _package(harness: str) -> str | None:
    for point in entry_points(group=GROUP, name=harness):
        if point.dist is not None:
            return f"{point.dist.name} {point.dist.version}"
    return None


def _environment() -> EnvironmentPart:
    try:
        library = version("iotstore")
    except PackageNotFoundError:
        library = "not installed"
    return EnvironmentPart(
        iotstore=library,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        system=f"{platform.system()} {platform.release().partition('-')[0]}",
        machine=platform.machine(),
    )


def without_secrets(text: str) -> str:
    """A URL, or a text with URLs in it, without logins and without options."""
    text = re.sub(r"(\w://)[^/@\s]*@", r"\1***@", text)
    return re.sub(r"(\w://[^\s?]*)\?[^\s'\"]*", r"\1?***", text)


def by_outcome(parts: Sequence[ClausePart], *outcomes: Outcome) -> list[ClausePart]:
    """The clauses with one of these outcomes."""
    return [part for part in parts if part.outcome in outcomes]
