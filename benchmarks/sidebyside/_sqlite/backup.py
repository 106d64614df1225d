"""A backup by hand: the online copy of SQLite, checked, and compared row by row with what it was made from."""

from __future__ import annotations

import hashlib
import marshal
import sqlite3
from pathlib import Path


def back_up(connection: sqlite3.Connection, target: Path) -> str:
    """Copy the database while it may be written to, prove the copy, and return the digest of its rows."""
    copy = sqlite3.connect(target, isolation_level=None)
    try:
        connection.execute("BEGIN")  # copy and digest see one state
        try:
            connection.backup(copy)
            expected = digest(connection)
        finally:
            connection.execute("COMMIT")
        (verdict,) = copy.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok" or digest(copy) != expected:
            raise RuntimeError(f"the copy is not what was copied: {verdict}")
    finally:
        copy.close()
    return expected


def digest(connection: sqlite3.Connection) -> str:
    """A digest of every row of every table."""
    found = hashlib.blake2b()
    names = connection.execute(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1"
    )
    for (name,) in names.fetchall():
        key = [row[1] for row in connection.execute(f"PRAGMA table_info({name})") if row[5]]
        order = ", ".join(f'"{column}"' for column in key)
        rows = connection.execute(f"SELECT * FROM {name} ORDER BY {order}")  # noqa: S608 - names of our own tables
        while chunk := rows.fetchmany(1000):
            found.update(marshal.dumps(chunk, 2))
    return found.hexdigest()
