"""How the contract suite opens stores of this backend: a schema for each on the server that the suite offers."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import parse_qsl, urlencode, urlsplit

import psycopg
from psycopg import sql

import iotstore
from iotstore import Store
from iotstore.cli.plugins import store_settings
from iotstore_conformance import Harness
from iotstore_conformance.kinds import KINDS
from iotstore_conformance.servers import VARIABLE, postgres, server_url
from iotstore_postgres import _citus_setup
from iotstore_postgres._hypertable import Wanted, setup

#: Set in the environment, to anything: every store of the suite gets its points in a hypertable before its first use.
#: Each has a database of its own then: TimescaleDB can't dump a hypertable out of a database that holds more.
HYPERTABLES: Final = "IOTSTORE_TEST_HYPERTABLES"
#: Set in the environment, to a number of shards: every store of the suite is distributed before its first use.
SHARDS: Final = "IOTSTORE_TEST_SHARDS"
_PATIENCE: Final = 5.0  # seconds for the server to notice that its clients have gone

# The statements that make the tables of a schema, in order. Everything is asked with the schema in the search path,
# so nothing is written with its name.
_MADE: Final[tuple[LiteralString, ...]] = (
    (
        "SELECT format('CREATE TABLE %I (%s)%s%s', c.relname, (SELECT string_agg(format('%I %s%s%s', a.attname,"
        " format_type(a.atttypid, a.atttypmod), ' COLLATE ' || quote_ident(nullif(l.collname, 'default')),"
        " CASE WHEN a.attnotnull THEN ' NOT NULL' END), ', ' ORDER BY a.attnum) FROM pg_attribute a"
        " LEFT JOIN pg_collation l ON l.oid = a.attcollation WHERE a.attrelid = c.oid AND a.attnum > 0"
        " AND NOT a.attisdropped), ' PARTITION BY ' || pg_get_partkeydef(c.oid),"
        " ' WITH (' || array_to_string(c.reloptions, ', ') || ')') FROM pg_class c WHERE relkind IN ('r', 'p')"
        " AND NOT relispartition AND relnamespace = current_schema()::regnamespace"
    ),
    (
        "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', o.conrelid::regclass, o.conname,"
        " pg_get_constraintdef(o.oid)) FROM pg_constraint o JOIN pg_class c ON c.oid = o.conrelid"
        " WHERE contype IN ('p', 'u', 'c', 'f') AND conparentid = 0 AND NOT c.relispartition"
        " AND connamespace = current_schema()::regnamespace ORDER BY contype DESC, o.conname"
    ),
    (
        "SELECT regexp_replace(pg_get_indexdef(i.indexrelid), ' ON (ONLY )?' || quote_ident(current_schema()) || '.',"
        " ' ON ')"
        " FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid WHERE NOT c.relispartition"
        " AND NOT EXISTS (SELECT 1 FROM pg_constraint o WHERE o.conindid = i.indexrelid AND o.contype IN ('p', 'u'))"
        " AND c.relnamespace = current_schema()::regnamespace"
    ),
    (
        "SELECT format('CREATE TABLE %I PARTITION OF %s %s', c.relname, i.inhparent::regclass,"
        " pg_get_expr(c.relpartbound, c.oid)) FROM pg_class c JOIN pg_inherits i ON i.inhrelid = c.oid"
        " WHERE c.relkind = 'r' AND c.relispartition AND c.relnamespace = current_schema()::regnamespace"
    ),
)


@contextmanager
def _asking(place: str | None = None) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url() if place is None else _database(place), autocommit=True) as connection:
        yield connection


def _database(place: str) -> str:
    """The URL of the database that a place lies in."""
    url = server_url()
    return urlsplit(url)._replace(path=f"/{place}").geturl() if HYPERTABLES in os.environ else url


def _use(connection: psycopg.Connection[Any], place: str) -> None:
    connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [place])


def _url(place: str) -> str:
    url = _database(place)
    return f"{url}{'&' if '?' in url else '?'}schema={place}&application_name={place}"


def _fresh() -> str:
    place = f"iotstore_suite_{uuid.uuid4().hex[:12]}"
    if HYPERTABLES in os.environ:
        names = map(sql.Identifier, (place, _template()))
        with _asking() as connection:
            connection.execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(*names))
    return place


@cache
def _template() -> str:
    """A database that has nothing but TimescaleDB, for others to be copies of: setting that up takes a second."""
    name = f"iotstore_template_{uuid.uuid4().hex[:12]}"
    quoted = sql.Identifier(name)
    with _asking() as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(quoted))
        atexit.register(_drop_template, name)
        with _asking(name) as inside:
            inside.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        # Nobody is in it any more, TimescaleDB's own workers included: else it can't be copied.
        connection.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(quoted))
        connection.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s", [name])
    return name


def _drop_template(name: str) -> None:
    with suppress(psycopg.OperationalError), _asking() as connection:  # a server that is gone took it along
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} (FORCE)").format(sql.Identifier(name)))


@cache
def _empty() -> bytes:
    """The statements that make an empty store with the suite's kinds, as the backend itself once made it."""
    place = _fresh()
    iotstore.open(_url(place), kinds=KINDS).close()
    with _asking(place) as connection:
        _use(connection, place)
        texts = [row[0] for ask in _MADE for row in connection.execute(ask).fetchall()]
        tables = connection.execute(
            "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = current_schema()::regnamespace"
        ).fetchall()
        for (table,) in tables:
            name = sql.Identifier(table)
            ask = sql.SQL("SELECT format('INSERT INTO {0} SELECT ((%L)::{0}).*', t) FROM {0} t").format(name)
            texts += [row[0] for row in connection.execute(ask).fetchall()]
    _drop(place)
    return ";".join(texts).encode()


def _open(url: str, **options: object) -> Store:
    fresh = False
    if HYPERTABLES in os.environ or SHARDS in os.environ:
        with suppress(psycopg.OperationalError):  # a server that is dead is the backend's to tell of
            fresh = _is_fresh(url.rpartition("application_name=")[2])
    store = _open_plain(url, **options)
    if fresh and SHARDS in os.environ:
        return _distributed(store, url, **options)
    if fresh:
        _, settings = store_settings(argparse.Namespace(url=url, config=None))
        setup(settings, Wanted(), force=True, dry_run=False)
    return store


def _distributed(store: Store, url: str, **options: object) -> Store:
    store.close()
    _, settings = store_settings(argparse.Namespace(url=url, config=None))
    wanted = _citus_setup.Wanted(shards=int(os.environ[SHARDS]))
    _citus_setup.setup(settings, wanted, force=False, dry_run=False)
    return _open_plain(url, **options)


def _is_fresh(place: str) -> bool:
    with _asking(place) as connection:
        return connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", [place]).fetchone() == (True,)


def _open_plain(url: str, **options: object) -> Store:
    # Making the schema anew is most of the time of a short clause: a new place starts as a copy of an empty store.
    if options.get("kinds") == list(KINDS) and options.get("create", True):
        made, place = _empty(), url.rpartition("application_name=")[2]
        if _is_fresh(place):
            with _asking(place) as connection:
                _use(connection, place)
                with connection.transaction():
                    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place)))
                    connection.execute(made)
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


def _drop(place: str) -> None:
    with _asking() as connection:
        own = HYPERTABLES in os.environ
        # Migrations that delete take a backup first, which lies in the working directory.
        taken = Path("backups", f"{place if own else connection.info.dbname}.{place}")
        shutil.rmtree(taken, ignore_errors=True)
        with suppress(OSError):
            taken.parent.rmdir()
        if not own:
            connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(place)))
            return
        # A restore leaves the database that it replaced beside it, under a name that begins alike.
        names = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [place]).fetchall()
        for (name,) in names:
            connection.execute(sql.SQL("DROP DATABASE {} (FORCE)").format(sql.Identifier(name)))


def _foreign(url: str) -> Callable[[], object]:
    """A table of another application in the schema of the URL, under a name that a store uses too."""
    parts = urlsplit(url)
    options = dict(parse_qsl(parts.query))
    schema = options.pop("schema", "public")
    known = {option.keyword.decode() for option in psycopg.pq.Conninfo.get_defaults()} - {"application_name"}
    plain = urlencode({name: value for name, value in options.items() if name in known})

    @contextmanager
    def there() -> Iterator[psycopg.Connection[Any]]:
        with psycopg.connect(parts._replace(query=plain).geturl(), autocommit=True) as connection:
            _use(connection, schema)
            yield connection

    def read() -> object:
        with there() as connection:
            tables = connection.execute(
                "SELECT relname, relkind FROM pg_class WHERE relnamespace = current_schema()::regnamespace ORDER BY 1"
            ).fetchall()
            return tables, connection.execute("TABLE device").fetchall()

    with there() as connection:
        connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
        connection.execute("CREATE TABLE device (theirs text)")
        connection.execute("INSERT INTO device VALUES ('kept')")
    return read


def _connections(place: str) -> int:
    until = time.monotonic() + _PATIENCE
    with _asking() as connection:
        while True:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE application_name = %s", [place]
            ).fetchone()
            if row is None or not row[0] or time.monotonic() > until:
                return int(row[0]) if row else 0
            # A client that is gone is noticed a moment later.
            connection.execute("SELECT pg_sleep(0.01)")


def _address(_: str) -> tuple[str, int]:
    with _asking() as connection:
        return connection.info.host, connection.info.port


harness = Harness(
    "postgresql",
    fresh=_fresh,
    url=_url,
    drop=_drop,
    open=_open,
    address=_address,
    kill=lambda _: postgres().kill(),
    start=lambda _: postgres().start(),
    connections=_connections,
    server=VARIABLE,
    foreign=_foreign,
)
