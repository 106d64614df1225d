"""Kinds as a projection keeps them: the same records, with nothing that the primary has decided already."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec

from iotstore._engine.describe import describe
from iotstore._kinds.kind import Kind
from iotstore._waist.layout import Index, Layout, OnDelete, Reference


def twin(kind: Kind[Any], kept: Mapping[str, Kind[Any]]) -> Kind[Any]:
    """The kind without rules: ids and versions are taken as they are, a record may arrive before one that it points
    to, every column replaces. What its records relate stays."""
    references = {field: (target, OnDelete.KEEP) for field, (target, _) in kind.references.items() if target in kept}
    made = replace(
        kind, references=references, unique=(), merge={}, generated=None, retention=None, steps=(), version=1
    )
    layout = made.layout
    # The version is a column like any other: an engine that raised it would make another record of it.
    plain = Layout(
        name=layout.name,
        columns=layout.columns,
        key=layout.key,
        indexes=tuple(Index(index.columns) for index in layout.indexes),
        references=tuple(Reference(one.column, one.target, OnDelete.KEEP) for one in layout.references),
    )
    object.__setattr__(made, "layout", plain)
    return made


def twins(kinds: Mapping[str, Kind[Any]]) -> dict[str, Kind[Any]]:
    """One for each kind of the graph."""
    return {name: twin(kind, kinds) for name, kind in kinds.items()}


def shape(kinds: Mapping[str, Kind[Any]]) -> str:
    """A digest of what these kinds are and which edges they make; another one means another graph."""
    told = [
        [describe(kind), [[one.type, one.source, one.target, one.weight] for one in kind.relates or ()]]
        for _, kind in sorted(kinds.items())
    ]
    return hashlib.blake2b(msgspec.json.encode(told, order="deterministic"), digest_size=24).hexdigest()
