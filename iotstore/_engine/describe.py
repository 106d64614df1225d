"""The description of a kind as data, stored with its version; a layout can be made from it without the kind's code."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from iotstore._kinds.kind import Kind
from iotstore._waist.layout import Column, Index, Layout, Merge, OnDelete, Reference, Type

Description = Mapping[str, Any]


def describe(kind: Kind[Any]) -> dict[str, Any]:
    """The description of a kind: a JSON value that says all a backup, a copy or a migration has to know."""
    layout = kind.layout
    return {
        "name": kind.name,
        "noun": kind.noun,
        "version": kind.version,
        "generated": kind.generated,
        "columns": [
            {
                "name": column.name,
                "type": column.type.value,
                "nullable": column.nullable,
                "max_length": column.max_length,
                "merge": column.merge.value,
                "shadow_of": column.shadow_of,
            }
            for column in layout.columns
        ],
        "key": list(layout.key),
        "indexes": [{"columns": list(index.columns), "unique": index.unique} for index in layout.indexes],
        "references": [
            {"column": item.column, "target": item.target, "on_delete": item.on_delete.value}
            for item in layout.references
        ],
        "tracked": layout.version,
    }


def layout_of(description: Description) -> Layout:
    """The layout that a description stands for."""
    return Layout(
        name=description["name"],
        columns=tuple(
            Column(
                item["name"],
                Type(item["type"]),
                item["nullable"],
                item["max_length"],
                Merge(item["merge"]),
                item["shadow_of"],
            )
            for item in description["columns"]
        ),
        key=tuple(description["key"]),
        indexes=tuple(Index(tuple(item["columns"]), item["unique"]) for item in description["indexes"]),
        references=tuple(
            Reference(item["column"], item["target"], OnDelete(item["on_delete"])) for item in description["references"]
        ),
        version=description["tracked"],
    )
