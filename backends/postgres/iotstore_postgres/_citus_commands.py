"""``iotstore citus ...``: a plugin of the command line. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys

from iotstore.backend import ConfigurationError
from iotstore.cli.plugins import add_store, store_settings
from iotstore.hookspecs import hookimpl


@hookimpl
def iotstore_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
) -> None:
    """Add ``citus`` with its action ``setup``."""
    parser = commands.add_parser(
        "citus",
        help="distribute a PostgreSQL store over a Citus cluster",
        description="Distribute a PostgreSQL store over the workers of a Citus cluster.",
    )

    def show(_: argparse.Namespace) -> int:
        parser.print_help()
        return 2

    parser.set_defaults(run=show)
    actions = parser.add_subparsers(title="actions", metavar="ACTION")
    setup = actions.add_parser(
        "setup",
        help="distribute points and flows, without losing one",
        description="Distribute points and flows of a store, and copy all else to every machine, in one transaction.",
    )
    add_store(setup)
    setup.add_argument("--dry-run", action="store_true", help="print every statement, and change nothing")
    setup.add_argument("--force", action="store_true", help="also while the store is open: its other users are cut off")
    setup.add_argument("--shards", type=int, metavar="32", help="into how many parts points and flows are cut (32)")
    setup.set_defaults(run=run_setup)


def run_setup(args: argparse.Namespace) -> int:
    """Set up the store, and say what was done."""
    backend, settings = store_settings(args)
    if backend.name != "postgresql":
        raise ConfigurationError(
            f"{settings.display} is no PostgreSQL store", hint="name one by --url postgresql://user@host/database"
        )
    from iotstore_postgres._citus_setup import Wanted, setup  # noqa: PLC0415 - the driver, which is there by now

    done = setup(settings, Wanted(args.shards), force=args.force, dry_run=args.dry_run)
    lines = [f"{text};" for text in done.statements] if args.dry_run and done.statements else [done.summary]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
