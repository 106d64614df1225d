"""What a clause needs beside the store: the right kind of engine, decided before it is run, and tools, found then."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

from iotstore_conformance.harness import Engine, Harness
from iotstore_conformance.registry import Clause
from iotstore_conformance.stage import Stage
from iotstore_conformance.verdicts import Outcome

_NOBODY: Final = 65_534
#: Engines of each kind, in words.
ENGINES: Final[dict[Engine, str]] = {"embedded": "embedded engines", "server": "servers"}


def excuse(clause: Clause, harness: Harness) -> tuple[Outcome, str] | None:
    """Why *clause* isn't run on *harness*, decided by what the two declare and by nothing else; None when it is.

    Another kind of engine than the clause is about: not applicable. A harness that declares no kind excuses nothing:
    such a clause is not run, and what it belongs to is partial.
    """
    if clause.requires in (None, harness.engine):
        return None
    about = f"it is about {ENGINES[clause.requires]}"
    if harness.engine is None:
        return Outcome.NOT_RUN, f"{about}, and the harness doesn't say what it has (engine=)"
    return Outcome.NOT_APPLICABLE, f"{about}, and the harness declares that it has {ENGINES[harness.engine]}"


def not_run(reason: str) -> NoReturn:
    """Leave a clause that lacks a tool. It counts as not run, with the reason: nothing follows for the backend."""
    pytest.skip(reason)


def file_of(stage: Stage, place: str | None = None) -> Path:
    """The file that holds the store of a place; leaves the clause where the harness doesn't say which."""
    if stage.harness.file is None:
        not_run("the harness doesn't say which file holds a store (file=)")
    return stage.harness.file(place or stage.place)


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Permissions of files bind this thread inside the block, also where the process is root's."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        not_run("permissions don't bind root")
    # The file system's idea of who asks belongs to the thread alone, unlike every other id.
    ask = ctypes.CDLL(None).setfsuid
    ask(_NOBODY)
    try:
        yield
    finally:
        ask(0)
