"""Devices, flows and alerts by hand in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, cast

import psycopg

from sidebyside._postgres.partitions import Partitions
from sidebyside.byhand_records import FLOW_COLUMNS, RecordsByHand

_COPY: Final = f"COPY connection ({FLOW_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_TYPES: Final = (
    "text", "int8", "int8", "text", "text", "int8", "text", "text", "text", "int8", "int8", "int8", "int8", "int8",
    "bool",
)  # fmt: skip


@lru_cache(maxsize=256)
def numbered(statement: str) -> str:
    """A statement whose question marks are `$1`, `$2` and so on."""
    first, *rest = statement.split("?")
    return first + "".join(f"${at}{part}" for at, part in enumerate(rest, 1))


class PostgresRecords(RecordsByHand):
    """Devices, flows and alerts, written and read with one connection of ``psycopg``."""

    begin = "BEGIN"
    begin_reading = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY"
    tenth = "least(floor(score * 10)::bigint, 9)"

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        self._cursor = cursor = connection.cursor(binary=True)
        run: Any = cursor.execute

        def execute(statement: str, parameters: Sequence[Any] = ()) -> Any:
            return run(numbered(statement), parameters)

        super().__init__(execute)
        ((width, first),) = run("SELECT width, first FROM iotstore_cuts WHERE name = 'connection'").fetchall()
        self._partitions = Partitions(run, "connection", width, first)

    def tags(self, tags: Sequence[str]) -> object:
        return tags

    def insert_flows(self, flat: list[object], count: int) -> None:
        width = len(_TYPES)
        times = cast("list[int]", flat[1::width])
        self._partitions.make(sorted({self._partitions.number(time) for time in times}))
        with self._cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            write = copy.write_row
            for at in range(0, width * count, width):
                write(flat[at : at + width])
