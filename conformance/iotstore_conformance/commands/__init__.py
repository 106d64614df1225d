"""``iotstore conformance ...``: the suite's own commands, offered to the command line as a plugin."""

from __future__ import annotations

import argparse
from importlib import import_module
from importlib.util import find_spec
from typing import Final

from iotstore.hookspecs import hookimpl

# Parsers only: whatever is heavy is imported when a command runs.
_MODULES: Final = ("run", "reports", "prove", "new", "differ")


@hookimpl
def iotstore_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
) -> None:
    """Add ``conformance`` with its own commands."""
    parser = commands.add_parser(
        "conformance",
        help="run the contract on a backend, read and compare reports",
        description="The contract of iotstore: run it, read its reports, prove that it can fail.",
    )

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=show)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    for name in _MODULES:
        if find_spec(f"{__name__}.{name}") is not None:
            import_module(f"{__name__}.{name}").add(actions)
