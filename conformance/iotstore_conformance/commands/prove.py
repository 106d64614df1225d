"""``iotstore conformance prove``: mutants against clauses, and what neither of them proves."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotstore import ConfigurationError

# The suite itself is imported when the command runs: `iotstore conformance --help` stays quick.
if TYPE_CHECKING:
    from iotstore_conformance.plans import Outcome
    from iotstore_conformance.proving import Matrix


def add(subcommands: Any) -> None:
    """Add ``prove``."""
    parser = subcommands.add_parser(
        "prove",
        help="prove that the suite can fail: run broken stores, each of which its clauses must kill",
        description="Run every mutant on the clauses that must kill it; exit code 0 only if all are killed and every "
        "clause kills one.",
    )
    parser.add_argument("name", nargs="?", help="the harness, as an installed package offers it")
    parser.add_argument(
        "--full", action="store_true", help="every mutant on the other clauses too, of which it must pass 90 %%"
    )
    parser.add_argument("--mutant", action="append", default=[], metavar="NAME", help="only this mutant (repeatable)")
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="how many processes work at once (2)")
    parser.add_argument("--limit", type=float, default=60.0, metavar="SECONDS", help="the time that a clause has (60)")
    parser.add_argument(
        "--record",
        type=Path,
        metavar="FILE",
        help="with --full: keep here how each mutant did, and go on from there; with --page: show it",
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the matrix as JSON here")
    parser.add_argument("--page", type=Path, metavar="FILE", help="write the page of mutants and killers here")
    parser.add_argument("--list", action="store_true", help="the mutants, and nothing is run")
    parser.set_defaults(run=prove_command)


def prove_command(args: argparse.Namespace) -> int:
    """Run mutants, print the matrix, say what is not proven."""
    try:
        from iotstore_conformance import load_clauses  # noqa: PLC0415 - heavy
        from iotstore_conformance.mutants import load_mutants  # noqa: PLC0415 - heavy
        from iotstore_conformance.mutants.page import kill_page  # noqa: PLC0415 - heavy
        from iotstore_conformance.proofs import read_proofs  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise ConfigurationError(
            f"the conformance suite needs {error.name}, which is not installed",
            hint="pip install 'iotstore[conformance]'",
        ) from error
    if args.list:
        for mutant in load_mutants():
            _say(f"{mutant.name}: {mutant.sentence} Killed by {', '.join(mutant.kills)}.")
    if args.name is None and not args.list and args.page is None:
        raise ConfigurationError("no harness is named", hint="iotstore conformance prove NAME")
    if args.record is not None and not args.full and args.page is None:
        raise ConfigurationError("only a whole proof is recorded", hint="add --full, or leave --record out")
    code = 0 if args.name is None else _prove(args)
    if args.page is not None:
        proofs = read_proofs(args.record) if args.record is not None else None
        args.page.write_text(kill_page(load_mutants(), load_clauses(), proofs), "utf-8")
    return code


def _prove(args: argparse.Namespace) -> int:
    from iotstore_conformance.harness import UnknownHarness, find_harness  # noqa: PLC0415 - heavy
    from iotstore_conformance.mutants import find_mutant  # noqa: PLC0415 - heavy
    from iotstore_conformance.proving import prove  # noqa: PLC0415 - heavy

    try:
        find_harness(args.name)
        chosen = [find_mutant(name) for name in args.mutant] or None
    except UnknownHarness as error:
        raise ConfigurationError(str(error), hint="is the package of the backend installed?") from error
    except LookupError as error:
        raise ConfigurationError(str(error.args[0])) from error
    if args.workers < 1 or args.limit <= 0:
        raise ConfigurationError("a proof needs at least one process, and time for every clause")
    matrix = prove(
        args.name,
        mutants=chosen,
        full=args.full,
        workers=args.workers,
        limit=args.limit,
        tell=_dot,
        record=args.record,
    )
    _say("")
    _print(matrix)
    if args.report is not None:
        matrix.write(args.report)
    return 0 if matrix.proven else 1


def _dot(outcome: Outcome) -> None:
    sys.stderr.write({"killed": "x", "survived": ".", "error": "E", "hung": "H", "skipped": "s"}[outcome.verdict])
    sys.stderr.flush()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def _print(matrix: Matrix) -> None:
    killed = {name: [] for name in (mutant.name for mutant in matrix.mutants)}  # type: dict[str, list[str]]
    for clause, names in matrix.killers().items():
        for name in names:
            killed[name].append(clause)
    for mutant in matrix.mutants:
        others = sorted(set(killed[mutant.name]) - set(mutant.kills))
        more = f" and {len(others)} others" if others else ""
        _say(f"{mutant.name}: {', '.join(mutant.kills)}{more}")
    _say("")
    for outcome in matrix.unhealthy():
        _say(f"the healthy backend fails {outcome.clause}: {outcome.message}")
    for outcome in matrix.surviving():
        _say(f"{outcome.mutant} {outcome.verdict} {outcome.clause} {outcome.message}".rstrip())
    for name, failed in matrix.too_broken().items():
        _say(f"{name} fails {len(failed)} clauses, more than a tenth: {', '.join(failed)}")
    if matrix.without_killer():
        _say(f"clauses without a killer: {', '.join(matrix.without_killer())}")
    if matrix.unmeasured:
        _say(f"not measured, as the backend can't: {', '.join(matrix.unmeasured)}")
    clauses = len(matrix.clauses)
    _say(
        f"{len(matrix.mutants)} mutants, {clauses} clauses, {clauses - len(matrix.without_killer())} with a killer, "
        f"{len(matrix.surviving())} survivals, {matrix.seconds:.0f} s: {'proven' if matrix.proven else 'NOT PROVEN'}"
    )
