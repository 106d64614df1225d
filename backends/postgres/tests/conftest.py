"""A server for all tests, a schema for each, and stores that are closed when a test ends."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from iotstore._config import Configuration, settings_for, settle_options
from iotstore._urls import parse_url
from iotstore.backend import CreateLayout, Layout, Settings
from iotstore_conformance.servers import server_url
from iotstore_postgres._options import OPTIONS
from iotstore_postgres.store import PostgresBackend

Open = Callable[..., PostgresBackend]
Ask = Callable[..., list[tuple[Any, ...]]]


@pytest.fixture(scope="session")
def url() -> str:
    """A database that the tests may use, with a superuser's login."""
    return server_url()


@pytest.fixture(scope="module")
def admin(url: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection beside the stores, to look at what they did. Some modules have a server of their own."""
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


@pytest.fixture
def place(url: str, schema: str) -> str:
    """The URL of the test's own store."""
    return f"{url}{'&' if '?' in url else '?'}schema={schema}&application_name={schema}"


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
