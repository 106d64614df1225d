"""A DuckDB backend: one file, one process, many threads. Found by ``duckdb:`` URLs, imported when one is opened."""

from iotstore import hookimpl
from iotstore.backend import Backend


@hookimpl
def iotstore_backend() -> type[Backend]:
    """The backend class."""
    # Lazy: listing the installed backends must not import the driver.
    from iotstore_duckdb.store import DuckdbBackend  # noqa: PLC0415

    return DuckdbBackend
