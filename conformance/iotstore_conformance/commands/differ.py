"""``iotstore conformance diff URL URL``: one history on two stores."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from iotstore import ConfigurationError
from iotstore_conformance.commands.run import needs_the_extra

_STEPS = 2000
_SHORT = 600


def add(_: Any) -> None:
    """Nothing of its own: ``diff`` is one command for reports and stores, and hands two URLs to this module."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add what only the comparison of stores understands."""
    parser.add_argument("--steps", type=int, default=_STEPS, metavar="N", help=f"how many steps to play ({_STEPS})")
    parser.add_argument("--script", type=Path, metavar="FILE", help="write the shrunk history here as a program")


def run_differential(args: argparse.Namespace) -> int:
    """Play histories on both stores: 0 when they agree, 1 with the shrunk history when they don't."""
    try:
        from iotstore_conformance.differential import compare  # noqa: PLC0415 - heavy
    except ImportError as error:
        raise needs_the_extra(error) from error
    seed = int(getattr(args, "seed", 0) or 0)
    steps = int(getattr(args, "steps", _STEPS))
    if steps < 1:
        raise ConfigurationError(f"{steps} steps are no history", hint="give --steps at least 1")
    found = compare(args.old, args.new, seed, steps)
    if found is None:
        sys.stdout.write(f"both stores give the same answers to about {steps} steps (seed {seed})\n")
        return 0
    lines = str(found).splitlines()
    sys.stdout.write("\n".join(line if len(line) <= _SHORT else f"{line[:_SHORT]}..." for line in lines) + "\n")
    target: Path | None = getattr(args, "script", None)
    if target is None:
        sys.stdout.write(f"\n{found.script()}")
        return 1
    try:
        target.write_text(found.script(), "utf-8", newline="\n")
    except OSError as error:
        raise ConfigurationError(f"the script can't be written to {target}: {error}") from error
    sys.stdout.write(f"script: {target}\n")
    return 1


#: What ``diff`` calls for two URLs.
run = run_differential
