"""What all tests of the core share."""

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture
def root() -> Path:
    """The folder of this checkout."""
    return ROOT


@pytest.fixture(autouse=True)
def untouched_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody's own settings reach a test, and a test's time zone is UTC unless it says otherwise."""
    for name in [name for name in os.environ if name.startswith("IOTSTORE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("TZ", "UTC")
