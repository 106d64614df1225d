"""What can be typed: every command with its arguments. Nothing heavy is imported here, so that --help is quick."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, NoReturn

from iotstore.cli import _arguments as to
from iotstore.cli._plugins import add_commands

_DESCRIPTION: Final = "Look into a store of IoT data, keep it healthy, move it."
_EPILOG: Final = """\
A store is named by --url, by IOTSTORE_URL, or by ./iotstore.toml.
`iotstore commands` lists the commands of plugins as well.
New here? Type: iotstore demo
"""
_TAKES_VALUE: Final = ("-u", "--url", "-c", "--config")
_DEFAULT_ACTION: Final = {"devices": "list"}


class Unfinished(Exception):
    """The command line can't be understood; the text says what to type instead."""


class Command(NamedTuple):
    """One command: its name, its line in the help, the function that runs it, and its arguments."""

    name: str
    help: str
    run: str = ""
    arguments: Callable[[argparse.ArgumentParser], None] = to.simple


class Parser(argparse.ArgumentParser):
    """An argument parser that answers a mistake with one line."""

    def __init__(self, **options: Any) -> None:
        options.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        options.setdefault("allow_abbrev", False)  # a word that works today must not mean something else tomorrow
        super().__init__(**options)
        #: The commands that plugins added, by name, with their line of help.
        self.from_plugins: dict[str, str] = {}

    def error(self, message: str) -> NoReturn:
        """Raise what ``main`` prints in one line with exit code 2."""
        raise Unfinished(f"{message} (see: {self.prog} --help)")


_IN: Final = "iotstore.cli."
COMMANDS: Final = (
    Command("demo", "simulate a home for a week, and show what came of it", "_demo:run", to.demo),
    Command("home", "everything at a glance, from one consistent snapshot", "_home:run", to.home),
    Command("devices", "the devices (list), or one of them (show KEY)"),
    Command("devices list", "the devices, last seen first", "_devices:list_devices", to.list_devices),
    Command("devices show", "one device: values, groups, traffic, alerts", "_devices:show", to.show_device),
    Command("latest", "the latest values of one device, with their course", "_latest:run", to.latest),
    Command("alerts", "the alerts, newest first", "_alerts:run", to.alerts),
    Command("talkers", "who moves the most bytes", "_talkers:run", to.talkers),
    Command("stats", "what is stored, and how much", "_admin:stats", to.simple),
    Command("health", "checks of the store; exit code 1 if one fails", "_admin:health", to.health),
    Command("explain", "how the engine finds an answer: statements and plans", "_explain:run", to.explain),
    Command("verify", "check all data; exit code 1 if it is damaged", "_admin:verify", to.simple),
    Command("optimise", "refresh statistics; --compact gives room back", "_admin:optimise", to.optimise),
    Command("retention", "what is older than it is kept for; --apply deletes it", "_admin:retention", to.retention),
    Command("maintain", "the nightly or weekly work in one command, for cron", "_maintain:run", to.maintain),
    Command("backup", "create, list, verify, rotate and restore backups"),
    Command("backup create", "take a backup and prove it by restoring it", "_backup:create", to.backup_create),
    Command("backup list", "the backups, newest first", "_backup:list_backups", to.backup_list),
    Command("backup verify", "prove that a backup can be restored", "_backup:verify", to.backup_verify),
    Command("backup rotate", "remove old backups, never the last good one", "_backup:rotate", to.backup_rotate),
    Command("backup restore", "make a store from a backup", "_backup:restore", to.backup_restore),
    Command("graph", "a second store that holds the graph: the projection"),
    Command(
        "graph status",
        "how far the projection is; exit code 1 if it must be made anew",
        "_graph:status",
        to.graph_status,
    ),
    Command("graph sync", "bring over what waits; --follow goes on and on", "_graph:sync", to.graph_sync),
    Command(
        "graph verify", "compare both stores; --repair mends; exit code 1 if not", "_graph:verify", to.graph_verify
    ),
    Command("graph rebuild", "make the projection anew from the primary", "_graph:rebuild", to.graph),
    Command("graph clear", "empty the projection, and write no outbox any more", "_graph:clear", to.graph_clear),
    Command("graph export", "write what the projection holds as a script", "_graph:export", to.graph_script),
    Command("graph import", "make an empty projection from such a script", "_graph:take", to.graph_script),
    Command("graph replay", "try again what the projection refused", "_graph:replay", to.graph),
    Command("copy", "copy a whole store to another URL, whatever its engine", "_moving:copy", to.copy),
    Command("migrate", "bring a store to the present version", "_moving:migrate", to.migrate),
    Command("backends", "the installed backends with their capabilities", "_backends:run", to.backends),
    Command("config", "what is in force and where it comes from", "_config:run", to.config),
    Command("commands", "all commands, those of plugins too", "_commands:run", to.simple),
)


def build(*, plugins: bool = False) -> Parser:
    """The whole parser; with *plugins*, their commands too."""
    parser = Parser(prog="iotstore", description=_DESCRIPTION, epilog=_EPILOG)
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and stop")
    add_common(parser, None)
    parser.set_defaults(debug=False)
    top = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    inner: dict[str, Any] = {}
    for command in COMMANDS:
        family, _, action = command.name.partition(" ")
        place = inner[family] if action else top
        made = place.add_parser(action or family, help=command.help, description=_sentence(command.help))
        if command.run:
            add_common(made, argparse.SUPPRESS)  # what stood before the command's name stays
            command.arguments(made)
            made.set_defaults(run=_IN + command.run)
        else:
            inner[family] = made.add_subparsers(title="actions", metavar="ACTION", required=True)
    if plugins:
        parser.from_plugins = add_commands(top)
    return parser


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """Understand the command line. Plugins are asked only when the command is none of ours."""
    at = _first_word(argv)
    word = argv[at] if at is not None else None
    known = {command.name for command in COMMANDS}
    words = list(argv)
    if at is not None and word in _DEFAULT_ACTION and not _asks_for_help(words[at + 1 :]):
        following = words[at + 1] if len(words) > at + 1 else ""
        if f"{word} {following}" not in known:
            words.insert(at + 1, _DEFAULT_ACTION[word])
    return build(plugins=word is not None and word not in known).parse_args(words)


def _asks_for_help(words: Sequence[str]) -> bool:
    return bool(words) and words[0] in ("-h", "--help")


def _first_word(argv: Sequence[str]) -> int | None:
    """Where the command's name stands."""
    at = 0
    while at < len(argv):
        if argv[at] in _TAKES_VALUE:
            at += 2
        elif argv[at].startswith("-"):
            at += 1
        else:
            return at
    return None


def add_common(parser: argparse.ArgumentParser, default: str | None) -> None:
    """The arguments that every command has."""
    group = parser.add_argument_group("which store")
    group.add_argument("-u", "--url", default=default, metavar="URL", help="the store, like sqlite:///home.db")
    group.add_argument(
        "-c", "--config", default=default, metavar="FILE", help="read this file instead of ./iotstore.toml"
    )
    parser.add_argument(
        "--debug", action="store_true", default=argparse.SUPPRESS, help="show where an error was raised"
    )


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."


class _Version(argparse.Action):
    """Prints the installed version."""

    def __call__(self, parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        from importlib.metadata import version

        sys.stdout.write(f"iotstore {version('iotstore')}\n")
        parser.exit()
