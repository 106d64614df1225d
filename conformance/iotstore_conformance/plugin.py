"""The pytest plugin: ``--iotstore NAME`` runs the contract on a harness; without the option it does nothing at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

# Everything else is imported when the option is given: other projects' test runs pay nothing for this plugin.
if TYPE_CHECKING:
    from iotstore_conformance.harness import Harness

_SUITE = Path(__file__).parent / "suite"
_HARNESS: pytest.StashKey[Harness] = pytest.StashKey()

pytest.register_assert_rewrite(
    "iotstore_conformance.clauses", "iotstore_conformance.machines", "iotstore_conformance.refusals"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that names the harness, and those of the report."""
    group = parser.getgroup("iotstore", "contract of iotstore backends")
    group.addoption(
        "--iotstore",
        metavar="NAME",
        help="run the clauses of iotstore_conformance.suite on the harness that is installed under NAME",
    )
    group.addoption("--iotstore-url", metavar="URL", help="run there instead of in the harness's own place")
    group.addoption("--iotstore-server", metavar="NAME", help="its server: embedded, container, timescale or a URL")
    group.addoption("--iotstore-seed", metavar="N", type=int, default=0, help="other histories than the suite's own")
    group.addoption("--iotstore-report", metavar="FILE", help="write the report of the run here")
    group.addoption("--iotstore-ledger", metavar="FILE", help="known deviations; ./conformance.toml if it exists")
    group.addoption(
        "--iotstore-require", metavar="PROFILE", action="append", default=[], help="fail unless it is conformant"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Find the harness, so that a wrong name ends the run before it starts."""
    name = config.getoption("--iotstore")
    if name is None:
        return
    from iotstore import ConfigurationError
    from iotstore_conformance.harness import UnknownHarness, find_harness
    from iotstore_conformance.places import aimed

    config.addinivalue_line("markers", "full: long; left out unless -m asks for it")
    try:
        config.stash[_HARNESS] = harness = find_harness(name)
        aimed(harness, config.getoption("--iotstore-url"), config.getoption("--iotstore-server"))
    except (UnknownHarness, ConfigurationError) as error:
        raise pytest.UsageError(str(error)) from error
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        config.args[:] = [str(_SUITE)]  # `pytest --iotstore NAME` alone is a run of the contract
    from iotstore_conformance import bookkeeping

    config.stash[bookkeeping.BOOK] = book = bookkeeping.Book(config, _HARNESS)
    config.pluginmanager.register(book, "iotstore-conformance-book")
    config.pluginmanager.register(bookkeeping, "iotstore-conformance-fixtures")


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the suite alone unless a harness was named: nothing collected is an error for pytest, never a pass."""
    if collection_path.is_relative_to(_SUITE) and config.stash.get(_HARNESS, None) is None:
        return True
    return None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make one test of every clause, with the clause's id as its name."""
    if "iotstore_clause" not in metafunc.fixturenames or metafunc.config.stash.get(_HARNESS, None) is None:
        return
    from iotstore_conformance.suite import parameters

    metafunc.parametrize(("iotstore_clause", "iotstore_effort"), parameters())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the long runs of the suite out unless ``-m`` decides."""
    if config.stash.get(_HARNESS, None) is None or config.getoption("markexpr"):
        return
    long = [item for item in items if item.path.is_relative_to(_SUITE) and item.get_closest_marker("full")]
    if long:
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]
