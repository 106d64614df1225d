"""Devices, flows and alerts by hand in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Final

from sidebyside.byhand_records import FLOW_COLUMNS, RecordsByHand, insert_text

_ROWS: Final = 500  # of one statement


class SqliteRecords(RecordsByHand):
    """Devices, flows and alerts, written and read with one connection of ``sqlite3``."""

    begin = "BEGIN IMMEDIATE"
    begin_reading = "BEGIN"
    tenth = "min(CAST(score * 10 AS INTEGER), 9)"

    def __init__(self, connection: sqlite3.Connection) -> None:
        super().__init__(connection.execute)

    def tags(self, tags: Sequence[str]) -> object:
        return "\n" + "\n".join(tags) + "\n"

    def insert_flows(self, flat: list[object], count: int) -> None:
        table, width = f"connection ({FLOW_COLUMNS})", 15
        full = insert_text(table, width, _ROWS)
        rest = count % _ROWS
        for at in range(0, width * (count - rest), width * _ROWS):
            self.execute(full, flat[at : at + width * _ROWS])
        if rest:
            self.execute(insert_text(table, width, rest), flat[width * (count - rest) :])
