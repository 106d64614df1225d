"""Every hook, as a table of contents: a signature and a sentence each. Implement them with ``iotstore.hookimpl``.

A backend's module is found by the entry point group ``iotstore.backends``, whose names are URL schemes; other plugins
by ``iotstore.plugins``, and only those that ``open(..., plugins=[...])`` or ``kinds=["name"]`` asks for.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from typing import Any

import pluggy  # noqa: TID253 - loaded by open() and by plugins only

from iotstore._engine.changes import Change
from iotstore._engine.transaction import Transaction
from iotstore._kinds.kind import Kind
from iotstore._waist.contract import Backend

hookspec = pluggy.HookspecMarker("iotstore")
hookimpl = pluggy.HookimplMarker("iotstore")


@hookspec(firstresult=True)
def iotstore_backend() -> type[Backend] | None:
    """The backend class of this plugin. Import the driver here, not at the top of the module."""


@hookspec
def iotstore_kinds() -> Iterable[Kind[Any]]:  # type: ignore[empty-body]  # a specification has no body
    """Kinds that this plugin offers by name. Only those named in ``open(..., kinds=[...])`` become part of a store."""


@hookspec
def iotstore_before_commit(transaction: Transaction, changes: tuple[Change, ...]) -> None:
    """Last before commit, once per transaction with changes. What it writes is part of it; what it raises undoes it."""


@hookspec
def iotstore_after_commit(changes: tuple[Change, ...]) -> None:
    """After commit. The changes are there already; what it raises is logged."""


@hookspec
def iotstore_commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],  # pyright: ignore[reportPrivateUsage]  # unnamed in argparse
) -> None:
    """Add commands to the command line; a parser's default ``run`` is called with the parsed arguments."""
