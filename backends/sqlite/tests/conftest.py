"""A place for a store, and stores that are closed when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from iotstore.backend import (
    CreateLayout,
    Layout,
    Settings,
)
from iotstore_sqlite.store import SqliteBackend

Open = Callable[..., SqliteBackend]


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
