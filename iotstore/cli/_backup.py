"""``iotstore backup create``, ``list``, ``verify``, ``rotate`` and ``restore``."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import iotstore
from iotstore._catalogue.backup import Backup
from iotstore.cli._common import emit, opened, plain
from iotstore.cli._drawing import Cell, Column, facts, table
from iotstore.cli._formats import instant, number, size
from iotstore.cli._progress import Progress
from iotstore.cli._terminal import Terminal


def create(args: argparse.Namespace, terminal: Terminal) -> int:
    """Take a backup; it counts only once it was restored and compared."""
    with opened(args) as store:
        if args.json:
            emit(terminal, _as_json(store.backups.create(args.directory, format=args.format, label=args.label)))
            return 0
        with Progress(terminal, "backup", 100) as progress:
            made = store.backups.create(args.directory, format=args.format, label=args.label, progress=teller(progress))
            progress.done_with(f"{number(made.rows)} rows, restored to a scratch place and compared")
    terminal.lines(facts(terminal, _facts(made)))
    return 0


def list_backups(args: argparse.Namespace, terminal: Terminal) -> int:
    """List the backups."""
    with opened(args) as store:
        found = store.backups.list(args.directory)
    if args.json:
        emit(terminal, [_as_json(backup) for backup in found])
        return 0
    if not found:
        terminal.line("No backups.")
        return 0
    columns = [Column(""), Column(""), Column("", ">"), Column("", ">"), Column(""), Column("", shrinks=True)]
    heads = table(terminal, columns, [_row(backup) for backup in found])
    for head, backup in zip(heads, found, strict=True):
        terminal.line(head)
        terminal.line(f"    {shown_path(backup.path)}")  # never cut: it is what one copies to restore
        if backup.problem:
            terminal.line(f"    {backup.problem}")
    return 0


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Prove one backup again."""
    with opened(args) as store:
        if args.json:
            emit(terminal, _as_json(store.backups.verify(args.path)))
            return 0
        with Progress(terminal, "verify", 100) as progress:
            proven = store.backups.verify(args.path, progress=teller(progress))
            progress.done_with(f"{number(proven.rows)} rows, restored to a scratch place and compared")
    terminal.lines(facts(terminal, _facts(proven)))
    return 0


def rotate(args: argparse.Namespace, terminal: Terminal) -> int:
    """Remove old backups."""
    with opened(args) as store:
        removed = store.backups.rotate(args.directory, keep=args.keep)
        kept = store.backups.list(args.directory)
    for path in removed:
        terminal.line(f"  removed {path.name}")
    terminal.line(f"  {number(len(kept))} backups are kept, {number(len(removed))} files removed.")
    return 0


def restore(args: argparse.Namespace, terminal: Terminal) -> int:
    """Make a store from a backup. The target stays as it is until the backup is proven."""
    with Progress(terminal, "restore", 100) as progress:
        restored = iotstore.restore(args.path, args.target, replace=args.replace, progress=teller(progress))
    if restored.kept:
        terminal.line(f"  The older store is kept: {restored.kept}")
    return 0


def teller(progress: Progress) -> Callable[[int, int, str], None]:
    """What backups tell their progress to: a bar that goes back to the start with each new piece of work."""

    def tell(done: int, total: int, what: str) -> None:
        progress.of(done, total, what)

    return tell


def _row(backup: Backup) -> list[str | Cell]:
    return [
        instant(backup.created),
        backup.format,
        f"{number(backup.rows)} rows",
        size(backup.size),
        Cell("proven", ("green",)) if backup.proven else Cell("NOT GOOD", ("bold", "red")),
        backup.label or "",
    ]


def _facts(backup: Backup) -> list[tuple[str, str]]:
    rows = f"{number(backup.rows)} in {number(sum(1 for count in backup.counts.values() if count))} collections"
    return [
        ("file", shown_path(backup.path)),
        ("size", size(backup.size)),
        ("rows", rows),
        ("proven", "yes: restored to a scratch place, counts and digests compared" if backup.proven else "NO"),
    ]


def shown_path(path: Path) -> str:
    """The path as a person in this folder would write it."""
    here = Path.cwd()
    return str(path.relative_to(here)) if path.is_relative_to(here) else str(path)


def _as_json(backup: Backup) -> object:
    shown = plain(backup)
    if isinstance(shown, dict):
        shown["rows"] = backup.rows
    return shown
