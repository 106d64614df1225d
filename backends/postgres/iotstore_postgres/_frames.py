"""Where in a program a connection is in use: for health, which names those that are held for too long."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Final

import psycopg

import iotstore
import iotstore_sql

_FRAMES: Final = 24
# What stands between a connection and the code that wanted it.
_OURS: Final = tuple(
    str(Path(file).parent) for file in (iotstore.__file__, iotstore_sql.__file__, __file__, psycopg.__file__)
)


def frames(frame: Any) -> list[tuple[Any, int]]:
    """The callers, without keeping their variables alive. Line numbers are looked up when somebody asks."""
    found: list[tuple[Any, int]] = []
    while frame is not None and len(found) < _FRAMES:
        found.append((frame.f_code, frame.f_lasti))
        frame = frame.f_back
    return found


def told_where(found: list[tuple[Any, int]] | None, thread: int) -> str:
    """File, line and function of the application's code; where nothing was *found* before, where *thread* is now."""
    if found is None:  # a single read
        now = sys._current_frames().get(thread)  # noqa: SLF001 - documented, for exactly this
        found = [] if now is None else frames(now)
    for code, position in found:
        name = code.co_filename
        if not name.startswith(_OURS) and not name.endswith("contextlib.py"):
            line = next((at for start, end, at in code.co_lines() if start <= position < end and at), 0)
            return f"{name}:{line} in {code.co_name}"
    return "iotstore itself" if found else "a thread that has ended"
