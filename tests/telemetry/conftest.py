"""A store in a fresh file, with a clock that stands still and three devices."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import iotstore
from iotstore import Device, ManualClock, Store

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    """The URL of a database that does not exist yet."""
    return f"sqlite:///{tmp_path}/home.db"


@pytest.fixture
def clock() -> ManualClock:
    """A clock at noon of 1 March 2026 UTC."""
    return ManualClock(NOW)


@pytest.fixture
def store(url: str, clock: ManualClock) -> Iterator[Store]:
    """A store with the devices a, b and c."""
    with iotstore.open(url, clock=clock) as opened:
        for key in ("a", "b", "c"):
            opened.devices.put(Device(key=key))
        yield opened


@pytest.fixture
def at() -> Callable[[float], datetime]:
    """The instant so many seconds before noon (negative) or after it."""
    return lambda seconds: NOW + timedelta(seconds=seconds)
