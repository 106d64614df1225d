"""``iotstore health``, ``verify``, ``stats``, ``optimise`` and ``retention``."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Final

from iotstore import Health, PruneLine, Statistics
from iotstore.cli._common import emit, opened
from iotstore.cli._drawing import Cell, Column, facts, table
from iotstore.cli._formats import instant, number, size
from iotstore.cli._terminal import Terminal

_STYLES: Final[Mapping[str, tuple[str, ...]]] = {"ok": ("green",), "warning": ("yellow",), "failed": ("bold", "red")}


def health(args: argparse.Namespace, terminal: Terminal) -> int:
    """Look at the store quickly. A failed check makes the exit code 1; a warning does not."""
    with opened(args) as store:
        if args.metrics:
            numbers = store.admin.metrics()
            terminal.lines(metric_lines(numbers))
            return 0 if numbers["healthy"] else 1
        found = store.admin.health()
    return _report(args, terminal, found)


def metric_lines(numbers: Mapping[str, float]) -> list[str]:
    """Numbers as monitoring systems read them, a line each."""
    return [f"iotstore_{name} {value:g}" for name, value in numbers.items()]


def verify(args: argparse.Namespace, terminal: Terminal) -> int:
    """Read everything and check it."""
    with opened(args) as store:
        found = store.admin.verify()
    return _report(args, terminal, found)


def _report(args: argparse.Namespace, terminal: Terminal, found: Health) -> int:
    if args.json:
        emit(terminal, found)
    else:
        terminal.lines(health_lines(terminal, found))
    return 0 if found else 1


def health_lines(terminal: Terminal, found: Health) -> list[str]:
    """Checks as a table, the store's state first."""
    marks = {"ok": terminal.pick("✓", "ok"), "warning": "!", "failed": terminal.pick("✗", "FAILED")}
    rows: list[list[str | Cell]] = [
        [Cell(marks.get(check.status, "?"), _STYLES.get(check.status, ())), check.name, check.detail]
        for check in found.checks
    ]
    head = f"  The store is {terminal.paint(found.status, *_STYLES.get(found.status, ()))}."
    return [head, *table(terminal, [Column(""), Column(""), Column("", wraps=True)], rows)]


def stats(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show how much is stored."""
    with opened(args) as store:
        found = store.admin.statistics()
        engine = store.admin.describe()
        url = store.url
    if args.json:
        shown = {"url": url, "engine": engine, "at": found.at, "bytes": found.bytes, "places": found.places}
        emit(terminal, {**shown, "activity": found.activity})
        return 0
    terminal.title("Store", url)
    terminal.lines(facts(terminal, engine.items()))
    terminal.title("What is stored")
    terminal.lines(statistics_lines(terminal, found))
    terminal.title("The last day")
    terminal.lines(facts(terminal, [(name, number(rows)) for name, rows in found.activity.items()]))
    return 0


def statistics_lines(terminal: Terminal, found: Statistics) -> list[str]:
    """Rows and bytes of every collection that has any."""
    rows = [
        [place.name.replace("_", " "), number(place.rows), "" if place.bytes is None else size(place.bytes)]
        for place in found.places
        if place.rows
    ]
    if found.bytes is not None:
        rows.append(["all", number(sum(place.rows for place in found.places)), size(found.bytes)])
    return table(terminal, [Column("collection"), Column("rows", ">"), Column("size", ">")], rows)


def optimise(args: argparse.Namespace, terminal: Terminal) -> int:
    """Refresh what the engine knows about its data."""
    with opened(args) as store:
        done = store.admin.optimise(compact=args.compact)
    if args.json:
        emit(terminal, done)
    else:
        terminal.lines(facts(terminal, done.items()))
    return 0


def retention(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show what is older than it is kept for, and delete it when that is asked for."""
    with opened(args) as store:
        lines = store.admin.retention(dry_run=not args.apply, keep=dict(args.keep))
    if args.json:
        emit(terminal, {"applied": args.apply, "lines": lines})
        return 0
    older = [line for line in lines if line.rows]
    if not older:
        terminal.line("Nothing is older than it is kept for.")
        return 0
    columns = [
        Column("kind"),
        Column("before"),
        Column("older", ">"),
        Column("deleted", ">"),
        Column("still needed", ">"),
    ]
    terminal.lines(table(terminal, columns, [_prune_row(line) for line in older]))
    if not args.apply:
        terminal.line(terminal.paint("  Nothing was deleted; --apply does it.", "dim"))
    return 0


def _prune_row(line: PruneLine) -> list[str | Cell]:
    deleted = "" if line.deleted is None else number(line.deleted)
    needed = "" if line.referenced is None else number(line.referenced)
    return [line.kind.replace("_", " "), instant(line.before), number(line.rows), deleted, needed]
