"""Reads that tell how PostgreSQL finds their rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg

from iotstore.backend import Explained, Value
from iotstore_postgres._pool import Execute, Link, Pool
from iotstore_postgres._sessions import PostgresRead
from iotstore_postgres._statements import PostgresStatements

_STREAMED: Final = " CURSOR FOR "
_QUESTIONS: Final = ("SELECT ", "WITH ")


class PostgresExplaining(PostgresRead):
    """Reads in autocommit, each question told of before it is asked. What only opens and ends things is not told."""

    _ask: Execute

    def __init__(self, pool: Pool, statements: PostgresStatements, told: Callable[[Explained], object]) -> None:
        self._told = told
        super().__init__(pool, statements)

    def _take(self, link: Link, statements: PostgresStatements) -> None:
        super()._take(link, statements)
        self._ask, self._execute = self._execute, self._explain_and_ask

    def _explain_and_ask(self, text: str, parameters: Sequence[Value]) -> psycopg.RawCursor[Any]:
        _, streamed, inner = text.partition(_STREAMED)
        question = inner if streamed else text
        if question.startswith(_QUESTIONS):
            plan = self._ask(f"EXPLAIN (COSTS OFF) {question}", parameters).fetchall()
            self._told(Explained(question, tuple(line for (line,) in plan)))
        return self._ask(text, parameters)
