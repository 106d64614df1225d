"""PostgreSQL: a database for each side on one server, the second one copied from the first."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from iotstore_conformance.servers import postgres
from sidebyside._postgres.backup import back_up
from sidebyside._postgres.cores import on_one_core
from sidebyside._postgres.points import PostgresPoints
from sidebyside._postgres.records import PostgresRecords
from sidebyside.engine import Engine, Places

# What sessions of the library have too.
_OPTIONS: Final = (
    "-c search_path=iotstore -c timezone=UTC -c lock_timeout=30s -c statement_timeout=300s"
    " -c idle_in_transaction_session_timeout=360s"
)
#: Settings of the server that decide how fast it can be, and how safe what it acknowledged is.
_SETTINGS: Final = (
    "fsync", "synchronous_commit", "full_page_writes", "shared_buffers", "work_mem", "max_wal_size", "wal_level", "jit",
)  # fmt: skip
_COLUMNS: Final = (
    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"
)


_FIRST_READ: Final = """
import psycopg, sys
with psycopg.connect(sys.argv[1], autocommit=True, options={options!r}) as connection:
    assert connection.execute("SELECT * FROM device WHERE key = %s", (sys.argv[2],)).fetchone()[0] == sys.argv[2]
"""
_SERVING: Final = (
    "SELECT pid, datname FROM pg_stat_activity WHERE datname = ANY(%s) AND backend_type = 'client backend'"
)


class Postgres(Engine):
    """Stores of the PostgreSQL backend, and ``psycopg``."""

    name = "postgresql"
    first_read = _FIRST_READ.format(options=_OPTIONS)

    def __init__(self) -> None:
        postgres()  # starts a server, or says why it cannot

    @contextmanager
    def places(self, folder: Path) -> Iterator[Places]:  # noqa: ARG002 - these places are databases
        name = f"bench_{uuid.uuid4().hex[:12]}"
        places = Places(_url(f"{name}_library"), _url(f"{name}_by_hand"))
        self._run("CREATE DATABASE {}", places.library)
        try:
            yield places
        finally:
            for url in places:
                self._run("DROP DATABASE IF EXISTS {} (FORCE)", url)

    def copy(self, places: Places) -> None:
        with psycopg.connect(places.library, autocommit=True) as connection:
            # What autovacuum would do a minute later, in the midst of a benchmark.
            connection.execute("VACUUM (ANALYZE)")
        self._run("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY", places.by_hand, places.library)

    def connect(self, url: str) -> psycopg.Connection[Any]:
        connection = psycopg.connect(url, autocommit=True, options=_OPTIONS, cursor_factory=psycopg.RawCursor)
        connection.prepare_threshold = 3
        connection.prepared_max = 256
        return connection

    def points(self, connection: Any) -> PostgresPoints:
        return PostgresPoints(connection)

    def records(self, connection: Any) -> PostgresRecords:
        return PostgresRecords(connection)

    @contextmanager
    def settled(self, places: Places) -> Iterator[None]:
        names = [urlsplit(url).path.removeprefix("/") for url in places]
        with psycopg.connect(postgres().url, autocommit=True) as connection:
            found = connection.execute(_SERVING, [names]).fetchall()
        with on_one_core([(pid, database) for pid, database in found]):
            yield

    def rows(self, url: str, table: str, leave_out: Sequence[str]) -> Iterator[object]:
        with psycopg.connect(url, autocommit=True, options=_OPTIONS) as connection:
            names = [name for (name,) in connection.execute(_COLUMNS, [table]).fetchall() if name not in leave_out]
            columns = sql.SQL(", ").join(map(sql.Identifier, names))
            ask = sql.SQL("COPY (SELECT {0} FROM {1} ORDER BY {0}) TO STDOUT")
            with connection.cursor().copy(ask.format(columns, sql.Identifier(table))) as copy:
                for line in copy:
                    yield bytes(line)

    def back_up(self, connection: Any, folder: Path, turn: int) -> object:
        return back_up(connection, folder / f"copy-{turn}.dump", lambda name: self.connect(_url(name)))

    def argument(self, url: str) -> str:
        return url

    def versions(self) -> dict[str, str | None]:
        return {"postgresql": postgres().version.removeprefix("PostgreSQL "), "psycopg": psycopg.__version__}

    def settings(self) -> dict[str, str]:
        with closing(psycopg.connect(postgres().url)) as connection:
            return {name: self._setting(connection, name) for name in _SETTINGS}

    @staticmethod
    def _setting(connection: psycopg.Connection[Any], name: str) -> str:
        ((value,),) = connection.execute("SELECT current_setting(%s)", [name]).fetchall()
        return str(value)

    @staticmethod
    def _run(statement: LiteralString, *urls: str) -> None:
        names = [sql.Identifier(urlsplit(url).path.removeprefix("/")) for url in urls]
        with psycopg.connect(postgres().url, autocommit=True) as connection:
            connection.execute(sql.SQL(statement).format(*names))


def _url(database: str) -> str:
    return urlsplit(postgres().url)._replace(path=f"/{database}").geturl()
