"""Loading: a source of canonical lines becomes a store, through the waist alone, proven before it is committed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

from iotstore import _values as values
from iotstore._catalogue.catalogue import Catalogue, Digester, Progress, Tally, difference
from iotstore._catalogue.lines import Block, held
from iotstore._catalogue.manifest import KindEntry, Summary
from iotstore._catalogue.points import POINTS
from iotstore._kinds.system import KINDS
from iotstore._waist.capabilities import Capability
from iotstore._waist.contract import Backend
from iotstore._waist.layout import Layout, OnDelete, Reference
from iotstore._waist.queries import OnConflict
from iotstore._waist.schema import CreateLayout, SetReferences
from iotstore._waist.sessions import ReadSession, WriteSession
from iotstore.errors import BackupError, NotAllowed


class Source(Protocol):
    """What can be loaded: a portable backup, or another store."""

    @property
    def kinds(self) -> Sequence[KindEntry]:
        """The descriptions of its kinds."""
        ...

    @property
    def counters(self) -> Mapping[str, int]:
        """The next number of every counter."""
        ...

    @property
    def collections(self) -> Sequence[Summary]:
        """What each collection holds; a source that can tell only at its end is asked then."""
        ...

    def blocks(self, name: str) -> Iterator[Block]:
        """The canonical lines of one collection."""
        ...


def load(session: WriteSession, backend: Backend, source: Source, progress: Progress) -> None:
    """Fill an empty store with a source and prove it from the target. The caller commits, or rolls back on an error."""
    catalogue = Catalogue(backend, source.kinds)
    backend.capabilities.require(Capability.TRANSACTIONS)
    if catalogue.points is None and any(one.name == POINTS and one.count for one in source.collections):
        backend.capabilities.require(Capability.SERIES)
    later = _prepare(session, catalogue)
    # Descriptions are not loaded but stored with the layouts that are made from them.
    rows = sum(one.count for one in source.collections if one.name != KINDS.name)
    tally = Tally(progress, rows)
    arrived = tuple(
        _load_one(session, catalogue, source, name, tally)
        for name in (*catalogue.layouts, POINTS)
        if name != KINDS.name
    )
    for layout, references in later:
        session.apply([SetReferences(layout, references)])
    _advance(session, source.counters)
    _compare(source.collections, arrived, "what was read")
    tally = Tally(progress, rows)
    stored = [
        catalogue.summary(session, name, tally.step(f"proving {name}"))
        for name in catalogue.names
        if name != KINDS.name
    ]
    _compare(source.collections, stored, "what was stored")


def _compare(expected: Sequence[Summary], found: Sequence[Summary], what: str) -> None:
    # The target may describe kinds of its own: its descriptions were compared one by one.
    problem = difference([one for one in expected if one.name != KINDS.name], found)
    if problem:
        raise BackupError(
            f"{what} is not what was backed up: {problem}", hint="nothing was changed; use another backup"
        )


def is_empty(session: ReadSession, backend: Backend) -> str | None:
    """None when the store has no record and no point; else, in words, what it has."""
    catalogue = Catalogue.of(backend, session)
    for name in catalogue.names:
        if name != KINDS.name and name in (*session.layouts(), POINTS):
            rows = catalogue.count(session, name)
            if rows:
                return f"{rows} rows of {name}"
    return None


def _prepare(session: WriteSession, catalogue: Catalogue) -> list[tuple[Layout, tuple[Reference, ...]]]:
    """Make the layouts; return the references that can be put in place only when the records are there."""
    found = is_empty(session, catalogue.backend)
    if found:
        raise NotAllowed(f"the target is not empty: it has {found}", hint="give an empty store, or allow to replace it")
    there = session.layouts()
    known = Catalogue.of(catalogue.backend, session).kinds
    if KINDS.name not in there:
        session.apply([CreateLayout(KINDS.layout)])
    later: list[tuple[Layout, tuple[Reference, ...]]] = []
    made: set[str] = set()
    for layout in catalogue.layouts.values():
        if layout is KINDS.layout:
            continue
        made.add(layout.name)
        # A record may point to one that comes later: to its own kind, or around a ring of kinds.
        ready = tuple(r for r in layout.references if r.target in made - {layout.name} or r.on_delete is OnDelete.KEEP)
        if len(ready) < len(layout.references):
            later.append((layout, layout.references))
        entry = catalogue.kinds[layout.name]
        if layout.name not in there:
            session.apply([CreateLayout(_with(layout, ready))])
        elif known.get(layout.name) != entry:
            raise BackupError(
                f"the target has another description of {layout.name}",
                hint="open both with the same version of library and application, or give a new target",
            )
        elif len(ready) < len(layout.references):
            session.apply([SetReferences(layout, ready)])
    _describe(session, catalogue, [entry for entry in catalogue.kinds.values() if entry.name not in known])
    return later


def _with(layout: Layout, references: tuple[Reference, ...]) -> Layout:
    if references == layout.references:
        return layout
    return Layout(layout.name, layout.columns, layout.key, layout.indexes, references, layout.version)


def _describe(session: WriteSession, catalogue: Catalogue, entries: Sequence[KindEntry]) -> None:
    holds, layout = catalogue.backend.holds, KINDS.layout
    plain = [
        {"name": entry.name, "version": entry.version, "description": values.json_text(entry.description)}
        for entry in entries
    ]
    rows = [tuple(held(one[column.name], column.type, holds) for column in layout.columns) for one in plain]
    _insert(session, catalogue.backend, layout, rows)


def _insert(session: WriteSession, backend: Backend, layout: Layout, rows: list[tuple[object, ...]]) -> None:
    most = backend.limits.insert_rows
    for at in range(0, len(rows), most):
        session.insert_many(layout, rows[at : at + most], OnConflict.ERROR)


def _load_one(session: WriteSession, catalogue: Catalogue, source: Source, name: str, tally: Tally) -> Summary:
    digester = Digester(name)
    step = tally.step(f"loading {name}")
    for block in source.blocks(name):
        digester.add(block)
        if name != POINTS:
            _insert(session, catalogue.backend, catalogue.layouts[name], catalogue.lines[name].parse(block.data))
        elif catalogue.points is not None:
            catalogue.points.load(session, block.data, catalogue.backend.limits.append_points)
        step(block.rows)
    return digester.summary()


def next_numbers(session: ReadSession, catalogue: Catalogue) -> dict[str, int]:
    """The next number of every counter of the collections that was used."""
    return {name: number for name, number in session.counters().items() if name in catalogue.layouts and number > 1}


def _advance(session: WriteSession, counters: Mapping[str, int]) -> None:
    """Move counters on, so that no id that was ever given is given again."""
    for name, number in counters.items():
        missing = number - 1 - session.reserve(name, 1)
        if missing > 0:
            session.reserve(name, missing)
