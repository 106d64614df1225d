"""``iotstore commands``: every command in one list, with those that plugins add."""

from __future__ import annotations

import argparse
from typing import NamedTuple

from iotstore.cli._common import emit
from iotstore.cli._drawing import Column, table
from iotstore.cli._parser import COMMANDS, build
from iotstore.cli._terminal import Terminal


class Line(NamedTuple):
    """A command, what it does, and whose it is."""

    command: str
    help: str
    origin: str


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """List the commands. Here plugins are loaded; ``--help`` stays quick without them."""
    lines = [Line(command.name, command.help, "iotstore") for command in COMMANDS if command.run]
    lines += [Line(name, help_text, "a plugin") for name, help_text in build(plugins=True).from_plugins.items()]
    if args.json:
        emit(terminal, lines)
        return 0
    rows = [[line.command, line.help, line.origin] for line in lines]
    terminal.lines(table(terminal, [Column("command"), Column("what it does", wraps=True), Column("from")], rows))
    return 0
