"""``iotstore citus ...``: a plugin of the command line. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys

from iotstore.hookspecs import hookimpl
from iotstore_postgres._setup_command import add_setup, settings_of


@hookimpl
def iotstore_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
) -> None:
    """Add ``citus`` with its action ``setup``."""
    setup = add_setup(
        commands,
        "citus",
        does="distribute a PostgreSQL store over a Citus cluster",
        setup_does="distribute points and flows, without losing one",
        how="Distribute points and flows of a store, and copy all else to every machine, in one transaction.",
        force="its other users are cut off",
    )
    setup.add_argument("--shards", type=int, metavar="32", help="into how many parts points and flows are cut (32)")
    setup.set_defaults(run=run_setup)


def run_setup(args: argparse.Namespace) -> int:
    """Set up the store, and say what was done."""
    settings = settings_of(args)
    from iotstore_postgres._citus_setup import Wanted, setup  # noqa: PLC0415 - the driver, which is there by now

    done = setup(settings, Wanted(args.shards), force=args.force, dry_run=args.dry_run)
    lines = [f"{text};" for text in done.statements] if args.dry_run and done.statements else [done.summary]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 0
