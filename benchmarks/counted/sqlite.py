"""Counting what SQLite does."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from counted.meters import Meter


class SqliteMeter(Meter):
    """Statements, and steps: how often SQLite's virtual machine came to a place where it asks whether to go on, which
    is about once in a turn of its loops."""

    def __init__(self) -> None:
        self.engine = f"sqlite {sqlite3.sqlite_version}"
        self._found: Counter[str] = Counter()

    @contextmanager
    def place(self, folder: Path) -> Iterator[str]:
        """A place whose connections are watched."""
        connect = sqlite3.connect

        def watched(*arguments: Any, **named: Any) -> sqlite3.Connection:
            connection: sqlite3.Connection = connect(*arguments, **named)
            connection.set_trace_callback(self._statement)
            connection.set_progress_handler(self._step, 1)
            return connection

        with patch.object(sqlite3, "connect", watched):
            yield f"sqlite:///{folder / 'counted.db'}"

    def reset(self) -> None:
        """Begin to count."""
        self._found = Counter(statements=0, steps=0)

    def counts(self) -> Mapping[str, int]:
        """What was counted since."""
        return dict(self._found)

    def _statement(self, _: str) -> None:
        self._found["statements"] += 1

    def _step(self) -> int:
        self._found["steps"] += 1
        return 0
