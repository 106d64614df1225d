"""What the tests of projections share: composed stores in files, fed when the test says so."""

import importlib.util
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import iotstore
from iotstore import ManualClock, Store

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def load(name: str) -> ModuleType:
    """A module beside this file: tests are imported by path, so it is not found by its name."""
    full = f"tests_projection_{name}"
    if full not in sys.modules:
        spec = importlib.util.spec_from_file_location(full, Path(__file__).parent / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        sys.modules[full] = module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    return sys.modules[full]


@pytest.fixture(scope="session")
def kit() -> ModuleType:
    """Random work, cuts, a graph in SQLite, and the comparison that does not use the code under test."""
    return load("kit")


@pytest.fixture
def clock() -> ManualClock:
    """A clock that stands at noon."""
    return ManualClock(NOW)


@pytest.fixture
def primary(tmp_path: Path) -> str:
    """The URL of a primary that does not exist yet."""
    return f"sqlite:///{tmp_path}/primary/home.db"


@pytest.fixture
def target(tmp_path: Path) -> str:
    """The URL of a projection that does not exist yet."""
    return f"sqlite:///{tmp_path}/target/graph.db"


@pytest.fixture
def composed(primary: str, target: str, clock: ManualClock) -> Iterator[Callable[..., Store]]:
    """Open composed stores on the two places; all are closed in the end."""
    opened: list[Store] = []

    def opener(**said: Any) -> Store:
        url = said.pop("url", primary)
        opened.append(iotstore.open(url, **{"relationships": target, "projector": False, "clock": clock, **said}))
        return opened[-1]

    yield opener
    for one in opened:
        one.close()


@pytest.fixture
def store(composed: Callable[..., Store]) -> Store:
    """A composed store whose projection nobody has opened yet."""
    return composed()


@pytest.fixture(params=["records", "graph"])
def both(request: pytest.FixtureRequest, store: Store, kit: ModuleType) -> Store:
    """A composed store whose projection keeps records only, or edges as such, too."""
    if request.param == "graph":
        kit.with_graph(store)
    return store


class Nursery:
    """A process whose children do tasks on the two stores, and kill themselves in the middle of them if told to."""

    def __init__(self) -> None:
        script = str(Path(__file__).parent / "nursery.py")
        self._process = subprocess.Popen(
            [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def begin(self, **task: Any) -> None:
        """Let a child begin."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(task) + "\n")
        self._process.stdin.flush()

    def ended(self) -> int:
        """Wait for the child; its exit code, or the signal that killed it, negative."""
        assert self._process.stdout is not None
        return int(json.loads(self._process.stdout.readline())["ended"])

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


@pytest.fixture(scope="session")
def nurseries() -> Iterator[list[Nursery]]:
    """Three of them, for children that work at the same time."""
    several = [Nursery() for _ in range(3)]
    yield several
    for one in several:
        one.close()


@pytest.fixture
def bring_up(nurseries: list[Nursery], primary: str, target: str, clock: ManualClock) -> Callable[..., int]:
    """Let a child do a task; returns how it ended."""

    def run(**task: Any) -> int:
        clock.advance(timedelta(seconds=11))  # whoever was killed before had the lease
        nurseries[0].begin(**{"primary": primary, "target": target, "now": clock.now().isoformat(), **task})
        ended = nurseries[0].ended()
        clock.advance(timedelta(seconds=11))
        return ended

    return run
