"""Commands of plugins: asked for only when a word is typed that is no command of ours, or by ``iotstore commands``."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from iotstore.errors import ConfigurationError

if TYPE_CHECKING:
    import pluggy

GROUP = "iotstore.plugins"


def add_commands(commands: Any) -> dict[str, str]:
    """Let every installed plugin add its commands by the hook ``iotstore_commands``; returns their lines of help."""
    before = set(commands.choices)
    manager = _plugins()
    for found in manager.hook.iotstore_commands.get_hookimpls():
        try:
            found.function(*[commands for _ in found.argnames])
        except (argparse.ArgumentError, ValueError) as error:  # Python 3.11 let a second command replace the first
            raise ConfigurationError(
                f"plugin {found.plugin_name} can't add its commands: {error}",
                hint="uninstall it, or ask its author to choose other names",
            ) from error
    found_help: dict[str, str] = {}
    for choice in commands._choices_actions:  # noqa: SLF001 - argparse has no other place where a command's help is kept
        name = str(choice.dest)
        if name in before:
            continue
        if not callable(commands.choices[name].get_default("run")):
            raise ConfigurationError(
                f"a plugin adds the command {name!r} without saying what runs it",
                hint="its author has to call set_defaults(run=function) on the command's parser",
            )
        found_help[name] = str(choice.help or "")
    return found_help


def _plugins() -> pluggy.PluginManager:
    """The installed plugins, loaded."""
    from importlib.metadata import entry_points

    import pluggy

    from iotstore import hookspecs

    manager = pluggy.PluginManager("iotstore")
    manager.add_hookspecs(hookspecs)
    for entry in entry_points(group=GROUP):
        try:
            plugin = entry.load()
        except Exception as error:  # a stranger's module may fail in any way
            raise ConfigurationError(
                f"plugin {entry.name} can't be loaded: {type(error).__name__}: {error}", hint="mend or uninstall it"
            ) from error
        if not manager.is_registered(plugin):
            manager.register(plugin, name=entry.name)
    return manager
