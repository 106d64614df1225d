"""Which layouts a store has, as its own node says, and what a handle on it believes.

The node ``{prefix}_.store`` holds the format, a number that rises with every change of layouts, and for each layout
``b:NAME``, that number as it was at its last breaking change, and ``k:NAME``: its key columns with their types, its
indexes, and the lengths of what they are over.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, Self

from iotstore.backend import Column, Index, Layout, Type

#: Of the store's node and everything that is private to this backend.
FORMAT: Final = 1
#: An index entry of Neo4j has room for about 8,000 bytes, and a held character takes up to nine.
_INDEXED: Final = 880


class Entry(NamedTuple):
    """One layout as the store's node describes it."""

    key: tuple[tuple[str, str], ...]
    indexes: tuple[tuple[tuple[str, ...], bool], ...]
    #: Of each column: how long its texts get, None where nobody knows, 0 where it has none.
    lengths: Mapping[str, int | None]

    @classmethod
    def of(cls, layout: Layout) -> Self:
        """The entry of a new layout."""
        return cls(
            tuple((name, layout.column(name).type.value) for name in layout.key),
            tuple((index.columns, index.unique) for index in layout.indexes),
            {column.name: length_of(column) for column in layout.columns},
        )

    @classmethod
    def read(cls, text: str) -> Self:
        """The entry that is written so."""
        key, indexes, lengths = json.loads(text)
        return cls(
            tuple((name, of) for name, of in key),
            tuple((tuple(columns), unique) for columns, unique in indexes),
            dict(lengths),
        )

    def written(self) -> str:
        """The entry as text."""
        return json.dumps([self.key, self.indexes, self.lengths], sort_keys=True)

    def indexed(self, columns: Sequence[str]) -> bool:
        """Whether an index over these columns can be: no value of theirs is ever too long for one."""
        lengths = [self.lengths.get(name) for name in columns]
        return all(length is not None for length in lengths) and sum(length or 0 for length in lengths) <= _INDEXED

    def with_index(self, index: Index) -> Self:
        """The entry with one more index."""
        return self._replace(indexes=(*self.indexes, (index.columns, index.unique)))

    def without_index(self, index: Index) -> Self:
        """The entry without an index."""
        return self._replace(indexes=tuple(one for one in self.indexes if one != (index.columns, index.unique)))

    def with_column(self, column: Column) -> Self:
        """The entry with a column, new or changed."""
        return self._replace(lengths={**self.lengths, column.name: length_of(column)})

    def without_column(self, name: str) -> Self:
        """The entry without a column."""
        return self._replace(lengths={one: length for one, length in self.lengths.items() if one != name})

    def renamed(self, old: str, new: str) -> Self:
        """The entry with a column under another name."""

        def name(column: str) -> str:
            return new if column == old else column

        return type(self)(
            tuple((name(column), of) for column, of in self.key),
            tuple((tuple(map(name, columns)), unique) for columns, unique in self.indexes),
            {name(column): length for column, length in self.lengths.items()},
        )


def length_of(column: Column) -> int | None:
    """The longest that a column's value gets in characters, None where nobody knows; 0 where it is short anyway."""
    if column.type is Type.TEXTSET:
        return None
    return column.max_length if column.type in (Type.TEXT, Type.BYTES) else 0


class Believed(NamedTuple):
    """The store's node as it was read at one time."""

    schema: int
    marks: Mapping[str, int]
    entries: Mapping[str, Entry]
    #: The types of edges that were ever drawn in this store.
    types: tuple[str, ...]

    @classmethod
    def of(cls, properties: Mapping[str, Any]) -> Self:
        """What the properties of the node say."""
        return cls(
            properties["schema"],
            {name[2:]: value for name, value in properties.items() if name.startswith("b:")},
            {name[2:]: Entry.read(value) for name, value in properties.items() if name.startswith("k:")},
            tuple(properties.get("types", ())),
        )


class Belief:
    """What one handle believes of the layouts, shared by its sessions."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._believed: Believed | None = None

    @property
    def now(self) -> Believed | None:
        """What is believed, None before anything was read."""
        return self._believed

    def learn(self, found: Believed, *, fully: bool) -> Believed:
        """Take what was read. Not *fully*, a layout that is believed in already stays as its reader knows it.

        The core reads the layouts when it opens a store or is about to change it: what it knows is then as new as this.
        """
        with self._lock:
            before = self._believed
            if before is not None and not fully:
                found = found._replace(marks={**found.marks, **before.marks})
            self._believed = found
            return found
