"""What people ask a store about itself: health, integrity, sizes, and putting it in order."""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from iotstore.backend import Check, Corrupt, Layout, Place
from iotstore_sqlite._connection import Tuning, open_file
from iotstore_sqlite._errors import translating
from iotstore_sqlite._files import beside
from iotstore_sqlite._sessions import Session
from iotstore_sqlite._writer import Writer

_LOW_DISK: Final = 64 * 2**20
_MUCH_FREE: Final = 0.25  # of the pages
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def _one(session: Session, text: str) -> int:
    return int(session.rows(text, ())[0][0])


def journal_check(journal: str) -> Check:
    """Whether readers and writers go side by side."""
    if journal == "wal":
        return Check("journal", "ok", "write-ahead log: readers and the writer do not wait for each other")
    return Check(
        "journal",
        "warning",
        f"journal mode is {journal}: the file system does not support a write-ahead log, so readers and the writer wait"
        " for each other; put the file on a local disk",
    )


def health(path: Path, session: Session, tuning: Tuning, journal: str, shown: str) -> list[Check]:
    """Quick looks at the file, its log and its folder."""
    checks = [journal_check(journal)]
    log = beside(path, "-wal")
    size = log.stat().st_size if log.exists() else 0
    limit = tuning.log_limit_mb * 2**20
    state = "warning" if size > 2 * limit else "ok"
    advice = "; a long reader keeps it from being truncated" if state == "warning" else ""
    checks.append(Check("log", state, f"{size} bytes{advice}"))
    free = shutil.disk_usage(path.parent).free
    used = path.stat().st_size
    state = "warning" if free < max(_LOW_DISK, used // 10) else "ok"
    checks.append(Check("disk", state, f"{free} bytes free beside {used} used"))
    mode = stat.S_IMODE(path.stat().st_mode)
    state = "warning" if mode & _OTHERS else "ok"
    advice = f"; close it to others with: chmod 600 {shown}" if mode & _OTHERS else ""
    checks.append(Check("permissions", state, f"{mode:04o}{advice}"))
    pages, unused = _one(session, "PRAGMA page_count"), _one(session, "PRAGMA freelist_count")
    share = unused / pages if pages else 0.0
    state = "warning" if share > _MUCH_FREE and pages > 1_000 else "ok"
    advice = "; give it back with: iotstore optimise --compact" if state == "warning" else ""
    checks.append(Check("free pages", state, f"{share:.0%} of {pages} pages{advice}"))
    on = _one(session, "PRAGMA foreign_keys") == 1
    checks.append(Check("foreign keys", "ok" if on else "failed", "on" if on else "off"))
    return checks


def verify(session: Session) -> list[Check]:
    """Read everything: the structure of the file, then every reference."""
    checks: list[Check] = []
    try:
        found = [str(row[0]) for row in session.rows("PRAGMA integrity_check", ())]
    except Corrupt as error:  # so damaged that the check itself gives up
        return [Check("integrity", "failed", str(error))]
    checks.append(
        Check("integrity", "ok", "every page, index and value is well formed")
        if found == ["ok"]
        else Check("integrity", "failed", "; ".join(found[:10]))
    )
    broken = session.rows("PRAGMA foreign_key_check", ())
    checks.append(
        Check("references", "ok", "every reference points to a record")
        if not broken
        else Check("references", "failed", f"{len(broken)} point nowhere; first: {broken[0][0]} to {broken[0][2]}")
    )
    return checks


def places(session: Session, layouts: Sequence[Layout]) -> list[Place]:
    """Rows of each layout and of the points, with bytes where this SQLite can tell."""
    names = [(layout.name, layout.name) for layout in layouts] + [("points", "iotstore_points")]
    return [Place(name, _rows(session, table), _bytes(session, table)) for name, table in names]


def _rows(session: Session, table: str) -> int:
    quoted = table.replace('"', '""')
    return _one(session, f'SELECT count(*) FROM "{quoted}"')  # noqa: S608 - quoted


def _bytes(session: Session, table: str) -> int | None:
    if not session.rows("SELECT 1 FROM pragma_module_list WHERE name = 'dbstat'", ()):
        return None  # compiled into most builds of SQLite, not into all
    found = session.rows(
        "SELECT sum(pgsize) FROM dbstat WHERE aggregate = TRUE"
        " AND name IN (SELECT name FROM sqlite_schema WHERE tbl_name = ?)",
        (table,),
    )
    return int(found[0][0] or 0)


def optimise(writer: Writer, path: Path, *, compact: bool) -> dict[str, str]:
    """Refresh statistics, copy the log into the file, and with *compact* give free pages back."""
    done: dict[str, str] = {}
    with translating():
        connection = writer.begin()
        try:
            # All tables, but at most so many rows of each index: exact enough, and quick at any size.
            connection.execute("PRAGMA analysis_limit = 1000")
            connection.execute("ANALYZE")
        except BaseException:
            writer.end()
            raise
        writer.commit()
        done["statistics"] = "refreshed"
        if compact:
            done["compact"] = _compact(writer, path)
        with_log = writer.alone(_checkpoint)
        done["log"] = "copied into the file" if with_log else "in use by a reader; it will be copied later"
    return done


def _compact(writer: Writer, path: Path) -> str:
    before = path.stat().st_size + writer.log_size()

    def run(connection: sqlite3.Connection) -> None:
        connection.execute("VACUUM")
        _checkpoint(connection)

    writer.alone(run)
    saved = before - path.stat().st_size - writer.log_size()
    return f"{max(saved, 0)} bytes given back"


def _checkpoint(connection: sqlite3.Connection) -> bool:
    busy, *_ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def settle(path: Path) -> None:
    """Copy the log into a file that nobody uses and remove it; locked if somebody does."""
    connection = open_file(path, "rw", timeout=1.0)
    try:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        connection.execute("PRAGMA journal_mode = DELETE").fetchall()
    finally:
        connection.close()
