"""The PostgreSQL backend: one schema of one database, many writers. Imported when a ``postgresql:`` URL is opened."""

from iotstore import hookimpl
from iotstore.backend import Backend


@hookimpl
def iotstore_backend() -> type[Backend]:
    """The backend class."""
    # Lazy: listing the installed backends must import neither the driver nor SQLAlchemy.
    from iotstore_postgres.store import PostgresBackend

    return PostgresBackend
