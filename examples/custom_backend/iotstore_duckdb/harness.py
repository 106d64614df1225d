"""How the contract suite finds stores of this backend: a folder for each, removed afterwards."""

import shutil
import tempfile

from iotstore_conformance import Harness

harness = Harness(
    "duckdb",
    fresh=lambda: tempfile.mkdtemp(prefix="iotstore-duckdb-"),
    url=lambda folder: f"duckdb:///{folder}/home.duckdb",
    drop=shutil.rmtree,
)
