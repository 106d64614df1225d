"""Reads that tell how SQLite finds their rows."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

from iotstore.backend import Explained, Value
from iotstore_sqlite._errors import DRIVER_ERRORS, translated
from iotstore_sqlite._pool import Readers
from iotstore_sqlite._sessions import SqliteRead, ended

if TYPE_CHECKING:
    from iotstore_sql import Statements


class SqliteExplaining(SqliteRead):
    """Reads in autocommit, each statement told of before it runs."""

    __slots__ = ("_run", "_told")

    def __init__(self, readers: Readers, statements: Statements, told: Callable[[Explained], object]) -> None:
        super().__init__(readers, statements)
        self._told = told
        self._run = self._execute
        self._execute = self._explain_and_run

    def _explain_and_run(self, text: str, parameters: Sequence[Value] = ()) -> sqlite3.Cursor:
        self._tell(text, parameters)
        cursor: sqlite3.Cursor = self._run(text, parameters)
        return cursor

    def _open_stream(self, text: str, parameters: Sequence[Value]) -> sqlite3.Cursor:
        if self._execute is not ended:
            try:
                self._tell(text, parameters)
            except DRIVER_ERRORS as error:
                raise translated(error) from error
        return super()._open_stream(text, parameters)

    def _tell(self, text: str, parameters: Sequence[Value]) -> None:
        # A cursor of its own: the session's may be in the middle of an answer.
        steps = self._connection.execute(f"EXPLAIN QUERY PLAN {text}", parameters).fetchall()
        self._told(Explained(text, tuple(_indented(steps))))


def _indented(steps: Iterable[tuple[int, int, int, str]]) -> Iterable[str]:
    depths = {0: -1}
    for number, parent, _, detail in steps:
        depths[number] = depths[parent] + 1
        yield "  " * depths[number] + detail
