"""``iotstore maintain``: backup, rotation, retention, optimisation and health in one command for cron."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple

from iotstore import Capability, Store, StoreError
from iotstore.cli._common import opened
from iotstore.cli._drawing import Cell, Column, table
from iotstore.cli._formats import duration, instant, number, size
from iotstore.cli._terminal import Terminal


class Step(NamedTuple):
    """One piece of work: its name, what does it and says what it did, and the steps that must have gone well before."""

    name: str
    work: Callable[[], str]
    after: tuple[str, ...] = ()


class Trouble(Exception):
    """A step that ran, and found something wrong."""


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Do all the work that a store wants, and report. Any step that fails makes the exit code 1."""
    weekly = args.rhythm == "weekly"
    with opened(args) as store:
        terminal.title(f"{args.rhythm.capitalize()} maintenance", f"{store.url}  {instant(store.clock.now())} UTC")
        steps = _steps(store, args, weekly=weekly)
        failed: set[str] = set()
        rows: list[list[str | Cell]] = []
        for step in steps:
            begun = time.monotonic()
            status, detail = _do(step, failed)
            if status != "done":
                failed.add(step.name)
            spent = duration(timedelta(seconds=time.monotonic() - begun))
            style = {"done": "green", "FAILED": "red", "left out": "yellow"}[status]
            rows.append([step.name, Cell(status, (style,)), Cell(spent, ("dim",)), detail])
    columns = [Column("step"), Column(""), Column("took", ">"), Column("", wraps=True)]
    terminal.lines(table(terminal, columns, rows))
    terminal.line()
    if failed:
        names = ", ".join(step.name for step in steps if step.name in failed)
        terminal.line(f"  {terminal.paint('Not everything went well', 'red')}: {names}.")
        return 1
    terminal.line("  All went well.")
    return 0


def _steps(store: Store, args: argparse.Namespace, *, weekly: bool) -> list[Step]:
    """What there is to do. Nothing is deleted unless the data was found whole and a backup was proven."""
    integrity = [Step("integrity", lambda: _integrity(store))] if weekly else []
    safe = (*(step.name for step in integrity), "backup")
    return [
        *integrity,
        Step("backup", lambda: _backup(store, args.directory, args.rhythm)),
        Step("rotation", lambda: _rotation(store, args.directory, args.backups), safe),
        Step("retention", lambda: _retention(store), safe),
        Step("optimise", lambda: _optimise(store, compact=weekly), safe),
        Step("health", lambda: _health(store)),
    ]


def _do(step: Step, failed: set[str]) -> tuple[str, str]:
    missing = [name for name in step.after if name in failed]
    if missing:
        return "left out", f"because {' and '.join(missing)} failed"
    try:
        return "done", step.work()
    except (StoreError, Trouble) as error:
        return "FAILED", str(error)


def _integrity(store: Store) -> str:
    found = store.admin.verify()
    if not found:
        raise Trouble("; ".join(f"{check.name}: {check.detail}" for check in found.checks if check.status == "failed"))
    return f"{len(found.checks)} checks"


def _backup(store: Store, directory: str | None, label: str) -> str:
    made = store.backups.create(directory, label=label)
    return f"{made.path.name}: {number(made.rows)} rows, {size(made.size)}, proven"


def _rotation(store: Store, directory: str | None, keep: int) -> str:
    removed = store.backups.rotate(directory, keep=keep)
    return f"{number(len(removed))} files removed, at most {keep} backups kept"


def _retention(store: Store) -> str:
    lines = store.admin.retention(dry_run=False)
    gone = [f"{line.kind.replace('_', ' ')} {number(line.deleted)}" for line in lines if line.deleted]
    return "deleted: " + ", ".join(gone) if gone else "nothing is older than it is kept for"


def _optimise(store: Store, *, compact: bool) -> str:
    compact = compact and store.capabilities.has(Capability.COMPACTION)
    done = store.admin.optimise(compact=compact)
    return ", ".join(f"{name}: {what}" for name, what in done.items())


def _health(store: Store) -> str:
    found = store.admin.health()
    bad = [f"{check.name}: {check.detail}" for check in found.checks if check.status != "ok"]
    if not found:
        raise Trouble("; ".join(bad))
    return found.status + (f" ({'; '.join(bad)})" if bad else "")
