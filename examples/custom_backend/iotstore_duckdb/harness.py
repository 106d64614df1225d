"""How the contract suite finds stores of this backend: a folder for each, removed afterwards."""

import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from iotstore import Store
from iotstore_conformance import Harness


@contextmanager
def _full(_: Store) -> Iterator[None]:
    """Inside the block no file of this process grows beyond 64 KiB: DuckDB then does what it does on a full disk."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def _foreign(url: str) -> Callable[[], object]:
    """A table of another application, under a name that a store uses too."""
    file = url.removeprefix("duckdb:///")
    with duckdb.connect(file) as connection:
        connection.execute("CREATE TABLE device AS SELECT 'kept' AS theirs")

    def read() -> object:
        with duckdb.connect(file) as connection:
            return [connection.execute("SHOW TABLES").fetchall(), connection.execute("FROM device").fetchall()]

    return read


harness = Harness(
    "duckdb",
    fresh=lambda: tempfile.mkdtemp(prefix="iotstore-duckdb-"),
    url=lambda folder: f"duckdb:///{folder}/home.duckdb",
    drop=shutil.rmtree,
    file=lambda folder: Path(folder, "home.duckdb"),
    full=_full,
    foreign=_foreign,
)
