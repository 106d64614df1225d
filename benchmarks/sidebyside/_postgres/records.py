"""Devices, flows and alerts by hand in PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final, cast

import psycopg

from sidebyside.byhand_records import FLOW_COLUMNS, RecordsByHand
from sidebyside.moments import instant

_COPY: Final = f"COPY connection ({FLOW_COLUMNS}) FROM STDIN (FORMAT BINARY)"
_TYPES: Final = (
    "text", "int8", "int8", "text", "text", "int8", "text", "text", "text", "int8", "int8", "int8", "int8", "int8",
    "bool",
)  # fmt: skip

_PARTITIONS: Final = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'connection'::regclass"


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
        ((self._cut, self._from),) = run("SELECT width, first FROM iotstore_cuts WHERE name = 'connection'").fetchall()
        self._partitions = {name for (name,) in run(_PARTITIONS).fetchall()}

    def tags(self, tags: Sequence[str]) -> object:
        return tags

    def insert_flows(self, flat: list[object], count: int) -> None:
        width = len(_TYPES)
        self._make_partitions(cast("list[int]", flat[1::width]))
        with self._cursor.copy(_COPY) as copy:
            copy.set_types(_TYPES)
            write = copy.write_row
            for at in range(0, width * count, width):
                write(flat[at : at + width])

    def _make_partitions(self, times: Sequence[int]) -> None:
        for number in sorted({(time - self._from) // self._cut for time in times}):
            start = self._from + number * self._cut
            name = f"iotstore_connection_{instant(start):%Y%m%d}"
            if name in self._partitions:
                continue
            self.execute(f"CREATE TABLE {name} (LIKE connection INCLUDING ALL)")
            self.execute(
                f"ALTER TABLE connection ATTACH PARTITION {name} FOR VALUES FROM ({start}) TO ({start + self._cut})"
            )
            self._partitions.add(name)
