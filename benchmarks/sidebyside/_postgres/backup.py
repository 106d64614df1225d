"""A backup by hand: ``pg_dump``, restored into a scratch database, whose rows are compared with those dumped."""

from __future__ import annotations

import hashlib
import os
import subprocess
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import sql

from iotstore_postgres._tools import Version, tool_for

_JOBS: Final = min(4, os.cpu_count() or 1)
_TABLES: Final = (
    "SELECT relname FROM pg_class WHERE relkind IN ('r', 'p') AND NOT relispartition"
    " AND relnamespace = 'iotstore'::regnamespace ORDER BY relname"
)
_KEY: Final = (
    "SELECT a.attname FROM pg_index AS i, unnest(i.indkey) WITH ORDINALITY AS k(number, position), pg_attribute AS a"
    " WHERE i.indrelid = $1::text::regclass AND i.indisprimary AND a.attrelid = i.indrelid AND a.attnum = k.number"
    " ORDER BY k.position"
)


def back_up(
    connection: psycopg.Connection[Any], target: Path, connect: Callable[[str], psycopg.Connection[Any]]
) -> str:
    """Dump the database while it may be written to, prove the dump, and return the digest of its rows."""
    scratch = f"scratch_{uuid.uuid4().hex[:12]}"
    connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")  # dump and digest see one state
    try:
        ((snapshot,),) = connection.execute("SELECT pg_export_snapshot()").fetchall()
        database = connection.info.dbname
        _run(connection, "pg_dump", database, "--format=custom", f"--snapshot={snapshot}", f"--file={target}")
        expected = digest(connection)
    finally:
        connection.execute("COMMIT")
    name = sql.Identifier(scratch)
    connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE template0").format(name))
    try:
        _run(connection, "pg_restore", scratch, "--exit-on-error", f"--jobs={_JOBS}", str(target))
        with closing(connect(scratch)) as copy:
            if digest(copy) != expected:
                raise RuntimeError("what was restored is not what was dumped")
    finally:
        connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(name))
    return expected


def _run(connection: psycopg.Connection[Any], program: str, database: str, *arguments: str) -> None:
    info = connection.info
    tool = tool_for(program, Version.of(connection))
    command = [str(tool.path), f"--host={info.host}", f"--port={info.port}", f"--username={info.user}"]
    environment = {**os.environ, "PGPASSWORD": info.password}
    command += [f"--dbname={database}", *arguments]
    subprocess.run(command, capture_output=True, check=True, timeout=600, env=environment)


def digest(connection: psycopg.Connection[Any]) -> str:
    """A digest of every row of every table."""
    found = hashlib.blake2b()
    for (table,) in connection.execute(_TABLES).fetchall():
        key = [name for (name,) in connection.execute(_KEY, [table]).fetchall()]
        order = sql.SQL(", ").join(map(sql.Identifier, key))
        ask = sql.SQL("COPY (SELECT * FROM {} ORDER BY {}) TO STDOUT (FORMAT BINARY)")
        with connection.cursor().copy(ask.format(sql.Identifier(table), order if key else sql.SQL("1"))) as copy:
            for chunk in copy:
                found.update(chunk)
    return found.hexdigest()
