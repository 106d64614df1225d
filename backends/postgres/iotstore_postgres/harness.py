"""How the contract suite opens stores of this backend: a schema for each on the server that the suite offers."""

from __future__ import annotations

import argparse
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Final, LiteralString

import psycopg
from psycopg import sql

import iotstore
from iotstore import Store
from iotstore.cli.plugins import store_settings
from iotstore_conformance import Harness
from iotstore_conformance.kinds import KINDS
from iotstore_conformance.servers import VARIABLE, postgres, server_url
from iotstore_postgres._hypertable import Wanted, setup

#: Set in the environment, to anything: every store of the suite gets its points in a hypertable before its first use.
HYPERTABLES: Final = "IOTSTORE_TEST_HYPERTABLES"
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
        "SELECT replace(pg_get_indexdef(i.indexrelid), ' ON ' || quote_ident(current_schema()) || '.', ' ON ')"
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
def _asking() -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(server_url(), autocommit=True) as connection:
        yield connection


def _use(connection: psycopg.Connection[Any], place: str) -> None:
    connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [place])


def _url(place: str) -> str:
    url = server_url()
    return f"{url}{'&' if '?' in url else '?'}schema={place}&application_name={place}"


def _fresh() -> str:
    return f"iotstore_suite_{uuid.uuid4().hex[:12]}"


@cache
def _empty() -> bytes:
    """The statements that make an empty store with the suite's kinds, as the backend itself once made it."""
    place = _fresh()
    iotstore.open(_url(place), kinds=KINDS).close()
    with _asking() as connection:
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
    if HYPERTABLES in os.environ:
        with suppress(psycopg.OperationalError):  # a server that is dead is the backend's to tell of
            fresh = _is_fresh(url.rpartition("application_name=")[2])
    store = _open_plain(url, **options)
    if fresh:
        _, settings = store_settings(argparse.Namespace(url=url, config=None))
        setup(settings, Wanted(), force=True, dry_run=False)
    return store


def _is_fresh(place: str) -> bool:
    with _asking() as connection:
        return connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", [place]).fetchone() == (True,)


def _open_plain(url: str, **options: object) -> Store:
    # Making the schema anew is most of the time of a short clause: a new place starts as a copy of an empty store.
    if options.get("kinds") == list(KINDS) and options.get("create", True):
        made, place = _empty(), url.rpartition("application_name=")[2]
        if _is_fresh(place):
            with _asking() as connection:
                _use(connection, place)
                with connection.transaction():
                    connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(place)))
                    connection.execute(made)
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


def _drop(place: str) -> None:
    with _asking() as connection:
        # Migrations that delete take a backup first, which lies in the working directory.
        taken = Path("backups", f"{connection.info.dbname}.{place}")
        shutil.rmtree(taken, ignore_errors=True)
        with suppress(OSError):
            taken.parent.rmdir()
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(place)))


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
)
