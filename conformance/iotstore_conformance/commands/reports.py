"""``iotstore conformance verify``, ``diff``, ``matrix`` and ``badge``: reading reports."""

from __future__ import annotations

import argparse
import sys
from datetime import UTC, date, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from iotstore import ConfigurationError
from iotstore_conformance.commands.run import needs_the_extra

if TYPE_CHECKING:
    from iotstore_conformance.report import Report

_STALE = 2


def add(subcommands: Any) -> None:
    """Add ``verify``, ``diff``, ``matrix``, ``badge`` and ``schema``."""
    verify = subcommands.add_parser("verify", help="recompute the verdict of a report; 1 if it is false, 2 if stale")
    verify.add_argument("file", type=Path, nargs="+", help="a report of iotstore conformance run")
    verify.set_defaults(run=_guard(_verify))
    diff = subcommands.add_parser("diff", help="compare two reports, or one history on two stores")
    diff.add_argument("old", help="a report, or the URL of a store")
    diff.add_argument("new", help="another one")
    diff.add_argument("--seed", type=int, default=0, metavar="N", help="the history to play on two stores")
    _more_for_stores(diff)
    diff.set_defaults(run=_guard(_diff))
    matrix = subcommands.add_parser("matrix", help="make a table of reports: yes, no, known defect, unknown, stale")
    matrix.add_argument("file", type=Path, nargs="+", help="a report of iotstore conformance run")
    matrix.add_argument("--markdown", type=Path, metavar="OUT", help="write a Markdown page")
    matrix.add_argument("--html", type=Path, metavar="OUT", help="write a HTML page")
    matrix.set_defaults(run=_guard(_matrix))
    badge = subcommands.add_parser("badge", help="print the JSON of a badge for shields.io")
    badge.add_argument("file", type=Path, help="a report of iotstore conformance run")
    badge.add_argument("--profile", default="core", help="the profile that the badge is about (core)")
    badge.set_defaults(run=_guard(_badge))
    schema = subcommands.add_parser("schema", help="print the JSON schema of reports")
    schema.set_defaults(run=_guard(_schema))


def _guard(command: Any) -> Any:
    """The command, with missing test tools and unreadable reports told in one line."""

    def run(args: argparse.Namespace) -> int:
        try:
            from iotstore_conformance.report import UnreadableReport  # noqa: PLC0415 - heavy
        except ImportError as error:
            raise needs_the_extra(error) from error
        try:
            return int(command(args))
        except UnreadableReport as error:
            raise ConfigurationError(str(error)) from error

    return run


def _today() -> date:
    return datetime.now(UTC).date()


def _verify(args: argparse.Namespace) -> int:
    from iotstore_conformance.printing import summary  # noqa: PLC0415 - heavy
    from iotstore_conformance.verifying import verify_file  # noqa: PLC0415 - heavy

    worst = 0
    for path in args.file:
        report, wrong, stale = verify_file(path, _today())
        if wrong:
            sys.stdout.write("\n".join([f"{path}: refused", *(f"  {one}" for one in wrong[:20]), ""]))
        elif stale:
            sys.stdout.write("\n".join([f"{path}: stale", *(f"  {one}" for one in stale), ""]))
        else:
            sys.stdout.write("\n".join([*summary(report), f"{path}: its verdict follows from its outcomes", ""]))
        # A false report is worse than an old one, whatever the numbers say.
        worst = 1 if wrong or worst == 1 else _STALE if stale or worst == _STALE else 0
    return worst


def _read(path: Path) -> Report:
    from iotstore_conformance.report import read_report  # noqa: PLC0415 - heavy

    return read_report(path)


def _more_for_stores(parser: argparse.ArgumentParser) -> None:
    """Let the comparison of stores add its own options."""
    home = "iotstore_conformance.commands.differ"
    if find_spec(home) is not None and hasattr(module := import_module(home), "arguments"):
        module.arguments(parser)


def _diff(args: argparse.Namespace) -> int:
    if "://" in args.old and "://" in args.new:
        home = "iotstore_conformance.commands.differ"
        if find_spec(home) is None:
            raise ConfigurationError("this suite can't compare two stores", hint="give two reports")
        return int(import_module(home).run(args) or 0)
    if "://" in args.old or "://" in args.new:
        raise ConfigurationError("one is a store and one is not", hint="give two reports, or the URLs of two stores")
    from iotstore_conformance.comparing import compare, comparison_text  # noqa: PLC0415 - heavy

    changes = compare(_read(Path(args.old)), _read(Path(args.new)))
    sys.stdout.write(comparison_text(changes))
    return int(any(change.worse for change in changes))


def _matrix(args: argparse.Namespace) -> int:
    from iotstore_conformance.manifest import manifest  # noqa: PLC0415 - heavy
    from iotstore_conformance.matrix import make_matrix, markdown  # noqa: PLC0415 - heavy
    from iotstore_conformance.matrix_page import page  # noqa: PLC0415 - heavy
    from iotstore_conformance.verifying import believable  # noqa: PLC0415 - heavy

    matrix = make_matrix([believable(path) for path in args.file], manifest(), _today())
    if args.markdown is None and args.html is None:
        sys.stdout.write(markdown(matrix))
    for path, make in ((args.markdown, markdown), (args.html, page)):
        if path is not None:
            path.write_text(make(matrix), "utf-8", newline="\n")
            sys.stdout.write(f"wrote {path}\n")
    return 0


def _badge(args: argparse.Namespace) -> int:
    from iotstore_conformance.badges import badge  # noqa: PLC0415 - heavy
    from iotstore_conformance.judging import staleness  # noqa: PLC0415 - heavy
    from iotstore_conformance.manifest import manifest  # noqa: PLC0415 - heavy
    from iotstore_conformance.verifying import believable  # noqa: PLC0415 - heavy

    report = believable(args.file)
    if args.profile not in report.profiles:
        raise ConfigurationError(f"there is no profile {args.profile!r}", hint=f"one of: {', '.join(report.profiles)}")
    sys.stdout.write(badge(report, args.profile, stale=bool(staleness(report, manifest(), _today()))))
    return 0


def _schema(_: argparse.Namespace) -> int:
    from iotstore_conformance.report import schema_text  # noqa: PLC0415 - heavy

    sys.stdout.write(schema_text())
    return 0
