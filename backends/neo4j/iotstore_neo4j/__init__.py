"""The Neo4j backend: kinds as labelled nodes, edges as relationships. Imported when such a URL is opened."""

from iotstore import hookimpl
from iotstore.backend import Backend


@hookimpl
def iotstore_backend() -> type[Backend]:
    """The backend class."""
    # Lazy: listing the installed backends must not import the driver.
    from iotstore_neo4j.store import Neo4jBackend

    return Neo4jBackend
