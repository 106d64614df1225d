"""``iotstore backends``: what is installed, and what each of them can do."""

from __future__ import annotations

import argparse
from collections.abc import Mapping

import iotstore
from iotstore import BackendInfo
from iotstore.backend import CAPABILITY_GROUPS, IMPLIED, Capability
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
    missing = dict(info.unsupported)
    yes, no = Cell(terminal.pick("✓", "yes"), ("green",)), Cell(terminal.pick("✗", "no"), ("yellow",))
    for group, capabilities in CAPABILITY_GROUPS.items():
        terminal.line()
        terminal.line(terminal.paint(f"  {group}", "bold"))
        rows: list[list[str | Cell]] = [
            [no if one in missing else yes, one, _reason(one, missing) if one in missing else meaning]
            for one, meaning in capabilities.items()
        ]
        terminal.lines(table(terminal, [Column(""), Column(""), Column("", wraps=True)], rows))


def _reason(capability: Capability, missing: Mapping[str, str]) -> str:
    parents = [parent for parent in IMPLIED.get(capability, ()) if parent in missing]
    return f"needs {parents[0]}, which is missing" if parents else missing[capability]


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
