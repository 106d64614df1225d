"""What the commands ``timescale setup`` and ``citus setup`` have in common: their words, and which store is meant."""

from __future__ import annotations

import argparse

from iotstore.backend import ConfigurationError, Settings
from iotstore.cli.plugins import add_store, store_settings


def add_setup(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
    name: str,
    *,
    does: str,
    setup_does: str,
    how: str,
    force: str,
) -> argparse.ArgumentParser:
    """Add the command *name* with its one action ``setup``; returns the parser of that, for options of its own.

    *does* and *setup_does* say in a line what the command and its action do, *how* says it in whole sentences, and
    *force* what ``--force`` does to those who have the store open.
    """
    parser = commands.add_parser(name, help=does, description=f"{does[0].upper()}{does[1:]}.")

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=show)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    setup = actions.add_parser("setup", help=setup_does, description=how)
    add_store(setup)
    setup.add_argument("--dry-run", action="store_true", help="print every statement, and change nothing")
    setup.add_argument("--force", action="store_true", help=f"also while the store is open: {force}")
    return setup


def settings_of(args: argparse.Namespace) -> Settings:
    """What the store that is meant would be opened with; ConfigurationError if it is no PostgreSQL store."""
    backend, settings = store_settings(args)
    if backend.name != "postgresql":
        raise ConfigurationError(
            f"{settings.display} is no PostgreSQL store", hint="name one by --url postgresql://user@host/database"
        )
    return settings
