"""Partitions of a table that is cut by time, made by hand as they are needed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from sidebyside.moments import instant

_PARTITIONS: Final = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass"


class Partitions:
    """Those of one table: the *first* begins at a time, and each is as wide as the others."""

    def __init__(self, execute: Callable[..., Any], table: str, width: int, first: int) -> None:
        self._execute = execute
        self._table = table
        self._width, self._first = width, first
        self._known = {name for (name,) in execute(_PARTITIONS, (table,)).fetchall()}

    def number(self, time: int) -> int:
        """Which one a time belongs to; less than 0 lies before the first one."""
        return (time - self._first) // self._width

    def make(self, numbers: Iterable[int]) -> None:
        """Make those that are missing."""
        for number in numbers:
            start = self._first + number * self._width
            name = f"iotstore_{self._table.removeprefix('iotstore_')}_{instant(start):%Y%m%d}"
            if name in self._known:
                continue
            self._execute(f"CREATE TABLE {name} (LIKE {self._table} INCLUDING ALL)")
            end = start + self._width
            self._execute(f"ALTER TABLE {self._table} ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({end})")
            self._known.add(name)
