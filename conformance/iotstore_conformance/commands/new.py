"""``iotstore conformance new``: a plugin package to begin with."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any


def add(subcommands: Any) -> None:
    """Add ``new``."""
    parser = subcommands.add_parser(
        "new",
        help="write a plugin package for a new backend",
        description="Write a complete plugin package whose methods are not written yet, with tests, CI and a README.",
    )
    parser.add_argument("name", metavar="NAME", help="the backend's name and URL scheme: letters and digits")
    parser.add_argument("--directory", type=Path, metavar="DIR", help="the folder to make (default: iotstore-NAME)")
    parser.set_defaults(run=new_command)


def new_command(args: argparse.Namespace) -> int:
    """Write the package and say what to do next."""
    from iotstore_conformance.scaffold import write_package  # noqa: PLC0415 - wanted by this command only

    directory = args.directory or Path(f"iotstore-{args.name}")
    written = write_package(args.name, directory)
    lines = [str(path) for path in written]
    lines += [
        "",
        "Next:",
        f"  pip install -e '{directory}[dev]'",
        f"  iotstore conformance run {args.name} --profile core",
    ]
    lines += [f"It starts red. {directory / 'README.md'} says what to write first."]
    sys.stdout.write("\n".join(lines) + "\n")
    return 0
