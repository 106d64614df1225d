"""The SQLite backend: one file, one writer, many readers. Imported when a ``sqlite:`` URL is opened, not before."""

from iotstore import hookimpl
from iotstore.backend import Backend


@hookimpl
def iotstore_backend() -> type[Backend]:
    """The backend class."""
    # Lazy: listing the installed backends must import neither the driver nor SQLAlchemy.
    from iotstore_sqlite.store import SqliteBackend

    return SqliteBackend
