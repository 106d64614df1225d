"""A server for all tests, a schema for each, layouts made by hand, and stores that are closed when a test ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from iotstore._config import Configuration, settings_for, settle_options
from iotstore._urls import parse_url
from iotstore.backend import Column, CreateLayout, Index, Layout, Merge, OnDelete, Reference, Settings, Type
from iotstore_conformance.servers import server_url
from iotstore_postgres._options import OPTIONS
from iotstore_postgres.store import PostgresBackend

Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def url() -> str:
    """A database that the tests may use, with a superuser's login."""
    return server_url()


@pytest.fixture(scope="session")
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the stores, to look at what they did."""
    with psycopg.connect(url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def ask(admin: psycopg.Connection[Any]) -> Ask:
    """Run a statement beside the store; rows of what it answers."""

    def run(text: str, *parameters: object) -> list[tuple[Any, ...]]:
        cursor = admin.execute(text.encode(), parameters or None)
        return cursor.fetchall() if cursor.description else []

    return run


@pytest.fixture
def schema(admin: psycopg.Connection[Any]) -> Iterator[str]:
    """The name of a schema that does not exist yet; dropped when the test ends."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    yield name
    # A statement whose client gave up goes on for a while.
    admin.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = %s", [name])
    admin.execute(f'DROP SCHEMA IF EXISTS "{name}" CASCADE'.encode())


@pytest.fixture(scope="session")
def settings_of() -> Callable[..., Settings]:
    """What ``iotstore.open(url, ...)`` hands to the backend."""

    def make(url: str, *, create: bool = True, **options: Any) -> Settings:
        parsed = parse_url(url)
        said: dict[str, tuple[object, str]] = {name: (value, "URL") for name, value in parsed.options.items()}
        said.update({name: (value, "argument") for name, value in options.items()})
        settled = settle_options(Configuration(parsed, "argument", said, ()), OPTIONS)
        return settings_for(parsed, settled, create=create)

    return make


@pytest.fixture
def settings(url: str, schema: str, settings_of: Callable[..., Settings]) -> Callable[..., Settings]:
    """Settings for the test's own schema."""

    def make(*, create: bool = True, **options: Any) -> Settings:
        return settings_of(url, create=create, **{"schema": schema, "application_name": schema, **options})

    return make


@pytest.fixture
def connect(settings: Callable[..., Settings]) -> Iterator[Open]:
    """Open the store in the test's schema; it is closed when the test ends."""
    opened: list[PostgresBackend] = []

    def make(**options: Any) -> PostgresBackend:
        opened.append(PostgresBackend.connect(settings(**options)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


@pytest.fixture
def devices() -> Layout:
    """Every column type and merge rule, with a version."""
    return Layout(
        "devices",
        (
            Column("key", Type.TEXT, max_length=100),
            Column("name", Type.TEXT, nullable=True, max_length=200),
            Column("on", Type.BOOL),
            Column("score", Type.REAL, nullable=True, merge=Merge.MAX),
            Column("first", Type.TIME, nullable=True, merge=Merge.MIN),
            Column("size", Type.INT, nullable=True, merge=Merge.COALESCE),
            Column("raw", Type.BYTES, nullable=True, merge=Merge.KEEP),
            Column("tags", Type.TEXTSET, nullable=True),
            Column("version", Type.INT),
        ),
        ("key",),
        (Index(("name", "key")), Index(("raw",), unique=True)),
        version="version",
    )


@pytest.fixture
def flows() -> Layout:
    """A number as its key, and a reference."""
    return Layout(
        "flows",
        (
            Column("id", Type.INT),
            Column("device", Type.TEXT, nullable=True),
            Column("at", Type.TIME),
            Column("bytes", Type.INT, nullable=True),
        ),
        ("id",),
        (Index(("device", "at", "id")), Index(("at", "id"))),
        (Reference("device", "devices", OnDelete.CASCADE),),
    )


@pytest.fixture
def members() -> Layout:
    """A key of two columns, in another order than the columns, of short rows."""
    return Layout(
        "members",
        (Column("since", Type.REAL), Column("device", Type.TEXT, max_length=100), Column("part", Type.REAL)),
        ("part", "device"),
    )


@pytest.fixture
def backend(connect: Open, devices: Layout, flows: Layout, members: Layout) -> PostgresBackend:
    """An open store with the three layouts."""
    store = connect(lock_timeout=5.0, pool_timeout=5.0)
    with store.write() as session:
        session.apply([CreateLayout(devices), CreateLayout(flows), CreateLayout(members)])
    return store


@pytest.fixture
def row() -> Callable[..., tuple[Any, ...]]:
    """Makes rows of ``devices``."""

    def make(key: str, **values: Any) -> tuple[Any, ...]:
        empty = ("name", None), ("on", True), ("score", None), ("first", None), ("size", None), ("raw", None)
        return tuple({"key": key, **dict(empty), "tags": None, "version": 1, **values}.values())

    return make
