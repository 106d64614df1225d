"""Layouts made by hand, for the tests of every backend."""

from __future__ import annotations

import pytest

from iotstore.backend import Column, Index, Layout, Merge, OnDelete, Reference, Type


@pytest.fixture
def devices() -> Layout:
    """Every column type and merge rule, with a version."""
    return Layout(
        "devices",
        (
            Column("key", Type.TEXT, max_length=100),
            Column("name", Type.TEXT, nullable=True, max_length=200),
            Column("on", Type.BOOL),
            Column("score", Type.REAL, nullable=True, merge=Merge.MAX),
            Column("first", Type.TIME, nullable=True, merge=Merge.MIN),
            Column("size", Type.INT, nullable=True, merge=Merge.COALESCE),
            Column("raw", Type.BYTES, nullable=True, merge=Merge.KEEP),
            Column("tags", Type.TEXTSET, nullable=True),
            Column("version", Type.INT),
        ),
        ("key",),
        (Index(("name", "key")), Index(("raw",), unique=True)),
        version="version",
    )


@pytest.fixture
def flows() -> Layout:
    """A number as its key, and a reference."""
    return Layout(
        "flows",
        (
            Column("id", Type.INT),
            Column("device", Type.TEXT, nullable=True),
            Column("at", Type.TIME),
            Column("bytes", Type.INT, nullable=True),
        ),
        ("id",),
        (Index(("device", "at", "id")), Index(("at", "id"))),
        (Reference("device", "devices", OnDelete.CASCADE),),
    )


@pytest.fixture
def members() -> Layout:
    """A key of two columns, in another order than the columns, of short rows."""
    return Layout(
        "members",
        (Column("since", Type.REAL), Column("device", Type.TEXT, max_length=100), Column("part", Type.REAL)),
        ("part", "device"),
    )
