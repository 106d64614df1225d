"""``iotstore copy`` and ``iotstore migrate``."""

from __future__ import annotations

import argparse

import iotstore
from iotstore import MigrationNeeded
from iotstore.cli._admin import statistics_lines
from iotstore.cli._backup import teller
from iotstore.cli._common import emit, opened
from iotstore.cli._progress import Progress
from iotstore.cli._terminal import Terminal


def copy(args: argparse.Namespace, terminal: Terminal) -> int:
    """Copy everything from one store to another; digests prove it before it is committed."""
    with Progress(terminal, "copy", 100) as progress:
        iotstore.copy(args.source, args.target, progress=teller(progress))
        progress.done_with("every record and point, compared by digests")
    with iotstore.open(args.target, create=False, migrate=False) as store:
        terminal.lines(statistics_lines(terminal, store.admin.statistics()))
    return 0


def migrate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Bring the store to what this version declares. What deletes or rewrites takes a backup first."""
    waiting = _waiting(args)
    if waiting and not args.plan:
        opened(args, migrate=True).close()
    if args.json:
        emit(terminal, {"migrated": bool(waiting) and not args.plan, "steps": waiting})
    elif not waiting:
        terminal.line("Nothing to do: the store is as declared.")
    else:
        terminal.line("This would be done:" if args.plan else "This was done:")
        terminal.lines([f"  {step}" for step in waiting])
    return 0


def _waiting(args: argparse.Namespace) -> list[str]:
    """What a migration would do. A store that needs one can't be opened without it, and says why not."""
    try:
        opened(args).close()
    except MigrationNeeded as needed:
        _, _, steps = needed.message.partition(": ")
        return (steps or needed.message).split("; ")
    return []
