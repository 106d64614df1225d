"""``iotstore conformance run`` and ``list``: clauses on a backend, and what there is to run."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotstore import ConfigurationError

# The suite itself is imported when a command runs: `iotstore conformance --help` stays quick.
if TYPE_CHECKING:
    from iotstore_conformance.accounting import Order
    from iotstore_conformance.report import ClausePart, Report

_PROFILES = ("core", "telemetry", "relationships", "backup", "concurrency", "durability", "faults", "performance")


def add(subcommands: Any) -> None:
    """Add ``run`` and ``list``."""
    run = subcommands.add_parser("run", help="run the contract on a backend; exit code 0 only if it is conformant")
    run.add_argument("name", help="the harness, as an installed package offers it")
    run.add_argument("--url", help="where to run instead of the harness's own place; {name} stands for each store")
    run.add_argument("--server", help="which server the harness uses: embedded, container, timescale or a URL")
    run.add_argument("--profile", action="append", choices=_PROFILES, default=[], help="only this profile (repeatable)")
    run.add_argument("--clause", action="append", default=[], metavar="ID", help="only this clause (repeatable)")
    run.add_argument("--full", action="store_true", help="the long histories too")
    run.add_argument("--seed", type=int, default=0, metavar="N", help="other histories than the suite's own (0)")
    run.add_argument("--report", type=Path, metavar="FILE", help="write the report here")
    run.add_argument("--ledger", type=Path, metavar="FILE", help="known deviations; ./conformance.toml if it exists")
    run.add_argument(
        "--require", action="append", choices=_PROFILES, default=[], help="fail unless this profile is conformant"
    )
    run.set_defaults(run=run_command)
    listing = subcommands.add_parser("list", help="the clauses with their sentences, and the installed harnesses")
    listing.add_argument("--profile", action="append", choices=_PROFILES, default=[], help="only this profile")
    listing.set_defaults(run=list_command)


def needs_the_extra(error: ImportError) -> ConfigurationError:
    """What to say when a test tool that the suite stands on is missing."""
    return ConfigurationError(
        f"the conformance suite needs {error.name}, which is not installed", hint="pip install 'iotstore[conformance]'"
    )


def run_command(args: argparse.Namespace) -> int:
    """Run clauses, print what happened, write the report."""
    try:
        from iotstore_conformance.accounting import account  # noqa: PLC0415 - heavy
        from iotstore_conformance.printing import print_report  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise needs_the_extra(error) from error
    order = _order(args)
    started, began = datetime.now(UTC), time.perf_counter()
    parts = _run(order)
    report = account(order, parts, started, time.perf_counter() - began)
    print_report(report)
    if args.report is not None:
        _write(report, args.report)
    return exit_code(report, args.require)


def exit_code(report: Report, required: list[str]) -> int:
    """The exit code of a run: that of its verdict, or of a required profile that is worse."""
    codes = [report.verdict.exit_code, *(report.profiles[profile].verdict.exit_code for profile in required)]
    return max(codes)


def _order(args: argparse.Namespace) -> Order:
    from iotstore_conformance.accounting import Order  # noqa: PLC0415 - heavy
    from iotstore_conformance.harness import UnknownHarness, find_harness  # noqa: PLC0415 - heavy
    from iotstore_conformance.ledger import find_ledger  # noqa: PLC0415 - heavy
    from iotstore_conformance.manifest import manifest  # noqa: PLC0415 - heavy
    from iotstore_conformance.places import aimed  # noqa: PLC0415 - heavy

    try:
        harness = find_harness(args.name)
    except UnknownHarness as error:
        raise ConfigurationError(str(error), hint="is the package of the backend installed?") from error
    known = {clause.id: clause.profile for clause in manifest().clauses}
    for id_ in args.clause:
        if id_ not in known:
            raise ConfigurationError(f"there is no clause {id_}", hint="iotstore conformance list shows all of them")
        if args.profile and known[id_] not in args.profile:
            raise ConfigurationError(f"{id_} belongs to {known[id_]}", hint=f"add --profile {known[id_]}")
    return Order(
        harness=aimed(harness, args.url, args.server),
        profiles=tuple(args.profile) or tuple(dict.fromkeys(known[id_] for id_ in args.clause)),
        clauses=tuple(args.clause),
        full=args.full,
        seed=args.seed,
        url=args.url,
        server=args.server,
        ledger=find_ledger(args.ledger, set(known)),
    )


def _run(order: Order) -> list[ClausePart]:
    from iotstore_conformance.accounting import part_of  # noqa: PLC0415 - heavy
    from iotstore_conformance.execution import execute  # noqa: PLC0415 - heavy
    from iotstore_conformance.printing import Progress, print_failure  # noqa: PLC0415 - heavy

    chosen = order.chosen
    parts: list[ClausePart] = []
    progress = Progress(len(chosen))
    for result in execute(chosen, order.harness, full=order.full, seed=order.seed, ledger=order.ledger):
        progress.step(result)
        parts.append(part_of(result))
        print_failure(result, order, progress)
    progress.done()
    return parts


def _write(report: Report, path: Path) -> None:
    from iotstore_conformance.report import write_report  # noqa: PLC0415 - heavy

    try:
        write_report(report, path)
    except OSError as error:
        raise ConfigurationError(f"the report can't be written to {path}: {error}", hint="name another file") from error
    sys.stdout.write(f"report: {path}\n")


def list_command(args: argparse.Namespace) -> int:
    """Print every clause, and the promises that have none yet."""
    try:
        from iotstore_conformance.applicable import ENGINES  # noqa: PLC0415 - heavy
        from iotstore_conformance.harness import harness_names  # noqa: PLC0415 - heavy
        from iotstore_conformance.manifest import manifest, provisional  # noqa: PLC0415 - heavy
        from iotstore_conformance.profiles import COMING, MEANING, PROFILES  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise needs_the_extra(error) from error
    suite = manifest()
    lines = [f"suite {suite.suite}, contract {suite.contract}, {len(suite.clauses)} clauses"]
    lines.append(f"harnesses: {', '.join(harness_names()) or 'none installed'}")
    for profile in PROFILES:
        if args.profile and profile not in args.profile:
            continue
        clauses = suite.of(profile)
        lines += ["", f"{profile} ({len(clauses)} clauses): {MEANING[profile]}"]
        for clause in clauses:
            needs = f" [needs {', '.join(need.value for need in clause.needs)}]" if clause.needs else ""
            marks = f" [for {ENGINES[clause.requires]}]" if clause.requires else ""
            marks += " [provisional]" if provisional(clause) else ""
            lines.append(f"  {clause.id} {clause.sentence}{needs}{marks}")
        lines += [f"  not measured: {one.promise} ({one.reason})" for one in COMING if one.profile == profile]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
