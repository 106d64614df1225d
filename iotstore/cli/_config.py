"""``iotstore config``: which settings are in force, and where each of them comes from."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import NamedTuple

from iotstore._config import read_configuration, settle_options
from iotstore._registry import backend_class
from iotstore._urls import HIDDEN, is_secret, parse_url
from iotstore.cli._common import emit
from iotstore.cli._drawing import Cell, Column, table
from iotstore.cli._terminal import Terminal


class Setting(NamedTuple):
    """One setting in force."""

    name: str
    value: object
    source: str
    help: str


def run(args: argparse.Namespace, terminal: Terminal) -> int:
    """Show the URL and every option of its backend. No store is opened, so this works when none can be."""
    said = read_configuration(args.url, {}, Path(args.config) if args.config else None)
    known = backend_class(said.url.scheme).options()
    settled = settle_options(said, known)
    url_source = "--url" if args.url else said.url_source
    settings = [Setting("url", said.url.display, url_source, "the store")]
    if said.kinds:
        settings.append(Setting("kinds", ", ".join(said.kinds), "file", "kinds that plugins offer"))
    if said.relationships is not None:
        where, source = said.relationships
        settings.append(Setting("relationships", parse_url(where).display, source, "the projection of the graph"))
        settings.append(Setting("projector", *said.projector, "whether a thread of the process feeds it"))
    for name, option in known.items():
        value = settled[name]
        shown = HIDDEN if value is not None and (option.secret or is_secret(name)) else value
        source = said.options[name][1] if name in said.options else "default"
        settings.append(Setting(name, shown, source, option.help))
    if args.json:
        emit(terminal, settings)
        return 0
    columns = [Column("setting"), Column("value", wraps=True), Column("from")]
    if args.verbose:
        columns.append(Column("what it is", wraps=True))
    terminal.lines(table(terminal, columns, [_row(setting)[: len(columns)] for setting in settings]))
    return 0


def _row(setting: Setting) -> list[str | Cell]:
    value = "" if setting.value is None else str(setting.value)
    told = setting.source != "default"
    return [setting.name, Cell(value, ("bold",) if told else ()), setting.source, Cell(setting.help, ("dim",))]
