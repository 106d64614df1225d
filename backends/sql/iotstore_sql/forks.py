"""Stores in a forked child: refused there by name, and nothing of their parent's is touched."""

from __future__ import annotations

import os
import weakref
from collections.abc import Callable
from typing import Final, Protocol

from iotstore.backend import NotAllowed

Refusal = Callable[[], NotAllowed]


class Inherited(Protocol):
    """What is known of a backend whose process was forked."""

    def abandon(self, refusal: Refusal) -> object:
        """In the child: refuse every later call with this error. Returns what must neither be used nor closed."""
        ...


# Open backends, and the processes that opened them.
_open: Final[weakref.WeakKeyDictionary[Inherited, int]] = weakref.WeakKeyDictionary()
# Kept for as long as the child lives: closing a connection would touch what its parent has.
_kept: Final[list[object]] = []


def opened(backend: Inherited) -> None:
    """A backend was opened by this process."""
    _open[backend] = os.getpid()


def closed(backend: Inherited) -> None:
    """It was closed: a child has nothing of it."""
    _open.pop(backend, None)


def _refusal(parent: int, child: int) -> Refusal:
    return lambda: NotAllowed(
        f"the store was opened in process {parent} and can't be used in its fork {child}",
        hint="open it again in the new process",
    )


def _forked() -> None:
    for backend, parent in list(_open.items()):
        _kept.append((backend, backend.abandon(_refusal(parent, os.getpid()))))


os.register_at_fork(after_in_child=_forked)
