"""How the contract suite opens stores of this backend: a schema for each on the server that the suite offers."""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
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
from iotstore_postgres import _citus_setup, _hypertable

#: Set in the environment, to anything: every store of the suite gets its points in a hypertable before its first use.
#: Each has a database of its own then: TimescaleDB can't dump a hypertable out of a database that holds more.
HYPERTABLES: Final = "IOTSTORE_TEST_HYPERTABLES"
#: Set in the environment, to a number of shards: every store of the suite is distributed before its first use. Each has
#: a database of its own on every machine then: to copy one takes a tenth of the time of distributing fifty tables.
SHARDS: Final = "IOTSTORE_TEST_SHARDS"
#: The schema of the empty, distributed store that every such database begins with.
_READY: Final = "iotstore_ready"
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


def _own() -> bool:
    """Whether each place is a database of its own."""
    return HYPERTABLES in os.environ or SHARDS in os.environ


def _database(place: str) -> str:
    """The URL of the database that a place lies in."""
    url = server_url()
    return urlsplit(url)._replace(path=f"/{place}").geturl() if _own() else url


def _use(connection: psycopg.Connection[Any], place: str) -> None:
    connection.execute("SELECT set_config('search_path', quote_ident(%s), false)", [place])


def _url(place: str, schema: str | None = None) -> str:
    url = _database(place)
    return f"{url}{'&' if '?' in url else '?'}schema={schema or place}&application_name={place}"


def _fresh() -> str:
    place = f"iotstore_suite_{uuid.uuid4().hex[:12]}"
    if _own():
        template = _template()
        with _asking() as connection:
            _everywhere(connection, "CREATE DATABASE {} TEMPLATE {}", place, template)
    return place


def _everywhere(connection: psycopg.Connection[Any], text: LiteralString, *names: str) -> None:
    """Run a statement that no transaction can hold; on a cluster on all of its machines."""
    written = sql.SQL(text).format(*map(sql.Identifier, names)).as_string(connection)
    if SHARDS in os.environ:
        for node, *_, well, said in connection.execute("SELECT * FROM run_command_on_workers(%s)", [written]):
            if not well:
                raise RuntimeError(f"the worker {node} can't run {written}: {said}")
    connection.execute(written.encode())


def _leave(connection: psycopg.Connection[Any], name: str) -> None:
    """End all other sessions in a database, workers of extensions too: else it can't be copied."""
    ended = sql.SQL(
        "SELECT count(pg_terminate_backend(pid, 5000)) FROM pg_stat_activity"
        " WHERE datname = {} AND pid <> pg_backend_pid()"
    ).format(name)
    if SHARDS in os.environ:
        connection.execute("SELECT * FROM run_command_on_workers(%s)", [ended.as_string(connection)])
    connection.execute(ended)


@cache
def _template() -> str:
    """A database for others to be copies of, since setting one up takes seconds.

    It has nothing but TimescaleDB; on a cluster Citus, its machines and a distributed store.
    """
    name = f"iotstore_template_{uuid.uuid4().hex[:12]}"
    with _asking() as connection:
        _everywhere(connection, "CREATE DATABASE {}", name)
        atexit.register(_drop_template, name)
        with _asking(name) as inside:
            if SHARDS in os.environ:
                _join(inside, connection.execute("SELECT groupid, nodename, nodeport FROM pg_dist_node").fetchall())
            else:
                inside.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
        if SHARDS in os.environ:
            ready = _url(name, _READY)
            iotstore.open(ready, kinds=KINDS).close()
            _set_up(ready)
        _everywhere(connection, "ALTER DATABASE {} ALLOW_CONNECTIONS false", name)
        _leave(connection, name)
    return name


def _join(connection: psycopg.Connection[Any], nodes: Sequence[tuple[int, str, int]]) -> None:
    """Make a database a cluster of the machines that another one is a cluster of."""
    install = "CREATE EXTENSION IF NOT EXISTS citus"
    on_worker = "SELECT * FROM master_run_on_worker(ARRAY[%s], ARRAY[%s], ARRAY[%s], false)"
    connection.execute(install)
    for group, host, port in sorted(nodes):  # the coordinator first
        if group == 0:
            connection.execute("SELECT citus_set_coordinator_host(%s, %s)", [host, port])
        else:
            connection.execute(on_worker, [host, port, install])
            connection.execute("SELECT citus_add_node(%s, %s)", [host, port])


def _drop_template(name: str) -> None:
    with suppress(psycopg.OperationalError), _asking() as connection:  # a server that is gone took it along
        _everywhere(connection, "DROP DATABASE IF EXISTS {} (FORCE)", name)


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
    if _own():
        with suppress(psycopg.OperationalError):  # a server that is dead is the backend's to tell of
            fresh = _is_fresh(_place(url))
    # Making the schema anew is most of the time of a short clause: a new place starts as a copy of an empty store.
    copied = options.get("kinds") == list(KINDS) and options.get("create", True)
    if copied and (fresh or not _own()):
        _copy_empty(_place(url))
    store = _open_plain(url, **options)
    if not fresh or (copied and SHARDS in os.environ):
        return store
    store.close()
    _set_up(url)
    return _open_plain(url, **options)


def _place(url: str) -> str:
    return url.rpartition("application_name=")[2]


def _set_up(url: str) -> None:
    """What the environment wants for every store."""
    _, settings = store_settings(argparse.Namespace(url=url, config=None))
    if SHARDS in os.environ:
        _citus_setup.setup(settings, _citus_setup.Wanted(int(os.environ[SHARDS])), force=False, dry_run=False)
    else:
        _hypertable.setup(settings, _hypertable.Wanted(), force=False, dry_run=False)


def _is_fresh(place: str) -> bool:
    with _asking(place) as connection:
        return connection.execute("SELECT to_regnamespace(quote_ident(%s)) IS NULL", [place]).fetchone() == (True,)


def _copy_empty(place: str) -> None:
    name = sql.Identifier(place)
    if SHARDS in os.environ:
        with _asking(place) as connection:
            connection.execute(sql.SQL("ALTER SCHEMA {} RENAME TO {}").format(sql.Identifier(_READY), name))
        return
    made = _empty()
    if _is_fresh(place):
        with _asking(place) as connection:
            _use(connection, place)
            with connection.transaction():
                connection.execute(sql.SQL("CREATE SCHEMA {}").format(name))
                connection.execute(made)


def _open_plain(url: str, **options: object) -> Store:
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


def _drop(place: str) -> None:
    with _asking() as connection:
        own = _own()
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
            _everywhere(connection, "DROP DATABASE {} (FORCE)", name)


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
