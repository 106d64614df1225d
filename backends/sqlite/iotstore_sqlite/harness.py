"""How the contract suite opens stores of this backend: a folder for each, removed afterwards."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path

import iotstore
from iotstore import Store
from iotstore_conformance import Harness
from iotstore_conformance.kinds import KINDS
from iotstore_sqlite.store import SqliteBackend

_PAGES = 1_073_741_823  # what every release of SQLite allows


@cache
def _empty() -> bytes:
    """The file of an empty store with the suite's kinds."""
    with tempfile.TemporaryDirectory() as folder:
        iotstore.open(f"sqlite:///{folder}/home.db", kinds=KINDS).close()
        return Path(folder, "home.db").read_bytes()


def _open(url: str, **options: object) -> Store:
    # Making the schema anew is most of the time of a short clause: a new place starts as a copy of an empty store.
    known, _, path = url.partition("sqlite:///")
    file = Path(path)
    usual = not known and path and options.get("kinds") == list(KINDS) and options.get("create", True)
    if usual and not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(_empty())
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


@contextmanager
def _full(store: Store) -> Iterator[None]:
    """Inside the block the file may not grow: SQLite then does and says what it does and says on a full disk."""
    if not isinstance(store.backend, SqliteBackend):
        raise TypeError(f"a store of {store.backend.name} has no file of SQLite")
    writer = store.backend._writing()  # noqa: SLF001 - the limit belongs to the connection, not to the file
    writer.alone(lambda connection: connection.execute("PRAGMA max_page_count = 1"))
    try:
        yield
    finally:
        writer.alone(lambda connection: connection.execute(f"PRAGMA max_page_count = {_PAGES}"))


def _foreign(url: str) -> Callable[[], object]:
    """A table of another application, under a name that a store uses too."""
    file = url.removeprefix("sqlite:///").partition("?")[0]
    with closing(sqlite3.connect(file)) as connection:
        connection.executescript("CREATE TABLE device (theirs TEXT); INSERT INTO device VALUES ('kept');")
    return Path(file).read_bytes


harness = Harness(
    "sqlite",
    fresh=lambda: tempfile.mkdtemp(prefix="iotstore-sqlite-"),
    url=lambda folder: f"sqlite:///{folder}/home.db",
    drop=shutil.rmtree,
    open=_open,
    engine="embedded",
    file=lambda folder: Path(folder, "home.db"),
    full=_full,
    foreign=_foreign,
)
