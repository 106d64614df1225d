"""What the tests of the core over SQLite share."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import iotstore
from iotstore import ManualClock, Store

NOW = datetime(2024, 6, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon of the first of June 2024, UTC."""
    return ManualClock(NOW)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a file that does not exist yet."""
    return f"sqlite:///{tmp_path}/store/home.db"


@pytest.fixture
def open_store(url: str, clock: ManualClock) -> Iterator[Callable[..., Store]]:
    """Open stores on one file, with the clock; all are closed in the end."""
    opened: list[Store] = []

    def opener(**said: Any) -> Store:
        opened.append(iotstore.open(said.pop("url", url), **{"clock": clock, **said}))
        return opened[-1]

    yield opener
    for store in opened:
        store.close()


@pytest.fixture
def store(open_store: Callable[..., Store]) -> Store:
    """An empty store with the built-in kinds."""
    return open_store()
