"""``iotstore backends``: what is installed, and what each of them can do."""

from __future__ import annotations

import argparse

import iotstore
from iotstore import BackendInfo
from iotstore.backend import MEANING, Capability
from iotstore.cli._common import emit
from iotstore.cli._drawing import Cell, Column, table
from iotstore.cli._terminal import Terminal


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """List the installed backends. One whose driver is missing is listed with the pip command."""
    found = iotstore.backends()
    if args.json:
        emit(terminal, [_as_json(info) for info in found])
        return 0
    if not found:
        terminal.line("No backend is installed.")
        return 1
    columns = [Column("scheme"), Column("from"), Column("version"), Column("installed"), Column("capabilities", ">")]
    terminal.lines(table(terminal, columns, [_row(info) for info in found]))
    for info in found:
        if info.problem:
            terminal.line()
            terminal.line(f"  {info.scheme}: {info.problem}")
        elif args.verbose:
            _capabilities(terminal, info)
    if not args.verbose:
        terminal.line()
        terminal.line(terminal.paint("  iotstore backends --verbose names every capability.", "dim"))
    return 0


def _row(info: BackendInfo) -> list[str | Cell]:
    ready = Cell("no", ("red",)) if info.problem else Cell("yes", ("green",))
    whole = len(info.supported) + len(info.unsupported)
    return [
        Cell(f"{info.scheme}://", ("bold",)),
        info.distribution,
        info.version,
        ready,
        f"{len(info.supported)} of {whole}",
    ]


def _capabilities(terminal: Terminal, info: BackendInfo) -> None:
    terminal.title(f"{info.scheme}://")
    rows: list[list[str | Cell]] = [
        [Cell(terminal.pick("✓", "yes"), ("green",)), name, MEANING[Capability(name)]] for name in info.supported
    ]
    rows += [[Cell(terminal.pick("✗", "no"), ("yellow",)), name, reason] for name, reason in info.unsupported]
    terminal.lines(table(terminal, [Column(""), Column(""), Column("", wraps=True)], rows))


def _as_json(info: BackendInfo) -> dict[str, object]:
    return {
        "scheme": info.scheme,
        "distribution": info.distribution,
        "version": info.version,
        "installed": info.problem is None,
        "problem": info.problem,
        "supported": info.supported,
        "unsupported": dict(info.unsupported),
    }
