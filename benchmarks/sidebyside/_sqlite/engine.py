"""SQLite: a file for each side."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from sidebyside._sqlite.backup import back_up
from sidebyside._sqlite.points import SqlitePoints
from sidebyside._sqlite.records import SqliteRecords
from sidebyside.engine import Engine, Places

_SCHEME: Final = "sqlite:///"


def connect(path: Path) -> sqlite3.Connection:
    """A connection with the guarantees that the library gives: WAL, NORMAL, references watched over."""
    connection = sqlite3.connect(path, isolation_level=None, cached_statements=512)
    for pragma in (
        "journal_mode = WAL",
        "synchronous = NORMAL",
        "foreign_keys = ON",
        "cache_size = -16384",
        "temp_store = MEMORY",
        "wal_autocheckpoint = 1000",
        "busy_timeout = 30000",
    ):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def file_of(url: str) -> Path:
    """The file of a place."""
    return Path(url.removeprefix(_SCHEME))


class Sqlite(Engine):
    """Stores of the SQLite backend, and ``sqlite3``."""

    name = "sqlite"
    first_read = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA journal_mode = WAL")
assert connection.execute("SELECT * FROM device WHERE key = ?", (sys.argv[2],)).fetchone()[0] == sys.argv[2]
connection.close()
"""

    @contextmanager
    def places(self, folder: Path) -> Iterator[Places]:
        yield Places(f"{_SCHEME}{folder / 'library.db'}", f"{_SCHEME}{folder / 'by_hand.db'}")

    def copy(self, places: Places) -> None:
        with (
            closing(sqlite3.connect(file_of(places.library))) as source,
            closing(sqlite3.connect(file_of(places.by_hand))) as copy,
        ):
            source.backup(copy)

    def connect(self, url: str) -> sqlite3.Connection:
        return connect(file_of(url))

    def points(self, connection: Any) -> SqlitePoints:
        return SqlitePoints(connection)

    def records(self, connection: Any) -> SqliteRecords:
        return SqliteRecords(connection)

    def rows(self, url: str, table: str, leave_out: Sequence[str]) -> Iterator[object]:
        with closing(sqlite3.connect(file_of(url))) as connection:
            names = [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]
            columns = ", ".join(f'"{name}"' for name in names if name not in leave_out)
            order = ", ".join(str(at + 1) for at in range(columns.count(",") + 1))
            yield from connection.execute(f"SELECT {columns} FROM {table} ORDER BY {order}")  # noqa: S608 - our tables

    def back_up(self, connection: Any, folder: Path, turn: int) -> object:
        return back_up(connection, folder / f"copy-{turn}.db")

    def argument(self, url: str) -> str:
        return str(file_of(url))

    def versions(self) -> dict[str, str | None]:
        return {"sqlite": sqlite3.sqlite_version}

    def settings(self) -> dict[str, str]:
        return {}
