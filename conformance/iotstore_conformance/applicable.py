"""Clauses that have nothing to try on some backends: said with the reason, and never taken for a pass."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, NoReturn

import pytest

from iotstore_conformance.stage import Stage

_NOBODY: Final = 65_534


def not_applicable(reason: str) -> NoReturn:
    """Leave a clause that has nothing to try. It counts as not run, with the reason, and never as passed."""
    pytest.skip(f"not applicable: {reason}")


def file_of(stage: Stage, place: str | None = None) -> Path:
    """The file that holds the store of a place; leaves the clause where stores are no files."""
    if stage.harness.file is None:
        not_applicable("the stores of this backend are no files, or its harness doesn't say which (file=)")
    return stage.harness.file(place or stage.place)


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Permissions of files bind this thread inside the block, also where the process is root's."""
    if os.geteuid() != 0:
        yield
        return
    if sys.platform != "linux":
        not_applicable("permissions don't bind root")
    # The file system's idea of who asks belongs to the thread alone, unlike every other id.
    ask = ctypes.CDLL(None).setfsuid
    ask(_NOBODY)
    try:
        yield
    finally:
        ask(0)
