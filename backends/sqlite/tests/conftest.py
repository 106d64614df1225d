"""Layouts made by hand, and stores that are closed when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotstore.backend import (
    Column,
    CreateLayout,
    Index,
    Layout,
    Merge,
    OnDelete,
    Reference,
    Settings,
    Type,
)
from iotstore_sqlite.store import SqliteBackend

Open = Callable[..., SqliteBackend]


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
def settings(tmp_path: Path) -> Callable[..., Settings]:
    """Settings for a file in the test's folder."""

    def make(name: str = "home.db", *, create: bool = True, **options: str | float | bool) -> Settings:
        path = name if name == ":memory:" else str(tmp_path / name)
        return Settings("sqlite", None, None, (), path, f"sqlite:///{path}", options, create)

    return make


@pytest.fixture
def connect(settings: Callable[..., Settings]) -> Iterator[Open]:
    """Open a store; it is closed when the test ends."""
    opened: list[SqliteBackend] = []

    def make(name: str = "home.db", **options: str | float | bool) -> SqliteBackend:
        opened.append(SqliteBackend.connect(settings(name, **options)))
        return opened[-1]

    yield make
    for backend in opened:
        backend.close()


@pytest.fixture
def backend(connect: Open, devices: Layout, flows: Layout, members: Layout) -> SqliteBackend:
    """An open store with the three layouts."""
    store = connect(busy_timeout=5.0)
    with store.write() as session:
        session.apply([CreateLayout(devices), CreateLayout(flows), CreateLayout(members)])
    return store
