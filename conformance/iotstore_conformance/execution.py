"""Running clauses, each on a fresh stage: what became of them, how long it took, what they left behind."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final

import pytest

from iotstore import BackendUnavailable, ConfigurationError, Unreachable
from iotstore_conformance.applicable import excuse
from iotstore_conformance.harness import Harness
from iotstore_conformance.leaks import nothing_left
from iotstore_conformance.ledger import EMPTY, Ledger
from iotstore_conformance.places import HarnessBroken, guarded
from iotstore_conformance.recorder import recorded_errors
from iotstore_conformance.refusals import Unclaimed
from iotstore_conformance.registry import Clause
from iotstore_conformance.runner import run_clause
from iotstore_conformance.seeding import seeded
from iotstore_conformance.stage import Effort, Stage
from iotstore_conformance.verdicts import Outcome

_PATIENCE: Final = {"fast": 120.0, "full": 3600.0}
_SENTENCE: Final = re.compile(r"[A-Z]{3}-[0-9]{3} on ")
_AWAY: Final = (Unreachable, BackendUnavailable, ConfigurationError)


@dataclass(frozen=True, slots=True)
class Result:
    """What became of one clause, before anything was written down: *error* is the exception itself."""

    clause: Clause
    outcome: Outcome
    seconds: float = 0.0
    attempts: int = 0
    refused: str | None = None
    raised: tuple[str, ...] = ()
    error: BaseException | None = None
    reason: str | None = None


class TooSlow(AssertionError):
    """A clause didn't end in time; its thread was left behind."""


def probe(harness: Harness) -> tuple[Outcome, str] | None:
    """None when a store can be opened and asked; else what that makes of every clause, and why.

    A place that can't be reached is "not run"; a harness that raises is an error of its own. Every other error is the
    backend's: the clauses will show it.
    """
    try:
        with Stage(guarded(harness)) as stage:
            stage.store.devices.count()
    except _AWAY as error:
        return Outcome.NOT_RUN, f"{type(error).__name__}: {error}"
    except HarnessBroken as error:
        return Outcome.HARNESS_ERROR, str(error)
    except Exception:  # noqa: BLE001 - a backend may fail in any way, and each clause will say how
        return None
    return None


def execute(
    clauses: Sequence[Clause], harness: Harness, *, full: bool = False, seed: int = 0, ledger: Ledger = EMPTY
) -> Iterator[Result]:
    """Run the clauses one after the other. When the place is lost on the way, the rest is not run."""
    lost = probe(harness)
    for clause in clauses:
        if lost is None:
            result = execute_one(clause, harness, "full" if full and clause.deep else "fast", seed, ledger)
            if isinstance(result.error, _AWAY):
                lost = probe(harness)
            if lost is None:
                yield result
                continue
        yield Result(clause, lost[0], reason=lost[1])


def execute_one(
    clause: Clause, harness: Harness, effort: Effort = "fast", seed: int = 0, ledger: Ledger = EMPTY
) -> Result:
    """Run one clause, unless it is about another kind of engine.

    One that failed is run once more, only to tell flaky from failed: both are failures.
    """
    excused = excuse(clause, harness)
    if excused is not None:
        return Result(clause, excused[0], reason=excused[1])
    began = time.perf_counter()
    first = _attempt(clause, guarded(harness), effort, seed)
    result = first
    if first.outcome is Outcome.FAILED and not isinstance(first.error, TooSlow):
        second = _attempt(clause, guarded(harness), effort, seed)
        flaky = second.outcome is not Outcome.FAILED
        result = replace(first, attempts=2, outcome=Outcome.FLAKY if flaky else Outcome.FAILED)
    outcome = ledger.settle(clause.id, result.outcome)
    return replace(result, outcome=outcome, seconds=round(time.perf_counter() - began, 4))


def _attempt(clause: Clause, harness: Harness, effort: Effort, seed: int) -> Result:
    refused: list[str] = []

    def work() -> None:
        with nothing_left(), seeded(seed):
            missing = run_clause(clause, harness, effort)
        if missing is not None:
            refused.append(missing.value)

    with recorded_errors() as seen:
        error = _in_time(work, _PATIENCE[effort])
    outcome, reason = _outcome(error, bool(refused))
    names = tuple(sorted(seen))
    return Result(clause, outcome, 0.0, 1, refused[0] if refused else None, names, error, reason)


def _outcome(error: BaseException | None, refused: bool) -> tuple[Outcome, str | None]:
    if error is None:
        return Outcome.REFUSED if refused else Outcome.PASSED, None
    if isinstance(error, pytest.skip.Exception):
        return Outcome.NOT_RUN, f"the clause was skipped: {error}"
    if isinstance(error, Unclaimed):
        return Outcome.UNCLAIMED, str(error)
    if isinstance(error, HarnessBroken):
        return Outcome.HARNESS_ERROR, str(error)
    return Outcome.FAILED, None


def _in_time(work: Callable[[], None], patience: float) -> BaseException | None:
    """The error that *work* raises. It runs in a thread of its own, so that a backend that hangs can't stop the run."""
    errors: list[BaseException] = []

    def run() -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - told to the caller, outcomes of pytest too
            errors.append(error)

    thread = threading.Thread(target=copy_context().run, args=(run,), name="clause", daemon=True)
    thread.start()
    thread.join(patience)
    if thread.is_alive():
        return TooSlow(f"the clause didn't end within {patience:g} seconds: somebody waits for a lock, or for ever")
    return errors[0] if errors else None


def described(error: BaseException) -> str:
    """What an exception says, and what was noted on it beside the clause's sentence: a history, for example."""
    text = str(error)
    notes = [note for note in getattr(error, "__notes__", ()) if not _SENTENCE.match(note)]
    return "\n".join([f"{type(error).__name__}: {text}" if text else type(error).__name__, *notes])
