"""``iotstore timescale ...``: a plugin of the command line. What it needs is imported when it runs."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta

from iotstore.cli.plugins import duration
from iotstore.hookspecs import hookimpl
from iotstore_postgres._setup_command import add_setup, settings_of


@hookimpl
def iotstore_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
) -> None:
    """Add ``timescale`` with its action ``setup``."""
    setup = add_setup(
        commands,
        "timescale",
        does="let TimescaleDB keep the points of a PostgreSQL store",
        setup_does="make the points a hypertable, without losing one",
        how="Make the points of a store a hypertable, in one transaction. Run it again to change what is set.",
        force="its other users wait",
    )
    setup.add_argument("--chunk", type=duration, metavar="7d", help="how much time a new chunk holds (7d at first)")
    setup.add_argument(
        "--compress-after",
        type=_age,
        metavar="30d",
        help="compress chunks of this age, by series (30d at first), or never; needs the Timescale edition",
    )
    setup.add_argument(
        "--retain", type=_age, metavar="1y", help="drop chunks of this age, or never; needs the Timescale edition"
    )
    setup.add_argument(
        "--materialize",
        type=_widths,
        metavar="1h,1d",
        help="sum up buckets of these widths ahead, or never; needs the Timescale edition",
    )
    setup.set_defaults(run=run_setup)


def _age(text: str) -> timedelta:
    return timedelta.max if text == "never" else duration(text)


def _widths(text: str) -> tuple[timedelta, ...]:
    return () if text == "never" else tuple(map(duration, text.split(",")))


def run_setup(args: argparse.Namespace) -> int:
    """Set up the store, and say what was done. Exit code 1 if something that was asked for was not."""
    settings = settings_of(args)
    from iotstore_postgres._hypertable import Wanted, setup  # noqa: PLC0415 - the driver, which is there by now

    wanted = Wanted(args.chunk, args.compress_after, args.retain, args.materialize)
    done = setup(settings, wanted, force=args.force, dry_run=args.dry_run)
    lines = [f"{text};" for text in done.statements] if args.dry_run else [done.summary, *done.policies]
    lines += [f"-- not done: {reason}" if args.dry_run else f"not done: {reason}" for reason in done.left_out]
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return 1 if done.left_out else 0
