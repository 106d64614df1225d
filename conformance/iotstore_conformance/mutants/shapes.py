"""Shapes that many mutants share: rows changed on the way in, filters on the way down, answers on the way out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias, TypeVar

from iotstore import Store, StoreError
from iotstore.backend import And, Filter, Layout, Or, Row, Type
from iotstore_conformance.mutants.breaking import Breaking

T = TypeVar("T")
#: What becomes of one value of a column.
Change: TypeAlias = Callable[[Any], Any]


def changed(record: T, **changes: Any) -> T:
    """A copy of a record with some fields changed."""
    known: Any = record
    fields = {name: getattr(known, name) for name in known.__struct_fields__}
    return type(record)(**{**fields, **changes})


def rows_in(breaking: Breaking, change: Callable[[Layout, Row], Row]) -> None:
    """Change every row that is inserted or merged."""

    @breaking.wrong("writer", "insert", "insert_many", "upsert")
    def _rows(_self: Any, right: Any, layout: Layout, rows: Any, *rest: Any) -> Any:
        if right.__name__ == "insert":
            return right(layout, change(layout, rows))
        return right(layout, [change(layout, row) for row in rows], *rest)


def values_in(breaking: Breaking, of: Type, change: Change) -> None:
    """Change every value of a column type that is inserted or merged, missing ones and shadows left alone."""

    def row_in(layout: Layout, row: Row) -> Row:
        return tuple(
            change(value) if column.type is of and value is not None and column.shadow_of is None else value
            for column, value in zip(layout.columns, row, strict=True)
        )

    rows_in(breaking, row_in)


def rows_out(breaking: Breaking, change: Callable[[Layout, Row], Row]) -> None:
    """Change every row that is read."""

    @breaking.wrong("session", "get", "select")
    def _rows(_self: Any, right: Any, layout: Layout, *rest: Any) -> Any:
        found = right(layout, *rest)
        if right.__name__ == "get":
            return None if found is None else change(layout, found)
        return [change(layout, row) for row in found]


def leaves(where: Filter, change: Callable[[Any], Filter]) -> Filter:
    """The filter with every leaf changed."""
    match where:
        case And(parts):
            return And(tuple(leaves(part, change) for part in parts))
        case Or(parts):
            return Or(tuple(leaves(part, change) for part in parts))
        case leaf:
            return change(leaf)


def branches(where: Filter, change: Callable[[Any], Filter]) -> Filter:
    """The filter with every And and Or changed, the inner ones first."""
    match where:
        case And(parts):
            return change(And(tuple(branches(part, change) for part in parts)))
        case Or(parts):
            return change(Or(tuple(branches(part, change) for part in parts)))
        case leaf:
            return leaf


def filters(breaking: Breaking, change: Callable[[Layout, Filter], Filter]) -> None:
    """Change the filter of every question."""

    @breaking.wrong("session", "select", "aggregate")
    def _asked(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        return right(layout, replace(query, where=change(layout, query.where)))


def records_in(breaking: Breaking, change: Callable[[Any], Any]) -> None:
    """Change every record that is added by itself or in a batch, before the store sees it."""

    @breaking.wrong("collection", "add", "add_many")
    def _records(_self: Any, right: Any, given: Any, **options: Any) -> Any:
        return right(change(given) if right.__name__ == "add" else [change(record) for record in given], **options)


def answers(breaking: Breaking, target: str, method: str, change: Callable[[Any], Any]) -> None:
    """Change what a method answers."""

    @breaking.wrong(target, method)
    def _answer(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        return change(right(*args, **options))


def forced(breaking: Breaking, target: str, method: str, **options: Any) -> None:
    """Call a method with options that nobody asked for."""

    @breaking.wrong(target, method)
    def _forced(_self: Any, right: Any, *args: Any, **given: Any) -> Any:
        return right(*args, **{**given, **options})


def swallowed(breaking: Breaking, target: str, methods: str, error: type[StoreError], answer: Any = None) -> None:
    """Answer quietly where methods should raise an error."""

    @breaking.wrong(target, *methods.split())
    def _quiet(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except error:
            return answer


def owners(breaking: Breaking) -> Callable[[Any], int]:
    """A function that gives a number for the handle that a session belongs to."""
    sessions: list[tuple[Any, Any]] = []

    @breaking.wrong("backend", "read", "write", "snapshot")
    def _noted(self: Any, right: Any) -> Any:
        session = right()
        sessions.append((session, self))
        return session

    def owner(session: Any) -> int:
        return next(id(backend) for known, backend in sessions if known is session)

    return owner


def stores(breaking: Breaking) -> list[Store]:
    """The list of all stores that are opened, to which later ones are added."""
    opened: list[Store] = []

    @breaking.opening
    def _opened(right: Any, url: str, **options: Any) -> Store:
        opened.append(right(url, **options))
        return opened[-1]

    return opened
