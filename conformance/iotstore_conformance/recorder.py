"""Which errors of the library a clause made the store raise."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any, Final

from iotstore import StoreError

_OURS: Final = "iotstore_conformance"


@contextmanager
def recorded_errors() -> Iterator[set[str]]:
    """The names of the error classes that are made while the block runs, by anybody but the suite itself."""
    seen: set[str] = set()
    made = StoreError.__init__

    @wraps(made)
    def record(self: StoreError, *args: Any, **options: Any) -> None:
        frame = sys._getframe(1)  # noqa: SLF001 - the only way to know who makes it
        while frame.f_back is not None and frame.f_code.co_name == "__init__" and frame.f_locals.get("self") is self:
            frame = frame.f_back  # the constructors of its own classes
        if not str(frame.f_globals.get("__name__")).startswith(_OURS):
            seen.add(type(self).__name__)
        made(self, *args, **options)

    StoreError.__init__ = record  # type: ignore[method-assign]  # every error of the library passes here
    try:
        yield seen
    finally:
        StoreError.__init__ = made  # type: ignore[method-assign]  # as above
