"""Proving the suite: every mutant on its killers (or on every clause), in processes that can be given up."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import cache
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final, Self

import pytest

from iotstore import StoreError
from iotstore_conformance.distant import distant
from iotstore_conformance.harness import Harness, find_harness
from iotstore_conformance.manifest import manifest
from iotstore_conformance.mutants import Foreign, Mutant, broken, find_mutant, load_mutants
from iotstore_conformance.mutants.breaking import Place, Watch, exchanged_by
from iotstore_conformance.needs import missing
from iotstore_conformance.plans import HEALTHY, Outcome, Plan, Verdict, patience_for, too_many_failures
from iotstore_conformance.proofs import Recording
from iotstore_conformance.registry import Clause, load_clauses
from iotstore_conformance.runner import run_clause
from iotstore_conformance.stage import Stage

_PATIENCE: Final = 60.0
_FAILURES: Final = (AssertionError, pytest.fail.Exception, StoreError, Foreign)


def outcome_of(mutant: Mutant | Watch | None, clause: Clause, harness: Harness) -> Outcome:
    """Run one clause on the harness, broken by the mutant if there is one, or watched."""
    name, began = mutant.name if isinstance(mutant, Mutant) else HEALTHY, time.perf_counter()
    verdict: Verdict = "survived"
    message = ""
    try:
        with _home(clause, harness) as home:
            if mutant is None:
                run_clause(clause, home)
            else:
                with broken(home, mutant) as victim:
                    run_clause(clause, victim)
    except pytest.skip.Exception as error:
        verdict, message = "skipped", _message(error)
    except (Exception, pytest.fail.Exception) as error:  # noqa: BLE001 - judged by _killed
        verdict, message = ("killed" if _killed(error, clause) else "error"), _message(error)
    called = frozenset(mutant.called) if isinstance(mutant, Watch) else frozenset[Place]()
    return Outcome(name, clause.id, verdict, message, time.perf_counter() - began, called)


def _home(clause: Clause, harness: Harness) -> AbstractContextManager[Harness]:
    """Where a clause can run: those about servers, for want of one, on the same stores at a distance."""
    far = clause.requires == "server" and harness.engine == "embedded"
    return distant(harness) if far else nullcontext(harness)


def _killed(error: BaseException, clause: Clause) -> bool:
    """Whether the clause itself found the fault, and didn't stumble over it."""
    if not any(note.startswith(f"{clause.id} on ") for note in getattr(error, "__notes__", ())):
        return False
    trace, inside = error.__traceback__, False
    while trace is not None:
        inside = inside or trace.tb_frame.f_code is clause.prove.__code__
        trace = trace.tb_next
    return inside and _is_failure(error)


def _is_failure(error: BaseException) -> bool:
    if isinstance(error, BaseExceptionGroup):  # a machine may find several faults in one go
        return all(_is_failure(one) for one in error.exceptions)
    return isinstance(error, _FAILURES)


def _message(error: BaseException) -> str:
    first = str(error).partition("\n")[0]
    return " | ".join([f"{type(error).__name__}: {first}", *getattr(error, "__notes__", ())])


@dataclass(frozen=True, slots=True)
class Matrix:
    """All outcomes of a run. *full* says that mutants met other clauses than those they name, until all was decided."""

    harness: str
    mutants: tuple[Mutant, ...]
    clauses: tuple[str, ...]
    outcomes: tuple[Outcome, ...]
    full: bool
    #: Clauses that nothing can be proved about here, as the backend lacks what they need.
    unmeasured: tuple[str, ...] = ()
    seconds: float = 0.0
    #: The clauses that must kill something, where those are not all: a run of some mutants says nothing of others.
    wanted: tuple[str, ...] | None = None
    _by_name: dict[str, dict[str, Outcome]] = field(default_factory=dict[str, dict[str, Outcome]])

    def __post_init__(self) -> None:
        for outcome in self.outcomes:
            self._by_name.setdefault(outcome.mutant, {})[outcome.clause] = outcome

    def of(self, mutant: str) -> dict[str, Outcome]:
        """The outcomes of one mutant by clause."""
        return self._by_name.get(mutant, {})

    def unhealthy(self) -> list[Outcome]:
        """Clauses that the healthy backend fails: a kill by them means nothing."""
        return [outcome for outcome in self.of(HEALTHY).values() if outcome.verdict != "survived"]

    def surviving(self) -> list[Outcome]:
        """Named killers that did not kill."""
        return [
            self.of(mutant.name)[killer]
            for mutant in self.mutants
            for killer in mutant.kills
            if killer in self.of(mutant.name) and self.of(mutant.name)[killer].verdict != "killed"
        ]

    def too_broken(self) -> dict[str, list[str]]:
        """In a full run the mutants that fail more than a tenth of the clauses beside a killer, with what they fail."""
        if not self.full:
            return {}
        failed = {
            mutant.name: [one.clause for one in self.of(mutant.name).values() if one.verdict != "survived"]
            for mutant in self.mutants
        }
        return {name: ids for name, ids in failed.items() if too_many_failures(len(ids), len(self.clauses))}

    def killers(self) -> dict[str, list[str]]:
        """The mutants that each clause has killed in this run, those that are too broken left out."""
        sound = [mutant.name for mutant in self.mutants if mutant.name not in self.too_broken()]
        return {
            clause: [
                name for name in sound if clause in self.of(name) and self.of(name)[clause].verdict == "killed"
            ]
            for clause in self.clauses
        }  # fmt: skip

    def without_killer(self) -> list[str]:
        """Clauses that should have killed something, and have not."""
        wanted = self.clauses if self.wanted is None else self.wanted
        return [clause for clause, killed in self.killers().items() if not killed and clause in wanted]

    @property
    def proven(self) -> bool:
        """Whether everything is killed that has to be, and by every clause something."""
        return not (self.unhealthy() or self.surviving() or self.too_broken() or self.without_killer())

    def as_json(self) -> dict[str, Any]:
        """The matrix as a JSON value."""
        return {
            "harness": self.harness,
            "full": self.full,
            "proven": self.proven,
            "seconds": round(self.seconds, 1),
            "mutants": {
                mutant.name: {
                    "sentence": mutant.sentence,
                    "kills": list(mutant.kills),
                    "outcomes": {
                        one.clause: {"verdict": one.verdict, "message": one.message}
                        for one in self.of(mutant.name).values()
                        if one.verdict != "survived" or one.clause in mutant.kills
                    },
                }
                for mutant in self.mutants
            },
            "unhealthy": [one.clause for one in self.unhealthy()],
            "surviving": [[one.mutant, one.clause, one.verdict, one.message] for one in self.surviving()],
            "too_broken": self.too_broken(),
            "without_killer": self.without_killer(),
            "unmeasured": list(self.unmeasured),
        }

    def write(self, file: Path) -> None:
        """Write the matrix as JSON."""
        file.write_text(json.dumps(self.as_json(), indent=1) + "\n", "utf-8")


def measurable(harness: Harness) -> tuple[list[Clause], list[str]]:
    """The clauses that the harness's backend has everything for, and the ids of the others.

    An embedded engine can be put at a distance, so that the clauses about servers run too. A server can't be embedded.
    """
    kinds = (None, harness.engine, "server") if harness.engine else (None,)
    with Stage(harness) as stage:
        has = stage.store.capabilities.has
        able = [clause for clause in load_clauses() if clause.requires in kinds and not missing(clause.needs, has)]
    return able, [clause.id for clause in load_clauses() if clause not in able]


def prove(
    harness: str,
    *,
    mutants: Sequence[Mutant] | None = None,
    full: bool = False,
    workers: int = 2,
    limit: float = _PATIENCE,
    tell: Callable[[Outcome], object] = lambda _: None,
    record: Path | None = None,
) -> Matrix:
    """Run mutants on their killers, and the healthy backend on the same clauses.

    With *full* every mutant goes on through the other clauses, the quick ones first, until it is decided whether it
    passes nine tenths of them: what is left then could not change that. A clause that was seen to call nothing that a
    mutant exchanges passes as on the healthy backend, and is not run. How each did is written to the file *record*;
    what that file knows already of the same code is not run again.
    """
    began = time.perf_counter()
    chosen = tuple(load_mutants() if mutants is None else mutants)
    able, unmeasured = measurable(find_harness(harness))
    known = {clause.id for clause in able}
    ids = sorted(known if full or mutants is None else {id_ for mutant in chosen for id_ in mutant.kills} & known)
    healthy = _run([Plan(HEALTHY, (id_,)) for id_ in ids], harness, workers, limit, tell)
    skipped = {one.clause for one in healthy if one.verdict == "skipped"}
    known, ids, unmeasured = known - skipped, [id_ for id_ in ids if id_ not in skipped], unmeasured + sorted(skipped)
    healthy = [one for one in healthy if one.clause in known]
    book = Recording(record, harness, manifest().digest, chosen) if record is not None and full else None
    before = {} if book is None else {mutant.name: book.known(mutant.name) for mutant in chosen}
    recorded = [one for outcomes in before.values() if outcomes for one in outcomes]
    plans = _plans(
        chosen, known, healthy if full else [], {name for name, found in before.items() if found is not None}
    )

    def ended(mutant: str, outcomes: Sequence[Outcome]) -> None:
        if book is not None and before[mutant] is None:
            book.add(mutant, outcomes, len(ids))

    found = (*healthy, *recorded, *_run(plans, harness, workers, limit, tell, ended=ended))
    seconds = time.perf_counter() - began
    wanted = None if mutants is None else tuple({id_ for mutant in chosen for id_ in mutant.kills} & known)
    return Matrix(harness, chosen, tuple(ids), found, full, tuple(unmeasured), seconds, wanted)


def _plans(
    mutants: Iterable[Mutant], known: AbstractSet[str], healthy: Collection[Outcome], done: AbstractSet[str]
) -> list[Plan]:
    """A plan for each mutant: the clauses that it names; then, unless it is done, the others, the quick ones first."""
    quick_first = [one.clause for one in sorted(healthy, key=lambda one: one.seconds)]
    patience = {one.clause: patience_for(one.seconds) for one in healthy}
    called = {one.clause: one.called for one in healthy if one.clause in steady()}
    places = _places()
    return [
        Plan(
            mutant.name,
            tuple(id_ for id_ in mutant.kills if id_ in known),
            () if mutant.name in done else tuple(id_ for id_ in quick_first if id_ not in mutant.kills),
            frozenset(id_ for id_, found in called.items() if found.isdisjoint(places[mutant.name])),
            patience,
        )
        for mutant in mutants
    ]


@cache
def _places() -> Mapping[str, frozenset[Place]]:
    """The methods that each mutant exchanges."""
    nowhere = Harness("nowhere", fresh=str, url=str)
    return {mutant.name: exchanged_by(nowhere, mutant) for mutant in load_mutants()}


def steady() -> frozenset[str]:
    """The clauses that make the same calls in every run: none whose threads race, and none that cuts connections."""
    return frozenset(
        clause.id for clause in load_clauses() if clause.profile != "concurrency" and clause.requires != "server"
    )


def _run(
    plans: Sequence[Plan],
    harness: str,
    workers: int,
    limit: float,
    tell: Callable[[Outcome], object],
    *,
    ended: Callable[[str, Sequence[Outcome]], object] = lambda _mutant, _outcomes: None,
) -> list[Outcome]:
    waiting, lock, found, errors = iter(plans), threading.Lock(), list[Outcome](), list[BaseException]()

    def work() -> None:
        try:
            with _Worker(harness) as worker:
                for plan in _shared(waiting, lock):
                    mine: list[Outcome] = []
                    for outcome in plan.outcomes(worker, limit):
                        mine.append(outcome)
                        with lock:
                            tell(outcome)
                    with lock:
                        found.extend(mine)
                        ended(plan.mutant, mine)
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


def _shared(waiting: Iterator[Plan], lock: threading.Lock) -> Iterator[Plan]:
    """The next plans, one at a time, from an iterator that several threads take from."""
    while True:
        with lock:
            plan = next(waiting, None)
        if plan is None:
            return
        yield plan


class _Worker:
    """A process that runs one clause after the other; it is killed and replaced when one takes too long."""

    def __init__(self, harness: str) -> None:
        self._harness = harness
        self._start()

    def _start(self) -> None:
        # Spawned, not forked: a child shares no lock, thread or connection with the store that may be open here.
        context = get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=_serve, args=(theirs, self._harness), daemon=True)
        self._process.start()
        theirs.close()

    def ask(self, mutant: str, clause: str, limit: float) -> Outcome:
        """The outcome of one run, which may be that it hung or that it ended its process."""
        self._pipe.send((mutant, clause))
        try:
            if self._pipe.poll(limit):
                outcome: Outcome = self._pipe.recv()
                return outcome
            verdict: Verdict = "hung"
            message = f"not done after {limit:g} s"
        except (EOFError, ConnectionError):
            verdict, message = "error", "the process ended"
        self._stop()
        self._start()
        return Outcome(mutant, clause, verdict, message, limit)

    def _stop(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stop()


def _serve(pipe: Connection, harness_name: str) -> None:
    """Answer (mutant, clause) with outcomes until the other end is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends us
    # On a broken store threads and finalizers die; what that means, the clause says.
    threading.excepthook = lambda _: None
    sys.unraisablehook = lambda _: None
    harness, clauses = find_harness(harness_name), {clause.id: clause for clause in load_clauses()}
    places = frozenset[Place]().union(*_places().values())
    with suppress(EOFError, ConnectionError):
        while True:
            mutant, clause = pipe.recv()
            pipe.send(outcome_of(find_mutant(mutant) if mutant else Watch(places), clauses[clause], harness))
