"""Names inside a database: labels, properties, indexes. Only registered names get here, and they are checked again."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from iotstore.backend import ConfigurationError, EngineError

_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z", re.ASCII)
_PREFIX: Final = re.compile(r"[A-Za-z][A-Za-z0-9]{0,40}\Z", re.ASCII)
_EDGE_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{0,59}\Z", re.ASCII)


def quoted(name: str) -> str:
    """A name as Cypher takes it. Quoting alone would not do: Cypher 5 decodes escapes inside of quotes."""
    if not _NAME.match(name):
        raise EngineError(f"{name!r} is no name that Neo4j is asked for", hint="use letters, digits and underscores")
    return f"`{name}`"


def edge_type(name: str) -> str:
    """The type of an edge as Cypher takes it."""
    if not _EDGE_TYPE.match(name):
        raise EngineError(f"{name!r} is no type of edges", hint="use capitals, digits and underscores")
    return f"`{name}`"


class Names:
    """The labels of one store. Its prefix keeps several stores in one database apart."""

    def __init__(self, prefix: str) -> None:
        if not _PREFIX.match(prefix):
            raise ConfigurationError(
                f"option prefix: {prefix!r} can't begin a label", hint="use up to 41 letters and digits, a letter first"
            )
        self.prefix = prefix
        #: What every label of the store begins with. A prefix has no underscore, so no store's begins as another's.
        self.start = f"{prefix}_"
        # No kind's name has a point: these are no kind's labels.
        self.store = f"`{self.start}.store`"
        self.counter = f"`{self.start}.counter`"

    def bare(self, layout: str) -> str:
        """The label of a layout's nodes."""
        quoted(layout)
        return self.start + layout

    def label(self, layout: str) -> str:
        """The same as Cypher takes it."""
        return f"`{self.bare(layout)}`"

    def index(self, layout: str, columns: Sequence[str], *, key: bool = False) -> str:
        """The name of the index over these columns, or of the constraint that they are the key. One name, one thing."""
        return f"`{self.bare(layout)}.{'key' if key else 'index'}.{'.'.join(columns)}`"
