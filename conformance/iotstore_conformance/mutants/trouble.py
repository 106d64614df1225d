"""Mutants of trouble: lenient openings, errors with the wrong name, processes that don't see each other."""

from __future__ import annotations

from typing import Any

from iotstore import (
    BackendUnavailable,
    Busy,
    ConfigurationError,
    Damaged,
    EngineError,
    NotAStore,
    ReadOnly,
    StorageFull,
    Unreachable,
)
from iotstore.backend import Function, Layout
from iotstore_conformance.mutants.breaking import Breaking
from iotstore_conformance.mutants.registry import mutant


@mutant("unknown-settings-are-ignored", kills=("OPN-001",), sentence="A setting that nobody knows is left out.")
def _ignored(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except ConfigurationError:
            return right(url, **{name: options[name] for name in ("kinds", "clock") if name in options})


@mutant("unknown-schemes-have-no-remedy", kills=("OPN-002",), sentence="A missing backend is told, but not what to do.")
def _no_remedy(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except BackendUnavailable as error:
            raise BackendUnavailable(str(error)) from error


@mutant("missing-stores-are-made", kills=("OPN-003",), sentence="A store that isn't there is made unasked.")
def _made(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        return right(url, **{**options, "create": True})


@mutant("the-last-kind-of-a-name-wins", kills=("OPN-004",), sentence="Of two kinds of one name the last is taken.")
def _last_kind(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        kinds = {kind.name: kind for kind in options.get("kinds", ())}
        return right(url, **{**options, **({"kinds": list(kinds.values())} if kinds else {})})


@mutant("errors-show-passwords", kills=("OPN-005",), sentence="An error of opening shows the URL as it was given.")
def _shown(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except BackendUnavailable as error:
            raise BackendUnavailable(f"can't open {url}: {error}", hint=error.hint) from error


@mutant(
    "what-is-damaged-begins-anew",
    kills=("BRK-001", "BRK-002", "BRK-003"),
    sentence="A store that can't be read is thrown away and made anew.",
)
def _anew(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except Damaged:
            return right(breaking.new_url(), **options)


@mutant(
    "foreign-places-are-taken-for-new-ones",
    kills=("OPN-006", "BRK-003"),
    sentence="Where something of another application is, a new store is begun, and nobody is told.",
)
def _taken(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except NotAStore:
            return right(breaking.new_url(), **{**options, "create": True})


@mutant(
    "all-trouble-has-one-name",
    kills=("BRK-004", "BRK-006", "OPN-003"),
    sentence="A lock, a missing store and a read-only one are errors of the engine, nothing more is known.",
)
def _one_name(breaking: Breaking) -> None:
    @breaking.opening
    def _open(right: Any, url: str, **options: Any) -> Any:
        try:
            return right(url, **options)
        except (ReadOnly, Unreachable) as error:
            raise EngineError(str(error)) from error

    @breaking.wrong("collection", "add")
    def _add(_self: Any, right: Any, record: Any) -> Any:
        try:
            return right(record)
        except (Busy, ReadOnly, Unreachable) as error:
            raise EngineError(str(error)) from error


@mutant("a-full-place-is-any-failure", kills=("BRK-007",), sentence="That no room is left is an error of the engine.")
def _full(breaking: Breaking) -> None:
    @breaking.wrong("collection", "add_many")
    def _add_many(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except StorageFull as error:
            raise EngineError(str(error)) from error


@mutant(
    "what-cannot-be-read-is-not-there",
    kills=("ERR-007",),
    sentence="What the engine fails to read is answered with nothing.",
)
def _not_there(breaking: Breaking) -> None:
    @breaking.wrong("collection", "list")
    def _list(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        try:
            return right(*args, **options)
        except EngineError:
            return []


@mutant(
    "batches-are-seen-growing",
    kills=("CNC-112", "BRK-005"),
    sentence="A batch is seen without its last record when it is first looked at.",
)
def _growing(breaking: Breaking) -> None:
    seen: set[object] = set()

    @breaking.wrong("session", "aggregate")
    def _aggregate(_self: Any, right: Any, layout: Layout, query: Any) -> Any:
        rows = right(layout, query)
        if layout.name != "suite_cell" or not query.groups or query.measures[0].function is not Function.COUNT:
            return rows
        first = {row[0] for row in rows} - seen
        seen.update(first)
        at = len(query.groups)
        return [(*row[:at], row[at] - 1, *row[at + 1 :]) if row[0] in first else row for row in rows]


@mutant(
    "processes-do-not-see-each-other",
    kills=("CNC-110", "CNC-111"),
    sentence="A record is read as this process wrote it last, whatever others have made of it.",
)
def _own_writes(breaking: Breaking) -> None:
    written: dict[tuple[str, object], Any] = {}

    @breaking.wrong("collection", "add", "update")
    def _write(self: Any, right: Any, *args: Any, **changes: Any) -> Any:
        stored = right(*args, **changes)
        if hasattr(stored, "number") and hasattr(stored, "key"):
            written[self.kind.name, stored.key] = stored
        return stored

    @breaking.wrong("collection", "get")
    def _get(self: Any, right: Any, key: Any) -> Any:
        known = written.get((self.kind.name, key))
        return right(key) if known is None else known

    @breaking.wrong("collection", "put", "put_many", "update_where", "delete", "delete_where")
    def _forget(_self: Any, right: Any, *args: Any, **options: Any) -> Any:
        written.clear()
        return right(*args, **options)

    @breaking.wrong("writer", "rollback")
    def _rollback(_self: Any, right: Any) -> None:
        written.clear()
        right()
