"""Counting what goes to and fro between the store and PostgreSQL, and what the server looks at for it."""

from __future__ import annotations

import ctypes
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch

import psycopg

from counted.meters import Meter
from iotstore_conformance.servers import postgres
from iotstore_postgres._connection import Wire

_BLOCKS: Final = (
    "SELECT coalesce(sum(heap_blks_hit + heap_blks_read + coalesce(idx_blks_hit + idx_blks_read, 0)), 0)::bigint"
    " FROM pg_statio_user_tables"
)


class PostgresMeter(Meter):
    """Statements and round trips as libpq traces them, and the blocks of tables and indexes that were looked at."""

    def __init__(self) -> None:
        self._server = postgres().url
        self._admin = psycopg.connect(self._server, autocommit=True)
        self._watched: list[tuple[Any, int]] = []
        self._traces: list[Path] = []
        self._reader: psycopg.Connection[Any] | None = None
        self._seen: Counter[str] = Counter()
        self.engine = f"postgresql {self._admin.info.server_version // 10_000}"

    @contextmanager
    def place(self, folder: Path) -> Iterator[str]:
        """A place whose connections are watched."""
        name = f"counted_{uuid.uuid4().hex[:12]}"
        self._admin.execute(f'CREATE DATABASE "{name}"'.encode())
        url = self._server.rpartition("/")[0] + f"/{name}"
        connect = Wire.connect

        def watched(*arguments: Any, **named: Any) -> Any:
            connection = connect(*arguments, **named)
            if connection.info.dbname == name:
                file, trace = tempfile.mkstemp(dir=folder)
                self._traces.append(Path(trace))
                self._watched.append((connection, file))
                self._trace(connection, file)
            return connection

        try:
            with patch.object(Wire, "connect", watched), psycopg.connect(url, autocommit=True) as self._reader:
                yield url
        finally:
            self._admin.execute(f'DROP DATABASE "{name}" (FORCE)'.encode())
            self._admin.close()

    def reset(self) -> None:
        """Begin to count."""
        self._seen = self._now()

    def counts(self) -> Mapping[str, int]:
        """What was counted since."""
        now = self._now()
        return {name: now[name] - self._seen[name] for name in ("statements", "round_trips", "blocks")}

    def _trace(self, connection: Any, file: int) -> None:
        connection.pgconn.trace(file)
        connection.pgconn.set_trace_flags(psycopg.pq.Trace.SUPPRESS_TIMESTAMPS)

    def _blocks(self) -> int:
        """What all sessions have looked at by now; each tells of it when it is asked to, and that is not traced."""
        for connection, file in self._watched:
            if not connection.closed:
                connection.pgconn.untrace()
                connection.pgconn.exec_(b"SELECT pg_stat_force_next_flush()")
                connection.pgconn.exec_(b"SELECT 1")  # told when a statement ends after it was asked to
                self._trace(connection, file)
        if self._reader is None:
            raise RuntimeError("nothing is counted outside of a place")
        row = self._reader.execute(_BLOCKS).fetchone()
        return int(row[0]) if row else 0

    def _now(self) -> Counter[str]:
        found: Counter[str] = Counter()
        ctypes.CDLL(None).fflush(None)  # libpq writes what it traces through a buffer of the C library
        found["blocks"] = self._blocks()
        for trace in self._traces:
            for line in trace.read_text("utf-8", "replace").splitlines():
                words = line.split("\t")
                found["statements"] += words[0] == "F" and words[2] in ("Execute", "Query")
                found["round_trips"] += words[0] == "B" and words[2] == "ReadyForQuery"
        return found
