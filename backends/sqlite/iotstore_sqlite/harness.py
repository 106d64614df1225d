"""How the contract suite opens stores of this backend: a folder for each, removed afterwards."""

import shutil
import tempfile
from functools import cache
from pathlib import Path

import iotstore
from iotstore import Store
from iotstore_conformance import Harness
from iotstore_conformance.kinds import KINDS


@cache
def _empty() -> bytes:
    """The file of an empty store with the suite's kinds."""
    with tempfile.TemporaryDirectory() as folder:
        iotstore.open(f"sqlite:///{folder}/home.db", kinds=KINDS).close()
        return Path(folder, "home.db").read_bytes()


def _open(url: str, **options: object) -> Store:
    # Making the schema anew is most of the time of a short clause: a new place starts as a copy of an empty store.
    file = Path(url.removeprefix("sqlite:///"))
    if options.get("kinds") == list(KINDS) and options.get("create", True) and not file.exists():
        file.touch(mode=0o600)
        file.write_bytes(_empty())
    return iotstore.open(url, **options)  # type: ignore[arg-type]  # handed on as they came


harness = Harness(
    "sqlite",
    fresh=lambda: tempfile.mkdtemp(prefix="iotstore-sqlite-"),
    url=lambda folder: f"sqlite:///{folder}/home.db",
    drop=shutil.rmtree,
    open=_open,
    file=lambda folder: Path(folder, "home.db"),
)
