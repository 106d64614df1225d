"""Commands that plugins add: found when they are typed, listed when asked for, and never in the way."""

import argparse
import importlib.metadata
import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from iotstore import NotFound, hookimpl

Cli = Callable[..., Any]  # the fixture: words to an answer with code, out, err and json
Install = Callable[[object], None]


class Greeting:
    """A plugin with one command."""

    def __init__(self) -> None:
        self.asked = 0

    @hookimpl
    def iotstore_commands(self, commands: Any) -> None:
        self.asked += 1
        parser = commands.add_parser("greet", help="say hello")
        parser.add_argument("name")
        parser.set_defaults(run=self.greet)

    def greet(self, args: argparse.Namespace) -> int | None:
        if args.name == "nobody":
            raise NotFound("person", args.name)
        sys.stdout.write(f"Hello, {args.name}. {args.url}\n")
        return 3 if args.name == "three" else None


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Make an object look like an installed plugin."""

    def put(plugin: object) -> None:
        def load() -> object:
            if isinstance(plugin, Exception):
                raise plugin
            return plugin

        entry = SimpleNamespace(name="greeting", load=load)
        real = importlib.metadata.entry_points
        monkeypatch.setattr(
            importlib.metadata,
            "entry_points",
            lambda **which: [entry] if which == {"group": "iotstore.plugins"} else real(**which),
        )

    return put


def test_a_plugin_adds_a_command_and_its_return_is_the_exit_code(cli: Cli, install: Install) -> None:
    install(Greeting())

    assert (cli("greet", "Maya").code, cli("greet", "three").code) == (0, 3)
    assert cli("-u", "sqlite:///home.db", "greet", "Maya").out == "Hello, Maya. sqlite:///home.db\n"


def test_an_error_of_a_plugins_command_is_one_line(cli: Cli, install: Install) -> None:
    install(Greeting())
    answer = cli("greet", "nobody")

    assert (answer.code, answer.err) == (1, "iotstore: no person with key 'nobody'\n")


def test_plugins_are_asked_only_when_a_word_is_none_of_our_commands(cli: Cli, install: Install) -> None:
    plugin = Greeting()
    install(plugin)
    cli("--help")
    cli("backends")
    cli("alerts", "--help")
    assert plugin.asked == 0

    cli("greet", "Maya")
    assert plugin.asked == 1


def test_commands_lists_those_of_plugins_with_their_help(cli: Cli, install: Install) -> None:
    install(Greeting())

    assert {"command": "greet", "help": "say hello", "origin": "a plugin"} in cli("commands", "--json").json


def test_a_mistyped_command_is_wrong_usage_whatever_is_installed(cli: Cli, install: Install) -> None:
    install(Greeting())
    answer = cli("gret")

    assert answer.code == 2
    assert "invalid choice: 'gret'" in answer.err


def test_a_plugin_that_can_not_be_loaded_is_named_and_in_nobodys_way(cli: Cli, install: Install) -> None:
    install(ImportError("no module named 'lost'"))
    answer = cli("greet")

    assert answer.code == 1
    assert "plugin greeting can't be loaded: ImportError: no module named 'lost'" in answer.err
    assert cli("backends").code == 0


class Thief:
    """A plugin that wants one of our commands."""

    @hookimpl
    def iotstore_commands(self, commands: Any) -> None:
        commands.add_parser("health", help="steal").set_defaults(run=print)


class Idle:
    """A plugin whose command does nothing."""

    @hookimpl
    def iotstore_commands(self, commands: Any) -> None:
        commands.add_parser("idle", help="do nothing")


def test_a_plugin_can_not_replace_a_command_of_ours(cli: Cli, install: Install) -> None:
    install(Thief())
    answer = cli("steal")

    assert answer.code == 1
    assert "plugin greeting can't add its commands" in answer.err
    assert "health" in answer.err


def test_a_command_that_nothing_runs_is_refused(cli: Cli, install: Install) -> None:
    install(Idle())
    answer = cli("idle")

    assert answer.code == 1
    assert "adds the command 'idle' without saying what runs it" in answer.err
