"""Telling of a failure: the clause, its sentence, what was seen, how to see it again, what to declare."""

from __future__ import annotations

import inspect
import linecache
import shlex
import textwrap
import traceback
from importlib.metadata import entry_points
from types import FrameType
from typing import Final

from iotstore import StoreError
from iotstore_conformance.execution import Result, described
from iotstore_conformance.registry import Clause
from iotstore_conformance.verdicts import Outcome

_SHORT: Final = 300
_SUITE: Final = "iotstore_conformance"

_ADVICE: Final = {
    Outcome.UNCLAIMED: "The capability works: declare it Supported(), or let it raise Unsupported.",
    Outcome.FLAKY: "It failed and then passed. That is a failure: something depends on time, order or what was before.",
    Outcome.UNEXPECTED_PASS: "The ledger says that this fails, and it passes: remove its entry from conformance.toml.",
    Outcome.HARNESS_ERROR: "The harness raised, not the backend: mend the harness.",
    Outcome.NOT_RUN: "It was not run, and nothing follows for the backend. Give it what it lacks, and run it again.",
}


def failure_text(result: Result, harness: str, seed: int, *, full: bool = False) -> str:
    """Everything that an author needs to know about a clause that did not hold."""
    clause = result.clause
    lines = [f"{clause.id}  {result.outcome.value}  ({clause.profile})", *_wrapped(clause.sentence, "  "), ""]
    if result.error is not None:
        lines += textwrap.indent("\n".join(_seen(result.error)), "  ").splitlines()
    elif result.reason:
        lines += _wrapped(result.reason, "  ")
    tier = ["--full"] if full and clause.deep else []
    again = shlex.join(["iotstore", "conformance", "run", harness, "--clause", clause.id, "--seed", str(seed), *tier])
    lines += ["", f"  Again:   {again}", "  Script:"]
    lines += textwrap.indent(script(clause, harness, seed, full=full), "    ").splitlines()
    lines += ["", *_wrapped(advice(result), "  ")]
    return "\n".join(lines)


def script(clause: Clause, harness: str, seed: int, *, full: bool = False) -> str:
    """A program that does what the clause does, on the same place and under the same seed."""
    proof = clause.prove
    module = inspect.getmodule(proof)
    home = module.__name__ if module is not None else proof.__module__
    effort = ', "full"' if full and clause.deep else ""
    lines = [
        f"from {home} import {proof.__name__}",
        "from iotstore_conformance import Stage, find_harness",
        "from iotstore_conformance.seeding import seeded",
        "",
        f'with Stage(find_harness("{harness}"){effort}) as stage, seeded({seed}):',
        f"    {proof.__name__}(stage)",
    ]
    return "\n".join(lines)


def advice(result: Result) -> str:
    """What to do when the deviation is intended, or what the outcome means."""
    if result.outcome in _ADVICE:
        return _ADVICE[result.outcome]
    needs = [need.name for need in result.clause.needs]
    named = f"one of {', '.join(needs)}" if len(needs) > 1 else "".join(needs)
    declare = f"declare {named} as NotSupported(reason, remedy), or " if needs else ""
    entry = f'[[deviation]] clause = "{result.clause.id}", kind = "defect", reason, link, expires'
    return f"If that is intended: {declare}enter it in conformance.toml ({entry}). It then reads as a known defect."


def _seen(error: BaseException) -> list[str]:
    """The statement of the clause that did not hold, the values of its names, and the error."""
    found: list[str] = []
    frame = _last_of_the_suite(error)
    if frame is not None:
        place, line, names = frame
        statement = _statement(place, line)
        found.append(f"{place.f_globals.get('__name__')}:{line}, in {place.f_code.co_name}")
        found += textwrap.indent(statement, "    ").splitlines()
        found += [f"      {name} = {value}" for name, value in names if name in statement]
    found += described(error).splitlines()[:80]
    found += _in_the_backend(error)
    told, cause = {id(error)}, error.__cause__
    while cause is not None and id(cause) not in told:  # a backend may raise an error from itself
        found.append(f"caused by {_short(described(cause))}")
        told.add(id(cause))
        cause = cause.__cause__
    return found


def _last_of_the_suite(error: BaseException) -> tuple[FrameType, int, list[tuple[str, str]]] | None:
    """The innermost frame of a clause or machine, its line, and its local values."""
    found = None
    for frame, line in traceback.walk_tb(error.__traceback__):
        name = str(frame.f_globals.get("__name__"))
        if name.startswith((f"{_SUITE}.clauses", f"{_SUITE}.machines", f"{_SUITE}.refusals")):
            found = frame, line
    if found is None:
        return None
    frame, line = found
    return frame, line, [(name, _shown(value)) for name, value in frame.f_locals.items() if not callable(value)]


def _in_the_backend(error: BaseException) -> list[str]:
    """Where in the backend's package it was raised, outermost call first; and whether it went out untranslated."""
    homes = {entry.module.partition(".")[0] for entry in entry_points(group="iotstore.backends")}
    places = [
        f"{frame.f_globals['__name__']}:{line}, in {frame.f_code.co_name}"
        for frame, line in traceback.walk_tb(error.__traceback__)
        if str(frame.f_globals.get("__name__")).partition(".")[0] in homes
    ]
    found = [f"raised in {' > '.join(places[-3:])}"] if places else []
    if places and not isinstance(error, StoreError):
        found.append("It is no error of iotstore: translate it there, or it reaches the application.")
    return found


def _statement(frame: FrameType, line: int) -> str:
    """The source of the statement that a line belongs to."""
    import ast  # noqa: PLC0415 - wanted after a failure only

    source = "".join(linecache.getlines(frame.f_code.co_filename))
    if not source:
        return ""
    holding = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    inner = min(holding, key=lambda node: (node.end_lineno or node.lineno) - node.lineno, default=None)
    text = ast.get_source_segment(source, inner, padded=True) if inner is not None else ""
    return textwrap.dedent(text or "")


def _shown(value: object) -> str:
    try:
        return _short(repr(value))
    except Exception as error:  # noqa: BLE001 - a closed store may refuse to be shown
        return f"<{type(value).__name__}: {type(error).__name__} when shown>"


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= _SHORT else f"{flat[:_SHORT]}..."


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(text, 110, initial_indent=indent, subsequent_indent=indent)
