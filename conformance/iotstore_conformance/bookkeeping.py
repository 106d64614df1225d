"""The accounting of a pytest run: the same outcomes, report and verdict as ``iotstore conformance run``."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import pytest

from iotstore_conformance.accounting import Order, account, part_of
from iotstore_conformance.execution import Result, execute_one, probe
from iotstore_conformance.failures import advice, script
from iotstore_conformance.harness import Harness
from iotstore_conformance.ledger import find_ledger
from iotstore_conformance.manifest import manifest
from iotstore_conformance.places import aimed
from iotstore_conformance.printing import summary
from iotstore_conformance.registry import Clause
from iotstore_conformance.report import ClausePart, Report, write_report
from iotstore_conformance.stage import Effort
from iotstore_conformance.verdicts import Outcome

_PART: Final = "iotstore_clause"
_FULL: Final = "iotstore_full"
# Marks that leave no clause out.
_WHOLE: Final = ("", "not full", "not full and not container and not given", "full or not full")

# Proves one clause at one effort, and raises where it doesn't hold.
Prove = Callable[[Clause, Effort], None]


class NotMeasured(Exception):
    """The place of the stores can't be used, so that nothing can be said about the clause."""


class Book:
    """Collects what became of every clause; each result travels as a property of its test."""

    def __init__(self, config: pytest.Config, harness: pytest.StashKey[Harness]) -> None:
        self._config = config
        self._harness = harness
        self._parts: list[ClausePart] = []
        self._full: set[str] = set()
        self._started = datetime.now(UTC)
        self._began = time.perf_counter()
        self.report: Report | None = None

    def order(self) -> Order:
        """What the options of the command line ask for."""
        option = self._config.getoption
        url, server, ledger = option("--iotstore-url"), option("--iotstore-server"), option("--iotstore-ledger")
        return Order(
            harness=aimed(self._config.stash[self._harness], url, server),
            seed=int(option("--iotstore-seed") or 0),
            url=url,
            server=server,
            ledger=find_ledger(Path(ledger) if ledger else None, manifest().ids),
            runner="pytest",
        )

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Take down what the test of a clause noted."""
        properties = dict(report.user_properties)
        if _PART not in properties or (report.when == "setup" and report.passed) or report.when == "teardown":
            return
        part = msgspec.json.decode(str(properties[_PART]), type=ClausePart)
        self._parts.append(part)
        if properties.get(_FULL):
            self._full.add(part.id)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Make the report. A run that nobody narrowed and that isn't conformant doesn't end well."""
        if hasattr(session.config, "workerinput") or session.config.option.collectonly:
            return
        deep = {clause.id for clause in manifest().clauses if clause.deep}
        order = replace(self.order(), full=deep <= self._full)
        self.report = account(order, self._parts, self._started, time.perf_counter() - self._began)
        path = self._config.getoption("--iotstore-report")
        if path:
            write_report(self.report, Path(path))
        if session.exitstatus == pytest.ExitCode.OK and (self._lacking() or not self._narrowed()):
            session.exitstatus = max(self.report.verdict.exit_code, int(bool(self._lacking())))

    def _lacking(self) -> list[str]:
        """Required profiles that are not conformant."""
        if self.report is None:
            return []
        profiles = self.report.profiles
        required: list[str] = self._config.getoption("--iotstore-require") or []
        return [name for name in required if name not in profiles or not profiles[name].verdict.conformant]

    def _narrowed(self) -> bool:
        """Whether somebody asked for some of the clauses only: then a passed test ends well, and the run is partial."""
        option = self._config.option
        chosen = any("::" in str(arg) for arg in self._config.args)
        marks = option.markexpr not in _WHOLE
        return bool(option.keyword or option.deselect or chosen or marks or getattr(option, "lf", False))

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Print the verdict under pytest's own lines."""
        if self.report is None:
            return
        terminalreporter.section("contract of iotstore")
        for line in summary(self.report):
            terminalreporter.write_line(line)
        for name in self._lacking():
            terminalreporter.write_line(f"required and not conformant: {name}")


BOOK: Final = pytest.StashKey[Book]()


@pytest.fixture(scope="session")
def iotstore_order(pytestconfig: pytest.Config) -> Order:
    """The harness under test, with seed and ledger."""
    return pytestconfig.stash[BOOK].order()


@pytest.fixture(scope="session")
def iotstore_lost(iotstore_order: Order) -> tuple[Outcome, str] | None:
    """Why no store can be opened. It makes every clause an error, never a skip."""
    return probe(iotstore_order.harness)


@pytest.fixture
def iotstore_prove(
    request: pytest.FixtureRequest, iotstore_order: Order, iotstore_lost: tuple[Outcome, str] | None
) -> Prove:
    """Prove a clause on the harness under test, and note what became of it."""
    properties = request.node.user_properties
    if iotstore_lost is not None:
        clause: Clause = request.node.callspec.params["iotstore_clause"]
        properties.append((_PART, _packed(Result(clause, iotstore_lost[0], reason=iotstore_lost[1]))))
        raise NotMeasured(iotstore_lost[1])

    def prove(clause: Clause, effort: Effort) -> None:
        result = execute_one(clause, iotstore_order.harness, effort, iotstore_order.seed, iotstore_order.ledger)
        properties.append((_PART, _packed(result)))
        properties.append((_FULL, effort == "full"))
        _tell(result, iotstore_order)

    return prove


def _packed(result: Result) -> str:
    # JSON, because properties also travel between processes and into JUnit files.
    return msgspec.json.encode(part_of(result)).decode()


def _tell(result: Result, order: Order) -> None:
    """Turn a result into what pytest understands."""
    match result.outcome:
        case Outcome.PASSED | Outcome.REFUSED:
            return
        case Outcome.KNOWN_DEFECT:
            pytest.xfail(order.ledger.deviations[result.clause.id].reason)
        case Outcome.NOT_RUN | Outcome.NOT_APPLICABLE:
            pytest.skip(f"{result.outcome.value}: {result.reason or 'no reason given'}")
        case Outcome.UNEXPECTED_PASS:
            pytest.fail(advice(result))
        case _ if result.error is None:
            pytest.fail(result.reason or result.outcome.value)
        case _:
            result.error.add_note(f"{result.outcome.value}\n{script(result.clause, order.harness.name, order.seed)}")
            result.error.add_note(advice(result))
            raise result.error
